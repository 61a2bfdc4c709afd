"""What venues let us send, what we sent lately, and their clocks: rate budgets, blocks and offsets. Carried: a ban outlives a restart."""

import msgspec
from msgspec.structs import replace

from engine.facts import ClockMeasured, RateBlocked
from engine.model import RateLimits
from engine.session_record import SECOND_NS
from engine.state.changes import Answered, Change, Requested, Stamp

WINDOW_NS = 60 * SECOND_NS  # request weight is counted in fixed clock minutes (binance_spot.md section 11)
ORDER_WINDOW_NS = 10 * SECOND_NS
KEPT = 5  # a fifth of the weight is for cancels and orders whose fate is unknown: new orders and other questions stop earlier


class RateBudget(msgspec.Struct, frozen=True):
    """One venue's. `weight` is our own count, raised to the venue's where it says more."""

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

    def lets_ask(self, time_ns: int) -> bool:
        """Whether a question may be asked now: none is so urgent that it may earn us a ban."""
        return time_ns >= self.blocked_until_ns and not self.spent(time_ns)

    def spent(self, time_ns: int) -> bool:
        """Whether the rest of this minute's weight is kept for what is urgent."""
        weight_max = self.rate_limits.weight_minute_max
        return self.window == time_ns // WINDOW_NS and self.weight > weight_max - weight_max // KEPT


class RateBudgets(msgspec.Struct, frozen=True):
    by_venue: dict[str, RateBudget] = {}

    def of(self, venue: str) -> RateBudget:
        return self.by_venue.get(venue) or RateBudget()


def allowed(limits: RateBudgets, venue: str, rate_limits: RateLimits) -> RateBudgets:
    """What a venue says of itself when a session begins; what was spent of it stays spent."""
    return _put(limits, venue, replace(limits.of(venue), rate_limits=rate_limits))


def reduce(limits: RateBudgets, change: Change, at: Stamp) -> RateBudgets:
    match change:
        case Requested() if change.request.unsigned is not None:
            return _put(limits, change.request.venue, _sent(limits.of(change.request.venue), change, at))
        case Answered() if change.weight_used >= 0:
            budget = _rolled(limits.of(change.venue), at)
            return _put(limits, change.venue, replace(budget, weight=max(budget.weight, change.weight_used)))
        case RateBlocked():
            budget = limits.of(change.venue)
            if change.until_ns <= budget.blocked_until_ns:
                return limits  # an answer to an earlier request never shortens a ban
            budget = replace(budget, blocked_until_ns=change.until_ns, reason=change.reason)
            return _put(limits, change.venue, budget)
        case ClockMeasured():
            return _put(limits, change.venue, replace(limits.of(change.venue), clock_offset_ns=change.offset_ns))
        case _:
            return limits


def _rolled(budget: RateBudget, at: Stamp) -> RateBudget:
    second = at.time_ns // SECOND_NS
    if budget.second == second:
        return budget  # the longer windows are of whole seconds
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


def _sent(budget: RateBudget, change: Requested, at: Stamp) -> RateBudget:
    budget = _rolled(budget, at)
    unsigned = change.request.unsigned
    assert unsigned is not None, "checked by the caller"
    return replace(
        budget,
        weight=budget.weight + unsigned.weight,
        orders=budget.orders + unsigned.orders,
        orders_in_second=budget.orders_in_second + unsigned.orders,
    )


def _put(limits: RateBudgets, venue: str, budget: RateBudget) -> RateBudgets:
    return RateBudgets({**limits.by_venue, venue: budget})
