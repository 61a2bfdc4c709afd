"""A market that a running session receives: rows and depth answers, for the simulated venue beside it."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Self

from engine.sim.feeds.recorded_feed import Piece, RecordedMarket


class FollowedMarket(RecordedMarket):
    """A recorded market whose record still grows: `push` appends to it."""

    def __init__(self, symbols: Iterable[str], *, ahead_ns: int) -> None:
        self._queue = _Queue()
        super().__init__(symbols, self._queue, ahead_ns=ahead_ns)

    def push(self, piece: Piece) -> None:
        """Append what the session received."""
        self._queue.pieces.append(piece)
        if self.next_due_ns is None:
            self._next_piece()


class _Queue(Iterator[Piece]):
    """The pieces that the venue has not seen. Its end lasts until the next one is appended."""

    def __init__(self) -> None:
        self.pieces: deque[Piece] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Piece:
        if not self.pieces:
            raise StopIteration
        return self.pieces.popleft()
