"""The history of the bars for which strategies wait: requests for it page by page, its failures and its end.

One request to a venue at a time, within a part of its budget. Nothing but the strategy waits for the answer: it decides
when its WarmUp is over (engine/strategy/runner.py).
"""

from collections.abc import Sequence

import numpy as np

from engine.bodies import NoteLevel
from engine.events import Answer, Event, Outcome, Unrecognised
from engine.facts import HistoryEnd, HistoryEnded, HistoryFailed, HistoryRead
from engine.market.history import gap_of, has_whole_bars
from engine.market.layout import BAR_ANCHOR_NS
from engine.market.views import BarSpec, Stream
from engine.requests import HistoryPage, LinkPhase, Purpose
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.history_loads import HISTORY_TRIES, HistoryLoad
from engine.state.pending_requests import PendingRequest
from engine.step_context import StepContext

SOURCE = "history"  # of the facts
RETRY_MAX_NS = 60 * SECOND_NS
PAGE_BARS = 1_000  # of a session or file that answers in the venue's place


def advance_history(session: SessionContext, step: StepContext) -> None:
    """Request the next page of each history that is not over, if its venue may be queried."""
    if step.account.modes.stopping_since_ns:
        return
    for bars, count in session.history_needs.items():
        load = step.account.history.get(bars.instrument_id, bars.interval_ns)
        if load is None or load.end is None:
            _advance(session, step, bars, count)


def _advance(session: SessionContext, step: StepContext, bars: BarSpec, count: int) -> None:
    """End the history of some bars, or request its next page if that may be done now."""
    instrument, interval_ns, market = bars.instrument_id, bars.interval_ns, step.market
    load, venue = step.account.history.get(instrument, interval_ns), session.instruments[instrument].venue
    k = market.bar_index(instrument, interval_ns)
    base_ns, page_bars = _base(session, instrument, interval_ns)
    if not base_ns:
        why = f"{venue} has no candles that make bars of {interval_ns // SECOND_NS} s"
        _end(step, instrument, interval_ns, HistoryEnd.EMPTY, why)
        return
    if load is not None and load.is_loaded and (k not in market.history or has_whole_bars(market, k)):
        _end(step, instrument, interval_ns, HistoryEnd.WHOLE)
        return
    if load is not None and load.failures >= HISTORY_TRIES and _may_give_up(session, step, instrument, load):
        _end(step, instrument, interval_ns, HistoryEnd.GIVEN_UP, f"{load.failures} requests failed")
        return
    is_due = load is None or step.time_ns >= load.retry_ns
    if not is_due or not _is_up(session, step, instrument) or _is_pending(step, venue):
        return
    span = _span(step, k, count, load)
    factory = session.factories[venue]
    if span is not None and factory.may_query(step):
        start_ns, series_end_ns = span
        end_ns = min(start_ns + page_bars * interval_ns, series_end_ns)
        page = HistoryPage(interval_ns, base_ns, start_ns, end_ns, series_end_ns)
        factory.history(step, instrument=session.instruments[instrument], page=page)


def _span(step: StepContext, k: int, count: int, load: HistoryLoad | None) -> tuple[int, int] | None:
    """Return where the next page begins and where the history ends; None if nothing is missing now."""
    if load is not None and load.is_loaded:
        return gap_of(step.market, k)  # None: the bar that the session saw in part has not closed
    if load is not None and load.pages:
        return load.next_ns, load.end_ns
    bars = step.market.bar_specs[k]
    venue = step.market.instruments[step.market.index[bars.instrument_id]].venue
    now_ns = step.time_ns + step.account.limits.get(venue).clock_offset_ns - step.settings.bar_close_after_ns
    end_ns = now_ns - (now_ns - int(step.market.bar_state[k, BAR_ANCHOR_NS])) % bars.interval_ns
    return max(end_ns - count * bars.interval_ns, end_ns % bars.interval_ns), end_ns


def handle_history_answer(
    session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer, reports: Sequence[Event]
) -> None:
    """Record what an answer brought, and request the next page."""
    request, page = pending.request, pending.request.history
    assert page is not None, "a request for bars says which"
    load = step.account.history.get(request.instrument, page.interval_ns)
    k = step.market.bar_index(request.instrument, page.interval_ns)
    unreadable = next((event for event in reports if isinstance(event, Unrecognised)), None)
    if unreadable is not None:
        _fail(step, request.instrument, page, f"the answer cannot be read: {unreadable.error}")
    elif answer.outcome is not Outcome.DONE:
        _fail(step, request.instrument, page, f"{answer.outcome} {answer.coded_text}".strip())
    elif load is not None and load.is_loaded and (gap := gap_of(step.market, k)) is not None and gap[0] < page.end_ns:
        _fail(step, request.instrument, page, "the venue's own bars are not complete yet")
    else:
        known = step.market.history.get(k)
        bars = 0 if known is None else len(known.bars)
        step.emit(
            HistoryRead(request.instrument, page.interval_ns, page.start_ns, page.end_ns, bars, page.is_last),
            source=SOURCE,
        )
        if page.is_last and not (load is not None and load.is_loaded):
            _note_loaded(session, step, request.instrument, page, k)
    advance_history(session, step)


def _end(step: StepContext, instrument: str, interval_ns: int, why: HistoryEnd, reason: str = "") -> None:
    """Record that no more of a history is requested. A person reads why, unless it is whole."""
    step.emit(HistoryEnded(instrument, interval_ns, why, reason), source=SOURCE)
    if why is not HistoryEnd.WHOLE:
        text = f"no history for bars of {interval_ns // SECOND_NS} s of {instrument}: {reason}"
        step.note(NoteLevel.WARNING if why is HistoryEnd.GIVEN_UP else NoteLevel.INFO, text)


def _note_loaded(session: SessionContext, step: StepContext, instrument: str, page: HistoryPage, k: int) -> None:
    known = step.market.history.get(k)
    if known is None or not len(known.bars):
        where = session.settings.history_from or "the venue"
        _end(step, instrument, page.interval_ns, HistoryEnd.EMPTY, f"{where} has none before {_utc_text(page.end_ns)}")
        return
    step.note(
        NoteLevel.INFO,
        f"bars of {page.interval_ns // SECOND_NS} s of {instrument} begin with {len(known.bars)} of history, "
        f"from {_utc_text(int(known.bars[0, 0]))} to {_utc_text(known.end_ns)}",
    )


def _fail(step: StepContext, instrument: str, page: HistoryPage, reason: str) -> None:
    load = step.account.history.get(instrument, page.interval_ns)
    wait_ns = min(SECOND_NS << min(0 if load is None else load.failures, 20), RETRY_MAX_NS)
    step.emit(HistoryFailed(instrument, page.interval_ns, reason, step.time_ns + wait_ns), source=SOURCE)
    text = f"no history for bars of {page.interval_ns // SECOND_NS} s of {instrument}: {reason}"
    step.note(NoteLevel.WARNING, f"{text}; next request in {wait_ns // SECOND_NS} s")


def _utc_text(time_ns: int) -> str:
    """Return a time for people, to the second."""
    return f"{np.datetime64(time_ns, 'ns').astype('datetime64[s]')}Z"


def _may_give_up(session: SessionContext, step: StepContext, instrument: str, load: HistoryLoad) -> bool:
    """Return True if the bars will stay incomplete, or the session's own bars are enough for the strategies."""
    if load.is_loaded:
        return True
    waiting = [
        name
        for name in session.strategies
        if any(bars.instrument_id == instrument for bars in session.history_of(name))
    ]
    return all(session.runner.is_warm(step.market, name) for name in waiting)


def _base(session: SessionContext, instrument: str, interval_ns: int) -> tuple[int, int]:
    """Return the length of the candles to request, and the bars of a page; zeros if no candles fit."""
    if session.settings.history_from:
        return interval_ns, PAGE_BARS
    codec = session.history_codec(session.instruments[instrument].venue)
    if codec is None:
        return 0, 0
    fitting = [each for each in codec.intervals_ns if interval_ns % each == 0 and interval_ns // each <= codec.page_max]
    return (fitting[-1], codec.page_max // (interval_ns // fitting[-1])) if fitting else (0, 0)


def _is_up(session: SessionContext, step: StepContext, instrument: str) -> bool:
    """Return True if the trades of an instrument arrive: those after the history must not be missed."""
    link = step.account.links.by_source.get(session.link_of(session.indexes[instrument], Stream.TRADE))
    return link is not None and link.state in (LinkPhase.UP, LinkPhase.READY)


def _is_pending(step: StepContext, venue: str) -> bool:
    pending = step.account.requests.by_seq.values()
    return any(each.request.purpose is Purpose.HISTORY and each.request.venue == venue for each in pending)
