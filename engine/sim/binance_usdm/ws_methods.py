"""Methods of USD-M's WebSocket API; all of them go to the endpoints of REST."""

from typing import Final

from engine.sim.binance.connections import Connection
from engine.sim.binance.refusals import VenueRefusalError, not_implemented
from engine.sim.binance.venue_api import ApiResult, VenueApi, unknown_method

MS: Final = 1_000_000
WS_METHODS: Final = {
    "depth": ("GET", "/fapi/v1/depth"),
    "ticker.price": ("GET", "/fapi/v2/ticker/price"),
    "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
    "order.place": ("POST", "/fapi/v1/order"),
    "order.modify": ("PUT", "/fapi/v1/order"),
    "order.cancel": ("DELETE", "/fapi/v1/order"),
    "order.status": ("GET", "/fapi/v1/order"),
    "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
    "account.position": ("GET", "/fapi/v2/positionRisk"),
    "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
    "account.balance": ("GET", "/fapi/v2/balance"),
    "v2/account.balance": ("GET", "/fapi/v3/balance"),
    "account.status": ("GET", "/fapi/v2/account"),
    "v2/account.status": ("GET", "/fapi/v3/account"),
    "userDataStream.start": ("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": ("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": ("DELETE", "/fapi/v1/listenKey"),
}
UNBUILT_METHODS: Final = frozenset({"session.status", "session.logout"})


def session_result(
    api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
) -> ApiResult:
    """Answer a request of the WebSocket API."""
    del connection
    if method == "session.logon":
        raise VenueRefusalError(400, -4056, "HMAC_SHA256 API key is not supported.")
    if method in api.tables.ws_methods:
        return api.ws(method, values, now_ns)
    if method in UNBUILT_METHODS:
        raise not_implemented(method)
    raise unknown_method()
