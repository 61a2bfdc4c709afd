"""Rate budgets: the limits of venues, recent requests, blocks, and the offsets of their clocks.

Carried over, because a ban outlives a restart.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol, runtime_checkable

import msgspec
from msgspec.structs import replace

from engine.facts import ClockMeasured, RateBlocked
from engine.model import RateLimits
from engine.requests import Unsigned
from engine.session_record import SECOND_NS
from engine.state.changes import Answered, Change, Requested, Stamp

WINDOW_NS = 60 * SECOND_NS  # request weight is counted in fixed clock minutes (Binance Spot API, limits)
ORDER_WINDOW_NS = 10 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
QUIET_WAITS = 4  # after so many of its lengths without a refusal a wait is long over
RESERVE = 5  # a fifth of the weight is for cancels and orders of unknown status; everything else stops earlier


class RateBudget(msgspec.Struct, frozen=True):
    """One venue's budget. `weight` is our own count, raised to the venue's if that is higher.

    A RateModel defines the numbers.
    """

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"day", "orders_day", "wait_ns", "orders_minute"})

    blocked_until_ns: int = 0
    reason: str = ""
    window: int = 0  # number of the clock minute
    weight: int = 0
    order_window: int = 0
    orders: int = 0
    second: int = 0
    orders_in_second: int = 0
    clock_offset_ns: int = 0
    rate_limits: RateLimits = RateLimits()
    day: int = 0  # number of the day
    orders_day: int = 0  # unfilled orders of the day: ours, or the count that the venue states
    wait_ns: int = 0  # of the block, where the venue stated no time
    orders_minute: int = 0  # orders of the clock minute, where the venue limits them

    def next_wait_ns(self, time_ns: int, max_ns: int) -> int:
        """Return the wait after a refusal without a time: 1 s, or twice the last one unless that is long over."""
        if not max_ns or time_ns > self.blocked_until_ns + QUIET_WAITS * self.wait_ns:
            return SECOND_NS
        if time_ns < self.blocked_until_ns:
            return self.wait_ns or SECOND_NS  # a request that left before the wait began
        return min(max(2 * self.wait_ns, SECOND_NS), max_ns)


class RateModel(Protocol):
    """A venue's way to count requests: pure functions of a budget.

    The engine itself keeps blocks, clock offset and orders per second.
    """

    def charge(self, budget: RateBudget, unsigned: Unsigned, time_ns: int) -> RateBudget:
        """Return the budget after a request was sent."""
        ...

    def observe(self, budget: RateBudget, weight_used: int, time_ns: int) -> RateBudget:
        """Return the budget after an answer stated the venue's own count (events.Answer.weight_used)."""
        ...

    def is_exhausted(self, budget: RateBudget, time_ns: int) -> bool:
        """Return True if queries must wait, because the rest is kept for cancels and unknown orders."""
        ...

    def reject_reason(self, budget: RateBudget, time_ns: int) -> str:
        """Return why no new order may be sent now, or ""."""
        ...


@runtime_checkable
class DescribesRates(Protocol):
    """A RateModel may have this as well: its limits are not a weight a minute."""

    def describe(self) -> str:
        """Return the limits of requests in words."""
        ...


@runtime_checkable
class SharedRates(Protocol):
    """A RateModel may have this as well: it can say whether a part of the budget is left."""

    def has_room(self, budget: RateBudget, weight: int, percent: int, time_ns: int) -> bool:
        """Return True if a request of this weight keeps the use below this part of the budget."""
        ...


class FixedWindows:
    """A RateModel with request weight per clock minute, and orders per ten seconds and, if limited, per clock minute.

    Binance counts so (Binance Spot API, limits).
    """

    def charge(self, budget: RateBudget, unsigned: Unsigned, time_ns: int) -> RateBudget:
        """Return the budget after a request was sent."""
        budget = _rolled(budget, time_ns)
        in_minute = budget.orders_minute + (unsigned.orders if budget.rate_limits.orders_minute_max else 0)
        weight, orders = budget.weight + unsigned.weight, budget.orders + unsigned.orders
        return replace(budget, weight=weight, orders=orders, orders_minute=in_minute)

    def observe(self, budget: RateBudget, weight_used: int, time_ns: int) -> RateBudget:
        """Return the budget after an answer stated the venue's own count."""
        budget = _rolled(budget, time_ns)
        return replace(budget, weight=max(budget.weight, weight_used))

    def is_exhausted(self, budget: RateBudget, time_ns: int) -> bool:
        """Return True if the rest of this minute's weight is kept for urgent requests."""
        weight_max = budget.rate_limits.weight_minute_max
        return budget.window == time_ns // WINDOW_NS and budget.weight > weight_max - weight_max // RESERVE

    def has_room(self, budget: RateBudget, weight: int, percent: int, time_ns: int) -> bool:
        """Return True if a request of this weight keeps the minute's weight below this part of it."""
        used = budget.weight if budget.window == time_ns // WINDOW_NS else 0
        return not used or used + weight <= budget.rate_limits.weight_minute_max * percent // 100

    def reject_reason(self, budget: RateBudget, time_ns: int) -> str:
        """Return why no new order may be sent now, or ""."""
        if self.is_exhausted(budget, time_ns):
            most = budget.rate_limits.weight_minute_max
            return f"request weight {budget.weight} of {most}: the rest is kept for cancels"
        if budget.order_window == time_ns // ORDER_WINDOW_NS and budget.orders >= budget.rate_limits.orders_10s_max:
            return f"{budget.orders} orders within 10 s"
        minute_max = budget.rate_limits.orders_minute_max
        if minute_max and budget.window == time_ns // WINDOW_NS and budget.orders_minute >= minute_max:
            return f"{budget.orders_minute} orders within a minute"
        return ""


FIXED_WINDOWS = FixedWindows()


class RateBudgets(msgspec.Struct, frozen=True):
    """The budgets of all venues."""

    by_venue: dict[str, RateBudget] = {}

    def get(self, venue: str) -> RateBudget:
        """Return a venue's budget."""
        return self.by_venue.get(venue) or RateBudget()


def allowed(budgets: RateBudgets, venue: str, limits: RateLimits) -> RateBudgets:
    """Return the budgets with a venue's limits as it states them when a session begins.

    Counts of earlier requests stay.
    """
    return RateBudgets({**budgets.by_venue, venue: replace(budgets.get(venue), rate_limits=limits)})


def reduce(budgets: RateBudgets, change: Change, at: Stamp, rates: Mapping[str, RateModel]) -> RateBudgets:
    """Count requests by each venue's model, raise the counts to the venue's own, and keep blocks and clock offsets.

    Args:
        budgets: The budgets.
        change: The change.
        at: The record that brings it.
        rates: Venue -> its model. A venue without one counts in fixed windows.

    """
    match change:
        case Requested() if change.request.unsigned is not None:
            venue, unsigned = change.request.venue, change.request.unsigned
            budget = rates.get(venue, FIXED_WINDOWS).charge(budgets.get(venue), unsigned, at.time_ns)
            second, orders = at.time_ns // SECOND_NS, unsigned.orders
            before = budget.orders_in_second if budget.second == second else 0
            budget = replace(budget, second=second, orders_in_second=before + orders)
            if orders and budget.rate_limits.orders_day_max:
                of_day = orders_of_day(budget, at.time_ns) + orders
                budget = replace(budget, day=at.time_ns // DAY_NS, orders_day=of_day)
        case Answered() if change.weight_used >= 0 or change.orders_day_used >= 0:
            venue = change.venue
            budget = budgets.get(venue)
            if change.weight_used >= 0:
                budget = rates.get(venue, FIXED_WINDOWS).observe(budget, change.weight_used, at.time_ns)
            if change.orders_day_used >= 0 and budget.rate_limits.orders_day_max:
                # the venue's count is the account's and falls when orders trade, so it replaces ours
                budget = replace(budget, day=at.time_ns // DAY_NS, orders_day=change.orders_day_used)
        case RateBlocked():
            venue = change.venue
            budget = budgets.get(venue)
            if change.until_ns <= budget.blocked_until_ns:
                return budgets  # an answer to an earlier request never shortens a ban
            budget = replace(budget, blocked_until_ns=change.until_ns, reason=change.reason, wait_ns=change.wait_ns)
        case ClockMeasured():
            venue = change.venue
            budget = replace(budgets.get(venue), clock_offset_ns=change.offset_ns)
        case _:
            return budgets
    return RateBudgets({**budgets.by_venue, venue: budget})


def orders_of_day(budget: RateBudget, time_ns: int) -> int:
    """Return the unfilled orders of this day; 0 where the venue states no limit for a day."""
    return budget.orders_day if budget.day == time_ns // DAY_NS else 0


def _rolled(budget: RateBudget, time_ns: int) -> RateBudget:
    """Return the budget with the counts of past windows set to 0."""
    second = time_ns // SECOND_NS
    if budget.second == second:
        return budget  # the longer windows are of whole seconds
    window, order_window = time_ns // WINDOW_NS, time_ns // ORDER_WINDOW_NS
    return replace(
        budget,
        window=window,
        weight=budget.weight if window == budget.window else 0,
        orders_minute=budget.orders_minute if window == budget.window else 0,
        order_window=order_window,
        orders=budget.orders if order_window == budget.order_window else 0,
        second=second,
        orders_in_second=0,
    )
