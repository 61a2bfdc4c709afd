"""Requests to a venue before they are signed. A request is a value; only the shell performs it.

The journal holds this form: no key, no signature, no timestamp.
"""

from enum import StrEnum
from typing import ClassVar

import msgspec


class Purpose(StrEnum):
    """The aim of a request."""

    PLACE = "place"
    CANCEL = "cancel"
    QUERY_ORDER = "query_order"
    OPEN_ORDERS = "open_orders"
    ACCOUNT = "account"
    FILLS = "fills"
    DEPTH = "depth"
    SERVER_TIME = "server_time"
    EXCHANGE_INFO = "exchange_info"
    SUBSCRIBE = "subscribe"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    ARM_SWITCH = "arm_switch"  # of a dead-man switch: the venue cancels our orders unless it is armed again in time
    DISARM_SWITCH = "disarm_switch"
    RESUBSCRIBE = "resubscribe"  # one stream of an instrument, over its living link
    PROBE = "probe"  # a query over a private link that proves its subscription
    AMEND = "amend"
    HISTORY = "history"  # bars from before the session
    PLACE_LIST = "place_list"  # several orders at once: one of them ends or activates the others
    POSITIONS = "positions"  # of contracts
    FUNDINGS = "fundings"
    POSITION_MODE = "position_mode"  # whether the account has long and short positions apart
    CONTRACT_SETTINGS = "contract_settings"  # leverage and margin mode
    SET_LEVERAGE = "set_leverage"
    SET_MARGIN_MODE = "set_margin_mode"
    RENEW_TOKEN = "renew_token"  # keeps the token of a private link alive  # noqa: S105 - no secret
    POLL = "poll"  # one stream of an instrument over REST, for a link without a socket


PLACING = frozenset({Purpose.PLACE, Purpose.PLACE_LIST})
# the answers to these are public: they become FEED records, not BROKER
FEED_PURPOSES = frozenset({Purpose.DEPTH, Purpose.SERVER_TIME, Purpose.EXCHANGE_INFO, Purpose.HISTORY, Purpose.POLL})


class LinkRole(StrEnum):
    """The kind of messages on a websocket connection."""

    MARKET = "market"
    PRIVATE = "private"  # an account's events


class LinkPhase(StrEnum):
    """The phase of a connection."""

    DOWN = "down"
    OPENING = "opening"
    UP = "up"  # the socket is open
    READY = "ready"  # the venue confirmed the subscription (market links: as soon as the socket is open)


class AnswerStatus(StrEnum):
    """The end of a request on the wire."""

    ANSWER = "answer"
    TIMEOUT = "timeout"  # proves nothing
    CUT = "cut"  # proves nothing
    NOT_SENT = "not_sent"  # no byte left


class Transport(StrEnum):
    """Ways to send a request."""

    REST = "rest"
    WS_API = "ws_api"  # a request over the account's websocket connection


class Unsigned(msgspec.Struct, frozen=True):
    """One message to a venue; the shell adds key, timestamp and signature."""

    transport: Transport
    method: str  # HTTP method, or the WS API's method name
    path: str  # "" on the WS API
    params: tuple[tuple[str, str], ...]  # in sending order
    signed: bool
    weight: int = 1  # request weight in the venue's own count
    orders: int = 0  # how many orders it counts as


class HistoryPage(msgspec.Struct, frozen=True):
    """A page of a history: the candles of `base_ns` between two times. Bars of `interval_ns` are made of them."""

    interval_ns: int
    base_ns: int
    start_ns: int
    end_ns: int
    series_end_ns: int  # where the whole history ends: with this page, if its end is the same

    @property
    def is_last(self) -> bool:
        """True if no page follows."""
        return self.end_ns >= self.series_end_ns


class PolledStream(msgspec.Struct, frozen=True):
    """A stream of an instrument that is read over REST, again and again."""

    instrument: str
    stream: str  # quote, trade or book
    every_ns: int  # from one request to the next

    @property
    def key(self) -> str:
        """The name of the stream in timers and records."""
        return f"{self.instrument}/{self.stream}"

    @classmethod
    def from_key(cls, key: str, every_ns: int = 0) -> "PolledStream":
        """Return the stream with a key: that of the record with an answer, for instance."""
        instrument, _, stream = key.rpartition("/")
        return cls(instrument, stream, every_ns)


class LinkPlan(msgspec.Struct, frozen=True):
    """A connection that the engine wants open: a websocket, or one without a socket whose streams are polled."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"polled"})

    source: str  # e.g. "binance_spot.market.0"
    role: LinkRole
    path: str  # path and query below the venue's host, a template: never a token
    polled: bool = False  # no socket: polls bring its market data, rounds of reconciliation its account
