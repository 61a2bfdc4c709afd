"""Endpoints: handler, weight and security, in one table for REST and the WebSocket API.

A handler gets a Call and returns JSON values, or an OrderBody, which makes them when they are needed. It raises
VenueRefusalError to refuse, NotYetError to run again later.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from engine.sim.binance import refusals
from engine.sim.binance.key_ring import SimKeyRights
from engine.sim.binance.params import Params
from engine.sim.binance.request_limits import RequestLimits
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.order_values import SimOrder
from engine.sim.faults import Faults

DAY_MS: Final = 86_400_000


class NotYetError(Exception):  # no error: the answer comes later
    """The depth of this symbol is unknown so far, because the capture's snapshot comes later."""

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self.symbol = symbol


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request whose key, signature and time have been checked. `account` is empty for public endpoints."""

    exchange: Exchange
    limits: RequestLimits
    params: Params
    account: str
    now_ns: int
    rights: SimKeyRights = SimKeyRights()  # of the key that signed
    hidden: Callable[[str, int], bool]  # (client order id, now): is this order still kept from queries by a fault?
    faults: Faults


class EndpointAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer whose status is not 200 although it is no refusal (cancelReplace that partly failed)."""

    status: int
    body: Any


class OrderBody(msgspec.Struct, frozen=True):
    """The JSON of an order as it was, which `form` makes: the FULL answer to its placement, or that to its cancel."""

    order: SimOrder
    form: Callable[[SimOrder], dict[str, Any]]
    with_fills: bool = False

    @property
    def json(self) -> dict[str, Any]:
        """The JSON values."""
        return self.form(self.order)


def json_of(body: Any) -> Any:
    """Return a handler's result as JSON values."""
    return body.json if isinstance(body, OrderBody) else body


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint: its handler, its request weight, and whether it is signed and counts as an order."""

    handler: Callable[[Call], Any]
    weight: Callable[[Params], int]
    signed: bool = False
    keyed: bool = False  # needs a key, but no signature
    trades: bool = False  # needs a key with the right to trade
    counts_order: bool = False


class ApiTables(msgspec.Struct, frozen=True, kw_only=True):
    """One protocol: its endpoints, their parameters, and the parts of the imitated venue that it lacks."""

    routes: Mapping[tuple[str, str], Endpoint]  # (method, path)
    ws_methods: Mapping[str, tuple[str, str]]  # WebSocket API method -> its route
    known: Mapping[tuple[str, str], frozenset[str]]  # route -> parameters that are read
    later: Mapping[tuple[str, str], frozenset[str]]  # route -> parameters that are refused as not implemented
    unbuilt: frozenset[str] = frozenset()  # paths
    unbuilt_methods: frozenset[str] = frozenset()  # of the WebSocket API


def fixed(weight: int) -> Callable[[Params], int]:
    """Return a weight that does not depend on the parameters."""
    return lambda _: weight


def signed(handler: Callable[[Call], Any], weight: int) -> Endpoint:
    """Return a signed endpoint that changes nothing."""
    return Endpoint(handler=handler, weight=fixed(weight), signed=True)


def trading(handler: Callable[[Call], Any], weight: int = 1, *, counts_order: bool = False) -> Endpoint:
    """Return a signed endpoint for keys with the right to trade."""
    return Endpoint(handler=handler, weight=fixed(weight), signed=True, trades=True, counts_order=counts_order)


def time_window(params: Params) -> tuple[int | None, int | None]:
    """Return startTime and endTime in milliseconds, at most a day apart."""
    start_ms, end_ms = params.integer("startTime"), params.integer("endTime")
    if start_ms is not None and end_ms is not None and end_ms - start_ms > DAY_MS:
        raise refusals.window_too_long(24)
    return start_ms, end_ms


Json = msgspec.Raw | dict[str, Any] | list[Any]
