"""The records behind an order and the causes of each, from the latest fact back to the market message and its link.

Follows an order into the sessions before if it began there. Reads journals only.
"""

from pathlib import Path
from typing import Any

import msgspec

from analysis import sql_session
from analysis.market_rows import decoding_context
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
    """The session has no order of this name. The text is one line with the nearest names."""


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


def order_story(folder: Path, order: str) -> Story:
    """Return the story of an order.

    Args:
        folder: The session that holds the order's latest records.
        order: The client's or the venue's order id.

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

    def story(self, order: str) -> Story:
        """Return the story of an order, as `order_story` does."""
        chapters: list[tuple[str, list[StoryLink]]] = []
        row: dict[str, Any] | None = None
        missing = ""
        name, chapter_folder = "", self._folder
        while True:
            chapter = self._chapter(chapter_folder)
            name = name or chapter.resolve_order_id(order)
            chapter_row = chapter.order_row(name)
            row = row or chapter_row
            chapters.append((chapter.session, chapter.chain(name)))
            is_carried = chapter_row is not None and chapter_row["origin"] == "carried"
            previous = chapter.previous_session()
            if not is_carried or not previous or len(chapters) >= SESSIONS_MAX:
                break
            try:
                chapter_folder = find_by_name(self._folder.resolve().parent, previous)
            except JournalError as error:
                missing = f"The order began in session {previous}, which cannot be opened: {error}"
                break
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

    def previous_session(self) -> str:
        return str((self._fields.get("previous") or {}).get("session", ""))

    def resolve_order_id(self, order: str) -> str:
        """Return the client order id of an order that is named by either id."""
        known = self._rows(
            "SELECT client_order_id, venue_order_id FROM orders "
            "UNION SELECT key, NULL FROM journal WHERE kind = 'INTENT'"
        )
        by_name = {name: row[0] for row in known for name in row if name is not None}
        if order in by_name:
            return str(by_name[order])
        near = sorted(name for name in by_name if order and order in name)[:NEAR_MAX]
        near = near or nearest(order, by_name)
        hint = f"near it: {', '.join(near)}" if near else f"there are {len({row[0] for row in known})} orders"
        remedy = f"verbatim sql {self.session} 'FROM orders' lists them"
        raise UnknownOrderError(f"no order {order!r} in session {self.session}; {hint}. What to do: {remedy}.")

    def order_row(self, name: str) -> dict[str, Any] | None:
        """Return the order's row of the view `orders`, or None if the order was never sent."""
        result = sql_session.run_query(
            self._connection, "SELECT * FROM orders WHERE client_order_id = ?", values=[name]
        )
        return dict(zip(result.columns, result.rows[0], strict=True)) if result.rows else None

    def chain(self, name: str) -> list[StoryLink]:
        """Return every record that has the order's name as key, and the causes of all, latest first."""
        markets = FrameDecoder(decoding_context(self._journal))
        keys = self._rows("SELECT list_id FROM orders WHERE client_order_id = ? AND list_id <> ''", [name])
        names = [name, *(row[0] for row in keys)]
        named = (
            Record(row[0], row[1], Kind(row[2]), *row[3:])
            for row in self._rows(f"SELECT {_COLUMNS} FROM journal WHERE list_contains(?, key)", [names])
        )
        records = CausalWalk(self._journal, markets).with_causes(named)
        sent = {
            row[0]: row[1:]
            for row in self._rows(
                "SELECT seq, sent_ns, answer_seq, latency_ns, outcome FROM requests "
                "WHERE list_contains(?, client_order_id)",
                [names],
            )
        }
        return [self._link(records[seq], records, markets, sent.get(seq)) for seq in sorted(records, reverse=True)]

    def _link(
        self, record: Record, records: dict[int, Record], markets: FrameDecoder, sent: tuple[Any, ...] | None
    ) -> StoryLink:
        cause = None if record.cause is None else records.get(record.cause)
        delta_ns = None if cause is None else record.time_ns - cause.time_ns
        return StoryLink(self.session, record, describe(record, markets), delta_ns, *(sent or ()))

    def _rows(self, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        return sql_session.query_rows(self._connection, query, values)
