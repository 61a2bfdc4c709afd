"""Strategies: the state that each declares, as plain JSON values, and why one stopped. Carried over."""

from typing import Any

import msgspec
from msgspec.structs import replace

from engine.bodies import CommandName
from engine.facts import StrategyChanged, StrategyStopped
from engine.state.changes import Change, Commanded, Stamp


class StrategyStatus(msgspec.Struct, frozen=True):
    """A strategy's declared state, and why it stopped."""

    state: dict[str, Any] = {}  # field -> JSON value, only those that were ever changed
    stopped_for: str = ""


class StrategyStatuses(msgspec.Struct, frozen=True):
    """The statuses of all strategies."""

    by_name: dict[str, StrategyStatus] = {}

    def get(self, name: str) -> StrategyStatus:
        """Return a strategy's status; the default one if nothing changed yet."""
        return self.by_name.get(name) or StrategyStatus()


def reduce(strategies: StrategyStatuses, change: Change, at: Stamp) -> StrategyStatuses:
    """Fold changed state, a stop, and a person's resume."""
    match change:
        case StrategyChanged():
            running = strategies.get(change.strategy)
            running = replace(running, state={**running.state, **change.changed})
        case StrategyStopped():
            running = replace(strategies.get(change.strategy), stopped_for=change.reason)
        case Commanded() if change.command.command is CommandName.RESUME:
            # a person has checked it; otherwise a strategy that failed once stays stopped in every later session
            return StrategyStatuses(
                {name: replace(running, stopped_for="") for name, running in strategies.by_name.items()}
            )
        case _:
            return strategies
    return StrategyStatuses({**strategies.by_name, change.strategy: running})
