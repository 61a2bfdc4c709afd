"""One session as the page asks for it: its span, series, acts, and all that holds at a cursor.

Every answer is plain JSON values and bounded in size. Times are nanoseconds since the session's first record, which fit
a JavaScript number; the first record's own time is a text.
"""

from bisect import bisect_right
from collections import Counter
from pathlib import Path
from threading import Lock, RLock, Thread
from typing import Any

import msgspec
import numpy as np

from analysis.market_rows import decoding_context
from analysis.why import StoryReader, story_json
from engine.market import rows as r
from engine.session_record import SessionBody, read_session
from engine.state.session_state import State
from journal import caches
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.tail import POLL_ROWS, Follower
from replay.causal_chain import CausalWalk
from replay.record_text import FrameDecoder, describe, payload_text, shorten
from replay.resim.capture_session import is_import
from replay.snapshots import code_digest
from verbatim.cockpit.acts import KINDS, MARKS, Acts, ActsFold, IntentRow, OrderRow, new_acts
from verbatim.cockpit.caching import cache_folder
from verbatim.cockpit.market_parts import MarketParts
from verbatim.cockpit.series import QB_ASK, QB_BID, QB_HIGH, QB_LOW, QB_SEQ, TB_OPEN, iter_numbers
from verbatim.cockpit.state_cache import StateCache

ACTS_FORMAT = 2  # of the cache
ROWS_MAX = 2_000  # of a list in one answer
RECORDS_MAX = 400  # of a page of records
SEARCHED_MAX = 60_000  # records that a page with a filter reads
TEXT_BYTES_MAX = 262_144  # of one record's payload
PAYLOAD_MAX = 20_000  # characters of a payload in a chain
HEAT_RECORDS_MAX = 60_000  # of a range whose book is drawn
HEAT_COLUMNS_MAX = 240
HEALTH_RECORDS = 8_192  # before the cursor, from which rates and gaps of streams are counted
LOADING_SECONDS = 0.5  # that an answer waits for the session to be loaded


class NotAnswerableError(Exception):
    """The session cannot answer a question. The text says why."""


class SessionView:
    """The data of one session. Calls come from several threads."""

    def __init__(self, folder: Path) -> None:
        """Open a session; `load` reads it.

        Raises:
            JournalError: It cannot be read.
        """
        self.folder = folder
        self.journal = Journal.open(folder)
        first = self.journal.session_record()
        self.origin_ns = first.time_ns
        self.is_capture = is_import(self.journal)
        self.body: SessionBody | None = None if self.is_capture else read_session(first.body or "")
        self.is_live = is_locked(folder)
        self.context = decoding_context(self.journal)
        self.states = StateCache(folder)
        self.progress = 0.0
        self.is_loaded = False
        self._thread: Thread | None = None
        self._load_error: Exception | None = None
        self._is_behind = False
        self._loading = Lock()
        self._lock = RLock()
        self._cache = cache_folder(folder)
        self._market = MarketParts(self.journal, self.context, self._cache, is_shared=not self.is_live)
        self._frames = FrameDecoder(self.context)
        self._acts = new_acts()
        self._fold = ActsFold(self.body, self.origin_ns, self._acts)
        self._follower: Follower | None = None
        self.last_seq = self.journal.last_seq
        self.last_ns = self.origin_ns
        self._memory: dict[str, Any] = {}
        self._stories: tuple[int, StoryReader] | None = None
        self._story_lock = Lock()

    @property
    def name(self) -> str:
        """The session's id, or its folder's name."""
        return self.body.session if self.body is not None else self.folder.name

    # ---- loading

    def load(self) -> None:
        """Read the session once: blocks of its market, and its acts. Later calls return when that is done."""
        with self._loading:
            if self.is_loaded:
                return
            last = max(self.last_seq, 1)
            self._load_acts()

            def show(seq: int) -> None:
                self.progress = 0.3 + 0.7 * seq / last

            self._market.load(show)
            for record in self.journal.records(self.last_seq):
                self.last_ns = record.time_ns
            if self.is_live:
                self._follower = Follower(self.folder, self.last_seq + 1)
            self.is_loaded = True

    def start_loading(self) -> bool:
        """Load in a thread. Return True if that ended within a moment.

        Raises:
            JournalError: The session cannot be read.
        """
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._load_in_thread, name="cockpit-load", daemon=True)
                self._thread.start()
        self._thread.join(LOADING_SECONDS)
        if self._load_error is not None:
            raise self._load_error
        return self.is_loaded

    def _load_in_thread(self) -> None:
        try:
            self.load()
        except Exception as error:  # noqa: BLE001 - the page shows it
            self._load_error = error

    @property
    def is_behind(self) -> bool:
        """True if the last reading of a running session was full, so that more waits."""
        return self._is_behind

    def _load_acts(self) -> None:
        made_from = f"{ACTS_FORMAT} {code_digest()} {self.journal.chain} {self.last_seq}"
        is_final = not self.is_live and not self.journal.unsealed_rows().num_rows
        cached = caches.load(self._cache, "acts", made_from) if is_final else None
        if cached is not None:
            self._acts = msgspec.msgpack.decode(cached, type=Acts)
            self._fold = ActsFold(self.body, self.origin_ns, self._acts)
            return
        for record in self.journal.records(kinds=KINDS):
            self._fold.add(record)
            if not record.seq % 4096:
                self.progress = 0.3 * record.seq / max(self.last_seq, 1)
        if is_final:
            caches.save(self._cache, "acts", made_from, msgspec.msgpack.encode(self._acts))

    def advance(self) -> bool:
        """Read what a running session wrote meanwhile. Return True if there was something."""
        if self._follower is None:
            return False
        records = self._follower.poll()
        self._is_behind = len(records) >= POLL_ROWS
        with self._lock:
            if records:
                for record in records:
                    if record.kind in KINDS:
                        self._fold.add(record)
                self._market.extend(records)
                self.last_seq, self.last_ns = records[-1].seq, records[-1].time_ns
                self._memory.clear()
            elif self._follower.ended or not is_locked(self.folder):
                self.is_live = False
                self._follower.close()
                self._follower = None
                self.journal = Journal.open(self.folder)
                return True
            return bool(records)

    # ---- what the session is

    def head(self) -> dict[str, Any]:
        """Return what the page needs first."""
        body = self.body
        instruments = [] if self.context is None else self.context.body.instruments
        return {
            "id": self.name,
            "folder": self.folder.name,
            "is_live": self.is_live,
            "is_capture": self.is_capture,
            "is_closed": self.journal.closed,
            "origin_ns": str(self.origin_ns),
            "last_seq": self.last_seq,
            "last_time": self.last_ns - self.origin_ns,
            "instruments": [
                {
                    "id": found.id,
                    "symbol": found.symbol,
                    "base": found.base,
                    "quote": found.quote,
                    "price_scale": found.price_scale,
                    "size_scale": found.size_scale,
                    "tick": str(found.tick_size),
                }
                for found in instruments
            ],
            "strategies": []
            if body is None
            else [{"name": found.name, "version": found.version, "parameters": _plain(found.parameters)} for found in body.strategies],
            "account": "" if body is None else body.account,
            "read_only": body is not None and body.read_only,
            "engine": "" if body is None else str(body.versions.get("engine", "")),
            "seed": 0 if body is None else body.seed,
            "counts": self._counts(),
            "marks": {name: len(rows) for name, rows in self._acts.marks.items()},
        }

    def _counts(self) -> dict[str, int]:
        acts = self._acts
        refused = sum(row.approved is False for row in acts.intents)
        return {
            "orders": len(acts.orders),
            "fills": len(acts.fills),
            "intents": len(acts.intents),
            "refused": refused,
            "gaps": len(acts.gaps),
            "alarms": len(acts.marks["alarm"]),
            "unreadable": acts.counts.get("unreadable", 0),
        }

    def rail(self, columns: int) -> dict[str, Any]:
        """Return the whole session at a glance: density of records, marks by kind, spans of modes, gaps, UNKNOWN."""
        columns = max(10, min(columns, ROWS_MAX))
        with self._lock:
            span = max(self.last_ns - self.origin_ns, 1)
            marks = {}
            for name in MARKS:
                times = np.array([time for _, time in self._acts.marks[name]], np.int64)
                counts = np.bincount(np.clip(times * columns // span, 0, columns - 1), minlength=columns) if len(times) else None
                marks[name] = [] if counts is None else [[int(at), int(counts[at])] for at in np.flatnonzero(counts)]
            return {
                "span": span,
                "columns": columns,
                "density": self._market.series.density(self.origin_ns, self.last_ns, columns).tolist(),
                "marks": marks,
                "modes": [[time, mode] for _, time, mode, _ in self._acts.modes[:ROWS_MAX]],
                "gaps": [[gap[1], gap[2]] for gap in self._acts.gaps[:ROWS_MAX]],
                "unknowns": [[row[1], row[2]] for row in self._acts.unknowns[:ROWS_MAX]],
            }

    # ---- series

    def series(self, instrument: int, from_time: int, to_time: int, columns: int) -> dict[str, Any]:
        """Return quotes and trades of a range as columns. Prices and sizes are integers at the instrument's scales."""
        from_ns, to_ns = self._span(from_time, to_time)
        with self._lock:
            quotes, trades = self._market.series.columns(instrument, from_ns, to_ns, columns)
        return {
            "from": from_time,
            "to": to_time,
            "quotes": {
                "time": iter_numbers(quotes[:, 0], self.origin_ns),
                "seq": iter_numbers(quotes[:, QB_SEQ]),
                "low": iter_numbers(quotes[:, QB_LOW]),
                "high": iter_numbers(quotes[:, QB_HIGH]),
                "bid": iter_numbers(quotes[:, QB_BID]),
                "ask": iter_numbers(quotes[:, QB_ASK]),
            },
            "trades": {
                "time": iter_numbers(trades[:, 0], self.origin_ns),
                "seq": iter_numbers(trades[:, 1]),
                **{
                    name: iter_numbers(trades[:, TB_OPEN + at])
                    for at, name in enumerate(("open", "high", "low", "close", "buy", "sell"))
                },
            },
        }

    def _span(self, from_time: int, to_time: int) -> tuple[int, int]:
        if to_time <= from_time:
            raise NotAnswerableError("the range has no length")
        return self.origin_ns + from_time, self.origin_ns + to_time

    def plot_acts(self, instrument: str, from_time: int, to_time: int) -> dict[str, Any]:
        """Return own orders, fills, refused intents and the position of one instrument in a range."""
        with self._lock:
            acts = self._acts
            orders = [
                row
                for row in acts.orders.values()
                if row.instrument == instrument
                and row.time <= to_time
                and (row.end_time >= from_time or not row.end_time)
                and (row.price or row.stop_price)
            ]
            refused = [
                [row.seq, row.time, row.id, row.side, row.price, row.rule, row.objection]
                for row in acts.intents
                if row.approved is False and row.instrument == instrument and from_time <= row.time <= to_time
            ]
            fills = [
                [row.seq, row.time, row.id, row.side, row.price, row.quantity, row.maker]
                for row in acts.fills
                if row.instrument == instrument and from_time <= row.time <= to_time
            ]
            net: dict[str, float] = {}
            positions = []
            for _, time, strategy, of, quantity, *_ in acts.positions:
                if of == instrument and time <= to_time:
                    net[strategy] = float(quantity)
                    positions.append([time, sum(net.values())])
            return {
                "orders": [
                    [row.seq, row.time, row.end_time, row.id, row.side, row.price or row.stop_price, row.quantity,
                     row.status, row.filled, row.strategy, bool(row.stop_price)]
                    for row in orders[-ROWS_MAX:]
                ],
                "refused": refused[-ROWS_MAX:],
                "fills": fills[-ROWS_MAX:],
                "positions": _thinned(positions, ROWS_MAX),
                "more": max(len(orders), len(refused), len(fills)) > ROWS_MAX,
            }

    def values(self, names: list[str]) -> dict[str, Any]:
        """Return numbers that strategies recorded, as series: rationales and declared state."""
        with self._lock:
            found: dict[str, list[list[float]]] = {}
            for row in self._acts.intents:
                for key, value in row.values.items():
                    _add_value(found, f"{row.strategy}.{key}", row.time, value)
            for _, time, strategy, changed in self._acts.changes:
                for key, value in changed.items():
                    _add_value(found, f"{strategy}.state.{key}", time, value)
        known = sorted(name for name, points in found.items() if len(points) > 1)
        return {"names": known[:200], "series": {name: _thinned(found[name], ROWS_MAX) for name in names if name in found}}

    def heat(self, instrument: int, from_time: int, to_time: int, columns: int) -> dict[str, Any]:
        """Return the book over a range: for each column the levels of both sides, best first."""
        if self.is_capture:
            raise NotAnswerableError("a capture has no engine that kept a book; resimulate it to see one")
        from_ns, to_ns = self._span(from_time, to_time)
        columns = max(2, min(columns, HEAT_COLUMNS_MAX))
        first, last = max(self.seq_at(from_ns), 0), self.seq_at(to_ns)
        if last - first > HEAT_RECORDS_MAX:
            raise NotAnswerableError(f"zoom in to see the book: {last - first:,} records, at most {HEAT_RECORDS_MAX:,}")
        key = f"heat {instrument} {first} {last} {columns}"
        if (known := self._memory.get(key)) is not None:
            return dict(known)
        edges = np.linspace(from_ns, to_ns, columns + 1).astype(np.int64)[1:].tolist()
        found: list[list[Any]] = []

        def visit(state: State, time_ns: int) -> None:
            while len(found) < columns and time_ns > edges[len(found)]:
                found.append(_levels(state, instrument))

        self.states.walk(first, last, visit)
        answer = {"from": from_time, "to": to_time, "columns": found, "edges": [edge - self.origin_ns for edge in edges]}
        self._memory = {name: value for name, value in self._memory.items() if not name.startswith("heat")} | {key: answer}
        return answer

    # ---- at a cursor

    def seq_at(self, time_ns: int) -> int:
        """Return the last record at or before a time."""
        if self.last_seq > self.journal.last_seq and time_ns >= self.origin_ns:
            self._refresh_journal()
        return min(self.journal.seq_at(time_ns), self.last_seq)

    def _refresh_journal(self) -> None:
        with self._lock:
            self.journal = Journal.open(self.folder)

    def record(self, seq: int) -> Record:
        """Return one record."""
        if not 0 <= seq <= self.last_seq:
            raise NotAnswerableError(f"there is no record {seq}; the last one is {self.last_seq}")
        if seq > self.journal.last_seq:
            self._refresh_journal()
        for found in self.journal.records(seq, seq):
            return found
        raise NotAnswerableError(f"record {seq} is not in this slice")

    def at(self, seq: int | None, time: int | None) -> dict[str, Any]:
        """Return all that holds at a cursor and needs no fold of the market."""
        if seq is None:
            seq = max(self.seq_at(self.origin_ns + (time or 0)), 0)
        record = self.record(min(seq, self.last_seq))
        with self._lock:
            acts = self._acts
            return {
                "seq": record.seq,
                "time": record.time_ns - self.origin_ns,
                "record": self._line(record),
                "mode": _latest(acts.modes, seq),
                "pnl": _latest_by(acts.pnl, seq, lambda row: (row[2], row[3])),
                "portfolio": _latest(acts.portfolio, seq),
                "positions": _latest_by(acts.positions, seq, lambda row: (row[2], row[3])),
                "balances": _latest_by(acts.balances, seq, lambda row: row[2]),
                "checks": _latest_by(acts.checks, seq, lambda row: row[2]),
                "changes": self._changes(seq),
                "safety": _before(acts.safety, seq, 30),
                "notes": _before(acts.notes, seq, 30),
                "commands": _before(acts.commands, seq, 10),
                "live_orders": [
                    row.id for row in acts.orders.values() if row.seq <= seq and not (row.end_seq and row.end_seq <= seq)
                    and row.end_time >= 0
                ][:ROWS_MAX],
            }

    def _changes(self, seq: int) -> dict[str, Any]:
        """Return each strategy's last change of its declared state, with the values before it."""
        found: dict[str, Any] = {}
        state: dict[str, dict[str, Any]] = {}
        for at, time, strategy, changed in self._acts.changes:
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

    def next_mark(self, seq: int, name: str, *, forward: bool) -> dict[str, Any]:
        """Return the next or the previous act of a kind, or nothing."""
        rows = self._acts.marks.get(name)
        if rows is None:
            raise NotAnswerableError(f"there is no kind of act {name!r}")
        at = bisect_right(rows, seq, key=lambda row: row[0])
        if not forward:
            at = at - 2 if at and rows[at - 1][0] == seq else at - 1
        if not 0 <= at < len(rows):
            return {"seq": None, "time": None, "key": None}
        return {"seq": rows[at][0], "time": rows[at][1], "key": self.record(rows[at][0]).key}

    def marks(self) -> dict[str, list[list[Any]]]:
        """Return all acts by kind: seq, time and the order that each concerns."""
        with self._lock:
            keys: dict[int, str] = {}
            for intent in self._acts.intents:
                keys[intent.seq] = keys[intent.verdict_seq] = intent.id
            keys |= {row.seq: row.id for row in self._acts.orders.values()}
            keys |= {row.seq: row.id for row in self._acts.fills}
            return {
                name: [[seq, time, keys.get(seq, "")] for seq, time in rows] for name, rows in self._acts.marks.items()
            }

    def engine_records(self, limit: int, longest: int) -> list[dict[str, Any]]:
        """Return the last records that are not market data, each with its body."""
        chosen = [record for record in self.journal.records(kinds=KINDS)][-limit:]
        return [
            self._line(record)
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

    def state(self, seq: int) -> dict[str, Any]:
        """Return the engine's state after a record, as `verbatim ask --json` does."""
        if self.is_capture:
            raise NotAnswerableError("a capture has no engine: it holds market data and no decisions")
        report = self.states.report(max(0, min(seq, self.last_seq)))
        report["orders"] = [order for order in report["orders"] if order["live"]]
        return with_texts(report)

    def _own_levels(self, instrument: str, seq: int) -> dict[str, str]:
        """Return own resting quantity by price."""
        levels: dict[str, float] = {}
        for row in self._orders_at(seq):
            if row.instrument == instrument and row.price:
                levels[row.price] = levels.get(row.price, 0.0) + float(row.quantity) - float(_filled_at(row, seq))
        return {price: f"{size:.12g}" for price, size in levels.items()}

    def _orders_at(self, seq: int) -> list[OrderRow]:
        return [
            row
            for row in self._acts.orders.values()
            if row.seq <= seq and not (row.end_seq and row.end_seq <= seq) and row.end_time >= 0
        ]

    def ladder(self, instrument: int, seq: int, levels: int) -> dict[str, Any]:
        """Return the book after a record, with own quantity and the last trades."""
        if self.is_capture:
            raise NotAnswerableError("a capture has no engine that kept a book")
        found: list[Any] = []
        target = max(1, min(seq, self.last_seq))
        self.states.walk(target - 1, target, lambda state, _: found.append(_levels(state, instrument, levels)))
        side = found[0] if found else [[], []]
        at_ns = self.record(target).time_ns
        from_ns = max(at_ns - 60_000_000_000, self.origin_ns)
        _, trades = self._market.series.columns(instrument, from_ns, at_ns, 4_000)
        instruments = [] if self.context is None else self.context.body.instruments
        return {
            "seq": target,
            "bids": side[0],
            "asks": side[1],
            "own": self._own_levels(instruments[instrument].id, target) if instruments else {},
            "trades": [
                [int(row[0]) - self.origin_ns, int(row[5]), int(row[6]), int(row[7]), int(row[1])] for row in trades[-20:][::-1]
            ],
        }

    def why(self, order: str) -> dict[str, Any]:
        """Return the chain of records behind an order, as `verbatim why --json` does.

        Raises:
            UnknownOrderError: The session has no such order.
        """
        with self._story_lock:
            if self._stories is None or self._stories[0] != self.last_seq:
                self._stories = self.last_seq, StoryReader(self.folder)
            story = story_json(self._stories[1].story(order))
        for link in story["chain"]:
            if link["payload"] and len(link["payload"]) > PAYLOAD_MAX:
                link["payload"] = link["payload"][:PAYLOAD_MAX] + "…"
            link["time"] = link["time_ns"] - self.origin_ns
            link["time_ns"] = str(link["time_ns"])
            link["sent_ns"] = None if link["sent_ns"] is None else str(link["sent_ns"])
        return {**story, "order": None if story["order"] is None else with_texts(story["order"])}

    # ---- lists

    def orders(self, *, text: str = "", status: str = "", limit: int = 500) -> dict[str, Any]:
        """Return orders, the newest first, with each change of their status."""
        with self._lock:
            rows = [
                row
                for row in reversed(self._acts.orders.values())
                if (not status or row.status == status)
                and (not text or text in row.id or text in row.venue_id or text in row.strategy or text in row.instrument)
            ]
            causes = {row.id: row for row in self._acts.intents}
            chosen = rows[: min(limit, ROWS_MAX)]
            return {
                "total": len(rows),
                "rows": [msgspec.to_builtins(row) | _cause(causes.get(row.id)) for row in chosen],
            }

    def fills(self) -> dict[str, Any]:
        """Return fills, the newest first."""
        return {"total": len(self._acts.fills), "rows": msgspec.to_builtins(self._acts.fills[-ROWS_MAX:][::-1])}

    def refusals(self, seq: int) -> dict[str, Any]:
        """Return for each rule how often it refused up to a record, and the last refusal; and each limit's use."""
        with self._lock:
            rules: dict[str, dict[str, Any]] = {}
            total = 0
            for row in self._acts.intents:
                if row.seq > seq:
                    break
                if row.approved is False:
                    total += 1
                    known = rules.setdefault(row.rule, {"count": 0})
                    known |= {"count": known["count"] + 1, "seq": row.verdict_seq, "time": row.time, "text": row.objection,
                              "id": row.id}
            limits: dict[str, Any] = {}
            at = bisect_right(self._acts.figures, seq, key=lambda row: row[0])
            for verdict_seq, figures in reversed(self._acts.figures[max(0, at - 200) : at]):
                for name, figure in figures.items():
                    limits.setdefault(name, [*figure, verdict_seq])
            configured = {} if self.body is None else _plain(msgspec.to_builtins(self.body.risk))
            names = [rule.name for rule in self.body.rules] if self.body is not None else []
            return {"total": total, "rules": rules, "limits": dict(sorted(limits.items())), "settings": configured, "names": names}

    def records(
        self, *, seq: int, before: int, after: int, kinds: list[str], text: str = ""
    ) -> dict[str, Any]:
        """Return the records about a cursor, each in one line."""
        chosen = {Kind(kind) for kind in kinds} if kinds else None
        before, after = min(before, RECORDS_MAX), min(after, RECORDS_MAX)
        if self.last_seq > self.journal.last_seq:
            self._refresh_journal()
        rows: list[Record] = []
        if not chosen and not text:
            rows = list(self.journal.records(max(0, seq - before), min(seq + after, self.last_seq)))
        else:
            rows = self._search(seq, before, chosen, text, forward=False)[::-1]
            rows += self._search(seq, after, chosen, text, forward=True)
        return {"seq": seq, "last_seq": self.last_seq, "rows": [self._line(record) for record in rows]}

    def _search(self, seq: int, limit: int, kinds: set[Kind] | None, text: str, *, forward: bool) -> list[Record]:
        found: list[Record] = []
        step = 4_096
        for moved in range(0, SEARCHED_MAX, step):
            begin = seq + moved if forward else seq - moved - step
            end = min(begin + step - 1, self.last_seq)
            if len(found) >= limit or end < 0 or begin > self.last_seq:
                break
            block = list(self.journal.records(max(begin, 0), end, kinds=kinds))
            matching = [record for record in (block if forward else block[::-1]) if self._matches(record, text)]
            found += matching
        return found[:limit]

    def _matches(self, record: Record, text: str) -> bool:
        if not text:
            return True
        return text in (record.key or "") or text in record.source or text in (record.body or payload_text(record))

    def _line(self, record: Record) -> dict[str, Any]:
        return {
            "seq": record.seq,
            "time": record.time_ns - self.origin_ns,
            "kind": record.kind.value,
            "source": record.source,
            "cause": record.cause,
            "key": record.key,
            "text": shorten(describe(record, self._frames)),
        }

    def whole_record(self, seq: int) -> dict[str, Any]:
        """Return one record with its body, its bytes, and the records that it led to."""
        record = self.record(seq)
        near = self.journal.records(seq + 1, min(seq + 512, self.last_seq))
        caused = [self._line(found) for found in near if found.cause == seq][:50]
        walk = CausalWalk(self.journal, self._frames)
        decided_on = walk.decision_input(record) if record.kind is Kind.INTENT else None
        payload = None if record.payload is None else record.payload[:TEXT_BYTES_MAX]
        return self._line(record) | {
            "recv_ns": None if record.recv_ns is None else str(record.recv_ns),
            "time_ns": str(record.time_ns),
            "meta": record.meta,
            "body": None if record.body is None else record.body[:TEXT_BYTES_MAX],
            "payload": None if payload is None else payload.decode("utf-8", "backslashreplace"),
            "bytes": 0 if record.payload is None else len(record.payload),
            "decided_on": decided_on,
            "caused": caused,
        }

    # ---- health

    def health(self, seq: int) -> dict[str, Any]:
        """Return each stream's age, rate, longest gap and lag before a cursor; links, and times to the wire."""
        seq = max(0, min(seq, self.last_seq))
        if seq > self.journal.last_seq:
            self._refresh_journal()
        now_ns = self.record(seq).time_ns
        streams = self._streams(max(0, seq - HEALTH_RECORDS), seq, now_ns)
        with self._lock:
            acts = self._acts
            at = bisect_right(acts.wire, seq, key=lambda row: row[1])
            wire = acts.wire[:at]
            links = [row for row in acts.links if row[0] <= seq]
            for name, stream in streams.items():
                stream["reconnects"] = max(sum(row[2] == name and row[3] == "up" for row in links) - 1, 0)
            return {
                "streams": streams,
                "links": [list(row) for row in links[-40:][::-1]],
                "gaps": [gap[:6] for gap in acts.gaps if gap[0] <= seq][-40:][::-1],
                "alarms": [list(row) for row in acts.notes if row[0] <= seq and row[3 - 1] != "info"][-60:][::-1],
                "wire": _histogram([row[4] for row in wire]),
                "answers": _histogram([row[5] for row in wire]),
            }

    def _streams(self, first: int, last: int, now_ns: int) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for batch in self.journal.batches(
            first, ["time_ns", "recv_ns", "source", "meta"], to_seq=last, kinds=(Kind.FEED, Kind.BROKER)
        ):
            plain = batch.column("meta").is_null().to_numpy(zero_copy_only=False)
            times = batch.column("time_ns").to_numpy()
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

    # ---- P&L

    def activity(self) -> dict[str, Any]:
        """Return fills and turnover by hour of the day in UTC, by instrument and by strategy, and the maker share."""
        with self._lock:
            fills = self._acts.fills
            groups: dict[str, Counter[str]] = {"hour": Counter(), "instrument": Counter(), "strategy": Counter()}
            turnover: dict[str, Counter[str]] = {name: Counter() for name in groups}
            for row in fills:
                hour = (self.origin_ns + row.time) // 3_600_000_000_000 % 24
                value = float(row.price) * float(row.quantity)
                for name, key in (("hour", f"{hour:02d}"), ("instrument", row.instrument), ("strategy", row.strategy)):
                    groups[name][key] += 1
                    turnover[name][key] += value  # type: ignore[assignment]  # a sum of money for a picture
            return {
                "fills": len(fills),
                "maker": sum(row.maker for row in fills),
                "turnover": sum(float(row.price) * float(row.quantity) for row in fills),
                "groups": {
                    name: [[key, counts[key], round(turnover[name][key], 6)] for key in sorted(counts)]
                    for name, counts in groups.items()
                },
            }

    def equity(self) -> dict[str, Any]:
        """Return P&L and equity over the session, as the engine reported them."""
        with self._lock:
            rows = [[row[0], row[1], *map(float, row[2:8])] for row in self._acts.portfolio]
            currency = self._acts.portfolio[-1][8] if self._acts.portfolio else ""
            peak, points = float("-inf"), []
            for row in rows:
                peak = max(peak, row[6])
                points.append([*row, row[6] - peak])
            return {"currency": currency, "rows": _thinned(points, ROWS_MAX)}


def _levels(state: State, instrument: int, count: int = 40) -> list[list[list[int]]]:
    return [
        [[price, size] for price, size in state.market.levels(instrument, side, count)] for side in (r.BID, r.ASK)
    ]


def _filled_at(row: OrderRow, seq: int) -> str:
    """Return how much of an order was filled after a record."""
    if not row.changes or seq >= row.changes[-1][0]:
        return row.filled
    return next((change[3] for change in reversed(row.changes) if change[0] <= seq), "0")


def _cause(intent: IntentRow | None) -> dict[str, Any]:
    return {} if intent is None else {"intent_seq": intent.seq, "quote_seq": intent.quote_seq, "values": intent.values}


def _latest(rows: list[Any], seq: int) -> list[Any] | None:
    at = bisect_right(rows, seq, key=lambda row: row[0])
    return list(rows[at - 1]) if at else None


def _before(rows: list[Any], seq: int, count: int) -> list[list[Any]]:
    at = bisect_right(rows, seq, key=lambda row: row[0])
    return [list(row) for row in reversed(rows[max(0, at - count) : at])]


def _latest_by(rows: list[Any], seq: int, key: Any) -> list[list[Any]]:
    """Return the last row of each key before a cursor. Looks at the last rows only: keys repeat often."""
    at = bisect_right(rows, seq, key=lambda row: row[0])
    found: dict[Any, list[Any]] = {}
    for row in reversed(rows[max(0, at - ROWS_MAX) : at]):
        found.setdefault(key(row), list(row))
    return [found[name] for name in sorted(found)]


def _thinned(rows: list[Any], count: int) -> list[Any]:
    """Return at most about `count` rows at equal distances, and the last one."""
    if len(rows) <= count:
        return rows
    step = len(rows) / count
    return [rows[int(at * step)] for at in range(count)] + [rows[-1]]


def _add_value(found: dict[str, list[list[float]]], name: str, time: int, value: Any) -> None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return
    if not isinstance(value, bool) and not name.endswith("_seq"):
        found.setdefault(name, []).append([time, number])


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


def _plain(value: Any) -> Any:
    """Return JSON values whose numbers of any other type are texts."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def with_texts(value: Any) -> Any:
    """Return JSON values whose times and other large numbers are texts, since a browser's numbers have 53 bits."""
    if isinstance(value, dict):
        return {str(name): with_texts(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_texts(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > r.VALUE_MAX:
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


__all__ = ["JournalError", "NotAnswerableError", "SessionView", "with_texts"]
