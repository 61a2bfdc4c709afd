"""A synthetic market of one symbol that says little: two messages a second, so a session of minutes costs milliseconds.

Deterministic from its seed. Speaks Binance's public messages; knows nothing of orders.
"""

from collections import deque
from typing import Final

from engine.sim.feeds.sim_market import (
    DepthDiff,
    DepthSnapshot,
    Line,
    SimQuote,
    TradePrint,
    combined,
    diff_data,
    quote_data,
    snapshot_data,
    trade_data,
)
from engine.sim.feeds.synthetic_feed import Chance
from engine.sim.units import units

QUOTE_STREAM: Final = b"@bookTicker"
QUOTE_NS: Final = 900_000_000  # between two quotes
LEVELS: Final = 6  # of each side
STEP: Final = units("1")  # between two levels
MID: Final = units("60000")
LOT: Final = units("0.00001")


class SparseMarket:
    """A SimMarket whose price takes a step or none at each quote; a depth diff follows every second quote."""

    def __init__(self, symbol: str, *, seed: int, start_ns: int) -> None:
        """Start the market of one symbol at a time, with its snapshot as the first line."""
        self.symbols: tuple[str, ...] = (symbol,)
        self.streams = frozenset(f"{symbol.lower()}@{kind}" for kind in ("depth@100ms", "bookTicker", "trade"))
        self._symbol = symbol
        self._chance = Chance(seed)
        self._mid = MID
        self._books: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._update_id = 1_000_000
        self._diff_first_id = self._update_id + 1
        self._trade_id = 1_000_000
        self._quotes = 0
        self._due_ns = start_ns
        self._move(0)
        self._changed = ({}, {})
        self._update_id, self._diff_first_id = 1_000_000, 1_000_001
        bids, asks = self._sides()
        self._ready = deque([Line(start_ns, "", symbol, snapshot_data(DepthSnapshot(self._update_id, bids, asks)))])

    @property
    def next_due_ns(self) -> int | None:
        """When the next line is due; the market never ends."""
        self._fill()
        return self._ready[0].due_ns

    def next_line(self) -> Line:
        """Return the next line."""
        self._fill()
        return self._ready.popleft()

    def is_snapshot_next(self) -> bool:
        """Return True if the next line is the depth snapshot."""
        self._fill()
        return not self._ready[0].stream

    def shift(self, ns: int) -> None:
        """Move all lines to come by so much."""
        self._due_ns += ns
        self._ready = deque(line._replace(due_ns=line.due_ns + ns) for line in self._ready)

    def _sides(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return sorted(self._books[0].items(), reverse=True), sorted(self._books[1].items())

    def _move(self, steps: int) -> None:
        """Move the mid by so many steps, and note the levels that changed."""
        self._mid += steps * STEP
        for side, sign in ((0, -1), (1, 1)):
            book, changed = self._books[side], self._changed[side]
            wanted = [self._mid + sign * (STEP * level + STEP // 2) for level in range(LEVELS)]
            for price in sorted(set(book) - set(wanted)):
                del book[price]
                changed[price] = 0
                self._update_id += 1
            for place, price in enumerate(wanted):
                if price not in book or place == 0:
                    book[price] = changed[price] = LOT * (1_000 + self._chance.below(50_000))
                    self._update_id += 1

    def _fill(self) -> None:
        if self._ready:
            return
        self._due_ns += QUOTE_NS
        self._quotes += 1
        drawn = self._chance.below(10)
        self._move((0, 0, 0, 0, 1, 1, -1, -1, 2, -2)[drawn])
        bids, asks = self._sides()
        if drawn % 2:
            self._add("trade", self._trade(buying=drawn > 4, bid=bids[0][0], ask=asks[0][0]))
        self._add("bookTicker", quote_data(self._symbol, SimQuote(self._update_id, *bids[0], *asks[0])))
        if self._quotes % 2 == 0:
            bids, asks = (sorted(each.items()) for each in self._changed)
            diff = DepthDiff(self._diff_first_id, self._update_id, bids, asks)
            self._add("depth@100ms", diff_data(self._symbol, diff, self._due_ns))
            self._diff_first_id = self._update_id + 1
            self._changed = ({}, {})

    def _trade(self, *, buying: bool, bid: int, ask: int) -> bytes:
        self._trade_id += 1
        quantity = LOT * (1 + self._chance.below(30_000))
        price = ask if buying else bid
        return trade_data(self._symbol, TradePrint(self._trade_id, price, quantity, self._due_ns, not buying))

    def _add(self, kind: str, data: bytes) -> None:
        stream = f"{self._symbol.lower()}@{kind}"
        self._ready.append(Line(self._due_ns, stream, self._symbol, combined(stream, data)))
