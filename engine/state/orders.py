"""Orders from requests and from what venues report of them. Positions, money and modes are no business of this file.

Invariants: an order's filled quantity is the sum of its distinct fills; a status moves only along lifecycle.TRANSITIONS;
a client order id, once used, names one order for ever.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.facts import (
    CancelSettled,
    NewOrder,
    OrderAccepted,
    OrderAdopted,
    OrderClosed,
    OrderFilled,
    OrderNotPlaced,
    OrderUnknown,
)
from engine.lifecycle import LIVE, Report, Status, after
from engine.money import ZERO
from engine.requests import Purpose
from engine.session_record import SECOND_NS
from engine.state.changes import Answered, Change, Requested, Stamp

EXTERNAL = "external"  # whose orders are those that this journal did not send
TOMBSTONE_NS = 24 * 3_600 * SECOND_NS  # how long an order that was never placed is remembered


class Order(msgspec.Struct, frozen=True):
    client_order_id: str
    strategy: str
    order: NewOrder
    status: Status
    request_seq: int
    created_ns: int
    updated_seq: int
    updated_ns: int
    expires_ns: int = 0  # past this the request was not sent
    proof_ns: int = 0  # see OrderUnknown
    venue_order_id: str = ""
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal = ZERO
    filled_reported: Decimal = ZERO  # what the venue says was filled; above filled_quantity: fills are missing
    reported_ns: int = 0  # when that last rose
    fill_ids: tuple[str, ...] = ()
    cancel_seq: int = 0  # seq of the cancel REQUEST in flight; 0: none
    cancel_ns: int = 0  # when its cancel was last asked for: not again at once
    ask_seq: int = 0  # seq of the query in flight
    asks: int = 0
    reason: str = ""
    adopted: bool = False

    @property
    def leaves_quantity(self) -> Decimal:
        return max(self.order.quantity - self.filled_quantity, ZERO) if self.status in LIVE else ZERO


class Orders(msgspec.Struct, frozen=True):
    """Live orders, and closed ones until they are old, apart: what happens at every quote looks at the live ones only."""

    live: dict[str, Order] = {}
    closed: dict[str, Order] = {}
    by_venue_id: dict[str, str] = {}  # "instrument venue_order_id" -> client order id
    owing: tuple[str, ...] = ()  # orders that the venue says filled more than we booked

    def get(self, client_order_id: str) -> Order | None:
        return self.live.get(client_order_id) or self.closed.get(client_order_id)

    def all(self) -> list[Order]:
        """Oldest first."""
        return sorted((*self.closed.values(), *self.live.values()), key=_age)

    def live_by_age(self) -> list[Order]:
        """The live ones, oldest first. What is put out goes by this: a dict's own order is lost in a snapshot or a restart."""
        return sorted(self.live.values(), key=_age)

    def find(self, instrument: str, client_order_id: str, venue_order_id: str) -> Order | None:
        """By the venue's id, which names one order for ever, or by ours.

        Ours alone proves nothing where the venue's ids differ: others on the account may use an id again, also on
        another instrument (binance_spot.md section 9). But an order of ours that has no venue id yet is named by ours first:
        a venue that was reset, as testnets are, gives old ids to new orders.
        """
        mine = self.get(client_order_id)
        if mine is not None and mine.order.instrument == instrument and not mine.venue_order_id:
            return mine
        found = self.get(self.by_venue_id.get(f"{instrument} {venue_order_id}", ""))
        if found is not None:
            return found
        found = self.get(client_order_id)
        if found is None or found.order.instrument != instrument:
            return None
        other = found.venue_order_id and venue_order_id and found.venue_order_id != venue_order_id
        return None if other else found


def _age(order: Order) -> tuple[int, int, str]:
    """Of those of one step the ids tell, which end in numbers: 998 comes before 1001."""
    return order.created_ns, len(order.client_order_id), order.client_order_id


def reduce(orders: Orders, change: Change, at: Stamp) -> Orders:
    match change:
        case Requested():
            return _requested(orders, change, at)
        case Answered():
            return _answered(orders, change)
        case OrderAdopted():
            return _put(orders, _adopted(change, at))
        case OrderAccepted():
            return _accepted(orders, change, at)
        case OrderFilled():
            return _filled(orders, change, at)
        case OrderClosed():
            reported = max(_known(orders, change.client_order_id).filled_reported, change.filled_quantity)
            fields = {"reason": change.reason, "filled_reported": reported, "reported_ns": at.time_ns}
            return _report(orders, change.client_order_id, Report(change.status), at, **fields)
        case OrderUnknown():
            return _report(
                orders, change.client_order_id, Report.NO_ANSWER, at, reason=change.reason, proof_ns=change.proof_ns
            )
        case OrderNotPlaced():
            return _report(orders, change.client_order_id, Report.PROVED_ABSENT, at, reason=change.reason)
        case CancelSettled():
            order = _known(orders, change.client_order_id)
            return _put(orders, replace(order, cancel_seq=0, reason=change.outcome))
        case _:
            return orders


def forget_closed(orders: Orders, now_ns: int, *, keep_ns: int, confirmed: Mapping[str, int]) -> Orders:
    """The age rule: a closed order leaves state once it is old and a reconciliation has confirmed all of its fills.

    Before that, a page of fills would find fills whose order nobody knows, and book them a second time. Tombstones stay for
    a day: nothing that was on its way then is still on its way.
    """
    kept = {
        name: order
        for name, order in orders.closed.items()
        if name in orders.owing
        or now_ns - order.updated_ns <= (TOMBSTONE_NS if order.status is Status.NOT_PLACED else keep_ns)
        or any(int(fill_id) > confirmed.get(order.order.instrument, -1) for fill_id in order.fill_ids)
    }
    if len(kept) == len(orders.closed):
        return orders
    named = {venue_id: name for venue_id, name in orders.by_venue_id.items() if name in kept or name in orders.live}
    return Orders(orders.live, kept, named, orders.owing)


def _known(orders: Orders, client_order_id: str) -> Order:
    order = orders.get(client_order_id)
    assert order is not None, f"no order {client_order_id}"
    return order


def _put(orders: Orders, order: Order) -> Orders:
    name = order.client_order_id
    live, closed, by_venue_id, owing = orders.live, orders.closed, orders.by_venue_id, orders.owing
    if order.status in LIVE:
        live = {**live, name: order}
        if name in closed:  # a tombstone that revived
            closed = {other: value for other, value in closed.items() if other != name}
    else:
        if order.ask_seq or order.cancel_seq:  # what is still asked about it changes nothing any more
            order = replace(order, ask_seq=0, cancel_seq=0)
        closed = {**closed, name: order}
        if name in live:
            live = {other: value for other, value in live.items() if other != name}
    if order.venue_order_id:
        venue_key = f"{order.order.instrument} {order.venue_order_id}"
        if venue_key not in by_venue_id:
            by_venue_id = {**by_venue_id, venue_key: name}
    if (order.filled_reported > order.filled_quantity and not order.adopted) != (name in owing):
        owing = tuple(sorted(set(owing) ^ {name}))
    return Orders(live, closed, by_venue_id, owing)


def _requested(orders: Orders, change: Requested, at: Stamp) -> Orders:
    request = change.request
    match request.purpose:
        case Purpose.PLACE:
            assert request.order is not None, "a place request carries its order"
            assert orders.get(request.client_order_id) is None, f"{request.client_order_id} was used before"
            order = Order(
                client_order_id=request.client_order_id,
                strategy=request.strategy,
                order=request.order,
                status=Status.PENDING,
                request_seq=at.seq,
                created_ns=at.time_ns,
                updated_seq=at.seq,
                updated_ns=at.time_ns,
                expires_ns=request.expires_ns,
            )
            return _put(orders, order)
        case Purpose.CANCEL:
            order = _known(orders, request.client_order_id)
            return _put(orders, replace(order, cancel_seq=at.seq, cancel_ns=at.time_ns))
        case Purpose.QUERY_ORDER if orders.get(request.client_order_id) is not None:
            order = _known(orders, request.client_order_id)
            return _put(orders, replace(order, ask_seq=at.seq, asks=order.asks + 1))
        case _:
            return orders


def _answered(orders: Orders, change: Answered) -> Orders:
    for order in orders.live.values():
        if order.ask_seq == change.request_seq:
            return _put(orders, replace(order, ask_seq=0))
    return orders


def _adopted(change: OrderAdopted, at: Stamp) -> Order:
    return Order(
        client_order_id=change.client_order_id,
        strategy=EXTERNAL,
        order=change.order,
        status=Status.OPEN,
        request_seq=at.seq,
        created_ns=at.time_ns,
        updated_seq=at.seq,
        updated_ns=at.time_ns,
        venue_order_id=change.venue_order_id,
        filled_reported=change.filled_before,
        adopted=True,
    )


def _report(orders: Orders, client_order_id: str, report: Report, at: Stamp, **fields: Any) -> Orders:
    order = _known(orders, client_order_id)
    status = after(order.status, report)
    if status is None:
        return orders
    return _put(orders, replace(order, status=status, updated_seq=at.seq, updated_ns=at.time_ns, **fields))


def _accepted(orders: Orders, change: OrderAccepted, at: Stamp) -> Orders:
    orders = _report(orders, change.client_order_id, Report.ACCEPTED, at, venue_order_id=change.venue_order_id)
    order = _known(orders, change.client_order_id)
    if change.filled_quantity <= order.filled_reported:
        return orders
    return _put(orders, replace(order, filled_reported=change.filled_quantity, reported_ns=at.time_ns))


def _filled(orders: Orders, fill: OrderFilled, at: Stamp) -> Orders:
    order = _known(orders, fill.client_order_id)
    assert fill.fill_id not in order.fill_ids, f"fill {fill.fill_id} of {fill.client_order_id} was booked before"
    filled = order.filled_quantity + fill.quantity
    report = Report.FULL_FILL if filled >= order.order.quantity else Report.PART_FILL
    return _put(
        orders,
        replace(
            order,
            status=after(order.status, report) or order.status,
            updated_seq=at.seq,
            updated_ns=at.time_ns,
            venue_order_id=order.venue_order_id or fill.venue_order_id,
            filled_quantity=filled,
            filled_notional=order.filled_notional + fill.price * fill.quantity,
            filled_reported=max(order.filled_reported, filled),
            fill_ids=(*order.fill_ids, fill.fill_id),
        ),
    )
