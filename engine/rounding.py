"""Rounding of prices by side, for orders that the engine or a strategy computes. docs/order-types.md states all rules.

Quantities are cut to the lot (money.down_to_grid), so no order exceeds a decision.
"""

from decimal import Decimal

from engine.model import Instrument, Side
from engine.money import down_to_grid, up_to_grid


def resting_price(price: Decimal, instrument: Instrument, side: Side) -> Decimal:
    """Return a price on the tick, rounded away from the market: down for a buy, up for a sale."""
    return (down_to_grid if side is Side.BUY else up_to_grid)(price, instrument.tick_size)


def taking_price(price: Decimal, instrument: Instrument, side: Side) -> Decimal:
    """Return a price on the tick, rounded towards the market: up for a buy, down for a sale."""
    return (up_to_grid if side is Side.BUY else down_to_grid)(price, instrument.tick_size)
