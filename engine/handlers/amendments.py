"""Amendments of open orders: the rules of an intent, and the answer of the venue.

An amendment only reduces, so none of the rules of new orders limits it. The order's new terms come from the venue's
reports (execution/order_reports.follow_terms), like those of an amendment by another program.
"""

from decimal import Decimal

from msgspec.structs import replace

from engine.bodies import IntentBody, IntentKind, NoteLevel, VerdictBody
from engine.events import Answer, Outcome
from engine.facts import NewOrder
from engine.handlers.order_queries import query_order
from engine.handlers.spent_budgets import budget_rules
from engine.lifecycle import Status
from engine.model import Instrument
from engine.money import on_grid
from engine.session_context import SessionContext
from engine.state.order_budgets import BudgetKind
from engine.state.orders import Order
from engine.state.pending_requests import PendingRequest
from engine.step_context import StepContext
from engine.strategy.api import Amend

AMENDABLE = (Status.OPEN, Status.TRIGGERED, Status.PARTIALLY_FILLED)
PROVES_NOTHING = (Outcome.UNKNOWN, Outcome.NOT_FOUND)


def review_amendment(
    session: SessionContext, step: StepContext, strategy: str, intent: Amend
) -> tuple[Instrument, NewOrder, int] | None:
    """Emit an intent to amend and its verdict.

    Returns:
        The instrument, the order with the new quantity and the seq of the verdict; None if a rule objects.

    """
    name = intent.client_order_id
    order = step.account.orders.get(name)
    amended = None if order is None else replace(order.order, quantity=intent.quantity)
    body = IntentBody(
        IntentKind.AMEND,
        strategy,
        session.strategies[strategy].settings.version,
        order=amended,
        amends=name,
        rationale=dict(intent.rationale),
    )
    seq = step.emit(body, source=f"strategy.{strategy}", key=name)
    if order is None or amended is None or order.strategy != strategy:
        step.emit(VerdictBody(False, {"known": "not an order of this strategy"}), source="risk", key=name, cause=seq)
        return None
    instrument = session.instruments[order.order.instrument]
    answers = budget_rules(session, step, BudgetKind.REPLACEMENT, strategy=strategy, instrument=instrument)
    budgets = {name: answer.reason for name, answer in answers.items()}
    rules = _rules(session, step, order, intent.quantity, instrument) | budgets
    is_approved = not any(rules.values())
    verdict = VerdictBody(is_approved, rules, figures={answer.limit: answer.figure for answer in answers.values()})
    if not is_approved and session.names_refused:
        verdict = replace(verdict, strategy=strategy, instrument=instrument.id)
    seq = step.emit(verdict, source="risk", key=name, cause=seq)
    return (instrument, amended, seq) if is_approved else None


def _rules(
    session: SessionContext, step: StepContext, order: Order, quantity: Decimal, instrument: Instrument
) -> dict[str, str]:
    """Return each rule with its reason against the amendment, or "" if it has none."""
    instrument = step.account.instruments.current(instrument)
    is_supported = session.venues[instrument.venue].capabilities.amend
    budget = step.account.limits.get(instrument.venue)
    price = order.order.terms.price
    notional = None if price is None else price * quantity
    return {
        "amend": "" if is_supported else f"{instrument.venue} amends no orders in place",
        "live": "" if order.status in AMENDABLE else f"the order is {order.status}, not open",
        "lot": ""
        if quantity > 0 and on_grid(quantity, instrument.lot_size)
        else f"quantity {quantity} is not a multiple of the lot {instrument.lot_size}",
        "notional_min": ""
        if notional is None or notional >= instrument.notional_min
        else f"notional {notional} is below {instrument.notional_min}",
        "one_at_a_time": ""
        if step.account.requests.for_order(order.client_order_id) is None
        else "another request for this order is on its way",
        "rate": f"{instrument.venue} demands a wait: {budget.reason}" if step.time_ns < budget.blocked_until_ns else "",
        "smaller": _size_reason(order, quantity),
    }


def _size_reason(order: Order, quantity: Decimal) -> str:
    if quantity >= order.order.quantity:
        return f"quantity {quantity} is not below {order.order.quantity}: place another order for more"
    if quantity <= order.filled_quantity:
        return f"{order.filled_quantity} is filled already: cancel the order instead"
    return ""


def handle_amend_answer(session: SessionContext, step: StepContext, pending: PendingRequest, answer: Answer) -> None:
    """Note a refusal, and query the order if the answer does not prove what became of it."""
    name = pending.request.client_order_id
    if answer.outcome is Outcome.DONE or step.account.orders.live.get(name) is None:
        return
    text = f"order {name} is not amended: {answer.outcome} {answer.coded_text}".rstrip()
    step.note(NoteLevel.WARNING, text, key=name)
    if answer.outcome in PROVES_NOTHING:
        query_order(session, step, name, if_unknown=False)
