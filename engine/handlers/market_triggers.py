"""Market triggers: bad data, breaks in ids, books that need a snapshot. The kernel runs the strategies."""

from engine.apply.batch import Applied
from engine.bodies import NoteLevel
from engine.handlers.freshness import resubscribe
from engine.handlers.link_changes import disconnect
from engine.handlers.link_gaps import GAPS
from engine.handlers.policy import decide_mode
from engine.handlers.watch_losses import watch_daily_loss
from engine.market import layout
from engine.market.views import BookState, Stream
from engine.mode_reasons import ModeReason, ReasonCode
from engine.requests import LinkPhase, Purpose
from engine.session_context import SessionContext
from engine.state.market_gaps import gap_in_ids
from engine.step_context import StepContext
from engine.timer_names import TimerKind

FATAL_FLAGS = {
    layout.BOOK_CROSSED: "its book is crossed",
    layout.BAD_VALUE_SEEN: "a price or size is off the instrument's grid",
    layout.LEVELS_EXCEEDED: "its book has more levels than the named limit",
}
LOST_BOOKS = (BookState.BUFFERING, BookState.BROKEN)
ANY_FATAL = layout.BOOK_CROSSED | layout.BAD_VALUE_SEEN | layout.LEVELS_EXCEEDED


def handle_market(session: SessionContext, step: StepContext, applied: Applied) -> None:
    """Handle bad data, breaks in ids, books that need a snapshot, and books that changed their state."""
    flags = applied.market_flags
    if flags & layout.LOSS_LEVEL:
        watch_daily_loss(session, step)
        step.state.loss_parts = ()  # the levels follow the prices
    if flags & ANY_FATAL:
        for index, raised in step.market.raised():
            for flag, fault in FATAL_FLAGS.items():
                if raised & flag:
                    name = step.market.instruments[index].id
                    text = f"{name}: {fault} (record {step.record.seq})"
                    halt_account(step, ModeReason(ReasonCode.MARKET_DATA_INVALID, text, name))
    if flags & layout.MISSED:
        record, market = step.record, step.market
        for index, raised in market.raised():
            if raised & layout.MISSED:
                gap = gap_in_ids(
                    session.body,
                    market.last_break(index),
                    link=record.source,
                    instrument=market.instruments[index].id,
                    time_ns=record.time_ns,
                    seq=record.seq,
                )
                step.emit(gap, source=GAPS)
    if flags & layout.BOOK_NEEDS_SNAPSHOT:
        request_snapshots(session, step)
    if flags & (layout.BOOK_NEEDS_SNAPSHOT | layout.BOOK_JOINED):
        decide_mode(session, step)


def request_snapshots(session: SessionContext, step: StepContext) -> None:
    """Request the book snapshots that are needed. After a refusal, wait for the instrument's timer.

    A venue that streams its snapshots sends the next one over a new subscription, or else over a new connection.
    """
    lost = [step.market.instruments[index].id for index in step.market.books_in(LOST_BOOKS)]
    pending = step.account.requests.by_seq.values() if lost else ()
    waiting = {each.request.instrument for each in pending if each.request.purpose is Purpose.DEPTH}
    for name in lost:
        venue = session.instruments[name].venue
        if session.venues[venue].snapshots is None:
            _renew_streamed(session, step, name)
        elif (
            name not in waiting
            and not step.account.timers.is_set(TimerKind.SNAPSHOT, name)
            and session.factories[venue].may_query(step)
        ):
            session.factories[venue].depth(step, instrument=session.instruments[name])


def _renew_streamed(session: SessionContext, step: StepContext, name: str) -> None:
    """Begin a book again whose snapshots are streamed. One whose snapshot itself differs waits for the next check."""
    index, instrument, streams = session.indexes[name], session.instruments[name], (Stream.BOOK,)
    source = session.link_of(index, Stream.BOOK)
    if not session.factories[instrument.venue].resubscriptions(instrument, streams):
        disconnect(session, step, source)
        return
    found = step.market.last_break(index)
    is_hopeless = found.last_seq == step.record.seq and found.last_id == found.first_id
    if step.account.links.by_source[source].state is LinkPhase.READY and not is_hopeless:
        resubscribe(session, step, name, streams)


def halt_account(step: StepContext, reason: ModeReason) -> None:
    """Halt a session with an account. One that only records raises an alarm and continues."""
    if step.account.links.has_account:
        step.halt(reason)
    else:
        step.note(NoteLevel.ALARM, reason.text)
