"""Reconciliation: ask the venue for open orders, balances and fills, compare with what was known when we asked, correct by facts.

The venue's word is final; every correction is a record with its cause. An answer is older than what reached us since its
question: a newer fill or balance wins (scenario S15). The same answer twice changes nothing (S12).
"""

from engine.asking import Asking
from engine.events import AccountReport, BalanceReport, Fill, FillsReport, OpenOrdersReport
from engine.facts import BalanceChanged, FillsConfirmed, ModeChanged, Reconciled, ReconcileFailed
from engine.lifecycle import Status
from engine.model import Instrument
from engine.money import ZERO
from engine.reducers.modes import Mode
from engine.reducers.orders import Order
from engine.reducers.requests import Awaited
from engine.settle import book, report
from engine.turn import Turn

Instruments = dict[str, Instrument]
Askings = dict[str, Asking]


def may_ask(turn: Turn) -> bool:
    """Every link ready, no venue that asked us to wait, and the session not closing."""
    account = turn.account
    blocked = any(turn.time_ns < budget.blocked_until_ns for budget in account.limits.by_venue.values())
    return bool(account.links.by_source) and account.links.all_ready() and not blocked and not account.modes.closing


def begin(turn: Turn, askings: Askings, instruments: Instruments) -> None:
    """A new round: every question of every venue at once, each tied to the round by its number."""
    number = turn.account.reconciling.round + 1
    for asking in askings.values():
        asking.open_orders(turn, reconcile_round=number)
        asking.balances(turn, reconcile_round=number)
    for instrument in instruments.values():
        after_id = turn.account.reconciling.fills_confirmed.get(instrument.id)
        askings[instrument.venue].fills(turn, instrument=instrument, after_id=after_id, reconcile_round=number)
    for order in turn.account.orders.live.values():
        if order.status is Status.UNKNOWN:
            instrument = instruments[order.order.instrument]
            _ask(turn, askings[instrument.venue], instrument, order, number)


def advance(turn: Turn, askings: Askings, instruments: Instruments) -> None:
    """Ends the round whose answers are all in; begins one where what we know is not to be trusted."""
    reconciling = turn.account.reconciling
    if reconciling.running:
        waiting = any(awaited.request.round == reconciling.round for awaited in turn.account.requests.by_seq.values())
        if not waiting:
            turn.fact(Reconciled(reconciling.round, _corrections(turn)), source="reconcile")
        return
    due = reconciling.done_started_seq <= turn.account.modes.distrust_seq and reconciling.failures == 0
    if due and may_ask(turn):
        begin(turn, askings, instruments)


def _corrections(turn: Turn) -> int:
    """How many orders still owe fills: 0 in health."""
    return len(turn.account.orders.owing)


def fail(turn: Turn, awaited: Awaited, reason: str) -> None:
    """A question of the running round was not answered: the round proves nothing. It is asked again after a while."""
    reconciling = turn.account.reconciling
    if awaited.request.round and awaited.request.round == reconciling.round and reconciling.running:
        turn.fact(ReconcileFailed(reconciling.round, f"{awaited.request.purpose}: {reason}"), source="reconcile")


def open_orders(
    turn: Turn,
    asking: Asking,
    instruments: Instruments,
    awaited: Awaited,
    found: OpenOrdersReport,
    *,
    own: tuple[str, ...],
) -> None:
    """What the venue has open against what we hold open. `own`: the sessions whose marks an order of ours bears."""
    named = set()
    for theirs in found.orders:
        known = turn.account.orders.find(theirs.instrument, theirs.client_order_id, theirs.venue_order_id)
        if known is None and theirs.client_order_id.split("-")[0] in own:
            lost = f"order {theirs.client_order_id} is open at the venue, bears our mark, and is in no journal: records were lost"
            turn.fact(ModeChanged(Mode.HALTED, (lost,)))
        if known is not None and known.updated_seq > awaited.seq:
            named.add(known.client_order_id)
            continue  # we heard of it since we asked
        settled = report(turn, theirs, instruments)
        if settled is not None:
            named.add(settled.client_order_id)
    for order in turn.account.orders.live.values():
        if order.client_order_id in named or order.status in (Status.PENDING, Status.UNKNOWN):
            continue
        if order.updated_seq < awaited.seq:
            _ask(turn, asking, instruments[order.order.instrument], order, awaited.request.round)


def _ask(turn: Turn, asking: Asking, instrument: Instrument, order: Order, number: int) -> None:
    if order.ask_seq == 0:
        asking.query_order(turn, instrument=instrument, client_order_id=order.client_order_id, reconcile_round=number)


def balance(turn: Turn, found: BalanceReport) -> None:
    """A balance from the stream: newest word, taken as it stands."""
    held = turn.account.balances.by_asset.get(found.asset)
    if held is None or (held.free, held.locked) != (found.free, found.locked):
        turn.fact(BalanceChanged(found.asset, found.free, found.locked))


def balances(turn: Turn, awaited: Awaited, found: AccountReport, wanted: frozenset[str]) -> None:
    """All balances from a query. One heard of since we asked is newer and stays. Assets not named hold nothing."""
    named = {theirs.asset: theirs for theirs in found.balances}
    for asset in sorted(wanted | set(turn.account.balances.by_asset)):
        held = turn.account.balances.by_asset.get(asset)
        if held is not None and held.seq > awaited.seq:
            continue
        theirs = named.get(asset) or BalanceReport(asset, ZERO, ZERO)
        balance(turn, theirs)


def fills(turn: Turn, asking: Asking, instruments: Instruments, awaited: Awaited, found: FillsReport) -> None:
    """A page of the trade list. Fills of orders nobody knows are asked about by the venue's order id."""
    instrument = instruments[awaited.request.instrument]
    confirmed = turn.account.reconciling.fills_confirmed.get(instrument.id)
    first_look = confirmed is None
    orphans: dict[str, Fill] = {}
    for fill in found.fills:
        booked = book(turn, fill, instruments)
        known = turn.account.orders.find(fill.instrument, fill.client_order_id, fill.venue_order_id)
        if not booked and known is None and not first_look and int(fill.fill_id) > (confirmed or -1):
            orphans[fill.venue_order_id] = fill
    for venue_order_id in sorted(orphans):
        asking.query_order(
            turn, instrument=instrument, venue_order_id=venue_order_id, reconcile_round=awaited.request.round
        )
    newest = max((int(fill.fill_id) for fill in found.fills), default=confirmed if confirmed is not None else -1)
    if orphans:
        newest = min(int(fill.fill_id) for fill in orphans.values()) - 1  # from there we ask again, once they are known
    if confirmed is None or newest > confirmed:
        turn.fact(FillsConfirmed(instrument.id, newest), source="reconcile")
    if not found.whole and not orphans and not first_look:
        asking.fills(turn, instrument=instrument, after_id=newest, reconcile_round=awaited.request.round)


def owed(turn: Turn, askings: Askings, instruments: Instruments) -> None:
    """Fetches fills that the venue says exist and we have not booked; one question per instrument at a time."""
    if not turn.account.orders.owing:
        return
    orders = (turn.account.orders.get(name) for name in turn.account.orders.owing)
    for name in sorted({order.order.instrument for order in orders if order is not None}):
        if turn.account.requests.of("fills", instrument=name) is None:
            after_id = turn.account.reconciling.fills_confirmed.get(name)
            reconciling = turn.account.reconciling
            number = reconciling.round if reconciling.running else 0
            askings[instruments[name].venue].fills(
                turn,
                instrument=instruments[name],
                after_id=-1 if after_id is None else after_id,
                reconcile_round=number,
            )
