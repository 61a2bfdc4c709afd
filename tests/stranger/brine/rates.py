"""Brine's request counter: each request adds its weight, and the counter falls steadily. Pure."""

from msgspec.structs import replace

from engine.requests import Unsigned
from engine.state.rate_budgets import RateBudget

PER_MS = 1  # hundredths of a point that the counter falls in a millisecond
POINT = 100


class DecayingCounter:
    """An engine.state.rate_budgets.RateModel. `weight` is the counter in hundredths, `window` the millisecond it was
    true at.
    """

    def charge(self, budget: RateBudget, unsigned: Unsigned, time_ns: int) -> RateBudget:
        """Return the budget after a request was sent."""
        level = self._level(budget, time_ns) + unsigned.weight * POINT
        return replace(budget, weight=level, window=time_ns // 1_000_000)

    def observe(self, budget: RateBudget, weight_used: int, time_ns: int) -> RateBudget:
        """Return the budget after an answer stated the venue's own counter."""
        return replace(budget, weight=max(self._level(budget, time_ns), weight_used), window=time_ns // 1_000_000)

    def is_exhausted(self, budget: RateBudget, time_ns: int) -> bool:
        """Return True above four fifths of the most: the rest is for cancels."""
        return self._level(budget, time_ns) * 5 > budget.rate_limits.weight_minute_max * POINT * 4

    def reject_reason(self, budget: RateBudget, time_ns: int) -> str:
        """Return why no new order may be sent, or ""."""
        level = self._level(budget, time_ns)
        return f"the request counter is at {level / POINT:.2f}" if self.is_exhausted(budget, time_ns) else ""

    def _level(self, budget: RateBudget, time_ns: int) -> int:
        return max(0, budget.weight - max(0, time_ns // 1_000_000 - budget.window) * PER_MS)
