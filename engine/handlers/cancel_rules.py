"""The rules of a cancel, and the cancel of one of our orders. It lowers exposure: only a pointless one is refused."""

from collections.abc import Iterable
from typing import Final

from engine.handlers.spent_budgets import budget_rules
from engine.lifecycle import LIVE, Status
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.linked_orders import siblings
from engine.state.order_budgets import BudgetKind
from engine.state.orders import Order
from engine.step_context import StepContext

PROBE_WAIT_NS_MAX: Final = 30 * SECOND_NS


def cancel_rules(step: StepContext, strategy: str, order_id: str, *, venue: str) -> dict[str, str]:
    """Return each rule with its reason against the cancel, or "" if it has none."""
    order = step.account.orders.get(order_id)
    attempts = step.account.cancels
    wait_ns = attempts.wait_ns(order_id, step.safeguards)
    is_repeated = order is not None and order.cancel_ns and step.time_ns - order.cancel_ns < wait_ns
    refused = attempts.refused.get(order_id, 0)
    budget = step.account.limits.get(venue)
    return {
        "known": "" if order is not None and order.strategy == strategy else "not an order of this strategy",
        "live": "" if order is not None and order.status in LIVE else "the order is closed",
        "one_at_a_time": _under_way(step, order_id, order),
        "again": _again(refused, wait_ns) if is_repeated else "",
        "rate": f"{venue} asked us to wait: {budget.reason}" if step.time_ns < budget.blocked_until_ns else "",
    }


def _under_way(step: StepContext, order_id: str, order: Order | None) -> str:
    """Return which request on its way makes the cancel needless, or "". The cancel of an order ends its whole list."""
    if step.account.requests.for_order(order_id) is not None:
        return "another request for this order is on its way"
    linked = [] if order is None or not order.list_id else siblings(step.account.orders, order)
    return "the cancel of its list is on its way" if any(other.cancel_seq for other in linked) else ""


def cancel_if_permitted(
    session: SessionContext,
    step: StepContext,
    order: Order,
    *,
    repeats: bool = False,
    unknown: str = "",
    is_budgeted: bool = False,
) -> str:
    """Cancel one of our live orders, of an instrument of the session, unless a rule of cancels objects.

    Args:
        session: The session.
        step: The current step.
        order: The order.
        repeats: Cancel also what was cancelled a moment ago.
        unknown: The reason against an UNKNOWN order; "": the venue gets its cancel.
        is_budgeted: Keep the budgets of cancels per minute. Cancels for safety do not.

    Returns:
        The objections, or "" if the cancel was emitted.

    """
    instrument = session.instruments[order.order.instrument]
    if reasons := cancel_reasons(session, step, order, repeats=repeats, unknown=unknown):
        return reasons
    if is_budgeted:
        answers = budget_rules(session, step, BudgetKind.CANCEL, strategy=order.strategy, instrument=instrument)
        if reasons := "; ".join(answer.reason for answer in answers.values() if answer.reason):
            return reasons
    session.factories[instrument.venue].cancel(step, client_order_id=order.client_order_id, instrument=instrument)
    return ""


def cancel_reasons(
    session: SessionContext, step: StepContext, order: Order, *, repeats: bool = False, unknown: str = ""
) -> str:
    """Return why one of our orders is not cancelled now, or "": see `cancel_if_permitted`."""
    venue = session.instruments[order.order.instrument].venue
    rules = cancel_rules(step, order.strategy, order.client_order_id, venue=venue)
    if repeats:
        rules["again"] = ""
    if venue not in session.accounts.known:
        rules["account"] = f"the session has no account at {venue}"
    if unknown and order.status is Status.UNKNOWN:
        rules["live"] = unknown
    return "; ".join(reason for reason in rules.values() if reason)


def repeats_cancel(step: StepContext, order_id: str) -> bool:
    """Return True for a cancel that needs no record: one is under way, or the venue refused it a moment ago.

    False in sessions without bounds on cancels, which recorded each.
    """
    order = step.account.orders.get(order_id)
    if order is None or order.status not in LIVE or not step.safeguards.cancel_backoff_max_ns:
        return False
    wait_ns = step.account.cancels.wait_ns(order_id, step.safeguards)
    return bool(order.cancel_ns) and step.time_ns - order.cancel_ns < wait_ns


def waits_for_access(step: StepContext, venue: str, orders: Iterable[Order]) -> bool:
    """Return True if a venue that refuses access gets no further cancel now.

    It gets one at a time, as a probe. The wait after each is as long as the refusals lasted by then: 1 s to 30 s.

    Args:
        step: The current step.
        venue: The venue.
        orders: The orders to cancel there.

    """
    if step.account.access.by_venue.get(venue) is None:
        return False
    if any(step.account.requests.for_order(order.client_order_id) is not None for order in orders):
        return True
    return not is_probe_due(step, venue, max((order.cancel_ns for order in orders), default=0))


def is_probe_due(step: StepContext, venue: str, last_ns: int) -> bool:
    """Return True if a venue that refuses access gets the next request, after one at `last_ns`; True if it does not."""
    refusal = step.account.access.by_venue.get(venue)
    if refusal is None:
        return True
    wait_ns = min(max(last_ns - refusal.since_ns, SECOND_NS), PROBE_WAIT_NS_MAX)
    return step.time_ns >= max(last_ns, refusal.since_ns) + wait_ns


def _again(refused: int, wait_ns: int) -> str:
    if not refused:
        return "its cancel was asked for within this second"
    return f"its cancel was refused {refused} times, so the next one waits {wait_ns // SECOND_NS} s"
