"""The strategies that the market triggered in a record."""

from engine.market.market_state import Market
from engine.session_context import SessionContext


def triggered_strategies(session: SessionContext, market: Market, triggers: int, time_ns: int) -> tuple[str, ...]:
    """Return the names of the strategies in a bit mask of triggers, and restart their throttles at `time_ns`."""
    names = []
    for number, name in enumerate(session.trigger_names):
        if triggers >> number & 1:
            market.note_evaluated(number, time_ns)
            names.append(name)
    return tuple(names)
