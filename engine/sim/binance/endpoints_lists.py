"""Signed endpoints of order lists: place, cancel, query, open lists, all lists."""

from collections.abc import Callable
from typing import Any, Final

from engine.sim.binance import list_messages, list_params, refusals
from engine.sim.binance.endpoints import Call, Endpoint, signed, time_window, trading
from engine.sim.binance.endpoints_orders import response_type
from engine.sim.binance.params import Params
from engine.sim.exchange.order_lists import SimNewList, SimOrderList

MS: Final = 1_000_000


def _placing(read: Callable[[Params], SimNewList]) -> Callable[[Call], dict[str, Any]]:
    """Return the handler that places the lists that `read` reads."""

    def place(call: Call) -> dict[str, Any]:
        kind = response_type(call.params)
        call.exchange.market(call.params.symbol())
        new = read(call.params)
        for _ in new.orders:
            call.limits.require_room(call.account, call.now_ns)
        made, orders = call.exchange.place_list(call.account, new, call.now_ns)
        for order in orders:
            if not order.executed:  # an order that trades at once does not count as unfilled
                call.limits.count_order(call.account, call.now_ns)
        return list_messages.placed_answer(made, orders, kind)

    return place


def _named(call: Call, id_name: str, client_id_name: str) -> SimOrderList | None:
    list_id, client_id = call.params.integer(id_name), call.params.get(client_id_name)
    if list_id is None and client_id is None:
        raise refusals.mandatory_either(client_id_name, id_name)
    return call.exchange.find_list(call.account, list_id=list_id, client_list_id=client_id)


def cancel(call: Call) -> dict[str, Any]:
    """Cancel all open orders of a list."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    own = _named(call, "orderListId", "listClientOrderId")
    client_id = call.params.get("listClientOrderId")
    if own is None or own.symbol != symbol or own.is_done or client_id not in (None, own.client_list_id):
        raise refusals.unknown_order()
    cancel_id = call.params.client_id("newClientOrderId") or call.exchange.cancel_id()
    orders = call.exchange.cancel_list(own, call.now_ns, cancel_client_order_id=cancel_id)
    return list_messages.cancel_answer(own, orders, cancel_id)


def query(call: Call) -> dict[str, Any]:
    """Return a list."""
    own = _named(call, "orderListId", "origClientOrderId")
    if own is None:
        raise refusals.no_such_order()
    return list_messages.list_query(own)


def open_lists(call: Call) -> list[dict[str, Any]]:
    """Return the account's open lists."""
    return [list_messages.list_query(own) for own in call.exchange.open_lists(call.account)]


def all_lists(call: Call) -> list[dict[str, Any]]:
    """Return a page of the account's lists: from an id or a start on the oldest, else the newest."""
    params = call.params
    limit = params.limit(default=500, most=1_000)
    from_id = params.integer("fromId")
    start_ms, end_ms = time_window(params)
    if from_id is not None and (start_ms is not None or end_ms is not None):
        raise refusals.invalid_combination()
    found = [
        own
        for own in call.exchange.lists.values()
        if own.account == call.account
        and (from_id is None or own.list_id >= from_id)
        and (start_ms is None or own.changed_ns // MS >= start_ms)
        and (end_ms is None or own.changed_ns // MS <= end_ms)
    ]
    is_forward = from_id is not None or start_ms is not None
    return [list_messages.list_query(own) for own in (found[:limit] if is_forward else found[-limit:])]


def _placer(read: Callable[[Params], SimNewList]) -> Endpoint:
    return trading(_placing(read), counts_order=True)


ENDPOINTS: Final = {
    ("POST", "/api/v3/order/oco"): _placer(list_params.old_oco),
    ("POST", "/api/v3/orderList/oco"): _placer(list_params.oco),
    ("POST", "/api/v3/orderList/oto"): _placer(list_params.oto),
    ("POST", "/api/v3/orderList/otoco"): _placer(list_params.otoco),
    ("POST", "/api/v3/orderList/opo"): _placer(list_params.opo),
    ("POST", "/api/v3/orderList/opoco"): _placer(list_params.opoco),
    ("DELETE", "/api/v3/orderList"): trading(cancel),
    ("GET", "/api/v3/orderList"): signed(query, 4),
    ("GET", "/api/v3/openOrderList"): signed(open_lists, 6),
    ("GET", "/api/v3/allOrderList"): signed(all_lists, 20),
}
