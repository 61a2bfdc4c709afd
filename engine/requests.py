"""Requests to a venue before they are signed. A request is a value; only the shell performs it.

The journal holds this form: no key, no signature, no timestamp.
"""

from enum import StrEnum

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


PLACING = frozenset({Purpose.PLACE, Purpose.PLACE_LIST})
# the answers to these are public: they become FEED records, not BROKER
FEED_PURPOSES = frozenset({Purpose.DEPTH, Purpose.SERVER_TIME, Purpose.EXCHANGE_INFO, Purpose.HISTORY})


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


class LinkPlan(msgspec.Struct, frozen=True):
    """A websocket connection that the engine wants open."""

    source: str  # e.g. "binance_spot.market.0"
    role: LinkRole
    path: str  # path and query below the venue's host, a template: never a token
