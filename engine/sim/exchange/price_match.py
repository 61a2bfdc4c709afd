"""priceMatch: a limit price that the book gives, instead of the request."""

from typing import Final

from engine.model import Side
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.exchange.match_plan import opposite
from engine.sim.exchange.symbol_view import SymbolMarket

PRICE_MATCHES: Final = {
    f"{kind}{level}": (kind, int(level.strip("_") or 1))
    for kind in ("OPPONENT", "QUEUE")
    for level in ("", "_5", "_10", "_20")
}


def matched_price(market: SymbolMarket, side: Side, price_match: str) -> int:
    """Return the price that priceMatch names: a level of the other side, or of the order's own."""
    kind, level = PRICE_MATCHES[price_match]
    prices = [price for price, _ in market.offers(opposite(side) if kind == "OPPONENT" else side)]
    if len(prices) < level:
        raise VenueRefusalError(400, -2020, "Unable to fill.")
    return prices[level - 1]
