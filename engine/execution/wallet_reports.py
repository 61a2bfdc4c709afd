"""Reports of a contract venue about wallets and positions, turned into facts; a funding is shared by strategy."""

from decimal import Decimal

from engine import contracts
from engine.bodies import NoteLevel
from engine.events import ContractReport, FundingReport, WalletReport
from engine.execution.order_reports import report_rate
from engine.facts import CashReason, ContractReported, FundingPaid, WalletReported
from engine.model import Instrument
from engine.money import MONEY, ZERO, to_ledger
from engine.state.account_keys import asset_key
from engine.step_context import StepContext
from journal.record import plain

Instruments = dict[str, Instrument]


def apply_wallet(step: StepContext, report: WalletReport, instruments: Instruments, venue: str) -> None:
    """Record a wallet, once, and a funding that it contains. An older report than the newest changes nothing."""
    account = step.account_of(venue)
    known = step.account.wallets.by_asset.get(asset_key(account, report.asset))
    if known is not None and _is_old(report, known.reported, known.reported_ns):
        return
    step.emit(WalletReported(report.asset, report.wallet, report.change, report.reason, report.venue_ns, account))
    if report.reason is CashReason.FUNDING and report.change:
        _share_funding(step, report, {name: each for name, each in instruments.items() if each.venue == venue})


def apply_contract(step: StepContext, report: ContractReport, instruments: Instruments) -> None:
    """Record a position as the venue states it. An older report than the newest changes nothing."""
    if report.instrument in instruments:
        step.emit(
            ContractReported(report.instrument, report.quantity, report.entry_price, report.reason, report.venue_ns)
        )


def _is_old(report: WalletReport, known: Decimal, known_ns: int) -> bool:
    if report.venue_ns < known_ns:
        return True
    return (report.venue_ns, report.wallet) == (known_ns, known) and report.reason is not CashReason.ORDER


def _share_funding(step: StepContext, report: WalletReport, instruments: Instruments) -> None:
    """Record a funding as paid to the strategies that hold its contract, by quantity; the last one gets the rest.

    With cross margin the venue does not name the contract: it is known if only one of the asset is held.
    """
    held = {
        name: quantity
        for name, instrument in instruments.items()
        if instrument.contract
        and contracts.asset_of(instrument) == report.asset
        and (quantity := step.account.positions.net(name))
        and report.instrument in ("", name)
    }
    if len(held) != 1:
        text = f"the funding of {plain(report.change)} {report.asset} belongs to one of {len(held)} contracts held"
        step.note(NoteLevel.WARNING, f"{text}: it is in the wallet, and in no strategy's P&L")
        return
    [name] = held
    _share(step, instruments[name], FundingReport(name, report.asset, report.change, ZERO, ZERO, report.venue_ns))


def apply_funding(step: StepContext, report: FundingReport, instruments: Instruments) -> None:
    """Record a funding of a known contract, once. No-op before accounting 3, which keeps no funding."""
    instrument = instruments.get(report.instrument)
    if instrument is None or not step.reducer_settings.has_pnl:
        return
    if report.venue_ns <= step.account.pnl.funded_ns(instrument.id):
        return
    if step.account.positions.net(instrument.id):
        _share(step, instrument, report)
        return
    text = f"a funding of {plain(report.amount)} {report.asset} came without a position in {instrument.id}"
    step.note(NoteLevel.WARNING, f"{text}: it is in no strategy's P&L")


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
