"""Our own lateness, and strategies that exceed their time budget: what people read, and the strategy's stop."""

from engine.bodies import LinkBody, LinkEvent, NoteLevel
from engine.facts import StrategyStopped
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.lateness import OVERRUN_WINDOW_NS, OVERRUNS_MAX
from engine.step_context import StepContext

BUSY_SHARE = 2  # a strategy is named if its decisions took at least one part in so many of the age


def handle_own_speed(session: SessionContext, step: StepContext, body: LinkBody) -> None:
    """Note that the engine is late or caught up; stop a strategy that exceeded its budget too often."""
    match body.state:
        case LinkEvent.LATE:
            age = f"{body.age_ns / SECOND_NS:.1f} s old and {body.waiting:,} messages wait"
            text = f"the engine is late: it processes messages {age}; no new order leaves until it catches up"
            if body.strategy and body.spent_ns * BUSY_SHARE >= body.age_ns:
                text += f"; strategy {body.strategy} decided for {body.spent_ns / SECOND_NS:.1f} s of that"
            step.note(NoteLevel.WARNING, text)
        case LinkEvent.CAUGHT_UP:
            text = f"the engine caught up after being late for {body.age_ns / SECOND_NS:.1f} s"
            step.note(NoteLevel.INFO, text)
        case _:
            _handle_overrun(session, step, body)


def _handle_overrun(session: SessionContext, step: StepContext, body: LinkBody) -> None:
    """Name a strategy whose decision took too long. Stop it at the third within a minute."""
    name, warn_ns = body.strategy, session.settings.decision_warn_ns
    if name not in session.strategies or step.account.strategies.get(name).stopped_for:
        return
    text = f"a decision took {body.spent_ns / SECOND_NS:.1f} s, at most {warn_ns / SECOND_NS:.1f} s"
    overruns = step.account.lateness.overruns.get(name)
    if overruns is None or overruns.count < OVERRUNS_MAX:
        step.note(NoteLevel.ALARM, f"strategy {name} is slow: {text}")
        return
    reason = f"{text}, {overruns.count} times within {OVERRUN_WINDOW_NS // SECOND_NS} s"
    step.note(NoteLevel.ALARM, f"strategy {name} is stopped: {reason}")
    step.emit(StrategyStopped(name, reason), source=f"strategy.{name}")
