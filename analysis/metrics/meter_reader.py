"""Reads the meter of a session (engine/meter_line.py), in any process and without a lock. A missing meter is no error.

Lines are checked like foreign input: one that is torn or damaged counts as missing.
"""

from bisect import bisect_right
from pathlib import Path

import msgspec

from engine.meter_line import BOUNDS_NS, METER_BYTES_MAX, METER_FILE, OLDER_METER_FILE, Durations, MeterLine

TAIL_BYTES = 64 * 1024  # that contain several lines
_decoder = msgspec.json.Decoder(MeterLine)


def last_line(folder: Path) -> MeterLine | None:
    """Return the newest line of a session's meter, or None if it has none."""
    for name in (METER_FILE, OLDER_METER_FILE):  # the new file is empty for a moment
        for line in reversed(_read(folder / name, TAIL_BYTES)):
            if (found := _decode(line)) is not None:
                return found
    return None


def line_at(folder: Path, seq: int) -> MeterLine | None:
    """Return the newest line that was written at this record or before it, or None without one."""
    for name in (METER_FILE, OLDER_METER_FILE):
        lines = [found for line in _read(folder / name, METER_BYTES_MAX) if (found := _Lazy(line)).is_whole]
        at = bisect_right(lines, seq, key=lambda line: line.seq)
        for line in reversed(lines[:at]):
            if (whole := line.decode()) is not None:
                return whole
    return None


class _Seq(msgspec.Struct):
    """The place of a line among the records."""

    seq: int


_seq_decoder = msgspec.json.Decoder(_Seq)


class _Lazy:
    """A line that is decoded when it is compared."""

    def __init__(self, line: bytes) -> None:
        self._line = line
        self.is_whole = line.startswith(b"{") and line.endswith(b"}")

    @property
    def seq(self) -> int:
        """Its record; -1 for a line that is damaged inside."""
        try:
            return _seq_decoder.decode(self._line).seq
        except msgspec.MsgspecError:
            return -1

    def decode(self) -> MeterLine | None:
        """Return the whole line, or None if it is damaged."""
        return _decode(self._line)


def _read(path: Path, bytes_max: int) -> list[bytes]:
    """Return the last lines of a file, up to so many bytes; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - bytes_max, 0))
            data = file.read(bytes_max)
    except OSError:
        return []
    lines = data.split(b"\n")
    return lines[1:] if size > bytes_max else lines


def _decode(line: bytes) -> MeterLine | None:
    try:
        found = _decoder.decode(line)
    except msgspec.MsgspecError:
        return None
    return found if all(len(each.counts) == len(BOUNDS_NS) + 1 for each in durations_of(found)) else None


def durations_of(line: MeterLine) -> tuple[Durations, ...]:
    """Return all durations of a line."""
    return (line.sync, *line.sends)
