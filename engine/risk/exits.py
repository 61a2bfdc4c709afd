"""Exits: how much of a position an order may still reduce. An exit is what fills left, never the first intent (S20)."""

from decimal import Decimal

from engine.facts import NewOrder
from engine.model import Instrument, Side
from engine.money import ZERO, down_to_grid
from engine.state.linked_orders import fillable_orders
from engine.state.missing_fills import missing_quantity
from engine.state.session_state import Account


def reducible(account: Account, strategy: str, instrument: str, side: Side) -> Decimal:
    """Return what an order of this side may reduce: the strategy's position less its orders under way.

    An order that ended is under way until its fills are recorded.
    """
    held = -account.positions.get(strategy, instrument).quantity * side.sign
    under_way = sum(
        (
            order.leaves_quantity
            for order in fillable_orders(account.orders, instrument)
            if (order.strategy, order.order.side) == (strategy, side)
        ),
        ZERO,
    )
    missing = missing_quantity(account.orders, instrument, side, strategy)
    return max(held - under_way - missing, ZERO)


def only_reduces(account: Account, strategy: str, order: NewOrder) -> bool:
    """Return True if the order and its strategy's open ones of that side at most close the position."""
    left = reducible(account, strategy, order.instrument, order.side)
    return 0 < order.quantity <= left


def exit_quantity(account: Account, strategy: str, instrument: Instrument, side: Side, *, is_market: bool) -> Decimal:
    """Return the largest quantity of a reduce-only order: on the lot, and within the venue's bound of one order."""
    quantity = reducible(account, strategy, instrument.id, side)
    bounds = (instrument.quantity_max, instrument.market_quantity_max if is_market else ZERO)
    return down_to_grid(min(quantity, *(bound for bound in bounds if bound), quantity), instrument.lot_size)
