"""The handler of each kind of input."""

from collections.abc import Callable
from typing import Final

from engine.apply.batch import Applied
from engine.handlers.answers import handle_message
from engine.handlers.commands import handle_command
from engine.handlers.fired_timers import handle_timer
from engine.handlers.link_changes import handle_link
from engine.session_context import SessionContext
from engine.step_context import StepContext
from journal.record import Kind

HANDLERS: Final[dict[Kind, Callable[[SessionContext, StepContext, Applied], None]]] = {
    Kind.FEED: handle_message,
    Kind.BROKER: handle_message,
    Kind.LINK: handle_link,
    Kind.TIMER: handle_timer,
    Kind.COMMAND: handle_command,
}
