"""Answers about a cursor: mode, P&L, positions, limits, the engine's state, the book, health, the chain of an order."""

import json
from bisect import bisect_right
from collections import Counter
from typing import Any

import msgspec
import numpy as np

from analysis.metrics.meter_reader import line_at
from analysis.story_text import story_json
from analysis.why import StoryReader
from engine.market import rows as r
from journal.arrow_arrays import flags, numbers
from journal.record import Kind
from verbatim.cockpit.acts import OrderRow
from verbatim.cockpit.plots import book_levels
from verbatim.cockpit.record_pages import record_line
from verbatim.cockpit.session_view import ROWS_MAX, NotAnswerableError, SessionView, plain_json

PAYLOAD_MAX = 20_000  # characters of a payload in a chain
HEALTH_RECORDS = 8_192  # before the cursor, from which rates and gaps of streams are counted


def cursor_facts(view: SessionView, seq: int | None, time: int | None) -> dict[str, Any]:
    """Return the answers about a cursor that need no fold of the market."""
    if seq is None:
        seq = max(view.seq_at(view.origin_ns + (time or 0)), 0)
    record = view.record(min(seq, view.last_seq))
    with view.lock:
        acts = view.acts
        return {
            "seq": record.seq,
            "time": record.time_ns - view.origin_ns,
            "record": record_line(view, record),
            "mode": _latest(acts.modes, seq),
            "pnl": _latest_by(acts.pnl, seq, lambda row: (row[2], row[3])),
            "portfolio": _latest(acts.portfolio, seq),
            "positions": _latest_by(acts.positions, seq, lambda row: (row[2], row[3])),
            "balances": _latest_by(acts.balances, seq, lambda row: row[2]),
            "checks": _latest_by(acts.checks, seq, lambda row: row[2]),
            "changes": _changes(view, seq),
            "safety": _before(acts.safety, seq, 30),
            "notes": _before(acts.notes, seq, 30),
            "commands": _before(acts.commands, seq, 10),
            "live_orders": [
                row.id
                for row in acts.orders.values()
                if row.seq <= seq and not (row.end_seq and row.end_seq <= seq) and row.end_time >= 0
            ][:ROWS_MAX],
        }


def _changes(view: SessionView, seq: int) -> dict[str, Any]:
    """Return each strategy's last change of its declared state, with the values before it."""
    found: dict[str, Any] = {}
    state: dict[str, dict[str, Any]] = {}
    for at, time, strategy, changed in view.acts.changes:
        if at > seq:
            break
        known = state.setdefault(strategy, {})
        found[strategy] = {
            "seq": at,
            "time": time,
            "fields": {name: [known.get(name), value] for name, value in changed.items()},
        }
        known.update(changed)
    return found


def next_mark(view: SessionView, seq: int, name: str, *, forward: bool) -> dict[str, Any]:
    """Return the next or the previous act of a kind, or nothing."""
    rows = view.acts.marks.get(name)
    if rows is None:
        raise NotAnswerableError(f"there is no kind of act {name!r}")
    at = bisect_right(rows, seq, key=lambda row: row[0])
    if not forward:
        at = at - 2 if at and rows[at - 1][0] == seq else at - 1
    if not 0 <= at < len(rows):
        return {"seq": None, "time": None, "key": None}
    return {"seq": rows[at][0], "time": rows[at][1], "key": view.record(rows[at][0]).key}


def marks(view: SessionView) -> dict[str, list[list[Any]]]:
    """Return all acts by kind: seq, time and the order that each concerns."""
    with view.lock:
        keys: dict[int, str] = {}
        for intent in view.acts.intents:
            keys[intent.seq] = keys[intent.verdict_seq] = intent.id
        keys |= {row.seq: row.id for row in view.acts.orders.values()}
        keys |= {row.seq: row.id for row in view.acts.fills}
        return {name: [[seq, time, keys.get(seq, "")] for seq, time in rows] for name, rows in view.acts.marks.items()}


def state(view: SessionView, seq: int) -> dict[str, Any]:
    """Return the engine's state after a record, as `verbatim ask --json` does."""
    if view.is_capture:
        raise NotAnswerableError("a capture has no engine: it holds market data and no decisions")
    report = view.states.report(max(0, min(seq, view.last_seq)))
    report["orders"] = [order for order in report["orders"] if order["live"]]
    found: dict[str, Any] = with_texts(report)
    return found


def _own_levels(view: SessionView, instrument: str, seq: int) -> dict[str, str]:
    """Return own resting quantity by price."""
    levels: dict[str, float] = {}
    for row in _orders_at(view, seq):
        quantity, price = _terms_at(row, seq)
        if row.instrument == instrument and price:
            levels[price] = levels.get(price, 0.0) + float(quantity) - float(_filled_at(row, seq))
    return {price: f"{size:.12g}" for price, size in levels.items()}


def _orders_at(view: SessionView, seq: int) -> list[OrderRow]:
    return [
        row
        for row in view.acts.orders.values()
        if row.seq <= seq and not (row.end_seq and row.end_seq <= seq) and row.end_time >= 0
    ]


def ladder(view: SessionView, instrument: int, seq: int, levels: int) -> dict[str, Any]:
    """Return the book after a record, with own quantity and the last trades."""
    if view.is_capture:
        raise NotAnswerableError("a capture has no engine that kept a book")
    found: list[Any] = []
    target = max(1, min(seq, view.last_seq))
    view.states.walk(target - 1, target, lambda state, _: found.append(book_levels(state, instrument, levels)))
    side = found[0] if found else [[], []]
    at_ns = view.record(target).time_ns
    from_ns = max(at_ns - 60_000_000_000, view.origin_ns)
    view.market.want(from_ns, at_ns)
    _, trades = view.market.series.columns(instrument, from_ns, at_ns, 4_000)
    instruments = [] if view.context is None else view.context.body.instruments
    return {
        "seq": target,
        "bids": side[0],
        "asks": side[1],
        "own": _own_levels(view, instruments[instrument].id, target) if instruments else {},
        "trades": [
            [int(row[0]) - view.origin_ns, int(row[5]), int(row[6]), int(row[7]), int(row[1])]
            for row in trades[-20:][::-1]
        ],
    }


def refusals(view: SessionView, seq: int) -> dict[str, Any]:
    """Return the refusals up to a record, counted by rule with the last one, and the use of each limit."""
    with view.lock:
        rules: dict[str, dict[str, Any]] = {}
        total = 0
        for row in view.acts.intents:
            if row.seq > seq:
                break
            if row.approved is False:
                total += 1
                known = rules.setdefault(row.rule, {"count": 0})
                known |= {
                    "count": known["count"] + 1,
                    "seq": row.verdict_seq,
                    "time": row.time,
                    "text": row.objection,
                    "id": row.id,
                }
        limits: dict[str, Any] = {}
        at = bisect_right(view.acts.figures, seq, key=lambda row: row[0])
        for verdict_seq, figures in reversed(view.acts.figures[max(0, at - 200) : at]):
            for name, figure in figures.items():
                limits.setdefault(name, [*figure, verdict_seq])
        configured = {} if view.body is None else plain_json(msgspec.to_builtins(view.body.risk))
        names = [rule.name for rule in view.body.rules] if view.body is not None else []
        return {
            "total": total,
            "rules": rules,
            "limits": dict(sorted(limits.items())),
            "settings": configured,
            "names": names,
        }


def health(view: SessionView, seq: int) -> dict[str, Any]:
    """Return each stream's age, rate, longest gap and lag before a cursor; links, and times to the wire."""
    seq = max(0, min(seq, view.last_seq))
    if seq > view.journal.last_seq:
        view.refresh_journal()
    now_ns = view.record(seq).time_ns
    streams = _streams(view, max(0, seq - HEALTH_RECORDS), seq, now_ns)
    process = meter(view, seq, now_ns)
    with view.lock:
        acts = view.acts
        at = bisect_right(acts.wire, seq, key=lambda row: row[1])
        wire = acts.wire[:at]
        links = [row for row in acts.links if row[0] <= seq]
        for name, stream in streams.items():
            stream["reconnects"] = max(sum(row[2] == name and row[3] == "up" for row in links) - 1, 0)
        return {
            "streams": streams,
            "modes": _before(acts.modes, seq, 30),
            "links": [list(row) for row in links[-40:][::-1]],
            "gaps": [gap[:6] for gap in acts.gaps if gap[0] <= seq][-40:][::-1],
            "alarms": [list(row) for row in acts.notes if row[0] <= seq and row[3 - 1] != "info"][-60:][::-1],
            "wire": _histogram([row[4] for row in wire]),
            "answers": _histogram([row[5] for row in wire]),
            "meter": process,
        }


def meter(view: SessionView, seq: int, now_ns: int) -> dict[str, Any] | None:
    """Return the figures of the trader's process before a cursor, or None if its meter has none."""
    line = line_at(view.folder, seq)
    if line is None:
        return None
    sync = line.sync
    return {
        "age": now_ns - line.time_ns,
        "waiting": [line.waiting, line.waiting_peak],
        "lag": [line.lag_ns, line.lag_peak_ns],
        "unsynced": line.unsynced,
        "sync": [sync.newest, sync.p50_ns, sync.p99_ns, sync.max_ns],
        "sends": [
            [each.purpose, each.transport, sum(each.counts), each.newest, each.p50_ns, each.p99_ns]
            for each in line.sends
        ],
        "log_dropped": line.log_dropped,
        "memory": line.resident_bytes,
        "free": line.free_bytes,
    }


def _streams(view: SessionView, first: int, last: int, now_ns: int) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for batch in view.journal.batches(
        first, ["time_ns", "recv_ns", "source", "meta"], to_seq=last, kinds=(Kind.FEED, Kind.BROKER)
    ):
        plain = flags(batch.column("meta").is_null())
        times = numbers(batch.column("time_ns"))
        sources = batch.column("source").to_pylist()
        for time_ns, source, is_plain in zip(times.tolist(), sources, plain.tolist(), strict=True):
            if not is_plain:
                continue
            known = found.setdefault(source, {"first_ns": time_ns, "last_ns": time_ns, "count": 0, "gap_ns": 0})
            known["gap_ns"] = max(known["gap_ns"], time_ns - known["last_ns"])
            known["last_ns"] = time_ns
            known["count"] += 1
    return {
        source: {
            "age": now_ns - known["last_ns"],
            "rate": round(known["count"] / max((now_ns - known["first_ns"]) / 1e9, 1e-3), 1),
            "gap": known["gap_ns"],
            "count": known["count"],
            "reconnects": 0,
        }
        for source, known in sorted(found.items())
    }


def why(view: SessionView, order: str) -> dict[str, Any]:
    """Return the chain of records behind an order, as `verbatim why --json` does.

    Raises:
        UnknownOrderError: No order of the session has this name.
    """
    with view.story_lock:
        if view.stories is None or view.stories[0] != view.last_seq:
            view.stories = view.last_seq, StoryReader(view.folder)
        story = story_json(view.stories[1].story(order))
    chain = []
    for link in story["chain"]:
        payload, body = link["payload"], link["body"]
        shown = {
            "body_text": None if body is None else json.dumps(body, ensure_ascii=False),
            "payload": payload if payload is None or len(payload) <= PAYLOAD_MAX else payload[:PAYLOAD_MAX] + "…",
            "time": link["time_ns"] - view.origin_ns,
            "time_ns": str(link["time_ns"]),
            "sent_ns": None if link["sent_ns"] is None else str(link["sent_ns"]),
        }
        chain.append(with_texts(link) | shown)
    found: dict[str, Any] = with_texts({**story, "chain": []}) | {"chain": chain}
    return found


def _filled_at(row: OrderRow, seq: int) -> str:
    """Return how much of an order was filled after a record."""
    if not row.changes or seq >= row.changes[-1][0]:
        return row.filled
    return next((change[3] for change in reversed(row.changes) if change[0] <= seq), "0")


def _terms_at(row: OrderRow, seq: int) -> tuple[str, str]:
    """Return an order's quantity and price after a record: an amendment changes them."""
    return next(((change[2], change[3]) for change in row.amended if change[0] > seq), (row.quantity, row.price))


def _latest(rows: list[Any], seq: int) -> list[Any] | None:
    at = bisect_right(rows, seq, key=lambda row: row[0])
    return list(rows[at - 1]) if at else None


def _before(rows: list[Any], seq: int, count: int) -> list[list[Any]]:
    at = bisect_right(rows, seq, key=lambda row: row[0])
    return [list(row) for row in reversed(rows[max(0, at - count) : at])]


def _latest_by(rows: list[Any], seq: int, key: Any) -> list[list[Any]]:
    """Return the last row of each key before a cursor. Reads the last rows only: keys repeat often."""
    at = bisect_right(rows, seq, key=lambda row: row[0])
    found: dict[Any, list[Any]] = {}
    for row in reversed(rows[max(0, at - ROWS_MAX) : at]):
        found.setdefault(key(row), list(row))
    return [found[name] for name in sorted(found)]


def _histogram(values: list[int]) -> dict[str, Any]:
    """Return percentiles, and counts by powers of two of a microsecond."""
    if not values:
        return {"count": 0}
    numbers = np.array(values, np.int64)
    buckets = Counter(int(max(value, 1) // 1000).bit_length() for value in values)
    p50, p90, p99 = np.percentile(numbers, [50, 90, 99]).astype(int).tolist()
    return {
        "count": len(values),
        "p50": p50,
        "p90": p90,
        "p99": p99,
        "max": int(numbers.max()),
        "buckets": [[bits, buckets[bits]] for bits in sorted(buckets)],
    }


def with_texts(value: Any) -> Any:
    """Return JSON values whose times and other large numbers are texts, since a browser's numbers have 53 bits."""
    if isinstance(value, dict):
        return {str(name): with_texts(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_texts(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > r.VALUE_MAX:
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
