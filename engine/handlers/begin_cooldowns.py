"""Begin cool-downs: after a fill that closed at a loss, a stop order that filled, or refusals in a row."""

from engine.bodies import NoteLevel, VerdictBody
from engine.facts import CooldownBegan, CooldownCause, OrderClosed, OrderFilled, Position
from engine.risk_settings import CooldownSettings
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.cooldowns import key_of
from engine.state.positions import Positions
from engine.step_context import OutputBody, StepContext
from journal.record import plain

SOURCE = "cooldown"


def begin_cooldowns(session: SessionContext, step: StepContext, before: Positions, since: int) -> None:
    """Emit the cool-downs that outputs of this step lead to.

    Args:
        session: The session.
        step: The step.
        before: The positions before these outputs.
        since: The index of the first of them.

    """
    settings = session.body.risk.cooldown
    bodies = [output.body for output in step.outputs[since:]]
    for body in bodies:
        if isinstance(body, Position) and settings.after_loss_ns:
            _after_loss(step, settings, before, body)
        elif isinstance(body, OrderFilled) and settings.after_stop_ns:
            _after_stop(step, settings, body)
        elif isinstance(body, OrderClosed | VerdictBody) and settings.after_refusals_ns:
            _after_refusals(step, settings, body)


def _after_loss(step: StepContext, settings: CooldownSettings, before: Positions, now: Position) -> None:
    held = before.get(now.strategy, now.instrument)
    if now.realised_pnl == held.realised_pnl:
        return  # it closed nothing
    loss = (held.realised_pnl - held.fees_quote) - (now.realised_pnl - now.fees_quote)
    if loss > settings.loss_min:
        reason = f"a loss of {plain(loss)}"
        _begin(step, (now.strategy, now.instrument), CooldownCause.LOSS, reason, settings.after_loss_ns)


def _after_stop(step: StepContext, settings: CooldownSettings, fill: OrderFilled) -> None:
    order = step.account.orders.known(fill.client_order_id)
    terms = order.order.terms
    if terms.trigger is not None and not terms.triggers_on_gain and not order.adopted:
        reason = f"stop order {fill.client_order_id} filled"
        _begin(step, (fill.strategy, fill.instrument), CooldownCause.STOP, reason, settings.after_stop_ns)


def _after_refusals(step: StepContext, settings: CooldownSettings, body: OutputBody) -> None:
    if isinstance(body, OrderClosed):
        order = step.account.orders.known(body.client_order_id)
        strategy, instrument = order.strategy, order.order.instrument
    else:
        assert isinstance(body, VerdictBody), body
        strategy, instrument = body.strategy, body.instrument
    count = step.account.cooldowns.refusals.get(key_of(strategy, instrument), 0)
    if count >= settings.refusals_max:
        reason = f"{count} refusals in a row"
        _begin(step, (strategy, instrument), CooldownCause.REFUSALS, reason, settings.after_refusals_ns)


def _begin(step: StepContext, whose: tuple[str, str], cause: CooldownCause, reason: str, wait_ns: int) -> None:
    strategy, instrument = whose
    until_ns = step.time_ns + wait_ns
    running = step.account.cooldowns.by_key.get(key_of(strategy, instrument))
    if running is not None and running.until_ns >= until_ns:
        return
    step.emit(CooldownBegan(strategy, instrument, cause, reason, until_ns), source=SOURCE)
    step.note(NoteLevel.WARNING, f"{strategy} opens no position in {instrument} for {wait_ns // SECOND_NS} s: {reason}")
