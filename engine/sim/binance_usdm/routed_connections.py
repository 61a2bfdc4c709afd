"""Websocket connections of USD-M: the three routes, each with its own streams, and the account's listen keys.

A stream on another's route, or on none, is accepted and stays silent, as at Binance since 2026-04-23.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from engine.sim.binance import connections
from engine.sim.binance.connections import Connection

PUBLIC: Final = "public"
MARKET: Final = "market"
PRIVATE: Final = "private"
ROUTES: Final = (PUBLIC, MARKET, PRIVATE)
LISTEN_KEY_NS: Final = 3_600_000_000_000
_PUBLIC_KINDS: Final = ("depth", "bookTicker", "rpiDepth")


def routes_of(stream: str) -> tuple[str, ...]:
    """Return the routes on which a market stream is sent. Single trades are not documented: both routes have them."""
    kind = stream.partition("@")[2] if not stream.startswith("!") else stream[1:]
    if kind == "trade":
        return PUBLIC, MARKET
    return (PUBLIC,) if kind.startswith(_PUBLIC_KINDS) else (MARKET,)


@dataclass(slots=True, kw_only=True)
class RoutedConnection(Connection):
    """A connection of one route; `asked` has its subscriptions, `streams` those that its route carries."""

    route: str = ""
    asked: dict[str, None] = field(default_factory=dict)
    listen_keys: dict[str, None] = field(default_factory=dict)  # of a private connection
    events: frozenset[str] = frozenset()  # wanted account events; empty: all


def open_routed(conn_id: int, target: str) -> RoutedConnection | None:
    """Return the connection for a websocket's request target, or None if the venue does not have the target."""
    path, _, query = target.partition("?")
    options = dict(part.partition("=")[::2] for part in query.split("&") if part)
    if path.rstrip("/") == "/ws-fapi/v1":
        rate_limits = options.get("returnRateLimits") != "false"
        return RoutedConnection(conn_id=conn_id, ws_api=True, rate_limits=rate_limits)
    names = unquote(path).strip("/").split("/")
    route = names.pop(0) if names[0] in ROUTES else ""
    form = names.pop(0) if names else ""
    if form not in ("ws", "stream"):
        return None
    if form == "stream":
        names = [name for name in unquote(options.get("streams", "")).split("/") if name]
    connection = RoutedConnection(conn_id=conn_id, combined=form == "stream", route=route, private=route == PRIVATE)
    if route == PRIVATE:
        keys = [*names, *([options["listenKey"]] if "listenKey" in options else [])]
        connection.listen_keys = dict.fromkeys(keys)
        connection.events = frozenset(part for part in unquote(options.get("events", "")).split("/") if part)
    else:
        connection.asked = dict.fromkeys(name for name in names if "@" in name or name.startswith("!"))
        follow_route(connection)
    return connection


def follow_route(connection: RoutedConnection) -> None:
    """Subscribe a connection to those of its requested streams that its route carries."""
    connection.streams = {name: None for name in connection.asked if connection.route in routes_of(name)}


def control(connection: RoutedConnection, frame: bytes) -> bytes:
    """Carry out a control message and return its answer. Subscriptions on a wrong route are accepted."""
    shown = connection.listen_keys if connection.private else connection.asked
    connection.streams = shown
    answer = connections.control(connection, frame)
    if connection.private:
        connection.listen_keys, connection.streams = connection.streams, {}
    else:
        connection.asked = connection.streams
        follow_route(connection)
    return answer


class ListenKeys:
    """The listen keys of all accounts, and when each ends."""

    def __init__(self) -> None:
        self._until_ns: dict[str, int] = {}  # key -> end
        self._accounts: dict[str, str] = {}  # key -> account
        self._count = 0

    def start(self, account: str, now_ns: int) -> str:
        """Return the account's key, extended; a new one if it has none."""
        key = next((key for key, owner in self._accounts.items() if owner == account), "")
        if not key:
            self._count += 1
            key = f"sim{self._count:03d}{account.encode().hex()}"[:64].ljust(64, "0")
            self._accounts[key] = account
        self._until_ns[key] = now_ns + LISTEN_KEY_NS
        return key

    def extend(self, account: str, now_ns: int) -> str | None:
        """Extend the account's key and return it, or return None if it has none."""
        return self.start(account, now_ns) if account in self._accounts.values() else None

    def stop(self, account: str) -> None:
        """End the account's key."""
        for key in [key for key, owner in self._accounts.items() if owner == account]:
            del self._accounts[key], self._until_ns[key]

    def account(self, key: str) -> str | None:
        """Return the account of a key, or None for an unknown or ended one."""
        return self._accounts.get(key)

    @property
    def next_end_ns(self) -> int | None:
        """Return when the first key ends."""
        return min(self._until_ns.values(), default=None)

    def pop_ended(self, now_ns: int) -> list[tuple[str, str]]:
        """Return and forget the keys that have ended, with their accounts."""
        ended = [(key, self._accounts[key]) for key, until_ns in self._until_ns.items() if until_ns <= now_ns]
        for key, account in ended:
            self.stop(account)
            del key
        return ended
