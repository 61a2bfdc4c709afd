"""A seeded synthetic market: bursts that excite themselves, a tight spread, books 20 to 200 levels deep.

Deterministic from (seed, symbol, start time): integers only, and a generator of our own (splitmix64), so that no
library's idea of randomness can change a session. Speaks Binance's public messages; knows nothing of our orders.
"""

from collections.abc import Mapping
from heapq import heapify, heapreplace
from typing import Final, NamedTuple

from engine.sim.feeds.sim_market import (
    SPOT_WORDING,
    DepthDiff,
    DepthSnapshot,
    Line,
    SimQuote,
    TradePrint,
    Wording,
    combined,
)
from engine.sim.units import ONE, units

MASK: Final = (1 << 64) - 1
DIFF_NS: Final = 100_000_000
LEVELS_MIN: Final = 20
LEVELS_MAX: Final = 200
LEVELS_START: Final = 100
GAP_NS_QUIET: Final = 16_000_000  # mean time between events without excitation
EXCITE_MAX: Final = 4_000  # of EXCITE_ONE: bursts of at most five times the quiet rate
EXCITE_ONE: Final = 1_000
EXCITE_JUMP: Final = 140
EXCITE_HALF_NS: Final = 80_000_000

# -log(1 - (i + 0.5)/256) * 1024, written down: waiting times without a logarithm at run time
_EXPONENTIAL: Final = (
    2, 6, 10, 14, 18, 22, 26, 30, 35, 39, 43, 47, 51, 55, 60, 64,
    68, 73, 77, 81, 85, 90, 94, 99, 103, 107, 112, 116, 121, 125, 130, 134,
    139, 144, 148, 153, 158, 162, 167, 172, 176, 181, 186, 191, 196, 200, 205, 210,
    215, 220, 225, 230, 235, 240, 245, 250, 255, 260, 266, 271, 276, 281, 287, 292,
    297, 303, 308, 313, 319, 324, 330, 335, 341, 347, 352, 358, 364, 369, 375, 381,
    387, 392, 398, 404, 410, 416, 422, 428, 434, 441, 447, 453, 459, 465, 472, 478,
    484, 491, 497, 504, 510, 517, 524, 530, 537, 544, 551, 558, 565, 572, 579, 586,
    593, 600, 607, 614, 622, 629, 636, 644, 651, 659, 667, 674, 682, 690, 698, 706,
    714, 722, 730, 738, 746, 755, 763, 772, 780, 789, 797, 806, 815, 824, 833, 842,
    851, 860, 870, 879, 889, 898, 908, 917, 927, 937, 947, 957, 968, 978, 988, 999,
    1010, 1020, 1031, 1042, 1054, 1065, 1076, 1088, 1099, 1111, 1123, 1135, 1147, 1160, 1172, 1185,
    1197, 1210, 1224, 1237, 1250, 1264, 1278, 1292, 1306, 1321, 1335, 1350, 1365, 1380, 1396, 1412,
    1428, 1444, 1460, 1477, 1494, 1512, 1529, 1547, 1565, 1584, 1603, 1622, 1642, 1662, 1683, 1704,
    1725, 1747, 1769, 1792, 1815, 1839, 1863, 1888, 1914, 1940, 1967, 1995, 2023, 2052, 2082, 2113,
    2145, 2179, 2213, 2248, 2285, 2322, 2362, 2403, 2445, 2490, 2537, 2585, 2637, 2690, 2747, 2808,
    2872, 2940, 3013, 3092, 3177, 3270, 3373, 3487, 3615, 3762, 3933, 4138, 4395, 4740, 5263, 6388,
)  # fmt: skip


class Chance:
    """splitmix64."""

    def __init__(self, seed: int) -> None:
        self._state = seed & MASK

    def bits(self) -> int:
        """Draw 64 bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed ^ (mixed >> 31)

    def below(self, limit: int) -> int:
        """Draw an integer from 0 up to but not including `limit`."""
        return (self.bits() >> 11) % limit

    def waiting_ns(self, mean_ns: int) -> int:
        """Draw an exponentially distributed time."""
        return _EXPONENTIAL[self.bits() & 255] * mean_ns >> 10


class Shape(NamedTuple):
    """The scale of a symbol's market: first price, tick, lot, and a usual quantity in lots."""

    price: int
    tick: int
    lot: int
    size: int


class _Symbol:
    """One symbol's book and the next thing to happen in it."""

    def __init__(self, symbol: str, shape: Shape, wording: Wording, *, seed: int, start_ns: int, gap_ns: int) -> None:
        self.symbol = symbol
        self.gap_ns = gap_ns
        self.wording = wording
        self.chance = Chance(seed)
        price = shape.price
        self.tick = shape.tick
        self.step = max(1, price // 100_000 // self.tick)  # a usual distance between levels, in ticks
        self.lot = shape.lot
        self.size = shape.size
        self.bids: list[list[int]] = []  # [price, quantity], best first
        self.asks: list[list[int]] = []
        self.update_id = 1_000_000 + self.chance.below(1_000_000)
        self.trade_id = 1_000_000
        self.excitement = 0
        self.pressure = 0  # above 0: buyers dominate; it decays
        self.next_event_ns = start_ns + self.chance.waiting_ns(gap_ns)
        self.next_diff_ns = start_ns + DIFF_NS
        self.shift_ns = 0  # the stamps move with the lines: a market that waited is not old
        self.diff_first_id = self.update_id + 1
        self.changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        below = above = price
        for _ in range(LEVELS_START):
            self.bids.append([below, self._quantity()])
            above += self.tick * (1 + (self.chance.below(2 * self.step) if self.asks else 0))
            self.asks.append([above, self._quantity()])
            below -= self.tick * (1 + self.chance.below(2 * self.step))

    def _quantity(self) -> int:
        small = 1 + self.chance.below(self.size)
        return self.lot * (small * (1 + self.chance.below(8)) if self.chance.below(4) == 0 else small)

    def snapshot(self) -> DepthSnapshot:
        return DepthSnapshot(self.update_id, [(p, q) for p, q in self.bids], [(p, q) for p, q in self.asks])

    @property
    def due_ns(self) -> int:
        return min(self.next_event_ns, self.next_diff_ns)

    def advance(self) -> list[bytes]:
        """Return the messages of the next due time."""
        if self.next_diff_ns <= self.next_event_ns:
            now_ns, self.next_diff_ns = self.next_diff_ns, self.next_diff_ns + DIFF_NS
            return self._diff(now_ns)
        now_ns = self.next_event_ns
        top = (*self.bids[0], *self.asks[0])
        prints: list[TradePrint] = []
        kind = self.chance.below(100)
        if kind < 12 + min(10, self.excitement * 10 // EXCITE_MAX):
            prints = self._trade(now_ns)
        elif kind < 62:
            self._touch_top()
        else:
            self._touch_deep()
        self._keep_shape()
        self._schedule(now_ns, excited=bool(prints))
        name = self.symbol.lower()
        frames = [combined(f"{name}@trade", self.wording.trade(self.symbol, trade)) for trade in prints]
        if top != (*self.bids[0], *self.asks[0]):
            quote = SimQuote(self.update_id, *self.bids[0], *self.asks[0])
            frames.append(
                combined(f"{name}@bookTicker", self.wording.quote(self.symbol, quote, now_ns + self.shift_ns))
            )
        return frames

    def _diff(self, now_ns: int) -> list[bytes]:
        bids = sorted(self.changed[0].items(), reverse=True)
        asks = sorted(self.changed[1].items())
        if self.update_id < self.diff_first_id:
            return []
        diff = DepthDiff(self.diff_first_id, self.update_id, bids, asks)
        self.diff_first_id = self.update_id + 1
        self.changed = ({}, {})
        data = self.wording.diff(self.symbol, diff, now_ns + self.shift_ns)
        return [combined(f"{self.symbol.lower()}@depth@100ms", data)]

    def _schedule(self, now_ns: int, *, excited: bool) -> None:
        mean_ns = self.gap_ns * EXCITE_ONE // (EXCITE_ONE + self.excitement)
        gap_ns = max(1_000, self.chance.waiting_ns(mean_ns))
        self.next_event_ns = now_ns + gap_ns
        self.excitement = self.excitement * EXCITE_HALF_NS // (EXCITE_HALF_NS + gap_ns)
        self.excitement = min(EXCITE_MAX, self.excitement + EXCITE_JUMP * (4 if excited else 1) // 2)
        leaked = abs(self.pressure) * 63 // 64  # of the size: rounding has no direction
        self.pressure = leaked if self.pressure > 0 else -leaked

    def _set(self, side: int, index: int, quantity: int) -> None:
        levels = self.asks if side else self.bids
        self.update_id += 1
        self.changed[side][levels[index][0]] = quantity
        if quantity:
            levels[index][1] = quantity
        else:
            del levels[index]

    def _insert(self, side: int, price: int, quantity: int) -> None:
        levels = self.asks if side else self.bids
        sign = 1 if side else -1
        index = 0
        while index < len(levels) and (levels[index][0] - price) * sign < 0:
            index += 1
        if index < len(levels) and levels[index][0] == price:
            self._set(side, index, levels[index][1] + quantity)
            return
        levels.insert(index, [price, quantity])
        self._set(side, index, quantity)

    def _trade(self, now_ns: int) -> list[TradePrint]:
        """Trade a market order: mostly a share of the best level, sometimes through several levels."""
        buying = self.chance.below(1_000) < 500 + max(-350, min(350, self.pressure))
        self.pressure += 25 if buying else -25
        side = 1 if buying else 0
        levels = self.asks if buying else self.bids
        wanted = self._quantity() * (1 + (self.chance.below(6) if self.chance.below(5) == 0 else 0))
        prints = []
        while wanted and len(levels) > LEVELS_MIN:
            price, available = levels[0]
            quantity = min(wanted, available)
            wanted -= quantity
            self.trade_id += 1
            prints.append(TradePrint(self.trade_id, price, quantity, now_ns + self.shift_ns, not buying))
            self._set(side, 0, available - quantity)
        return prints

    def _touch_top(self) -> None:
        """Add and remove orders at the best prices, and narrow a wide spread."""
        side = self.chance.below(2)
        levels = self.asks if side else self.bids
        spread = (self.asks[0][0] - self.bids[0][0]) // self.tick
        if spread > 1 and self.chance.below(4):
            ahead = self.tick * (1 + self.chance.below(min(spread - 1, self.step)))
            self._insert(side, levels[0][0] + (-ahead if side else ahead), self._quantity())
        elif self.chance.below(3):
            self._set(side, 0, levels[0][1] + self._quantity() // 4 // self.lot * self.lot + self.lot)
        else:
            self._set(side, 0, max(0, levels[0][1] - self._quantity()))

    def _touch_deep(self) -> None:
        side = self.chance.below(2)
        levels = self.asks if side else self.bids
        index = 1 + self.chance.below(len(levels) - 1)
        if self.chance.below(3) == 0:
            away = self.tick * (1 + self.chance.below(2 * self.step))
            self._insert(side, levels[index][0] + (away if side else -away), self._quantity())
        elif self.chance.below(4) == 0:
            self._set(side, index, 0)
        else:
            self._set(side, index, self._quantity())

    def _keep_shape(self) -> None:
        for side, levels in ((0, self.bids), (1, self.asks)):
            while len(levels) < LEVELS_START // 2:
                away = self.tick * (1 + self.chance.below(2 * self.step))
                self._insert(side, levels[-1][0] + (away if side else -away), self._quantity())
            while len(levels) > LEVELS_MAX:
                self._set(side, len(levels) - 1, 0)


SPOT_SHAPES: Final = {
    "BTCUSDT": Shape(units("60000"), units("0.01"), units("0.00001"), 40_000),
    "ETHUSDT": Shape(units("2600"), units("0.01"), units("0.0001"), 80_000),
}
ANY_SHAPE: Final = Shape(100 * ONE, units("0.01"), units("0.001"), 10_000)


class SyntheticMarket:
    """A SimMarket that generates its symbols' streams from a seed."""

    def __init__(
        self,
        symbols: tuple[str, ...],
        *,
        seed: int,
        start_ns: int,
        wording: Wording = SPOT_WORDING,
        shapes: Mapping[str, Shape] = SPOT_SHAPES,
        gap_ns: int = GAP_NS_QUIET,
    ) -> None:
        """Make the market; `gap_ns` is the mean time between two events of a symbol without excitation."""
        self.symbols = symbols
        self.streams = frozenset(
            f"{symbol.lower()}@{kind}" for symbol in symbols for kind in ("depth@100ms", "bookTicker", "trade")
        )
        self._shift_ns = 0
        self._ready: list[Line] = []
        self._agenda: list[tuple[int, int, _Symbol]] = []
        for number, symbol in enumerate(symbols):
            shape = shapes.get(symbol, ANY_SHAPE)
            own_seed = Chance((seed << 8) + number).bits()
            made = _Symbol(symbol, shape, wording, seed=own_seed, start_ns=start_ns, gap_ns=gap_ns)
            self._agenda.append((made.due_ns, number, made))
            self._ready.append(Line(start_ns, "", symbol, wording.snapshot(made.snapshot(), start_ns)))
        heapify(self._agenda)
        self._ready.reverse()

    @property
    def next_due_ns(self) -> int | None:
        """When the next line is due; the market never ends."""
        self._fill()
        return self._ready[-1].due_ns

    def next_line(self) -> Line:
        """Return the next line."""
        self._fill()
        return self._ready.pop()

    def is_snapshot_next(self) -> bool:
        """Return True if the next line is a depth snapshot."""
        self._fill()
        return not self._ready[-1].stream

    def shift(self, ns: int) -> None:
        """Move all lines to come by so much."""
        self._shift_ns += ns
        for _, _, symbol in self._agenda:
            symbol.shift_ns += ns
        self._ready = [line._replace(due_ns=line.due_ns + ns) for line in self._ready]

    def _fill(self) -> None:
        while not self._ready:
            due_ns, number, symbol = self._agenda[0]
            frames = symbol.advance()
            heapreplace(self._agenda, (symbol.due_ns, number, symbol))
            for frame in reversed(frames):
                stream = frame[11 : frame.index(b'"', 11)].decode()
                self._ready.append(Line(due_ns + self._shift_ns, stream, symbol.symbol, frame))
