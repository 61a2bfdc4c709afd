"""A market that plays what a session recorded: its lines come from an iterator, as late as they are asked for.

A depth answer of the record is a line without a stream name: whoever asked the venue before it gets its very bytes.
"""

from collections.abc import Iterable, Iterator

from engine.sim.market import Line


class RecordedMarket:
    """Lines in the order of their due times; `streams` are never waited for."""

    streams: frozenset[str] = frozenset()

    def __init__(self, symbols: Iterable[str], lines: Iterator[Line]) -> None:
        self.symbols = tuple(symbols)
        self._lines = lines
        self._next = next(lines, None)
        self._shift_ns = 0

    @property
    def next_due_ns(self) -> int | None:
        return None if self._next is None else self._next.due_ns + self._shift_ns

    def take(self) -> Line:
        line = self._next
        assert line is not None, "its caller looked when the next is due"
        self._next = next(self._lines, None)
        return line._replace(due_ns=line.due_ns + self._shift_ns) if self._shift_ns else line

    def peek_is_snapshot(self) -> bool:
        return self._next is not None and not self._next.stream

    def shift(self, ns: int) -> None:
        self._shift_ns += ns
