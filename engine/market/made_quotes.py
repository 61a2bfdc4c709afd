"""Quotes of a source that has none: half a spread on both sides of a trade's or a bar's price. Compiled."""

from typing import Final

from engine.market.jit import compiled

MILLION: Final = 1_000_000


@compiled
def half_spread(price: int, ppm: int) -> int:
    """Return so many millionths of a price, rounded up. No product overflows for prices up to 2**62."""
    return price // MILLION * ppm + (price % MILLION * ppm + MILLION - 1) // MILLION


@compiled
def made_bid(price: int, ppm: int, tick: int) -> int:
    """Return the bid of a made quote: a whole number of ticks, rounded away from the price."""
    bid = price - half_spread(price, ppm)
    return bid - bid % tick


@compiled
def made_ask(price: int, ppm: int, tick: int) -> int:
    """Return the ask of a made quote: a whole number of ticks, rounded away from the price."""
    ask = price + half_spread(price, ppm)
    return ask + (tick - ask % tick) % tick
