"""The engine's place on the timeline of a resimulation: in the rows at hand, or at an input that is not a row."""

from collections.abc import Iterator

from engine.market import rows as r
from engine.market.layout import NEVER
from replay.resim.timeline import OutsideInput, RowSpan


class Cursor:
    """The engine's place on the timeline."""

    def __init__(self, items: Iterator[RowSpan | OutsideInput]) -> None:
        self._items = items
        self._load_next()

    def _load_next(self) -> None:
        """Load the next item that holds a record."""
        item = next(self._items, None)
        while isinstance(item, RowSpan) and not len(item.rows):
            item = next(self._items, None)
        self.ended = item is None
        self.span = item if isinstance(item, RowSpan) else None  # the current rows, or None if no row comes next
        self.row = 0  # the next row of the span
        self._outside = item if isinstance(item, OutsideInput) else None
        # the next input that is not a row, as far as it is known: it may also follow the current rows
        self.outside_ns = NEVER if self._outside is None else self._outside.record.time_ns
        self.next_ns = self.outside_ns if self.span is None else int(self.span.rows[0, r.TIME_NS])

    def move_to(self, row: int) -> None:
        """Move to a row of the current span, or to the next item if the span has ended."""
        span = self.span
        assert span is not None, "the caller checked"
        if row == len(span.rows):
            self._load_next()
        else:
            self.row, self.next_ns = row, int(span.rows[row, r.TIME_NS])

    @property
    def record(self) -> int:
        """The index in the span of the record that comes next."""
        assert self.span is not None, "the caller checked"
        return int(self.span.ends.searchsorted(self.row, side="right"))

    @property
    def line(self) -> int:
        """The number of the next record among the market's lines."""
        assert self.span is not None, "the caller checked"
        return self.span.line + self.record

    def remaining(self) -> Iterator[RowSpan | OutsideInput]:
        """Yield what comes next, and end the timeline."""
        if self.span is not None:
            ends = self.span.ends[self.record :] - self.row
            yield RowSpan(self.span.rows[self.row :], ends, self.line, self.span.delay_ns_max)
        elif self._outside is not None:
            yield self._outside
        yield from self._items

    def next_outside(self) -> OutsideInput:
        """Return the next input that is not a row, and move on."""
        outside = self._outside
        assert outside is not None, "the caller checked"
        self._load_next()
        return outside
