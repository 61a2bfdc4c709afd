"""The parameters of each endpoint: those that the venue reads, and those of Binance that it does not implement.

Binance refuses a parameter that it does not read; an answer that ignores one would look like an answer that obeys it
(rest-api.md and errors.md of 2026-07-21).
"""

from collections.abc import Collection
from typing import Final

from engine.sim.binance import list_params, refusals
from engine.sim.binance.endpoints import ApiTables

SIGNED: Final = frozenset({"timestamp", "signature", "recvWindow"})
WS: Final = frozenset({"apiKey", "returnRateLimits"})
# (signed, over the WebSocket API) -> what each of these requests may have
_ALWAYS: Final[dict[tuple[bool, bool], frozenset[str]]] = {
    (signed, ws): (SIGNED if signed else frozenset()) | (WS if ws else frozenset())
    for signed in (False, True)
    for ws in (False, True)
}
_MANY: Final = "symbol symbols"
_ORDER: Final = (
    "symbol side type timeInForce quantity quoteOrderQty price newClientOrderId stopPrice trailingDelta icebergQty "
    "newOrderRespType selfTradePreventionMode"
)
_ORDER_LATER: Final = "strategyId strategyType pegPriceType pegOffsetValue pegOffsetType"
_REPLACE: Final = (
    "cancelReplaceMode cancelOrderId cancelOrigClientOrderId cancelNewClientOrderId cancelRestrictions "
    "orderRateLimitExceededMode"
)
_WINDOW: Final = "symbol startTime endTime limit"

# (method, path) -> what is read, what Binance reads beside it
_PARAMS: Final[dict[tuple[str, str], tuple[str, str]]] = {
    ("GET", "/api/v3/ping"): ("", ""),
    ("GET", "/api/v3/time"): ("", ""),
    ("GET", "/api/v3/exchangeInfo"): (f"{_MANY} permissions showPermissionSets symbolStatus", ""),
    ("GET", "/api/v3/depth"): ("symbol limit symbolStatus", ""),
    ("GET", "/api/v3/trades"): ("symbol limit", ""),
    ("GET", "/api/v3/historicalTrades"): ("symbol limit fromId", ""),
    ("GET", "/api/v3/aggTrades"): (f"{_WINDOW} fromId", ""),
    ("GET", "/api/v3/klines"): (f"{_WINDOW} interval timeZone", ""),
    ("GET", "/api/v3/uiKlines"): (f"{_WINDOW} interval timeZone", ""),
    ("GET", "/api/v3/avgPrice"): ("symbol", ""),
    ("GET", "/api/v3/ticker"): (f"{_MANY} windowSize type symbolStatus", ""),
    ("GET", "/api/v3/ticker/price"): (f"{_MANY} symbolStatus", ""),
    ("GET", "/api/v3/ticker/bookTicker"): (f"{_MANY} symbolStatus", ""),
    ("GET", "/api/v3/ticker/24hr"): (f"{_MANY} type symbolStatus", ""),
    ("GET", "/api/v3/ticker/tradingDay"): (f"{_MANY} timeZone type symbolStatus", ""),
    ("POST", "/api/v3/order"): (_ORDER, _ORDER_LATER),
    ("POST", "/api/v3/order/test"): (f"{_ORDER} computeCommissionRates", _ORDER_LATER),
    ("POST", "/api/v3/order/cancelReplace"): (f"{_ORDER} {_REPLACE}", _ORDER_LATER),
    ("PUT", "/api/v3/order/amend/keepPriority"): ("symbol orderId origClientOrderId newClientOrderId newQty", ""),
    ("GET", "/api/v3/order/amendments"): ("symbol orderId fromExecutionId limit", ""),
    **{("POST", f"/api/v3/{path}"): names for path, names in list_params.PARAMS.items()},
    ("GET", "/api/v3/orderList"): ("orderListId origClientOrderId", ""),
    ("DELETE", "/api/v3/orderList"): ("symbol orderListId listClientOrderId newClientOrderId", ""),
    ("GET", "/api/v3/allOrderList"): ("fromId startTime endTime limit", ""),
    ("GET", "/api/v3/openOrderList"): ("", ""),
    ("GET", "/api/v3/myPreventedMatches"): ("symbol preventedMatchId orderId fromPreventedMatchId limit", ""),
    ("GET", "/api/v3/order"): ("symbol orderId origClientOrderId", ""),
    ("DELETE", "/api/v3/order"): ("symbol orderId origClientOrderId newClientOrderId cancelRestrictions", ""),
    ("GET", "/api/v3/openOrders"): ("symbol", ""),
    ("DELETE", "/api/v3/openOrders"): ("symbol", ""),
    ("GET", "/api/v3/allOrders"): (f"{_WINDOW} orderId", ""),
    ("GET", "/api/v3/myTrades"): (f"{_WINDOW} orderId fromId", ""),
    ("GET", "/api/v3/account"): ("omitZeroBalances", ""),
    ("GET", "/api/v3/account/commission"): ("symbol", ""),
    ("GET", "/api/v3/rateLimit/order"): ("", ""),
    ("GET", "/sapi/v1/account/apiRestrictions"): ("", ""),
}
KNOWN: Final = {route: frozenset(read.split()) for route, (read, _) in _PARAMS.items()}
LATER: Final = {route: frozenset(later.split()) for route, (_, later) in _PARAMS.items()}

# paths and methods of Binance Spot that this venue does not have
_UNBUILT: Final = """
executionRules historicalBlockTrades referencePrice referencePrice/calculation sor/order sor/order/test myAllocations
myFilters
"""
UNBUILT: Final = frozenset(f"/api/v3/{path}" for path in _UNBUILT.split())
_UNBUILT_METHODS: Final = """
executionRules blockTrades.historical referencePrice referencePrice.calculation sor.order.place sor.order.test
myAllocations myFilters
"""
UNBUILT_METHODS: Final = frozenset(_UNBUILT_METHODS.split())


def check_names(
    tables: ApiTables, route: tuple[str, str], names: Collection[str], *, signed: bool, ws: bool = False
) -> None:
    """Refuse a request with a parameter that its endpoint does not read."""
    read = tables.known[route] | _ALWAYS[signed, ws]
    if read.issuperset(names):
        return
    sent = list(names)
    unread = [name for name in sent if name not in read]
    if unread[0] in tables.later[route]:
        raise refusals.not_implemented(f"parameter '{unread[0]}'")
    raise refusals.unread_parameters(len(sent) - len(unread), len(sent))
