"""Tables over one recorded session or several: the SQL views, market data between two moments, and queries.

Each table is a query that runs when its rows are read (analysis/table.py).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from analysis.choices import check_instrument, chosen_kinds, chosen_sources, whole_number
from engine.model import ONLY
from journal.reader import Journal
from journal.record import Kind
from journal.trust_key import trust_key
from replay.moments import SECOND_NS, UnknownMomentError, nanoseconds, parse_moment

if TYPE_CHECKING:  # commands that ask no table start without DuckDB
    from analysis.sql_session import SqlConnection, SqlView
    from analysis.table import Table

NO_FRAMES: Mapping[str, Any] = {}
Moment = int | str | datetime  # a record's seq; or a time: time_ns, "13:45:10", an ISO text, a datetime
WEEK_NS = 7 * 86_400 * SECOND_NS
BAR_NS_MAX = 3660 * 86_400 * SECOND_NS  # ten years
MONDAY_NS = 4 * 86_400 * SECOND_NS  # 1970-01-05
BARS = f"""
WITH lengths AS (
    SELECT CAST(? AS BIGINT) AS length_ns, if(CAST(? AS BIGINT) % {WEEK_NS} = 0, {MONDAY_NS}, 0) AS anchor_ns
)
SELECT session, venue_ns - (venue_ns - anchor_ns) % length_ns AS start_ns, instant(start_ns) AS start, instrument,
       arg_min(price, seq) AS open, max(price) AS high, min(price) AS low, arg_max(price, seq) AS close,
       sum(quantity) AS volume, count(*) AS trades
FROM ({{trades}}), lengths
GROUP BY ALL
ORDER BY session, instrument, start_ns
"""  # the length comes first: question marks are numbered by their place in the text


_IS_INSTRUMENT = """(
    instrument = ? OR split_part(instrument, ':', 2) = ?
    OR instrument IN (SELECT known.instrument FROM instruments AS known WHERE known.own_symbol = ?)
)"""


class SessionPlace(NamedTuple):
    """The folder of a session and the origin that decides whether its code is trusted."""

    folder: Path
    source: str = ""  # the bundle or the archive: its recorded code runs only with `trust_code`
    keeper: object = None  # owns a temporary folder, which is deleted with the last reference to it

    @property
    def label(self) -> str:
        """The name of the session for messages."""
        return self.source or str(self.folder)

    @property
    def trust_key(self) -> bytes:
        """The key whose marks let recorded code run: the user's, or b"" for a bundle or an archive."""
        return b"" if self.source else trust_key()


class LeftOutSession(NamedTuple):
    """A session that was not opened with the others, and why."""

    name: str  # its folder, or its address in an archive
    reason: str

    def __str__(self) -> str:
        return f"{self.name} was left out: {self.reason}"


class UnreadableSessionWarning(UserWarning):
    """A folder was opened without the sessions in it that cannot be read; `Session.unreadable` names them."""


class SessionCopyWarning(UserWarning):
    """A session is in two of the opened folders and counts once; `Session.copies` names the folder left out."""


class SessionTables:
    """The tables of one session or several. Every row names its session in the column `session`."""

    def __init__(
        self,
        places: Sequence[SessionPlace],
        unreadable: Sequence[LeftOutSession] = (),
        copies: Sequence[LeftOutSession] = (),
    ) -> None:
        """Open sessions by their folders, with the records that are there now.

        Args:
            places: The sessions.
            unreadable: Sessions of the same folder that cannot be read, and are left out.
            copies: Copies of these sessions that are left out.

        Raises:
            JournalError: A session cannot be read.
        """
        assert places, "the caller found one"
        self.places = tuple(places)
        self.unreadable, self.copies = tuple(unreadable), tuple(copies)
        self.journals = tuple(Journal.open(place.folder) for place in places)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of the sessions."""
        return tuple(place.folder for place in self.places)

    def table(self, view: str) -> "Table":
        """Return a view by its name; `views` lists them."""
        from analysis.sql_views import view_names

        names = view_names()
        if view not in names:
            raise LookupError(f"there is no view {view!r}. What to do: choose one of {', '.join(names)}.")
        return self._view(view)

    @property
    def views(self) -> "list[SqlView]":
        """All views with their columns and a line about each."""
        from analysis.sql_session import list_views

        return list_views(self._connection)

    @property
    def orders(self) -> "Table":
        """One row an order, with its last status."""
        return self._view("orders")

    @property
    def fills(self) -> "Table":
        """The executions of own orders."""
        return self._view("fills")

    @property
    def intents(self) -> "Table":
        """The intents of strategies, each with the rationale that it was decided on."""
        return self._view("intents")

    @property
    def verdicts(self) -> "Table":
        """The verdict of risk on each intent."""
        return self._view("verdicts")

    @property
    def requests(self) -> "Table":
        """The requests to venues, how each ended and how long it took."""
        return self._view("requests")

    @property
    def positions(self) -> "Table":
        """A strategy's position after each fill; `is_last` marks the current one."""
        return self._view("positions")

    @property
    def balances(self) -> "Table":
        """The balances at each change; `is_last` marks the newest."""
        return self._view("balances")

    @property
    def pnl(self) -> "Table":
        """The P&L of each strategy and instrument as reported from time to time; `is_last` marks the latest."""
        return self._view("pnl")

    @property
    def portfolio(self) -> "Table":
        """The P&L and equity of the account in the reporting currency, as reported from time to time."""
        return self._view("portfolio")

    @property
    def modes(self) -> "Table":
        """The modes of the engine with their reasons."""
        return self._view("modes")

    @property
    def instruments(self) -> "Table":
        """The instruments: own symbol and venue symbol, decimals, grids, bounds, multiplier."""
        return self._view("instruments")

    @property
    def notes(self) -> "Table":
        """Remarks for people: info, warning, alarm."""
        return self._view("notes")

    def quotes(self, instrument: str = "", *, start: Moment | None = None, end: Moment | None = None) -> "Table":
        """Return the best bids and asks as decoded, in order of arrival.

        Args:
            instrument: A symbol, of the venue or the user's own, or `venue:symbol`. Default: all.
            start: The first record or time.
            end: The last record or time.

        Raises:
            UnknownInstrumentError: No open session has the instrument.
            UnknownMomentError: A text is no moment, or the last one is before the first one.
        """
        return self._market("quotes", instrument, start, end)

    def trades(self, instrument: str = "", *, start: Moment | None = None, end: Moment | None = None) -> "Table":
        """Return the market's trades as decoded, in order of arrival. Args and errors as of `quotes`."""
        return self._market("trades", instrument, start, end)

    def bars(
        self, seconds: int, instrument: str = "", *, start: Moment | None = None, end: Moment | None = None
    ) -> "Table":
        """Return bars of the market's trades, by the venue's time. An interval without a trade has no bar.

        Args:
            seconds: The length of a bar. Bars begin at multiples of it in UTC, and weeks on Monday.
            instrument: A symbol, of the venue or the user's own, or `venue:symbol`. Default: all.
            start: The first record or time.
            end: The last record or time.

        Raises:
            UnknownInstrumentError: No open session has the instrument.
            ValueError: The length is no whole number of seconds.
        """
        length_ns = whole_number(seconds, 1, "the length of a bar in seconds") * SECOND_NS
        if length_ns > BAR_NS_MAX:
            raise ValueError(f"bars of {seconds} s are too long. What to do: give at most {BAR_NS_MAX // SECOND_NS} s")
        trades = self._market("trades", instrument, start, end)
        return self._query(BARS.format(trades=trades.query), (length_ns, length_ns, *trades.values))

    def records(
        self,
        *,
        kinds: Kind | str | Collection[Kind | str] = (),
        sources: str | Collection[str] = (),
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> "Table":
        """Return the records, each with its text.

        Args:
            kinds: Kinds of records, as `FEED` or `FACT`. Default: all.
            sources: Sources of records. Default: all.
            start: The first record or time.
            end: The last record or time.

        Raises:
            UnknownMomentError: A text is no moment, or the last one is before the first one.
            ValueError: A kind is unknown.
        """
        found = self._between("SELECT * FROM records", start, end)
        if kinds:
            found = found.where("list_contains(?, kind)", sorted(map(str, chosen_kinds(kinds))))
        return found.where("list_contains(?, source)", sorted(chosen_sources(sources))) if sources else found

    def sql(self, query: str, /, *values: Any, **frames: Any) -> "Table":
        """Return the result of a query over the views, and over tables of the caller by their names.

        Args:
            query: One SELECT in DuckDB's SQL.
            *values: The values for its question marks.
            **frames: DataFrames of pandas or polars, Arrow tables and so on (analysis/user_frames.py).

        Raises:
            UnknownFrameError: A frame is no table.
        """
        from analysis.user_frames import arrow_table

        return self._query(query, values, {name: arrow_table(frame, name) for name, frame in frames.items()})

    # ---- parts

    @cached_property
    def _connection(self) -> "SqlConnection":
        from analysis.sql_session import connect

        return connect(self.journals)

    def _query(self, query: str, values: Sequence[Any] = (), frames: Mapping[str, Any] = NO_FRAMES) -> "Table":
        from analysis.table import Table

        return Table(lambda: self._connection, query, values, frames)

    def _view(self, name: str) -> "Table":
        return self._query(f"SELECT * FROM {name}")

    def _market(self, view: str, instrument: str, start: Moment | None, end: Moment | None) -> "Table":
        found = self._between(f"SELECT * FROM {view}", start, end)
        if not instrument or instrument == ONLY:
            return found
        check_instrument(instrument, self.journals)
        return found.where(_IS_INSTRUMENT, instrument, instrument, instrument)

    def _between(self, query: str, start: Moment | None, end: Moment | None) -> "Table":
        """Return the rows of a query between two moments, both included."""
        found = self._query(query)
        bounds: dict[str, int] = {}
        for moment, sign in ((start, ">="), (end, "<=")):
            if moment is not None:
                seq, time_ns = self.moment(moment)
                column, value = ("time_ns", time_ns) if seq is None else ("seq", seq)
                found = found.where(f"{column} {sign} ?", value)
                if value is not None and value < bounds.setdefault(column, value):
                    raise UnknownMomentError(f"the end {end!r} is before the start {start!r}")
        return found

    def moment(self, moment: Moment) -> tuple[int | None, int | None]:
        """Return a moment as (seq, None) or (None, time_ns).

        Raises:
            UnknownMomentError: A text is no moment.
        """
        return parse_moment(moment_text(moment), self.journals[0].session_record().time_ns)


def moment_text(moment: Moment) -> str:
    """Return a moment as the commands write it."""
    if isinstance(moment, datetime):
        return str(nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    return str(moment)
