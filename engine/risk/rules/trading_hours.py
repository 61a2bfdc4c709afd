"""Orders that open a position are placed within the trading hours of the instrument, if it has any."""

from bisect import bisect_right

from engine.risk.context import RiskContext, RiskRule
from engine.risk.exits import only_reduces
from engine.session_record import SECOND_NS

LAST_S = 2**62


def trading_hours(context: RiskContext) -> str:
    """Return why the instrument is closed, or "". An order that only reduces a position is allowed."""
    hours, time_s = context.limits.hours, context.time_ns // SECOND_NS
    if not hours.is_set or only_reduces(context.account, context.strategy, context.order):
        return ""
    after = bisect_right(hours.windows, (time_s, LAST_S))
    if after and time_s < hours.windows[after - 1][1]:
        return ""
    if after == len(hours.windows):
        return f"no trading hours of {hours.name} are known for this time: start the session again"
    return f"{hours.name} is closed; it opens in {hours.windows[after][0] - time_s} s"


RULES = (RiskRule(trading_hours, name="trading_hours", is_set=lambda limits: limits.hours.is_set),)
