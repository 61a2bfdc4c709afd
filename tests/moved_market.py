"""A market of one symbol whose price the test moves: a second brings one trade, one quote and one diff of the book."""

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
from engine.sim.units import ONE
from verbatim.testing import START_NS, VirtualVenue

CENT, LOT = ONE // 100, ONE // 100_000
LEVELS = 40


class MovedMarket:
    """A SimMarket. `move` sets the price of the next messages: the bid is a cent below it, the ask a cent above."""

    symbols = ("BTCUSDT",)
    streams = frozenset({"btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"})

    def __init__(self, price: int, *, size: int, start_ns: int) -> None:
        self.size = size * LOT  # of each level
        self._price = self._next = price * ONE
        self._beat, self._begin_ns = 0, start_ns
        bids, asks = self._book()
        self._lines = [Line(start_ns, "", "BTCUSDT", snapshot_data(DepthSnapshot(1_000, bids, asks)))]

    def move(self, price: str) -> None:
        """Trade at this price from the next second on."""
        self._next = int(float(price) * 100) * CENT

    @property
    def next_due_ns(self) -> int:
        return self._filled()[0].due_ns

    def next_line(self) -> Line:
        return self._filled().pop(0)

    def is_snapshot_next(self) -> bool:
        return not self._filled()[0].stream

    def shift(self, ns: int) -> None:
        self._begin_ns += ns
        self._lines = [line._replace(due_ns=line.due_ns + ns) for line in self._lines]

    def _book(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        steps = range(1, LEVELS + 1)
        return (
            [(self._price - CENT * step, self.size) for step in steps],
            [(self._price + CENT * step, self.size) for step in steps],
        )

    def _filled(self) -> list[Line]:
        if not self._lines:
            self._beat += 1
            at_ns, update = self._begin_ns + self._beat * SECOND_NS, 1_000 + self._beat
            gone = [[(price, 0) for price, _ in side] for side in self._book()]
            self._price = self._next
            book = self._book()
            bids, asks = ({**dict(before), **dict(after)} for before, after in zip(gone, book, strict=True))
            trade = TradePrint(self._beat, self._price, LOT, at_ns, buyer_is_maker=False)
            quote = SimQuote(update, self._price - CENT, self.size, self._price + CENT, self.size)
            diff = DepthDiff(update, update, sorted(bids.items(), reverse=True), sorted(asks.items()))
            for stream, data in (
                ("btcusdt@depth@100ms", diff_data("BTCUSDT", diff, at_ns)),
                ("btcusdt@bookTicker", quote_data("BTCUSDT", quote)),
                ("btcusdt@trade", trade_data("BTCUSDT", trade)),
            ):
                self._lines.append(Line(at_ns, stream, "BTCUSDT", combined(stream, data)))
        return self._lines


def moved_venue(price: int = 1_000, *, size: int = 100_000) -> tuple[VirtualVenue, MovedMarket]:
    """Return a venue without fees on such a market; `size` is the quantity of each level in lots."""
    market = MovedMarket(price, size=size, start_ns=START_NS)
    return VirtualVenue(market=market, fees=("0", "0")), market
