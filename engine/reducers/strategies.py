"""What strategies have declared as their state, as plain JSON values, and whether each still runs. Carried."""

from typing import Any

import msgspec
from msgspec.structs import replace

from engine.facts import StrategyChanged, StrategyStopped
from engine.reducers.changes import Change, Commanded, Stamp


class Running(msgspec.Struct, frozen=True):
    state: dict[str, Any] = {}  # field -> JSON value, only those that were ever changed
    stopped_for: str = ""


class Strategies(msgspec.Struct, frozen=True):
    by_name: dict[str, Running] = {}

    def of(self, name: str) -> Running:
        return self.by_name.get(name) or Running()


def reduce(strategies: Strategies, change: Change, at: Stamp) -> Strategies:  # noqa: ARG001 - every reducer is told when
    match change:
        case StrategyChanged():
            running = strategies.of(change.strategy)
            running = replace(running, state={**running.state, **change.changed})
        case StrategyStopped():
            running = replace(strategies.of(change.strategy), stopped_for=change.reason)
        case Commanded() if change.command.command == "resume":
            # who resumes has looked: without this, a strategy that once failed would stay stopped in every later session
            return Strategies({name: replace(running, stopped_for="") for name, running in strategies.by_name.items()})
        case _:
            return strategies
    return Strategies({**strategies.by_name, change.strategy: running})
