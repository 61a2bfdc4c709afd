"""The formats by name, and the guess from a file's first bytes. A new format is one file and one line here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from journal.errors import CaptureRefusedError
from journal.importing import binance_archive, cryptofeed, hftbacktest, lean_tick, ndjson
from journal.importing.lines import LineReader, Lines


class Format(NamedTuple):
    name: str
    about: str
    looks_so: Callable[[bytes, str], bool]  # by a file's first bytes and its name, of the file within where it is a zip
    read: Callable[..., LineReader]


_ALL = (hftbacktest, cryptofeed, lean_tick, binance_archive, ndjson)
FORMATS: dict[str, Format] = {each.NAME: Format(each.NAME, each.ABOUT, each.looks_so, each.read) for each in _ALL}


class ImportOptions(NamedTuple):
    """What the caller says of the files. `format` None: guess it, each file for itself."""

    format: str | None = None
    time_field: str | None = None
    time_unit: str | None = None


def reader_of(path: Path, wanted: ImportOptions) -> tuple[str, Callable[[Lines], LineReader]]:
    """The format of a file and what reads it. CaptureRefusedError where no format fits it or the options do not fit the format."""
    name = wanted.format or _guess(path)
    if name == ndjson.NAME:
        return name, partial(ndjson.read, time_field=wanted.time_field, time_unit=wanted.time_unit)
    if wanted.time_field is not None or wanted.time_unit is not None:
        raise CaptureRefusedError(
            f"{path} is of the format {name}, which states its times itself: leave --time-field and --time-unit away."
        )
    return name, FORMATS[name].read


def _guess(path: Path) -> str:
    lines = Lines(path)
    try:
        head = lines.head()
    finally:
        lines.close()
    if not head:
        raise CaptureRefusedError(f"{path} is empty: there is nothing to import.")
    for name, each in FORMATS.items():
        if each.looks_so(head, lines.name):
            return name
    raise CaptureRefusedError(
        f"{path} looks like none of the formats {', '.join(FORMATS)}. What to do: name its format with --format, which then "
        "says what is wrong with the file."
    )
