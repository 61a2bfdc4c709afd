"""The import formats by name, and the guess from a file's first bytes. A new format is one module and one line here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from journal.errors import CaptureRefusedError
from journal.importing import binance_archive, cryptofeed, hftbacktest, lean_tick, ndjson
from journal.importing.lines import CaptureLines, CaptureReader


class CaptureFormat(NamedTuple):
    """A format: how to recognise and how to read its files."""

    name: str
    about: str
    is_format: Callable[
        [bytes, str], bool
    ]  # gets a file's first bytes and its name, for a zip the name of the file inside
    read: Callable[..., CaptureReader]


_ALL = (hftbacktest, cryptofeed, lean_tick, binance_archive, ndjson)
FORMATS: dict[str, CaptureFormat] = {
    module.NAME: CaptureFormat(module.NAME, module.ABOUT, module.is_format, module.read) for module in _ALL
}


class ImportOptions(NamedTuple):
    """The caller's options. `format` None: guess the format of each file."""

    format: str | None = None
    time_field: str | None = None
    time_unit: str | None = None


def choose_reader(path: Path, options: ImportOptions) -> tuple[str, Callable[[CaptureLines], CaptureReader]]:
    """Return the name of a file's format and its reader.

    Raises:
        CaptureRefusedError: No format matches the file, or the options do not suit its format.
    """
    name = options.format or _guess(path)
    if name == ndjson.NAME:
        return name, partial(ndjson.read, time_field=options.time_field, time_unit=options.time_unit)
    if options.time_field is not None or options.time_unit is not None:
        raise CaptureRefusedError(
            f"{path} has the format {name}, which states its own times. What to do: omit --time-field and --time-unit."
        )
    return name, FORMATS[name].read


def _guess(path: Path) -> str:
    lines = CaptureLines(path)
    try:
        head = lines.head()
    finally:
        lines.close()
    if not head:
        raise CaptureRefusedError(f"{path} is empty. What to do: name a file with lines to import.")
    for name, candidate in FORMATS.items():
        if candidate.is_format(head, lines.name):
            return name
    raise CaptureRefusedError(
        f"{path} matches none of the formats {', '.join(FORMATS)}. "
        f"What to do: name its format with --format; the import "
        "then reports the first wrong line."
    )
