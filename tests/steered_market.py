"""A market that a test steers: a beat each 100 ms with a trade, a quote and a book around the price that the test set."""

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
from verbatim.testing import START_NS

BEAT_NS = 100_000_000
CENT = units("0.01")
SIZE = units("2")  # offered at each level
LEVELS = 5


class SteeredMarket:
    """One symbol. Bid and ask are a cent below and above `price`; `trade` prints one trade beside the regular ones."""

    symbols = ("BTCUSDT",)
    streams = frozenset({"btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"})

    def __init__(self, price: str = "60000") -> None:
        self.price = price
        self._beat, self._trade_id = 0, 0
        self._trades: list[tuple[str, str]] = []
        self._bids, self._asks = self._levels()
        self._lines = [Line(START_NS, "", "BTCUSDT", snapshot_data(DepthSnapshot(1_000, self._bids, self._asks)))]
        self._begin_ns = START_NS

    def trade(self, price: str, quantity: str) -> None:
        """Print a trade with the next beat, at any price: the book stays as it is."""
        self._trades.append((price, quantity))

    @property
    def next_due_ns(self) -> int:
        """When the next line is due."""
        return self._lines[0].due_ns if self._lines else self._begin_ns + (self._beat + 1) * BEAT_NS

    def next_line(self) -> Line:
        """Return the next line."""
        return self._filled().pop(0)

    def is_snapshot_next(self) -> bool:
        """Return True if the next line is a depth snapshot."""
        return bool(self._lines) and not self._lines[0].stream

    def shift(self, ns: int) -> None:
        """Move all lines to come by so much."""
        self._begin_ns += ns
        self._lines = [line._replace(due_ns=line.due_ns + ns) for line in self._lines]

    def _levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        mid = units(self.price)
        bids = [(mid - CENT * level, SIZE) for level in range(1, LEVELS + 1)]
        asks = [(mid + CENT * level, SIZE) for level in range(1, LEVELS + 1)]
        return bids, asks

    def _filled(self) -> list[Line]:
        if self._lines:
            return self._lines
        self._beat += 1
        at_ns, update = self._begin_ns + self._beat * BEAT_NS, 1_000 + self._beat
        bids, asks = self._levels()
        gone_bids = [(price, 0) for price, _ in self._bids if (price, SIZE) not in bids]
        gone_asks = [(price, 0) for price, _ in self._asks if (price, SIZE) not in asks]
        self._bids, self._asks = bids, asks
        quote = SimQuote(update, bids[0][0], SIZE, asks[0][0], SIZE)
        diff = DepthDiff(update, update, [*gone_bids, *bids], [*gone_asks, *asks])
        trades, self._trades = [*self._trades, (self.price, "0.00001")], []
        for price, quantity in trades:
            self._trade_id += 1
            trade = TradePrint(self._trade_id, units(price), units(quantity), at_ns, buyer_is_maker=False)
            self._add(at_ns, "trade", trade_data("BTCUSDT", trade))
        self._add(at_ns, "bookTicker", quote_data("BTCUSDT", quote))
        self._add(at_ns, "depth@100ms", diff_data("BTCUSDT", diff, at_ns))
        return self._lines

    def _add(self, at_ns: int, kind: str, data: bytes) -> None:
        stream = f"btcusdt@{kind}"
        self._lines.append(Line(at_ns, stream, "BTCUSDT", combined(stream, data)))
