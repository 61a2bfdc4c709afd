"""Fresh market data, checked each second: silent and lost streams, and a feed that lags behind the venue's own stamps.

An instrument whose data is old is blocked alone, and its streams are subscribed again over the living link. The bounds
follow the venue's promises: Binance sends `bookTicker` at every change of the best bid or ask and `depth`
every 100 ms in which the book changed; a market in which nothing changes is silent. So a stream alone is lost only if
another message proves a change that it did not report: another stream of the instrument or, for trades, a fill of
ours. A quiet trade stream proves nothing.
"""

from typing import NamedTuple

from engine.block_reasons import BlockCode, BlockReason
from engine.bodies import NoteLevel
from engine.handlers.block_instruments import block, unblock
from engine.handlers.link_changes import disconnect, measure_clock
from engine.market.views import Stream
from engine.model import Instrument
from engine.requests import LinkPhase, Purpose, Unsigned
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.pending_requests import PendingRequest
from engine.state.session_state import State
from engine.step_context import StepContext

OWN_CODES = (BlockCode.STREAM_STALE, BlockCode.VENUE_LAGS)
ALL_STREAMS = "all streams"


class StaleStream(NamedTuple):
    """One stream of an instrument that is old: by how much, and the streams to subscribe again."""

    code: BlockCode
    about: str
    age_ns: int
    streams: tuple[Stream, ...]


def watch_freshness(session: SessionContext, step: StepContext) -> None:
    """Block instruments with old data, let those trade again that recovered, and subscribe lost streams again."""
    if not session.settings.stream_silence_max_ns or not step.account.links.has_account:
        return
    for name, index in session.indexes.items():
        is_connected = _is_connected(session, step, index)
        faults = _faults(session, step, index) if is_connected else []
        current = {(fault.code, fault.about) for fault in faults}
        for reason in step.account.blocks.reasons(name):
            if reason.code in OWN_CODES and (reason.code, reason.about) not in current:
                unblock(step, name, reason.code, reason.about)
                if is_connected:  # else the lost link is the reason now
                    step.note(NoteLevel.INFO, f"{name}: {reason.about} recovered")
        for fault in faults:
            _handle_fault(session, step, name, fault)
    _end_overdue(session, step)


def venue_lag_ns(session: SessionContext, step: StepContext | State, index: int) -> dict[Stream, int]:
    """Return how old each stream's newest message was when it came: our time in the venue's clock minus its stamp.

    The newest trade of a polled page may be old, so its stamp does not measure the way.
    """
    name = step.market.instruments[index].id
    venue, has_page = session.instruments[name].venue, f"{name}/trade" in session.polled.streams
    offset_ns = step.account.limits.get(venue).clock_offset_ns
    return {
        stream: received_ns + offset_ns - stamp_ns
        for stream, received_ns, stamp_ns in step.market.venue_stamps(index)
        if received_ns >= session.body.started_ns and not (stream is Stream.TRADE and has_page)
    }


def slowest_ns(session: SessionContext, step: StepContext, instrument: Instrument) -> int:
    """Return the age of the slowest stream's newest message when it came; 0 before any has a stamp."""
    return max(venue_lag_ns(session, step, session.indexes[instrument.id]).values(), default=0)


def _streams(session: SessionContext, step: StepContext, index: int) -> tuple[Stream, ...]:
    has_book = session.settings.books and not step.market.instruments[index].without_book
    return (Stream.QUOTE, Stream.BOOK) if has_book else (Stream.QUOTE,)


def _is_connected(session: SessionContext, step: StepContext, index: int) -> bool:
    """Return True if the links of an instrument's streams are ready."""
    links = step.account.links.by_source
    return all(links[session.link_of(index, each)].state is LinkPhase.READY for each in _streams(session, step, index))


def _faults(session: SessionContext, step: StepContext, index: int) -> list[StaleStream]:
    """Return what is old about an instrument whose links are ready. A link that is not ready is another reason."""
    settings, market, now_ns = session.settings, step.market, step.time_ns
    streams = _streams(session, step, index)
    seen_ns: dict[Stream, int] = {}
    for stream in streams:
        link = step.account.links.by_source[session.link_of(index, stream)]
        seen_ns[stream] = max(market.last_seen_ns(index, stream), link.changed_ns, step.account.lateness.over_ns)
    silent_ns = now_ns - max(seen_ns.values())
    if silent_ns > settings.stream_silence_max_ns:
        return [StaleStream(BlockCode.STREAM_STALE, ALL_STREAMS, silent_ns, streams)]
    faults = []
    if Stream.BOOK in streams and settings.stream_behind_max_ns:
        behind_ns = seen_ns[Stream.QUOTE] - seen_ns[Stream.BOOK]
        if behind_ns > settings.stream_behind_max_ns and market.quote_is_newer(index):
            age_ns = now_ns - seen_ns[Stream.BOOK]
            faults.append(StaleStream(BlockCode.STREAM_STALE, "book", age_ns, (Stream.BOOK,)))
        elif -behind_ns > settings.stream_behind_max_ns and market.quote_is_outdated(index):
            age_ns = now_ns - seen_ns[Stream.QUOTE]
            faults.append(StaleStream(BlockCode.STREAM_STALE, "quote", age_ns, (Stream.QUOTE,)))
    faults += _failing_polls(session, step, name=market.instruments[index].id)
    if _misses_own_trade(session, step, index):
        age_ns = now_ns - market.last_seen_ns(index, Stream.TRADE)
        faults.append(StaleStream(BlockCode.STREAM_STALE, "trade", age_ns, (Stream.TRADE,)))
    if settings.venue_lag_max_ns:
        faults += [
            StaleStream(BlockCode.VENUE_LAGS, stream.name.lower(), lag_ns, (stream,))
            for stream, lag_ns in venue_lag_ns(session, step, index).items()
            if lag_ns > settings.venue_lag_max_ns and now_ns - market.last_seen_ns(index, stream) < 2 * SECOND_NS
        ]
    return faults


def _failing_polls(session: SessionContext, step: StepContext, *, name: str) -> list[StaleStream]:
    """Return the polled streams of an instrument that fail for longer than a silence may last."""
    faults = []
    for stream in (Stream.QUOTE, Stream.BOOK, Stream.TRADE) if step.account.polls.failing else ():
        failing = step.account.polls.failing.get(f"{name}/{stream.name.lower()}")
        if failing is not None and step.time_ns - failing.since_ns > session.settings.stream_silence_max_ns:
            age_ns = step.time_ns - failing.since_ns
            faults.append(StaleStream(BlockCode.STREAM_STALE, stream.name.lower(), age_ns, (stream,)))
    return faults


def _misses_own_trade(session: SessionContext, step: StepContext, index: int) -> bool:
    """Return True if a fill of ours, confirmed a while ago, is a trade that the trade stream never reported."""
    name, market, rounds = step.market.instruments[index].id, step.market, step.account.reconciling
    bound_ns = session.settings.stream_behind_max_ns
    if not bound_ns or not session.factories[session.instruments[name].venue].fills_are_trades:
        return False
    link = step.account.links.by_source[session.link_of(index, Stream.TRADE)]
    done_ns = rounds.for_account(step.account_of(session.instruments[name].venue)).done_ns
    heard_ns = max(market.last_seen_ns(index, Stream.TRADE), link.changed_ns, done_ns, step.account.lateness.over_ns)
    if link.state is not LinkPhase.READY or step.time_ns - heard_ns <= bound_ns:
        return False
    cursor = rounds.confirmed_cursor(name) or ""
    return cursor.isdecimal() and 0 < market.last_trade_id(index) < int(cursor)


def _handle_fault(session: SessionContext, step: StepContext, name: str, fault: StaleStream) -> None:
    seconds = f"{fault.age_ns / SECOND_NS:.1f} s"
    if fault.code is BlockCode.VENUE_LAGS:
        text = f"its {fault.about} messages are {seconds} old by the venue's own time"
    else:
        text = f"no message of {fault.about} for {seconds}"
    if block(step, name, BlockReason(fault.code, text, fault.about)):
        step.note(NoteLevel.WARNING, f"{name} is blocked: {text}")
        if fault.code is BlockCode.VENUE_LAGS:
            measure_clock(session, step, session.instruments[name].venue)
        _resubscribe(session, step, name, fault)
    elif _is_next_attempt(session, fault.age_ns):
        _resubscribe(session, step, name, fault)


def _is_next_attempt(session: SessionContext, age_ns: int) -> bool:
    """Return True at one, two, four times the silence allowed, and so on: each attempt waits twice as long."""
    first_ns = session.settings.stream_silence_max_ns
    before_ns = age_ns - session.settings.check_interval_ns
    return (age_ns // first_ns).bit_length() > (max(before_ns, 0) // first_ns).bit_length()


def _resubscribe(session: SessionContext, step: StepContext, name: str, fault: StaleStream) -> None:
    """Subscribe streams again over their living link; a venue without such messages gets a new connection."""
    if fault.code is BlockCode.VENUE_LAGS:
        return  # another subscription over the same link is as late
    source = session.link_of(session.indexes[name], fault.streams[0])
    if source not in session.polled.sources:  # those are requested again in any case
        resubscribe(session, step, name, fault.streams)


def resubscribe(session: SessionContext, step: StepContext, name: str, streams: tuple[Stream, ...]) -> None:
    """Subscribe streams of an instrument again, one instrument of a link at a time."""
    instrument = session.instruments[name]
    source = session.link_of(session.indexes[name], streams[0])
    if any(pending.request.purpose is Purpose.RESUBSCRIBE for pending in _on_link(step, source)):
        return
    messages = _messages(session, instrument, streams)
    if not messages:
        disconnect(session, step, source)
        return
    session.factories[instrument.venue].resubscribe(step, messages[0], source=source, instrument=instrument)


def continue_resubscription(session: SessionContext, step: StepContext, answered: PendingRequest) -> None:
    """Send the next message of a resubscription after the venue acknowledged one."""
    request, instrument = answered.request, session.instruments[answered.request.instrument]
    for streams in ((Stream.QUOTE, Stream.BOOK), (Stream.QUOTE,), (Stream.BOOK,), (Stream.TRADE,)):
        messages = _messages(session, instrument, streams)
        if request.unsigned in messages[:-1]:
            following = messages[messages.index(request.unsigned) + 1]
            session.factories[request.venue].resubscribe(step, following, source=request.source, instrument=instrument)
            return


def _messages(session: SessionContext, instrument: Instrument, streams: tuple[Stream, ...]) -> tuple[Unsigned, ...]:
    return session.factories[instrument.venue].resubscriptions(instrument, streams)


def _end_overdue(session: SessionContext, step: StepContext) -> None:
    """Open a link again on which a resubscription got no answer."""
    if session.body.resimulated is not None:
        return
    for pending in list(step.account.requests.by_seq.values()):
        request = pending.request
        if request.purpose is Purpose.RESUBSCRIBE and step.time_ns - pending.time_ns > request.timeout_ns:
            step.note(NoteLevel.WARNING, f"{request.source}: no answer to the subscription of {request.instrument}")
            disconnect(session, step, request.source)


def _on_link(step: StepContext, source: str) -> list[PendingRequest]:
    return [pending for pending in step.account.requests.by_seq.values() if pending.request.source == source]
