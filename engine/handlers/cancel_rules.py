"""The rules of a cancel. A cancel lowers exposure: only a pointless one is refused."""

from engine.lifecycle import LIVE
from engine.session_record import SECOND_NS
from engine.step_context import StepContext

CANCEL_INTERVAL_NS = SECOND_NS  # a cancel that did not end its order is not repeated sooner


def cancel_rules(step: StepContext, strategy: str, order_id: str, *, venue: str) -> dict[str, str]:
    """Return each rule with its reason against the cancel, or "" if it has none."""
    order = step.account.orders.get(order_id)
    is_repeated = order is not None and order.cancel_ns and step.time_ns - order.cancel_ns < CANCEL_INTERVAL_NS
    budget = step.account.limits.get(venue)
    return {
        "known": "" if order is not None and order.strategy == strategy else "not an order of this strategy",
        "live": "" if order is not None and order.status in LIVE else "the order is closed",
        "one_at_a_time": ""
        if step.account.requests.for_order(order_id) is None
        else "another request for this order is on its way",
        "again": "its cancel was asked for within this second" if is_repeated else "",
        "rate": f"{venue} asked us to wait: {budget.reason}" if step.time_ns < budget.blocked_until_ns else "",
    }
