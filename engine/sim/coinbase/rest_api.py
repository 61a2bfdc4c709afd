"""Coinbase's REST interface over the exchange: a request in, an answer out. Holds no connection and no time."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from engine.sim.binance.key_ring import SimKeyRights
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.venue_api import ApiResult
from engine.sim.coinbase import product_endpoints, refusal_bodies, trading_endpoints, wallet_endpoints
from engine.sim.coinbase.request import Request
from engine.sim.coinbase.tokens import HOSTS, TokenError, TokenRing
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.order_values import SimOrder
from engine.sim.faults import Faults
from engine.sim.wire import HttpAnswer, HttpRequest

PREFIX: Final = "/api/v3/brokerage"
ORDER: Final = f"{PREFIX}/orders/historical/"
SECOND_NS: Final = 1_000_000_000
HOUR_NS: Final = 3_600 * SECOND_NS
PRIVATE_MAX: Final = 30  # requests of an account in a second
PUBLIC_MAX: Final = 10  # of an address
HOUR_MAX: Final = 10_000
BEARER: Final = "Bearer "

Handler = Callable[[Request], Any]
PUBLIC: Final[Mapping[str, Handler]] = {
    f"{PREFIX}/time": product_endpoints.server_time,
    f"{PREFIX}/market/products": product_endpoints.products,
    f"{PREFIX}/market/product_book": product_endpoints.product_book,
}
PRIVATE: Final[Mapping[tuple[str, str], Handler]] = {
    ("GET", f"{PREFIX}/accounts"): wallet_endpoints.accounts,
    ("GET", f"{PREFIX}/transaction_summary"): wallet_endpoints.transaction_summary,
    ("GET", f"{PREFIX}/products"): product_endpoints.products,
    ("GET", f"{PREFIX}/product_book"): product_endpoints.product_book,
    ("GET", f"{PREFIX}/orders/historical/batch"): trading_endpoints.listed,
    ("GET", f"{PREFIX}/orders/historical/fills"): trading_endpoints.fills,
}
CHANGING: Final[Mapping[tuple[str, str], Handler]] = {
    ("POST", f"{PREFIX}/orders/batch_cancel"): trading_endpoints.cancel,
    ("POST", f"{PREFIX}/orders/edit"): trading_endpoints.edit,
}


class _Counter:
    """Requests of one caller in a window of the clock."""

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._window = -1
        self._counts: dict[str, int] = {}

    def count(self, caller: str, now_ns: int) -> int:
        """Count a request; return the number of this window."""
        window = now_ns // self._length_ns
        if window != self._window:
            self._window, self._counts = window, {}
        self._counts[caller] = self._counts.get(caller, 0) + 1
        return self._counts[caller]


class CoinbaseApi:
    """An engine.sim.venue_protocol.SimApi."""

    def __init__(
        self,
        exchange: Exchange,
        tokens: TokenRing,
        rights: Mapping[str, SimKeyRights],
        faults: Faults,
        announce_cancel: Callable[[SimOrder], None],
    ) -> None:
        self.exchange = exchange
        self.placed = trading_endpoints.PlacedOrders()
        self.refused_tokens: list[str] = []  # why a token was not accepted, for tests: the answer does not say it
        self._tokens = tokens
        self._rights = rights
        self._faults = faults
        self._announce_cancel = announce_cancel
        self._seconds = _Counter(SECOND_NS)
        self._hours = _Counter(HOUR_NS)

    def rest(self, request: HttpRequest, now_ns: int) -> ApiResult:
        """Return a request's result."""
        own_ns = self._faults.venue_clock_ns(now_ns)
        is_public = request.path in PUBLIC or request.path.startswith(f"{PREFIX}/market/")
        name = ""
        if not is_public:
            try:
                name = self._key_of(request, own_ns)
            except TokenError as error:
                self.refused_tokens.append(str(error))
                return refusal_bodies.unauthorized()
        most = PUBLIC_MAX if is_public else PRIVATE_MAX
        if self._seconds.count(name, now_ns) > most or (name and self._hours.count(name, now_ns) > HOUR_MAX):
            return refusal_bodies.rate_limited()
        account = self._tokens.account(name) if name else ""
        call = Request(
            request, account, own_ns, self.exchange, faults=self._faults, announce_cancel=self._announce_cancel
        )
        try:
            return self._run(request, call, self._rights.get(name, SimKeyRights()))
        except refusal_bodies.RequestRefusedError as refused:
            return refused.result
        except ValueError as error:  # a word that is none of an enumeration, or no number
            return refusal_bodies.invalid_argument(str(error)).result

    def _key_of(self, request: HttpRequest, now_ns: int) -> str:
        given = request.headers.get("authorization", "")
        if not given.startswith(BEARER):
            raise TokenError("no token")
        hosts = {*HOSTS, request.headers.get("host", "")}
        uris = frozenset(f"{request.method} {host}{request.path}" for host in hosts)
        return self._tokens.check(given.removeprefix(BEARER), now_ns, uris=uris)

    def _run(self, request: HttpRequest, call: Request, rights: SimKeyRights) -> ApiResult:
        route = request.method, request.path
        changes = route in CHANGING or route == ("POST", f"{PREFIX}/orders")
        if changes and not rights.trades:
            return refusal_bodies.missing_scopes()
        if route == ("POST", f"{PREFIX}/orders"):
            return _done(trading_endpoints.place(call, self.placed), call.account)
        if route == ("GET", f"{PREFIX}/key_permissions"):
            return _done(wallet_endpoints.key_permissions(call, rights))
        handler = PRIVATE.get(route) or CHANGING.get(route) or (PUBLIC.get(route[1]) if route[0] == "GET" else None)
        if handler is not None:
            return _done(handler(call), call.account)
        if request.method == "GET" and request.path.startswith(ORDER):
            return _done(trading_endpoints.one_order(call, request.path.removeprefix(ORDER)), call.account)
        if request.method == "GET" and "/products/" in request.path:
            product, _, rest = request.path.partition("/products/")[2].partition("/")
            found = {"": product_endpoints.product, "ticker": product_endpoints.ticker}.get(rest)
            if found is not None:
                return _done(found(call, product))
        return refusal_bodies.not_found(
            f"{request.method} {request.path[:100]} is not implemented by this venue"
        ).result

    def refused(self, refusal: VenueRefusalError) -> ApiResult:
        """Return a refusal of a scripted fault in the venue's words."""
        if refusal.status == 429:
            return refusal_bodies.rate_limited()
        return ApiResult(status=refusal.status, body={"error": "INTERNAL", "message": refusal.message})

    def dress(self, result: ApiResult, now_ns: int) -> HttpAnswer:
        """Return a result as an HTTP answer."""
        del now_ns
        if result.html:
            return HttpAnswer(status=result.status, body=result.html, headers=(("Content-Type", "text/html"),))
        headers = [("Content-Type", "application/json"), ("X-Ratelimit-Limit", str(PRIVATE_MAX))]
        if result.status == 429:
            headers.append(("X-Ratelimit-Reset", str(result.retry_after_s or 1)))
        return HttpAnswer(status=result.status, body=msgspec.json.encode(result.body), headers=tuple(headers))


def _done(body: Any, account: str = "") -> ApiResult:
    return ApiResult(status=200, body=body, account=account)
