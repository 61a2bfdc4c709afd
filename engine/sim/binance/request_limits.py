"""Request weights and order counts in Binance's fixed clock windows. The caller passes the time."""

from typing import Any, Final, NamedTuple

from engine.sim.binance import refusals

MINUTE_NS: Final = 60_000_000_000
DAY_NS: Final = 86_400_000_000_000
IGNORED_429_MAX: Final = 10  # so many requests after a 429 earn a ban
BAN_NS: Final = 2 * MINUTE_NS


class OrderLimit(NamedTuple):
    """A limit of orders in a window of the clock."""

    interval: str  # "SECOND", "MINUTE" or "DAY", as exchangeInfo spells it
    number: int
    limit: int

    @property
    def length_ns(self) -> int:
        """The length of the window."""
        return self.number * _LENGTHS_NS[self.interval]

    @property
    def label(self) -> str:
        """Its name in a refusal, such as "10 SECOND"."""
        return f"{self.number} {self.interval}"

    @property
    def header(self) -> str:
        """Its name in an answer's headers, such as "10S"."""
        return f"{self.number}{self.interval[0]}"


_LENGTHS_NS: Final = {"SECOND": 1_000_000_000, "MINUTE": MINUTE_NS, "DAY": DAY_NS}


def spot_order_limits(*, orders_10s_max: int = 100, orders_day_max: int = 200_000) -> tuple[OrderLimit, ...]:
    """Return the windows in which Binance Spot counts unfilled orders."""
    return OrderLimit("SECOND", 10, orders_10s_max), OrderLimit("DAY", 1, orders_day_max)


class _Window:
    def __init__(self, length_ns: int, limit: int) -> None:
        self.length_ns = length_ns
        self.limit = limit
        self.count = 0
        self._begin_ns = self._end_ns = 0

    def turn(self, now_ns: int) -> None:
        if not self._begin_ns <= now_ns < self._end_ns:
            self._begin_ns = now_ns - now_ns % self.length_ns
            self._end_ns = self._begin_ns + self.length_ns
            self.count = 0

    def left_s(self, now_ns: int) -> int:
        return -(-(self.length_ns - now_ns % self.length_ns) // 1_000_000_000)


class RequestLimits:
    """One address's request weight and each account's orders."""

    def __init__(self, *, weight_max: int, order_limits: tuple[OrderLimit, ...], raw_requests_max: int = 0) -> None:
        self._weight = _Window(MINUTE_NS, weight_max)
        self._order_limits = order_limits
        self._raw_requests_max = raw_requests_max  # in 5 minutes: stated, not counted
        self._orders: dict[str, tuple[_Window, ...]] = {}
        self._ignored = 0
        self._banned_until_ns = 0

    def spend(self, weight: int, now_ns: int) -> None:
        """Count a request; refuse it with 429 over the limit, and with 418 after too many ignored 429s."""
        if now_ns < self._banned_until_ns:
            left_s = -(-(self._banned_until_ns - now_ns) // 1_000_000_000)
            raise refusals.banned(self._banned_until_ns // 1_000_000, left_s)
        self._weight.turn(now_ns)
        self._weight.count += weight
        if self._weight.count <= self._weight.limit:
            self._ignored = 0
            return
        self._ignored += 1
        if self._ignored > IGNORED_429_MAX:
            self._banned_until_ns = now_ns + BAN_NS
            raise refusals.banned(self._banned_until_ns // 1_000_000, BAN_NS // 1_000_000_000)
        raise refusals.too_much_weight(self._weight.limit, self._weight.left_s(now_ns))

    def weight_used(self, now_ns: int) -> int:
        """Return the request weight used in this minute."""
        self._weight.turn(now_ns)
        return self._weight.count

    def _windows(self, account: str, now_ns: int) -> tuple[_Window, ...]:
        windows = self._orders.get(account)
        if windows is None:
            windows = self._orders[account] = tuple(_Window(of.length_ns, of.limit) for of in self._order_limits)
        for window in windows:
            window.turn(now_ns)
        return windows

    def require_room(self, account: str, now_ns: int) -> None:
        """Refuse an order if the account has too many unfilled orders in a window."""
        for window, limit in zip(self._windows(account, now_ns), self._order_limits, strict=True):
            if window.count >= window.limit:
                raise refusals.too_many_orders(window.limit, limit.label)

    def count_order(self, account: str, now_ns: int) -> None:
        """Count an unfilled order."""
        for window in self._windows(account, now_ns):
            window.count += 1

    def order_traded(self, account: str, now_ns: int) -> None:
        """Remove an order from the unfilled ones at its first trade."""
        for window in self._windows(account, now_ns):
            window.count = max(0, window.count - 1)

    def order_counts(self, account: str, now_ns: int) -> dict[str, int]:
        """Return the account's order counts by the window's name in an answer's headers."""
        windows = zip(self._windows(account, now_ns), self._order_limits, strict=True)
        return {limit.header: window.count for window, limit in windows}

    def describe(self) -> list[dict[str, Any]]:
        """Return the rateLimits of exchangeInfo."""
        raw = self._raw_requests_max
        return [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, self._weight.limit),
            *(_limit("ORDERS", *limit) for limit in self._order_limits),
            *([_limit("RAW_REQUESTS", "MINUTE", 5, raw)] if raw else []),
        ]

    def usage(self, account: str | None, now_ns: int) -> list[dict[str, Any]]:
        """Return the rateLimits of a WebSocket API answer: the weight, and an account's orders."""
        entries = [_limit("REQUEST_WEIGHT", "MINUTE", 1, self._weight.limit) | {"count": self.weight_used(now_ns)}]
        return entries + (self.order_usage(account, now_ns) if account else [])

    def order_usage(self, account: str, now_ns: int) -> list[dict[str, Any]]:
        """Return the account's order counts with their limits."""
        windows = zip(self._windows(account, now_ns), self._order_limits, strict=True)
        return [_limit("ORDERS", *limit) | {"count": window.count} for window, limit in windows]


def _limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
