"""The rows of acts, as they are cached and sent to the page. Times count from the session's first record."""

from typing import Any

import msgspec

from engine.lifecycle import Status
from journal.record import Kind

KINDS = (Kind.INTENT, Kind.VERDICT, Kind.REQUEST, Kind.FACT, Kind.NOTE, Kind.LINK, Kind.COMMAND, Kind.BROKER)
MARKS = ("decision", "refusal", "order", "fill", "gap", "link", "unknown", "mode", "alarm", "command")
TEXT_MAX = 300  # characters of a text of a venue or a strategy
VALUES_MAX = 24  # values of a rationale that are kept


class OrderRow(msgspec.Struct):
    """One order: its terms, and each change of its status."""

    id: str
    strategy: str
    instrument: str
    side: str
    type: str
    terms: str
    quantity: str
    price: str  # "": without a limit
    stop_price: str
    origin: str  # placed, carried, adopted
    seq: int  # of its REQUEST
    time: int  # session time less the session's start
    status: str = Status.PENDING.value
    venue_id: str = ""
    filled: str = "0"
    notional: str = "0"
    end_seq: int = 0  # 0: it lives
    end_time: int = 0
    reason: str = ""
    cancel_seq: int = 0
    changes: list[tuple[int, int, str, str, str]] = []  # seq, time, status, filled, reason
    amended: list[tuple[int, int, str, str]] = []  # seq, time, and the quantity and price that it had until then


class FillRow(msgspec.Struct):
    """One fill."""

    seq: int
    time: int
    id: str
    strategy: str
    instrument: str
    side: str
    price: str
    quantity: str
    fee: str
    fee_asset: str
    maker: bool
    late: bool


class IntentRow(msgspec.Struct):
    """One intent with its verdict."""

    seq: int
    time: int
    id: str
    strategy: str
    kind: str
    instrument: str
    side: str
    quantity: str
    price: str
    terms: str
    about: str  # the order that it cancels or amends
    values: dict[str, Any]
    quote_seq: int | None = None
    verdict_seq: int = 0
    approved: bool | None = None
    rule: str = ""
    objection: str = ""


class Acts(msgspec.Struct):
    """All rows, each list in the order of its records."""

    orders: dict[str, OrderRow] = {}
    fills: list[FillRow] = []
    intents: list[IntentRow] = []
    figures: list[tuple[int, dict[str, tuple[str, str, str]]]] = []  # seq of the verdict, what each limit compared
    modes: list[tuple[int, int, str, list[str]]] = []
    notes: list[tuple[int, int, str, str]] = []
    links: list[tuple[int, int, str, str, str]] = []  # seq, time, source, event, reason
    commands: list[tuple[int, int, str, str, str, str]] = []  # seq, time, command, by, reason, about
    gaps: list[list[Any]] = []  # seq, from, to or None, link, instrument, reason, cause
    unknowns: list[list[Any]] = []  # seq, from, to or None, order, reason
    pnl: list[tuple[int, int, str, str, str, str, str, str, str, str]] = []
    portfolio: list[tuple[int, int, str, str, str, str, str, str, str]] = []
    positions: list[tuple[int, int, str, str, str, str, str, str]] = []
    balances: list[tuple[int, int, str, str, str]] = []
    checks: list[tuple[int, int, str, str, str, str]] = []  # own books against the venue's
    changes: list[tuple[int, int, str, dict[str, Any]]] = []  # of strategies' declared state
    safety: list[tuple[int, int, str, str]] = []  # breakers, safety orders, blocks, cool-downs, loss limits
    wire: list[tuple[int, int, int, str, int, int]] = []  # request, answer, time, purpose, ns to the wire, ns answered
    marks: dict[str, list[tuple[int, int]]] = {}
    counts: dict[str, int] = {}
    waiting: dict[int, tuple[int, str]] = {}  # request -> its time and purpose
    last_seq: int = -1


def new_acts() -> Acts:
    """Return acts without a row."""
    return Acts(marks={name: [] for name in MARKS})
