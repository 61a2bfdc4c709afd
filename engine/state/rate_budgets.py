"""Rate budgets: what venues allow, what was sent lately, blocks, and the offsets of their clocks.

Carried over: a ban outlives a restart.
"""

import msgspec
from msgspec.structs import replace

from engine.facts import ClockMeasured, RateBlocked
from engine.model import RateLimits
from engine.session_record import SECOND_NS
from engine.state.changes import Answered, Change, Requested, Stamp

WINDOW_NS = 60 * SECOND_NS  # request weight is counted in fixed clock minutes (binance_spot.md section 11)
ORDER_WINDOW_NS = 10 * SECOND_NS
RESERVE = 5  # a fifth of the weight is for cancels and orders of unknown status; everything else stops earlier


class RateBudget(msgspec.Struct, frozen=True):
    """One venue's budget. `weight` is our own count, raised to the venue's if that is higher."""

    blocked_until_ns: int = 0
    reason: str = ""
    window: int = 0  # number of the clock minute
    weight: int = 0
    order_window: int = 0
    orders: int = 0
    second: int = 0
    orders_in_second: int = 0
    clock_offset_ns: int = 0
    allowance: RateLimits = RateLimits()

    def lets_ask(self, time_ns: int) -> bool:
        """Return True if a query may be sent now: no query is so urgent that it may lead to a ban."""
        return time_ns >= self.blocked_until_ns and not self.spent(time_ns)

    def spent(self, time_ns: int) -> bool:
        """Return True if only the reserve of this minute's weight is left."""
        weight_max = self.allowance.weight_minute_max
        return self.window == time_ns // WINDOW_NS and self.weight > weight_max - weight_max // RESERVE


class RateBudgets(msgspec.Struct, frozen=True):
    by_venue: dict[str, RateBudget] = {}

    def of(self, venue: str) -> RateBudget:
        """Return a venue's budget."""
        return self.by_venue.get(venue) or RateBudget()


def allowed(budgets: RateBudgets, venue: str, limits: RateLimits) -> RateBudgets:
    """Return the budgets with a venue's limits as it states them when a session begins. What was used stays used."""
    return RateBudgets({**budgets.by_venue, venue: replace(budgets.of(venue), allowance=limits)})


def reduce(budgets: RateBudgets, change: Change, at: Stamp) -> RateBudgets:
    """Count requests, raise the counts to the venue's own, and keep blocks and clock offsets."""
    match change:
        case Requested() if change.request.unsigned is not None:
            venue, unsigned = change.request.venue, change.request.unsigned
            budget = _rolled(budgets.of(venue), at)
            budget = replace(
                budget,
                weight=budget.weight + unsigned.weight,
                orders=budget.orders + unsigned.orders,
                orders_in_second=budget.orders_in_second + unsigned.orders,
            )
        case Answered() if change.weight_used >= 0:
            venue = change.venue
            budget = _rolled(budgets.of(venue), at)
            budget = replace(budget, weight=max(budget.weight, change.weight_used))
        case RateBlocked():
            venue = change.venue
            budget = budgets.of(venue)
            if change.until_ns <= budget.blocked_until_ns:
                return budgets  # an answer to an earlier request never shortens a ban
            budget = replace(budget, blocked_until_ns=change.until_ns, reason=change.reason)
        case ClockMeasured():
            venue = change.venue
            budget = replace(budgets.of(venue), clock_offset_ns=change.offset_ns)
        case _:
            return budgets
    return RateBudgets({**budgets.by_venue, venue: budget})


def _rolled(budget: RateBudget, at: Stamp) -> RateBudget:
    """Return the budget with the counts of windows that ended set to 0."""
    second = at.time_ns // SECOND_NS
    if budget.second == second:
        return budget  # the longer windows consist of whole seconds
    window, order_window = at.time_ns // WINDOW_NS, at.time_ns // ORDER_WINDOW_NS
    return replace(
        budget,
        window=window,
        weight=budget.weight if window == budget.window else 0,
        order_window=order_window,
        orders=budget.orders if order_window == budget.order_window else 0,
        second=second,
        orders_in_second=0,
    )
