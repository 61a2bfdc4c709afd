"""Orders that await a trigger price: stops and take-profits of every type, trailing ones too.

The venue holds them outside the book. The compiled loop stops at the first price that triggers one, or that moves the
best price of a trailing one (matching_kernel.V_TRIGGER_HIGH and V_TRIGGER_LOW); exchange.py then activates what `due`
returns.
"""

from typing import Final

from engine.model import Side
from engine.sim.exchange import venue_arrays as arrays
from engine.sim.exchange.order_values import SimNewOrder, SimOrder
from engine.sim.exchange.venue_books import VenueBooks

BASIS: Final = 10_000  # basis points of a whole


def triggers_above(order: SimNewOrder | SimOrder) -> bool:
    """Return True if the order's stop price is above the market: stop-loss buys and take-profit sales."""
    return (order.side is Side.BUY) != order.terms.triggers_on_gain


def reaches_stop(order: SimNewOrder | SimOrder, price: int) -> bool:
    """Return True if this price reaches the stop price of an order that has one."""
    if not order.stop_price:
        return False
    return price >= order.stop_price if triggers_above(order) else price <= order.stop_price


def trailing_trigger(order: SimOrder) -> int:
    """Return the price that triggers a trailing order that tracks: the best price moved against it by its delta."""
    if order.side is Side.BUY:
        return -(-order.trailing_best * (BASIS + order.trailing_delta) // BASIS)
    return order.trailing_best * (BASIS - order.trailing_delta) // BASIS


def is_triggered(order: SimOrder, price: int) -> bool:
    """Return True if this price activates a held order."""
    if not order.trailing_delta:
        return reaches_stop(order, price)
    if not order.trailing_best:
        return False
    level = trailing_trigger(order)
    return price >= level if order.side is Side.BUY else price <= level


def begin_tracking(order: SimOrder, price: int, now_ns: int) -> None:
    """Track the market from this price on, unless the order waits for its stop price or there is no price."""
    if order.trailing_delta and not order.stop_price and price:
        order.trailing_best, order.trailing_ns = price, now_ns


def track(order: SimOrder, price: int, now_ns: int) -> None:
    """Note a price that a trailing order follows."""
    if order.trailing_best:
        better = min if order.side is Side.BUY else max
        order.trailing_best = better(order.trailing_best, price)
    elif not order.stop_price or reaches_stop(order, price):
        order.trailing_best, order.trailing_ns = price, now_ns


def _bounds(order: SimOrder) -> tuple[int, int]:
    """Return the price at or above which, and the one at or below which, the order must be checked."""
    if order.waits_for_bar:
        return 0, arrays.HIGHEST
    if order.trailing_delta and order.trailing_best:
        level = trailing_trigger(order)
        return (level, order.trailing_best - 1) if order.side is Side.BUY else (order.trailing_best + 1, level)
    if not order.stop_price:
        return 0, arrays.HIGHEST  # any price begins the tracking
    return (order.stop_price, -1) if triggers_above(order) else (arrays.HIGHEST, order.stop_price)


def trigger_within(order: SimOrder, low: int, high: int, path: tuple[int, int]) -> int:
    """Return the price at which a bar triggers a held order, or 0 if it does not.

    Args:
        order: The order. A trailing one tracks the bar.
        low: The lowest price of the bar.
        high: Its highest price.
        path: Its first and its last price. A trigger that the first one is beyond counts at that price.
    """
    first, last = path
    if not order.trailing_delta:
        reached = high if triggers_above(order) else low
        if not reaches_stop(order, reached):
            return 0
        return max(order.stop_price, first) if triggers_above(order) else min(order.stop_price, first)
    worst, best = (high, low) if order.side is Side.BUY else (low, high)
    for price in (first, worst, best, last):
        level = trailing_trigger(order) if order.trailing_best else 0
        if level and is_triggered(order, price):
            return price if price == first else level
        track(order, price, order.trailing_ns)
    return 0


class HeldOrders:
    """The orders that no price has triggered yet, of all symbols."""

    def __init__(self, books: VenueBooks) -> None:
        self._books = books
        self._orders: list[SimOrder] = []  # oldest first

    def __bool__(self) -> bool:
        return bool(self._orders)

    def add(self, order: SimOrder) -> None:
        """Hold an order until a price triggers it."""
        order.is_held = True
        self._orders.append(order)
        self._set_bounds(order.place)

    def wait_for_bar(self, order: SimOrder) -> None:
        """Hold a market order until a bar trades that can fill it."""
        order.waits_for_bar = True
        self.add(order)

    def list_priced(self, place: int) -> list[SimOrder]:
        """Return the orders of a symbol that wait for a price: those that limit a loss first, then by age."""
        own = [order for order in self._orders if order.place == place and not order.waits_for_bar]
        return sorted(own, key=lambda order: order.terms.triggers_on_gain)

    def remove(self, order: SimOrder) -> None:
        """Release an order: it was triggered or has ended."""
        order.is_held = order.waits_for_bar = False
        self._orders.remove(order)
        self._set_bounds(order.place)

    def due(self, place: int, price: int, now_ns: int) -> list[SimOrder]:
        """Return the orders of a symbol that this price triggers, oldest first. Trailing orders track it."""
        own = [order for order in self._orders if order.place == place]
        trailing = [order for order in own if order.trailing_delta]
        for order in trailing:
            track(order, price, now_ns)
        if trailing:
            self._set_bounds(place)
        return [order for order in own if order.waits_for_bar or is_triggered(order, price)]

    def _set_bounds(self, place: int) -> None:
        bounds = [_bounds(order) for order in self._orders if order.place == place]
        high = min((high for high, _ in bounds), default=arrays.HIGHEST)
        low = max((low for _, low in bounds), default=-1)
        self._books.v[place, [arrays.V_TRIGGER_HIGH, arrays.V_TRIGGER_LOW]] = high, low
