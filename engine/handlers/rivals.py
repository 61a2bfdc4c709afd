"""A rival: another engine of ours on the same account, perhaps on another host. Its orders bear the mark of a session.

The lock of an account (engine/live/account_lock.py) is seen on one host only. An order at the venue whose client id has
our form but names a session that is neither this one nor the one before belongs to an engine that trades beside us.
"""

from engine.facts import OrderAdopted, OrderClosed
from engine.mode_reasons import ModeReason, ReasonCode
from engine.session_context import SessionContext
from engine.step_context import StepContext


def halt_for_rivals(session: SessionContext, step: StepContext) -> None:
    """Halt if this step adopted an open order that another engine of ours placed.

    The order is adopted, so it halts once: after a person's `resume` the engine trades on beside it.
    """
    adopted = [output for output in step.outputs if type(output.body) is OrderAdopted]
    if not adopted:
        return
    closed = {output.key for output in step.outputs if isinstance(output.body, OrderClosed)}
    for output in adopted:
        body, key = output.body, output.key or ""
        if isinstance(body, OrderAdopted) and key not in closed and (rival := session.rival_of(body.order, key)):
            text = (
                f"order {key} bears the mark of session {rival}, which is not in this journal's chain: "
                "another engine trades this account"
            )
            step.halt(ModeReason(ReasonCode.RIVAL_ENGINE, text, key))
            return
