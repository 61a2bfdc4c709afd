"""Pages of records: those about a cursor, one with its bytes, and those of the engine itself."""

from collections import deque
from typing import Any

from journal.record import Kind, Record
from replay.causal_chain import CausalWalk
from replay.record_text import describe, payload_text, shorten
from verbatim.cockpit.acts import KINDS
from verbatim.cockpit.session_view import SessionView

RECORDS_MAX = 400  # of a page of records
SEARCHED_MAX = 60_000  # records that a page with a filter reads
TEXT_BYTES_MAX = 262_144  # of one record's payload


def records(
    view: SessionView, *, seq: int, before: int, after: int, kinds: list[str], text: str = ""
) -> dict[str, Any]:
    """Return the records about a cursor, each in one line."""
    chosen = {Kind(kind) for kind in kinds} if kinds else None
    before, after = min(before, RECORDS_MAX), min(after, RECORDS_MAX)
    if view.last_seq > view.journal.last_seq:
        view.refresh_journal()
    rows: list[Record] = []
    if not chosen and not text:
        rows = list(view.journal.records(max(0, seq - before), min(seq + after, view.last_seq)))
    else:
        rows = _search(view, seq, before, kinds=chosen, text=text, forward=False)[::-1]
        rows += _search(view, seq, after, kinds=chosen, text=text, forward=True)
    return {"seq": seq, "last_seq": view.last_seq, "rows": [record_line(view, record) for record in rows]}


def _search(
    view: SessionView, seq: int, limit: int, *, kinds: set[Kind] | None, text: str, forward: bool
) -> list[Record]:
    found: list[Record] = []
    step = 4_096
    for moved in range(0, SEARCHED_MAX, step):
        begin = seq + moved if forward else seq - moved - step
        end = min(begin + step - 1, view.last_seq)
        if len(found) >= limit or end < 0 or begin > view.last_seq:
            break
        block = list(view.journal.records(max(begin, 0), end, kinds=kinds))
        matching = [record for record in (block if forward else block[::-1]) if _matches(record, text)]
        found += matching
    return found[:limit]


def _matches(record: Record, text: str) -> bool:
    if not text:
        return True
    return text in (record.key or "") or text in record.source or text in (record.body or payload_text(record))


def record_line(view: SessionView, record: Record) -> dict[str, Any]:
    """Return one record in one line."""
    return {
        "seq": record.seq,
        "time": record.time_ns - view.origin_ns,
        "kind": record.kind.value,
        "source": record.source,
        "cause": record.cause,
        "key": record.key,
        "text": shorten(describe(record, view.frames)),
    }


def whole_record(view: SessionView, seq: int) -> dict[str, Any]:
    """Return one record with its body, its bytes, and the records that it led to."""
    record = view.record(seq)
    near = view.journal.records(seq + 1, min(seq + 512, view.last_seq))
    caused = [record_line(view, found) for found in near if found.cause == seq][:50]
    walk = CausalWalk(view.journal, view.frames)
    decided_on = walk.decision_input(record) if record.kind is Kind.INTENT else None
    payload = None if record.payload is None else record.payload[:TEXT_BYTES_MAX]
    return record_line(view, record) | {
        "recv_ns": None if record.recv_ns is None else str(record.recv_ns),
        "time_ns": str(record.time_ns),
        "meta": record.meta,
        "body": None if record.body is None else record.body[:TEXT_BYTES_MAX],
        "payload": None if payload is None else payload.decode("utf-8", "backslashreplace"),
        "bytes": 0 if record.payload is None else len(record.payload),
        "decided_on": decided_on,
        "caused": caused,
    }


def engine_records(view: SessionView, limit: int, longest: int) -> list[dict[str, Any]]:
    """Return the last records that are not market data, each with its body."""
    chosen = deque(view.journal.records(kinds=KINDS), maxlen=limit)
    return [
        record_line(view, record)
        | {
            "time_ns": str(record.time_ns),
            "recv_ns": None if record.recv_ns is None else str(record.recv_ns),
            "meta": record.meta,
            "body": None if record.body is None else record.body[:longest],
            "payload": None if record.payload is None else payload_text(record)[:longest],
            "bytes": 0 if record.payload is None else len(record.payload),
            "decided_on": None,
            "caused": [],
        }
        for record in chosen
    ]
