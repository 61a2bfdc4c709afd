"""Invariants of a hostile session, under any faults. Each check returns the broken invariants.

The venue's own books are the truth: orders, fills and balances of its exchange. Ours are the last state and the facts
of every journal of the session's chain.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from engine.facts import NewOrder, OrderFilled, OrderNotPlaced
from engine.handlers.safety import SOURCE as SAFETY
from engine.model import OrderType, Side
from engine.money import ZERO
from engine.record_codec import read_fact, read_request
from engine.session_record import SECOND_NS
from engine.sim.exchange.order_values import SimFill, SimOrder
from engine.sim.units import ONE
from engine.sim.units import text as units_text
from engine.state.linked_orders import fillable_orders
from engine.state.orders import Order
from engine.state.session_state import State
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from replay.replay import replay_session
from verbatim.hostile.sparse_market import QUOTE_STREAM
from verbatim.testing import VirtualVenue

ACCOUNT = "test"
QUOTE_AGE_NS_MAX = 11 * SECOND_NS  # the default of engine.stale_after_s, and a check interval


class Broken(NamedTuple):
    """An invariant that does not hold, with the finding."""

    invariant: str
    text: str


Found = Iterator[Broken]


def _decimal(amount: int) -> Decimal:
    return Decimal(units_text(amount))


def own_orders(venue: VirtualVenue, marks: Sequence[str]) -> list[SimOrder]:
    """Return the venue's orders that bear the mark of one of our sessions."""
    return [order for order in venue.sim.exchange.orders.values() if order.client_order_id[:8] in marks]


def open_own(venue: VirtualVenue, marks: Sequence[str]) -> list[str]:
    """Return the client ids of our orders that are open at the venue."""
    return sorted(order.client_order_id for order in own_orders(venue, marks) if order.is_open)


# ---- each journal ----------------------------------------------------------------------------------


def check_journal(folder: Path) -> Found:
    """Verify the journal, and that its replay is identical."""
    report = verify(folder)
    if report.problems:
        yield Broken("journal verifies", f"{folder.name}: {report.problems[0]}")
        return
    verdict = replay_session(folder)
    if not verdict.identical:
        yield Broken("replay identical", f"{folder.name}: {verdict.text()}")


class Recorded(NamedTuple):
    """What all journals of a chain say: the orders sent, the fills recorded, the orders proved absent."""

    placed: dict[str, list[NewOrder]]
    fills: list[OrderFilled]
    absent: dict[str, str]  # client order id -> reason
    quote_ages_ns: dict[str, int]  # id of a strategy's order -> how long before it the newest quote had arrived


def read_chain(folders: Sequence[Path]) -> Recorded:
    """Read the journals of a chain."""
    recorded = Recorded(defaultdict(list), [], {}, {})
    for folder in folders:
        read_records(Journal.open(folder).records(), recorded)
    return recorded


def read_records(records: Iterable[Record], recorded: Recorded) -> None:
    """Add what some records say."""
    quote_ns = 0
    safety: set[int] = set()  # intents that flatten, and their verdicts: a kill does not wait for a quote
    for record in records:
        body = record.body or ""
        if record.kind is Kind.FEED:
            if QUOTE_STREAM in (record.payload or b"")[:60]:
                quote_ns = record.recv_ns or 0
        elif (record.kind is Kind.INTENT and record.source == SAFETY) or (
            record.kind is Kind.VERDICT and record.cause in safety
        ):
            safety.add(record.seq)
        elif record.kind is Kind.REQUEST and '"purpose":"place' in body:
            for name, order in read_request(body).placed:
                recorded.placed[name].append(order)
                if record.cause not in safety:
                    recorded.quote_ages_ns[name] = record.time_ns - quote_ns
        elif record.kind is Kind.FACT and ('"fact":"order_filled"' in body or '"fact":"order_not_placed"' in body):
            fact = read_fact(body)
            if isinstance(fact, OrderFilled):
                recorded.fills.append(fact)
            elif isinstance(fact, OrderNotPlaced):
                recorded.absent[fact.client_order_id] = fact.reason


# ---- requests --------------------------------------------------------------------------------------


def check_sent(venue: VirtualVenue, marks: Sequence[str], recorded: Recorded) -> Found:
    """Verify that no order is sent twice, with other content, or without its record."""
    for name, count in venue.sim.exchange.client_ids_seen.items():
        if name[:8] in marks:
            if name not in recorded.placed:
                yield Broken("no order without its record", f"{name} reached the venue and is in no journal")
            if count > 1:
                yield Broken("no order sent twice", f"{name} reached the venue {count} times")
    for name, orders in recorded.placed.items():
        if len(orders) > 1:
            yield Broken("no id used twice", f"{name} names {len(orders)} requests")
    for theirs in own_orders(venue, marks):
        for ours in recorded.placed.get(theirs.client_order_id, [])[:1]:
            sent = (ours.side.value, ours.type.value, ours.quantity, ours.price)
            got = (theirs.side.value, theirs.order_type.value, _decimal(theirs.quantity), _decimal(theirs.price))
            if sent != got:
                yield Broken("orders are sent as recorded", f"{theirs.client_order_id}: {sent}, not {got}")


def check_claims(venue: VirtualVenue, recorded: Recorded) -> Found:
    """Verify that no order at the venue is declared absent, and no strategy's order is decided on an old quote."""
    theirs = {order.client_order_id for order in venue.sim.exchange.orders.values()}
    for name, reason in recorded.absent.items():
        if name in theirs:
            yield Broken("no order is declared absent that the venue has", f"{name}: {reason}")
    old = [(name, age_ns) for name, age_ns in recorded.quote_ages_ns.items() if age_ns > QUOTE_AGE_NS_MAX]
    if old:
        name, age_ns = old[0]
        text = f"{len(old)} orders, the first {name} on a quote received {age_ns / 1e9:.1f} s before"
        yield Broken("no order on an old quote", text)


# ---- books -----------------------------------------------------------------------------------------


def check_books(
    venue: VirtualVenue, state: State, marks: Sequence[str], recorded: Recorded, start: dict[str, Decimal]
) -> Found:
    """Compare our orders, fills, positions and cash with the venue's.

    Args:
        venue: The venue.
        state: Our state, settled and reconciled.
        marks: The ids of our sessions.
        recorded: What their journals say.
        start: Each asset's first balance, with the moves by hand since.
    """
    yield from _check_orders(venue, state)
    yield from _check_fills(venue, marks, recorded)
    yield from _check_positions(state, recorded)
    yield from _check_balances(venue, state)
    yield from _check_cash(venue, state, marks, recorded, start)


def _check_orders(venue: VirtualVenue, state: State) -> Found:
    theirs = {order.order_id: order for order in venue.sim.exchange.orders.values() if order.account == ACCOUNT}
    live = state.account.orders.live
    open_ids = {str(order_id) for order_id, order in theirs.items() if order.is_open}
    ours = {order.venue_order_id or f"{name} ({order.status})" for name, order in live.items()}
    for missing in sorted(open_ids - ours):
        yield Broken("open orders", f"the venue's open order {theirs[int(missing)].client_order_id} is not live here")
    for extra in sorted(ours - open_ids):
        yield Broken("open orders", f"our live order {extra} is not open at the venue")
    for order in state.account.orders.all():
        filled = theirs.get(int(order.venue_order_id)) if order.venue_order_id.isdigit() else None
        if order.filled_quantity > order.order.quantity:
            yield Broken("filled <= ordered", f"{order.client_order_id}: {order.filled_quantity}")
        if filled is not None and not order.adopted and order.filled_quantity != _decimal(filled.executed):
            text = f"{order.client_order_id}: {order.filled_quantity}, the venue says {_decimal(filled.executed)}"
            yield Broken("filled as the venue says", text)


def _check_fills(venue: VirtualVenue, marks: Sequence[str], recorded: Recorded) -> Found:
    """Verify that each fill of ours is recorded once, and as it was."""
    theirs = {str(f.trade_id): (o, f) for o in own_orders(venue, marks) for f in o.fills}
    counts = Counter(fill.fill_id for fill in recorded.fills if fill.client_order_id[:8] in marks)
    for fill_id, count in counts.items():
        if count > 1:
            yield Broken("each fill once", f"fill {fill_id} is recorded {count} times")
        if fill_id not in theirs:
            yield Broken("each fill once", f"fill {fill_id} is recorded, and not the venue's")
    for fill_id, (order, _fill) in theirs.items():
        if fill_id not in counts:
            yield Broken("no fill lost", f"fill {fill_id} of {order.client_order_id} is not recorded")
    for ours in recorded.fills:
        if ours.fill_id in theirs:
            fill = theirs[ours.fill_id][1]
            if (ours.quantity, ours.price, ours.fee) != tuple(map(_decimal, (fill.quantity, fill.price, fill.fee))):
                yield Broken("fills as the venue says", f"fill {ours.fill_id}: {ours}")


def _check_positions(state: State, recorded: Recorded) -> Found:
    """Verify that a position is the sum of its fills."""
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for fill in recorded.fills:
        sums[f"{fill.strategy} {fill.instrument}"] += _base(fill)
    for key in sorted(set(sums) | set(state.account.positions.by_key)):
        position = state.account.positions.by_key.get(key)
        held = ZERO if position is None else position.quantity
        if held != sums[key]:
            yield Broken("position = sum of fills", f"{key}: {held}, its fills say {sums[key]}")


def _base(fill: OrderFilled) -> Decimal:
    """Return what a fill did to the base asset."""
    return fill.quantity * fill.side.sign - (fill.fee if fill.side is Side.BUY else ZERO)


def _check_balances(venue: VirtualVenue, state: State) -> Found:
    """Verify balances against the venue's, and the locked amounts against the open orders."""
    funds = venue.sim.exchange.accounts[ACCOUNT]
    for asset in sorted(state.account.balances.by_asset):
        ours = state.account.balances.get(asset)
        theirs = (_decimal(funds.free.get(asset, 0)), _decimal(funds.locked.get(asset, 0)))
        if (ours.free, ours.locked) != theirs:
            yield Broken("balances", f"{asset}: {ours.free} free, {ours.locked} locked; the venue says {theirs}")
        locks = sum((_lock(order, asset) for order in fillable_orders(state.account.orders)), ZERO)
        if ours.locked != locks:
            yield Broken("locked = open orders", f"{asset}: {ours.locked} locked, the open orders lock {locks}")


def _lock(order: Order, asset: str) -> Decimal:
    new = order.order
    if new.type is OrderType.MARKET:
        return ZERO
    left = new.quantity - max(order.filled_quantity, order.filled_reported)
    locked_asset = "USDT" if new.side is Side.BUY else "BTC"
    return (left * new.price if new.side is Side.BUY else left) if locked_asset == asset else ZERO


def _check_cash(
    venue: VirtualVenue, state: State, marks: Sequence[str], recorded: Recorded, start: dict[str, Decimal]
) -> Found:
    """Verify that first balance, moves by hand and fills give the balance, to the last decimal.

    Our own fills count as recorded, those of others as the venue knows them.
    """
    cash = dict(start)
    for fill in recorded.fills:
        if fill.client_order_id[:8] in marks:
            # the venue cuts a fill's worth to its 8 places
            worth = _decimal(int(fill.price * ONE) * int(fill.quantity * ONE) // ONE)
            cash["BTC"] += _base(fill)
            cash["USDT"] -= worth * fill.side.sign + (fill.fee if fill.side is Side.SELL else ZERO)
    for order in venue.sim.exchange.orders.values():
        if order.account == ACCOUNT and order.client_order_id[:8] not in marks:
            for each in order.fills:
                cash["BTC"] += _foreign_base(each)
                worth, fee = _decimal(each.quote), _decimal(each.fee)
                cash["USDT"] -= worth * each.side.sign + (fee if each.side is Side.SELL else ZERO)
    for asset, expected in sorted(cash.items()):
        total = state.account.balances.get(asset).total
        if total != expected:
            yield Broken("cash is conserved", f"{asset}: {total} held, {expected} by all fills and moves")


def _foreign_base(fill: SimFill) -> Decimal:
    quantity = _decimal(fill.quantity) * fill.side.sign
    return quantity - (_decimal(fill.fee) if fill.side is Side.BUY else ZERO)
