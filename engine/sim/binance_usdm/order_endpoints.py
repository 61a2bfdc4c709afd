"""Signed endpoints of USD-M that place, query and cancel orders, and list orders and fills."""

from typing import Any, Final

import msgspec

from engine.sim.binance import refusals
from engine.sim.binance.endpoints import Call, Endpoint, signed, trading
from engine.sim.binance.order_listing import listed_orders
from engine.sim.binance_usdm.contract_params import ContractParams
from engine.sim.binance_usdm.endpoint_calls import (
    DAY_MS,
    MS,
    by_symbol,
    contracts,
    market_of,
    page,
    week_window,
)
from engine.sim.binance_usdm.order_messages import order_answer, order_query, user_trade
from engine.sim.exchange.order_values import SimFill, SimNewOrder, SimOrder, SimOrderStatus

ENDED_KEPT_NS: Final = 3 * DAY_MS * MS  # an order that ended without a fill
KEPT_NS: Final = 90 * DAY_MS * MS
_RESPONSES: Final = ("ACK", "RESULT")
_UNFILLED_ENDS: Final = (SimOrderStatus.CANCELED, SimOrderStatus.EXPIRED)


def check_response_type(call: Call) -> None:
    """Refuse an unknown form of answer. Both forms have the same fields."""
    if call.params.get("newOrderRespType") not in (None, *_RESPONSES):
        raise refusals.invalid_parameter("newOrderRespType")


def _read(call: Call) -> SimNewOrder:
    check_response_type(call)
    return ContractParams(call.params, market_of(call), call.now_ns).order()


def place_counted(call: Call, new: SimNewOrder) -> SimOrder:
    """Place an order. It counts in the order limits, also if it is refused."""
    call.limits.require_room(call.account, call.now_ns)
    call.limits.count_order(call.account, call.now_ns)
    return call.exchange.place(call.account, new, call.now_ns)


def place(call: Call) -> dict[str, Any]:
    """Place an order. The answer has its state as accepted, or its final one with RESULT."""
    new = _read(call)
    order = place_counted(call, new)
    if call.params.get("newOrderRespType") == "RESULT":
        return order_answer(order)
    return order_answer(accepted(order))


def accepted(order: SimOrder) -> SimOrder:
    """Return an order as it was when the venue accepted it, before any fill."""
    return msgspec.structs.replace(order, status=SimOrderStatus.NEW, executed=0, executed_quote=0)


def test_order(call: Call) -> dict[str, Any]:
    """Check an order without placing it."""
    new = _read(call)
    contracts(call).plan(call.account, new)
    return {}


def named_order(call: Call) -> SimOrder | None:
    """Return the order that a request names by its id or its client id."""
    symbol = market_of(call).rules.symbol
    order_id, client_id = call.params.integer("orderId"), call.params.get("origClientOrderId")
    if order_id is None and client_id is None:
        raise refusals.mandatory_either("origClientOrderId", "orderId")
    return call.exchange.find(
        call.account, symbol, order_id=order_id, client_order_id=None if order_id is not None else client_id
    )


def _is_forgotten(order: SimOrder, now_ns: int) -> bool:
    age_ns = now_ns - order.updated_ns
    return age_ns > KEPT_NS or (order.status in _UNFILLED_ENDS and not order.executed and age_ns > ENDED_KEPT_NS)


def query(call: Call) -> dict[str, Any]:
    """Return an order. The venue forgets one that ended without a fill after 3 days."""
    order = named_order(call)
    if order is None or call.hidden(order.client_order_id, call.now_ns) or _is_forgotten(order, call.now_ns):
        raise refusals.no_such_order()
    return order_query(order)


def query_open(call: Call) -> dict[str, Any]:
    """Return an open order."""
    order = named_order(call)
    if order is None or not order.is_open or call.hidden(order.client_order_id, call.now_ns):
        raise refusals.no_such_order()
    return order_query(order)


def open_orders(call: Call) -> list[dict[str, Any]]:
    """Return the open orders of the account, or of one symbol; conditional orders are not among them."""
    return [order_query(order) for order in listed_orders(call)]


def all_orders(call: Call) -> list[dict[str, Any]]:
    """Return a page of all orders of a symbol, within 7 days."""
    symbol = market_of(call).rules.symbol
    limit = call.params.limit(default=500, most=1_000)
    from_id = call.params.integer("orderId")
    start_ms, end_ms = week_window(call)
    found = [
        order
        for order in call.exchange.orders.values()
        if (order.account, order.symbol) == (call.account, symbol)
        and (start_ms <= order.created_ns // MS <= end_ms if from_id is None else order.order_id >= from_id)
        and not _is_forgotten(order, call.now_ns)
        and not call.hidden(order.client_order_id, call.now_ns)
    ]
    oldest_first = from_id is not None or call.params.get("startTime") is not None
    return [order_query(order) for order in page(found, limit, oldest_first=oldest_first)]


def user_trades(call: Call) -> list[dict[str, Any]]:
    """Return a page of the account's fills in a symbol: from an id on, or within 7 days."""
    rules = market_of(call).rules
    limit = call.params.limit(default=500, most=1_000)
    from_id, order_id = call.params.integer("fromId"), call.params.integer("orderId")
    if from_id is not None and (call.params.get("startTime") or call.params.get("endTime")):
        raise refusals.invalid_combination()
    start_ms, end_ms = week_window(call)
    found: list[tuple[SimOrder, SimFill]] = [
        (order, fill)
        for order in call.exchange.orders.values()
        if (order.account, order.symbol) == (call.account, rules.symbol) and order_id in (None, order.order_id)
        for fill in order.fills
        if (fill.trade_id >= from_id if from_id is not None else start_ms <= fill.time_ns // MS <= end_ms)
        and not call.faults.is_unlisted(fill.trade_id, fill.order_id, call.now_ns)
    ]
    found.sort(key=lambda pair: (pair[1].trade_id, pair[1].order_id))
    oldest_first = from_id is not None or call.params.get("startTime") is not None
    shown = page(found, limit, oldest_first=oldest_first)
    return [user_trade(order, fill, rules.settles_in) for order, fill in shown]


def cancel_order(call: Call, order: SimOrder | None) -> dict[str, Any]:
    """Cancel an open order, and return the answer."""
    if order is None or not order.is_open:
        raise refusals.unknown_order()
    call.exchange.cancel(order, call.now_ns, cancel_client_order_id="")
    return order_answer(order)


def cancel(call: Call) -> dict[str, Any]:
    """Cancel an order."""
    return cancel_order(call, named_order(call))


def cancel_all(call: Call) -> dict[str, Any]:
    """Cancel all open orders of a symbol. An empty list is accepted."""
    contracts(call).cancel_symbol(call.account, market_of(call).rules.symbol, call.now_ns)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


ORDER: Final = (
    "symbol side positionSide type timeInForce quantity reduceOnly price newClientOrderId stopPrice closePosition "
    "activationPrice callbackRate workingType priceProtect newOrderRespType priceMatch selfTradePreventionMode "
    "goodTillDate"
)
ENDPOINTS: Final = {
    ("POST", "/fapi/v1/order"): trading(place, 0, counts_order=True),
    ("POST", "/fapi/v1/order/test"): trading(test_order, 0),
    ("GET", "/fapi/v1/order"): signed(query, 1),
    ("DELETE", "/fapi/v1/order"): trading(cancel),
    ("GET", "/fapi/v1/openOrder"): signed(query_open, 1),
    ("GET", "/fapi/v1/openOrders"): Endpoint(handler=open_orders, weight=by_symbol(1, 40), signed=True),
    ("GET", "/fapi/v1/allOrders"): signed(all_orders, 5),
    ("GET", "/fapi/v1/userTrades"): signed(user_trades, 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): trading(cancel_all),
}
PARAMS: Final = {
    ("POST", "/fapi/v1/order"): ORDER,
    ("POST", "/fapi/v1/order/test"): ORDER,
    ("GET", "/fapi/v1/order"): "symbol orderId origClientOrderId",
    ("DELETE", "/fapi/v1/order"): "symbol orderId origClientOrderId",
    ("GET", "/fapi/v1/openOrder"): "symbol orderId origClientOrderId",
    ("GET", "/fapi/v1/openOrders"): "symbol",
    ("GET", "/fapi/v1/allOrders"): "symbol orderId startTime endTime limit",
    ("GET", "/fapi/v1/userTrades"): "symbol orderId startTime endTime fromId limit",
    ("DELETE", "/fapi/v1/allOpenOrders"): "symbol",
}
