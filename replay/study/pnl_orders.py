"""The contribution of each order of a session to its P&L, and the decision behind it. Reads a journal, decides nothing.

The P&L of a run is a sum over its fills: the worth of the filled quantity at the last mark, less its worth at the
fill's price, less fees. So every order has its own share, under any cost method.
"""

from collections import Counter
from decimal import Decimal, localcontext
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine import contracts, lots
from engine.facts import FeeCharged, FundingPaid, OrderFilled
from engine.kernel import rebuilder_of
from engine.lots import CostMethod
from engine.model import Instrument
from engine.money import MONEY, ZERO, to_ledger
from engine.record_codec import read_fact
from engine.session_record import read_session
from journal.reader import Journal
from journal.record import Kind
from replay.snapshots import initial_state
from replay.study.decisions import DecisionReader
from replay.study.pnl import PnlFolder, open_whole

OrderKey = tuple[str, str, str]  # origin, strategy, number: equal in two sessions for the same decision


class OrderShare(msgspec.Struct):
    """The fills of one order. Amounts are in the asset of its instrument's P&L."""

    key: OrderKey
    instrument: str
    client_order_id: str
    decided_ns: int  # 0: no decision is known
    sign: int = 0  # 1 for a buy
    quantity: Decimal = ZERO  # signed, less fees in base
    filled: Decimal = ZERO  # unsigned, as the venue counts it
    cost: Decimal = ZERO  # signed worth at the prices of the fills
    fees: Decimal = ZERO
    filled_ns: int = 0  # of the first fill
    fill_seqs: tuple[int, ...] = ()
    is_taker: bool = True  # every fill took liquidity

    def gross(self, instrument: Instrument, mark: Decimal) -> Decimal:
        """Return the P&L of its fills at a mark, before fees."""
        if not self.quantity:
            return -self.cost if not instrument.inverse else self.cost
        moved = to_ledger(contracts.worth(instrument, self.quantity, mark)) - self.cost
        return -moved if instrument.inverse else moved


class PnlRun(msgspec.Struct):
    """One session, as far as its P&L is concerned."""

    folder: Path
    instruments: dict[str, Instrument]
    marks: dict[str, Decimal]  # the last ones
    orders: dict[OrderKey, OrderShare]
    opening: dict[str, tuple[Decimal, Decimal, Decimal]]  # instrument -> quantity, cost, what was earned before
    funding: dict[str, Decimal]  # instrument -> fundings, less fees without a fill
    totals: dict[str, Decimal]  # instrument -> P&L after fees, by the session's own lots

    def quantity(self, instrument: str) -> Decimal:
        """Return the net quantity at the end."""
        held = sum((each.quantity for each in self.orders.values() if each.instrument == instrument), ZERO)
        return held + self.opening.get(instrument, (ZERO, ZERO, ZERO))[0]


class _Decided(NamedTuple):
    key: OrderKey
    time_ns: int


def read_run(folder: Path, *, as_source: bool = False) -> PnlRun:
    """Read the orders of a session with their fills.

    Args:
        folder: The session.
        as_source: Name origins as sessions do that were resimulated from this one.

    """
    journal = open_whole(folder)
    first = journal.session_record()
    with localcontext(MONEY):
        pnl = PnlFolder(read_session(first.body or ""), CostMethod.AVERAGE)
        opening = _opening(pnl)
        decisions, decided = DecisionReader(as_source=as_source), {}
        orders: dict[OrderKey, OrderShare] = {}
        unknown: Counter[str] = Counter()
        by_name: dict[str, OrderKey] = {}
        funding: dict[str, Decimal] = {}
        for record in journal.records():
            if record.kind is Kind.INTENT and record.key:
                decided[record.seq] = record.key
            if (decision := decisions.read(record)) is not None:
                name = decided.pop(decision.seq, "")
                if name:
                    origin, strategy, leg = decision.key
                    by_name[name] = (origin, strategy, str(leg))
                    orders[by_name[name]] = OrderShare(by_name[name], "", name, decision.time_ns)
            if record.kind is not Kind.FACT:
                continue
            pnl.add(record)
            fact = read_fact(record.body or "")
            if isinstance(fact, FundingPaid):
                funding[fact.instrument] = funding.get(fact.instrument, ZERO) + fact.amount
            elif isinstance(fact, FeeCharged):
                funding[fact.instrument] = funding.get(fact.instrument, ZERO) - fact.amount
            elif isinstance(fact, OrderFilled) and fact.instrument in pnl.instruments:
                if fact.client_order_id not in by_name:  # of a safety order, or of another program
                    unknown[fact.strategy] += 1
                    key = ("no decision", fact.strategy, str(unknown[fact.strategy]))
                    by_name[fact.client_order_id] = key
                    orders[key] = OrderShare(key, "", fact.client_order_id, 0)
                share = orders[by_name[fact.client_order_id]]
                add_fill(share, fact, pnl.instruments[fact.instrument], record.seq, record.time_ns)
        filled = {key: share for key, share in orders.items() if share.fill_seqs}
        return PnlRun(folder, pnl.instruments, _marks(pnl), filled, opening, funding, _totals(pnl))


def _opening(pnl: PnlFolder) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    found: dict[str, tuple[Decimal, Decimal, Decimal]] = {}
    for line in pnl.lines.by_key.values():
        quantity, cost, earned = found.get(line.instrument, (ZERO, ZERO, ZERO))
        found[line.instrument] = quantity + line.quantity, cost + lots.cost_of(line.lots), earned + line.own.net
    return found


def _marks(pnl: PnlFolder) -> dict[str, Decimal]:
    """Return the last marks; an instrument that never had a quote counts at its first fill's price."""
    return {name: report.mark for name, report in pnl.marks.items()}


def _totals(pnl: PnlFolder) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for line in pnl.lines.by_key.values():
        instrument = pnl.instruments[line.instrument]
        report = pnl.marks.get(line.instrument)
        open_pnl = ZERO if report is None else lots.unrealised(line.lots, instrument, report.mark)
        totals[line.instrument] = totals.get(line.instrument, ZERO) + line.own.net + open_pnl
    return totals


def add_fill(share: OrderShare, fill: OrderFilled, instrument: Instrument, seq: int, time_ns: int) -> None:
    """Add one fill to its order."""
    signed = fill.quantity * fill.side.sign
    share.instrument, share.sign = fill.instrument, fill.side.sign
    share.quantity += signed
    share.filled += fill.quantity
    share.cost += to_ledger(contracts.worth(instrument, signed, fill.price))
    share.filled_ns = share.filled_ns or time_ns
    share.fill_seqs = (*share.fill_seqs, seq)
    share.is_taker &= not fill.maker
    if fill.fee_asset == contracts.asset_of(instrument):
        share.fees += fill.fee
    elif fill.fee and not instrument.contract and fill.fee_asset == instrument.base:
        share.quantity -= fill.fee
        share.cost -= to_ledger(contracts.worth(instrument, fill.fee, fill.price))
        share.fees += to_ledger(fill.fee * fill.price)
    elif fill.fee_rate:
        share.fees += to_ledger(fill.fee * fill.fee_rate)


def touches(run: PnlRun, wanted: dict[int, OrderShare]) -> dict[int, Decimal]:
    """Return the price that an order of this side met in the market when each wanted fill was recorded.

    Args:
        run: The session, which is folded up to the last of the records.
        wanted: Record of a fill -> its order.

    """
    if not wanted:
        return {}
    journal = Journal.open(run.folder)
    first, last = journal.session_record(), max(wanted)
    kernel = rebuilder_of(first)
    state = initial_state(journal, kernel, first)
    found: dict[int, Decimal] = {}
    for record in journal.records(state.seq + 1, last):
        kernel.rebuild(state, record)
        share = wanted.get(record.seq)
        if share is not None and (quote := state.market.quote(state.market.index[share.instrument])) is not None:
            found[record.seq] = quote.ask if share.sign > 0 else quote.bid
    return found
