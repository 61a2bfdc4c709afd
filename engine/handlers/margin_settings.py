"""Leverage, margin mode and position mode: requested when a session begins, and compared with `[risk]`.

A contract is blocked until they are known, and while they break a limit. The engine changes them only under
`sets_margin`.
"""

from typing import Final

from engine.block_reasons import BlockCode, BlockReason
from engine.bodies import NoteLevel
from engine.events import Answer, MarginCall, MarginSettingsReport, Outcome, PositionModeReport
from engine.execution.request_factory import RequestFactory
from engine.facts import ContractConfigured, PositionModeKnown
from engine.handlers.block_instruments import block, unblock
from engine.model import Instrument
from engine.requests import Purpose
from engine.risk_settings import MarginSettings
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.margins import ContractMargin
from engine.state.pending_requests import PendingRequest
from engine.step_context import StepContext
from journal.record import plain

ASK_EVERY_NS: Final = 10 * SECOND_NS  # while an answer is missing
SETTINGS = "margin"  # the object of the block


def begin_contracts(session: SessionContext, step: StepContext) -> None:
    """Block each contract whose margin the venue states, and query it."""
    for instrument in session.instruments.values():
        if _factory(session, instrument) is not None:
            block(step, instrument.id, BlockReason(BlockCode.MARGIN, "its margin settings are not known yet", SETTINGS))
    ask_settings(session, step)


def ask_settings(session: SessionContext, step: StepContext) -> None:
    """Query the unknown settings: the account's position mode, and leverage and margin mode of each contract."""
    for instrument in session.accounts.contracts:
        factory = _factory(session, instrument)
        if factory is None:
            continue
        margins, contract = step.account.margins, step.account.margins.get(instrument.id)
        if instrument.venue not in margins.hedges and _may_ask(step, factory, Purpose.POSITION_MODE, instrument.venue):
            factory.contracts.position_mode(step)
        if contract.margin_mode is None and _may_ask(step, factory, Purpose.CONTRACT_SETTINGS, instrument.id):
            factory.contracts.settings(step, instrument=instrument)


def _factory(session: SessionContext, instrument: Instrument) -> RequestFactory | None:
    """Return the requests of a contract at an account whose venue states its margin; None for any other instrument."""
    factory = session.factories[instrument.venue]
    has_account = instrument.venue in session.accounts.known
    return factory if instrument.contract and has_account and factory.contracts.has_positions else None


def _may_ask(step: StepContext, factory: RequestFactory, purpose: Purpose, about: str) -> bool:
    asked_ns = step.account.margins.asked_ns.get(f"{purpose} {about}", -ASK_EVERY_NS)
    return step.time_ns - asked_ns >= ASK_EVERY_NS and factory.may_query(step)


def apply_settings(session: SessionContext, step: StepContext, event: MarginSettingsReport) -> None:
    """Record leverage and margin mode if they changed, and compare them with the limits."""
    instrument = session.instruments.get(event.instrument)
    if instrument is None:
        return
    known = step.account.margins.get(instrument.id)
    mode = event.margin_mode or known.margin_mode
    if (known.leverage, known.margin_mode) != (event.leverage, mode):
        step.emit(ContractConfigured(instrument.id, event.leverage, event.margin_mode))
    _judge(session, step, instrument)


def apply_position_mode(session: SessionContext, step: StepContext, venue: str, event: PositionModeReport) -> None:
    """Record whether the account has long and short positions apart."""
    if step.account.margins.hedges.get(venue) is not event.is_hedge:
        step.emit(PositionModeKnown(venue, event.is_hedge))
    for instrument in session.instruments.values():
        if instrument.venue == venue and instrument.contract:
            _judge(session, step, instrument)


def _judge(session: SessionContext, step: StepContext, instrument: Instrument) -> None:
    """Let a contract trade whose settings are known and allowed; else say why not, and set them if so configured."""
    contract = step.account.margins.get(instrument.id)
    if contract.margin_mode is None or instrument.venue not in step.account.margins.hedges:
        return
    unblock(step, instrument.id, BlockCode.MARGIN, SETTINGS)
    limits = session.limits_of[instrument.id].margin
    wrong = margin_differences(contract, limits)
    if not wrong:
        return
    block(step, instrument.id, BlockReason(BlockCode.MARGIN, "; ".join(wrong), SETTINGS))
    if limits.sets and not session.body.read_only:
        _set(session.factories[instrument.venue], step, instrument, contract, limits)


def margin_differences(contract: ContractMargin, limits: MarginSettings) -> list[str]:
    """Return how a contract breaks the limits, in words."""
    wrong = []
    if limits.leverage_max and contract.leverage > limits.leverage_max:
        wrong.append(f"leverage {plain(contract.leverage)} is above leverage_max {plain(limits.leverage_max)}")
    if limits.mode is not None and contract.margin_mode is not limits.mode:
        wrong.append(f"the margin mode is {contract.margin_mode}, not {limits.mode}")
    return wrong


def _set(
    factory: RequestFactory, step: StepContext, instrument: Instrument, contract: ContractMargin, limits: MarginSettings
) -> None:
    """Request what differs, once a session: a venue that refused it would refuse it again."""
    asked = step.account.margins.asked_ns
    too_high = bool(limits.leverage_max) and contract.leverage > limits.leverage_max
    differs = limits.mode is not None and contract.margin_mode is not limits.mode
    is_both = differs and factory.contracts.sets_margin_at_once
    if (too_high or is_both) and f"{Purpose.SET_LEVERAGE} {instrument.id}" not in asked:
        leverage = limits.leverage_max // 1 if too_high else contract.leverage
        mode = limits.mode or contract.margin_mode
        assert mode is not None, "the settings are known"
        factory.contracts.set_leverage(step, instrument=instrument, leverage=leverage, mode=mode)
    if differs and not is_both and f"{Purpose.SET_MARGIN_MODE} {instrument.id}" not in asked:
        assert limits.mode is not None
        factory.contracts.set_margin_mode(step, instrument=instrument, mode=limits.mode)


def handle_set_answer(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    """Ask for the settings again after they were set; name what the venue refused."""
    request = pending.request
    instrument = session.instruments[request.instrument]
    if answer.outcome is not Outcome.DONE:
        why = f"{answer.outcome} {answer.coded_text}".rstrip()
        step.note(NoteLevel.ALARM, f"{instrument.id}: {request.purpose} failed: {why}")
    contracts = session.factories[instrument.venue].contracts
    is_unstated = request.purpose is Purpose.SET_MARGIN_MODE or contracts.sets_margin_at_once
    if is_unstated or answer.outcome is not Outcome.DONE:
        contracts.settings(step, instrument=instrument)


def note_margin_call(step: StepContext, event: MarginCall) -> None:
    """Raise an alarm: the venue warns that a position is near its liquidation."""
    text = f"margin call: {plain(event.quantity)} {event.instrument} at mark {plain(event.mark_price)}"
    step.note(NoteLevel.ALARM, f"{text}, maintenance margin {plain(event.maintenance)}")
