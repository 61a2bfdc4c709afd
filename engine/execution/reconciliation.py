"""Reconciliation: query open orders, balances and fills, compare the answers with the account, correct by facts.

The venue is right in the end, and every correction is a record with its cause. An answer is older than any record
after its query: a newer fill or balance wins (scenario S15). The same answer twice changes nothing (S12). Texts of
notes and reasons are recorded, so they keep their words.
"""

from collections.abc import Iterable
from functools import partial

from engine.bodies import NoteLevel
from engine.events import Fill, FillsReport, OpenOrdersReport
from engine.execution import doubts, ledger_check
from engine.execution.account_scope import AccountScope
from engine.execution.books_check import compare_books
from engine.execution.doubts import ENDED
from engine.execution.order_fills import query_by_order, record_of_order
from engine.execution.order_reports import IsOwn, apply_report, cursor_of, halt_for_lost, is_lost_order, record_fill
from engine.execution.position_reports import adopt_openings
from engine.execution.request_factory import RequestFactory
from engine.execution.unstated_fees import charge_unstated_fees
from engine.facts import FillsConfirmed, Reconciled, ReconcileFailed
from engine.lifecycle import Status
from engine.mode_reasons import ModeReason, ReasonCode
from engine.model import Instrument
from engine.requests import LinkPhase, Purpose
from engine.state.fill_cursor import recorded_cursor
from engine.state.orders import Order
from engine.state.pending_requests import PendingRequest
from engine.step_context import StepContext

ORPHANS_MAX = 20  # orders of unknown fills that are queried at a time

Instruments = dict[str, Instrument]
Factories = dict[str, RequestFactory]


def may_query(step: StepContext, scope: AccountScope) -> bool:
    """Return True if there is an account, its links are ready, its venue is not blocked, and the session not closing.

    Before order_rules 1, the links of the market had to be ready too.
    """
    account, venue = step.account, scope.account
    links = account.links
    is_free = all(factory.may_query(step) for factory in scope.factories.values())
    is_ready = links.account_ready(venue) if step.settings.order_rules else links.all_ready()
    return links.has_account_at(venue) and is_ready and is_free and not account.modes.closing


def hindrance(step: StepContext, scope: AccountScope) -> str:
    """Return why no round of an account can start now, or ""."""
    account, rounds = step.account, scope.rounds(step)
    if rounds.running:
        return f"round {rounds.round} runs already"
    if may_query(step, scope):
        return ""
    if not account.links.has_account_at(scope.account):
        return "the session has no account"
    if account.modes.closing:
        return "the session is closing"
    down = [
        f"{link.source} is {link.state}"
        for link in sorted(account.links.private(scope.account), key=lambda link: link.source)
        if link.state is not LinkPhase.READY
    ]
    if down:
        return "; ".join(down)
    waiting = sorted(name for name, factory in scope.factories.items() if not factory.may_query(step))
    return f"{', '.join(waiting)}: a refusal, a block or a spent budget forbids queries"


def request(step: StepContext, scopes: Iterable[AccountScope]) -> None:
    """Start a round of each account at once, unless one runs or its venue cannot be queried now."""
    for scope in scopes:
        if not scope.rounds(step).running and may_query(step, scope):
            _start(step, scope)


def advance(step: StepContext, scopes: Iterable[AccountScope]) -> bool:
    """Advance the rounds of each account. Return True if one must start as soon as its venue can be queried."""
    waiting = [scope for scope in scopes if _advance(step, scope)]
    return bool(waiting)


def _advance(step: StepContext, scope: AccountScope) -> bool:
    """End the round whose answers are all in; start one if knowledge is not to be trusted or the timer fired.

    Returns:
        True if a round must start as soon as the venue can be queried.

    """
    rounds = scope.rounds(step)
    if rounds.running:
        if any(_is_of_round(step, pending, scope.account) for pending in step.account.requests.by_seq.values()):
            return False
        # orders whose fills are missing: 0 in health
        corrections = sum(map(scope.concerns, map(partial(_instrument_of, step), step.account.orders.missing_fills)))
        adopt_openings(step, scope)
        charge_unstated_fees(step, scope)
        unsettled = ledger_check.compare(step, account=scope.account, corrections=corrections)
        compare_books(step, scope, is_settled=not corrections and not unsettled)
        changed = (rounds.changed_orders, rounds.changed_fills, rounds.changed_balances)
        step.emit(
            Reconciled(rounds.round, corrections, *changed, unsettled=unsettled, venue=scope.account),
            source="reconcile",
        )
        if any(changed):
            names = zip(changed, ("orders", "fills", "balances"), strict=True)
            text = ", ".join(f"{name} {count}" for count, name in names if count)
            where = f" at {scope.account}" if scope.account else ""
            step.note(NoteLevel.INFO, f"reconciliation {rounds.round}{where} changed: {text}")
        rounds = scope.rounds(step)
        has_ended = True
    else:
        has_ended = False
    is_stale = rounds.done_started_seq <= scope.stale_since_seq(step) and rounds.failures == 0
    is_fired = scope.timer not in step.account.timers.due_ns  # perhaps when nothing could be queried
    if not is_stale and not is_fired:
        return False
    if has_ended or not may_query(step, scope):
        return True
    _start(step, scope)
    return False


def _is_of_round(step: StepContext, pending: PendingRequest, account: str) -> bool:
    """Return True for a query of the newest round of an account."""
    request, rounds = pending.request, step.account.reconciling.for_account(account)
    return request.round == rounds.round and account in ("", request.venue)


def _instrument_of(step: StepContext, client_order_id: str) -> str:
    order = step.account.orders.get(client_order_id)
    return "" if order is None else order.order.instrument


def _start(step: StepContext, scope: AccountScope) -> None:
    """Start a round: send all its queries at once, each with the round's number."""
    number = scope.rounds(step).round + 1
    for factory in scope.factories.values():
        factory.open_orders(step, reconcile_round=number)
        factory.balances(step, reconcile_round=number)
        if factory.contracts.has_positions:
            factory.contracts.positions(step, reconcile_round=number)
        query_fundings(step, factory, scope.instruments, reconcile_round=number)
    for instrument in scope.instruments.values():
        after = _overlapping(step, instrument, step.account.reconciling.confirmed_cursor(instrument.id))
        scope.factories[instrument.venue].fills(step, instrument=instrument, after=after, reconcile_round=number)
    for order in step.account.orders.live_by_age():
        if order.status is Status.UNKNOWN and scope.concerns(order.order.instrument):
            instrument = scope.instruments[order.order.instrument]
            _query(step, scope.factories[instrument.venue], instrument, order, number)


def query_fundings(
    step: StepContext, factory: RequestFactory, instruments: Instruments, *, reconcile_round: int = 0
) -> None:
    """Query the fundings since those that are recorded, or since the session or the one before began to miss them.

    The stream does not say to which contract a funding belongs, and one of a lost connection is never streamed.
    """
    if not factory.contracts.has_positions or not step.reducer_settings.settles_contracts:
        return
    if not reconcile_round and step.account.requests.find(Purpose.FUNDINGS) is not None:
        return
    pnl, name = step.account.pnl, factory.venue.name
    funded = [pnl.funded_ns(each.id) for each in instruments.values() if each.venue == name and each.contract]
    known = [at_ns for at_ns in funded if at_ns]
    offset_ns = step.account.limits.get(name).clock_offset_ns
    since_ns = min(known) if known else step.reducer_settings.fundings_from_ns + offset_ns
    factory.contracts.fundings(step, since_ns=since_ns, reconcile_round=reconcile_round)


def _overlapping(step: StepContext, instrument: Instrument, confirmed: str | None) -> str | None:
    """Return the cursor to query fills after: the last known fill comes again, since two orders may share its id."""
    cursors = step.fill_cursor(instrument.venue)
    if confirmed is None or not step.settings.order_rules or cursors.key(confirmed) <= cursors.key(cursors.start):
        return confirmed
    return cursors.before(confirmed)


def fail(step: StepContext, pending: PendingRequest, reason: str) -> None:
    """End the running round without a result if one of its queries failed. A timer starts another."""
    account = step.account_of(pending.request.venue)
    rounds = step.account.reconciling.for_account(account)
    if pending.request.round and pending.request.round == rounds.round and rounds.running:
        text = f"{pending.request.purpose}: {reason}"
        step.emit(ReconcileFailed(rounds.round, text, account), source="reconcile")


def apply_open_orders(
    step: StepContext,
    factory: RequestFactory,
    instruments: Instruments,
    pending: PendingRequest,
    report: OpenOrdersReport,
    *,
    is_own: IsOwn,
) -> None:
    """Compare the venue's open orders with ours, and query ours that it does not list.

    Args:
        step: The current step.
        factory: Makes the queries.
        instruments: The session's instruments.
        pending: The request that this answers.
        report: The venue's open orders.
        is_own: True for an order whose id this session or the one before made.

    """
    listed = set()
    for theirs in report.orders:
        known = step.account.orders.find(theirs.instrument, theirs.client_order_id, theirs.venue_order_id)
        if theirs.instrument in instruments and is_lost_order(step, theirs, is_own):
            halt_for_lost(step, theirs)
        if known is not None and known.updated_seq > pending.seq:
            listed.add(known.client_order_id)
            continue  # a report arrived after the query
        if (
            known is not None
            and known.status in ENDED
            and step.settings.order_rules
            and theirs.instrument in instruments
        ):
            if doubts.is_contradiction(step, known, theirs, as_of_ns=pending.time_ns):
                text = f"{doubts.contradiction(known)}, says its list: it is queried"
                step.note(NoteLevel.WARNING, text, key=known.client_order_id)
            _ask_about_closed(step, factory, instruments[theirs.instrument], known, pending)
            listed.add(known.client_order_id)
            continue
        if known is not None and known.status in ENDED:
            _contradicted(step, known, pending, grace_ns=factory.settings.venue_timeout_ns)
        order = apply_report(step, theirs, instruments)
        if order is not None:
            listed.add(order.client_order_id)
    for order in step.account.orders.live_by_age():
        if order.client_order_id in listed or order.status in (Status.PENDING, Status.UNKNOWN):
            continue
        if report.are_held is not None and factory.keeps_apart(order) is not report.are_held:
            continue  # the other list has it
        instrument = instruments[order.order.instrument]
        if order.updated_seq < pending.seq and instrument.venue == factory.venue.name:
            _query(step, factory, instrument, order, pending.request.round)


def _query(step: StepContext, factory: RequestFactory, instrument: Instrument, order: Order, number: int) -> None:
    if order.query_seq == 0:
        factory.query_order(
            step,
            instrument=instrument,
            client_order_id=order.client_order_id,
            # others may use a client id again, so their orders are queried by the venue's id
            venue_order_id=order.venue_order_id if order.adopted else "",
            reconcile_round=number,
        )


def _ask_about_closed(
    step: StepContext, factory: RequestFactory, instrument: Instrument, known: Order, pending: PendingRequest
) -> None:
    """Query an order that the venue lists as open and that ended here. Only its own answer can prove anything."""
    name = known.client_order_id
    asked = step.account.requests.find(Purpose.QUERY_ORDER, instrument=instrument.id, client_order_id=name)
    if asked is None:
        _query(step, factory, instrument, known, pending.request.round)


def _contradicted(step: StepContext, known: Order, pending: PendingRequest, *, grace_ns: int) -> None:
    """Halt because the venue lists an order as open that ended here. Soon after its end, the venue may only be late."""
    if pending.time_ns - known.updated_ns <= grace_ns:
        return
    text = f"order {known.client_order_id} is {known.status} here, and open at the venue"
    if known.adopted:
        step.note(NoteLevel.ALARM, text, key=known.client_order_id)
    else:
        reason = ModeReason(ReasonCode.ORDER_CONTRADICTED, text, known.client_order_id)
        step.halt(reason, key=known.client_order_id)


def apply_fills(
    step: StepContext, factory: RequestFactory, instruments: Instruments, pending: PendingRequest, report: FillsReport
) -> list[Fill]:
    """Record a page of fills. Query the next page, or the orders whose venue ids are not known here.

    Returns:
        The fills that were recorded.

    """
    if pending.request.client_order_id:
        return record_of_order(step, factory, instruments, pending, report)
    instrument = instruments[pending.request.instrument]
    cursors = step.fill_cursor(instrument.venue)
    confirmed = step.account.reconciling.confirmed_cursor(instrument.id)
    is_first_page = confirmed is None
    if not is_first_page and factory.follow_ups.oldest_fills(step, pending.request, report):
        return []
    orphans: dict[str, str] = {}  # venue order id -> the cursor of its first fill here
    recorded: list[Fill] = []
    newest = max(cursors.start if confirmed is None else confirmed, report.through or cursors.start, key=cursors.key)
    for fill in report.fills:
        cursor = cursor_of(step, fill, instrument)
        if cursor is None:
            continue
        is_recorded = record_fill(step, fill, instruments, is_first_page=is_first_page)
        if is_recorded:
            recorded.append(fill)
        known = is_recorded or step.account.orders.find(fill.instrument, fill.client_order_id, fill.venue_order_id)
        if not known and confirmed is not None and cursors.key(cursor) > cursors.key(confirmed):
            orphans.setdefault(fill.venue_order_id, cursor)
        newest = max(newest, cursor, key=cursors.key)
    if orphans:
        newest = cursors.before(
            min(orphans.values(), key=cursors.key)
        )  # the query is repeated from there, once these orders are known
    if confirmed is None or cursors.key(newest) > cursors.key(confirmed):
        step.emit(FillsConfirmed(instrument.id, recorded_cursor(newest)), source="reconcile")
    if not orphans and (report.whole or is_first_page):
        return recorded
    number = pending.request.round
    if not factory.may_query(step):
        fail(step, pending, "the request budget is spent before all fills are in")
    elif not orphans and newest == confirmed:
        fail(step, pending, f"a full page of fills ends where it began, at {newest}")
    elif not orphans:
        after = _overlapping(step, instrument, newest)
        factory.fills(step, instrument=instrument, after=after, reconcile_round=number)
    elif not queries_orphans(step, instrument.id):
        for venue_order_id in sorted(orphans, key=lambda order_id: cursors.key(orphans[order_id]))[:ORPHANS_MAX]:
            factory.query_order(step, instrument=instrument, venue_order_id=venue_order_id, reconcile_round=number)
    return recorded


def queries_orphans(step: StepContext, instrument: str) -> bool:
    """Return True while orders of unknown fills are queried. The last answer leads to the page's query again."""
    return step.account.requests.find(Purpose.QUERY_ORDER, instrument=instrument, client_order_id="") is not None


def query_missing_fills(step: StepContext, factories: Factories, instruments: Instruments) -> None:
    """Query fills that the venue counts and that are not recorded, one query per instrument at a time.

    The list of fills may lag behind the orders (Binance Spot API, account endpoints).
    """
    account = step.account
    if not account.orders.missing_fills:
        return
    rounds = account.reconciling
    orders = [
        order
        for name in account.orders.missing_fills
        if (order := account.orders.get(name)) is not None
        and not _queried_by_order(step, factories, instruments, order)
    ]
    for name in sorted({order.order.instrument for order in orders}):
        factory = factories[instruments[name].venue]
        number = _running_round(step, instruments[name])
        interval_ns = factory.settings.order_query_interval_ns
        waited_ns = step.time_ns - rounds.fills_queried_ns.get(name, -interval_ns)
        may_query = factory.may_query(step)
        is_pending = step.account.requests.find(Purpose.FILLS, instrument=name) is not None
        if may_query and not is_pending and waited_ns >= interval_ns:
            after = rounds.confirmed_cursor(name)
            factory.fills(
                step,
                instrument=instruments[name],
                after=step.fill_cursor(instruments[name].venue).start if after is None else after,
                reconcile_round=number,
            )


def _queried_by_order(step: StepContext, factories: Factories, instruments: Instruments, order: Order) -> bool:
    """Return True if the fills of this order are queried by its own id, now or in a while."""
    instrument = instruments[order.order.instrument]
    factory, number = factories[instrument.venue], _running_round(step, instrument)
    return factory.may_query(step) and query_by_order(step, factory, instrument, order, number)


def _running_round(step: StepContext, instrument: Instrument) -> int:
    """Return the number of the running round that reconciles an instrument; 0 without one."""
    rounds = step.account.reconciling.for_account(step.account_of(instrument.venue))
    return rounds.round if rounds.running else 0
