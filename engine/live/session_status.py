"""The status of a session, for people: while it runs and at its end. Values only."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from engine.live.session_end import EndedBy
from engine.session_context import SessionContext
from engine.state.orders import EXTERNAL
from engine.state.session_state import State
from journal.record import plain


class PositionStatus(msgspec.Struct, frozen=True):
    """A strategy's position in one instrument, and its profit and loss."""

    strategy: str
    instrument: str
    quantity: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees_quote: Decimal

    @property
    def pnl(self) -> Decimal:
        """Return realised and unrealised P&L less fees."""
        return self.realised_pnl + self.unrealised_pnl - self.fees_quote


class SessionStatus(msgspec.Struct, frozen=True):
    """The status of a session at one moment. Counts are since its start."""

    session: str
    mode: str
    reasons: tuple[str, ...]
    records: int
    messages: int
    orders: int
    fills: int
    gaps: int  # in market data
    last_fill: str  # client order id; "" before the first
    positions: tuple[PositionStatus, ...]
    waiting: int  # messages that arrived and are not processed yet
    waiting_peak: int
    lag_ns: int  # from the socket read of the last message to the end of its step
    stopped: tuple[tuple[str, str], ...]  # strategies that were stopped, and why
    refused: int  # intents that risk refused
    first_objection: str  # of risk, to the first of them
    key_refused: (
        str  # the venue's first answer against our key in this session; "" also after a halt that was carried over
    )


class Summary(msgspec.Struct, frozen=True):
    """The way in which a session ended."""

    folder: Path
    ended: EndedBy
    reason: str
    last: SessionStatus

    @property
    def clean(self) -> bool:
        """Return True if the session ended in order."""
        return self.ended is EndedBy.CLOSED


def exposure(session: SessionContext, state: State) -> dict[str, Any]:
    """Return, as JSON values, what is open, and which safety orders are in force."""
    account = state.account
    live = account.orders.live_by_age()
    return {
        "mode": str(account.modes.mode),
        "reasons": [reason.text for reason in account.modes.reasons],
        "safety": [order.title for order in account.safety.active],
        "left": list(account.safety.left),
        "orders": [order.client_order_id for order in live if session.is_ours(order)],
        "others": [order.client_order_id for order in live if not session.is_ours(order)],
        "positions": [
            {"strategy": held.strategy, "instrument": held.instrument, "quantity": plain(held.quantity)}
            for _, held in sorted(account.positions.by_key.items())
            if held.quantity and held.strategy != EXTERNAL
        ],
    }


Progress = Callable[[SessionStatus], None]
