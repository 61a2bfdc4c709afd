"""The parameters that Binance demands and refuses with each order type, for the types that the simulated venue has."""

from typing import Final

import msgspec

from engine.model import OrderType


class OrderTypeRules(msgspec.Struct, frozen=True):
    """The parameters of one type, in the order in which Binance checks them."""

    required: tuple[str, ...]
    refused: tuple[str, ...]
    takes_quote_quantity: bool = False  # True: quoteOrderQty may stand for quantity
    default_answer: str = "ACK"  # newOrderRespType when the request names none


_OF_STOPS: Final = ("stopPrice", "trailingDelta")
# In the order in which exchangeInfo lists them.
ORDER_TYPES: Final = {
    OrderType.LIMIT: OrderTypeRules(
        required=("timeInForce", "quantity", "price"), refused=(*_OF_STOPS, "quoteOrderQty"), default_answer="FULL"
    ),
    OrderType.LIMIT_MAKER: OrderTypeRules(
        required=("quantity", "price"), refused=(*_OF_STOPS, "quoteOrderQty", "timeInForce")
    ),
    OrderType.MARKET: OrderTypeRules(
        required=(), refused=(*_OF_STOPS, "price", "timeInForce"), takes_quote_quantity=True, default_answer="FULL"
    ),
}
UNSUPPORTED: Final = {
    "STOP_LOSS": "Stop loss orders are not supported for this symbol.",
    "STOP_LOSS_LIMIT": "Stop loss limit orders are not supported for this symbol.",
    "TAKE_PROFIT": "Take profit orders are not supported for this symbol.",
    "TAKE_PROFIT_LIMIT": "Take profit limit orders are not supported for this symbol.",
}
