"""Request weights and order counts in Binance's fixed clock windows. The caller passes the time."""

from typing import Any, Final

from engine.sim.binance import refusals

MINUTE_NS: Final = 60_000_000_000
TEN_SECONDS_NS: Final = 10_000_000_000
DAY_NS: Final = 86_400_000_000_000
IGNORED_429_MAX: Final = 10  # so many requests after a 429 earn a ban
BAN_NS: Final = 2 * MINUTE_NS


class _Window:
    def __init__(self, length_ns: int, limit: int) -> None:
        self.length_ns = length_ns
        self.limit = limit
        self.count = 0
        self._number = -1

    def turn(self, now_ns: int) -> None:
        number = now_ns // self.length_ns
        if number != self._number:
            self._number, self.count = number, 0

    def left_s(self, now_ns: int) -> int:
        return -(-(self.length_ns - now_ns % self.length_ns) // 1_000_000_000)


class RequestLimits:
    """One address's request weight and each account's unfilled orders."""

    def __init__(self, *, weight_max: int = 6_000, orders_10s_max: int = 100, orders_day_max: int = 200_000) -> None:
        self._weight = _Window(MINUTE_NS, weight_max)
        self._orders_max = (orders_10s_max, orders_day_max)
        self._orders: dict[str, tuple[_Window, _Window]] = {}
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

    def _windows(self, account: str, now_ns: int) -> tuple[_Window, _Window]:
        windows = self._orders.get(account)
        if windows is None:
            short, day = self._orders_max
            windows = self._orders[account] = (_Window(TEN_SECONDS_NS, short), _Window(DAY_NS, day))
        for window in windows:
            window.turn(now_ns)
        return windows

    def require_room(self, account: str, now_ns: int) -> None:
        """Refuse an order if the account has too many unfilled orders in a window."""
        for window, interval in zip(self._windows(account, now_ns), ("10 SECOND", "1 DAY"), strict=True):
            if window.count >= window.limit:
                raise refusals.too_many_orders(window.limit, interval)

    def count_order(self, account: str, now_ns: int) -> None:
        """Count an unfilled order."""
        for window in self._windows(account, now_ns):
            window.count += 1

    def order_traded(self, account: str, now_ns: int) -> None:
        """Remove an order from the unfilled ones at its first trade."""
        for window in self._windows(account, now_ns):
            window.count = max(0, window.count - 1)

    def order_counts(self, account: str, now_ns: int) -> tuple[int, int]:
        """Return the account's unfilled orders in ten seconds and in a day."""
        short, day = self._windows(account, now_ns)
        return short.count, day.count

    def describe(self) -> list[dict[str, Any]]:
        """Return the rateLimits of exchangeInfo."""
        return [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, self._weight.limit),
            _limit("ORDERS", "SECOND", 10, self._orders_max[0]),
            _limit("ORDERS", "DAY", 1, self._orders_max[1]),
            _limit("RAW_REQUESTS", "MINUTE", 5, 300_000),
        ]

    def usage(self, account: str | None, now_ns: int) -> list[dict[str, Any]]:
        """Return the rateLimits of a WebSocket API answer: the weight, and an account's orders."""
        entries = [_limit("REQUEST_WEIGHT", "MINUTE", 1, self._weight.limit) | {"count": self.weight_used(now_ns)}]
        return entries + (self.order_usage(account, now_ns) if account else [])

    def order_usage(self, account: str, now_ns: int) -> list[dict[str, Any]]:
        """Return the account's order counts with their limits."""
        short, day = self.order_counts(account, now_ns)
        return [
            _limit("ORDERS", "SECOND", 10, self._orders_max[0]) | {"count": short},
            _limit("ORDERS", "DAY", 1, self._orders_max[1]) | {"count": day},
        ]


def _limit(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
