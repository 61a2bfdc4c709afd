"""The catalogue of an archive: one Parquet file with a row for each session, which DuckDB reads alone.

    <URI>/catalogue.parquet                      all sessions of this folder
    <URI>/<session folder's name>/catalogue.json   the row of one session

Each archiver writes the row of its session, and then the table from all rows. So two archivers at a time lose
nothing: the later one reads the other's row, and each looks again after it wrote. A reader lists the folders too, and
reads the rows that the table does not have yet.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.catalogue_row import CatalogueRow
from journal.archive import MANIFEST
from journal.archive_location import ArchiveLocation
from journal.errors import ArchiveFailedError, DamagedCatalogueError, JournalError
from journal.segments import UNREADABLE, first_line

TABLE = "catalogue.parquet"
ROW = "catalogue.json"
VERSION = 1
TABLE_BYTES_MAX = 1 << 30
ROW_BYTES_MAX = 64 << 20  # 100,000 segments
ATTEMPTS_MAX = 20  # writes of the table while other archivers write it too
_VERSION_KEY, _DIGEST_KEY = b"verbatim.catalogue", b"verbatim.rows_sha256"
_TEXTS = pa.list_(pa.string())
_SEGMENT = pa.struct(
    [("name", pa.string()), *((name, pa.int64()) for name in ("bytes", "first_seq", "last_seq", "start_ns", "end_ns"))]
)
_TYPES: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    bool: pa.bool_(),
    float | None: pa.float64(),
    tuple[str, ...]: _TEXTS,
    dict[str, int]: pa.map_(pa.string(), pa.int64()),
}
_FIELDS = msgspec.structs.fields(CatalogueRow)
_TIMES = {"start": "start_ns", "end": "end_ns"}  # the same times for people, in UTC
SCHEMA = pa.schema(
    [(each.name, _TYPES.get(each.type, pa.list_(_SEGMENT))) for each in _FIELDS]
    + [(name, pa.timestamp("us")) for name in _TIMES]
)


class _StoredRow(msgspec.Struct, frozen=True):
    version: int
    row: msgspec.Raw
    sha256: str


# ---- one session


def write_row(place: ArchiveLocation, row: CatalogueRow) -> None:
    """Write the row of a session beside its files.

    Raises:
        ArchiveFailedError: A write failed.
    """
    text = msgspec.json.encode(row)
    stored = _StoredRow(VERSION, msgspec.Raw(text), hashlib.sha256(text).hexdigest())
    place.child(ROW).replace(msgspec.json.encode(stored))


def read_row(place: ArchiveLocation) -> CatalogueRow | None:
    """Return the row of a session, or None if its archiver wrote none.

    Raises:
        DamagedCatalogueError: The file is damaged.
        ArchiveFailedError: A read failed.
    """
    location = place.child(ROW)
    try:
        data = location.read(ROW_BYTES_MAX)
        if data is None:
            return None
        stored = msgspec.json.decode(data, type=_StoredRow)
        if stored.version != VERSION:
            raise ValueError(f"it is of version {stored.version}")
        if hashlib.sha256(bytes(stored.row)).hexdigest() != stored.sha256:
            raise ValueError("its content does not have its checksum")
        row = msgspec.json.decode(stored.row, type=CatalogueRow)
        if row.folder != place.path.rstrip("/").rpartition("/")[2]:
            raise ValueError(f"it is of the session {row.folder}")
    except ValueError as error:
        raise _damaged(location, error) from None
    return row


# ---- all sessions of a folder


def read_catalogue(root: ArchiveLocation) -> dict[str, CatalogueRow] | None:
    """Return the rows of the table by their folders, or None if there is no table.

    Raises:
        DamagedCatalogueError: The file is damaged, or another program wrote it.
        ArchiveFailedError: A read failed.
    """
    location = root.child(TABLE)
    try:
        data = location.read(TABLE_BYTES_MAX)
        return None if data is None else {row.folder: row for row in _decode(data)}
    except ArchiveFailedError:
        raise
    except UNREADABLE as error:
        raise _damaged(location, error) from None


class Catalogue(NamedTuple):
    """The rows of a table by their folders, and the sessions that have none with the reason."""

    rows: dict[str, CatalogueRow]
    unread: dict[str, str]


def update_catalogue(root: ArchiveLocation) -> Catalogue:
    """Write the table again if a session's row is missing in it, or if a session was removed.

    Raises:
        DamagedCatalogueError: The table is damaged. Nothing was changed.
        ArchiveFailedError: A read or a write failed.
    """
    for _ in range(ATTEMPTS_MAX):
        known = read_catalogue(root)
        found, unread = dict[str, CatalogueRow](), dict[str, str]()
        for name in root.folders():
            try:
                row = known[name] if known and name in known else read_row(root.child(name))
            except DamagedCatalogueError as error:
                unread[name] = str(error)
                continue
            if row is not None:
                found[name] = row
        if found == known:
            return Catalogue(found, unread)
        root.child(TABLE).replace(_encode(found.values()))  # and look whether another archiver wrote meanwhile
    raise ArchiveFailedError(
        f"{root.child(TABLE).display_uri} changes all the time. What to do: run verbatim catalogue when the other "
        "archivers are done."
    )


def rebuild_catalogue(
    root: ArchiveLocation,
    make_row: Callable[[ArchiveLocation], CatalogueRow],
    on_progress: Callable[[int, int], None] | None = None,
) -> Catalogue:
    """Make the table again from the sessions, and name those that cannot be read.

    Args:
        root: The folder of the archived sessions.
        make_row: Reads an archived session that has no row, or a damaged one.
        on_progress: Called with the sessions done and to do.

    Raises:
        ArchiveFailedError: The table cannot be written.
    """
    rows: dict[str, CatalogueRow] = {}
    unread: dict[str, str] = {}
    names = [name for name in root.folders() if root.child(name).child(MANIFEST).size() is not None]
    for number, name in enumerate(names, 1):
        place = root.child(name)
        try:
            row = _row_or_none(place)
            if row is None:
                row = msgspec.structs.replace(make_row(place), folder=name)
                write_row(place, row)
            rows[name] = row
        except (JournalError, pa.ArrowException, OSError, ValueError) as error:
            unread[name] = first_line(error)
        if on_progress is not None:
            on_progress(number, len(names))
    root.child(TABLE).replace(_encode(rows.values()))
    return Catalogue(update_catalogue(root).rows, unread)  # with the rows of other archivers


def _row_or_none(place: ArchiveLocation) -> CatalogueRow | None:
    try:
        return read_row(place)
    except DamagedCatalogueError:
        return None


def _damaged(location: ArchiveLocation, error: BaseException) -> DamagedCatalogueError:
    folder = location.display_uri.rpartition("/")[0]
    if location.path.endswith(ROW):
        folder = folder.rpartition("/")[0]
    return DamagedCatalogueError(
        f"{location.display_uri} is not a catalogue that this version reads: {first_line(error)}. "
        f"What to do: verbatim catalogue {folder} makes it again from the sessions."
    )


def catalogue_table(rows: Sequence[CatalogueRow]) -> pa.Table:
    """Return rows as a table, with the columns of the file."""
    values = [msgspec.to_builtins(row) for row in rows]
    columns = [
        pa.array(
            [value[_TIMES.get(field.name, field.name)] for value in values]
            if field.name not in _TIMES
            else [value[_TIMES[field.name]] // 1000 for value in values],
            field.type,
        )
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _encode(rows: Iterable[CatalogueRow]) -> bytes:
    ordered = sorted(rows, key=lambda row: row.folder)
    metadata = {_VERSION_KEY: str(VERSION), _DIGEST_KEY: _digest(ordered)}
    sink = io.BytesIO()
    pq.write_table(
        catalogue_table(ordered).replace_schema_metadata(metadata),
        sink,
        compression="zstd",
        write_page_checksum=True,
    )
    return sink.getvalue()


def _decode(data: bytes) -> list[CatalogueRow]:
    """Return the rows of a table.

    Raises:
        ValueError: The file is another one. Damaged bytes raise any of UNREADABLE.
    """
    file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
    metadata = file.schema_arrow.metadata or {}
    if (version := metadata.get(_VERSION_KEY)) != str(VERSION).encode():
        raise ValueError("another program wrote it" if version is None else f"it is of version {version.decode()}")
    if not file.schema_arrow.equals(SCHEMA):
        raise ValueError("it has other columns")
    names = [each.name for each in _FIELDS]
    # a thread of Arrow might be the last to release `data`, which needs Python and aborts a process that is ending
    values = file.read(columns=names, use_threads=False).to_pylist(maps_as_pydicts="strict")
    rows = [msgspec.convert(value, CatalogueRow) for value in values]
    if _digest(rows).encode() != metadata.get(_DIGEST_KEY):
        raise ValueError("its rows do not have its checksum")
    return rows


def _digest(rows: Sequence[CatalogueRow]) -> str:
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()
