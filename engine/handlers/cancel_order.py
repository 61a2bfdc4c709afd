"""Cancel one live order of ours that the engine itself decided to cancel."""

from engine.handlers.cancel_rules import cancel_rules
from engine.session_context import SessionContext
from engine.state.orders import Order
from engine.step_context import StepContext


def cancel_order(session: SessionContext, step: StepContext, order: Order) -> None:
    """Emit the request that cancels an order. No-op while a rule of cancels objects: the caller tries again."""
    instrument = session.instruments[order.order.instrument]
    rules = cancel_rules(step, order.strategy, order.client_order_id, venue=instrument.venue)
    if not any(rules.values()):
        session.factories[instrument.venue].cancel(step, client_order_id=order.client_order_id, instrument=instrument)
