"""Positions of contracts as a query states them, turned into facts; and positions that the account held before.

An answer is older than any report of the stream after its query. A position that is not named is flat.
"""

from typing import Final

from engine.bodies import NoteLevel
from engine.events import OrderReport, PositionReport, PositionsReport
from engine.execution.account_scope import AccountScope
from engine.execution.books_check import reported_positions
from engine.facts import CashReason, ContractReported, MarginReported, PositionForced, PositionOpened
from engine.lots import quantity_of
from engine.mode_reasons import ModeReason, ReasonCode
from engine.model import ForcedKind, Instrument, PositionSide
from engine.money import ZERO
from engine.session_record import SECOND_NS
from engine.state.orders import EXTERNAL
from engine.state.pending_requests import PendingRequest
from engine.state.wallets import NetContract, instrument_of, position_key
from engine.step_context import StepContext
from journal.record import plain

SLACK_NS: Final = SECOND_NS  # between a query's time by our clock and by the venue's
UNDATED_NS: Final = 1  # of a position that the venue never changed

Instruments = dict[str, Instrument]


def apply_positions(
    step: StepContext, pending: PendingRequest, report: PositionsReport, instruments: Instruments
) -> None:
    """Record every position of the venue's contracts, and its margin, as the answer states them."""
    venue = pending.request.venue
    asked_ns = pending.time_ns + step.account.limits.get(venue).clock_offset_ns
    listed = {position_key(each.instrument, each.position_side): each for each in report.positions}
    own = [name for name, each in instruments.items() if each.contract and each.venue == venue]
    for key in sorted({*own, *listed, *step.account.wallets.by_instrument}):
        name = instrument_of(key)
        known = step.account.wallets.by_instrument.get(key)
        if name in own and (known is None or known.reported_ns <= asked_ns - SLACK_NS):
            _apply(step, name, _side_of(key), listed.get(key), known)


def _side_of(key: str) -> PositionSide:
    return PositionSide(key.partition(" ")[2] or PositionSide.BOTH)


def _apply(
    step: StepContext, name: str, side: PositionSide, theirs: PositionReport | None, known: NetContract | None
) -> None:
    quantity, entry = (ZERO, ZERO) if theirs is None else (theirs.quantity, theirs.entry_price)
    known_ns = 0 if known is None else known.reported_ns
    if theirs is not None and 0 < theirs.venue_ns < known_ns:
        return
    venue_ns = max(UNDATED_NS, known_ns, 0 if theirs is None else theirs.venue_ns)
    if known is None or (known.reported, known.reported_entry) != (quantity, entry) or not known_ns:
        step.emit(ContractReported(name, quantity, entry, CashReason.OTHER, venue_ns, side))
    before = step.account.margins.get(name).positions.get(str(side))
    if theirs is not None and (theirs.quantity or theirs.margin):
        numbers = (theirs.margin, theirs.maintenance, theirs.mark_price, theirs.liquidation_price)
        step.emit(MarginReported(name, quantity, *numbers, side))
    elif before is not None:
        step.emit(MarginReported(name, ZERO, ZERO, ZERO, ZERO, ZERO, side))


def adopt_openings(step: StepContext, scope: AccountScope) -> None:
    """Record the positions that the account held before our books began, as positions of no strategy.

    In a contract with any position of ours, a difference is a drift.
    """
    known = {position.instrument for position in step.account.positions.by_key.values()}
    reported = reported_positions(step) if step.account.wallets.by_instrument else {}
    for name in sorted(filter(scope.concerns, reported)):
        quantity = reported[name]
        if not quantity or name in known:
            continue
        sides = [each for key, each in step.account.wallets.by_instrument.items() if instrument_of(key) == name]
        if any(quantity_of(each.lots) != each.reported for each in sides):
            continue  # it moved since its first report
        largest = max(sides, key=lambda each: abs(each.reported))
        step.emit(PositionOpened(EXTERNAL, name, quantity, largest.reported_entry, largest.reported_ns))
        text = (
            f"{name}: the account held {plain(quantity)} at {plain(largest.reported_entry)} before; no strategy has it"
        )
        step.note(NoteLevel.WARNING, text)


def holder_of(step: StepContext, report: OrderReport) -> str:
    """Return the strategy whose position the venue's own order closes, or "" if it is no single one's."""
    held = [
        position.strategy
        for position in step.account.positions.by_key.values()
        if position.instrument == report.instrument and position.quantity * report.side.sign < 0
    ]
    return held[0] if len(held) == 1 else ""


def record_forced(step: StepContext, report: OrderReport, name: str, strategy: str) -> None:
    """Record that the venue closes a position, and halt: a person must find out why, and what remains.

    The end of a contract is foreseen, so it halts nothing.
    """
    assert report.forced is not None, report
    fact = PositionForced(
        kind=report.forced,
        instrument=report.instrument,
        client_order_id=name,
        strategy=strategy or EXTERNAL,
        side=report.side,
        quantity=report.quantity,
        venue_ns=report.venue_ns,
    )
    step.emit(fact, key=name)
    text = f"{report.forced}: the venue closes {plain(report.quantity)} {report.instrument} by order {name}"
    step.note(NoteLevel.ALARM, text, key=name)
    if report.forced is not ForcedKind.SETTLEMENT:
        step.halt(ModeReason(ReasonCode.POSITION_FORCED, text, report.instrument))
