"""Rounding of prices by side, for orders that the engine or a strategy computes. docs/order-types.md states all rules.

Quantities are cut to the lot (money.down_to_grid), so no order exceeds a decision. The step of a price is the tick, or
a coarser one where the venue limits the significant digits of a price.
"""

from decimal import Decimal
from typing import Final

from engine.model import Instrument, Side
from engine.money import down_to_grid, on_grid, up_to_grid

WHOLE: Final = Decimal(1)  # the coarsest step that significant digits lead to: whole prices are always allowed


def price_step(price: Decimal, instrument: Instrument) -> Decimal:
    """Return the step of prices around this one.

    >>> btc = Instrument("v:BTC", "v", "BTC", "BTC", "USDC", 1, 5, Decimal("0.1"), Decimal("0.00001"), price_digits=5)
    >>> [price_step(Decimal(text), btc) for text in ("105055.3", "9999.9", "99999.9")]
    [Decimal('1'), Decimal('0.1'), Decimal('1')]
    """
    if not instrument.price_digits or price <= 0:
        return instrument.tick_size
    return max(instrument.tick_size, min(WHOLE.scaleb(price.adjusted() + 1 - instrument.price_digits), WHOLE))


def on_price_grid(price: Decimal, instrument: Instrument) -> bool:
    """Return True if the venue takes the price: positive, on the tick, and within the allowed digits."""
    return price > 0 and on_grid(price, price_step(price, instrument))


def price_grid_text(price: Decimal, instrument: Instrument) -> str:
    """Return what is wrong with a price that is not on the grid, in words."""
    step = price_step(price, instrument)
    if step == instrument.tick_size:
        return f"{price} is not a multiple of the tick {step}"
    return f"{price} has more than {instrument.price_digits} significant digits: it must be a multiple of {step}"


def resting_price(price: Decimal, instrument: Instrument, side: Side) -> Decimal:
    """Return a price on the grid, rounded away from the market: down for a buy, up for a sale."""
    return (down_to_grid if side is Side.BUY else up_to_grid)(price, price_step(price, instrument))


def taking_price(price: Decimal, instrument: Instrument, side: Side) -> Decimal:
    """Return a price on the grid, rounded towards the market: up for a buy, down for a sale."""
    return (up_to_grid if side is Side.BUY else down_to_grid)(price, price_step(price, instrument))
