"""The records behind an order and the causes of each, from the latest fact back to the market message and its link.

Follows an order into the sessions before if it began there. Reads journals only.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from analysis import sql_session
from engine.session_record import read_session
from engine.session_venues import SessionVenues
from engine.suggestions import nearest
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.sessions import find_by_name
from replay.causal_chain import CausalWalk
from replay.record_text import FrameDecoder, describe

NEAR_MAX = 3
SESSIONS_MAX = 1_000  # a longer chain of sessions behind one order is a circle
_COLUMNS = "seq, time_ns, kind, source, cause, key, recv_ns, meta, payload, body"


class UnknownOrderError(Exception):
    """The session has no order of this name, or several. The text is one line with the nearest names."""


class StoryLink(msgspec.Struct, frozen=True):
    """One record of the chain, and how long after its cause it came."""

    session: str
    record: Record
    what: str
    delta_ns: int | None  # since its cause, if that is in the same session
    sent_ns: int | None = None  # of a REQUEST: when sending began
    answered_by: int | None = None  # seq of the record that answered a REQUEST
    latency_ns: int | None = None  # from sending to that record
    outcome: str | None = None  # how a REQUEST ended: answer, timeout, cut, not_sent


class Story(msgspec.Struct, frozen=True):
    """The chain, latest record first. `order` is its row of the view `orders`, or None if the order was never sent."""

    client_order_id: str
    order: dict[str, Any] | None
    sessions: tuple[str, ...]  # the sessions that hold its records, latest first
    chain: tuple[StoryLink, ...]
    missing: str = ""  # names an earlier session of the order that could not be opened

    def __str__(self) -> str:
        from analysis.story_text import story_lines

        return "\n".join(map(str, story_lines(self)))

    def as_json(self) -> dict[str, Any]:
        """Return the whole story as JSON values, as `verbatim why --json` prints it."""
        from analysis.story_text import story_json

        return story_json(self)


def order_story(folder: Path, order: str | None) -> Story:
    """Return the story of an order.

    Args:
        folder: The session that holds the order's latest records.
        order: The client's or the venue's order id. None: the order that was filled last.

    Raises:
        UnknownOrderError: The session has no order of this name.
        JournalError: A session cannot be read.
    """
    return StoryReader(folder).story(order)


class StoryReader:
    """Reads the stories of several orders of a session, as it was when each of its sessions was first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._chapters: dict[Path, _Chapter] = {}

    def story(self, order: str | None) -> Story:
        """Return the story of an order, as `order_story` does."""
        chapters: list[tuple[str, list[StoryLink]]] = []
        missing = ""
        chapter = self._chapter(self._folder)
        name, row = chapter.find_order(chapter.last_filled() if order is None else order)
        chapter_row = row
        while True:
            chapters.append((chapter.session, chapter.chain(name, chapter_row)))
            is_carried = chapter_row is not None and chapter_row["origin"] == "carried"
            previous = chapter.previous_session()
            if not is_carried or not previous or len(chapters) >= SESSIONS_MAX:
                break
            try:
                folder = find_by_name(self._folder.resolve().parent, previous)
            except JournalError as error:
                missing = f"The order began in session {previous}, which cannot be opened: {error}"
                break
            chapter = self._chapter(folder)
            chapter_row = chapter.order_row(name)
            row = row or chapter_row
        return Story(
            client_order_id=name,
            order=row,
            sessions=tuple(session for session, _ in chapters),
            chain=tuple(link for _, links in chapters for link in links),
            missing=missing,
        )

    def _chapter(self, folder: Path) -> "_Chapter":
        if folder not in self._chapters:
            self._chapters[folder] = _Chapter(folder)
        return self._chapters[folder]


class _Chapter:
    """The records of one session that concern one order."""

    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder)
        self._fields: dict[str, Any] = msgspec.json.decode(self._journal.session_record().body or "{}")
        self.session = str(self._fields.get("session", folder.name))
        self._connection = sql_session.connect(folder)

    @cached_property
    def _markets(self) -> FrameDecoder:
        return FrameDecoder(SessionVenues(read_session(self._journal.session_record().body or "")))

    def previous_session(self) -> str:
        return str((self._fields.get("previous") or {}).get("session", ""))

    def last_filled(self) -> str:
        """Return the client order id of the order that was filled last."""
        filled = self._rows("SELECT client_order_id FROM fills ORDER BY seq DESC LIMIT 1")
        if not filled:
            raise UnknownOrderError(
                f"{self._journal.folder} has no fill. What to do: name an order of its view `orders`."
            )
        return str(filled[0][0])

    def find_order(self, order: str) -> tuple[str, dict[str, Any] | None]:
        """Return the client order id of an order that either id names, and its row of `orders`.

        A refused intent has an id and no row.
        """
        rows = self._order_rows(order)
        if len(rows) > 1 and rows[0]["client_order_id"] != order:
            found = ", ".join(str(row["client_order_id"]) for row in rows[:NEAR_MAX])
            raise UnknownOrderError(
                f"{order!r} is the venue's id of several orders: {found}. What to do: name one of them."
            )
        if rows:
            return str(rows[0]["client_order_id"]), rows[0]
        known = self._rows(
            "SELECT client_order_id, venue_order_id FROM orders "
            "UNION SELECT key, NULL FROM journal WHERE kind = 'INTENT'"
        )
        names = {name for row in known for name in row if name is not None}
        if order in names:
            return order, None
        near = sorted(name for name in names if order and order in name)[:NEAR_MAX]
        near = near or nearest(order, names)
        hint = f"near it: {', '.join(near)}" if near else f"there are {len({row[0] for row in known})} orders"
        remedy = f"verbatim sql {self.session} 'FROM orders' lists them"
        raise UnknownOrderError(f"no order {order!r} in session {self.session}; {hint}. What to do: {remedy}.")

    def order_row(self, name: str) -> dict[str, Any] | None:
        """Return an order's row of the view `orders` by the client's id, or None if it was not sent."""
        return next((row for row in self._order_rows(name) if row["client_order_id"] == name), None)

    def _order_rows(self, order: str) -> list[dict[str, Any]]:
        """Return the rows of the view `orders` with an id of the client's or the venue's, the client's first."""
        result = sql_session.run_query(
            self._connection,
            "SELECT * FROM orders WHERE client_order_id = $1 OR venue_order_id = $1 "
            "ORDER BY client_order_id = $1 DESC, created_ns",
            values=[order],
        )
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    def chain(self, name: str, row: Mapping[str, Any] | None) -> list[StoryLink]:
        """Return every record that has the order's name as key, and the causes of all, latest first.

        Args:
            name: The order's client order id.
            row: The order's row of the view `orders`; its list's records belong to the chain, too.
        """
        names = [name] if row is None or not row["list_id"] else [name, row["list_id"]]
        named = self._records("list_contains(?, key)", names)
        records = CausalWalk(self._journal, self._markets).with_causes(named)
        requests = [seq for seq, each in records.items() if each.kind is Kind.REQUEST and each.key in names]
        answers = self._records("kind IN ('BROKER', 'FEED') AND meta IS NOT NULL AND list_contains(?, cause)", requests)
        first = {answer.cause: answer for answer in reversed(answers)}
        return [self._link(records[seq], records, first.get(seq)) for seq in sorted(records, reverse=True)]

    def _link(self, record: Record, records: dict[int, Record], answer: Record | None) -> StoryLink:
        """Return a record's link. That of a request has the figures that the view `requests` states."""
        cause = None if record.cause is None else records.get(record.cause)
        delta_ns = None if cause is None else record.time_ns - cause.time_ns
        link = StoryLink(self.session, record, describe(record, self._markets), delta_ns)
        if answer is None:
            return link
        meta = msgspec.json.decode(answer.meta or "{}")
        sent_ns = meta.get("sent_ns")
        return msgspec.structs.replace(
            link,
            sent_ns=sent_ns,
            answered_by=answer.seq,
            latency_ns=answer.time_ns - (record.time_ns if sent_ns is None else sent_ns),
            outcome=meta.get("outcome"),
        )

    def _records(self, condition: str, values: list[Any]) -> list[Record]:
        """Return the records that fulfil a condition of SQL with one question mark, in their order."""
        rows = self._rows(f"SELECT {_COLUMNS} FROM journal WHERE {condition} ORDER BY seq", [values])
        return [Record(row[0], row[1], Kind(row[2]), *row[3:]) for row in rows]

    def _rows(self, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        return sql_session.query_rows(self._connection, query, values)
