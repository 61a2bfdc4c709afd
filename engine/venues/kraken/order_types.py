"""Order types in Kraken's words, both ways: the parameters of each type, and the type that a report names."""

from decimal import Decimal
from typing import Final

from engine.model import OrderType, TimeInForce
from engine.money import ZERO
from engine.order_terms import Terms
from engine.venues.kraken.values import number_text

Params = tuple[tuple[str, str], ...]
POST: Final = "post"  # the flag of an order that may not match at once
NAMES: Final = {
    OrderType.MARKET: "market",
    OrderType.LIMIT: "limit",
    OrderType.LIMIT_MAKER: "limit",
    OrderType.STOP: "stop-loss",
    OrderType.STOP_LIMIT: "stop-loss-limit",
    OrderType.TAKE_PROFIT: "take-profit",
    OrderType.TAKE_PROFIT_LIMIT: "take-profit-limit",
}
TYPES: Final = {name: kind for kind, name in NAMES.items() if kind is not OrderType.LIMIT_MAKER}
OF_STOPS: Final = frozenset(NAMES[kind] for kind in NAMES if kind.value.startswith(("STOP", "TAKE_PROFIT")))
WITH_IN_FORCE: Final = frozenset({OrderType.LIMIT})  # the others rest until they are cancelled, or never


def order_params(terms: Terms) -> Params:
    """Return type and prices of an order. Raises LookupError for a type that the venue does not have.

    `price` is the trigger of an order that has one, and the limit price of any other; `price2` is then the limit.
    """
    if terms.trailing_delta or terms.iceberg_quantity or terms.quote_quantity:
        raise LookupError("orders that trail, hide a part or name an amount of the quote asset are not built")
    prices = [price for price in (terms.trigger, terms.price) if price is not None]
    return (
        ("ordertype", NAMES[terms.type]),
        *((name, number_text(price)) for name, price in zip(("price", "price2"), prices, strict=False)),
        *([("timeinforce", terms.time_in_force.value)] if terms.type in WITH_IN_FORCE else []),
        *([("oflags", POST)] if terms.is_post_only else []),
    )


def reported_type(name: str, *, is_post_only: bool) -> OrderType:
    """Return the type that a report names; FOREIGN for one that the engine does not have."""
    kind = TYPES.get(name, OrderType.FOREIGN)
    return OrderType.LIMIT_MAKER if kind is OrderType.LIMIT and is_post_only else kind


def reported_prices(name: str, price: Decimal, price2: Decimal) -> tuple[Decimal, Decimal]:
    """Return limit price and trigger of an order, given the prices that REST states."""
    return (price2, price) if name in OF_STOPS else (price, ZERO)


def reported_in_force(name: str) -> TimeInForce:
    """Return the time in force that a report names; GTC for one that the engine does not have, such as GTD."""
    word = name.upper()
    return TimeInForce(word) if word in TimeInForce.__members__ else TimeInForce.GTC
