"""A market that a session recorded, for the simulated venue: blocks of rows, and the depth answers in their order.

The venue saw each message earlier than the session, by the transit time `ahead_ns`. Rows are folded without the text of
a line, because clients of this venue get the market's frames from the record. Knows no file: an iterator supplies the
pieces.

Rows that can be read again are folded later if nothing depends on them yet: no order rests and no contract is held.
The books fold them when they are used next (VenueBooks.defer), or never.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np

from engine.market import rows as r
from engine.market.layout import NEVER
from engine.market.rows import Rows
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.venue_books import FOREVER_NS
from engine.sim.feeds.sim_market import Line


class DepthAnswer(NamedTuple):
    """A line without a stream, and its rows. Earlier depth requests get its exact bytes."""

    line: Line
    rows: Rows


class StoredRows(Protocol):
    """Rows of whole records that are read when they are needed, and can be read again."""

    first_ns: int
    last_ns: int
    largest: int  # no price and no size is larger

    @property
    def records(self) -> int:
        """The number of records."""

    def may_have(self, row_type: int) -> bool:
        """Return False if no row is of this type."""

    def read(self) -> Rows:
        """Return the rows."""

    def unpack(self) -> tuple[Rows, Rows]:
        """Return the rows and the ends of their records: for each, one past its last row."""


class _Deferred(NamedTuple):
    """Rows that the books have not folded."""

    stored: StoredRows
    begin: int
    end: int | None  # None: all rows from `begin` on


Piece = Rows | StoredRows | DepthAnswer  # rows: of whole records


class RecordedMarket:
    """The recorded lines in their order. The feed never waits for a subscriber of `streams`."""

    streams: frozenset[str] = frozenset()

    def __init__(self, symbols: Iterable[str], pieces: Iterator[Piece], *, ahead_ns: int) -> None:
        self.symbols = tuple(symbols)
        self.ahead_ns = ahead_ns
        self.answered: Rows | None = None  # rows of the last line
        self._pieces = pieces
        self._ahead: deque[Piece] = deque()  # pieces that follow the next one
        self._answer: DepthAnswer | None = None  # the next piece, if it is an answer
        self._rows: Rows | None = None  # the next piece, if it is rows that are read
        self._stored: StoredRows | None = None  # the next piece, if it can be read again
        self._deferred: list[_Deferred] = []
        self.deferred_records = 0  # that the venue has received and its books have not folded
        self._at = 0  # in them
        self.next_due_ns: int | None = None  # of the next row or line
        self._next_piece()

    def _next_piece(self) -> None:
        """Advance to the next piece that is not empty."""
        piece = self._peek(0)
        if piece is not None:
            self._ahead.popleft()
        self._answer = self._rows = self._stored = self.next_due_ns = None
        if isinstance(piece, DepthAnswer):
            self._answer, self.next_due_ns = piece, piece.line.due_ns
        elif isinstance(piece, np.ndarray):
            self._rows = piece
            self._go(0)
        elif piece is not None:
            self._stored, self._at, self.next_due_ns = piece, 0, piece.first_ns - self.ahead_ns

    def _read(self) -> Rows | None:
        """Return the rows of the current piece; None if it is an answer, or the market has ended."""
        if self._rows is None and self._stored is not None:
            self._rows = self._stored.read()
        return self._rows

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
        rows = self._read()
        if rows is None:
            due_ns = self.next_due_ns
            return due_ns if due_ns is not None and due_ns < before_ns else None
        until_ns = min(before_ns, NEVER - self.ahead_ns) + self.ahead_ns
        row = exchange.books.first_touch(rows, self._at, until_ns)
        following = 0
        while row == len(rows) and (piece := self._peek(following)) is not None and not isinstance(piece, DepthAnswer):
            rows, following = piece if isinstance(piece, np.ndarray) else piece.read(), following + 1
            row = exchange.books.first_touch(rows, 0, until_ns, continues=True)
        if row == len(rows):
            row -= 1  # an answer may change the book, and rows after the last piece are unknown
        time_ns = int(rows[row, r.TIME_NS]) - self.ahead_ns
        return time_ns if time_ns < before_ns else None

    def _peek(self, following: int) -> Piece | None:
        """Return the piece that comes so many pieces after the next one; None after the last one."""
        while len(self._ahead) <= following:
            piece = next(self._pieces, None)
            if piece is None:
                return None
            if not isinstance(piece, np.ndarray) or len(piece):
                self._ahead.append(piece)
        return self._ahead[following]

    def match_due(self, exchange: Exchange, now_ns: int) -> bool:
        """Match the rows due by now, up to one that fills an order; return True if one did."""
        while self._answer is None and self.next_due_ns is not None and self.next_due_ns <= now_ns:
            if self._stored is not None and exchange.is_indifferent and exchange.books.fits(self._stored.largest):
                self._defer(exchange, self._stored, now_ns + self.ahead_ns)
                continue
            rows = self._read()
            assert rows is not None, "the piece is rows"
            filled, at = exchange.match_rows(rows, self._at, now_ns + self.ahead_ns, self.ahead_ns)
            self._go(at)
            if filled:
                return True
        return False

    def remaining(self, exchange: Exchange) -> Iterator[Rows | DepthAnswer]:
        """Yield what is not folded yet, and end the market."""
        if self._deferred:
            self._fold_deferred(exchange)
        if (rows := self._read()) is not None:
            yield rows[self._at :]
        elif self._answer is not None:
            yield self._answer
        while (piece := self._peek(0)) is not None:
            self._ahead.popleft()
            yield piece if isinstance(piece, np.ndarray | DepthAnswer) else piece.read()
        self._answer = self._rows = self._stored = self.next_due_ns = None

    # ---- rows that are folded later

    def _defer(self, exchange: Exchange, stored: StoredRows, until_ns: int) -> None:
        """Leave the rows of the current piece up to and including `until_ns` for later."""
        if not self._deferred:
            exchange.books.defer(lambda: self._fold_deferred(exchange))
        if stored.last_ns <= until_ns and not self._at:
            self._deferred.append(_Deferred(stored, 0, None))
            self.deferred_records += stored.records
            self._next_piece()
            return
        (self._rows, ends), begin = stored.unpack(), self._at
        end = begin + int(self._rows[begin:, r.TIME_NS].searchsorted(until_ns, side="right"))
        before, after = ends.searchsorted([begin, end], side="right").tolist()
        self.deferred_records += after - before
        if self._deferred and self._deferred[-1].stored is stored:
            begin = self._deferred.pop().begin
        self._deferred.append(_Deferred(stored, begin, end))
        self._go(end)

    def _fold_deferred(self, exchange: Exchange) -> None:
        deferred, self._deferred, self.deferred_records = self._deferred, [], 0
        for stored, begin, end in deferred:
            rows = stored.read()[:end]
            filled, at = exchange.match_rows(rows, begin, FOREVER_NS, self.ahead_ns)
            assert (filled, at) == (False, len(rows)), "no order rested when they were deferred"

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
