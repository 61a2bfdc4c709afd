"""What we ask of a venue, before it is signed. A request is a value; only the shell performs it.

It is journalled in this form: it never holds a key, a signature or a timestamp.
"""

from enum import StrEnum

import msgspec

FEED_PURPOSES = frozenset(
    {"depth", "server_time", "exchange_info"}
)  # whose answers anyone may see: FEED records, not BROKER


class Transport(StrEnum):
    REST = "rest"
    WS_API = "ws_api"  # a request over the account's websocket connection


class Unsigned(msgspec.Struct, frozen=True):
    """One message to a venue without what makes it ours: key, timestamp, signature join in the shell."""

    transport: Transport
    method: str  # HTTP method, or the WS API's method name
    path: str  # "" on the WS API
    params: tuple[tuple[str, str], ...]  # in sending order
    signed: bool
    weight: int = 1  # request weight in the venue's own count
    orders: int = 0  # how many orders it counts as


class LinkPlan(msgspec.Struct, frozen=True):
    """A websocket connection that the engine wants open."""

    source: str  # e.g. "binance_spot.market.0"
    role: str  # "market" | "private"
    path: str  # path and query below the venue's host, a template: never a token
