"""Files of hftbacktest's collector (gzip): a line is the local receive time, a space, the frame as it came.

The stamp has 19 digits (ns), in files of before 2024 16 (us). Source: collector/src/file.rs of nkaz001/hftbacktest.
"""

import re
from collections.abc import Iterator
from itertools import chain

from journal.importing.json_text import is_whole
from journal.importing.lines import CapturedRow, LineReader, Lines
from journal.importing.stamps import UNIT_NS

NAME = "hftbacktest"
ABOUT = "hftbacktest's collector: `<receive time in ns or us> <frame>` a line"
_LINE = re.compile(rb"(?:\d{16}|\d{19}) [\[{]")
_UNITS = {16: "us", 19: "ns"}


def looks_so(head: bytes, name: str) -> bool:  # noqa: ARG001 - the shape that formats share
    return _LINE.match(head) is not None


def read(lines: Lines) -> LineReader:
    """A line without a stamp, or with a stamp of another length than the first, is damage."""
    first = next(lines, None)
    if first is None:
        raise lines.damaged("the file is empty")
    digits = len(first.partition(b" ")[0])
    unit = _UNITS.get(digits)
    if unit is None or not first[:digits].isdigit():
        raise lines.damaged("does not begin with a receive time of 16 or 19 digits and a space")
    return LineReader("receive", {"unit": unit}, _rows(lines, first, digits, UNIT_NS[unit]))


def _rows(lines: Lines, first: bytes, digits: int, unit_ns: int) -> Iterator[CapturedRow]:
    for line in chain((first,), lines):
        stamp, gap, frame = line.partition(b" ")
        if len(stamp) != digits or not stamp.isdigit() or not gap:
            raise lines.damaged(f"does not begin with a receive time of {digits} digits and a space")
        if lines.cut and not is_whole(frame):
            raise lines.damaged("the last line is cut off")
        yield CapturedRow(int(stamp) * unit_ns, frame)
