"""The losses of the day computed last, kept beside the account: levels, checks and orders of a step read the same.

The P&L is known for the same positions, lines and marks; the losses for the same P&L, day and parts of the day; a
reason for the same losses. Parts are immutable, so the same object has the same content. After a move, only the
positions whose part, line or mark is another are computed again.
"""

from decimal import Decimal
from typing import NamedTuple

import msgspec
import numpy as np

from engine.bodies import Figure
from engine.market.rows import Rows
from engine.risk.loss_limits import LossLimit
from engine.session_context import SessionContext
from engine.state.day_pnl import DayPnl
from engine.state.pnl_lines import PnlLines
from engine.state.positions import Positions
from engine.state.session_state import Account, State

FEW = 8  # positions: from so many on it is cheaper to find those that moved than to compute all


class PnlNow(NamedTuple):
    """The P&L of each position since it first existed, and the first instrument that cannot be marked, or ""."""

    by_position: dict[str, Decimal]  # "strategy instrument" -> realised and unrealised P&L and funding, less fees
    unmarked: str
    reported: dict[str, Decimal]  # the same in the reporting currency, of positions without a missing rate
    rates: dict[str, Decimal | None]  # by asset: its rate in the reporting currency
    marks: dict[str, Decimal]  # by instrument with an open position: the price at which it counts


class LossOfDay(NamedTuple):
    """The P&L of the day in one asset, by one limit."""

    limit: LossLimit
    asset: str  # "": an asset has no known rate in the reporting currency
    pnl: Decimal
    used: Decimal


class MarkedPnl(msgspec.Struct, frozen=True):
    """The P&L of a position, and what it was computed from."""

    index: int  # of its instrument
    source: object  # the line, or the position if it has none yet
    rate: Decimal | None
    marks: bytes  # of the instrument: the numbers from which its mark follows
    mark: Decimal | None  # None: no quote is known
    own: Decimal | None  # None: it cannot be marked
    reported: Decimal | None


class LossMemory:
    """See the module's head."""

    def __init__(self, session: SessionContext) -> None:
        self.session = session
        self.by_position: dict[str, MarkedPnl] = {}
        self.key_of: dict[int, str] = {}  # index of an instrument -> the only position in it
        self.now: PnlNow | None = None
        self.positions = Positions()  # the parts of the account from which `now` follows
        self.lines = PnlLines()
        self.marks: Rows = np.zeros((0, 0), np.int64)  # by instrument (MarketReader.mark_integers)
        self.marks_bytes = b""
        self.losses: list[LossOfDay] | None = None  # of `now`, `day` and `is_begun`
        self.day: DayPnl | None = None
        self.is_begun = False
        self.reasons: dict[tuple[str, str], tuple[str, tuple[str, Figure] | None]] = {}
        self.limits_of: dict[tuple[str, str], list[LossLimit]] = {}  # those that count a strategy in an instrument
        self.amounts: dict[str, dict[str, Decimal]] = {}  # asset -> position -> its P&L of the day `amounts_day`
        self.amounts_day: DayPnl | None = None
        self.moved: set[str] | None = None  # the positions that moved since `amounts` was made; None: any may have

    def is_current(self, account: Account, marks: Rows) -> bool:
        """Return True if nothing moved since `now` was computed."""
        is_same = self.positions is account.positions and self.lines is account.pnl
        return is_same and self.marks_bytes == marks.tobytes()

    def keep(self, now: PnlNow, account: Account, marks: Rows, moved: set[str] | None) -> None:
        """Keep a P&L. `moved`: the positions whose P&L may differ from the one before; None: any may."""
        self.now, self.positions, self.lines, self.marks = now, account.positions, account.pnl, marks
        self.marks_bytes, self.losses = marks.tobytes(), None
        self.moved = None if moved is None or self.moved is None else self.moved | moved

    def moved_keys(self, account: Account, marks: Rows) -> set[str] | None:
        """Return the positions whose P&L may have changed since; None if more than figures did."""
        before, positions, lines = self.now, account.positions.by_key, account.pnl.by_key
        known, known_lines = self.positions.by_key, self.lines.by_key
        if before is None or before.unmarked or len(positions) < FEW or positions.keys() != known.keys():
            return None
        if len(self.key_of) < len(self.by_position):
            self.key_of = {each.index: key for key, each in self.by_position.items()}
            if len(self.key_of) < len(self.by_position):
                return None  # two strategies hold an instrument, whose mark may be another for each
        moved: set[str] = set()
        if positions is not known:
            moved.update(key for key, position in positions.items() if position is not known[key])
        if lines is not known_lines:
            moved.update(key for key, line in lines.items() if line is not known_lines.get(key))
        if marks.tobytes() != self.marks_bytes:
            found = (marks != self.marks).any(axis=1).nonzero()[0].tolist()
            moved.update(self.key_of[index] for index in found if index in self.key_of)
        return moved


def memory_of(session: SessionContext, state: State) -> LossMemory:
    """Return the losses computed last for a state in a session."""
    found = state.loss_memory
    if isinstance(found, LossMemory) and found.session is session:
        return found
    state.loss_memory = made = LossMemory(session)
    return made
