"""Words of Coinbase's messages: ids, times, numbers, and orders and fills as the venue shows them.

Amounts are integers in units of 1e-8.
"""

from typing import Any, Final

from engine.model import OrderType, Side, TimeInForce
from engine.sim.exchange.order_values import SimFill, SimOrder, SimOrderStatus
from engine.sim.units import ONE, plain
from engine.venues import timestamps

SECOND_NS: Final = 1_000_000_000
ORDER_ID: Final = "00000000-0000-4000-8000-"  # and the exchange's number
ENTRY_ID: Final = "fill"
KEYS: Final = {  # (type, time in force) -> the key of the configuration
    (OrderType.MARKET, TimeInForce.IOC): "market_market_ioc",
    (OrderType.LIMIT, TimeInForce.GTC): "limit_limit_gtc",
    (OrderType.LIMIT_MAKER, TimeInForce.GTC): "limit_limit_gtc",
    (OrderType.LIMIT, TimeInForce.IOC): "sor_limit_ioc",
    (OrderType.LIMIT, TimeInForce.FOK): "limit_limit_fok",
    (OrderType.STOP_LIMIT, TimeInForce.GTC): "stop_limit_stop_limit_gtc",
    (OrderType.TAKE_PROFIT_LIMIT, TimeInForce.GTC): "stop_limit_stop_limit_gtc",
}
STOPS: Final = frozenset({OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT})
LASTING: Final = {
    TimeInForce.GTC: "GOOD_UNTIL_CANCELLED",
    TimeInForce.IOC: "IMMEDIATE_OR_CANCEL",
    TimeInForce.FOK: "FILL_OR_KILL",
}
STATUSES: Final = {
    SimOrderStatus.NEW: "OPEN",
    SimOrderStatus.PENDING_NEW: "PENDING",
    SimOrderStatus.PARTIALLY_FILLED: "OPEN",
    SimOrderStatus.FILLED: "FILLED",
    SimOrderStatus.CANCELED: "CANCELLED",
    SimOrderStatus.EXPIRED: "CANCELLED",  # the rest of an order that may not rest; EXPIRED is that of an end time
    SimOrderStatus.EXPIRED_IN_MATCH: "CANCELLED",
    SimOrderStatus.REJECTED: "FAILED",
}


def time_text(time_ns: int, places: int = 9) -> str:
    """Return a time as the venue writes it."""
    return f"{timestamps.time_text(time_ns)[: 20 + places]}Z"


def order_id(number: int) -> str:
    """Return the venue's id of an order."""
    return f"{ORDER_ID}{number:012d}"


def number_of(text: str) -> int | None:
    """Return the exchange's number of an order id, or None if it is none of ours."""
    digits = text.removeprefix(ORDER_ID)
    return int(digits) if text.startswith(ORDER_ID) and digits.isdigit() and len(digits) <= 18 else None


def entry_id(fill: SimFill) -> str:
    """Return the id of a fill: the two orders of a trade share the trade's."""
    return f"{ENTRY_ID}-{fill.trade_id}-{fill.order_id}"


def average(order: SimOrder) -> str:
    """Return the average price of an order's fills."""
    return plain(order.executed_quote * ONE // order.executed) if order.executed else "0"


def fees(order: SimOrder) -> int:
    """Return the fees of an order's fills."""
    return sum(fill.fee for fill in order.fills)


def order_type(order: SimOrder) -> str:
    """Return the type, as REST writes it."""
    if order.order_type is OrderType.MARKET:
        return "MARKET"
    return "STOP_LIMIT" if order.order_type in STOPS else "LIMIT"


def lasting(order: SimOrder) -> str:
    """Return the time in force."""
    return LASTING[TimeInForce.IOC if order.order_type is OrderType.MARKET else order.time_in_force]


def trigger_status(order: SimOrder) -> str:
    """Return how far the trigger of an order is."""
    if order.order_type not in STOPS:
        return "INVALID_ORDER_TYPE"
    return "STOP_PENDING" if order.is_held or not order.working_ns else "STOP_TRIGGERED"


def configuration(order: SimOrder) -> dict[str, dict[str, Any]]:
    """Return the order's configuration."""
    in_force = TimeInForce.IOC if order.order_type is OrderType.MARKET else order.time_in_force
    fields: dict[str, Any] = {}
    if order.quote_quantity:
        fields["quote_size"] = plain(order.quote_quantity)
    else:
        fields["base_size"] = plain(order.quantity)
    if order.price:
        fields["limit_price"] = plain(order.price)
    key = KEYS[order.order_type, in_force]
    if key == "limit_limit_gtc":
        fields["post_only"] = order.order_type is OrderType.LIMIT_MAKER
    if order.order_type in STOPS:
        rises = (order.side is Side.BUY) is (order.order_type is OrderType.STOP_LIMIT)
        fields["stop_price"] = plain(order.stop_price)
        fields["stop_direction"] = "STOP_DIRECTION_STOP_UP" if rises else "STOP_DIRECTION_STOP_DOWN"
    return {key: fields}


def order_row(order: SimOrder) -> dict[str, Any]:
    """Return an order as a query shows it."""
    total = order.executed_quote + (fees(order) if order.side is Side.BUY else -fees(order))
    return {
        "order_id": order_id(order.order_id),
        "product_id": order.symbol,
        "user_id": order.account,
        "order_configuration": configuration(order),
        "side": order.side.value,
        "client_order_id": order.client_order_id,
        "status": STATUSES[order.status],
        "time_in_force": lasting(order),
        "created_time": time_text(order.created_ns, 6),
        "completion_percentage": plain(order.executed * 100 * ONE // order.quantity) if order.quantity else "0",
        "filled_size": plain(order.executed),
        "average_filled_price": average(order),
        "fee": "",
        "number_of_fills": str(len(order.fills)),
        "filled_value": plain(order.executed_quote),
        "pending_cancel": False,
        "size_in_quote": bool(order.quote_quantity),
        "total_fees": plain(fees(order)),
        "size_inclusive_of_fees": False,
        "total_value_after_fees": plain(total),
        "trigger_status": trigger_status(order),
        "order_type": order_type(order),
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": not order.is_open,
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": "User requested cancel" if order.status is SimOrderStatus.CANCELED else "",
        "last_fill_time": time_text(order.fills[-1].time_ns, 6) if order.fills else None,
        "outstanding_hold_amount": plain(order.locked),
        "edit_history": [],
        "retail_portfolio_id": order.account,
    }


def user_row(order: SimOrder, status: str = "") -> dict[str, Any]:
    """Return an order as the user channel shows it. It states no price, and no size once the order has ended."""
    word = status or STATUSES[order.status]
    is_live = order.is_open
    return {
        "order_id": order_id(order.order_id),
        "client_order_id": order.client_order_id,
        "cumulative_quantity": plain(order.executed),
        "leaves_quantity": plain(order.leaves) if is_live else "0",
        "avg_price": average(order),
        "total_fees": plain(fees(order)),
        "status": word,
        "product_id": order.symbol,
        "product_type": "SPOT",
        "creation_time": time_text(order.created_ns, 6),
        "order_side": order.side.value,
        "order_type": order_type(order).replace("_", " ").title(),
        "time_in_force": lasting(order),
        "trigger_status": trigger_status(order),
        "number_of_fills": str(len(order.fills)),
        "outstanding_hold_amount": plain(order.locked),
        "completion_percentage": plain(order.executed * 100 * ONE // order.quantity) if order.quantity else "0",
        "post_only": order.order_type is OrderType.LIMIT_MAKER,
        "cancel_reason": "User requested cancel" if word == "CANCELLED" else "",
        "reject_reason": "",
    }


def fill_row(fill: SimFill, account: str) -> dict[str, Any]:
    """Return a fill of the list of fills. Its commission is in the quote asset."""
    return {
        "entry_id": entry_id(fill),
        "trade_id": str(fill.trade_id),
        "order_id": order_id(fill.order_id),
        "trade_time": time_text(fill.time_ns, 6),
        "trade_type": "FILL",
        "price": plain(fill.price),
        "size": plain(fill.quantity),
        "commission": plain(fill.fee),
        "product_id": fill.symbol,
        "sequence_timestamp": time_text(fill.time_ns, 6),
        "liquidity_indicator": "MAKER" if fill.maker else "TAKER",
        "size_in_quote": False,
        "user_id": account,
        "side": fill.side.value,
        "retail_portfolio_id": account,
    }
