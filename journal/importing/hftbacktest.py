"""Files of hftbacktest's collector (gzip). A line is the local receive time, a space and the unchanged frame.

The stamp has 19 digits (ns), or 16 (us) in files from before 2024. Source: collector/src/file.rs of
nkaz001/hftbacktest.
"""

import re
from collections.abc import Iterator
from itertools import chain

from journal.importing.data_kinds import BOOKS, QUOTES, TRADES
from journal.importing.json_text import is_complete
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.stamps import UNIT_NS

NAME = "hftbacktest"
ABOUT = "hftbacktest's collector: `<receive time in ns or us> <frame>` a line"
ALLOWS = (TRADES, QUOTES, BOOKS)
_LINE = re.compile(rb"(?:\d{16}|\d{19}) [\[{]")
_UNITS = {16: "us", 19: "ns"}


def is_format(head: bytes, _name: str) -> bool:
    """Return True if the first line begins with a stamp and a JSON value."""
    return _LINE.match(head) is not None


def read(lines: CaptureLines) -> CaptureReader:
    """Read a file. A line without a stamp, or with a stamp of another length than the first, is damage."""
    first = next(lines, None)
    if first is None:
        raise lines.damaged("the file is empty")
    digits = len(first.partition(b" ")[0])
    unit = _UNITS.get(digits)
    if unit is None or not first[:digits].isdigit():
        raise lines.damaged("does not begin with a receive time of 16 or 19 digits and a space")
    return CaptureReader("receive", {"unit": unit}, _rows(lines, first, digits, UNIT_NS[unit]))


def _rows(lines: CaptureLines, first: bytes, digits: int, unit_ns: int) -> Iterator[CapturedRow]:
    for line in chain((first,), lines):
        stamp, gap, frame = line.partition(b" ")
        if not line:
            lines.note_dirt("an empty line")
            continue
        if len(stamp) != digits or not stamp.isdigit() or not gap:
            raise lines.damaged(f"does not begin with a receive time of {digits} digits and a space")
        if lines.cut and not is_complete(frame):
            raise lines.damaged("the last line is truncated")
        yield CapturedRow(int(stamp) * unit_ns, frame)
