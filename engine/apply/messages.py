"""Apply what a venue sends beside market frames: answers to requests, and frames of private streams."""

from collections.abc import Mapping, Sequence
from decimal import localcontext
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace

from engine.apply.batch import NONE_FIRED, Applied, Fired
from engine.apply.history_pages import apply_history
from engine.apply.polled_streams import read_poll
from engine.events import Answer, Event, Outcome, StreamEnded, StreamNumber, Subscribed
from engine.market.rows import Rows
from engine.money import MONEY
from engine.requests import AnswerStatus, Purpose
from engine.session_context import SessionContext
from engine.state import private_seen
from engine.state.account_fold import fold
from engine.state.changes import Answered, Change, PrivateFrame, PrivateNumber, Stamp
from engine.state.pending_requests import PendingRequest
from engine.state.session_state import State
from engine.unwritten import StatedMessage, UnwrittenRecord
from engine.venues.venue import Venue
from journal.record import Kind, Record

ANSWERS: Final = frozenset({Subscribed, Answer})


def apply_change(session: SessionContext, state: State, change: Change, record: Record) -> None:
    """Fold a change that an input brings into the account."""
    with localcontext(MONEY):
        state.account = fold(state.account, change, Stamp(record.seq, record.time_ns), session.reducer_settings)


def apply_message(session: SessionContext, state: State, record: Record) -> Applied:
    """Apply an answer to a request, which has a meta, or a frame of a private stream."""
    venue = session.venue_of(record.source)
    requests = state.account.requests
    stated = record.message if isinstance(record, UnwrittenRecord) else None
    if stated is not None and stated.answer_meta is not None:
        return _apply_stated_answer(session, state, venue, record, stated)
    if stated is not None or record.meta is None:
        if session.settings.private_probe_after_ns:
            seen, at = state.account.private_seen, Stamp(record.seq, record.time_ns)
            seen = private_seen.reduce(seen, PrivateFrame(record.source), at)
            state.account = replace(state.account, private_seen=seen)
        found = venue.account.decode_private(record.payload or b"") if stated is None else stated.events
        return apply_events(session, state, record, _check_numbers(session, state, record, found))
    meta = msgspec.json.decode(record.meta)
    outcome = meta["outcome"]
    request = requests.by_seq.get(record.cause if record.cause is not None else -1)
    if request is None:  # answers from before the session, such as instrument metadata, have no request here
        return Applied(outcome="" if record.cause is None else outcome)
    rows = None
    events: tuple[Event, ...]
    waiting: Mapping[str, Fired] = {}
    if outcome != AnswerStatus.ANSWER:
        proof = Outcome.NOT_SENT if outcome == AnswerStatus.NOT_SENT else Outcome.UNKNOWN
        events = (Answer(proof, text=meta.get("error", outcome)),)
    elif request.request.purpose is Purpose.HISTORY:
        events, waiting = apply_history(session, state, request, meta, record)
    else:
        rows, events = _decode_answer(venue, request, meta, record)
        if request.request.purpose is Purpose.POLL:
            rows, events = read_poll(venue, state.account, request, record, events, settings=session.settings)
    answer = answer_in(events)
    weight, orders_day = (-1, -1) if answer is None else (answer.weight_used, answer.orders_day_used)
    apply_change(session, state, Answered(request.seq, venue.name, outcome, weight, orders_day), record)
    flags = triggers = 0
    if rows is not None:
        flags, triggers = fold_whole(state, rows)
    return Applied(
        events=events,
        request=request,
        sent_ns=int(meta.get("sent_ns", 0)),
        outcome=outcome,
        market_flags=flags,
        strategies=waiting
        or (session.fired(state.market.evaluated(triggers, record.time_ns)) if triggers else NONE_FIRED),
    )


def answer_in(events: Sequence[Event]) -> Answer | None:
    """Return the proof among the events of an answer. A codec puts it first."""
    for event in events:
        if isinstance(event, Answer):
            return event
    return None


def _apply_stated_answer(
    session: SessionContext, state: State, venue: Venue, record: Record, stated: StatedMessage
) -> Applied:
    """Apply the answer to a request that a modelled venue carried out."""
    request = state.account.requests.by_seq.get(record.cause if record.cause is not None else -1)
    if request is None:
        return Applied(outcome=AnswerStatus.ANSWER)
    answer = stated.events[0]
    assert isinstance(answer, Answer), "it says first what it proves"
    change = Answered(request.seq, venue.name, AnswerStatus.ANSWER, answer.weight_used, answer.orders_day_used)
    apply_change(session, state, change, record)
    return Applied(events=stated.events, request=request, sent_ns=stated.sent_ns, outcome=AnswerStatus.ANSWER)


def _check_numbers(
    session: SessionContext, state: State, record: Record, events: tuple[Event, ...]
) -> tuple[Event, ...]:
    """Fold the numbers of a frame. Return its events, and the end of a stream whose numbers have a gap."""
    if StreamNumber not in map(type, events):
        return events
    ended: list[Event] = []
    for event in events:
        link = state.account.links.by_source.get(record.source)
        if isinstance(event, StreamNumber) and link is not None:
            number = PrivateNumber(record.source, link.up_seq, event.stream, event.number)
            before = state.account.private_seen.before(number)
            if before is not None and event.number != before + 1:
                ended.append(StreamEnded(f"message {event.number} of {event.stream} follows {before}"))
            apply_change(session, state, number, record)
    return (*events, *ended) if ended else events


def apply_events(session: SessionContext, state: State, record: Record, events: tuple[Event, ...]) -> Applied:
    """Apply the events of a frame that holds no market rows. It may answer a request that was sent over its link."""
    requests = state.account.requests
    if not requests.by_seq or ANSWERS.isdisjoint(map(type, events)):
        return Applied(events=events)
    venue = session.venue_of(record.source)
    request = None
    if record.kind is Kind.BROKER:
        request_id = venue.account.answered_request(record.payload or b"") or ""
        request = requests.by_seq.get(int(request_id)) if request_id.isascii() and request_id.isdigit() else None
    request = request or requests.find(Purpose.SUBSCRIBE, source=record.source)
    request = request or requests.oldest(Purpose.RESUBSCRIBE, source=record.source)
    if request is None:
        return Applied(events=events)
    apply_change(session, state, Answered(request.seq, venue.name, AnswerStatus.ANSWER), record)
    return Applied(events=events, request=request)


def fold_whole(state: State, rows: Rows) -> tuple[int, int]:
    """Fold all rows of a record, past any trigger. Return the flags raised and the bits of the triggers."""
    end = flags = triggers = 0
    while end < len(rows):
        end = state.market.fold(rows, end)
        flags |= state.market.flags
        triggers |= state.market.fired
    return flags, triggers


def _decode_answer(
    venue: Venue, request: PendingRequest, meta: dict[str, Any], record: Record
) -> tuple[Rows | None, tuple[Event, ...]]:
    body, unsigned = request.request, request.request.unsigned
    assert unsigned is not None, "only a message can be answered"
    payload = record.payload or b""
    events = venue.decode_answer(unsigned, body.instrument, int(meta["status"]), meta.get("headers", {}), payload)
    if body.purpose is Purpose.DEPTH and any(isinstance(e, Answer) and e.outcome is Outcome.DONE for e in events):
        rows = venue.market.decode_snapshot(payload, body.instrument, record.seq, record.time_ns)
        if isinstance(rows, np.ndarray):
            return rows, events
        return None, (*events, *rows)
    return None, events
