"""One session as the page needs it: opened, loaded, followed while it runs, and its lists.

Every answer is plain JSON values and bounded in size. Times are nanoseconds since the session's first record, which fit
a JavaScript number; the first record's own time is a text.
"""

from collections.abc import Iterable
from pathlib import Path
from threading import Lock, RLock, Thread
from time import monotonic
from typing import Any

import msgspec

from analysis.market_rows import decoding_context
from analysis.why import StoryReader
from engine.errors import CoreError
from engine.model import Instrument
from engine.session_record import SessionBody, read_session
from journal import caches
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Record
from journal.tail import POLL_ROWS, Follower
from replay.code_digest import code_digest
from replay.imported_sessions import is_import
from replay.record_text import FrameDecoder
from verbatim.cockpit.acts import KINDS, Acts, ActsFold, IntentRow, new_acts
from verbatim.cockpit.caching import cache_folder
from verbatim.cockpit.market_parts import MarketParts
from verbatim.cockpit.state_cache import StateCache

ACTS_FORMAT = 6  # of the cache
ROWS_MAX = 2_000  # of a list in one answer
LOADING_SECONDS = 0.5  # that an answer waits for the session to be shown
LOADING_STEP_SECONDS = 0.02


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
        self.body: SessionBody | None = _session_body(self.journal, first)
        self.is_capture = self.body is None  # market data without decisions
        self.is_live = is_locked(folder)
        self.context = decoding_context(self.journal)
        self.states = StateCache(folder)
        self.progress = 0.0
        self.is_loaded = False
        self._thread: Thread | None = None
        self._load_error: Exception | None = None
        self._is_behind = False
        self._loading = Lock()
        self.lock = RLock()
        self._cache = cache_folder(folder)
        self.market = MarketParts(self.journal, self.context, self._cache, is_shared=not self.is_live)
        self.frames = FrameDecoder(self.context)
        self.acts = new_acts()
        self._fold = ActsFold(self.body, self.origin_ns, self.acts)
        self._follower: Follower | None = None
        self.last_seq = self.journal.last_seq
        self.last_ns = self.origin_ns
        self._newest: Record | None = None  # of a running session
        self.memory: dict[str, Any] = {}
        self.stories: tuple[int, StoryReader] | None = None
        self.story_lock = Lock()

    @property
    def name(self) -> str:
        """The session's id, or its folder's name."""
        return self.body.session if self.body is not None else self.folder.name

    # ---- loading

    def load(self) -> None:
        """Read the session once: its acts, and all blocks of its market. A later call waits for the first."""
        self.open()
        while self.market.build_next():
            pass

    def open(self) -> None:
        """Read the session's acts and the times of its records, which is enough to show it."""
        with self._loading:
            if self.is_loaded:
                return
            last = max(self.last_seq, 1)
            self._load_acts()
            self.progress = 0.5

            def show(seq: int) -> None:
                self.progress = 0.5 + 0.5 * seq / last

            self.market.open_parts(show)
            for record in self.journal.records(self.last_seq):
                self.last_ns = record.time_ns
            if self.is_live:
                self._follower = Follower(self.folder, self.last_seq + 1)
            self.is_loaded = True

    def start_loading(self) -> bool:
        """Load in a thread. Return True if the session can be shown within a moment.

        Raises:
            JournalError: The session cannot be read.
        """
        with self.lock:
            if self._thread is None:
                self._thread = Thread(target=self._load_in_thread, name="cockpit-load", daemon=True)
                self._thread.start()
        waited_until = monotonic() + LOADING_SECONDS
        while not self.is_loaded and self._thread.is_alive() and monotonic() < waited_until:
            self._thread.join(LOADING_STEP_SECONDS)
        if self._load_error is not None:
            raise self._load_error
        return self.is_loaded

    def _load_in_thread(self) -> None:
        try:
            self.load()
        except (JournalError, CoreError, OSError, ValueError, ArithmeticError, LookupError, TypeError) as error:
            self._load_error = error

    @property
    def is_behind(self) -> bool:
        """True if the last reading of a running session reached its bound, so more records are waiting."""
        return self._is_behind

    def _load_acts(self) -> None:
        made_from = f"{ACTS_FORMAT} {code_digest()} {self.journal.chain} {self.last_seq}"
        is_final = not self.is_live and not self.journal.unsealed_rows().num_rows
        cached = caches.load(self._cache, "acts", made_from) if is_final else None
        if cached is not None:
            self.acts = msgspec.msgpack.decode(cached, type=Acts)
            self._fold = ActsFold(self.body, self.origin_ns, self.acts)
            return
        for record in self.journal.records(kinds=KINDS):
            self._fold.add(record)
            if not record.seq % 4096:
                self.progress = 0.5 * record.seq / max(self.last_seq, 1)
        if is_final:
            caches.save(self._cache, "acts", made_from, msgspec.msgpack.encode(self.acts))

    def advance(self) -> bool:
        """Read what a running session wrote meanwhile. Return True if there was something."""
        if self._follower is None:
            return False
        records = self._follower.poll()
        self._is_behind = len(records) >= POLL_ROWS
        with self.lock:
            if records:
                for record in records:
                    if record.kind in KINDS:
                        self._fold.add(record)
                self.market.extend(records)
                self._newest = records[-1]
                self.last_seq, self.last_ns = records[-1].seq, records[-1].time_ns
                self.memory.clear()
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
        instruments = () if self.context is None else self.context.body.instruments
        names = shown_names(instruments)
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
                    "symbol": names[found.id],
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
            else [
                {"name": found.name, "version": found.version, "parameters": plain_json(found.parameters)}
                for found in body.strategies
            ],
            "account": "" if body is None else body.account,
            "read_only": body is not None and body.read_only,
            "engine": "" if body is None else str(body.versions.get("engine", "")),
            "seed": 0 if body is None else body.seed,
            "counts": self._counts(),
            "marks": {name: len(rows) for name, rows in self.acts.marks.items()},
        }

    def _counts(self) -> dict[str, int]:
        acts = self.acts
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

    # ---- series

    def span(self, from_time: int, to_time: int) -> tuple[int, int]:
        """Return a range as absolute times.

        Raises:
            NotAnswerableError: It has no length.
        """
        if to_time <= from_time:
            raise NotAnswerableError("the range has no length")
        return self.origin_ns + from_time, self.origin_ns + to_time

    # ---- at a cursor

    def seq_at(self, time_ns: int) -> int:
        """Return the last record at or before a time."""
        if time_ns >= self.last_ns:
            return self.last_seq
        if self.last_seq > self.journal.last_seq and time_ns >= self.origin_ns:
            self.refresh_journal()
        return min(self.journal.seq_at(time_ns), self.last_seq)

    def refresh_journal(self) -> None:
        """Open the journal of a running session as it is now."""
        with self.lock:
            self.journal = Journal.open(self.folder)

    def record(self, seq: int) -> Record:
        """Return one record."""
        if not 0 <= seq <= self.last_seq:
            raise NotAnswerableError(f"there is no record {seq}; the last one is {self.last_seq}")
        newest = self._newest
        if newest is not None and seq == newest.seq:
            return newest
        if seq > self.journal.last_seq:
            self.refresh_journal()
        for found in self.journal.records(seq, seq):
            return found
        raise NotAnswerableError(f"record {seq} is not in this slice")

    # ---- lists

    def orders(self, *, text: str = "", status: str = "", limit: int = 500) -> dict[str, Any]:
        """Return orders, the newest first, with each change of their status."""
        with self.lock:
            rows = [
                row
                for row in reversed(self.acts.orders.values())
                if (not status or row.status == status)
                and (
                    not text or text in row.id or text in row.venue_id or text in row.strategy or text in row.instrument
                )
            ]
            causes = {row.id: row for row in self.acts.intents}
            chosen = rows[: min(limit, ROWS_MAX)]
            return {
                "total": len(rows),
                "rows": [msgspec.to_builtins(row) | _cause(causes.get(row.id)) for row in chosen],
            }

    def fills(self) -> dict[str, Any]:
        """Return fills, the newest first."""
        return {"total": len(self.acts.fills), "rows": msgspec.to_builtins(self.acts.fills[-ROWS_MAX:][::-1])}


def _session_body(journal: Journal, first: Record) -> SessionBody | None:
    """Return the SESSION record's body, or None if the journal has market data only."""
    if is_import(journal):
        return None
    try:
        return read_session(first.body or "")
    except ValueError:  # written by another program
        return None


def _cause(intent: IntentRow | None) -> dict[str, Any]:
    return {} if intent is None else {"intent_seq": intent.seq, "quote_seq": intent.quote_seq, "values": intent.values}


def plain_json(value: Any) -> Any:
    """Return JSON values whose numbers of any other type are texts."""
    if isinstance(value, dict):
        return {str(name): plain_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def shown_names(instruments: Iterable[Instrument]) -> dict[str, str]:
    """Return id -> name that the page shows: the symbol, or the id in a session of several venues."""
    found = list(instruments)
    several = len({each.venue for each in found}) > 1
    return {each.id: each.id if several else each.symbol for each in found}
