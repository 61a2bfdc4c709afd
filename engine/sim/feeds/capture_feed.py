"""A market that plays a capture: lines `<receive ns> <frame>`, bytes exactly as captured.

Reads no file: the caller passes the lines. A line without a stream name is the depth snapshot of the capture's symbol.
"""

from collections.abc import Iterable
from typing import Final

from engine.sim.feeds.sim_market import DATA_MARK, STREAM_PREFIX, Line

MICROSECOND_DIGITS: Final = 16  # of a stamp that is no count of nanoseconds
SYMBOL_MARK: Final = b'"s":"'


class DamagedCaptureError(Exception):
    """A capture that cannot be played: which line, and what is wrong with it."""


class CaptureMarket:
    """A SimMarket that plays the lines of a capture."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = parse_capture(lines)
        if not self._lines:
            raise DamagedCaptureError("the capture has no lines")
        self.streams = frozenset(line.stream for line in self._lines if line.stream)
        self.symbols = tuple(sorted({line.symbol for line in self._lines}))
        self.first_ns = self._lines[0].due_ns
        self.last_ns = self._lines[-1].due_ns
        self.count = len(self._lines)
        self._position = 0
        self._shift_ns = 0

    @property
    def next_due_ns(self) -> int | None:
        """When the next line is due; None at the end."""
        if self._position == self.count:
            return None
        return self._lines[self._position].due_ns + self._shift_ns

    def next_line(self) -> Line:
        """Return the next line."""
        line = self._lines[self._position]
        self._position += 1
        return line._replace(due_ns=line.due_ns + self._shift_ns) if self._shift_ns else line

    def is_snapshot_next(self) -> bool:
        """Return True if the next line is a depth snapshot."""
        return self._position < self.count and not self._lines[self._position].stream

    def shift(self, ns: int) -> None:
        """Move all lines to come by so much."""
        self._shift_ns += ns


def parse_capture(lines: Iterable[bytes]) -> list[Line]:
    """Parse the lines of a capture file. Times must not fall; each frame names its stream or is a snapshot."""
    parsed: list[Line] = []
    interned: dict[bytes, tuple[str, str]] = {}
    last_ns = 0
    for number, raw in enumerate(lines, start=1):
        stamp, _, payload = raw.rstrip(b"\r\n").partition(b" ")
        if not stamp.isdigit() or not payload.startswith(b"{") or not payload.endswith(b"}"):
            raise DamagedCaptureError(f"line {number} is not '<receive ns> <JSON frame>': {raw[:60]!r}")
        due_ns = int(stamp) * (1_000 if len(stamp) == MICROSECOND_DIGITS else 1)
        if due_ns < last_ns:
            raise DamagedCaptureError(f"line {number}: its time {due_ns} is before that of the line above, {last_ns}")
        last_ns = due_ns
        if not payload.startswith(STREAM_PREFIX):
            if not payload.startswith(b'{"lastUpdateId":'):
                raise DamagedCaptureError(
                    f"line {number} is neither a combined stream frame nor a snapshot: {raw[:60]!r}"
                )
            parsed.append(Line(due_ns, "", "", payload))
            continue
        name = payload[len(STREAM_PREFIX) : payload.find(DATA_MARK)]
        known = interned.get(name)
        if known is None:
            stream = name.decode("ascii", "replace")
            known = interned[name] = (stream, stream.partition("@")[0].upper())
        parsed.append(Line(due_ns, known[0], known[1], payload))
    symbols = sorted({line.symbol for line in parsed if line.symbol})
    if any(not line.stream for line in parsed) and len(symbols) != 1:
        raise DamagedCaptureError(f"the snapshot's symbol is unknown: the capture has {', '.join(symbols) or 'none'}")
    return [line if line.symbol else line._replace(symbol=symbols[0]) for line in parsed]
