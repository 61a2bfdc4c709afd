"""Coinbase's request limits: so many in a second, and so many in an hour for a key. Pure.

The venue's pages state both, in different places. A public request counts for an address, at a third of the rate.
"""

from typing import Final

from msgspec.structs import replace

from engine.requests import Unsigned
from engine.state.rate_budgets import RateBudget

SECOND_NS: Final = 1_000_000_000
HOUR_NS: Final = 3_600 * SECOND_NS
SECOND_MAX: Final = 30  # of an account; 10 of an address for public requests, which weigh three
HOUR_MAX: Final = 10_000
RESERVE: Final = 5  # a fifth is kept for cancels and orders of unknown status
PUBLIC_WEIGHT: Final = 3


class CoinbaseRates:
    """An engine.state.rate_budgets.RateModel: `window` and `weight` are of the hour, `order_window` of the second."""

    def charge(self, budget: RateBudget, unsigned: Unsigned, time_ns: int) -> RateBudget:
        """Return the budget after a request was sent."""
        hour, second = time_ns // HOUR_NS, time_ns // SECOND_NS
        weight = unsigned.weight * (1 if unsigned.signed else PUBLIC_WEIGHT)
        return replace(
            budget,
            window=hour,
            weight=(budget.weight if budget.window == hour else 0) + unsigned.weight,
            order_window=second,
            orders=(budget.orders if budget.order_window == second else 0) + weight,
        )

    def observe(self, budget: RateBudget, weight_used: int, time_ns: int) -> RateBudget:
        """Return the budget as it is: answers state no count of the hour."""
        del weight_used, time_ns
        return budget

    def is_exhausted(self, budget: RateBudget, time_ns: int) -> bool:
        """Return True if the rest of the second or the hour is kept for urgent requests."""
        return bool(self.reject_reason(budget, time_ns))

    def has_room(self, budget: RateBudget, weight: int, percent: int, time_ns: int) -> bool:
        """Return True if a request of this weight keeps the hour's use below this part of it."""
        used = budget.weight if budget.window == time_ns // HOUR_NS else 0
        return not used or used + weight <= HOUR_MAX * percent // 100

    def reject_reason(self, budget: RateBudget, time_ns: int) -> str:
        """Return why no new order may be sent now, or ""."""
        if budget.window == time_ns // HOUR_NS and budget.weight > HOUR_MAX - HOUR_MAX // RESERVE:
            return f"{budget.weight} of {HOUR_MAX} requests of this hour: the rest is kept for cancels"
        if budget.order_window == time_ns // SECOND_NS and budget.orders > SECOND_MAX - SECOND_MAX // RESERVE:
            return f"{budget.orders} of {SECOND_MAX} requests of this second: the rest is kept for cancels"
        return ""

    def describe(self) -> str:
        """Return the limits of requests in words."""
        return f"{SECOND_MAX} requests a second, {HOUR_MAX} an hour"
