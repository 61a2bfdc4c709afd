"""How a session comes to an end, and what it says of its P&L meanwhile. Cancels, waits, reconciles a last time, closes."""

from engine.execution import reconciliation
from engine.facts import CloseReason, Pnl, SessionClosing
from engine.lifecycle import Status
from engine.session_context import SessionContext
from engine.state.positions import unrealised
from engine.step_context import StepContext
from engine.strategy.runner import cancel_rules


def emit_pnl(program: SessionContext, turn: StepContext) -> None:
    """P&L as it stands: realised and unrealised apart, marked at the mid."""
    for key in sorted(turn.account.positions.by_key):
        held = turn.account.positions.by_key[key]
        index = program.indexes.get(held.instrument)
        quote = None if index is None else turn.market.quote(index)
        if quote is None:
            continue
        mark = (quote.bid + quote.ask) / 2
        turn.fact(
            Pnl(
                held.strategy,
                held.instrument,
                held.quantity,
                mark,
                held.realised_pnl,
                unrealised(held, mark, program.instruments[held.instrument]),
                held.fees_quote,
            )
        )


def cancel_all(program: SessionContext, turn: StepContext, *, ordered: bool = False) -> int:
    """Cancels every live order of ours that can be cancelled now; returns how many live ones there are.

    `ordered` by a person: at once, whatever was asked a moment ago, and what cannot be cancelled now is named.
    """
    mine = [order for order in turn.account.orders.live_by_age() if not order.adopted]
    for order in mine:
        instrument = program.instruments[order.order.instrument]
        rules = cancel_rules(turn, order.strategy, order.client_order_id, venue=instrument.venue)
        if ordered:
            rules["again"] = ""
        if order.status is Status.UNKNOWN:
            rules["live"] = "it is unknown: it is being asked about"
        objections = "; ".join(answer for answer in rules.values() if answer)
        if not objections:
            program.asking[instrument.venue].cancel(turn, client_order_id=order.client_order_id, instrument=instrument)
        elif ordered:
            text = f"order {order.client_order_id} is not cancelled now: {objections}"
            turn.note("warning", text, key=order.client_order_id)
    return len(mine)


def advance_shutdown(program: SessionContext, turn: StepContext) -> None:
    """An ordered stop: cancel (if so configured), wait for every answer that changes something, reconcile, close."""
    modes = turn.account.modes
    if not modes.stopping_since_ns or modes.closing:
        return
    live = cancel_all(program, turn) if program.settings.cancel_on_stop else 0
    waiting = any(awaited.request.mutates for awaited in turn.account.requests.by_seq.values())
    if live or waiting or _last_round_due(program, turn):
        return
    emit_pnl(program, turn)
    turn.fact(SessionClosing(CloseReason.STOPPED))


def _last_round_due(program: SessionContext, turn: StepContext) -> bool:
    """Whether orders ended since the last reconciliation began: what they left in the balances is asked for once more."""
    reconciling = turn.account.reconciling
    ended_seq = max((order.updated_seq for order in turn.account.orders.closed.values()), default=-1)
    if reconciling.done_started_seq > ended_seq or reconciling.failures or not reconciliation.may_ask(turn):
        return False
    if not reconciling.running:
        reconciliation.begin(turn, program.asking, program.instruments)
    return True
