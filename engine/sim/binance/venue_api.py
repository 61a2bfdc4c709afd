"""Binance's protocol over the exchange: a request in, an answer out, over REST or the WebSocket API.

Checks key, signature, time and limits, calls the endpoint, and formats its result. Holds no connection and no time.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec

from engine.sim.binance import (
    endpoints_account,
    endpoints_lists,
    endpoints_market,
    endpoints_orders,
    endpoints_tickers,
    refusals,
    stated_events,
)
from engine.sim.binance.endpoints import ApiTables, Call, Endpoint, EndpointAnswer, OrderBody, json_of
from engine.sim.binance.key_ring import KeyRing, rest_payload, ws_payload
from engine.sim.binance.known_params import KNOWN, LATER, UNBUILT, UNBUILT_METHODS, check_names
from engine.sim.binance.params import Params, parse_query
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.exchange.exchange import Exchange
from engine.sim.faults import Faults
from engine.sim.wire import HttpAnswer, HttpRequest, StatedAnswer

MS: Final = 1_000_000
ROUTES: Final[dict[tuple[str, str], Endpoint]] = {
    **endpoints_market.ENDPOINTS,
    **endpoints_tickers.ENDPOINTS,
    **endpoints_orders.ENDPOINTS,
    **endpoints_lists.ENDPOINTS,
    **endpoints_account.ENDPOINTS,
}
WS_METHODS: Final = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "depth": ("GET", "/api/v3/depth"),
    "trades.recent": ("GET", "/api/v3/trades"),
    "trades.historical": ("GET", "/api/v3/historicalTrades"),
    "trades.aggregate": ("GET", "/api/v3/aggTrades"),
    "klines": ("GET", "/api/v3/klines"),
    "uiKlines": ("GET", "/api/v3/uiKlines"),
    "avgPrice": ("GET", "/api/v3/avgPrice"),
    "ticker": ("GET", "/api/v3/ticker"),
    "ticker.tradingDay": ("GET", "/api/v3/ticker/tradingDay"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "order.amend.keepPriority": ("PUT", "/api/v3/order/amend/keepPriority"),
    "order.amendments": ("GET", "/api/v3/order/amendments"),
    "orderList.place": ("POST", "/api/v3/order/oco"),
    "orderList.place.oco": ("POST", "/api/v3/orderList/oco"),
    "orderList.place.oto": ("POST", "/api/v3/orderList/oto"),
    "orderList.place.otoco": ("POST", "/api/v3/orderList/otoco"),
    "orderList.place.opo": ("POST", "/api/v3/orderList/opo"),
    "orderList.place.opoco": ("POST", "/api/v3/orderList/opoco"),
    "orderList.cancel": ("DELETE", "/api/v3/orderList"),
    "orderList.status": ("GET", "/api/v3/orderList"),
    "openOrderLists.status": ("GET", "/api/v3/openOrderList"),
    "allOrderLists": ("GET", "/api/v3/allOrderList"),
    "myPreventedMatches": ("GET", "/api/v3/myPreventedMatches"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "myTrades": ("GET", "/api/v3/myTrades"),
    "account.status": ("GET", "/api/v3/account"),
    "account.commission": ("GET", "/api/v3/account/commission"),
    "account.rateLimits.orders": ("GET", "/api/v3/rateLimit/order"),
}
TABLES: Final = ApiTables(
    routes=ROUTES, ws_methods=WS_METHODS, known=KNOWN, later=LATER, unbuilt=UNBUILT, unbuilt_methods=UNBUILT_METHODS
)

RECORDED_HEADERS = (
    "x-mbx-used-weight-1m",
    "x-mbx-order-count-10s",
    "x-mbx-order-count-1m",
    "x-mbx-order-count-1d",
    "retry-after",
    "content-type",
)


class ApiResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an endpoint: status and body, a refusal's headers, and the account whose order it counted."""

    status: int
    body: Any
    account: str = ""
    retry_after_s: int | None = None
    counted_order: bool = False
    html: bytes = b""  # the body of a firewall's answer, which is no JSON


def refused(refusal: VenueRefusalError, account: str = "") -> ApiResult:
    """Return a refusal as a result."""
    return ApiResult(
        status=refusal.status,
        body={"code": refusal.code, "msg": refusal.message},
        account=account,
        retry_after_s=refusal.retry_after_s,
    )


class VenueApi:
    """The endpoints with their checks, for both transports."""

    def __init__(
        self, exchange: Exchange, keys: KeyRing, limits: RequestLimits, faults: Faults, tables: ApiTables = TABLES
    ) -> None:
        self.tables = tables
        self.exchange = exchange
        self.keys = keys
        self.limits = limits
        self._faults = faults
        self.stated_for = ""  # the engine's name of the venue if plain answers are handed over as its events

    def rest(self, request: HttpRequest, now_ns: int) -> ApiResult:
        """Return a REST request's result. May raise NotYetError."""
        endpoint = self.tables.routes.get((request.method, request.path))
        if endpoint is None:
            if request.path in self.tables.unbuilt:
                return refused(refusals.not_implemented(f"{request.method} {request.path}"))
            known = any(path == request.path for _, path in self.tables.routes)
            status, text = (405, "Method Not Allowed") if known else (404, "Not Found")
            return ApiResult(status=status, body={"code": -1000, "msg": text})
        payload: bytes | None = None
        if request.params is not None:
            params = Params(request.params, listed=self.exchange.markets)
        else:
            params = Params(parse_query(request.query), parse_query(request.body), listed=self.exchange.markets)
            payload = rest_payload(request.query, request.body)
        try:
            if request.headers.get("x-mbx-time-unit", "MILLISECOND").upper() != "MILLISECOND":
                raise refusals.not_implemented("X-MBX-TIME-UNIT: MICROSECOND")
            check_names(self.tables, (request.method, request.path), params.names, signed=endpoint.signed)
        except VenueRefusalError as refusal:
            return refused(refusal)
        return self._run(endpoint, params, request.headers.get("x-mbx-apikey"), payload, now_ns)

    def ws(self, method: str, values: dict[str, str], now_ns: int) -> ApiResult:
        """Return a WebSocket API request's result, for the methods that have a REST twin. May raise NotYetError."""
        route = self.tables.ws_methods[method]
        endpoint = self.tables.routes[route]
        check_names(self.tables, route, values, signed=endpoint.signed, ws=True)
        params = Params(values.items(), listed=self.exchange.markets)
        return self._run(endpoint, params, values.get("apiKey"), ws_payload(values), now_ns)

    def authenticate(self, values: dict[str, str], now_ns: int) -> str:
        """Return the account of a signed WebSocket API request, or refuse it."""
        self.limits.spend(2, now_ns)
        server_ms = self._faults.venue_clock_ns(now_ns) // MS
        return self.keys.check(values.get("apiKey"), ws_payload(values), Params(values.items()), server_ms)

    def _run(
        self, endpoint: Endpoint, params: Params, api_key: str | None, payload: bytes | None, now_ns: int
    ) -> ApiResult:
        own_ns = self._faults.venue_clock_ns(now_ns)
        account = ""
        try:
            self.limits.spend(endpoint.weight(params), now_ns)
            if endpoint.signed:
                account = self.keys.check(api_key, payload, params, own_ns // MS)
            elif endpoint.keyed:
                account = self.keys.account(api_key)
            rights = self.keys.rights(api_key)
            if endpoint.trades and not rights.trades:
                raise refusals.unknown_key()  # the same text for a wrong key and for a missing right
            body = endpoint.handler(
                Call(
                    exchange=self.exchange,
                    limits=self.limits,
                    params=params,
                    account=account,
                    rights=rights,
                    now_ns=own_ns,
                    hidden=self._faults.hidden,
                    faults=self._faults,
                )
            )
        except VenueRefusalError as refusal:
            return refused(refusal, account)
        if isinstance(body, EndpointAnswer):
            return ApiResult(status=body.status, body=body.body, account=account)
        if not self.stated_for:
            body = json_of(body)
        return ApiResult(status=200, body=body, account=account, counted_order=endpoint.counts_order)

    @staticmethod
    def refused(refusal: VenueRefusalError) -> ApiResult:
        """Return a refusal as a result."""
        return refused(refusal)

    def dress(self, result: ApiResult, now_ns: int) -> HttpAnswer:
        """Return a result as an HTTP answer with Binance's headers."""
        if result.html:
            return HttpAnswer(status=result.status, body=result.html, headers=(("Content-Type", "text/html"),))
        return _dressed(result, *self._counts(result, now_ns))

    def state(self, result: ApiResult, now_ns: int) -> StatedAnswer | None:
        """Return a result as the events that its HTTP answer states; None if the answer is to be written."""
        body = result.body
        if not isinstance(body, OrderBody):
            return None
        events = stated_events.answered(self.stated_for, body.order, with_fills=body.with_fills)
        if events is None:
            return None
        weight, counts = self._counts(result, now_ns)
        proof = stated_events.proved(weight, counts)
        return StatedAnswer((proof, *events), partial(_dressed, result, weight, counts))

    def _counts(self, result: ApiResult, now_ns: int) -> tuple[int, dict[str, int]]:
        """Return the request weight that was used, and the order counts if the request counts as an order."""
        counts = self.limits.order_counts(result.account, now_ns) if result.counted_order else {}
        return self.limits.weight_used(now_ns), counts


def _dressed(result: ApiResult, weight: int, counts: Mapping[str, int]) -> HttpAnswer:
    headers = [
        ("Content-Type", "application/json;charset=UTF-8"),
        ("X-MBX-USED-WEIGHT", str(weight)),
        ("X-MBX-USED-WEIGHT-1M", str(weight)),
        *((f"X-MBX-ORDER-COUNT-{name}", str(count)) for name, count in counts.items()),
    ]
    if result.retry_after_s is not None:
        headers.append(("Retry-After", str(result.retry_after_s)))
    return HttpAnswer(status=result.status, body=msgspec.json.encode(json_of(result.body)), headers=tuple(headers))


class WsApiRequest(msgspec.Struct):
    """A frame of the WebSocket API. The answer repeats the id byte for byte."""

    method: str
    id: msgspec.Raw = msgspec.Raw(b"null")
    params: msgspec.Raw = msgspec.Raw(b"")


def ws_answer(request_id: msgspec.Raw, result: ApiResult, usage: list[dict[str, Any]] | None, now_ns: int) -> bytes:
    """Return a result as a WebSocket API answer. A `usage` of None leaves the rate limits out."""
    answer: dict[str, Any] = {"id": request_id, "status": result.status}
    if result.status == 200:
        answer["result"] = result.body
    else:
        error = dict(result.body or {})
        if result.retry_after_s is not None:  # here an instant, not a duration as in the REST header
            until_ms = now_ns // MS + result.retry_after_s * 1_000
            error["data"] = {"serverTime": now_ns // MS, "retryAfter": until_ms}
        answer["error"] = error
    if usage is not None:
        answer["rateLimits"] = usage
    return msgspec.json.encode(answer)


def unknown_method() -> VenueRefusalError:
    """Return the refusal of a method that does not exist."""
    return refusals.VenueRefusalError(400, -1020, "This operation is not supported.")


def recorded_headers(answer: HttpAnswer) -> dict[str, str]:
    """Return the headers of an answer that a session in virtual time records."""
    named = answer.named
    return {name: named[name] for name in RECORDED_HEADERS if name in named}
