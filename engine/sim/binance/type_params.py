"""The parameters that Binance demands and refuses with each order type, for the types that the simulated venue has."""

from typing import Final

import msgspec

from engine.model import OrderType


class OrderTypeRules(msgspec.Struct, frozen=True):
    """One type: Binance's name, and its parameters in the order in which Binance checks them."""

    name: str
    required: tuple[str, ...]
    refused: tuple[str, ...]
    takes_quote_quantity: bool = False  # True: quoteOrderQty may stand for quantity
    has_trigger: bool = False  # True: it needs stopPrice, trailingDelta or both
    default_answer: str = "ACK"  # newOrderRespType when the request names none


_OF_STOPS: Final = ("stopPrice", "trailingDelta")


def _stop(name: str) -> OrderTypeRules:
    refused = ("price", "timeInForce", "quoteOrderQty", "icebergQty")
    return OrderTypeRules(name, required=("quantity",), refused=refused, has_trigger=True)


def _stop_limit(name: str) -> OrderTypeRules:
    required = ("timeInForce", "quantity", "price")
    return OrderTypeRules(name, required=required, refused=("quoteOrderQty",), has_trigger=True)


# In the order in which exchangeInfo lists them.
ORDER_TYPES: Final = {
    OrderType.LIMIT: OrderTypeRules(
        "LIMIT",
        required=("timeInForce", "quantity", "price"),
        refused=(*_OF_STOPS, "quoteOrderQty"),
        default_answer="FULL",
    ),
    OrderType.LIMIT_MAKER: OrderTypeRules(
        "LIMIT_MAKER", required=("quantity", "price"), refused=(*_OF_STOPS, "quoteOrderQty", "timeInForce")
    ),
    OrderType.MARKET: OrderTypeRules(
        "MARKET",
        required=(),
        refused=(*_OF_STOPS, "price", "timeInForce", "icebergQty"),
        takes_quote_quantity=True,
        default_answer="FULL",
    ),
    OrderType.STOP: _stop("STOP_LOSS"),
    OrderType.STOP_LIMIT: _stop_limit("STOP_LOSS_LIMIT"),
    OrderType.TAKE_PROFIT: _stop("TAKE_PROFIT"),
    OrderType.TAKE_PROFIT_LIMIT: _stop_limit("TAKE_PROFIT_LIMIT"),
}
BY_NAME: Final = {rules.name: order_type for order_type, rules in ORDER_TYPES.items()}


def venue_name(order_type: OrderType) -> str:
    """Return Binance's name for a type; our own for one that this venue does not have."""
    rules = ORDER_TYPES.get(order_type)
    return order_type.value if rules is None else rules.name
