"""One symbol as the venue sees it: the books, what was printed lately, and our resting orders.

Folds the public messages of a market (engine.sim.market). Fills nobody: engine.sim.exchange does.
"""

from bisect import insort
from collections import deque
from typing import Final

from engine.model import Side
from engine.sim.book import Book, PublicBook
from engine.sim.filters import SymbolRules
from engine.sim.market import Diff, Print, Quote, Snapshot
from engine.sim.orders import Order
from engine.sim.units import ONE, product

PRINTS_MAX: Final = 1000  # GET trades answers at most so many
BARS_MAX: Final = 1500  # minutes: a day and an hour, for GET klines and ticker/24hr
AVERAGE_MINUTES: Final = 5  # avgPriceMins of the filters
PENDING_DIFFS_MAX: Final = 10_000
MINUTE_NS: Final = 60_000_000_000


class Bar:
    """A minute of trades."""

    __slots__ = ("close", "count", "first_id", "high", "last_id", "low", "open", "quote", "start_ns", "taker_base",
                 "taker_quote", "volume")  # fmt: skip

    def __init__(self, start_ns: int, trade: Print) -> None:
        self.start_ns = start_ns
        self.open = self.high = self.low = self.close = trade.price
        self.volume = self.quote = self.taker_base = self.taker_quote = self.count = 0
        self.first_id = self.last_id = trade.trade_id

    def add(self, trade: Print) -> None:
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.close, self.last_id = trade.price, trade.trade_id
        quote = product(trade.price, trade.quantity)
        self.volume += trade.quantity
        self.quote += quote
        self.count += 1
        if not trade.buyer_is_maker:
            self.taker_base += trade.quantity
            self.taker_quote += quote


class SymbolMarket:
    def __init__(self, rules: SymbolRules) -> None:
        self.rules = rules
        self.book = Book()
        self.public = PublicBook()
        self.prints: deque[Print] = deque(maxlen=PRINTS_MAX)
        self.bars: deque[Bar] = deque(maxlen=BARS_MAX)
        self.quote: Quote | None = None
        self.joined = False  # a snapshot has come
        self.gaps = 0  # diffs that did not follow their predecessor: the capture's own losses
        self._pending: deque[Diff] = deque(maxlen=PENDING_DIFFS_MAX)  # diffs before the snapshot: one of them joins it
        self._resting: dict[Side, list[tuple[int, int, Order]]] = {Side.BUY: [], Side.SELL: []}

    # ---- the market's messages

    def snapshot(self, snapshot: Snapshot) -> None:
        self.book.reset(snapshot.bids, snapshot.asks, snapshot.update_id)
        self.public.reset(snapshot.bids, snapshot.asks, snapshot.update_id)
        self.joined = True
        for diff in self._pending:
            self.diff(diff)
        self._pending.clear()

    def diff(self, diff: Diff) -> None:
        if not self.joined:
            self._pending.append(diff)
            return
        if diff.update_id <= self.public.update_id:
            return
        self.gaps += diff.update_id_first > self.public.update_id + 1
        self.book.apply_diff(diff.bids, diff.asks, diff.update_id)
        self.public.apply_diff(diff.bids, diff.asks, diff.update_id)

    def best_quote(self, quote: Quote) -> None:
        self.quote = quote
        self.book.apply_quote(
            bid=quote.bid,
            bid_quantity=quote.bid_quantity,
            ask=quote.ask,
            ask_quantity=quote.ask_quantity,
            update_id=quote.update_id,
        )

    def printed(self, trade: Print) -> None:
        self.prints.append(trade)
        start_ns = trade.time_ns - trade.time_ns % MINUTE_NS
        if not self.bars or self.bars[-1].start_ns < start_ns:
            self.bars.append(Bar(start_ns, trade))
        self.bars[-1].add(trade)

    # ---- prices derived from them

    def last_price(self) -> int:
        """The last trade's price; before any, the middle of the book; 0 where there is neither."""
        if self.prints:
            return self.prints[-1].price
        bid, ask = self.book.best(Side.BUY), self.book.best(Side.SELL)
        return (bid + ask) // 2 if bid is not None and ask is not None else bid or ask or 0

    def average_price(self) -> int:
        """Volume-weighted over the last minutes, as the filters use it."""
        recent = list(self.bars)[-AVERAGE_MINUTES:]
        volume = sum(bar.volume for bar in recent)
        return sum(bar.quote for bar in recent) * ONE // volume if volume else self.last_price()

    # ---- our resting orders, best price first, then by age

    def rest(self, order: Order) -> None:
        order.on_book = True
        order.queue_ahead = self.book.quantity(order.side, order.price)
        insort(self._resting[order.side], (-order.price * order.side.sign, order.order_id, order))

    def remove(self, order: Order) -> None:
        order.on_book = False
        self._resting[order.side].remove((-order.price * order.side.sign, order.order_id, order))

    @property
    def has_resting(self) -> bool:
        return bool(self._resting[Side.BUY] or self._resting[Side.SELL])

    def resting(self, side: Side) -> list[Order]:
        return [order for _, _, order in self._resting[side]]

    def shrink_queues(self) -> None:
        """What the market no longer shows at our price cannot stand before us."""
        for side, entries in self._resting.items():
            for _, _, order in entries:
                if order.queue_ahead:
                    order.queue_ahead = min(order.queue_ahead, self.book.quantity(side, order.price))
