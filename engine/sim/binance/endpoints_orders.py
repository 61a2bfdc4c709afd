"""Signed endpoints that place, test, amend, cancel and replace single orders.

They turn parameters into calls of the exchange and its values into JSON.
"""

from copy import copy
from functools import partial
from typing import Any, Final

from engine.sim.binance import filters, list_messages, refusals, venue_messages
from engine.sim.binance.endpoints import Call, Endpoint, EndpointAnswer, OrderBody, json_of, signed, trading
from engine.sim.binance.params import Params, new_order
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.exchange.order_values import SimNewOrder, SimOrder, SimOrderStatus
from engine.sim.units import product

MS: Final = 1_000_000
_RESPONSES: Final = ("ACK", "RESULT", "FULL")
_RESTRICTIONS: Final = {
    "ONLY_NEW": SimOrderStatus.NEW,
    "ONLY_PARTIALLY_FILLED": SimOrderStatus.PARTIALLY_FILLED,
}
# text of a refusal by the matching -> reject reason of the report
_REJECT_REASONS: Final = {
    refusals.insufficient_balance().message: "INSUFFICIENT_BALANCES",
    refusals.would_trigger().message: "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
    refusals.would_match().message: "WOULD_MATCH_IMMEDIATELY",
}


def response_type(params: Params) -> str | None:
    """Return the requested form of the answer."""
    kind = params.get("newOrderRespType")
    if kind is not None and kind not in _RESPONSES:
        raise refusals.invalid_parameter("newOrderRespType")
    return kind


def place(call: Call) -> dict[str, Any] | OrderBody:
    """Place an order."""
    kind = response_type(call.params)
    new = new_order(call.params)
    call.exchange.market(new.symbol)
    call.limits.require_room(call.account, call.now_ns)
    order = call.exchange.place(call.account, new, call.now_ns)
    if not order.executed:  # an order that trades at once does not count as unfilled
        call.limits.count_order(call.account, call.now_ns)
    if kind != "FULL":
        return venue_messages.order_answer(order, kind)
    placed = copy(order)
    placed.fills = list(order.fills)  # later fills are not part of the answer
    return OrderBody(placed, venue_messages.order_full, with_fills=True)


def test_order(call: Call) -> dict[str, Any]:
    """Check an order without placing it."""
    response_type(call.params)
    with_rates = call.params.flag("computeCommissionRates")
    new = new_order(call.params)
    call.exchange.check(call.account, new)
    return venue_messages.commission_for_order(call.exchange.accounts[call.account]) if with_rates else {}


def named_order(call: Call, id_name: str = "orderId", client_id_name: str = "origClientOrderId") -> SimOrder | None:
    """Return the order that a request names by its id or its client id."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    order_id, client_id = call.params.integer(id_name), call.params.get(client_id_name)
    if order_id is None and client_id is None:
        raise refusals.mandatory_either(client_id_name, id_name)
    return call.exchange.find(call.account, symbol, order_id=order_id, client_order_id=client_id)


def query(call: Call) -> dict[str, Any]:
    """Return an order."""
    order = named_order(call)
    if order is None or call.hidden(order.client_order_id, call.now_ns):
        raise refusals.no_such_order()
    return venue_messages.order_query(order)


def _cancel(call: Call, order: SimOrder | None, restrictions: str | None, id_name: str) -> dict[str, Any] | OrderBody:
    """Cancel an order, and with it all of its list. `id_name` is the parameter with the cancel's own id."""
    if restrictions is not None and restrictions not in _RESTRICTIONS:
        raise refusals.invalid_restrictions()
    if order is None or not order.is_open:
        raise refusals.unknown_order()
    if restrictions is not None and order.status is not _RESTRICTIONS[restrictions]:
        raise refusals.cancel_restricted()
    cancel_id = call.params.client_id(id_name) or call.exchange.cancel_id()
    if order.list_id >= 0:
        own = call.exchange.lists[order.list_id]
        orders = call.exchange.cancel_list(own, call.now_ns, cancel_client_order_id=cancel_id)
        return list_messages.cancel_answer(own, orders, cancel_id)
    call.exchange.cancel(order, call.now_ns, cancel_client_order_id=cancel_id)
    return OrderBody(copy(order), partial(venue_messages.cancel_answer, cancel_client_order_id=cancel_id))


def cancel(call: Call) -> dict[str, Any] | OrderBody:
    """Cancel an order."""
    return _cancel(call, named_order(call), call.params.get("cancelRestrictions"), "newClientOrderId")


def cancel_all(call: Call) -> list[dict[str, Any]]:
    """Cancel all open orders of a symbol; the answer has the single orders, then the lists."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    orders = call.exchange.open_orders(call.account, symbol)
    if not orders:
        raise refusals.unknown_order()
    cancel_id = call.exchange.cancel_id()  # Binance gives all of them one new id
    answers = []
    for order in [order for order in orders if order.list_id < 0]:
        call.exchange.cancel(order, call.now_ns, cancel_client_order_id=cancel_id)
        answers.append(venue_messages.cancel_answer(order, cancel_id))
    for list_id in dict.fromkeys(order.list_id for order in orders if order.list_id >= 0):
        own = call.exchange.lists[list_id]
        ended = call.exchange.cancel_list(own, call.now_ns, cancel_client_order_id=cancel_id)
        answers.append(list_messages.cancel_answer(own, ended, cancel_id))
    return answers


def amend(call: Call) -> dict[str, Any]:
    """Reduce an open order, which keeps its place in the queue and gets a new client order id."""
    order = named_order(call)
    quantity = call.params.amount("newQty")
    if not quantity:
        raise refusals.mandatory("newQty")
    if order is None or not order.is_open:
        raise refusals.no_such_order()
    market = call.exchange.market(order.symbol)
    if "amendAllowed" in market.rules.forbidden:
        raise refusals.amend_rejected(filters.PERMISSIONS["amendAllowed"])
    has_price = order.terms.price is not None
    filters.check_quantity(market.rules, quantity, has_price=has_price)
    price = order.price or order.stop_price or market.average_price()
    filters.check_notional(market.rules, product(price, quantity), has_price=has_price)
    old_id = order.client_order_id
    client_id = call.params.client_id("newClientOrderId") or call.exchange.cancel_id()
    execution_id = call.exchange.amend(order, quantity, call.now_ns, client_order_id=client_id)
    answer = {
        "transactTime": order.updated_ns // MS,
        "executionId": execution_id,
        "amendedOrder": venue_messages.amended_order(order, old_id),
    }
    if order.list_id >= 0:
        answer["listStatus"] = list_messages.amended_list(call.exchange.lists[order.list_id])
    return answer


def amendments(call: Call) -> list[dict[str, Any]]:
    """Return a page of an order's amendments, oldest first."""
    call.params.required("orderId")
    order = named_order(call)
    if order is None:
        raise refusals.no_such_order()
    from_id = call.params.integer("fromExecutionId") or 0
    limit = call.params.limit(default=500, most=1_000)
    found = [amendment for amendment in order.amendments if amendment.execution_id >= from_id]
    return [venue_messages.amendment(order, each) for each in found[:limit]]


def _refused(refusal: VenueRefusalError) -> dict[str, Any]:
    return {"code": refusal.code, "msg": refusal.message}


def cancel_replace(call: Call) -> Any:
    """Cancel, then place: two steps that can fail apart. Filters and the order count are checked before both."""
    mode = call.params.required("cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise refusals.invalid_parameter("cancelReplaceMode")
    over_limit = call.params.get("orderRateLimitExceededMode") or "DO_NOTHING"
    if over_limit not in ("DO_NOTHING", "CANCEL_ONLY"):
        raise refusals.invalid_parameter("orderRateLimitExceededMode")
    kind = response_type(call.params)
    new = new_order(call.params)
    filters.check_permission(call.exchange.market(new.symbol).rules, "cancelReplaceAllowed")
    call.exchange.check(call.account, new)
    no_room: VenueRefusalError | None = None
    try:
        call.limits.require_room(call.account, call.now_ns)
        call.limits.count_order(call.account, call.now_ns)  # counts even where the new order is not attempted
    except VenueRefusalError as refusal:
        if over_limit == "DO_NOTHING":
            raise
        no_room = refusal
    data: dict[str, Any] = {"cancelResult": "SUCCESS", "newOrderResult": "NOT_ATTEMPTED", "cancelResponse": None,
                            "newOrderResponse": None}  # fmt: skip
    try:
        order = named_order(call, "cancelOrderId", "cancelOrigClientOrderId")
        # newClientOrderId is the new order's
        restrictions = call.params.get("cancelRestrictions")
        data["cancelResponse"] = json_of(_cancel(call, order, restrictions, "cancelNewClientOrderId"))
    except VenueRefusalError as refusal:
        data |= {"cancelResult": "FAILURE", "cancelResponse": _refused(refusal)}
    if data["cancelResult"] == "SUCCESS" or mode == "ALLOW_FAILURE":
        data |= _replacement(call, new, kind, no_room, report=data["cancelResult"] == "SUCCESS")
    over = no_room is not None and mode == "STOP_ON_FAILURE"
    return _both_results(data, is_over_limit=over)


def _replacement(
    call: Call, new: SimNewOrder, kind: str | None, no_room: VenueRefusalError | None, *, report: bool
) -> dict[str, Any]:
    """Place the new order and return its half of the answer."""
    try:
        if no_room is not None:
            raise no_room
        placed = call.exchange.place(call.account, new, call.now_ns)
    except VenueRefusalError as refusal:
        if report and refusal.message in _REJECT_REASONS:
            call.exchange.report_rejected(call.account, new, _REJECT_REASONS[refusal.message], call.now_ns)
        return {"newOrderResult": "FAILURE", "newOrderResponse": _refused(refusal)}
    if placed.executed:
        call.limits.order_traded(call.account, call.now_ns)
    return {"newOrderResult": "SUCCESS", "newOrderResponse": venue_messages.order_answer(placed, kind)}


def _both_results(data: dict[str, Any], *, is_over_limit: bool) -> Any:
    succeeded = (data["cancelResult"] == "SUCCESS") + (data["newOrderResult"] == "SUCCESS")
    if succeeded == 2:
        return data
    if succeeded == 1:
        body = {"code": -2021, "msg": "Order cancel-replace partially failed.", "data": data}
        return EndpointAnswer(status=429 if is_over_limit else 409, body=body)
    body = {"code": -2022, "msg": "Order cancel-replace failed.", "data": data}
    return EndpointAnswer(status=429 if is_over_limit else 400, body=body)


ENDPOINTS: Final = {
    ("POST", "/api/v3/order"): trading(place, counts_order=True),
    ("POST", "/api/v3/order/test"): Endpoint(
        handler=test_order,
        weight=lambda params: 20 if params.get("computeCommissionRates") == "true" else 1,
        signed=True,
        trades=True,
    ),
    ("POST", "/api/v3/order/cancelReplace"): trading(cancel_replace, counts_order=True),
    ("PUT", "/api/v3/order/amend/keepPriority"): trading(amend, 4),
    ("GET", "/api/v3/order/amendments"): signed(amendments, 4),
    ("GET", "/api/v3/order"): signed(query, 4),
    ("DELETE", "/api/v3/order"): trading(cancel),
    ("DELETE", "/api/v3/openOrders"): trading(cancel_all),
}
