"""The check of each second: silent links, missing snapshots and fills, overdue requests, unknown orders."""

from engine.bodies import NoteLevel
from engine.execution import ledger_check, reconciliation
from engine.facts import LinkSteady
from engine.handlers.dead_man import arm_switches
from engine.handlers.freshness import watch_freshness
from engine.handlers.link_changes import disconnect, reconnect
from engine.handlers.link_gaps import open_gap
from engine.handlers.margin_settings import ask_settings
from engine.handlers.market_triggers import request_snapshots
from engine.handlers.order_queries import query_order
from engine.handlers.private_probe import probe_private_links
from engine.handlers.renew_tokens import renew_tokens
from engine.handlers.safety import watch_safety
from engine.handlers.trip_breakers import cancel_paused
from engine.mode_reasons import texts
from engine.requests import LinkPhase, LinkRole, Purpose
from engine.session_context import SessionContext
from engine.session_record import MILLISECOND_NS, SECOND_NS
from engine.state.links import LinkState
from engine.step_context import StepContext
from engine.timer_names import TimerKind

MINUTE_NS = 60 * SECOND_NS  # how often an alarm about the same thing is repeated


def watch_session(session: SessionContext, step: StepContext) -> None:
    """Check everything that no message announces."""
    is_late = step.account.lateness.is_late
    if not is_late:  # else what a feed sent may wait here: no silence is its fault
        for source in sorted(step.account.links.by_source):
            _watch_link(session, step, step.account.links.by_source[source])
        watch_freshness(session, step)
        probe_private_links(session, step)
    request_snapshots(session, step)
    reconciliation.query_missing_fills(step, session.factories, session.instruments)
    unexplained = [
        scope for scope in session.accounts.scopes.values() if ledger_check.is_unexplained(step, scope.account)
    ]
    reconciliation.request(step, unexplained)
    if not is_late:
        _watch_requests(session, step)
    _watch_orders(session, step)
    if session.settings.order_rules:
        _watch_doubts(session, step)
        _watch_access(session, step)
        _watch_waiting(session, step)
    cancel_paused(session, step)
    watch_safety(session, step)
    arm_switches(session, step)
    renew_tokens(session, step)
    ask_settings(session, step)


def _watch_link(session: SessionContext, step: StepContext, link: LinkState) -> None:
    source, now_ns, settings = link.source, step.time_ns, session.settings
    # before order_rules 1, a session with an account forgot all failures with its next reconciliation
    forgets_all = not settings.order_rules and step.account.links.has_account
    failures = {} if forgets_all else step.account.timers.failures
    last_ns = _last_seen_ns(session, step, source) if link.role is LinkRole.MARKET else now_ns
    since_ns = max(link.changed_ns, step.account.lateness.over_ns)
    silent_ns = now_ns - max(since_ns, last_ns)
    if link.state is LinkPhase.UP and now_ns - since_ns > settings.request_timeout_ns:
        step.note(NoteLevel.WARNING, f"{source}: no answer to the subscription")
        disconnect(session, step, source)
    elif link.state is LinkPhase.READY and silent_ns > settings.stale_after_ns:
        reason = f"silent for {silent_ns // MILLISECOND_NS} ms"
        step.note(NoteLevel.ALARM, f"{source}: {reason}")
        open_gap(session, step, source, reason)
        disconnect(session, step, source)
    elif link.state is LinkPhase.READY and source in failures and now_ns - link.changed_ns > settings.backoff_max_ns:
        step.emit(LinkSteady(source))


def _last_seen_ns(session: SessionContext, step: StepContext, source: str) -> int:
    return step.market.newest_seen_ns(session.indexes_of(source), session.streams_of(source))


def _watch_requests(session: SessionContext, step: StepContext) -> None:
    old_ns = step.time_ns - MINUTE_NS
    for pending in list(step.account.requests.by_seq.values()):
        end_ns = pending.request.expires_ns + pending.request.timeout_ns
        if end_ns <= old_ns and _is_next_minute(session, step, end_ns):
            text = f"request {pending.seq} ({pending.request.purpose}) has no end, though its time is over"
            step.note(NoteLevel.ALARM, text)
            reconciliation.fail(step, pending, "no end in its time")


def _watch_orders(session: SessionContext, step: StepContext) -> None:
    for name in step.account.orders.missing_fills:
        order = step.account.orders.get(name)
        if order is not None and _is_next_minute(session, step, order.reported_ns):
            text = f"order {name}: the venue says {order.filled_reported} filled, its fills say {order.filled_quantity}"
            step.note(NoteLevel.ALARM, text, key=name)
    for order in step.account.orders.unknown_by_age():
        name = order.client_order_id
        if not step.account.timers.is_set(TimerKind.QUERY_ORDER, name):
            query_order(session, step, name)
        if _is_next_minute(session, step, order.updated_ns):
            minutes = (step.time_ns - order.updated_ns) // MINUTE_NS
            text = f"order {name} is unknown for {minutes} min and was asked about {order.query_count} times"
            step.note(NoteLevel.ALARM, text, key=name)


def _watch_doubts(session: SessionContext, step: StepContext) -> None:
    """Query each order about which the venue contradicts us, at every check."""
    for name in step.account.orders.doubted:
        order = step.account.orders.known(name)
        instrument = session.instruments[order.order.instrument]
        factory = session.factories[instrument.venue]
        is_asked = step.account.requests.find(Purpose.QUERY_ORDER, instrument=instrument.id, client_order_id=name)
        if is_asked is None and factory.may_query(step) and session.accounts.has_account_for(instrument.id):
            factory.query_order(step, instrument=instrument, client_order_id=name)
        if _is_next_minute(session, step, order.doubted_ns):
            step.note(NoteLevel.ALARM, order.doubt, key=name)


def _watch_access(session: SessionContext, step: StepContext) -> None:
    """Open links again that stayed down while their venue refused access."""
    for source in sorted(step.account.links.by_source) if step.account.access.by_venue else ():
        link = step.account.links.by_source[source]
        if link.venue in step.account.access.by_venue and not step.account.timers.is_set(TimerKind.CONNECT, source):
            reconnect(session, step, source)


def _watch_waiting(session: SessionContext, step: StepContext) -> None:
    """Raise an alarm with every reason if the session does not trade for 1, 2, 4, 8 minutes."""
    modes = step.account.modes
    if modes.waiting_since_ns and _is_next_minute(session, step, modes.waiting_since_ns):
        minutes = (step.time_ns - modes.waiting_since_ns) // MINUTE_NS
        if minutes & (minutes - 1) == 0:
            step.note(NoteLevel.ALARM, f"{modes.mode} for {minutes} min: {texts(modes.reasons)}")


def _is_next_minute(session: SessionContext, step: StepContext, since_ns: int) -> bool:
    """Return True if another full minute since then ended after the last watch."""
    before_ns = step.time_ns - session.settings.check_interval_ns
    return (step.time_ns - since_ns) // MINUTE_NS > max(before_ns - since_ns, 0) // MINUTE_NS
