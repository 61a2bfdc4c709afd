"""The ledger: for each asset its balance by our records, to be compared with every balance that the venue reports.

Our number is the opening balance, as first reported, plus every fill with its fees, plus what a person accepted
(`accept_balance`). A reported balance may be ahead of the fills that we know, or behind them: so each flow and each
report has a date, and flows near a report's date may or may not be contained in it. A report is compared at the end of
a reconciliation round that began after it: by then every fill that it contains is recorded.

`reduce` folds; `difference` compares. engine/execution/ledger_check.py decides what follows.
"""

from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate, groupby, islice, product
from typing import ClassVar, Final

import msgspec
from msgspec.structs import replace

from engine import contracts
from engine.bodies import CommandName
from engine.facts import (
    BalanceChanged,
    BalanceDrift,
    CashReason,
    FeeCharged,
    FundingPaid,
    OrderFilled,
    Reconciled,
    ReconcileFailed,
    WalletReported,
)
from engine.model import Instrument
from engine.money import ZERO
from engine.requests import Purpose
from engine.session_record import SECOND_NS
from engine.state.account_keys import asset_key, key_venue_is
from engine.state.changes import Change, Commanded, Requested, Stamp

SLACK_NS: Final = 5 * SECOND_NS  # between the dates of a flow and of a report that contains it, or does not
QUERY_NS: Final = 10 * SECOND_NS  # age of an undated answer, at most
RECENT_MAX: Final = 512  # flows kept apart; older ones are contained in every report
CUTS_MAX: Final = 1_000  # between fills of one moment, each compared with a report
RECORDS_MAX: Final = 20  # seqs that a drift names
ROUNDING: Final = Decimal("1e-8")  # by which a venue's figure of a fill may differ from exact arithmetic
CONTRACT_ROUNDINGS: Final = 3  # of a fill of a contract: its entry price, its P&L and its fee
# changes of a wallet that need no explanation; one of any other reason is a drift unless another fact explains it
NO_TRADES: Final = frozenset({CashReason.TRANSFER, CashReason.MOVE})


class Flow(msgspec.Struct, frozen=True):
    """A change of one asset that our records explain."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"instrument", "fill_id"})

    seq: int
    date_ns: int  # by the venue's clock if it says
    amount: Decimal
    # of the fill; kept from accounting 5 on
    instrument: str = ""
    fill_id: str = ""


class BalanceReading(msgspec.Struct, frozen=True):
    """A balance that the venue reported. It contains all flows before `from_ns`."""

    total: Decimal
    seq: int  # of its record
    at_ns: int
    date_ns: int  # by the venue's clock if it says
    from_ns: int


class AssetLedger(msgspec.Struct, frozen=True):
    """One asset."""

    opening: Decimal
    opening_seq: int  # -1: in an earlier session
    opening_ns: int  # venue time of the opening, which contains all flows up to it; 0: not said
    expected: Decimal  # the balance by our records
    flows: int = 0  # roundings by the venue since the opening
    recent: tuple[Flow, ...] = ()
    changed_seq: int = -1  # of the newest flow
    records: tuple[int, ...] = ()  # behind the number since it last agreed, the newest ones
    older: int = 0  # how many more there are
    report: BalanceReading | None = None  # the newest
    compared: BalanceReading | None = None  # the newest when the running round began
    checked_seq: int = -1  # of the report that a round compared or compares
    agreed_seq: int = -1
    drift: Decimal = ZERO  # the confirmed difference; 0: none


class Ledger(msgspec.Struct, frozen=True):
    """All assets that the venues have reported."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"opened"})

    by_asset: dict[str, AssetLedger] = {}  # by account_keys.asset_key
    is_open: bool = False  # False until the first round ends: each report replaces the opening
    opened: tuple[str, ...] = ()  # instead, in a session of several venues: the venues whose first round ended

    @property
    def drifted(self) -> list[str]:
        """The assets with a confirmed drift, by name."""
        return sorted([asset for asset, ours in self.by_asset.items() if ours.drift])


def reduce(
    ledger: Ledger,
    change: Change,
    at: Stamp,
    instruments: dict[str, Instrument],
    *,
    keeps_fill_ids: bool,
    settles_contracts: bool = False,
    has_accounts: bool = False,
) -> Ledger:
    """Fold reports, fills, rounds, confirmed drifts, and what a person accepts.

    Args:
        ledger: The ledger before the change.
        change: The change.
        at: The change's record.
        instruments: The session's instruments by id.
        keeps_fill_ids: Keep the venue's id of each fill, for `difference` (from accounting 5 on).
        settles_contracts: Fold the P&L and the fundings of contracts (from accounting 6 on).
        has_accounts: The session has several venues, whose assets are apart.
    """
    match change:
        case BalanceChanged():
            return _reported(ledger, change, at)
        case OrderFilled():
            instrument = instruments[change.instrument]
            if instrument.contract and not settles_contracts:
                return ledger
            account = instrument.venue if has_accounts else ""
            return _filled(ledger, change, at, instrument, account, keeps_id=keeps_fill_ids)
        case FundingPaid() if settles_contracts:
            account = instruments[change.instrument].venue if has_accounts else ""
            flow = Flow(at.seq, change.venue_ns or at.time_ns, change.amount)
            roundings = _roundings(instruments[change.instrument])
            return _flowed(ledger, asset_key(account, change.asset), flow, roundings=roundings)
        case FeeCharged():
            account = instruments[change.instrument].venue if has_accounts else ""
            flow = Flow(at.seq, change.venue_ns or at.time_ns, -change.amount)
            return _flowed(ledger, asset_key(account, change.asset), flow)
        case WalletReported() if settles_contracts and change.reason in NO_TRADES:
            flow = Flow(at.seq, change.venue_ns or at.time_ns, change.change)
            return _flowed(ledger, asset_key(change.venue, change.asset), flow)
        case Requested() if change.request.purpose is Purpose.ACCOUNT and change.request.round:
            return _map_assets(ledger, _round_began, change.request.venue if has_accounts else "")
        case ReconcileFailed():
            return _map_assets(ledger, lambda ours: replace(ours, compared=None), change.venue)
        case Reconciled():
            if change.unsettled:  # compared again by the next round
                done = _map_assets(ledger, lambda ours: replace(ours, compared=None, checked_seq=-1), change.venue)
            else:
                is_whole = not change.corrections
                forget = _agreed if is_whole else lambda ours: replace(ours, compared=None)
                done = _map_assets(ledger, forget, change.venue)
            return _with_open(done, change.venue)
        case BalanceDrift():
            key = asset_key(change.venue, change.asset)
            return _put(ledger, key, replace(ledger.by_asset[key], drift=change.difference))
        case Commanded() if (
            change.command.command is CommandName.ACCEPT_BALANCE and change.command.about in ledger.by_asset
        ):
            asset = change.command.about
            return _put(ledger, asset, _accepted(ledger.by_asset[asset], at))
        case _:
            return ledger


def flows_of(fill: OrderFilled, instrument: Instrument) -> dict[str, Decimal]:
    """Return the flows of a fill by asset. A contract settles its P&L; its worth is not paid."""
    if instrument.contract:
        flows = {contracts.asset_of(instrument): fill.settled}
        if fill.fee:
            flows[fill.fee_asset] = flows.get(fill.fee_asset, ZERO) - fill.fee
        return flows
    signed = fill.quantity * fill.side.sign
    flows = {instrument.base: signed}
    flows[instrument.quote] = flows.get(instrument.quote, ZERO) - signed * fill.price
    if fill.fee:
        flows[fill.fee_asset] = flows.get(fill.fee_asset, ZERO) - fill.fee
    return flows


def difference(ours: AssetLedger, report: BalanceReading, *, tolerance: Decimal) -> Decimal:
    """Return the report minus our number as of its date; 0 within the tolerance.

    Flows near the report's date may be missing in it, the newest first: a cut that fits is no difference.
    """
    allowed = tolerance + ROUNDING * ours.flows
    near = [flow for flow in ours.recent if flow.date_ns >= report.from_ns]
    dated = report.total - ours.expected + sum((f.amount for f in near if f.date_ns > report.date_ns), ZERO)
    # a venue's clock may step back, so the order of the records counts beside that of the dates
    for order in (sorted(near, key=_date, reverse=True), near[::-1]):
        missing = report.total - ours.expected
        for flow in (*order, None):
            if abs(missing) <= allowed:
                return ZERO
            if flow is not None:
                missing += flow.amount
    return ZERO if _fits_by_ids(near, report.total - ours.expected, allowed) else dated


def carried(ledger: Ledger) -> Ledger:
    """Return the ledger for the next session, in which the seqs of this one mean nothing."""
    return _map_assets(
        ledger,
        lambda ours: replace(
            ours,
            opening_seq=-1,
            recent=tuple(replace(flow, seq=-1) for flow in ours.recent),
            changed_seq=-1,
            records=(),
            older=0,
            report=None,
            compared=None,
            checked_seq=-1,
            agreed_seq=-1,
        ),
    )


def _date(flow: Flow) -> tuple[int, int]:
    return flow.date_ns, flow.seq


def _with_open(ledger: Ledger, venue: str) -> Ledger:
    if not venue:
        return replace(ledger, is_open=True)
    return ledger if venue in ledger.opened else replace(ledger, opened=tuple(sorted((*ledger.opened, venue))))


def _fits_by_ids(near: list[Flow], missing: Decimal, allowed: Decimal) -> bool:
    """Return True if a report fits between fills of one moment, which may be recorded in any order.

    The venue's ids order the fills of one instrument; of several instruments, each may be contained up to some id.
    Flows of sessions before accounting 5 have no ids.
    """
    if not all(flow.fill_id for flow in near):
        return False
    for _, moment in groupby(sorted(near, key=_date, reverse=True), key=lambda flow: flow.date_ns):
        by_instrument: dict[str, list[Flow]] = {}
        for flow in moment:
            by_instrument.setdefault(flow.instrument, []).append(flow)
        newest_first = [sorted(flows, key=_by_id, reverse=True) for flows in by_instrument.values()]
        cuts = [list(accumulate((flow.amount for flow in flows), initial=ZERO)) for flows in newest_first]
        if any(abs(missing + sum(cut)) <= allowed for cut in islice(product(*cuts), CUTS_MAX)):
            return True
        missing += sum((sums[-1] for sums in cuts), ZERO)
    return False


def _by_id(flow: Flow) -> tuple[int, str]:
    return len(flow.fill_id), flow.fill_id  # numbers by their value


def _reported(ledger: Ledger, change: BalanceChanged, at: Stamp) -> Ledger:
    key = asset_key(change.venue, change.asset)
    is_open = change.venue in ledger.opened if change.venue else ledger.is_open
    total = change.free + change.locked
    date_ns = change.venue_ns or at.time_ns
    first_ns = min(date_ns, at.time_ns) - SLACK_NS
    if change.query_seq and not change.venue_ns:
        first_ns -= QUERY_NS
    report = BalanceReading(total, at.seq, at.time_ns, date_ns, first_ns)
    ours = ledger.by_asset.get(key)
    if ours is None or not is_open:
        return _put(ledger, key, AssetLedger(total, at.seq, change.venue_ns, total, report=report))
    return _put(ledger, key, replace(ours, report=report))


def _filled(
    ledger: Ledger, fill: OrderFilled, at: Stamp, instrument: Instrument, venue: str, *, keeps_id: bool
) -> Ledger:
    roundings = CONTRACT_ROUNDINGS * _roundings(instrument) if instrument.contract else 1
    seq, date_ns, by_asset = at.seq, fill.venue_ns or at.time_ns, ledger.by_asset
    of_fill = (fill.instrument, fill.fill_id) if keeps_id else ()
    moved = {}
    for asset, amount in flows_of(fill, instrument).items():
        key = f"{venue}/{asset}" if venue else asset  # account_keys.asset_key
        ours = by_asset.get(key)
        if ours is not None and amount and date_ns > ours.opening_ns:  # else the opening contains it
            moved[key] = _moved(ours, Flow(seq, date_ns, amount, *of_fill), roundings)
    return replace(ledger, by_asset={**by_asset, **moved}) if moved else ledger


def _roundings(instrument: Instrument) -> int:
    """Return the rounding of one figure of a contract, in units of ROUNDING."""
    return int(10 ** max(-ROUNDING.adjusted() - instrument.money_scale, 0))


def _flowed(ledger: Ledger, asset: str, flow: Flow, *, roundings: int = 1) -> Ledger:
    """Add a flow, unless the opening contains it."""
    ours = ledger.by_asset.get(asset)
    if ours is None or not flow.amount or flow.date_ns <= ours.opening_ns:
        return ledger
    return _put(ledger, asset, _moved(ours, flow, roundings))


def _moved(ours: AssetLedger, flow: Flow, roundings: int) -> AssetLedger:
    recent, records, older = ours.recent, ours.records, ours.older
    if len(recent) >= RECENT_MAX:
        recent = recent[1 - RECENT_MAX :]
    if len(records) >= RECORDS_MAX:
        older += len(records) + 1 - RECORDS_MAX
        records = records[1 - RECORDS_MAX :]
    return replace(
        ours,
        expected=ours.expected + flow.amount,
        flows=ours.flows + roundings,
        recent=(*recent, flow),
        changed_seq=flow.seq,
        records=(*records, flow.seq),
        older=older,
    )


def _round_began(ours: AssetLedger) -> AssetLedger:
    report = ours.report
    return replace(ours, compared=report, checked_seq=ours.checked_seq if report is None else report.seq)


def _agreed(ours: AssetLedger) -> AssetLedger:
    """End a round. A drift was recorded before; without one, the compared report agrees."""
    report = ours.compared
    if report is None or ours.drift:
        return replace(ours, compared=None)
    # flows before this report are contained in every later one
    recent = tuple(flow for flow in ours.recent if flow.date_ns >= report.from_ns)
    records = tuple(seq for seq in ours.records if seq > report.seq)
    return replace(ours, compared=None, recent=recent, records=records, older=0, agreed_seq=report.seq)


def _accepted(ours: AssetLedger, at: Stamp) -> AssetLedger:
    """Follow the venue's newest balance: the rest of the difference is a deposit or withdrawal."""
    report = ours.report
    if report is None:
        return replace(ours, drift=ZERO)
    moved = difference(ours, report, tolerance=ZERO)
    return replace(
        ours, expected=ours.expected + moved, records=(at.seq,), older=0, drift=ZERO, agreed_seq=at.seq,
        compared=None, checked_seq=-1,
    )  # fmt: skip


def _map_assets(ledger: Ledger, change: Callable[[AssetLedger], AssetLedger], venue: str = "") -> Ledger:
    """Return the ledger with its assets changed; only those of one venue if it is named."""
    by_asset = {key: change(ours) if key_venue_is(key, venue) else ours for key, ours in ledger.by_asset.items()}
    return replace(ledger, by_asset=by_asset)


def _put(ledger: Ledger, asset: str, ours: AssetLedger) -> Ledger:
    return replace(ledger, by_asset={**ledger.by_asset, asset: ours})
