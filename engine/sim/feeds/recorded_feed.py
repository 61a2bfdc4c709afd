"""A market that a session recorded, for the simulated venue: rows by the thousand, and the depth answers at their places.

The venue saw a message earlier than the session did, by what the way took: `ahead_ns`. Rows are folded without a line's text, since
whoever trades on this venue gets the market's frames from the record, and not from it. Knows no file: its pieces come from an iterator.
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
    """A line without a stream, and its rows: whoever asked before it gets its very bytes."""

    line: Line
    rows: Rows


Piece = Rows | DepthAnswer  # rows: of whole records


class RecordedMarket:
    """Lines in their order; `streams` are never waited for."""

    streams: frozenset[str] = frozenset()

    def __init__(self, symbols: Iterable[str], pieces: Iterator[Piece], *, ahead_ns: int) -> None:
        self.symbols = tuple(symbols)
        self.ahead_ns = ahead_ns
        self.answered: Rows | None = None  # of the line that was taken last
        self._pieces = pieces
        self._answer: DepthAnswer | None = None  # the next piece, where it is one
        self._rows: Rows | None = None  # or where it is rows
        self._at = 0  # in them
        self.next_due_ns: int | None = None  # of the next row or line
        self._next_piece()

    def _next_piece(self) -> None:
        """The next piece that holds anything."""
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
        """To this row of those at hand, or behind them."""
        rows = self._rows
        assert rows is not None, "its caller looked"
        if at == len(rows):
            self._next_piece()
        else:
            self._at, self.next_due_ns = at, int(rows[at, r.TIME_NS]) - self.ahead_ns

    def touch_ns(self, exchange: Exchange, before_ns: int) -> int | None:
        """When the first comes, before `before_ns`, that might touch an order that rests; what comes before it touches none."""
        if not exchange.books.resting:
            return None
        rows = self._rows
        if rows is None:
            due_ns = self.next_due_ns
            return due_ns if due_ns is not None and due_ns < before_ns else None
        books = exchange.books
        found = matching_kernel.first_touch(
            rows, self._at, min(before_ns, NEVER - self.ahead_ns) + self.ahead_ns, books.v, books.levels, books.orders
        )
        if found == len(rows):
            found -= 1  # what comes behind this piece was not looked at
        time_ns = int(rows[found, r.TIME_NS]) - self.ahead_ns
        return time_ns if time_ns < before_ns else None

    def match_due(self, exchange: Exchange, now_ns: int) -> bool:
        """Let the exchange see the rows due by now, up to one that fills an order; whether one did."""
        while self._rows is not None and self.next_due_ns is not None and self.next_due_ns <= now_ns:
            filled, at = exchange.match_rows(self._rows, self._at, now_ns + self.ahead_ns, self.ahead_ns)
            self._go(at)
            if filled:
                return True
        return False

    def next_line(self) -> Line:
        """The line that is next."""
        answer = self._answer
        assert answer is not None, "its caller looked whether rows come first"
        self._next_piece()
        self.answered = answer.rows
        return answer.line

    def is_snapshot_next(self) -> bool:
        return self._answer is not None

    def shift(self, ns: int) -> None:
        raise AssertionError(f"what was recorded is not moved, nor by {ns} ns")
