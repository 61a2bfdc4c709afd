"""The exchange's refusals in Hyperliquid's words (8). The exchange states Binance's codes; here each has its text."""

from typing import Final

from engine.sim.binance.refusals import VenueRefusalError

RACE: Final = "Order was never placed, already canceled, or filled."
NO_MATCH: Final = "Order could not immediately match against any resting orders."
TICK: Final = "Price must be divisible by tick size."
INVALID_SIZE: Final = "Order has invalid size."
ZERO_SIZE: Final = "Order has zero size."
POST_ONLY: Final = -5022
TEXTS: Final = {
    -2011: RACE,
    -2013: RACE,
    -2019: "Insufficient margin to place order.",
    -2021: "Invalid TP/SL price.",
    -2022: "Reduce only order would increase position.",
    -2025: "Too many open orders.",
    -2027: "Order would cause position to exceed margin tier limit at current leverage",
    -4003: ZERO_SIZE,
    -4002: "Order has invalid price.",
    -4004: INVALID_SIZE,
    -4005: "Order value too large.",
    -4013: "Order has invalid price.",
    -4014: TICK,
    -4016: "Order price cannot be more than 80% away from the reference price",
    -4023: INVALID_SIZE,
    -4024: "Order price cannot be more than 80% away from the reference price",
    -4028: "Invalid leverage value",
    -4045: "Too many open orders.",
    -4131: "No liquidity available for market order.",
    -4164: "Order must have minimum value of $10.",
    POST_ONLY: "Post only order would have immediately matched, bbo was {bbo}.",
}


def text_of(refusal: VenueRefusalError, *, asset: int, bbo: str = "") -> str:
    """Return the text of a refusal; the venue adds the asset to it."""
    return f"{TEXTS.get(refusal.code, refusal.message).format(bbo=bbo)} asset={asset}"
