"""The REST interface of the simulated Kraken: checks, endpoints, and answers with HTTP 200 and a list of errors."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from engine.sim.binance.params import parse_query
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.binance.venue_api import ApiResult
from engine.sim.exchange.exchange import Exchange
from engine.sim.faults import Faults
from engine.sim.kraken import account_endpoints, order_endpoints, public_endpoints
from engine.sim.kraken.counters import VenueCounters
from engine.sim.kraken.refusals import OK, refusal, words_of
from engine.sim.kraken.request import Request, pair_names
from engine.sim.kraken.tokens import Tokens
from engine.sim.wire import HttpAnswer, HttpRequest

PUBLIC: Final = "/0/public/"
PRIVATE: Final = "/0/private/"
FAILED: Final = 500  # and above: the answer of a server in front of the venue, which is HTML
FAILURE_PAGE: Final = b"<html><head><title>520: Web server is returning an unknown error</title></head></html>"
_PRIVATE: Final[Mapping[str, Callable[[Request], Any]]] = {**account_endpoints.ENDPOINTS, **order_endpoints.ENDPOINTS}


class KrakenApi:
    """An engine.sim.venue_protocol.SimApi."""

    def __init__(
        self,
        exchange: Exchange,
        tokens: Tokens,
        counters: VenueCounters,
        faults: Faults,
        switch: Callable[[Request], dict[str, Any]],
    ) -> None:
        self._exchange = exchange
        self._tokens = tokens
        self._counters = counters
        self._faults = faults
        self._pairs = pair_names(exchange)
        self._private = {**_PRIVATE, "CancelAllOrdersAfter": switch}

    def rest(self, request: HttpRequest, now_ns: int) -> ApiResult:
        """Return a request's result."""
        try:
            if request.path.startswith(PUBLIC):
                return self._run(public_endpoints.ENDPOINTS, request.path.removeprefix(PUBLIC), request, now_ns)
            if request.path.startswith(PRIVATE) and request.method == "POST":
                return self._run(self._private, request.path.removeprefix(PRIVATE), request, now_ns)
            raise refusal("EGeneral:Unknown Method")
        except VenueRefusalError as refused:
            return self.refused(refused)

    def _run(
        self, endpoints: Mapping[str, Callable[[Request], Any]], name: str, request: HttpRequest, now_ns: int
    ) -> ApiResult:
        own_ns = self._faults.venue_clock_ns(now_ns)
        endpoint = endpoints.get(name)
        params, api_key = _params(request), ""
        if endpoints is self._private:
            api_key = self._tokens.check(request.path, request.headers, params.get("nonce", ""), request.body)
            self._counters.count_request(api_key, name, own_ns)
            if name in order_endpoints.ENDPOINTS and not self._tokens.rights(api_key).trades:
                raise refusal("EGeneral:Permission denied")
        if endpoint is None:
            raise refusal("EGeneral:Unknown Method")
        call = Request(
            exchange=self._exchange,
            tokens=self._tokens,
            counters=self._counters,
            faults=self._faults,
            pairs=self._pairs,
            params=params,
            now_ns=own_ns,
            account=self._tokens.owner(api_key) if api_key else "",
            api_key=api_key,
        )
        return ApiResult(status=OK, body={"error": [], "result": endpoint(call)})

    def refused(self, refusal: VenueRefusalError) -> ApiResult:
        """Return a refusal as a result: a list of errors with HTTP 200, or the page of a server that fails."""
        if refusal.status >= FAILED:
            return ApiResult(status=refusal.status, body=None, html=FAILURE_PAGE)
        return ApiResult(status=OK, body={"error": [words_of(refusal)]})

    def dress(self, result: ApiResult, now_ns: int) -> HttpAnswer:
        """Return a result as an HTTP answer. The venue states its counters nowhere."""
        del now_ns
        if result.html:
            return HttpAnswer(status=result.status, body=result.html, headers=(("Content-Type", "text/html"),))
        headers = (("Content-Type", "application/json"),)
        return HttpAnswer(status=result.status, body=msgspec.json.encode(result.body), headers=headers)


def _params(request: HttpRequest) -> dict[str, str]:
    """Return the parameters of a query, a form or a JSON body, as texts."""
    if request.headers.get("content-type", "").startswith("application/json") and request.body:
        try:
            found = msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.DecodeError:
            raise refusal("EAPI:Bad request") from None
        return {name: value if isinstance(value, str) else str(value) for name, value in found.items()}
    return dict([*parse_query(request.query), *parse_query(request.body)])
