"""Counts and sums over live orders that each new order needs, and closed orders by age, kept up to date order by order
instead of by scans.

An index belongs to one Orders value, the newest: the next value takes it over (`moved_to`), and a value without one
makes its own. It is no part of the state: nothing digests or carries it.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from engine.lifecycle import Status
from engine.model import Side
from engine.money import MONEY, ZERO

if TYPE_CHECKING:
    from engine.state.orders import Order

MARKED = (Status.PENDING, Status.UNKNOWN)  # the index has orders of these statuses apart


class OrderIndex:
    """The index of one Orders value. Orders of other programs count, unless a name says otherwise."""

    def __init__(
        self, live: Iterable["Order"], closed: Iterable["Order"] = (), by_venue_id: Mapping[str, str] | None = None
    ) -> None:
        self.by_instrument: dict[str, dict[str, Order]] = {}  # in the order of the live orders
        self._adopted: dict[str, int] = {}  # by instrument: orders of other programs
        self._strategies: dict[str, dict[str, int]] = {}  # by instrument: live orders of each strategy
        self._leaves: dict[tuple[str, Side], Decimal] = {}
        self.unknown: dict[str, dict[str, Order]] = {}  # by instrument: orders whose status is unknown
        self.queried: dict[int, str] = {}  # seq of a query under way -> order
        self._pending: dict[str, Order] = {}
        self._by_update: dict[str, Order] = {}  # by `updated_seq`, which rises
        self._newest_seq = -1
        for order in sorted(live, key=lambda each: each.updated_seq):
            self._update(order)
        for order in live:
            self._add(order)
        self._closed = [(order.updated_ns, order.client_order_id) for order in closed]  # a heap; entries may be old
        heapify(self._closed)
        self._old: dict[str, None] = {}  # closed orders that `closed_before` found
        self.venue_keys: dict[str, list[str]] = {}  # order -> its keys in `Orders.by_venue_id`
        for key, name in (by_venue_id or {}).items():
            self.venue_keys.setdefault(name, []).append(key)

    def count(self, instrument: str, *, own_only: bool) -> int:
        """Return the number of live orders in an instrument."""
        return len(self.live_orders(instrument)) - (self._adopted.get(instrument, 0) if own_only else 0)

    def count_of_strategy(self, strategy: str) -> int:
        """Return the number of live orders of a strategy."""
        return sum(counts.get(strategy, 0) for counts in self._strategies.values())

    def count_at(self, venue: str) -> int:
        """Return the number of live orders at a venue."""
        return sum(len(here) for name, here in self.by_instrument.items() if name.partition(":")[0] == venue)

    def live_orders(self, instrument: str) -> Mapping[str, "Order"]:
        """Return the live orders in an instrument, by name."""
        return self.by_instrument.get(instrument, {})

    def leaves(self, instrument: str, side: Side) -> Decimal:
        """Return what the live orders of a side can still fill: the number, not its trailing zeros."""
        return self._leaves.get((instrument, side), ZERO)

    def has_others(self, instrument: str, strategies: Iterable[str]) -> bool:
        """Return True if another strategy than these has a live order in an instrument."""
        return not self._strategies.get(instrument, {}).keys() <= set(strategies)

    def unreported(self, seq: int) -> list["Order"]:
        """Return the orders that are pending or were updated at this record or later."""
        found = dict(self._pending)
        for name, order in reversed(self._by_update.items()):
            if order.updated_seq < seq:
                break
            found[name] = order
        return list(found.values())

    def add_closed(self, order: "Order") -> None:
        """Follow an order that is closed, after each of its changes."""
        heappush(self._closed, (order.updated_ns, order.client_order_id))

    def closed_before(self, time_ns: int, closed: Mapping[str, "Order"]) -> list["Order"]:
        """Return the closed orders that were updated before this time. It must not be earlier than the last one."""
        while self._closed and self._closed[0][0] < time_ns:
            self._old[heappop(self._closed)[1]] = None
        known = [(name, closed.get(name)) for name in self._old]
        found = [order for _, order in known if order is not None and order.updated_ns < time_ns]
        if len(found) < len(known):  # the others were forgotten, are live again, or have a newer entry
            self._old = {order.client_order_id: None for order in found}
        return found

    def move(self, before: "Order | None", after: "Order | None") -> None:
        """Follow one order: None is an order that is not live."""
        if before is None and after is not None:
            self._add(after)
        elif before is not None and after is not None:
            self._change(before, after)
        elif before is not None:
            self._drop(before)

    def _add(self, order: "Order") -> None:
        name, instrument = order.client_order_id, order.order.instrument
        here = self.by_instrument.get(instrument)
        if here is None:
            here = self.by_instrument[instrument] = {}
            self._strategies[instrument] = {}
        here[name] = order
        if order.adopted:
            self._adopted[instrument] = self._adopted.get(instrument, 0) + 1
        counts = self._strategies[instrument]
        counts[order.strategy] = counts.get(order.strategy, 0) + 1
        self._update(order)
        if order.status is Status.PENDING and not order.query_seq:  # a new one
            self._pending[name] = order
        elif order.status in MARKED or order.query_seq:
            self._mark(order)
        self._count(order, order.leaves_quantity)

    def _change(self, before: "Order", after: "Order") -> None:
        name = after.client_order_id
        self.by_instrument[after.order.instrument][name] = after
        if before.updated_seq != after.updated_seq:
            del self._by_update[name]
        self._update(after)
        if before.status in MARKED or before.query_seq:
            self._unmark(before)
        if after.status in MARKED or after.query_seq:
            self._mark(after)
        if after.filled_quantity is before.filled_quantity and after.order is before.order:
            return  # both are live
        moved = after.leaves_quantity - before.leaves_quantity
        if moved:
            self._count(after, moved)

    def _drop(self, order: "Order") -> None:
        name, instrument = order.client_order_id, order.order.instrument
        del self.by_instrument[instrument][name], self._by_update[name]
        if order.adopted:
            self._adopted[instrument] -= 1
        counts = self._strategies[instrument]
        counts[order.strategy] -= 1
        if not counts[order.strategy]:
            del counts[order.strategy]
        if order.status in MARKED or order.query_seq:
            self._unmark(order)
        self._count(order, -order.leaves_quantity)

    def _update(self, order: "Order") -> None:
        name, seq = order.client_order_id, order.updated_seq
        is_late = seq < self._newest_seq and name not in self._by_update
        self._by_update[name] = order
        if seq > self._newest_seq:
            self._newest_seq = seq
        elif is_late:  # no reducer does that
            self._by_update = dict(sorted(self._by_update.items(), key=lambda entry: entry[1].updated_seq))

    def _mark(self, order: "Order") -> None:
        name = order.client_order_id
        if order.status is Status.PENDING:
            self._pending[name] = order
        elif order.status is Status.UNKNOWN:
            self.unknown.setdefault(order.order.instrument, {})[name] = order
        if order.query_seq:
            self.queried[order.query_seq] = name

    def _unmark(self, order: "Order") -> None:
        name = order.client_order_id
        self._pending.pop(name, None)
        if order.status is Status.UNKNOWN:
            del self.unknown[order.order.instrument][name]
        self.queried.pop(order.query_seq, None)

    def _count(self, order: "Order", leaves: Decimal) -> None:
        key = order.order.instrument, order.order.side
        self._leaves[key] = MONEY.add(self._leaves.get(key, ZERO), leaves)
