"""What people are shown of a session, while it runs and at its end. Values only: engine/live/session.py fills them."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec


class PositionStatus(msgspec.Struct, frozen=True):
    """What a strategy holds of one instrument, and what it made of it."""

    strategy: str
    instrument: str
    quantity: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees_quote: Decimal

    @property
    def pnl(self) -> Decimal:
        return self.realised_pnl + self.unrealised_pnl - self.fees_quote


class SessionStatus(msgspec.Struct, frozen=True):
    """Where a session stands, for people."""

    session: str
    mode: str
    reasons: tuple[str, ...]
    records: int
    messages: int
    orders: int
    fills: int
    gaps: int  # in market data, as far as this session told of them
    filled_last: str  # client order id of the last fill; "" before the first
    held: tuple[PositionStatus, ...]
    waiting: int  # messages that arrived and were not taken yet
    waiting_peak: int
    lag_ns: int  # from the socket read of the last message to its step
    stopped: tuple[tuple[str, str], ...]  # strategies that were stopped, and for what
    refused: int  # wishes that risk refused
    objection: str  # to the first of them
    key_refused: str  # the venue's first word against our key in this session; a halt that was carried over is none


class Summary(msgspec.Struct, frozen=True):
    """How a session ended."""

    folder: Path
    ended: str  # "closed" | "deadline" | "interrupted" | "core" | "journal"
    reason: str
    last: SessionStatus

    @property
    def clean(self) -> bool:
        return self.ended == "closed"


Progress = Callable[[SessionStatus], None]
