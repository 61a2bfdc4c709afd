"""Signed endpoints that read: orders, fills, prevented matches, account.

They turn parameters into calls of the exchange and its values into JSON.
"""

from collections.abc import Iterable
from typing import Any, Final

from engine.sim.binance import refusals, venue_messages
from engine.sim.binance.endpoints import Call, Endpoint, signed, time_window
from engine.sim.binance.order_listing import listed_orders
from engine.sim.binance.params import Params
from engine.sim.exchange.order_values import SimFill, SimPreventedMatch

MS: Final = 1_000_000
UID: Final = 354_937_868
KEY_CREATED_MS: Final = 1_698_645_219_000


def open_orders(call: Call) -> list[dict[str, Any]]:
    """Return the open orders of the account, or of one symbol."""
    return [venue_messages.order_query(order) for order in listed_orders(call)]


def _page(found: list[Any], limit: int, *, oldest_first: bool) -> list[Any]:
    return found[:limit] if oldest_first else found[-limit:]


def all_orders(call: Call) -> list[dict[str, Any]]:
    """Return a page of all orders of a symbol."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    limit = call.params.limit(default=500, most=1_000)
    start_ms, end_ms = time_window(call.params)
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
    start_ms, end_ms = time_window(call.params)
    from_id, order_id = call.params.integer("fromId"), call.params.integer("orderId")
    if (from_id, order_id) != (None, None) and (start_ms, end_ms) != (None, None):
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
    orders = call.exchange.orders
    page = _page(found, limit, oldest_first=oldest_first)
    return [venue_messages.my_trade(fill, orders[fill.order_id].list_id) for fill in page]


def prevented_matches(call: Call) -> list[dict[str, Any]]:
    """Return the account's prevented matches by their id, or a page of those of an order."""
    symbol = call.params.symbol()
    call.exchange.market(symbol)
    match_id, order_id = call.params.integer("preventedMatchId"), call.params.integer("orderId")
    from_id, limit = call.params.integer("fromPreventedMatchId"), call.params.limit(default=500, most=1_000)
    if (match_id is None) == (order_id is None) or (match_id is not None and from_id is not None):
        raise refusals.invalid_combination()
    orders = call.exchange.orders.values()
    mine = (o for o in orders if (o.account, o.symbol) == (call.account, symbol) and order_id in (None, o.order_id))
    found: dict[int, SimPreventedMatch] = {each.match_id: each for o in mine for each in o.prevented_matches}
    wanted = [
        found[number]
        for number in sorted(found)
        if match_id in (None, number) and (from_id is None or number >= from_id)
    ]
    return [venue_messages.prevented_match(each) for each in wanted[:limit]]


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


def _open_orders_weight(params: Params) -> int:
    return 6 if params.get("symbol") else 80


ENDPOINTS: Final = {
    ("GET", "/api/v3/openOrders"): Endpoint(handler=open_orders, weight=_open_orders_weight, signed=True),
    ("GET", "/api/v3/allOrders"): signed(all_orders, 20),
    ("GET", "/api/v3/myTrades"): Endpoint(
        handler=my_trades, weight=lambda params: 5 if params.get("orderId") else 20, signed=True
    ),
    ("GET", "/api/v3/myPreventedMatches"): Endpoint(
        handler=prevented_matches, weight=lambda params: 20 if params.get("orderId") else 2, signed=True
    ),
    ("GET", "/api/v3/account"): signed(account, 20),
    ("GET", "/api/v3/account/commission"): signed(commission, 20),
    ("GET", "/api/v3/rateLimit/order"): signed(order_limits, 40),
    ("GET", "/sapi/v1/account/apiRestrictions"): signed(key_restrictions, 1),
}
