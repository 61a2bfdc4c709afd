"""Apply a batch: decode it and fold it, up to the first record that triggers something.

Live, replay and rebuilding all apply inputs here and nowhere else. It knows strategies by name only.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from engine.apply.batch import NO_EFFECT, NONE_FIRED, STRATEGY_FLAGS, Applied, Batch, Fired
from engine.apply.history_pages import drop_ended
from engine.apply.messages import apply_change, apply_events, apply_message, fold_whole
from engine.bodies import LinkEvent, TimerBody
from engine.market import layout
from engine.market import rows as r
from engine.market.market_state import Market
from engine.market.views import Stream
from engine.record_codec import read_command, read_link, read_timer
from engine.recorded_inputs import RecordedInputs
from engine.requests import LinkRole
from engine.session_context import SessionContext
from engine.state.changes import Commanded, Lagged, LinkMoved, TimerFired
from engine.state.closed_orders import forget_closed
from engine.state.fill_cursor import NUMBERED_FILLS
from engine.state.orders import Order
from engine.state.session_state import State
from engine.timer_names import TimerKind, TimerName
from engine.trigger_kinds import TriggerKind, split_trigger
from engine.venues.venue import Decoded, RowsAndEvents
from journal.record import Kind, Record

OWN_SPEED = frozenset({LinkEvent.LATE, LinkEvent.CAUGHT_UP, LinkEvent.OVERRUN})  # no link's


def apply(session: SessionContext, state: State, batch: Batch) -> Applied:
    """Decode the batch and fold on from `batch.row`, up to the first record that triggers something.

    Returns:
        What that record holds. NO_EFFECT if none triggered anything, or if a TIMER must come before the next record.

    """
    rows, is_single = batch.rows, len(batch.records) == 1
    if rows is None:
        first = batch.records[0]
        if first.kind is not Kind.FEED or first.meta is not None:
            return APPLIERS[first.kind](session, state, first)
        if batch.until_ns is not None and state.next_due_ns <= first.time_ns:
            batch.records = ()
            return NO_EFFECT
        decoded = _decode(session, state, batch)
        if isinstance(decoded, tuple):
            return apply_events(session, state, batch.records[0], decoded) if decoded else NO_EFFECT
        if isinstance(decoded, RowsAndEvents):
            return _apply_both(session, state, batch.records[0], decoded)
        rows, is_single = decoded, len(batch.records) == 1
    market, until_ns, end = state.market, batch.until_ns, batch.row
    if until_ns is not None:
        until_ns = min(until_ns, state.account.timers.next_due_ns)
    flags = triggers = 0
    while end < len(rows):
        end = market.fold(rows, end, until_ns=until_ns)
        flags |= market.flags
        triggers |= market.fired
        if not is_single:
            break
        until_ns = None  # one frame may hold several messages: it is applied whole
    batch.row = end
    if flags in (0, layout.DUE):
        return NO_EFFECT
    return applied_rows(session, market, market.numbers[layout.S_TIME_NS], flags, triggers)


def applied_rows(session: SessionContext, market: Market, time_ns: int, flags: int, triggers: int) -> Applied:
    """Return what market rows hold that raised these flags and fired these triggers, the last one at `time_ns`."""
    strategies = session.fired(market.evaluated(triggers, time_ns)) if triggers else NONE_FIRED
    only_strategies = bool(triggers) and not flags & ~STRATEGY_FLAGS
    return Applied(market_flags=flags, strategies=strategies, only_strategies=only_strategies, time_ns=time_ns)


def _apply_both(session: SessionContext, state: State, record: Record, decoded: RowsAndEvents) -> Applied:
    """Apply a frame that holds rows and events."""
    flags, triggers = fold_whole(state, decoded.rows)
    fired = session.fired(state.market.evaluated(triggers, record.time_ns))
    applied = apply_events(session, state, record, decoded.events)
    return replace(applied, market_flags=flags, strategies=fired)


def _decode(session: SessionContext, state: State, batch: Batch) -> Decoded:
    """Return the rows of the frames up to the first unusual one, or what that holds if it is the first."""
    records = batch.records
    market = session.market_dialects[records[0].source]
    if len(records) > 1:
        every = session.settings.checkpoint_every
        records = batch.records = records[: every - state.inputs % every]  # no batch runs past a CHECKPOINT
        decoded = market.decode_many(
            [record.payload or b"" for record in records],
            np.array([record.seq for record in records], np.int64),
            np.array([record.time_ns for record in records], np.int64),
        )
        if decoded is not None:
            batch.rows, batch.ends = decoded
            return batch.rows
        records = batch.records = records[:1]
    record = records[0]
    assert record.payload is not None, "a market frame is bytes of the wire"
    found = market.decode(record.payload, record.source, record.seq, record.time_ns)
    if isinstance(found, np.ndarray):
        batch.rows, batch.ends = found, (len(found),)
    return found


def count_inputs(state: State, batch: Batch, start: int, *, has_effect: bool) -> Sequence[Record]:
    """Enter the records that were applied since row `start` into the state's counters and its hash.

    Returns:
        These records. Only the last one may lead to outputs.

    """
    if type(batch.records) is RecordedInputs:
        batch.records = batch.records.applied(batch.row, batch.place)
    elif batch.records_of is not None:
        batch.records = ()
        if batch.row > start:
            assert batch.rows is not None, "records are made of rows"
            next_row, timer_ns = batch.passed_timer
            state.time_ns = timer_ns if next_row == batch.row else int(batch.rows[batch.row - 1, r.TIME_NS])
            batch.records = batch.records_of(batch.row, has_effect)
    elif batch.ends and (not batch.row or len(batch.records) > 1):
        batch.records = batch.records[: bisect_left(batch.ends, batch.row) + 1] if batch.row else ()
    records = batch.records
    if records:
        state.hash_inputs(records)
        if type(records) is RecordedInputs:
            state.seq, state.time_ns = records.last
        else:
            state.seq, state.time_ns = records[-1].seq, records[-1].time_ns
        state.inputs += len(records)
    return records


def _apply_link(session: SessionContext, state: State, record: Record) -> Applied:
    body = read_link(record.body or "")
    if body.state in OWN_SPEED:
        apply_change(session, state, Lagged(body), record)
        return Applied(body=body)
    apply_change(session, state, LinkMoved(record.source, body), record)
    link = state.account.links.by_source.get(record.source)
    if session.settings.bar_close_after_ns and link is not None and link.role is LinkRole.MARKET:
        _note_trades(session, state, record, body.state)
    is_lost = link is not None and link.role is LinkRole.MARKET and body.state is LinkEvent.DOWN
    streams = session.streams_of(record.source) if is_lost else ()
    for index in session.indexes_of(record.source) if is_lost else ():
        bookless = state.market.instruments[index].without_book
        if (Stream.QUOTE if bookless else Stream.BOOK) in streams:
            state.market.reset_books(index)
    return Applied(body=body)


def _note_trades(session: SessionContext, state: State, record: Record, event: LinkEvent) -> None:
    """Note for the completeness of bars that the link which brings the trades is up or down."""
    if event in (LinkEvent.UP, LinkEvent.DOWN) and Stream.TRADE in session.streams_of(record.source):
        for index in session.indexes_of(record.source):
            if event is LinkEvent.UP:
                state.market.start_trades(index, record.time_ns)
            else:
                state.market.stop_trades(index)


def _apply_timer(session: SessionContext, state: State, record: Record) -> Applied:
    body = read_timer(record.body or "")
    timer = TimerName.parse(body.timer)
    strategies = triggered_by_timer(state, timer)
    if timer.kind is TimerKind.THROTTLE:  # the market's own: the account knows nothing of it
        state.market.note_evaluated(session.trigger_names.index(timer.subject), record.time_ns)
    else:
        apply_change(session, state, TimerFired(body), record)
    if timer.kind is TimerKind.CHECK:
        forget_closed_orders(session, state, record.time_ns)
        if state.market.history:
            drop_ended(state)
    elif timer.kind is TimerKind.BARS:
        return Applied(body=body, strategies=_close_bars(session, state, record, body))
    return Applied(body=body, strategies=strategies)


def triggered_by_timer(state: State, timer: TimerName) -> Mapping[str, Fired]:
    """Return the strategy that a timer triggers, with the kinds of triggers: before the timer is applied."""
    if timer.kind is TimerKind.THROTTLE:
        strategy, kind = split_trigger(timer.subject)
        return {strategy: (kind,)}
    if timer.kind is TimerKind.DECIDE:
        return {timer.subject: (TriggerKind.TIMER,)}
    if timer.kind is TimerKind.EVENT:
        waiting = state.account.events.waiting.get(timer.subject)
        return {timer.subject: tuple(map(TriggerKind, waiting))} if waiting else NONE_FIRED
    return NONE_FIRED


def _close_bars(session: SessionContext, state: State, record: Record, timer: TimerBody) -> Mapping[str, Fired]:
    """Close the bars that ended, of all instruments and intervals; return the strategies that this triggers."""
    period_ns = session.timer_periods_ns[timer.timer]
    end_ns = timer.due_ns + timer.missed * period_ns - session.settings.bar_close_after_ns
    state.market.close_bars(end_ns, seq=record.seq, time_ns=record.time_ns)
    return session.fired(state.market.evaluated(state.market.fired, record.time_ns))


def _apply_command(session: SessionContext, state: State, record: Record) -> Applied:
    body = read_command(record.body or "")
    apply_change(session, state, Commanded(body), record)
    return Applied(body=body)


def forget_closed_orders(session: SessionContext, state: State, time_ns: int) -> None:
    """Drop old closed orders. This belongs to applying the TIMER, so rebuilding does the same."""
    account = state.account
    of_plans = {name for plan in account.plans.running.values() for name in plan.orders}  # their fills are counted

    def is_confirmed(order: Order) -> bool:
        if order.client_order_id in of_plans:
            return False
        instrument = session.instruments.get(order.order.instrument)
        cursors = None if instrument is None else session.reducer_settings.cursors.get(instrument.venue)
        key = instrument.venue if instrument is not None and session.reducer_settings.has_accounts else ""
        return account.reconciling.confirms(order, cursors or NUMBERED_FILLS, key)

    kept = forget_closed(account.orders, time_ns, keep_ns=session.settings.keep_closed_ns, is_confirmed=is_confirmed)
    if kept is not account.orders:
        state.account = replace(account, orders=kept)


APPLIERS: dict[Kind, Callable[[SessionContext, State, Record], Applied]] = {
    Kind.FEED: apply_message,
    Kind.BROKER: apply_message,
    Kind.LINK: _apply_link,
    Kind.TIMER: _apply_timer,
    Kind.COMMAND: _apply_command,
}
