"""Kraken's two counters, which rise with each request and fall steadily: of the key's requests, and of trading. Pure.

The limits are those of the lowest tier, Starter: a higher one never refuses what these allow. The venue counts trading
for each pair and charges a cancel by the order's age. A request names neither, so all pairs share one count here, and
each cancel costs what that of the youngest order does: the count is never below the venue's.
"""

from typing import Final

from msgspec.structs import replace

from engine.requests import Unsigned
from engine.state.rate_budgets import RateBudget

POINT: Final = 1_000  # the counts are in thousandths
MS_NS: Final = 1_000_000
COUNTER_MAX: Final = 15
COUNTER_PER_S: Final = 330  # thousandths
TRADING_MAX: Final = 60
TRADING_PER_S: Final = 1_000
PLACE_COST: Final = 1
AMEND_COST: Final = 4  # 1, and 3 for an order younger than 5 s
CANCEL_COST: Final = 8  # for an order younger than 5 s
TRADING_COSTS: Final = {
    "/0/private/AddOrder": PLACE_COST,
    "/0/private/AmendOrder": AMEND_COST,
    "/0/private/CancelOrder": CANCEL_COST,
}
QUERIES_PERCENT: Final = 80  # of the key's counter; the rest is for orders of unknown status
RESERVED_CANCELS: Final = 2  # that must still be possible after an order was placed


class DecayingCounters:
    """An engine.state.rate_budgets.RateModel. `weight` and `orders` are counts as of their windows, in ms."""

    def charge(self, budget: RateBudget, unsigned: Unsigned, time_ns: int) -> RateBudget:
        """Return the budget after a request was sent. Placing, amending and cancelling cost no request point."""
        now_ms, trading = time_ns // MS_NS, TRADING_COSTS.get(unsigned.path, 0) * POINT
        if trading:
            return replace(budget, orders=self._trading(budget, time_ns) + trading, order_window=now_ms)
        return replace(budget, weight=self._requests(budget, time_ns) + unsigned.weight * POINT, window=now_ms)

    def observe(self, budget: RateBudget, weight_used: int, time_ns: int) -> RateBudget:
        """Return the budget: no answer states a count."""
        del weight_used, time_ns
        return budget

    def is_exhausted(self, budget: RateBudget, time_ns: int) -> bool:
        """Return True if the rest of the key's counter is kept for urgent queries."""
        most = budget.rate_limits.weight_minute_max * POINT
        return self._requests(budget, time_ns) * 100 > most * QUERIES_PERCENT

    def has_room(self, budget: RateBudget, weight: int, percent: int, time_ns: int) -> bool:
        """Return True if a request of this weight keeps the key's counter below this part of it."""
        used = self._requests(budget, time_ns)
        return not used or (used + weight * POINT) * 100 <= budget.rate_limits.weight_minute_max * POINT * percent

    def reject_reason(self, budget: RateBudget, time_ns: int) -> str:
        """Return why no new order may be sent now, or "". Cancels of young orders must still be possible."""
        count = self._trading(budget, time_ns)
        most = min(budget.rate_limits.orders_10s_max, TRADING_MAX) - RESERVED_CANCELS * CANCEL_COST
        if count + PLACE_COST * POINT > most * POINT:
            return f"the trading counter is at {count / POINT:.1f} of {most}: the rest is kept for cancels"
        if self.is_exhausted(budget, time_ns):
            return f"the request counter is at {self._requests(budget, time_ns) / POINT:.1f}"
        return ""

    def describe(self) -> str:
        """Return the limit of requests in words."""
        return f"a request counter of {COUNTER_MAX} that falls by {COUNTER_PER_S / POINT:.2f} a second"

    @staticmethod
    def _requests(budget: RateBudget, time_ns: int) -> int:
        passed_ms = max(0, time_ns // MS_NS - budget.window)
        return max(0, budget.weight - passed_ms * COUNTER_PER_S // 1_000)

    @staticmethod
    def _trading(budget: RateBudget, time_ns: int) -> int:
        passed_ms = max(0, time_ns // MS_NS - budget.order_window)
        return max(0, budget.orders - passed_ms * TRADING_PER_S // 1_000)
