"""Refusals of the simulated Kraken: words in a list, with HTTP 200, and what the exchange's own refusals become."""

from typing import Final

from engine.sim.binance import refusals as core
from engine.sim.binance.refusals import VenueRefusalError

OK: Final = 200
# (code, message) of the exchange -> Kraken's words
_WORDS: Final = {
    core.insufficient_balance().message: "EOrder:Insufficient funds",
    core.filter_failure("PRICE_FILTER").message: "EOrder:Tick size check failed",
    core.filter_failure("PERCENT_PRICE_BY_SIDE").message: "EOrder:Invalid price",
    core.filter_failure("LOT_SIZE").message: "EOrder:Order minimum not met",
    core.filter_failure("MARKET_LOT_SIZE").message: "EOrder:Invalid order",
    core.filter_failure("NOTIONAL").message: "EOrder:Cost minimum not met",
    core.filter_failure("MAX_NUM_ORDERS").message: "EOrder:Orders limit exceeded",
    core.filter_failure("MAX_NUM_ALGO_ORDERS").message: "EOrder:Orders limit exceeded",
    core.duplicate_order().message: "EOrder:Invalid cl_ord_id: an open order has it",
    core.would_trigger().message: "EOrder:Invalid price",
    core.unknown_order().message: "EOrder:Unknown order",
    core.invalid_symbol().message: "EQuery:Unknown asset pair",
    core.order_rejected("Market is closed.").message: "EService:Market in cancel_only mode",
}


def refusal(words: str) -> VenueRefusalError:
    """Return a refusal in Kraken's own words."""
    return VenueRefusalError(OK, 0, words)


def words_of(refused: VenueRefusalError) -> str:
    """Return Kraken's words for a refusal of the exchange, of an endpoint or of a scripted fault."""
    return _WORDS.get(refused.message, refused.message if refused.message.startswith("E") else "EOrder:Invalid order")
