"""Our own lateness: how old the inputs are that the engine processes, and decisions that exceeded their time budget.

The shell measures both and enters them as LINK records (engine/live/lag_meter.py, engine/live/decision_watch.py).
"""

import msgspec
from msgspec.structs import replace

from engine.bodies import CommandName, LinkEvent
from engine.facts import StrategyStopped
from engine.session_record import SECOND_NS
from engine.state.changes import Change, Commanded, Lagged, Stamp

OVERRUNS_MAX = 3  # the strategy is stopped at this one
OVERRUN_WINDOW_NS = 60 * SECOND_NS  # overruns count together within it


class Overruns(msgspec.Struct, frozen=True):
    """The newest decisions of a strategy that exceeded the budget."""

    count: int
    first_ns: int


class Lateness(msgspec.Struct, frozen=True):
    """The engine's lateness: its begin, and the strategies that caused it."""

    since_ns: int = 0  # 0: it keeps up
    age_ns: int = 0  # of the message that it processed when it became late
    waiting: int = 0  # messages in the queue at that time
    over_ns: int = 0  # when it caught up: silence of a feed before that time proves nothing
    overruns: dict[str, Overruns] = {}  # by strategy

    @property
    def is_late(self) -> bool:
        """True while the engine processes what arrived too long ago."""
        return self.since_ns > 0


def reduce(lateness: Lateness, change: Change, at: Stamp) -> Lateness:
    """Fold what the shell measured; a stopped strategy and a person's resume end the count of overruns."""
    match change:
        case Lagged():
            link = change.link
            if link.state is LinkEvent.LATE:
                return replace(lateness, since_ns=max(at.time_ns, 1), age_ns=link.age_ns, waiting=link.waiting)
            if link.state is LinkEvent.CAUGHT_UP:
                return replace(lateness, since_ns=0, age_ns=0, waiting=0, over_ns=at.time_ns)
            before = lateness.overruns.get(link.strategy)
            is_next = before is not None and at.time_ns - before.first_ns <= OVERRUN_WINDOW_NS
            after = replace(before, count=before.count + 1) if before and is_next else Overruns(1, at.time_ns)
            return replace(lateness, overruns={**lateness.overruns, link.strategy: after})
        case StrategyStopped() if change.strategy in lateness.overruns:
            rest = {name: count for name, count in lateness.overruns.items() if name != change.strategy}
            return replace(lateness, overruns=rest)
        case Commanded() if change.command.command is CommandName.RESUME and lateness.overruns:
            return replace(lateness, overruns={})
        case Commanded() if change.command.command is CommandName.HANDOVER and lateness.is_late:
            return Lateness(over_ns=at.time_ns)  # a model keeps up, and no later record states it
        case _:
            return lateness
