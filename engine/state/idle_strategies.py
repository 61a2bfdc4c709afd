"""The strategies of a session that decide nothing now, and why: stopped by an error, or paused. Read for people."""

from collections.abc import Iterable

from engine.facts import BreakerScope
from engine.state.breakers import Breakers
from engine.state.strategy_states import StrategyStatuses


def idle_strategies(
    strategies: StrategyStatuses, breakers: Breakers, names: Iterable[str], time_ns: int
) -> dict[str, str]:
    """Return "stopped: why" or "paused: why" of each strategy that is stopped or paused at a time."""
    found = {}
    for name in names:
        if reason := strategies.get(name).stopped_for:
            found[name] = f"stopped: {reason}"
        elif reason := breakers.pause_reason(BreakerScope.STRATEGY, name, time_ns):
            found[name] = f"paused: {reason.removeprefix('paused ')}"
    return found
