"""decode -> reduce: an input is read and folded. What it held is handed on; nothing is decided here.

Live, replay and rebuilding all fold inputs here and nowhere else. `take` on a stream frame is the hot path.
"""

from collections.abc import Mapping
from decimal import localcontext
from typing import Any

import msgspec
import numpy as np

from engine.events import Answer, Event, Outcome, Subscribed
from engine.market.views import Stream
from engine.money import MONEY
from engine.record_codec import read_command, read_link, read_timer
from engine.session_context import SessionContext
from engine.state.changes import Answered, Change, Commanded, LinkMoved, Stamp, TimerFired
from engine.state.orders import forget_closed
from engine.state.pending_requests import PendingRequest
from engine.state.session_state import State, fold
from engine.strategy.api import Decision
from engine.venues.venue import Venue
from journal.record import Kind, Record


class Applied(msgspec.Struct, frozen=True):
    """What an input held, once it was folded."""

    events: tuple[Event, ...] = ()
    awaited: PendingRequest | None = None  # the request it answers
    wake: int = 0
    watches: int = 0  # bit mask of strategies due
    sent_ns: int = 0
    outcome: str = ""
    said: Mapping[str, Decision] = {}  # by strategies that were asked while rows were folded (frames.py)


NO_EFFECT = Applied()


def apply_input(program: SessionContext, state: State, record: Record) -> Applied:
    state.seq, state.time_ns = record.seq, record.time_ns
    state.hear(record)
    match record.kind:
        case Kind.FEED if record.meta is None:
            return _take_market(program, state, record)
        case Kind.FEED | Kind.BROKER:
            return _take_private(program, state, record)
        case Kind.LINK:
            link = read_link(record.body or "")
            _fold(program, state, LinkMoved(record.source, link), record)
            moved = state.account.links.by_source.get(record.source)
            lost = moved is not None and moved.role == "market" and link.state == "down"
            if lost and Stream.BOOK in program.streams_of(record.source):
                for index in program.indexes_of(record.source):
                    state.market.reset_books(index)
            return Applied()
        case Kind.TIMER:
            timer = read_timer(record.body or "")
            _fold(program, state, TimerFired(timer), record)
            kind, _, name = timer.timer.partition(".")
            if timer.timer == "every.watch":
                _forget(program, state)
            elif kind == "watch":
                state.market.evaluated(program.watch_names.index(name), record.time_ns)
            return Applied()
        case _:
            _fold(program, state, Commanded(read_command(record.body or "")), record)
            return Applied()


def _fold(program: SessionContext, state: State, change: Change, record: Record) -> None:
    with localcontext(MONEY):
        state.account = fold(state.account, change, Stamp(record.seq, record.time_ns), program.rules)


def _take_market(program: SessionContext, state: State, record: Record) -> Applied:
    """The hot path: a stream frame. Python sees it again only if the fold raises a wake."""
    source = record.source
    venue = program.venue_of(source)
    assert record.payload is not None, "a stream frame is wire bytes"
    rows = venue.market.decode(record.payload, source, record.seq, record.time_ns)
    if type(rows) is tuple:
        return Applied(events=rows) if rows else NO_EFFECT
    return _fold_rows(program, state, rows, record)


def _fold_rows(program: SessionContext, state: State, rows: Any, record: Record) -> Applied:
    market = state.market
    end, count, wake, watches = 0, len(rows), 0, 0
    while end < count:
        end = market.fold(rows, end)
        wake |= market.wake
        watches |= market.strategies_woken
    if not wake:
        return NO_EFFECT
    for watch in range(len(program.watch_names)):
        if watches >> watch & 1:
            market.evaluated(watch, record.time_ns)
    return Applied(wake=wake, watches=watches)


def _take_private(program: SessionContext, state: State, record: Record) -> Applied:
    """An answer to a request (its meta says how it ended), or a frame of a private stream."""
    venue = program.venue_of(record.source)
    if record.meta is None:
        events = venue.decode_private(record.payload or b"")
        awaited = state.account.requests.of("subscribe", source=record.source)
        if awaited is not None and any(isinstance(event, Subscribed | Answer) for event in events):
            _fold(program, state, Answered(awaited.seq, venue.name, "answer"), record)
            return Applied(events=events, awaited=awaited)
        return Applied(events=events)
    meta = msgspec.json.decode(record.meta)
    awaited = state.account.requests.by_seq.get(record.cause if record.cause is not None else -1)
    outcome = meta["outcome"]
    if awaited is None:
        # an answer from before the session began (instrument metadata) has no request here
        return Applied(outcome="" if record.cause is None else outcome)
    sent_ns = int(meta.get("sent_ns", 0))
    rows = None
    events = (Answer(Outcome.NOT_SENT if outcome == "not_sent" else Outcome.UNKNOWN, text=meta.get("error", outcome)),)
    if outcome == "answer":
        rows, events = _decode_answer(venue, awaited, meta, record)
    weight = next((event.weight_used for event in events if isinstance(event, Answer)), -1)
    _fold(program, state, Answered(awaited.seq, venue.name, outcome, weight), record)
    wakes = NO_EFFECT if rows is None else _fold_rows(program, state, rows, record)
    return Applied(events, awaited, wakes.wake, wakes.watches, sent_ns, outcome)


def _decode_answer(
    venue: Venue, awaited: PendingRequest, meta: dict[str, Any], record: Record
) -> tuple[Any, tuple[Event, ...]]:
    request, unsigned = awaited.request, awaited.request.unsigned
    assert unsigned is not None, "only a message can be answered"
    payload = record.payload or b""
    events = venue.decode_answer(
        unsigned.method, unsigned.path, request.instrument, int(meta["status"]), meta.get("headers", {}), payload
    )
    if request.purpose == "depth" and any(isinstance(e, Answer) and e.outcome is Outcome.DONE for e in events):
        rows = venue.market.decode_snapshot(payload, request.instrument, record.seq, record.time_ns)
        if isinstance(rows, np.ndarray):
            return rows, events
        return None, (*events, *rows)
    return None, events


def _forget(program: SessionContext, state: State) -> None:
    """The age rule, applied as part of folding the TIMER: rebuilding does the same."""
    kept = forget_closed(
        state.account.orders,
        state.time_ns,
        keep_ns=program.settings.keep_closed_ns,
        confirmed=state.account.reconciling.fills_confirmed,
    )
    if kept is not state.account.orders:
        state.account = msgspec.structs.replace(state.account, orders=kept)
