"""One row of the list of sessions: length, counts, strategies and how it ended. Reads columns of the journal alone."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from engine.record_codec import fact_tag, purpose_of, read_request
from engine.requests import PLACING
from engine.session_record import read_session
from journal.errors import JournalError, NotBegunError
from journal.reader import Journal
from replay.moments import utc_time


class SessionRow(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One row of the list of sessions. A session that cannot be read has a problem and no counts."""

    session: str
    path: str
    start: str  # in UTC, to the second
    seconds: float | None
    records: int | None
    orders: int | None
    fills: int | None
    strategies: list[str]  # name and version
    ended: str  # closed, open, torn, begun, unreadable
    problem: str = ""
    start_ns: int | None = None  # session time of the first record
    end_ns: int | None = None  # and of the last

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


def session_row(path: Path, name: str, start: datetime | None = None) -> SessionRow:
    """Return the row of a session.

    Args:
        path: Its folder.
        name: Its name for commands.
        start: The start that its folder's name states.
    """
    unread = SessionRow(
        session=name, path=str(path), start=_start_text(start) if start else "", seconds=None, records=None,
        orders=None, fills=None, strategies=[], ended="begun",
    )  # fmt: skip
    try:
        return _read_row(unread, path)
    except NotBegunError:
        return unread
    except (JournalError, pa.ArrowException, ValueError) as error:
        lines = str(error).splitlines()
        problem = lines[0] if lines else type(error).__name__
        return msgspec.structs.replace(unread, ended="unreadable", problem=problem)


def _read_row(unread: SessionRow, path: Path) -> SessionRow:
    journal = Journal.open(path)
    first = journal.session_record()
    body = read_session(first.body or "")
    orders = fills = 0
    last_ns = first.time_ns
    for batch in journal.batches(columns=["time_ns", "kind", "body"]):
        if not batch.num_rows:
            continue
        last_ns = batch.column(0)[batch.num_rows - 1].as_py()
        kinds = pc.cast(batch.column(1), pa.string())
        facts = batch.column(2).filter(pc.equal(kinds, "FACT"))
        requests = batch.column(2).filter(pc.equal(kinds, "REQUEST"))
        fills += sum(fact_tag(text) == "order_filled" for text in facts.to_pylist())
        orders += sum(len(read_request(text).placed) for text in requests.to_pylist() if purpose_of(text) in PLACING)
    return msgspec.structs.replace(
        unread,
        start=_start_text(utc_time(first.time_ns)),
        start_ns=first.time_ns,
        end_ns=last_ns,
        seconds=round((last_ns - first.time_ns) / 1e9, 3),
        records=journal.last_seq + 1,
        orders=orders,
        fills=fills,
        strategies=[f"{found.name} {found.version}" for found in body.strategies],
        ended="closed" if journal.closed else "torn" if journal.torn_bytes else "open",
    )


def _start_text(start: datetime) -> str:
    return start.strftime("%Y-%m-%dT%H:%M:%SZ")
