"""Reconciliation: ask the venue for open orders, balances and fills, compare with what was known when we asked, correct by facts.

The venue's word is final; every correction is a record with its cause. An answer is older than what reached us since its
question: a newer fill or balance wins (scenario S15). The same answer twice changes nothing (S12).
"""

from engine.bodies import NoteLevel
from engine.events import AccountReport, BalanceReport, Fill, FillsReport, OpenOrdersReport
from engine.execution.order_reports import apply_report, book, bookable, halt_for_lost, is_lost_order
from engine.execution.request_factory import RequestFactory
from engine.facts import BalanceChanged, FillsConfirmed, ModeChanged, Reconciled, ReconcileFailed
from engine.lifecycle import Status
from engine.mode_reasons import Mode
from engine.model import Instrument
from engine.money import ZERO
from engine.requests import Purpose
from engine.state.orders import Order
from engine.state.pending_requests import PendingRequest
from engine.state.session_state import Account
from engine.step_context import StepContext
from engine.timer_names import TimerKind

ENDED = (Status.CANCELED, Status.EXPIRED, Status.FILLED)
ORPHANS_MAX = 20  # orders behind unknown fills that are asked about at a time

Instruments = dict[str, Instrument]
Askings = dict[str, RequestFactory]


def may_ask(step: StepContext) -> bool:
    """An account to ask about, every link ready, no venue that asked us to wait or whose budget is spent, and the session not closing."""
    account = step.account
    free = all(budget.lets_ask(step.time_ns) for budget in account.limits.by_venue.values())
    return account.links.has_account and account.links.all_ready() and free and not account.modes.closing


def request(step: StepContext, askings: Askings, instruments: Instruments) -> None:
    """Start a round at once, unless one runs or the venues cannot be queried now."""
    if not step.account.reconciling.running and may_ask(step):
        begin(step, askings, instruments)


def begin(step: StepContext, askings: Askings, instruments: Instruments) -> None:
    """A new round: every question of every venue at once, each tied to the round by its number."""
    number = step.account.reconciling.round + 1
    for asking in askings.values():
        asking.open_orders(step, reconcile_round=number)
        asking.balances(step, reconcile_round=number)
    for instrument in instruments.values():
        after_id = step.account.reconciling.fills_confirmed.get(instrument.id)
        askings[instrument.venue].fills(step, instrument=instrument, after_id=after_id, reconcile_round=number)
    for order in step.account.orders.live_by_age():
        if order.status is Status.UNKNOWN:
            instrument = instruments[order.order.instrument]
            _ask(step, askings[instrument.venue], instrument, order, number)


def advance(step: StepContext, askings: Askings, instruments: Instruments) -> None:
    """Ends the round whose answers are all in; begins one where what we know is not to be trusted."""
    reconciling = step.account.reconciling
    if reconciling.running:
        waiting = any(awaited.request.round == reconciling.round for awaited in step.account.requests.by_seq.values())
        if not waiting:
            step.emit(Reconciled(reconciling.round, _corrections(step)), source="reconcile")
        return
    if is_due(step.account) and may_ask(step):
        begin(step, askings, instruments)


def is_due(account: Account) -> bool:
    """Whether a round must begin as soon as the venues can be asked."""
    reconciling = account.reconciling
    distrusted = reconciling.done_started_seq <= account.modes.distrust_seq and reconciling.failures == 0
    fired = not account.timers.is_set(TimerKind.RECONCILE)  # its time came, perhaps while nothing could be asked
    return not reconciling.running and (distrusted or fired)


def _corrections(step: StepContext) -> int:
    """How many orders still owe fills: 0 in health."""
    return len(step.account.orders.owing)


def fail(step: StepContext, awaited: PendingRequest, reason: str) -> None:
    """A question of the running round was not answered: the round proves nothing. It is asked again after a while."""
    reconciling = step.account.reconciling
    if awaited.request.round and awaited.request.round == reconciling.round and reconciling.running:
        step.emit(ReconcileFailed(reconciling.round, f"{awaited.request.purpose}: {reason}"), source="reconcile")


def open_orders(
    step: StepContext,
    asking: RequestFactory,
    instruments: Instruments,
    awaited: PendingRequest,
    found: OpenOrdersReport,
    *,
    own: tuple[str, ...],
) -> None:
    """What the venue has open against what we hold open. `own`: the sessions whose marks an order of ours bears."""
    named = set()
    for theirs in found.orders:
        known = step.account.orders.find(theirs.instrument, theirs.client_order_id, theirs.venue_order_id)
        if theirs.instrument in instruments and is_lost_order(step, theirs, own):
            halt_for_lost(step, theirs)
        if known is not None and known.updated_seq > awaited.seq:
            named.add(known.client_order_id)
            continue  # we heard of it since we asked
        if known is not None and known.status in ENDED:
            _contradicted(step, known, awaited, grace_ns=asking.settings.venue_timeout_ns)
        settled = apply_report(step, theirs, instruments)
        if settled is not None:
            named.add(settled.client_order_id)
    for order in step.account.orders.live_by_age():
        if order.client_order_id in named or order.status in (Status.PENDING, Status.UNKNOWN):
            continue
        if order.updated_seq < awaited.seq:
            _ask(step, asking, instruments[order.order.instrument], order, awaited.request.round)


def _ask(step: StepContext, asking: RequestFactory, instrument: Instrument, order: Order, number: int) -> None:
    if order.ask_seq == 0:
        # others may use a client id again: their orders are asked about by the venue's
        by_venue_id = order.venue_order_id if order.adopted else ""
        asking.query_order(
            step,
            instrument=instrument,
            client_order_id=order.client_order_id,
            venue_order_id=by_venue_id,
            reconcile_round=number,
        )


def _contradicted(step: StepContext, known: Order, awaited: PendingRequest, *, grace_ns: int) -> None:
    """The venue lists as open what we hold for ended. Soon after the end that is its own delay; later, somebody is wrong."""
    if awaited.time_ns - known.updated_ns <= grace_ns:
        return
    text = f"order {known.client_order_id} is {known.status} here, and open at the venue"
    if known.adopted:
        step.note(NoteLevel.ALARM, text, key=known.client_order_id)
    else:
        step.emit(ModeChanged(Mode.HALTED, (text,)), key=known.client_order_id)


def balance(step: StepContext, found: BalanceReport) -> None:
    """A balance from the stream: newest word, taken as it stands, unless the venue itself dates it before what we know."""
    held = step.account.balances.by_asset.get(found.asset)
    if held is not None and 0 < found.venue_ns < held.venue_ns:
        return  # it was on its way while we asked
    if held is None or (held.free, held.locked) != (found.free, found.locked):
        step.emit(BalanceChanged(found.asset, found.free, found.locked, venue_ns=found.venue_ns))


def balances(step: StepContext, awaited: PendingRequest, found: AccountReport, wanted: frozenset[str]) -> None:
    """All balances from a query. One heard of since we asked is newer and stays. Assets not named hold nothing."""
    named = {theirs.asset: theirs for theirs in found.balances}
    # what locks funds and was reported before we asked is contained in this answer: risk need not count it twice
    contained = max(
        (o.updated_seq for o in step.account.orders.live.values() if o.updated_seq < awaited.seq), default=-1
    )
    for asset in sorted(wanted | set(step.account.balances.by_asset)):
        held = step.account.balances.by_asset.get(asset)
        if held is not None and held.seq > awaited.seq:
            continue
        theirs = named.get(asset) or BalanceReport(asset, ZERO, ZERO, found.venue_ns)
        same = held is not None and (held.free, held.locked) == (theirs.free, theirs.locked)
        if not same or held is None or held.seq < max(contained, 0):
            step.emit(BalanceChanged(asset, theirs.free, theirs.locked, awaited.seq, theirs.venue_ns))


def fills(
    step: StepContext, asking: RequestFactory, instruments: Instruments, awaited: PendingRequest, found: FillsReport
) -> list[Fill]:
    """A page of the trade list. Fills of orders nobody knows are asked about by the venue's order id. Returns those booked."""
    instrument = instruments[awaited.request.instrument]
    confirmed = step.account.reconciling.fills_confirmed.get(instrument.id)
    first_look = confirmed is None
    orphans: dict[str, int] = {}  # venue order id -> its first fill here
    fresh: list[Fill] = []
    newest = -1 if confirmed is None else confirmed
    for fill in found.fills:
        if not bookable(step, fill):
            continue
        booked = book(step, fill, instruments, first_look=first_look)
        if booked:
            fresh.append(fill)
        known = booked or step.account.orders.find(fill.instrument, fill.client_order_id, fill.venue_order_id)
        if not known and confirmed is not None and int(fill.fill_id) > confirmed:
            orphans.setdefault(fill.venue_order_id, int(fill.fill_id))
        newest = max(newest, int(fill.fill_id))
    if orphans:
        newest = min(orphans.values()) - 1  # from there we ask again, once they are known
    if confirmed is None or newest > confirmed:
        step.emit(FillsConfirmed(instrument.id, newest), source="reconcile")
    if not orphans and (found.whole or first_look):
        return fresh
    if not step.account.limits.of(instrument.venue).lets_ask(step.time_ns):
        fail(step, awaited, "the request budget is spent before all fills are in")
    elif not orphans:
        asking.fills(step, instrument=instrument, after_id=newest, reconcile_round=awaited.request.round)
    elif not orphans_asked(step, instrument.id):
        for venue_order_id in sorted(orphans, key=lambda each: orphans[each])[:ORPHANS_MAX]:
            asking.query_order(
                step, instrument=instrument, venue_order_id=venue_order_id, reconcile_round=awaited.request.round
            )
    return fresh


def orphans_asked(step: StepContext, instrument: str) -> bool:
    """Whether orders behind unknown fills are being asked about: the last answer asks for the page again."""
    return step.account.requests.of(Purpose.QUERY_ORDER, instrument=instrument, client_order_id="") is not None


def request_missing_fills(step: StepContext, askings: Askings, instruments: Instruments) -> None:
    """Fetches fills that the venue says exist and we have not booked: one question per instrument at a time, and not again at
    once. The list of fills may lag behind the orders (binance_spot.md section 10).
    """
    if not step.account.orders.owing:
        return
    reconciling = step.account.reconciling
    orders = (step.account.orders.get(name) for name in step.account.orders.owing)
    for name in sorted({order.order.instrument for order in orders if order is not None}):
        asking = askings[instruments[name].venue]
        rested_ns = step.time_ns - reconciling.fills_asked_ns.get(name, -asking.settings.ask_every_ns)
        free = step.account.limits.of(instruments[name].venue).lets_ask(step.time_ns)
        asked = step.account.requests.of(Purpose.FILLS, instrument=name) is not None
        if free and not asked and rested_ns >= asking.settings.ask_every_ns:
            after_id = reconciling.fills_confirmed.get(name)
            asking.fills(
                step,
                instrument=instruments[name],
                after_id=-1 if after_id is None else after_id,
                reconcile_round=reconciling.round if reconciling.running else 0,
            )
