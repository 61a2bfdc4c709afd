"""Signed endpoints: orders, queries, account.

They turn parameters into calls of the exchange and its values into JSON.
"""

from collections.abc import Iterable
from typing import Any, Final

from engine.sim.binance import filters, refusals, venue_messages
from engine.sim.binance.endpoints import Call, Endpoint, EndpointAnswer, fixed
from engine.sim.binance.params import Params, new_order
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.exchange.order_values import SimFill, SimOrder, SimOrderStatus
from engine.sim.faults import Action

MS: Final = 1_000_000
DAY_MS: Final = 86_400_000
UID: Final = 354_937_868
KEY_CREATED_MS: Final = 1_698_645_219_000
_RESPONSES: Final = ("ACK", "RESULT", "FULL")


def _response_type(params: Params) -> str | None:
    kind = params.get("newOrderRespType")
    if kind is not None and kind not in _RESPONSES:
        raise refusals.invalid_parameter("newOrderRespType")
    return kind


def place(call: Call) -> dict[str, Any]:
    """Place an order."""
    kind = _response_type(call.params)
    new = new_order(call.params)
    call.exchange.market(new.symbol)
    call.limits.require_room(call.account, call.now_ns)
    order = call.exchange.place(call.account, new, call.now_ns)
    if not order.executed:  # an order that trades at once does not count as unfilled
        call.limits.count_order(call.account, call.now_ns)
    return venue_messages.order_answer(order, kind)


def test_order(call: Call) -> dict[str, Any]:
    """Check an order without placing it."""
    _response_type(call.params)
    call.exchange.check(call.account, new_order(call.params))
    return {}


def _named(call: Call, id_name: str = "orderId", client_id_name: str = "origClientOrderId") -> SimOrder | None:
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    order_id, client_id = call.params.integer(id_name), call.params.get(client_id_name)
    if order_id is None and client_id is None:
        raise refusals.mandatory_either(client_id_name, id_name)
    return call.exchange.find(call.account, symbol, order_id=order_id, client_order_id=client_id)


def query(call: Call) -> dict[str, Any]:
    """Return an order."""
    order = _named(call)
    if order is None or call.hidden(order.client_order_id, call.now_ns):
        raise refusals.no_such_order()
    return venue_messages.order_query(order)


def _cancel(call: Call, order: SimOrder | None, restrictions: str | None = None) -> dict[str, Any]:
    if restrictions not in (None, "ONLY_NEW", "ONLY_PARTIALLY_FILLED"):
        raise VenueRefusalError(
            400, -1145, "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`."
        )
    if order is None or not order.is_open:
        raise refusals.unknown_order()
    wanted = {"ONLY_NEW": SimOrderStatus.NEW, "ONLY_PARTIALLY_FILLED": SimOrderStatus.PARTIALLY_FILLED}
    if restrictions is not None and order.status is not wanted[restrictions]:
        raise refusals.cancel_restricted()
    replacing = (
        call.params.get("cancelReplaceMode") is not None
    )  # in a replacement, newClientOrderId is the new order's
    own_id = call.params.client_id("cancelNewClientOrderId" if replacing else "newClientOrderId")
    cancel_id = own_id or call.exchange.cancel_id()
    call.exchange.cancel(order, call.now_ns, cancel_client_order_id=cancel_id)
    return venue_messages.cancel_answer(order, cancel_id)


def cancel(call: Call) -> dict[str, Any]:
    """Cancel an order."""
    return _cancel(call, _named(call), call.params.get("cancelRestrictions"))


def cancel_all(call: Call) -> list[dict[str, Any]]:
    """Cancel all open orders of a symbol."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    orders = call.exchange.open_orders(call.account, symbol)
    if not orders:
        raise refusals.unknown_order()
    cancel_id = call.exchange.cancel_id()  # Binance gives all of them one new id
    for order in orders:
        call.exchange.cancel(order, call.now_ns, cancel_client_order_id=cancel_id)
    return [venue_messages.cancel_answer(order, cancel_id) for order in orders]


def amend(call: Call) -> dict[str, Any]:
    """Reduce an open order, which keeps its place in the queue and gets a new client order id."""
    order = _named(call)
    quantity = call.params.amount("newQty")
    if not quantity:
        raise refusals.mandatory("newQty")
    if order is None or not order.is_open:
        raise refusals.no_such_order()
    filters.check_quantity(call.exchange.market(order.symbol).rules, quantity, has_price=order.terms.price is not None)
    old_id = order.client_order_id
    client_id = call.params.client_id("newClientOrderId") or call.exchange.cancel_id()
    execution_id = call.exchange.amend(order, quantity, call.now_ns, client_order_id=client_id)
    return {
        "transactTime": order.updated_ns // MS,
        "executionId": execution_id,
        "amendedOrder": venue_messages.amended_order(order, old_id),
    }


def _refused(refusal: VenueRefusalError) -> dict[str, Any]:
    return {"code": refusal.code, "msg": refusal.message}


def cancel_replace(call: Call) -> Any:
    """Cancel, then place: two steps that can fail apart."""
    mode = call.params.required("cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise refusals.invalid_parameter("cancelReplaceMode")
    kind = _response_type(call.params)
    new = new_order(call.params)
    call.limits.require_room(call.account, call.now_ns)
    call.limits.count_order(call.account, call.now_ns)  # counts even where the new order is not attempted
    data: dict[str, Any] = {"cancelResult": "SUCCESS", "newOrderResult": "NOT_ATTEMPTED", "cancelResponse": None,
                            "newOrderResponse": None}  # fmt: skip
    try:
        order = _named(call, "cancelOrderId", "cancelOrigClientOrderId")
        data["cancelResponse"] = _cancel(call, order, call.params.get("cancelRestrictions"))
    except VenueRefusalError as refusal:
        data |= {"cancelResult": "FAILURE", "cancelResponse": _refused(refusal)}
    if data["cancelResult"] == "SUCCESS" or mode == "ALLOW_FAILURE":
        try:
            placed = call.exchange.place(call.account, new, call.now_ns)
            data |= {"newOrderResult": "SUCCESS", "newOrderResponse": venue_messages.order_answer(placed, kind)}
        except VenueRefusalError as refusal:
            data |= {"newOrderResult": "FAILURE", "newOrderResponse": _refused(refusal)}
    succeeded = (data["cancelResult"] == "SUCCESS") + (data["newOrderResult"] == "SUCCESS")
    if succeeded == 2:
        return data
    if succeeded == 1:
        body = {"code": -2021, "msg": "Order cancel-replace partially failed.", "data": data}
        return EndpointAnswer(status=409, body=body)
    return EndpointAnswer(status=400, body={"code": -2022, "msg": "Order cancel-replace failed.", "data": data})


def open_orders(call: Call) -> list[dict[str, Any]]:
    """Return the open orders of the account, or of one symbol."""
    symbol = call.params.symbol() if call.params.get("symbol") else None
    if symbol is not None:
        call.exchange.market(symbol)
    found = call.exchange.open_orders(call.account, symbol)
    lag_ns = call.faults.list_lag_ns
    late = [o for o in call.exchange.ended_since(call.account, call.now_ns - lag_ns, symbol) if lag_ns]
    if late:
        call.faults.count(Action.LIST_LAG)
    found = sorted((*found, *late), key=lambda order: order.order_id)
    behind_ns = call.faults.list_behind_ns
    listed = [order for order in found if not behind_ns or order.created_ns <= call.now_ns - behind_ns]
    if len(listed) < len(found):
        call.faults.count(Action.LIST_BEHIND)
    return [venue_messages.order_query(o) for o in listed if not call.hidden(o.client_order_id, call.now_ns)]


def _window(params: Params) -> tuple[int | None, int | None]:
    start_ms, end_ms = params.integer("startTime"), params.integer("endTime")
    if start_ms is not None and end_ms is not None and end_ms - start_ms > DAY_MS:
        raise refusals.window_too_long(24)
    return start_ms, end_ms


def _page(found: list[Any], limit: int, *, oldest_first: bool) -> list[Any]:
    return found[:limit] if oldest_first else found[-limit:]


def all_orders(call: Call) -> list[dict[str, Any]]:
    """Return a page of all orders of a symbol."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    limit = call.params.limit(default=500, most=1_000)
    start_ms, end_ms = _window(call.params)
    from_id = call.params.integer("orderId")
    found = [
        order
        for order in call.exchange.orders.values()
        if (order.account, order.symbol) == (call.account, symbol)
        and (from_id is None or order.order_id >= from_id)
        and _inside(order.created_ns, start_ms, end_ms)
        and not call.hidden(order.client_order_id, call.now_ns)
    ]
    oldest_first = from_id is not None or start_ms is not None
    return [venue_messages.order_query(order) for order in _page(found, limit, oldest_first=oldest_first)]


def _inside(time_ns: int, start_ms: int | None, end_ms: int | None) -> bool:
    millis = time_ns // MS
    return (start_ms is None or millis >= start_ms) and (end_ms is None or millis <= end_ms)


def _fills(call: Call, symbol: str) -> Iterable[SimFill]:
    orders = call.exchange.orders.values()
    mine = (fill for o in orders if (o.account, o.symbol) == (call.account, symbol) for fill in o.fills)
    return sorted(mine, key=lambda fill: fill.trade_id)


def my_trades(call: Call) -> list[dict[str, Any]]:
    """Return a page of the account's fills in a symbol."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    limit = call.params.limit(default=500, most=1_000)
    start_ms, end_ms = _window(call.params)
    from_id, order_id = call.params.integer("fromId"), call.params.integer("orderId")
    if from_id is not None and (start_ms is not None or end_ms is not None):
        raise refusals.invalid_combination()
    found = [
        fill
        for fill in _fills(call, symbol)
        if (from_id is None or fill.trade_id >= from_id)
        and (order_id is None or fill.order_id == order_id)
        and not call.faults.is_unlisted(fill.trade_id, fill.order_id, call.now_ns)
        and _inside(fill.time_ns, start_ms, end_ms)
    ]
    oldest_first = from_id is not None or start_ms is not None
    return [venue_messages.my_trade(fill) for fill in _page(found, limit, oldest_first=oldest_first)]


def account(call: Call) -> dict[str, Any]:
    """Return the account with its balances and fee rates."""
    omit_zero = (call.params.get("omitZeroBalances") or "false").lower() == "true"
    return venue_messages.account(call.exchange.accounts[call.account], omit_zero=omit_zero, uid=UID)


def commission(call: Call) -> dict[str, Any]:
    """Return the account's fee rates for a symbol."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    return venue_messages.commission(call.exchange.accounts[call.account], symbol)


def key_restrictions(call: Call) -> dict[str, Any]:
    """Return the rights of the key that signed."""
    rights = call.rights
    return {
        "ipRestrict": rights.is_ip_bound,
        "createTime": KEY_CREATED_MS,
        "enableReading": True,
        "enableWithdrawals": rights.withdraws,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enableSpotAndMarginTrading": rights.trades,
        "enablePortfolioMarginTrading": False,
    }


def order_limits(call: Call) -> list[dict[str, Any]]:
    """Return the account's order counts and their limits."""
    return call.limits.order_usage(call.account, call.now_ns)


def _signed(handler: Any, weight: int) -> Endpoint:
    return Endpoint(handler=handler, weight=fixed(weight), signed=True)


def _trading(handler: Any, weight: int = 1, *, counts_order: bool = False) -> Endpoint:
    return Endpoint(handler=handler, weight=fixed(weight), signed=True, trades=True, counts_order=counts_order)


def _open_orders_weight(params: Params) -> int:
    return 6 if params.get("symbol") else 80


ENDPOINTS: Final = {
    ("POST", "/api/v3/order"): _trading(place, counts_order=True),
    ("POST", "/api/v3/order/test"): _trading(test_order),
    ("POST", "/api/v3/order/cancelReplace"): _trading(cancel_replace, counts_order=True),
    ("PUT", "/api/v3/order/amend/keepPriority"): _trading(amend, 4),
    ("GET", "/api/v3/order"): _signed(query, 4),
    ("DELETE", "/api/v3/order"): _trading(cancel),
    ("GET", "/api/v3/openOrders"): Endpoint(handler=open_orders, weight=_open_orders_weight, signed=True),
    ("DELETE", "/api/v3/openOrders"): _trading(cancel_all),
    ("GET", "/api/v3/allOrders"): _signed(all_orders, 20),
    ("GET", "/api/v3/myTrades"): Endpoint(
        handler=my_trades, weight=lambda params: 5 if params.get("orderId") else 20, signed=True
    ),
    ("GET", "/api/v3/account"): _signed(account, 20),
    ("GET", "/api/v3/account/commission"): _signed(commission, 20),
    ("GET", "/api/v3/rateLimit/order"): _signed(order_limits, 40),
    ("GET", "/sapi/v1/account/apiRestrictions"): _signed(key_restrictions, 1),
}
