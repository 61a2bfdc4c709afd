"""Reconciliation: query open orders, balances and fills, compare the answers with the account, correct by facts.

The venue is right in the end, and every correction is a record with its cause. An answer is older than any record
after its query: a newer fill or balance wins (scenario S15). The same answer twice changes nothing (S12). Texts of
notes and reasons are recorded, so they keep their words.
"""

from engine.bodies import NoteLevel
from engine.events import AccountReport, BalanceReport, Fill, FillsReport, OpenOrdersReport
from engine.execution import doubts, ledger_check
from engine.execution.books_check import compare_books
from engine.execution.doubts import ENDED
from engine.execution.order_fills import query_by_order, record_of_order
from engine.execution.order_reports import IsOwn, apply_report, cursor_of, halt_for_lost, is_lost_order, record_fill
from engine.execution.position_reports import adopt_openings
from engine.execution.request_factory import RequestFactory
from engine.facts import BalanceChanged, FillsConfirmed, Reconciled, ReconcileFailed
from engine.lifecycle import Status
from engine.mode_reasons import ModeReason, ReasonCode
from engine.model import Instrument
from engine.money import ZERO
from engine.requests import LinkPhase, LinkRole, Purpose
from engine.state.fill_cursor import recorded_cursor
from engine.state.orders import Order
from engine.state.pending_requests import PendingRequest
from engine.state.timers import RECONCILE
from engine.step_context import StepContext

ORPHANS_MAX = 20  # orders of unknown fills that are queried at a time

Instruments = dict[str, Instrument]
Factories = dict[str, RequestFactory]


def may_query(step: StepContext, factories: Factories) -> bool:
    """Return True if there is an account, its links are ready, no venue is blocked, and the session is not closing.

    Before order_rules 1, the links of the market had to be ready too.
    """
    account = step.account
    links = account.links
    is_free = all(factory.may_query(step) for factory in factories.values())
    is_ready = links.account_ready() if step.settings.order_rules else links.all_ready()
    return links.has_account and is_ready and is_free and not account.modes.closing


def hindrance(step: StepContext, factories: Factories) -> str:
    """Return why no round can start now, or ""."""
    account = step.account
    if account.reconciling.running:
        return f"round {account.reconciling.round} runs already"
    if may_query(step, factories):
        return ""
    if not account.links.has_account:
        return "the session has no account"
    if account.modes.closing:
        return "the session is closing"
    down = [
        f"{source} is {link.state}"
        for source, link in sorted(account.links.by_source.items())
        if link.role is LinkRole.PRIVATE and link.state is not LinkPhase.READY
    ]
    if down:
        return "; ".join(down)
    waiting = sorted(name for name, factory in factories.items() if not factory.may_query(step))
    return f"{', '.join(waiting)}: a refusal, a block or a spent budget forbids queries"


def request(step: StepContext, factories: Factories, instruments: Instruments) -> None:
    """Start a round at once, unless one runs or the venues cannot be queried now."""
    if not step.account.reconciling.running and may_query(step, factories):
        _start(step, factories, instruments)


def advance(step: StepContext, factories: Factories, instruments: Instruments) -> bool:
    """End the round whose answers are all in; start one if knowledge is not to be trusted or the timer fired.

    Returns:
        True if a round must start as soon as the venues can be queried.

    """
    rounds = step.account.reconciling
    if rounds.running:
        if any(pending.request.round == rounds.round for pending in step.account.requests.by_seq.values()):
            return False
        corrections = len(step.account.orders.missing_fills)  # orders whose fills are missing: 0 in health
        adopt_openings(step)
        unsettled = ledger_check.compare(step, corrections=corrections)
        compare_books(step, reconcile_round=rounds.round, is_settled=not corrections and not unsettled)
        changed = (rounds.changed_orders, rounds.changed_fills, rounds.changed_balances)
        step.emit(Reconciled(rounds.round, corrections, *changed, unsettled=unsettled), source="reconcile")
        if any(changed):
            names = zip(changed, ("orders", "fills", "balances"), strict=True)
            text = ", ".join(f"{name} {count}" for count, name in names if count)
            step.note(NoteLevel.INFO, f"reconciliation {rounds.round} changed: {text}")
        rounds = step.account.reconciling
        has_ended = True
    else:
        has_ended = False
    is_stale = rounds.done_started_seq <= step.account.modes.stale_since_seq and rounds.failures == 0
    is_fired = RECONCILE not in step.account.timers.due_ns  # perhaps when nothing could be queried
    if not is_stale and not is_fired:
        return False
    if has_ended or not may_query(step, factories):
        return True
    _start(step, factories, instruments)
    return False


def _start(step: StepContext, factories: Factories, instruments: Instruments) -> None:
    """Start a round: send all its queries at once, each with the round's number."""
    number = step.account.reconciling.round + 1
    for factory in factories.values():
        factory.open_orders(step, reconcile_round=number)
        factory.balances(step, reconcile_round=number)
        if factory.contracts.has_positions:
            factory.contracts.positions(step, reconcile_round=number)
        query_fundings(step, factory, instruments, reconcile_round=number)
    for instrument in instruments.values():
        after = _overlapping(step, instrument, step.account.reconciling.confirmed_cursor(instrument.id))
        factories[instrument.venue].fills(step, instrument=instrument, after=after, reconcile_round=number)
    for order in step.account.orders.live_by_age():
        if order.status is Status.UNKNOWN:
            instrument = instruments[order.order.instrument]
            _query(step, factories[instrument.venue], instrument, order, number)


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
    rounds = step.account.reconciling
    if pending.request.round and pending.request.round == rounds.round and rounds.running:
        step.emit(ReconcileFailed(rounds.round, f"{pending.request.purpose}: {reason}"), source="reconcile")


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
        if order.updated_seq < pending.seq:
            _query(step, factory, instruments[order.order.instrument], order, pending.request.round)


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


def apply_balance(step: StepContext, report: BalanceReport) -> None:
    """Apply a streamed balance unless its venue timestamp is older than ours."""
    known = step.account.balances.by_asset.get(report.asset)
    if known is not None and 0 < report.venue_ns < known.venue_ns:
        return
    if known is None or (known.free, known.locked) != (report.free, report.locked):
        step.emit(BalanceChanged(report.asset, report.free, report.locked, venue_ns=report.venue_ns))


def apply_balances(step: StepContext, pending: PendingRequest, report: AccountReport, assets: frozenset[str]) -> None:
    """Apply all balances of a query. One that changed after the query stays; an asset that is not listed is 0."""
    listed = {theirs.asset: theirs for theirs in report.balances}
    # an order that was reported before the query is contained in the answer: risk need not count its lock again
    contained = max(
        (o.updated_seq for o in step.account.orders.live.values() if o.updated_seq < pending.seq), default=-1
    )
    for asset in sorted(assets | set(step.account.balances.by_asset)):
        known = step.account.balances.by_asset.get(asset)
        if known is not None and known.seq > pending.seq:
            continue
        if known is not None and step.settings.order_rules and 0 < report.venue_ns < known.venue_ns:
            continue  # the answer is of a state before the one we know
        theirs = listed.get(asset) or BalanceReport(asset, ZERO, ZERO, report.venue_ns)
        is_same = known is not None and (known.free, known.locked) == (theirs.free, theirs.locked)
        contained_here = max(contained, _flow_before(step, asset, pending.seq))
        if not is_same or known is None or known.seq < max(contained_here, 0):
            step.emit(BalanceChanged(asset, theirs.free, theirs.locked, pending.seq, theirs.venue_ns))


def _flow_before(step: StepContext, asset: str, seq: int) -> int:
    """Return the seq of the newest flow that the ledger compares with this answer; -1 without one."""
    ours = step.account.ledger.by_asset.get(asset)
    return ours.changed_seq if ours is not None and ours.changed_seq < seq else -1


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
    orphans: dict[str, str] = {}  # venue order id -> the cursor of its first fill here
    recorded: list[Fill] = []
    newest = cursors.start if confirmed is None else confirmed
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
    number = rounds.round if rounds.running else 0
    orders = [
        order
        for name in account.orders.missing_fills
        if (order := account.orders.get(name)) is not None
        and not _queried_by_order(step, factories, instruments, order, number)
    ]
    for name in sorted({order.order.instrument for order in orders}):
        factory = factories[instruments[name].venue]
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


def _queried_by_order(
    step: StepContext, factories: Factories, instruments: Instruments, order: Order, number: int
) -> bool:
    """Return True if the fills of this order are queried by its own id, now or in a while."""
    instrument = instruments[order.order.instrument]
    factory = factories[instrument.venue]
    return factory.may_query(step) and query_by_order(step, factory, instrument, order, number)
