"""Orders that await a trigger price: stops and take-profits of every type.

The venue holds them outside the book. The compiled loop stops at the first price that triggers one
(matching_kernel.V_TRIGGER_HIGH and V_TRIGGER_LOW); exchange.py then activates what `due` returns.
"""

from engine.model import Side
from engine.sim.exchange import matching_kernel as at
from engine.sim.exchange.order_values import SimNewOrder, SimOrder
from engine.sim.exchange.venue_books import VenueBooks


def triggers_on_rise(order: SimNewOrder | SimOrder) -> bool:
    """Return True if a price at the trigger or above activates the order; else one below does."""
    return (order.side is Side.BUY) != order.terms.triggers_on_gain


def is_triggered(order: SimNewOrder | SimOrder, price: int) -> bool:
    """Return True if this price activates the order."""
    return price >= order.stop_price if triggers_on_rise(order) else price <= order.stop_price


class HeldOrders:
    """The orders that no price has triggered yet, of all symbols."""

    def __init__(self, books: VenueBooks) -> None:
        self._books = books
        self._orders: list[SimOrder] = []  # oldest first

    def add(self, order: SimOrder) -> None:
        """Hold an order until a price triggers it."""
        order.is_held = True
        self._orders.append(order)
        self._set_bounds(order.place)

    def remove(self, order: SimOrder) -> None:
        """Release an order: it was triggered or has ended."""
        order.is_held = False
        self._orders.remove(order)
        self._set_bounds(order.place)

    def due(self, place: int, price: int) -> list[SimOrder]:
        """Return the orders of a symbol that this price triggers, oldest first."""
        return [order for order in self._orders if order.place == place and is_triggered(order, price)]

    def _set_bounds(self, place: int) -> None:
        own = [order for order in self._orders if order.place == place]
        high = min((order.stop_price for order in own if triggers_on_rise(order)), default=at.HIGHEST)
        low = max((order.stop_price for order in own if not triggers_on_rise(order)), default=-1)
        self._books.v[place, [at.V_TRIGGER_HIGH, at.V_TRIGGER_LOW]] = high, low
