"""Order types in Binance's words, both ways: the parameters of each type, and the terms that a report names."""

from decimal import Decimal

from engine.model import OrderType
from engine.money import ZERO
from engine.order_terms import Terms
from engine.venues.binance_common.values import number_text

Params = tuple[tuple[str, str], ...]

# Type -> the parameters that Binance demands with it beside symbol, side and quantity; any other parameter is refused.
REQUIRED: dict[OrderType, frozenset[str]] = {
    OrderType.MARKET: frozenset(),
    OrderType.LIMIT: frozenset({"timeInForce", "price"}),
    OrderType.LIMIT_MAKER: frozenset({"price"}),
    OrderType.STOP: frozenset({"stopPrice"}),
    OrderType.STOP_LIMIT: frozenset({"timeInForce", "price", "stopPrice"}),
    OrderType.TAKE_PROFIT: frozenset({"stopPrice"}),
    OrderType.TAKE_PROFIT_LIMIT: frozenset({"timeInForce", "price", "stopPrice"}),
}
STOP_NAMES = {OrderType.STOP: "STOP_LOSS", OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT"}  # names that differ from ours
NAMES = {order_type: STOP_NAMES.get(order_type, order_type.value) for order_type in REQUIRED}  # the venue's names
# The types that a report names as ours. Any other is recorded as FOREIGN with the venue's name: our own order keeps the
# type that its request states, and journals hold the stops of others so.
TYPES = {NAMES[order_type]: order_type for order_type in (OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT_MAKER)}


OF_STOPS = frozenset(NAMES[order_type] for order_type, names in REQUIRED.items() if "stopPrice" in names)


def order_params(terms: Terms, quantity: Decimal) -> Params:
    """Return type, quantity and the parameters of the type, in Binance's order."""
    required, trigger = REQUIRED[terms.type], terms.trigger
    params = [("type", NAMES[terms.type])]
    if "timeInForce" in required:
        params.append(("timeInForce", str(terms.time_in_force)))
    if terms.quote_quantity:
        params.append(("quoteOrderQty", number_text(terms.quote_quantity)))
    else:
        params.append(("quantity", number_text(quantity)))
    if "price" in required:
        assert terms.price is not None, terms
        assert terms.price > 0, terms
        params.append(("price", number_text(terms.price)))
    if "stopPrice" in required and (trigger or not terms.trailing_delta):  # else it follows the market at once
        assert trigger is not None, terms
        assert trigger > 0, terms
        params.append(("stopPrice", number_text(trigger)))
    if terms.trailing_delta:
        params.append(("trailingDelta", str(terms.trailing_delta)))
    if terms.iceberg_quantity:
        params.append(("icebergQty", number_text(terms.iceberg_quantity)))
    return tuple(params)


def is_triggered(venue_type: str, *, is_working: bool, working_ms: int) -> bool:
    """Return True if a report shows an order that the venue held and that the market has activated since."""
    return venue_type in OF_STOPS and (is_working or working_ms > 0)


def reported_type(venue_type: str, stop_price: str) -> tuple[OrderType, Decimal, str]:
    """Return the type, the stop price and the venue's name for the type, as an OrderReport holds them.

    A type that the engine does not have is FOREIGN and keeps its name: such an order is a person's or another
    program's, and reconciliation must not fail because it rests in the account.
    """
    order_type = TYPES.get(venue_type, OrderType.FOREIGN)
    stop = Decimal(stop_price) or ZERO  # Binance sends 0.00000000 for none
    return (order_type, stop, venue_type) if order_type is OrderType.FOREIGN else (order_type, stop, "")
