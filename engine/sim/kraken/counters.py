"""The counters of the simulated Kraken: requests of a key, and trading of an account in a pair. Both decay."""

from dataclasses import dataclass
from typing import Final

from engine.sim.kraken.refusals import refusal

SECOND_NS: Final = 1_000_000_000
POINT: Final = 1_000
# the lowest tier, Starter
REQUESTS_MAX: Final = 15
REQUESTS_PER_S: Final = 330
TRADING_MAX: Final = 60
TRADING_PER_S: Final = 1_000
OPEN_ORDERS_MAX: Final = 60  # of a pair
# (an order younger than so many seconds, points) of a cancel and of an amendment, beside its fixed point
CANCEL_COSTS: Final = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
AMEND_COSTS: Final = ((5, 3), (10, 2), (15, 1))
COSTS: Final = {"TradesHistory": 2, "Ledgers": 2, "QueryTrades": 2}
FREE: Final = frozenset({"AddOrder", "AmendOrder", "EditOrder", "CancelOrder", "CancelAll", "CancelAllOrdersAfter"})


@dataclass(slots=True)
class Counter:
    """A count in thousandths that falls steadily."""

    most: int
    per_s: int
    count: int = 0
    at_ns: int = 0

    def add(self, points: int, now_ns: int) -> bool:
        """Add points. Return False, with nothing added, if the count would rise above its most."""
        self.count = self.level(now_ns)
        self.at_ns = now_ns
        if self.count + points * POINT > self.most * POINT:
            return False
        self.count += points * POINT
        return True

    def level(self, now_ns: int) -> int:
        """Return the count now."""
        return max(0, self.count - (now_ns - self.at_ns) * self.per_s // SECOND_NS)


class VenueCounters:
    """All counters of the venue."""

    def __init__(self, requests_max: int = REQUESTS_MAX) -> None:
        self._requests_max = requests_max
        self._requests: dict[str, Counter] = {}
        self._trading: dict[tuple[str, str], Counter] = {}

    def count_request(self, api_key: str, method: str, now_ns: int) -> None:
        """Count a private request, or refuse it. Orders and cancels are counted apart."""
        if method in FREE:
            return
        counter = self._requests.setdefault(api_key, Counter(self._requests_max, REQUESTS_PER_S))
        if not counter.add(COSTS.get(method, 1), now_ns):
            raise refusal("EAPI:Rate limit exceeded")

    def count_trading(self, account: str, symbol: str, points: int, now_ns: int) -> None:
        """Count an order, an amendment or a cancel, or refuse it."""
        if not self.trading(account, symbol).add(points, now_ns):
            raise refusal("EOrder:Rate limit exceeded")

    def trading(self, account: str, symbol: str) -> Counter:
        """Return the trading counter of a pair."""
        return self._trading.setdefault((account, symbol), Counter(TRADING_MAX, TRADING_PER_S))


def cost(costs: tuple[tuple[int, int], ...], age_ns: int) -> int:
    """Return the points for an order of an age."""
    return next((points for limit_s, points in costs if age_ns < limit_s * SECOND_NS), 0)
