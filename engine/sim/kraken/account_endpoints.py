"""Endpoints of the simulated Kraken that list balances, orders and fills, and issue tokens."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from engine.sim.exchange.order_values import SimFill, SimOrder
from engine.sim.faults import Action
from engine.sim.kraken import words
from engine.sim.kraken.pair_rules import rest_asset
from engine.sim.kraken.refusals import refusal
from engine.sim.kraken.request import Request
from engine.sim.units import plain

PAGE: Final = 50


def _balances(request: Request) -> dict[str, Any]:
    funds = request.exchange.accounts[request.account]
    return {rest_asset(name): plain(funds.total(name)) for name in funds.free}


def _balances_with_holds(request: Request) -> dict[str, Any]:
    funds = request.exchange.accounts[request.account]
    return {
        rest_asset(name): {"balance": plain(funds.total(name)), "hold_trade": plain(funds.locked[name])}
        for name in funds.free
    }


def _listed(request: Request, orders: Iterable[SimOrder]) -> dict[str, Any]:
    """Return the orders that a request may see, by their ids: those of its client id, if it names one."""
    wanted = request.params.get("cl_ord_id", "")
    return {
        words.order_id(order.order_id): words.rest_order(order)
        for order in orders
        if wanted in ("", words.client_id(order)) and not request.faults.hidden(order.client_order_id, request.now_ns)
    }


def _open(request: Request) -> dict[str, Any]:
    """Return open orders. While the list lags, an order that ended is shown as it was."""
    orders = request.exchange.open_orders(request.account)
    if lag_ns := request.faults.list_lag_ns:
        ended = request.exchange.ended_since(request.account, request.now_ns - lag_ns, None)
        orders = [*orders, *ended]
        if ended:
            request.faults.count(Action.LIST_LAG)
    return {"open": _listed(request, orders)}


def _closed(request: Request) -> dict[str, Any]:
    """Return a page of the orders that ended, newest first."""
    own = [each for each in request.exchange.orders.values() if each.account == request.account and not each.is_open]
    if lag_ns := request.faults.list_lag_ns:
        own = [each for each in own if each.updated_ns <= request.now_ns - lag_ns]
    listed = _listed(request, sorted(own, key=lambda order: (-order.updated_ns, -order.order_id)))
    start = request.offset()
    return {"closed": dict(list(listed.items())[start : start + PAGE]), "count": len(listed)}


def _query(request: Request) -> dict[str, Any]:
    orders = [request.exchange.orders.get(words.number_of(name)) for name in request.required("txid").split(",")]
    own = [order for order in orders if order is not None and order.account == request.account]
    if len(own) != len(orders):
        raise refusal("EOrder:Unknown order")
    return _listed(request, own)


def _fills(request: Request) -> dict[str, Any]:
    """Return a page of fills between two times, newest first, with the number of all of them."""
    after_ns, until_ns = request.seconds_ns("start"), request.seconds_ns("end")
    found: list[tuple[SimFill, SimOrder]] = [
        (fill, order)
        for order in request.exchange.orders.values()
        if order.account == request.account
        for fill in order.fills
        if (after_ns is None or fill.time_ns > after_ns) and (until_ns is None or fill.time_ns <= until_ns)
    ]
    if lag_ns := request.faults.list_lag_ns:
        found = [each for each in found if each[0].time_ns <= request.now_ns - lag_ns]
    found.sort(key=lambda each: (-each[0].time_ns, -each[0].trade_id))
    start = request.offset()
    page = found[start : start + PAGE]
    return {"trades": {words.fill_id(fill): words.rest_trade(order, fill) for fill, order in page}, "count": len(found)}


def _token(request: Request) -> dict[str, Any]:
    return {"token": request.tokens.issue(request.api_key, request.now_ns), "expires": 900}


def _key_info(request: Request) -> dict[str, Any]:
    rights = request.tokens.rights(request.api_key)
    granted = ["query-funds", "query-open-trades", "query-closed-trades", "create-ws-token"]
    granted += ["modify-trades", "close-trades"] if rights.trades else []
    granted += ["withdraw-funds"] if rights.withdraws else []
    return {
        "api_key_name": "simulated", "api_key": request.api_key, "nonce_window": "0", "permissions": granted,
        "ip_allowlist": ["127.0.0.1"] if rights.is_ip_bound else [],
    }  # fmt: skip


ENDPOINTS: Final[Mapping[str, Callable[[Request], Any]]] = {
    "Balance": _balances,
    "BalanceEx": _balances_with_holds,
    "OpenOrders": _open,
    "ClosedOrders": _closed,
    "QueryOrders": _query,
    "TradesHistory": _fills,
    "GetWebSocketsToken": _token,
    "GetApiKeyInfo": _key_info,
}
