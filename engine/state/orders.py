"""Orders, from requests and from reports of venues. Positions, balances and modes are unknown here.

Invariants: an order's filled quantity is the sum of its distinct fills; a status moves only along
lifecycle.TRANSITIONS; a client order id, once used, names one order for ever.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from engine.bodies import RequestBody
from engine.facts import (
    CancelSettled,
    ListLeg,
    NewOrder,
    OrderAccepted,
    OrderAdopted,
    OrderAmended,
    OrderClosed,
    OrderDoubted,
    OrderFilled,
    OrderNotPlaced,
    OrderTriggered,
    OrderUnknown,
)
from engine.lifecycle import LIVE, Report, Status, after
from engine.money import ZERO
from engine.requests import Purpose
from engine.state.changes import Answered, Change, Requested, Stamp
from engine.state.order_index import OrderIndex
from engine.state.versioned_map import versioned

EXTERNAL = "external"  # the strategy of orders that this journal did not send


class Order(msgspec.Struct, frozen=True):
    """An order as the account knows it. `order` has the terms that the venue stated last."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({
        "venue_ns", "terms_ns", "venue_client_id", "prevented_quantity", "fills_queried_ns", "fills_queries", "doubt",
        "doubted_ns", "amended_to", "list_id", "waits_for", "is_temporary",
    })  # fmt: skip

    client_order_id: str
    strategy: str
    order: NewOrder
    status: Status
    request_seq: int
    created_ns: int
    updated_seq: int
    updated_ns: int
    expires_ns: int = 0  # the shell does not send the request after this
    proof_ns: int = 0  # see OrderUnknown
    venue_order_id: str = ""
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal = ZERO
    filled_reported: Decimal = ZERO  # the venue's count; above filled_quantity: fills are missing
    reported_ns: int = 0  # when that last rose
    fill_ids: tuple[str, ...] = ()
    cancel_seq: int = 0  # seq of the cancel REQUEST in flight; 0: none
    cancel_ns: int = 0  # time of the last cancel, which is not repeated at once
    query_seq: int = 0  # seq of the query in flight
    query_count: int = 0
    reason: str = ""
    adopted: bool = False
    # the fields below are used since order_rules 1
    venue_ns: int = 0  # the venue's date of the newest report; 0: it states none
    terms_ns: int = 0  # the venue's date of the newest terms
    venue_client_id: str = ""  # the client id at the venue, if an amendment changed it
    prevented_quantity: Decimal = ZERO  # taken from it by self-trade prevention; not contained in `order.quantity`
    fills_queried_ns: int = 0  # time of the last query for the fills of this order alone
    fills_queries: int = 0
    doubt: str = ""  # the venue contradicts us about it; it is queried again
    doubted_ns: int = 0
    amended_to: Decimal = ZERO  # the quantity of our last request to amend it; 0: none
    list_id: str = ""  # our id of the order list that it belongs to; "": none
    waits_for: str = ""  # client order id of the list's order that must be filled before this one is active
    is_temporary: bool = False  # it was rejected for a reason that passes (order_rules 3)

    @property
    def leaves_quantity(self) -> Decimal:
        """The quantity that can still fill; 0 for a closed order."""
        return max(self.order.quantity - self.filled_quantity, ZERO) if self.status in LIVE else ZERO


class Orders(msgspec.Struct, frozen=True, dict=True):
    """Live orders, and closed ones until they are old. They are apart since a quote concerns live orders only."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"doubted", "expiring", "linked"})

    live: dict[str, Order] = {}
    closed: Mapping[str, Order] = {}
    by_venue_id: Mapping[str, str] = {}  # "instrument venue_order_id" -> client order id
    missing_fills: tuple[str, ...] = ()  # orders with missing fills: the venue counts more than is recorded
    doubted: tuple[str, ...] = ()  # orders about which the venue contradicts us
    expiring: tuple[str, ...] = ()  # live orders that are good till a time
    linked: tuple[str, ...] = ()  # live orders that belong to order lists

    @cached_property
    def index(self) -> OrderIndex:
        """Counts and sums over the live orders, and the closed ones by age. It is no field, since it is no state."""
        return OrderIndex(self.live.values(), self.closed.values(), self.by_venue_id)

    def get(self, client_order_id: str) -> Order | None:
        """Return an order by our id."""
        return self.live.get(client_order_id) or self.closed.get(client_order_id)

    def known(self, client_order_id: str) -> Order:
        """Return an order that must exist."""
        order = self.live.get(client_order_id) or self.closed.get(client_order_id)
        assert order is not None, f"no order {client_order_id}"
        return order

    def all(self) -> list[Order]:
        """Return all orders, oldest first."""
        return sorted((*self.closed.values(), *self.live.values()), key=_age)

    def live_by_age(self) -> list[Order]:
        """Return live orders, oldest first. Outputs follow this order, since a snapshot loses a dict's own."""
        return sorted(self.live.values(), key=_age)

    def unknown_by_age(self) -> list[Order]:
        """Return the orders whose status is unknown, oldest first."""
        unknown = self.index.unknown.values()
        return sorted([order for here in unknown for order in here.values()], key=_age) if unknown else []

    def find(self, instrument: str, client_order_id: str, venue_order_id: str) -> Order | None:
        """Return an order by the venue's id, which names one order for ever, or by ours.

        Our id alone proves nothing if the venue's ids differ: others on the account may use an id again, also for
        another instrument. But an order of ours without a venue id is found by ours first:
        a venue that was reset, as testnets are, gives old ids to new orders.
        """
        own = self.live.get(client_order_id) or self.closed.get(client_order_id)
        if own is not None and own.order.instrument != instrument:
            own = None
        if own is not None and not own.venue_order_id:
            return own
        name = self.by_venue_id.get(f"{instrument} {venue_order_id}", "")
        if own is not None and name == client_order_id:
            return own  # nearly always
        by_venue_id = self.live.get(name) or self.closed.get(name)
        if by_venue_id is not None or own is None:
            return by_venue_id
        return own if not venue_order_id or own.venue_order_id == venue_order_id else None


def _age(order: Order) -> tuple[int, int, str]:
    """Return the sort key of age. Ids of one step end in numbers, so the shorter comes first: 998 before 1001."""
    return order.created_ns, len(order.client_order_id), order.client_order_id


def reduce(orders: Orders, change: Change, at: Stamp, *, is_dated: bool = False) -> Orders:
    """Fold requests about orders, their answers, and facts. `is_dated` also keeps the venue's dates (order_rules 1)."""
    match change:
        case Requested():
            return _requested(orders, change, at)
        case Answered():
            return _answered(orders, change)
        case OrderAdopted():
            return _put(orders, _adopted(change, at))
        case OrderAccepted():
            return _accepted(orders, change, at, is_dated=is_dated)
        case OrderFilled():
            return _filled(orders, change, at, is_dated=is_dated)
        case OrderClosed():
            known = orders.known(change.client_order_id)
            reported = max(known.filled_reported, change.filled_quantity)
            fields: dict[str, Any] = {
                "reason": change.reason,
                "filled_reported": reported,
                "reported_ns": at.time_ns,
                "is_temporary": change.is_temporary,
            }
            if is_dated:
                fields["venue_ns"] = max(known.venue_ns, change.venue_ns)
            return _report(orders, change.client_order_id, Report(change.status), at, **fields)
        case OrderUnknown():
            return _report(
                orders, change.client_order_id, Report.NO_ANSWER, at, reason=change.reason, proof_ns=change.proof_ns
            )
        case OrderNotPlaced():
            return _report(orders, change.client_order_id, Report.PROVED_ABSENT, at, reason=change.reason)
        case OrderTriggered():
            named = {"venue_order_id": change.venue_order_id} if change.venue_order_id else {}
            return _report(orders, change.client_order_id, Report.TRIGGERED, at, **named)
        case CancelSettled():
            order = orders.known(change.client_order_id)
            return _put(orders, replace(order, cancel_seq=0, reason=change.outcome))
        case OrderAmended():
            return _amended(orders, change, at)
        case OrderDoubted():
            order = orders.known(change.client_order_id)
            return _put(orders, replace(order, doubt=change.reason, doubted_ns=at.time_ns if change.reason else 0))
        case _:
            return orders


def followed(before: Orders, orders: Orders, name: str = "") -> Orders:
    """Return `orders` with the index of the value before it, in which the named order has moved.

    The index is not handed on where another order took the name: `orders` makes its own then.
    """
    index: OrderIndex | None = before.__dict__.pop("index", None)
    if index is not None:
        was, now = before.live.get(name), orders.live.get(name)
        if was is None or now is None or was.request_seq == now.request_seq:
            index.move(was, now)
            if name and now is None:
                index.add_closed(orders.closed[name])
            orders.__dict__["index"] = index
    return orders


def _put(orders: Orders, order: Order) -> Orders:
    name, is_live = order.client_order_id, order.status in LIVE
    live, closed, by_venue_id, missing_fills = orders.live, orders.closed, orders.by_venue_id, orders.missing_fills
    if is_live:
        if name not in live and name in closed:  # the venue has it after all
            closed = versioned(closed).without(name)
        live = {**live, name: order}
    else:
        if order.query_seq or order.cancel_seq:  # their answers change nothing any more
            order = replace(order, query_seq=0, cancel_seq=0)
        closed = versioned(closed).with_entry(name, order)
        if name in live:
            live = dict(live)
            del live[name]
    if order.venue_order_id:
        venue_key = f"{order.order.instrument} {order.venue_order_id}"
        if venue_key not in by_venue_id:
            by_venue_id = versioned(by_venue_id).with_entry(venue_key, name)
            if (index := orders.__dict__.get("index")) is not None:
                index.venue_keys.setdefault(name, []).append(venue_key)
    if (order.filled_reported > order.filled_quantity and not order.adopted) != (name in missing_fills):
        missing_fills = tuple(sorted(set(missing_fills) ^ {name}))
    doubted = orders.doubted
    if bool(order.doubt) != (name in doubted):
        doubted = tuple(sorted(set(doubted) ^ {name}))
    expiring = orders.expiring
    if order.order.good_till_ns and is_live is not (name in expiring):
        expiring = tuple(sorted(set(expiring) ^ {name}))
    linked = orders.linked
    if order.list_id and is_live is not (name in linked):
        linked = tuple(sorted(set(linked) ^ {name}))
    return followed(orders, Orders(live, closed, by_venue_id, missing_fills, doubted, expiring, linked), name)


def _requested(orders: Orders, change: Requested, at: Stamp) -> Orders:
    request = change.request
    match request.purpose:
        case Purpose.PLACE:
            assert request.order is not None, "a place request carries its order"
            return _placed(orders, ListLeg(request.client_order_id, request.order), request, at)
        case Purpose.PLACE_LIST:
            for leg in request.legs:
                orders = _placed(orders, leg, request, at, list_id=request.client_order_id)
            return orders
        case Purpose.CANCEL:
            order = orders.known(request.client_order_id)
            return _put(orders, replace(order, cancel_seq=at.seq, cancel_ns=at.time_ns))
        case Purpose.AMEND:
            assert request.order is not None, "an amendment carries the order with the new quantity"
            order = orders.known(request.client_order_id)
            return _put(orders, replace(order, amended_to=request.order.quantity))
        case Purpose.QUERY_ORDER if orders.get(request.client_order_id) is not None:
            order = orders.known(request.client_order_id)
            return _put(orders, replace(order, query_seq=at.seq, query_count=order.query_count + 1))
        case Purpose.FILLS if request.client_order_id:
            order = orders.known(request.client_order_id)
            return _put(orders, replace(order, fills_queried_ns=at.time_ns, fills_queries=order.fills_queries + 1))
        case _:
            return orders


def _placed(orders: Orders, leg: ListLeg, request: RequestBody, at: Stamp, *, list_id: str = "") -> Orders:
    """Add an order that a request places, perhaps one of a list."""
    name, times = leg.client_order_id, (at.seq, at.time_ns, at.seq, at.time_ns, request.expires_ns)
    assert orders.get(name) is None, f"{name} was used before"
    order = Order(name, request.strategy, leg.order, Status.PENDING, *times, list_id=list_id, waits_for=leg.waits_for)
    return _put(orders, order)


def _answered(orders: Orders, change: Answered) -> Orders:
    name = orders.index.queried.get(change.request_seq)
    return orders if name is None else _put(orders, replace(orders.live[name], query_seq=0))


def _adopted(change: OrderAdopted, at: Stamp) -> Order:
    return Order(
        client_order_id=change.client_order_id,
        strategy=change.strategy or EXTERNAL,
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
    order = orders.known(client_order_id)
    status = after(order.status, report)
    if status is None:
        return orders
    return _put(orders, replace(order, status=status, updated_seq=at.seq, updated_ns=at.time_ns, **fields))


def _accepted(orders: Orders, change: OrderAccepted, at: Stamp, *, is_dated: bool) -> Orders:
    order = orders.known(change.client_order_id)
    status, fields = after(order.status, Report.ACCEPTED), {}
    if status is not None:
        fields = {"status": status, "updated_seq": at.seq, "updated_ns": at.time_ns}
        fields["venue_order_id"] = change.venue_order_id
    if is_dated and change.venue_ns > order.venue_ns:
        fields["venue_ns"] = change.venue_ns
    if change.filled_quantity > order.filled_reported:
        fields["filled_reported"], fields["reported_ns"] = change.filled_quantity, at.time_ns
    return _put(orders, replace(order, **fields)) if fields else orders


def _amended(orders: Orders, change: OrderAmended, at: Stamp) -> Orders:
    order = orders.known(change.client_order_id)
    order = replace(
        order,
        order=replace(order.order, quantity=change.quantity, price=change.price),
        venue_client_id="" if change.venue_client_id == order.client_order_id else change.venue_client_id,
        prevented_quantity=change.prevented_quantity,
        terms_ns=max(order.terms_ns, change.venue_ns),
        venue_ns=max(order.venue_ns, change.venue_ns),
        updated_seq=at.seq,
        updated_ns=at.time_ns,
    )
    if order.status in LIVE and 0 < order.order.quantity <= order.filled_quantity:
        order = replace(order, status=after(order.status, Report.FULL_FILL) or order.status)
    return _put(orders, order)


def _filled(orders: Orders, fill: OrderFilled, at: Stamp, *, is_dated: bool) -> Orders:
    order = orders.known(fill.client_order_id)
    assert fill.fill_id not in order.fill_ids, f"fill {fill.fill_id} of {fill.client_order_id} was booked before"
    filled = order.filled_quantity + fill.quantity
    # only the venue knows when an amount is spent: its OrderClosed ends such an order
    is_whole = filled >= order.order.quantity and not order.order.quote_quantity
    report = Report.FULL_FILL if is_whole else Report.PART_FILL
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
            venue_ns=max(order.venue_ns, fill.venue_ns) if is_dated else order.venue_ns,
        ),
    )
