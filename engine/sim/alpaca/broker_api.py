"""Alpaca's HTTP interface over the desk: key, limit, then the endpoint. An engine.sim.venue_protocol.SimApi."""

import hmac
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from engine.sim.alpaca import account_bodies, broker_refusals
from engine.sim.alpaca.broker_exchange import BrokerExchange
from engine.sim.alpaca.broker_orders import BrokerOrder
from engine.sim.alpaca.minute_limit import MinuteLimit
from engine.sim.alpaca.order_desk import OrderDesk
from engine.sim.alpaca.order_requests import OrderBody, read_body
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.venue_api import ApiResult
from engine.sim.faults import Faults
from engine.sim.wire import HttpAnswer, HttpRequest
from engine.venues.timestamps import nanoseconds

ORDERS_MAX: Final = 500
LISTED: Final = 50  # unless a limit is named
PAGE_MAX: Final = 100
DATE_LETTERS: Final = 10
Query = dict[str, str]


class _Call(NamedTuple):
    """One request whose key was checked."""

    account: str
    name: str  # the rest of the path: an id or a symbol
    query: Query
    body: bytes
    now_ns: int


class BrokerApi:
    """The endpoints of the Trading API."""

    def __init__(
        self,
        exchange: BrokerExchange,
        desk: OrderDesk,
        keys: dict[str, tuple[str, str]],
        limit: MinuteLimit,
        faults: Faults,
    ) -> None:
        self._exchange = exchange
        self._desk = desk
        self._keys = keys
        self._limit = limit
        self._faults = faults

    def rest(self, request: HttpRequest, now_ns: int) -> ApiResult:
        """Return a request's result."""
        try:
            account = self.account_of(
                request.headers.get("apca-api-key-id", ""), request.headers.get("apca-api-secret-key", "")
            )
            self._limit.spend(now_ns)
            handle, name = self._route(request.method, request.path)
            query = dict(parse_qsl(request.query.decode("ascii", "replace")))
            return handle(_Call(account, name, query, request.body, self._faults.venue_clock_ns(now_ns)))
        except VenueRefusalError as refusal:
            return self.refused(refusal)

    def account_of(self, key: str, secret: str) -> str:
        """Return the account of a key, or refuse it."""
        account, known = self._keys.get(key, ("", ""))
        if not account or not hmac.compare_digest(known.encode(), secret.encode()):
            raise broker_refusals.unauthorized()
        return account

    def refused(self, refusal: VenueRefusalError) -> ApiResult:
        """Return a refusal as a result, in the broker's words."""
        told = broker_refusals.in_brokers_words(refusal)
        more = told.more if isinstance(told, broker_refusals.BrokerRefusalError) else {}
        return ApiResult(status=told.status, body={"code": told.code, "message": told.message, **more})

    def dress(self, result: ApiResult, now_ns: int) -> HttpAnswer:
        """Return a result with the headers of the limit; its reset is in seconds."""
        if result.html:
            return HttpAnswer(status=result.status, body=result.html, headers=(("Content-Type", "text/html"),))
        headers = (("Content-Type", "application/json; charset=UTF-8"), *self._limit.headers(now_ns))
        body = b"" if result.status == 204 else msgspec.json.encode(result.body)
        return HttpAnswer(status=result.status, body=body, headers=headers)

    def _route(self, method: str, path: str) -> tuple[Callable[[_Call], ApiResult], str]:
        if (exact := self._exact.get((method, path))) is not None:
            return exact.__get__(self), ""
        for (verb, prefix), handler in self._below.items():
            if verb == method and path.startswith(prefix) and len(path) > len(prefix):
                return handler.__get__(self), unquote(path.removeprefix(prefix))
        raise broker_refusals.not_found(f"endpoint {method} {path}")

    # ---- orders

    def _place(self, call: _Call) -> ApiResult:
        order = self._desk.place(call.account, read_body(call.body), call.now_ns)
        queued = order.sim is None
        return _ok(order.body(None if queued else _untraded(order), "accepted" if queued else "pending_new"))

    def _list(self, call: _Call) -> ApiResult:
        wanted, query = call.query.get("status", "open"), call.query
        limit = min(_count(query.get("limit", "")) or LISTED, ORDERS_MAX)
        symbols = set(query["symbols"].split(",")) if query.get("symbols") else None
        after, until = _time(query.get("after")), _time(query.get("until"))
        found = [
            order
            for order in self._desk.orders.list_all(call.account)
            if (wanted == "all" or order.is_open is (wanted == "open"))
            and (symbols is None or order.new.symbol in symbols)
            and query.get("side", order.new.side.value.lower()) == order.new.side.value.lower()
            and (not after or order.submitted_ns > after)
            and (not until or order.submitted_ns < until)
            and not self._faults.hidden(order.client_order_id, call.now_ns)
        ]
        if query.get("direction", "desc") == "desc":
            found.reverse()
        return _ok([order.body() for order in found[:limit]])

    def _by_client_id(self, call: _Call) -> ApiResult:
        order = self._desk.orders.by_client_id(call.account, call.query.get("client_order_id", ""))
        return self._shown(order, call)

    def _one(self, call: _Call) -> ApiResult:
        return self._shown(self._desk.orders.get(call.account, call.name), call)

    def _shown(self, order: BrokerOrder | None, call: _Call) -> ApiResult:
        if order is None or self._faults.hidden(order.client_order_id, call.now_ns):
            raise broker_refusals.not_found("order")
        return _ok(order.body())

    def _named(self, call: _Call) -> BrokerOrder:
        order = self._desk.orders.get(call.account, call.name)
        if order is None:
            raise broker_refusals.not_found(f"order {call.name[:60]}")
        return order

    def _cancel(self, call: _Call) -> ApiResult:
        self._desk.cancel(self._named(call), call.now_ns)
        return ApiResult(status=204, body=None)

    def _cancel_all(self, call: _Call) -> ApiResult:
        """Cancel every order of the account, also of other programs."""
        told = []
        for order in [each for each in self._desk.orders.open() if each.account == call.account]:
            if order.status != "pending_cancel":
                self._desk.cancel(order, call.now_ns)
                told.append({"id": order.order_id, "status": 200})
        return ApiResult(status=207, body=told)

    def _replace(self, call: _Call) -> ApiResult:
        made = self._desk.replace(self._named(call), read_body(call.body), call.now_ns)
        return _ok(made.body(_untraded(made), "pending_replace" if made.sim is not None else "accepted"))

    # ---- the account

    def _account(self, call: _Call) -> ApiResult:
        return _ok(account_bodies.account(self._exchange, call.account))

    def _configurations(self, call: _Call) -> ApiResult:
        del call
        return _ok(
            {
                "no_shorting": True,
                "suspend_trade": False,
                "fractional_trading": True,
                "max_margin_multiplier": "1",
                "trade_confirm_email": "none",
                "ptp_no_exception_entry": False,
            }
        )

    def _positions(self, call: _Call) -> ApiResult:
        return _ok(self._held(call.account))

    def _held(self, account: str) -> list[dict[str, Any]]:
        queued: dict[str, int] = {}
        for order in self._desk.orders.open():
            if order.account == account and order.sim is None and order.new.side.sign < 0:
                base = self._exchange.markets[order.new.symbol].rules.base
                queued[base] = queued.get(base, 0) + order.leaves
        return account_bodies.positions(self._exchange, account, queued)

    def _position(self, call: _Call) -> ApiResult:
        return _ok(self._position_named(call))

    def _position_named(self, call: _Call) -> dict[str, Any]:
        """Return the position of a name, which has no slash: the symbol of a crypto order is not found here."""
        for held in self._held(call.account):
            if call.name in (held["symbol"], held["asset_id"]):
                return held
        raise broker_refusals.not_found("position")

    def _close(self, call: _Call) -> ApiResult:
        return _ok(self._sell(call, self._position_named(call), call.query.get("qty")))

    def _sell(self, call: _Call, held: dict[str, Any], quantity: str | None) -> dict[str, Any]:
        symbol = next(name for name in self._exchange.markets if name.replace("/", "") == held["symbol"])
        in_force = "gtc" if "/" in symbol else "day"
        body = OrderBody(symbol, "sell", "market", in_force, qty=quantity or held["qty"])
        order = self._desk.place(call.account, body, call.now_ns)
        return order.body(_untraded(order), "pending_new")

    def _close_all(self, call: _Call) -> ApiResult:
        if call.query.get("cancel_orders") == "true":
            self._cancel_all(call)
        told = []
        for held in self._held(call.account):
            try:
                told.append({"symbol": held["symbol"], "status": 200, "body": self._sell(call, held, None)})
            except VenueRefusalError as refusal:
                result = self.refused(refusal)
                told.append({"symbol": held["symbol"], "status": result.status, "body": result.body})
        return ApiResult(status=207, body=told)

    def _activities(self, call: _Call) -> ApiResult:
        query = call.query
        if call.name not in ("", "FILL"):
            return _ok([])
        size = _count(query["page_size"]) if "page_size" in query else PAGE_MAX
        if not 0 < size <= PAGE_MAX:
            raise broker_refusals.unprocessable("page_size must be between 1 and 100")
        after, until = _time(query.get("after")), _time(query.get("until"))
        found = []
        for order in self._desk.orders.list_all(call.account):
            if order.sim is None or query.get("order_id", order.order_id) != order.order_id:
                continue
            traded = 0
            for fill in order.sim.fills:
                traded += fill.quantity
                is_inside = (not after or fill.time_ns > after) and (not until or fill.time_ns < until)
                if is_inside and not self._faults.is_unlisted(fill.trade_id, fill.order_id, call.now_ns):
                    found.append((fill.time_ns, fill.trade_id, account_bodies.activity(order, fill, traded)))
        found.sort(key=lambda each: each[:2], reverse=query.get("direction", "desc") != "asc")
        page = [body for _, _, body in found]
        if token := query.get("page_token"):
            at = next((place for place, body in enumerate(page) if body["id"] == token), None)
            page = page[at + 1 :] if at is not None else []
        return _ok(page[:size])

    # ---- the venue

    def _assets(self, call: _Call) -> ApiResult:
        wanted = call.query.get("asset_class")
        found = [account_bodies.asset(market) for market in self._exchange.markets.values()]
        status = call.query.get("status")
        return _ok([each for each in found if wanted in (None, each["class"]) and status in (None, each["status"])])

    def _asset(self, call: _Call) -> ApiResult:
        for market in self._exchange.markets.values():
            if call.name in (
                market.rules.symbol,
                market.rules.symbol.replace("/", ""),
                account_bodies.asset_id(market),
            ):
                return _ok(account_bodies.asset(market))
        raise broker_refusals.not_found(f"asset {call.name[:40]}")

    def _clock(self, call: _Call) -> ApiResult:
        return _ok(account_bodies.clock(self._desk.hours, call.now_ns))

    def _calendar(self, call: _Call) -> ApiResult:
        start, end = call.query.get("start", ""), call.query.get("end", "9999")
        return _ok([day for day in account_bodies.calendar(self._desk.hours) if start <= day["date"] <= end])

    _exact: Final[dict[tuple[str, str], Callable[["BrokerApi", _Call], ApiResult]]] = {
        ("POST", "/v2/orders"): _place,
        ("GET", "/v2/orders"): _list,
        ("DELETE", "/v2/orders"): _cancel_all,
        ("GET", "/v2/orders:by_client_order_id"): _by_client_id,
        ("GET", "/v2/account"): _account,
        ("GET", "/v2/account/configurations"): _configurations,
        ("GET", "/v2/account/activities"): _activities,
        ("GET", "/v2/positions"): _positions,
        ("DELETE", "/v2/positions"): _close_all,
        ("GET", "/v2/assets"): _assets,
        ("GET", "/v2/clock"): _clock,
        ("GET", "/v2/calendar"): _calendar,
    }
    _below: Final[dict[tuple[str, str], Callable[["BrokerApi", _Call], ApiResult]]] = {
        ("GET", "/v2/orders/"): _one,
        ("PATCH", "/v2/orders/"): _replace,
        ("DELETE", "/v2/orders/"): _cancel,
        ("GET", "/v2/account/activities/"): _activities,
        ("GET", "/v2/positions/"): _position,
        ("DELETE", "/v2/positions/"): _close,
        ("GET", "/v2/assets/"): _asset,
    }


def _ok(body: Any) -> ApiResult:
    return ApiResult(status=200, body=body)


def _untraded(order: BrokerOrder) -> Any:
    """Return the exchange's order as the answer to its placement shows it: routed, and not traded yet."""
    return None if order.sim is None else msgspec.structs.replace(order.sim, executed=0, executed_quote=0)


def _count(text: str) -> int:
    """Return a number of a query; 0 for another text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _time(text: str | None) -> int:
    """Return a time or a date of a query; 0 without one."""
    if not text:
        return 0
    try:
        return nanoseconds(f"{text}T00:00:00Z" if len(text) == DATE_LETTERS else text.replace(" ", "+"))
    except ValueError:
        raise broker_refusals.unprocessable(f"cannot parse time {text[:40]}") from None
