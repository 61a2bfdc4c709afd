"""The import formats by name, and the guess from a file's first bytes. A new format is one module and one line here."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from journal.errors import CaptureRefusedError
from journal.importing import (
    binance_archive,
    coinbase_full,
    cryptofeed,
    cryptofeed_pcap,
    dbn,
    hftbacktest,
    hftbacktest_npz,
    lean_bar,
    lean_tick,
    lobster,
    ndjson,
    table_file,
    tardis,
    tardis_raw,
)
from journal.importing.lines import CaptureLines, CaptureReader


class CaptureFormat(NamedTuple):
    """A format: how to recognise and how to read its files."""

    name: str
    about: str
    is_format: Callable[
        [bytes, str], bool
    ]  # gets a file's first bytes and its name, for a zip the name of the file inside
    read: Callable[..., CaptureReader]
    allows: tuple[str, ...]  # of data_kinds.py


_ALL = (
    coinbase_full, hftbacktest, hftbacktest_npz, dbn, cryptofeed_pcap, tardis, tardis_raw, cryptofeed, lean_tick,
    lean_bar, lobster, binance_archive, table_file, ndjson,
)  # fmt: skip
GROUP = "verbatim.importers"


def _announced() -> list[Any]:
    """Return the formats that other distributions announce: modules or objects with the five names of ours."""
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return [point.load() for point in found]


FORMATS: dict[str, CaptureFormat] = {
    module.NAME: CaptureFormat(module.NAME, module.ABOUT, module.is_format, module.read, module.ALLOWS)
    for module in (*_ALL, *_announced())
}


class ImportOptions(NamedTuple):
    """The caller's options. `format` None: guess the format of each file."""

    format: str | None = None
    time_field: str | None = None
    time_unit: str | None = None
    symbol: str | None = None  # the instrument of files whose names do not say it
    columns: str | None = None  # table: which column holds what (table_file.py)

    def identity(self) -> list[str | None]:
        """Return what makes another session of the same files."""
        own = [self.time_field, self.time_unit]
        return [*own, self.symbol, self.columns] if self.symbol or self.columns else own


def choose_reader(path: Path, options: ImportOptions) -> tuple[str, Callable[[CaptureLines], CaptureReader]]:
    """Return the name of a file's format and its reader.

    Raises:
        CaptureRefusedError: No format matches the file, or the options do not suit its format.
    """
    name = options.format or _guess(path)
    if name == ndjson.NAME:
        return name, partial(ndjson.read, time_field=options.time_field, time_unit=options.time_unit)
    if name == table_file.NAME:
        return name, partial(table_file.read, columns=options.columns or "")
    if options.columns is not None:
        raise CaptureRefusedError(
            f"{path} has the format {name}, whose columns are known. What to do: omit --columns, or add --format table."
        )
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
