"""A market of one symbol in beats: at each a trade, a quote and a diff of the book around the price that the test sets."""

from engine.session_record import SECOND_NS
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
from engine.sim.units import units
from verbatim.testing import START_NS, VirtualVenue

CENT, LOT = units("0.01"), units("0.00001")
Levels = list[tuple[int, int]]


class BeatMarket:
    """A SimMarket. Bid and ask are a cent below and above `price`; each level, a cent from the next, offers `size`.

    Args:
        price: The price of the first snapshot. A test may set it, and `size`, at any time: they hold from the next beat on.
        beat_ns: The time between two beats.
        levels: The number of levels of each side.
        size: The quantity of each level in lots.
        restated: The number of levels that each diff states again, from the top; a moved price states all.
        sizes: The number of sizes that the levels take in turn, a lot apart.
        is_book_first: The trade follows quote and book; else it precedes them.
    """

    symbols = ("BTCUSDT",)
    streams = frozenset({"btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"})

    def __init__(
        self,
        price: str = "60000",
        *,
        beat_ns: int = SECOND_NS // 10,
        levels: int = 5,
        size: int = 200_000,
        restated: int | None = None,
        sizes: int = 1,
        is_book_first: bool = False,
    ) -> None:
        self.price = price
        self.size = size * LOT
        self.messages = 0
        self._beat_ns, self._levels, self._sizes = beat_ns, levels, sizes
        self._restated = levels if restated is None else restated
        self._is_book_first = is_book_first
        self._beat, self._trade_id, self._begin_ns = 0, 0, START_NS
        self._trades: list[tuple[str, int]] = []
        self._bids, self._asks = self._book(levels)
        self._lines = [Line(START_NS, "", "BTCUSDT", snapshot_data(DepthSnapshot(1_000, self._bids, self._asks)))]

    def trade(self, price: str, quantity: str) -> None:
        """Print a trade with the next beat, at any price: the book stays as it is."""
        self._trades.append((price, units(quantity)))

    @property
    def next_due_ns(self) -> int:
        """When the next line is due."""
        return self._lines[0].due_ns if self._lines else self._begin_ns + (self._beat + 1) * self._beat_ns

    def next_line(self) -> Line:
        """Return the next line."""
        if not self._lines:
            self._fill()
        self.messages += 1
        return self._lines.pop(0)

    def is_snapshot_next(self) -> bool:
        """Return True if the next line is a depth snapshot."""
        return bool(self._lines) and not self._lines[0].stream

    def shift(self, ns: int) -> None:
        """Move all lines to come by so much."""
        self._begin_ns += ns
        self._lines = [line._replace(due_ns=line.due_ns + ns) for line in self._lines]

    def _book(self, levels: int) -> tuple[Levels, Levels]:
        mid, size = units(self.price), self.size + self._beat % self._sizes * LOT
        steps = range(1, levels + 1)
        return [(mid - CENT * step, size) for step in steps], [(mid + CENT * step, size) for step in steps]

    def _fill(self) -> None:
        self._beat += 1
        at_ns, update = self._begin_ns + self._beat * self._beat_ns, 1_000 + self._beat
        bids, asks = self._book(self._levels)
        is_moved = bids[0][0] != self._bids[0][0]
        stated = self._levels if is_moved else self._restated
        gone_bids = [(price, 0) for price, _ in self._bids if price < bids[-1][0] or price > bids[0][0]]
        gone_asks = [(price, 0) for price, _ in self._asks if price > asks[-1][0] or price < asks[0][0]]
        self._bids, self._asks = bids, asks
        diff = DepthDiff(update, update, [*gone_bids, *bids[:stated]], [*gone_asks, *asks[:stated]])
        if not self._is_book_first:
            self._add_trades(at_ns)
        self._add(at_ns, "bookTicker", quote_data("BTCUSDT", SimQuote(update, *bids[0], *asks[0])))
        self._add(at_ns, "depth@100ms", diff_data("BTCUSDT", diff, at_ns))
        if self._is_book_first:
            self._add_trades(at_ns)

    def _add_trades(self, at_ns: int) -> None:
        trades, self._trades = [*self._trades, (self.price, LOT)], []
        for price, quantity in trades:
            self._trade_id += 1
            trade = TradePrint(self._trade_id, units(price), quantity, at_ns, buyer_is_maker=False)
            self._add(at_ns, "trade", trade_data("BTCUSDT", trade))

    def _add(self, at_ns: int, kind: str, data: bytes) -> None:
        stream = f"btcusdt@{kind}"
        self._lines.append(Line(at_ns, stream, "BTCUSDT", combined(stream, data)))


def moved_venue(price: int = 1_000, *, size: int = 100_000) -> tuple[VirtualVenue, BeatMarket]:
    """Return a venue without fees on a market of one beat a second, 40 levels deep; `size` is of each, in lots."""
    market = BeatMarket(str(price), beat_ns=SECOND_NS, levels=40, size=size, is_book_first=True)
    return VirtualVenue(market=market, fees=("0", "0")), market
