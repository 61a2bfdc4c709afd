"""Reports of a contract venue about wallets and positions, turned into facts.

A funding is shared by strategy; the fee of a liquidation is booked to the strategy whose position the venue closed.
"""

from decimal import Decimal
from typing import Final

from engine import contracts
from engine.bodies import NoteLevel
from engine.events import ContractReport, FundingReport, WalletReport
from engine.execution.order_reports import report_rate
from engine.facts import CashReason, ContractReported, FeeCharged, FundingPaid, WalletReported
from engine.model import ForcedKind, Instrument
from engine.money import MONEY, ZERO, to_ledger
from engine.session_record import SECOND_NS
from engine.state.account_keys import asset_key
from engine.state.orders import EXTERNAL
from engine.step_context import StepContext
from journal.record import plain

Instruments = dict[str, Instrument]

APART_NS: Final = 60 * SECOND_NS  # between two fundings of a contract, at the least
FORCED_NS: Final = 60 * SECOND_NS  # between a liquidation and its fee, at most
NEW_REASONS: Final = frozenset({CashReason.LIQUIDATION_FEE, CashReason.MOVE})  # OTHER before accounting 6


def apply_wallet(step: StepContext, report: WalletReport, instruments: Instruments, venue: str) -> bool:
    """Record a wallet, once, and the funding or fee that it contains. An older report than the newest changes nothing.

    Returns:
        True if the contract of the funding must be queried.
    """
    account = step.account_of(venue)
    known = step.account.wallets.by_asset.get(asset_key(account, report.asset))
    if known is not None and _is_old(report, known.reported, known.reported_ns):
        return False
    reason = _recorded_reason(step, report.reason)
    step.emit(WalletReported(report.asset, report.wallet, report.change, reason, report.venue_ns, account))
    if not report.change:
        return False
    own = {
        name: each
        for name, each in instruments.items()
        if each.venue == venue and each.contract and contracts.asset_of(each) == report.asset
    }
    if reason is CashReason.FUNDING:
        return _share_funding(step, report, own)
    if reason is CashReason.LIQUIDATION_FEE:
        _charge_liquidation(step, report, own)
    elif reason is CashReason.OTHER and step.reducer_settings.settles_contracts:
        text = f"the venue changed the wallet by {plain(report.change)} {report.asset}"
        step.note(NoteLevel.ALARM, f"{text} for a reason that is not known: it is in no strategy's P&L")
    return False


def _recorded_reason(step: StepContext, reason: CashReason) -> CashReason:
    """Return the reason as sessions of this accounting record it."""
    is_new = reason in NEW_REASONS and not step.reducer_settings.settles_contracts
    return CashReason.OTHER if is_new else reason


def _charge_liquidation(step: StepContext, report: WalletReport, own: Instruments) -> None:
    """Record the fee of a liquidation as paid by the strategy whose position the venue closed."""
    found = _liquidated(step, report, own)
    if found is None:
        text = f"a liquidation fee of {plain(-report.change)} {report.asset} belongs to one of {len(own)} contracts"
        step.note(NoteLevel.ALARM, f"{text}: it is in no strategy's P&L")
        return
    strategy, name = found
    rate = report_rate(step, own[name])
    step.emit(FeeCharged(strategy, name, report.asset, -report.change, report.reason, report.venue_ns, rate))


def _liquidated(step: StepContext, report: WalletReport, own: Instruments) -> tuple[str, str] | None:
    """Return strategy and contract of a liquidation fee, or None if they are not known.

    The venue does not name the contract, and the fee follows the liquidation within moments. If the stream lost the
    liquidation, it is that of the only position which our books still have. EXTERNAL pays if they have no position.
    """
    named = [name for name in own if report.instrument in ("", name)]
    forced = step.account.margins.forced
    known = [
        forced[name]
        for name in named
        if name in forced
        and forced[name].kind is ForcedKind.LIQUIDATION
        and abs(report.venue_ns - forced[name].venue_ns) <= FORCED_NS
    ]
    if known:
        newest = max(known, key=lambda each: (each.venue_ns, each.instrument))
        return newest.strategy, newest.instrument
    held = [each for each in step.account.positions.by_key.values() if each.quantity and each.instrument in named]
    if len(held) == 1:
        return held[0].strategy, held[0].instrument
    return (EXTERNAL, named[0]) if len(named) == 1 else None


def apply_contract(step: StepContext, report: ContractReport, instruments: Instruments) -> None:
    """Record a position as the venue states it. An older report than the newest changes nothing."""
    if report.instrument in instruments:
        reason = _recorded_reason(step, report.reason)
        numbers = (report.quantity, report.entry_price, reason, report.venue_ns)
        step.emit(ContractReported(report.instrument, *numbers, report.position_side))


def _is_old(report: WalletReport, known: Decimal, known_ns: int) -> bool:
    if report.venue_ns < known_ns:
        return True
    return (report.venue_ns, report.wallet) == (known_ns, known) and report.reason is not CashReason.ORDER


def _share_funding(step: StepContext, report: WalletReport, instruments: Instruments) -> bool:
    """Record a funding as paid to the strategies that hold its contract, by quantity; the last one gets the rest.

    With cross margin the venue does not name the contract: it is known if only one of the asset is held.

    Returns:
        True if it is not known and must be queried.
    """
    held = {
        name: quantity
        for name, instrument in instruments.items()
        if (quantity := step.account.positions.net(name)) and report.instrument in ("", name)
    }
    if len(held) != 1 and step.reducer_settings.settles_contracts:
        return True
    if len(held) != 1:
        text = f"the funding of {plain(report.change)} {report.asset} belongs to one of {len(held)} contracts held"
        step.note(NoteLevel.WARNING, f"{text}: it is in the wallet, and in no strategy's P&L")
        return False
    [name] = held
    if not _is_recorded(step, name, report.venue_ns):
        _share(step, instruments[name], FundingReport(name, report.asset, report.change, ZERO, ZERO, report.venue_ns))
    return False


def _is_recorded(step: StepContext, name: str, venue_ns: int) -> bool:
    """Return True if the list of fundings brought this one before the stream, or the stream before the list.

    Their dates differ a little, and two fundings of a contract are an hour apart.
    """
    known_ns = step.account.pnl.funded_ns(name)
    return step.reducer_settings.settles_contracts and known_ns > 0 and venue_ns <= known_ns + APART_NS


def apply_funding(step: StepContext, report: FundingReport, instruments: Instruments) -> None:
    """Record a funding of a known contract, once. No-op before accounting 3, which keeps no funding."""
    instrument = instruments.get(report.instrument)
    if instrument is None or not step.reducer_settings.has_pnl:
        return
    if report.venue_ns <= step.account.pnl.funded_ns(instrument.id):
        return
    if _lists_fundings(step, report) and _is_recorded(step, instrument.id, report.venue_ns):
        return
    if step.account.positions.net(instrument.id):
        _share(step, instrument, report)
        return
    if _lists_fundings(step, report):  # the position was closed meanwhile, but the wallet has the funding
        rate = report_rate(step, instrument)
        numbers = (report.asset, report.amount, ZERO, report.venue_ns, report.rate, report.mark, rate)
        step.emit(FundingPaid(EXTERNAL, instrument.id, *numbers))
        return
    text = f"a funding of {plain(report.amount)} {report.asset} came without a position in {instrument.id}"
    step.note(NoteLevel.WARNING, f"{text}: it is in no strategy's P&L")


def _lists_fundings(step: StepContext, report: FundingReport) -> bool:
    """Return True for a funding of a list, which states no mark price."""
    return step.reducer_settings.settles_contracts and not report.mark


def _share(step: StepContext, instrument: Instrument, report: FundingReport) -> None:
    """Share a funding among the strategies that hold its contract."""
    name, net = instrument.id, step.account.positions.net(instrument.id)
    rate = report_rate(step, instrument)
    holders = [each for each in step.account.positions.by_key.values() if each.instrument == name and each.quantity]
    left = report.amount
    for number, each in enumerate(sorted(holders, key=lambda one: one.strategy), start=1):
        share = to_ledger(MONEY.divide(report.amount * each.quantity, net)) if number < len(holders) else left
        left -= share
        fact = FundingPaid(
            each.strategy, name, report.asset, share, each.quantity, report.venue_ns, report.rate, report.mark, rate
        )
        step.emit(fact)
    assert left == ZERO, left
