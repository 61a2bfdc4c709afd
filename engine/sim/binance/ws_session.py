"""Session and subscription methods of the websocket API; the other methods go to the API's endpoints."""

from typing import Any, Final

from engine.sim.binance.connections import Connection
from engine.sim.binance.refusals import (
    VenueRefusalError,
    not_implemented,
    subscription_active,
    subscription_inactive,
)
from engine.sim.binance.venue_api import ApiResult, VenueApi, unknown_method

MS: Final = 1_000_000


def session_result(
    api: VenueApi, connection: Connection, method: str, values: dict[str, str], now_ns: int
) -> ApiResult:
    """Answer a request of the websocket API; the session and subscription methods change the connection."""
    body: Any
    match method:
        case "userDataStream.subscribe.signature":
            account = api.authenticate(values, now_ns)
            if account in connection.accounts.values():
                raise subscription_active()
            number = connection.subscription_next
            connection.subscription_next += 1
            connection.accounts[number] = account
            body = {"subscriptionId": number}
        case "userDataStream.unsubscribe":
            number_text = values.get("subscriptionId")
            if number_text is None:
                connection.accounts.clear()
            elif connection.accounts.pop(int(number_text) if number_text.isdecimal() else -1, None) is None:
                raise subscription_inactive()
            body = {}
        case "session.subscriptions":
            body = [{"subscriptionId": number} for number in connection.accounts]
        case "session.status" | "session.logout":
            body = {
                "apiKey": None,
                "authorizedSince": None,
                "connectedSince": None,
                "returnRateLimits": connection.rate_limits,
                "serverTime": now_ns // MS,
                "userDataStream": bool(connection.accounts),
            }
        case "session.logon" | "userDataStream.subscribe":
            raise VenueRefusalError(400, -4056, "HMAC_SHA256 API key is not supported.")
        case _ if method in api.tables.ws_methods:
            return api.ws(method, values, now_ns)
        case _ if method in api.tables.unbuilt_methods:
            raise not_implemented(method)
        case _:
            raise unknown_method()
    return ApiResult(status=200, body=body)
