"""SQL over thousands of sessions where they are: DuckDB over Arrow's scan of their objects, with the plan as bounds.

Arrow knows of each object which session and which times it holds (analysis/catalogue.py), so a condition on `session`
or `time_ns` opens only the objects that it needs, of these only the row groups that it needs, and of these only the
columns of the query. No session is copied. Quotes and trades are decoded from the segments that a query reaches, and
kept in the folder of local copies.
Pages are read with their checksums. A damaged session costs itself: it is left out, named, and the query runs again.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from analysis import sql_session
from analysis.catalogue import catalogue_table
from analysis.fleet_damage import chain_problem, journal_problem, size_problems
from analysis.fleet_plan import FleetPlan, FleetSession
from analysis.fleet_selection import ALL, Selection
from analysis.read_only_thread import ReadOnlyThread, read_only
from analysis.session_tables import LeftOutSession
from analysis.sql_session import NO_FRAMES, QueryError, SqlConnection, SqlResult, SqlView
from analysis.sql_views import SqlViews
from analysis.table import Table
from analysis.user_frames import arrow_table
from journal.archive import missing_archive, read_manifest
from journal.archive_cache import cache_folder
from journal.archive_location import ArchiveLocation
from journal.archived_journal import ArchivedJournal
from journal.arrow_codec import SCHEMA
from journal.errors import ArchiveRefusedError, JournalError
from journal.reader import Journal
from journal.segments import UNREADABLE, first_line
from journal.session_names import recorded_session_id

READERS = 8  # sessions that are opened or searched for damage at a time
_OBJECTS, _CATALOGUE = "fleet_objects", "catalogue"
_SCHEMA = pa.schema([pa.field("session", pa.string()), *SCHEMA])
# parts of the messages with which DuckDB reports that an object cannot be read
_READING = ("reading the stream registered as", "DamagedJournalError", "Parquet", "page integrity")

fleet_thread = ReadOnlyThread(may_connect=True)


class _Object(NamedTuple):
    """A sealed file of a session, and what is known of it without opening it."""

    path: str
    size: int | None
    bounds: ds.Expression


class Fleet:
    """The records of many sessions as SQL views, each row with its session, and the catalogue as view `catalogue`."""

    def __init__(self, plan: FleetPlan, selection: Selection = ALL) -> None:
        """Keep a plan. Sessions that the catalogue has are opened by the queries that need them.

        Args:
            plan: The sessions (analysis/fleet_plan.py).
            selection: Its times bound the records, too.

        Raises:
            JournalError: No session can be read.
        """
        self.sessions = plan.sessions
        self.left_out = plan.left_out
        self._selection = selection
        self._open_unknown()
        self._leave_out(size_problems(self.sessions))

    @property
    def views(self) -> list[SqlView]:
        """All views with their columns and a line about each."""
        return sql_session.list_views(self._connection)

    def sql(self, query: str, /, *values: Any, **frames: Any) -> Table:
        """Return the result of a query over the views, and over tables of the caller by their names.

        A damaged session is an error of the table; `result` leaves it out.

        Args:
            query: One SELECT in DuckDB's SQL.
            *values: The values for its question marks.
            **frames: DataFrames of pandas or polars, Arrow tables and so on.
        """
        known: dict[str, pa.Table] = {name: arrow_table(frame, name) for name, frame in frames.items()}
        return Table(lambda: self._connection, query, values, known)

    def result(self, query: str, limit: int | None = None) -> SqlResult:
        """Return a query's rows. A session that turns out to be damaged is left out, and `left_out` names it.

        Raises:
            QueryError: DuckDB refuses the query, or all sessions are damaged.
        """
        try:
            return sql_session.run_query(self._connection, query, limit, frames=NO_FRAMES)
        except QueryError as error:
            if not any(part in str(error) for part in _READING) or not self.leave_out_damaged():
                raise
        return sql_session.run_query(self._connection, query, limit, frames=NO_FRAMES)

    def leave_out_damaged(self) -> bool:
        """Read all sessions, leave out those that are damaged, and return True if there are some, and others are whole.

        Queries do not need it unless one of them fails.
        """
        with ThreadPoolExecutor(READERS, "damage") as pool:
            problems = list(pool.map(_problem_of, self.sessions))
        labels = (session.label for session in self.sessions)
        if not self._leave_out(dict(zip(labels, problems, strict=True))):
            return False
        vars(self).pop("_connection", None)
        return True

    # ---- parts

    def _leave_out(self, problems: Mapping[str, str]) -> bool:
        """Leave out the sessions that have a problem, by their labels; return False if none or all have one."""
        damaged = [each for each in self.sessions if problems.get(each.label)]
        if not damaged or len(damaged) == len(self.sessions):
            return False
        self.left_out += tuple(LeftOutSession(each.label, problems[each.label]) for each in damaged)
        self.sessions = tuple(each for each in self.sessions if not problems.get(each.label))
        return True

    def _open_unknown(self) -> None:
        """Open the sessions that no catalogue has; leave out and name those that cannot be read."""
        self._opened: dict[str, Journal] = {}
        unknown = [session for session in self.sessions if session.row is None]
        with ThreadPoolExecutor(READERS, "opening") as pool:
            for session, found in zip(unknown, pool.map(_journal_or_problem, unknown), strict=True):
                if isinstance(found, Journal):
                    self._opened[session.label] = found
                else:
                    self.left_out += (LeftOutSession(session.label, found),)
        self.sessions = tuple(each for each in self.sessions if each.row is not None or each.label in self._opened)
        if not self.sessions:
            raise ArchiveRefusedError(f"no session can be read: {self.left_out[0]}.")

    @cached_property
    def _connection(self) -> SqlConnection:
        """The views over all sessions. It is made again if a session is left out."""
        read_only.run(lambda: None)  # its thread for caches starts here, outside the confined one
        objects, tails = self._objects(), self._tails()
        tables: dict[str, Any] = {
            _OBJECTS: objects,
            _CATALOGUE: catalogue_table([each.row for each in self.sessions if each.row is not None]),
        }
        window = self._selection
        bounds = [f"time_ns >= {window.from_ns}"] if window.from_ns is not None else []
        bounds += [f"time_ns <= {window.to_ns}"] if window.to_ns is not None else []
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        journals = _Journals(self.sessions, self._opened)
        parts = [f"SELECT {', '.join(_SCHEMA.names)} FROM {name}{where}" for name in (_OBJECTS, *tails)]

        def connect() -> SqlConnection:
            connection = duckdb.connect(":memory:", config=sql_session.SETTINGS)
            for name, table in {**tables, **tails}.items():
                connection.register(name, table)
            views = SqlViews(connection, " UNION ALL ".join(parts), journals)
            sql_session.lock(connection, [])
            return SqlConnection(connection, views, thread=fleet_thread, tables={**tables, **tails})

        return fleet_thread.run(connect)

    def _objects(self) -> ds.Dataset:
        """Return the sealed files of all sessions as one dataset, each with its bounds."""
        scanning = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        file_format = ds.ParquetFileFormat(default_fragment_scan_options=scanning)
        filesystem = self.sessions[0].folder.place.filesystem
        fragments = [
            file_format.make_fragment(each.path, filesystem, each.bounds, file_size=each.size)
            for session in self.sessions
            for each in self._objects_of(session)
        ]
        return ds.FileSystemDataset(fragments, _SCHEMA, file_format, filesystem)

    def _objects_of(self, session: FleetSession) -> Iterator[_Object]:
        place, row = session.folder.place, session.row
        if row is not None:
            of_session = ds.field("session") == row.session
            for segment in row.segments:
                times = (ds.field("time_ns") >= segment.start_ns) & (ds.field("time_ns") <= segment.end_ns)
                yield _Object(place.child(segment.name).path, segment.bytes, of_session & times)
            return
        journal = self._opened[session.label]
        of_session = ds.field("session") == recorded_session_id(journal)
        for name in segment_names(journal):
            yield _Object(place.child(name).path, None, of_session)

    def _tails(self) -> dict[str, pa.Table]:
        """Return the records of running sessions that no sealed file has."""
        found: dict[str, pa.Table] = {}
        for journal in self._opened.values():
            if isinstance(journal, ArchivedJournal) or not (rows := journal.unsealed_rows().combine_chunks()).num_rows:
                continue
            name = pa.array([recorded_session_id(journal)] * rows.num_rows, pa.string())
            found[f"fleet_tail_{len(found)}"] = rows.add_column(0, _SCHEMA.field(0), name)
        return found


class _Journals(Mapping[str, Journal]):
    """The journals of a fleet by session id, for the decoders of quotes and trades, each opened when it is needed.

    Does not refer to the fleet: a connection keeps its functions, so the fleet and its connection would never go.
    """

    def __init__(self, sessions: Sequence[FleetSession], opened: Mapping[str, Journal]) -> None:
        self._known = {session.row.session: session for session in sessions if session.row is not None}
        self._opened = {recorded_session_id(journal): journal for journal in opened.values()}

    def __getitem__(self, name: str) -> Journal:
        if name not in self._opened:
            self._opened[name] = open_journal(self._known[name])
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened)

    def __len__(self) -> int:
        return len(self._opened)


def segment_names(journal: Journal) -> Sequence[str]:
    """Return the names of a journal's sealed files."""
    if isinstance(journal, ArchivedJournal):
        return journal.segment_names
    return [path.name for path in journal.sealed_paths()]


def open_journal(session: FleetSession) -> Journal:
    """Return a session's journal: of this machine, or read where it is.

    Raises:
        JournalError: It cannot be read.
    """
    if session.path is not None:
        return Journal.open(session.path)
    place = session.folder.place
    if session.row is not None:
        names, chain = [each.name for each in session.row.segments], session.row.chain
    else:
        manifest = read_manifest(place)
        if manifest is None:
            raise missing_archive(place)
        names, chain = [file.name for file in manifest.files], manifest.chain
    return ArchivedJournal(place, names, _cache_of(place, chain))


def _cache_of(place: ArchiveLocation, chain: str) -> Any:
    name = place.path.rstrip("/").rpartition("/")[2]
    folder = cache_folder() / "decoded" / hashlib.sha256(chain.encode()).hexdigest()[:32] / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _journal_or_problem(session: FleetSession) -> Journal | str:
    try:
        journal = open_journal(session)
        journal.session_record()
        if problem := chain_problem(journal):
            return problem
    except (JournalError, *UNREADABLE) as error:
        return first_line(error)
    return journal


def _problem_of(session: FleetSession) -> str:
    """Return why a session cannot be read, or "". Reads all of it."""
    try:
        return journal_problem(session, open_journal(session))
    except (JournalError, *UNREADABLE) as error:
        return first_line(error)
