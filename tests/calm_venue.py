"""The simulated venue with markets that say little: two messages a second of each symbol, where others say 150.

Most of the CPU time of a session in virtual time is spent on messages that trigger nothing. A test that waits for answers,
timers and silences waits for less here. A test of market data, or of a strategy that follows prices, takes VirtualVenue.
"""

from collections.abc import Sequence
from typing import Any

from engine.sim.feeds.sim_market import Line
from verbatim.hostile.sparse_market import SparseMarket
from verbatim.testing import START_NS, VirtualVenue


class CalmMarket:
    """Several sparse markets as one."""

    def __init__(self, symbols: Sequence[str], *, seed: int, start_ns: int) -> None:
        self.symbols = tuple(symbols)
        self._markets = [
            SparseMarket(each, seed=seed + number, start_ns=start_ns) for number, each in enumerate(symbols)
        ]
        self.streams = frozenset[str]().union(*(market.streams for market in self._markets))

    @property
    def next_due_ns(self) -> int | None:
        return self._next().next_due_ns

    def next_line(self) -> Line:
        return self._next().next_line()

    def is_snapshot_next(self) -> bool:
        return self._next().is_snapshot_next()

    def shift(self, ns: int) -> None:
        for market in self._markets:
            market.shift(ns)

    def _next(self) -> SparseMarket:
        return min(self._markets, key=lambda market: market.next_due_ns or 0)


class CalmVenue(VirtualVenue):
    """A VirtualVenue with a calm market; its other parameters are the same."""

    def __init__(
        self, *, seed: int = 1, symbols: Sequence[str] = ("BTCUSDT",), start_ns: int = START_NS, **more: Any
    ) -> None:
        super().__init__(market=CalmMarket(symbols, seed=seed, start_ns=start_ns), start_ns=start_ns, **more)
