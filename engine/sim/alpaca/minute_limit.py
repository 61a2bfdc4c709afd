"""The limit of requests in a clock minute. There is no ban: a refused request only has to wait."""

from typing import Final

from engine.sim.alpaca import broker_refusals
from engine.sim.binance.request_limits import MINUTE_NS
from engine.venues.alpaca.venue_limits import REQUESTS_MINUTE_MAX
from engine.venues.timestamps import SECOND_NS

LIMIT_HEADER: Final = "X-RateLimit-Limit"


class MinuteLimit:
    """Requests of the account in this minute."""

    def __init__(self, most: int = 0) -> None:
        self.most = most or REQUESTS_MINUTE_MAX
        self._minute = -1
        self._count = 0

    def spend(self, now_ns: int) -> None:
        """Count a request, or refuse it."""
        self._turn(now_ns)
        if self._count >= self.most:
            raise broker_refusals.rate_limited()
        self._count += 1

    def headers(self, now_ns: int) -> tuple[tuple[str, str], ...]:
        """Return the state of the limit as headers."""
        self._turn(now_ns)
        reset_s = (self._minute + 1) * (MINUTE_NS // SECOND_NS)
        return (
            (LIMIT_HEADER, str(self.most)),
            ("X-RateLimit-Remaining", str(self.most - self._count)),
            ("X-RateLimit-Reset", str(reset_s)),
        )

    def _turn(self, now_ns: int) -> None:
        minute = now_ns // MINUTE_NS
        if minute != self._minute:
            self._minute, self._count = minute, 0
