"""Why an order is as it is: its records and the causes of each, from the latest fact back to the market message and the link it came over.

A walk along `cause`, not a search; it follows an order into the sessions before, where it began there. Reads journals only.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from analysis import sql_session
from analysis.record_text import what
from engine.record_codec import read_intent, read_request, read_timer
from engine.requests import Purpose
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.sessions import find_session

NEAR_MAX = 3
SESSIONS_MAX = 1_000  # of one order's life: a chain of sessions that is longer runs in a circle
LOOK_BACK_MAX = 16_384  # records before a TIMER among which the quote that woke its strategy is looked for
_COLUMNS = "seq, time_ns, kind, source, cause, key, recv_ns, meta, payload, body"


class UnknownOrderError(Exception):
    """No such order. The text is one line, with the nearest names there are."""


class StoryLink(msgspec.Struct, frozen=True):
    """One record of the chain, and how long after its cause it came."""

    session: str
    record: Record
    what: str
    delta_ns: int | None  # since its cause, where that is in the same session
    sent_ns: int | None = None  # of a REQUEST: when sending began
    answered_by: int | None = None  # seq of the record that answered a REQUEST
    latency_ns: int | None = None  # from sending to that record
    outcome: str | None = None  # how a REQUEST ended: answer, timeout, cut, not_sent


class Story(msgspec.Struct, frozen=True):
    """The chain, latest record first. `order` is the row of the view `orders`, or None where the order never left us."""

    client_order_id: str
    order: dict[str, Any] | None
    sessions: tuple[str, ...]  # in which its records lie, latest first
    chain: tuple[StoryLink, ...]
    missing: str = ""  # what lies in a session that is not here


def why(folder: Path, order: str) -> Story:
    """The story of an order, named by the client's or the venue's id. UnknownOrder, or the journal's own errors."""
    chapters: list[tuple[str, list[StoryLink]]] = []
    row: dict[str, Any] | None = None
    missing = ""
    name, at, seen = "", folder, 0
    while True:
        chapter = _Chapter(at)
        if not name:
            name = chapter.find(order)
        found = chapter.row(name)
        row = row or found
        chapters.append((chapter.session, chapter.chain(name)))
        carried = found is not None and found["origin"] == "carried"
        previous = chapter.previous()
        seen += 1
        if not carried or not previous or seen >= SESSIONS_MAX:
            break
        try:
            at = find_session(folder.resolve().parent, previous)
        except JournalError as error:
            missing = f"it began in session {previous}, which is not at hand: {error}"
            break
    return Story(
        client_order_id=name,
        order=row,
        sessions=tuple(session for session, _ in chapters),
        chain=tuple(link for _, links in chapters for link in links),
        missing=missing,
    )


class _Chapter:
    """What one session holds of an order."""

    def __init__(self, folder: Path) -> None:
        self.body: dict[str, Any] = msgspec.json.decode(Journal(folder).session_record().body or "{}")
        self.session = str(self.body.get("session", folder.name))
        self.connection: duckdb.DuckDBPyConnection = sql_session.connect(folder)

    def previous(self) -> str:
        return str((self.body.get("previous") or {}).get("session", ""))

    def find(self, order: str) -> str:
        """The client order id that `order` means."""
        known = self._rows(
            "SELECT client_order_id, venue_order_id FROM orders UNION SELECT key, NULL FROM journal WHERE kind = 'INTENT'"
        )
        by_name = {name: row[0] for row in known for name in row if name is not None}
        if order in by_name:
            return str(by_name[order])
        near = sorted(name for name in by_name if order and order in name)[:NEAR_MAX]
        near = near or get_close_matches(order, sorted(by_name), n=NEAR_MAX, cutoff=0.5)
        hint = f"near it: {', '.join(near)}" if near else f"there are {len({row[0] for row in known})} orders"
        remedy = f"verbatim sql {self.session} 'FROM orders' lists them"
        raise UnknownOrderError(f"no order {order!r} in session {self.session}; {hint}. What to do: {remedy}.")

    def row(self, name: str) -> dict[str, Any] | None:
        found = sql_session.run(self.connection, "SELECT * FROM orders WHERE client_order_id = ?", values=[name])
        return dict(zip(found.columns, found.rows[0], strict=True)) if found.rows else None

    def chain(self, name: str) -> list[StoryLink]:
        """Every record that bears the order's name, and the causes of all, latest first."""
        found = {record.seq: record for record in self._records("key = ?", [name])}
        waiting = {seq for record in found.values() for seq in self._causes(record)} - found.keys()
        while waiting:
            new = list(self._records("list_contains(?, seq)", [sorted(waiting)]))
            found.update((record.seq, record) for record in new)
            waiting = {seq for record in new for seq in self._causes(record)} - found.keys() - waiting
        asked = {
            row[0]: row[1:]
            for row in self._rows(
                "SELECT seq, sent_ns, answer_seq, latency_ns, outcome FROM requests WHERE client_order_id = ?", [name]
            )
        }
        return [self._link(found[seq], found, asked.get(seq)) for seq in sorted(found, reverse=True)]

    def _causes(self, record: Record) -> list[int]:
        """Where the walk goes on: its cause and, from an intent or a throttled strategy's TIMER, the quote it was decided on.
        A connection is where it ends.
        """
        causes = [] if record.cause is None or _ends(record) else [record.cause]
        if record.kind is Kind.INTENT:
            quote_seq = read_intent(record.body or "").because.get("quote_seq")
            causes += [quote_seq] if isinstance(quote_seq, int) else []
        if record.kind is Kind.TIMER:
            causes += self._quote_before(record)
        return causes

    def _quote_before(self, timer: Record) -> list[int]:
        """The last quote of the strategy's instruments, where a TIMER is that of a throttled strategy that saw a change."""
        owner = read_timer(timer.body or "").timer.removeprefix("watch.")
        asked = {
            wanted
            for found in self.body.get("strategies", ())
            if found["name"] == owner
            for wanted in (found.get("declared") or {}).get("instruments", ())
        }
        ids = [found["id"] for found in self.body.get("instruments", ()) if asked & {found["id"], found["symbol"]}]
        if not ids:
            return []
        rows = self._rows(
            "SELECT max(seq) FROM quotes WHERE seq BETWEEN ? AND ? AND list_contains(?, instrument)",
            [timer.seq - LOOK_BACK_MAX, timer.seq - 1, ids],
        )
        return [row[0] for row in rows if row[0] is not None]

    def _link(self, record: Record, found: dict[int, Record], asked: tuple[Any, ...] | None) -> StoryLink:
        cause = None if record.cause is None else found.get(record.cause)
        delta_ns = None if cause is None else record.time_ns - cause.time_ns
        return StoryLink(self.session, record, what(record), delta_ns, *(asked or ()))

    def _records(self, condition: str, values: list[Any]) -> Iterable[Record]:
        for row in self._rows(f"SELECT {_COLUMNS} FROM journal WHERE {condition}", values):  # noqa: S608 - our own text
            yield Record(row[0], row[1], Kind(row[2]), *row[3:])

    def _rows(self, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        return sql_session.rows(self.connection, query, values)


def _ends(record: Record) -> bool:
    if record.kind is Kind.LINK:
        return True
    # how a link or a book came to be asked for is not why an order is as it is
    return record.kind is Kind.REQUEST and read_request(record.body or "").purpose in (
        Purpose.CONNECT,
        Purpose.DISCONNECT,
        Purpose.DEPTH,
    )
