"""Newline JSON: one object per line, whose time is in a field that the caller names. Blank lines are skipped."""

from collections.abc import Iterator

from journal.errors import CaptureRefusedError
from journal.importing.data_kinds import BOOKS, QUOTES, TRADES
from journal.importing.json_text import is_complete, read_field
from journal.importing.lines import CapturedRow, CaptureLines, CaptureReader
from journal.importing.stamps import UNIT_NS, from_iso, from_number

NAME = "ndjson"
ABOUT = "newline JSON, with --time-field NAME --time-unit ns|us|ms|s|iso (or --time-unit none)"
ALLOWS = (TRADES, QUOTES, BOOKS)
UNITS = (*UNIT_NS, "iso", "none")


def is_format(head: bytes, _name: str) -> bool:
    """Return True if the file begins with an object."""
    return head.lstrip().startswith(b"{")


def read(lines: CaptureLines, time_field: str | None, time_unit: str | None) -> CaptureReader:
    """Read a file of objects.

    Args:
        lines: The file.
        time_field: The field of the receive time; `data.ts` for a nested one.
        time_unit: Its unit. "none": the file states no time, and every record gets time 0.

    Raises:
        CaptureRefusedError: The options are missing or contradict each other.
    """
    if time_unit == "none":
        if time_field is not None:
            raise CaptureRefusedError(
                "--time-unit none states that no field has a time. What to do: omit --time-field."
            )
        return CaptureReader("none", {"unit": "none"}, _rows(lines, [], "none"))
    if time_field is None or time_unit is None:
        raise CaptureRefusedError(
            f"{lines.path} is newline JSON, and the field of its receive time is unknown. What to do: add "
            "--format ndjson --time-field NAME --time-unit ns|us|ms|s|iso, or --time-unit none if it has no time."
        )
    about = {"unit": time_unit, "field": time_field}
    return CaptureReader("receive", about, _rows(lines, time_field.split("."), time_unit))


def _rows(lines: CaptureLines, path: list[str], unit: str) -> Iterator[CapturedRow]:
    for line in lines:
        if not line or line.isspace():
            continue
        try:
            yield CapturedRow(_stamp(line, path, unit), line)
        except ValueError as error:
            raise lines.damaged(str(error)) from error


def _stamp(line: bytes, path: list[str], unit: str) -> int:
    if unit == "none":
        if not is_complete(line):
            raise ValueError("is not a JSON object")
        return 0
    text = read_field(line, path)
    return from_iso(text) if unit == "iso" else from_number(text, unit)
