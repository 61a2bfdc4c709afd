"""What strategies have declared as their state, as plain JSON values, and whether each still runs. Carried."""

from typing import Any

import msgspec
from msgspec.structs import replace

from engine.facts import StrategyChanged, StrategyStopped
from engine.state.changes import Change, Commanded, Stamp


class StrategyStatus(msgspec.Struct, frozen=True):
    state: dict[str, Any] = {}  # field -> JSON value, only those that were ever changed
    stopped_for: str = ""


class StrategyStatuses(msgspec.Struct, frozen=True):
    by_name: dict[str, StrategyStatus] = {}

    def of(self, name: str) -> StrategyStatus:
        return self.by_name.get(name) or StrategyStatus()


def reduce(strategies: StrategyStatuses, change: Change, at: Stamp) -> StrategyStatuses:  # noqa: ARG001 - every reducer is told when
    match change:
        case StrategyChanged():
            running = strategies.of(change.strategy)
            running = replace(running, state={**running.state, **change.changed})
        case StrategyStopped():
            running = replace(strategies.of(change.strategy), stopped_for=change.reason)
        case Commanded() if change.command.command == "resume":
            # who resumes has looked: without this, a strategy that once failed would stay stopped in every later session
            return StrategyStatuses(
                {name: replace(running, stopped_for="") for name, running in strategies.by_name.items()}
            )
        case _:
            return strategies
    return StrategyStatuses({**strategies.by_name, change.strategy: running})
