"""A market that a session recorded, for the simulated venue: blocks of rows, and the depth answers in their order.

The venue saw each message earlier than the session, by the transit time `ahead_ns`. Rows are folded without the text of
a line, because clients of this venue get the market's frames from the record. Knows no file: an iterator supplies the
pieces.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.market import rows as r
from engine.market.layout import NEVER
from engine.market.rows import Rows
from engine.sim.exchange import matching_kernel
from engine.sim.exchange.exchange import Exchange
from engine.sim.feeds.sim_market import Line


class DepthAnswer(NamedTuple):
    """A line without a stream, and its rows. Earlier depth requests get its exact bytes."""

    line: Line
    rows: Rows


Piece = Rows | DepthAnswer  # rows: of whole records


class RecordedMarket:
    """The recorded lines in their order. The feed never waits for a subscriber of `streams`."""

    streams: frozenset[str] = frozenset()

    def __init__(self, symbols: Iterable[str], pieces: Iterator[Piece], *, ahead_ns: int) -> None:
        self.symbols = tuple(symbols)
        self.ahead_ns = ahead_ns
        self.answered: Rows | None = None  # rows of the last line
        self._pieces = pieces
        self._answer: DepthAnswer | None = None  # the next piece, if it is an answer
        self._rows: Rows | None = None  # the next piece, if it is rows
        self._at = 0  # in them
        self.next_due_ns: int | None = None  # of the next row or line
        self._next_piece()

    def _next_piece(self) -> None:
        """Advance to the next piece that is not empty."""
        piece = next(self._pieces, None)
        while piece is not None and not isinstance(piece, DepthAnswer) and not len(piece):
            piece = next(self._pieces, None)
        self._answer = self._rows = self.next_due_ns = None
        if isinstance(piece, DepthAnswer):
            self._answer, self.next_due_ns = piece, piece.line.due_ns
        elif piece is not None:
            self._rows = piece
            self._go(0)

    def _go(self, at: int) -> None:
        """Advance to a row of the current piece, or to the next piece after its end."""
        rows = self._rows
        assert rows is not None, "the caller checked"
        if at == len(rows):
            self._next_piece()
        else:
            self._at, self.next_due_ns = at, int(rows[at, r.TIME_NS]) - self.ahead_ns

    def touch_ns(self, exchange: Exchange, before_ns: int) -> int | None:
        """Return when a row before `before_ns` first might fill or trigger an order; None if no row does."""
        if not exchange.awaits_market:
            return None
        rows = self._rows
        if rows is None:
            due_ns = self.next_due_ns
            return due_ns if due_ns is not None and due_ns < before_ns else None
        books = exchange.books
        row = matching_kernel.first_touch(
            rows, self._at, min(before_ns, NEVER - self.ahead_ns) + self.ahead_ns, books.v, books.levels, books.orders
        )
        if row == len(rows):
            row -= 1  # rows after this piece are unknown
        time_ns = int(rows[row, r.TIME_NS]) - self.ahead_ns
        return time_ns if time_ns < before_ns else None

    def match_due(self, exchange: Exchange, now_ns: int) -> bool:
        """Match the rows due by now, up to one that fills an order; return True if one did."""
        while self._rows is not None and self.next_due_ns is not None and self.next_due_ns <= now_ns:
            filled, at = exchange.match_rows(self._rows, self._at, now_ns + self.ahead_ns, self.ahead_ns)
            self._go(at)
            if filled:
                return True
        return False

    def remaining(self) -> Iterator[Piece]:
        """Yield what is not folded yet, and end the market."""
        if self._rows is not None:
            yield self._rows[self._at :]
        elif self._answer is not None:
            yield self._answer
        yield from self._pieces
        self._answer = self._rows = self.next_due_ns = None

    def next_line(self) -> Line:
        """Return the next line."""
        answer = self._answer
        assert answer is not None, "the caller checked that a line is next"
        self._next_piece()
        self.answered = answer.rows
        return answer.line

    def is_snapshot_next(self) -> bool:
        """Return True if the next line is a depth answer."""
        return self._answer is not None

    def shift(self, ns: int) -> None:
        """Refuse: a recorded market has the times of its record."""
        raise AssertionError(f"a recorded market cannot be shifted, by {ns} ns or at all")
