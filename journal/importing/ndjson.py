"""Newline JSON: every line an object, whose time stands in a field that the caller names. Blank lines are passed over."""

from collections.abc import Iterator

from journal.errors import CaptureRefusedError
from journal.importing.json_text import field, is_whole
from journal.importing.lines import CapturedRow, LineReader, Lines
from journal.importing.stamps import UNIT_NS, from_iso, from_number

NAME = "ndjson"
ABOUT = "newline JSON, with --time-field NAME --time-unit ns|us|ms|s|iso (or --time-unit none)"
UNITS = (*UNIT_NS, "iso", "none")


def looks_so(head: bytes, name: str) -> bool:  # noqa: ARG001 - the shape that formats share
    return head.lstrip().startswith(b"{")


def read(lines: Lines, time_field: str | None, time_unit: str | None) -> LineReader:
    """`time_field` may be a path, `data.ts`. Unit "none": the file states no time, and every record stands at 0."""
    if time_unit == "none":
        if time_field is not None:
            raise CaptureRefusedError("--time-unit none says that no field holds a time: leave --time-field away.")
        return LineReader("none", {"unit": "none"}, _rows(lines, [], "none"))
    if time_field is None or time_unit is None:
        raise CaptureRefusedError(
            f"{lines.path} is newline JSON, and which field holds the receive time is not known. What to do: say "
            "--format ndjson --time-field NAME --time-unit ns|us|ms|s|iso, or --time-unit none where none does."
        )
    about = {"unit": time_unit, "field": time_field}
    return LineReader("receive", about, _rows(lines, time_field.split("."), time_unit))


def _rows(lines: Lines, path: list[str], unit: str) -> Iterator[CapturedRow]:
    for line in lines:
        if not line or line.isspace():
            continue
        try:
            yield CapturedRow(_stamp(line, path, unit), line)
        except ValueError as error:
            raise lines.damaged(str(error)) from error


def _stamp(line: bytes, path: list[str], unit: str) -> int:
    if unit == "none":
        if not is_whole(line):
            raise ValueError("is no JSON object")
        return 0
    text = field(line, path)
    return from_iso(text) if unit == "iso" else from_number(text, unit)
