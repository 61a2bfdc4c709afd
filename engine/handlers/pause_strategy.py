"""A person pauses one strategy: it decides nothing and its orders are cancelled, but not those that protect a position.

It is the pause of a breaker without an end, so it outlives a restart; `resume-strategy` ends it.
"""

from engine.bodies import CommandBody, NoteLevel
from engine.facts import BreakerScope, BreakerTripped
from engine.handlers.trip_breakers import cancel_paused
from engine.session_context import SessionContext
from engine.step_context import StepContext

PAUSED_UNTIL_NS = 2**62  # no session time reaches it


def pause_strategy(session: SessionContext, step: StepContext, command: CommandBody) -> None:
    """Pause the strategy that a command names."""
    name, person = command.about, command.by or "operator"
    if name not in session.strategies:
        known = ", ".join(sorted(session.strategies)) or "none"
        step.note(NoteLevel.WARNING, f"the session has no strategy {name}, so nothing pauses; strategies: {known}")
        return
    reason = f"paused by {person}" + (f": {command.reason}" if command.reason else "")
    step.emit(BreakerTripped(BreakerScope.STRATEGY, name, reason, PAUSED_UNTIL_NS, exits_only=True), source="command")
    text = f"strategy {name} is {reason}. `verbatim control SESSION resume-strategy {name}` ends the pause"
    step.note(NoteLevel.WARNING, text)
    cancel_paused(session, step)
