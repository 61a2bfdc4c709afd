"""A bridge between the P&L of two sessions: the difference by cause. The causes add up to it exactly.

Orders are aligned by the decision behind them, as `verbatim diff` aligns decisions. An order that is filled in both
sessions differs by price, by latency, by quantity and by fees; one that is filled in the first alone is missed, one in
the second alone is extra. Both runs are compared at the marks of the first; other marks of the second are a cause too.
"""

from decimal import Decimal, localcontext
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from engine import contracts
from engine.model import Instrument
from engine.money import MONEY, ZERO, to_ledger
from engine.session_record import read_session
from journal.reader import Journal
from journal.record import plain
from replay.study.pnl import plain_values
from replay.study.pnl_orders import OrderKey, OrderShare, PnlRun, read_run, touches


class Cause(StrEnum):
    """Why the P&L of two sessions differs, in the order of the report."""

    PRICES = "prices"  # the same orders filled at other prices
    LATENCY = "latency"  # the market had moved when the same orders arrived later, or earlier
    QUANTITIES = "quantities"  # the same orders filled by more, or by less
    FEES = "fees"  # of the same orders
    MISSED = "missed fills"  # orders that were filled in the first session alone, with their fees
    EXTRA = "extra fills"  # in the second alone
    MARKS = "marks"  # other marks at the end
    FUNDING = "funding"
    OPENING = "opening"  # other positions or P&L carried over
    ROUNDING = "rounding"  # of worths to 16 decimals


class OrderCause(msgspec.Struct, frozen=True):
    """The part of the difference that one decision and one cause explain."""

    cause: Cause
    origin: str
    strategy: str
    instrument: str
    amount: Decimal
    records: tuple[int, ...]  # of the fills in the first session
    other_records: tuple[int, ...]  # and in the second


class PnlBridge(msgspec.Struct, frozen=True):
    """The difference of two sessions' P&L in one asset, by cause."""

    asset: str
    first: Decimal
    second: Decimal
    causes: dict[str, Decimal]  # each Cause
    orders: tuple[OrderCause, ...]  # the largest first

    @property
    def difference(self) -> Decimal:
        """The P&L of the second session less that of the first."""
        return self.second - self.first

    @property
    def is_equal(self) -> bool:
        """True if no cause has an amount."""
        return not self.difference and not any(self.causes.values())


def bridge_sessions(one: Path, other: Path) -> list[PnlBridge]:
    """Explain the difference of two sessions' P&L, for each asset of P&L."""
    bodies = [read_session(Journal.open(folder).session_record().body or "") for folder in (one, other)]
    sources = [body.resimulated.source if body.resimulated is not None else "" for body in bodies]
    runs = read_run(one, as_source=sources[1] == one.name), read_run(other, as_source=sources[0] == other.name)
    with localcontext(MONEY):
        return _bridge(*runs)


def _bridge(one: PnlRun, other: PnlRun) -> list[PnlBridge]:
    instruments = {**one.instruments, **other.instruments}
    moved = _market_moves(one, other)
    found: dict[str, list[OrderCause]] = {}
    for name in sorted(instruments):
        if name in one.totals or name in other.totals:
            asset = contracts.asset_of(instruments[name])
            found.setdefault(asset, []).extend(_instrument_causes(one, other, instruments[name], moved))
    bridges = []
    for asset in sorted(found):
        names = [name for name, each in instruments.items() if contracts.asset_of(each) == asset]
        totals = [sum((run.totals.get(name, ZERO) for name in names), ZERO) for run in (one, other)]
        causes = {cause.value: ZERO for cause in Cause}
        for each in found[asset]:
            causes[each.cause.value] += each.amount
        causes[Cause.ROUNDING.value] = totals[1] - totals[0] - sum(causes.values(), ZERO)
        orders = sorted(
            (each for each in found[asset] if each.amount), key=lambda each: (-abs(each.amount), each.records)
        )
        bridges.append(PnlBridge(asset, totals[0], totals[1], causes, tuple(orders)))
    return bridges


def _instrument_causes(
    one: PnlRun, other: PnlRun, instrument: Instrument, moved: dict[OrderKey, Decimal]
) -> list[OrderCause]:
    """Return the causes of one instrument, each with its amount, at the marks of the first session."""
    name = instrument.id
    mark = one.marks.get(name, other.marks.get(name))
    if mark is None:
        return []
    causes = []
    ours, theirs = ({key: each for key, each in run.orders.items() if each.instrument == name} for run in (one, other))
    for key in sorted(ours.keys() | theirs.keys()):
        causes += _order_causes(ours.get(key), theirs.get(key), instrument, mark, moved.get(key, ZERO))
    quantity, last = other.quantity(name), other.marks.get(name, mark)
    if quantity and last != mark:
        change = to_ledger(contracts.worth(instrument, quantity, last)) - to_ledger(
            contracts.worth(instrument, quantity, mark)
        )
        causes.append(OrderCause(Cause.MARKS, "", "", name, -change if instrument.inverse else change, (), ()))
    funding = other.funding.get(name, ZERO) - one.funding.get(name, ZERO)
    opening = _opening(other, instrument, mark) - _opening(one, instrument, mark)
    causes.append(OrderCause(Cause.FUNDING, "", "", name, funding, (), ()))
    causes.append(OrderCause(Cause.OPENING, "", "", name, opening, (), ()))
    return causes


def _opening(run: PnlRun, instrument: Instrument, mark: Decimal) -> Decimal:
    quantity, cost, earned = run.opening.get(instrument.id, (ZERO, ZERO, ZERO))
    if not quantity:
        return earned
    gain = to_ledger(contracts.worth(instrument, quantity, mark)) - cost
    return earned + (-gain if instrument.inverse else gain)


def _order_causes(
    ours: OrderShare | None, theirs: OrderShare | None, instrument: Instrument, mark: Decimal, moved: Decimal
) -> list[OrderCause]:
    """Return the causes of one decision: of an order that was filled in one session, or in both."""
    if ours is None or theirs is None or ours.sign != theirs.sign:
        sides = ((Cause.MISSED, ours, -1), (Cause.EXTRA, theirs, 1))
        return [
            _cause(cause, share, None if sign < 0 else share, (share.gross(instrument, mark) - share.fees) * sign)
            for cause, share, sign in sides
            if share is not None
        ]
    gross = theirs.gross(instrument, mark) - ours.gross(instrument, mark)
    prices = _price_effect(ours, theirs, instrument)
    latency = ZERO
    if prices and moved:
        common = min(ours.filled, theirs.filled) * ours.sign
        latency = to_ledger(-MONEY.multiply(MONEY.multiply(common, instrument.contract_size), moved))
    amounts = {
        Cause.PRICES: prices - latency,
        Cause.LATENCY: latency,
        Cause.QUANTITIES: gross - prices,
        Cause.FEES: ours.fees - theirs.fees,
    }
    return [_cause(cause, ours, theirs, amount) for cause, amount in amounts.items()]


def _cause(cause: Cause, ours: OrderShare, theirs: OrderShare | None, amount: Decimal) -> OrderCause:
    is_extra = cause is Cause.EXTRA
    records = () if is_extra else ours.fill_seqs
    other_records = () if theirs is None else theirs.fill_seqs
    return OrderCause(cause, ours.key[0], ours.key[1], ours.instrument, amount, records, other_records)


def _price_effect(ours: OrderShare, theirs: OrderShare, instrument: Instrument) -> Decimal:
    """Return what the quantity that both filled costs less in the second session."""
    common = min(ours.filled, theirs.filled)
    costs = [
        share.cost if share.filled == common else to_ledger(MONEY.divide(share.cost * common, share.filled))
        for share in (ours, theirs)
    ]
    saved = costs[0] - costs[1]
    return -saved if instrument.inverse else saved


def _market_moves(one: PnlRun, other: PnlRun) -> dict[OrderKey, Decimal]:
    """Return how far the touch moved between the two arrivals of each order that took liquidity at another time.

    Only of linear instruments, whose P&L is linear in the price.
    """
    late = {
        key: (ours, theirs)
        for key, ours in one.orders.items()
        if (theirs := other.orders.get(key)) is not None
        and ours.decided_ns
        and theirs.decided_ns
        and ours.is_taker
        and theirs.is_taker
        and not one.instruments[ours.instrument].inverse
        and ours.filled_ns - ours.decided_ns != theirs.filled_ns - theirs.decided_ns
    }
    first = touches(one, {ours.fill_seqs[0]: ours for ours, _ in late.values()})
    second = touches(other, {theirs.fill_seqs[0]: theirs for _, theirs in late.values()})
    return {
        key: second[theirs.fill_seqs[0]] - first[ours.fill_seqs[0]]
        for key, (ours, theirs) in late.items()
        if ours.fill_seqs[0] in first and theirs.fill_seqs[0] in second
    }


def bridge_lines(bridges: list[PnlBridge], most: int = 20) -> list[str]:
    """Format bridges as tables, each with the orders that matter most."""
    lines = []
    for bridge in bridges:
        rows = [("P&L of the first", plain(bridge.first))]
        rows += [(name, _signed(amount)) for name, amount in bridge.causes.items() if amount]
        rows += [("P&L of the second", plain(bridge.second)), ("difference", _signed(bridge.difference))]
        width = max(len(text) for _, text in rows)
        lines += [f"{name:<18} {text:>{width}} {bridge.asset}" for name, text in rows]
        for each in bridge.orders[:most]:
            if not each.origin:
                continue
            where = " and ".join(
                f"records {', '.join(map(str, seqs))} of the {side}"
                for seqs, side in ((each.records, "first"), (each.other_records, "second"))
                if seqs
            )
            origin = each.origin.partition(" due ")[0]
            lines.append(
                f"  {_signed(each.amount)} {each.cause}: {each.strategy} {each.instrument} on {origin}, {where}"
            )
        if len(bridge.orders) > most:
            lines.append(f"  ... and {len(bridge.orders) - most:,} more")
    return lines or ["no fill and no position in either: there is no P&L"]


def _signed(amount: Decimal) -> str:
    text = plain(amount)
    return text if text.startswith("-") else f"+{text}"


def bridge_json(bridges: list[PnlBridge]) -> list[dict[str, Any]]:
    """Return bridges as JSON values, with every digit."""
    return [
        {**plain_values(bridge), "difference": plain(bridge.difference), "is_equal": bridge.is_equal}
        for bridge in bridges
    ]
