"""One symbol of the venue's books as readers see it: levels, tape, minutes and prices derived from them.

Reads the arrays of engine/sim/exchange/venue_books.py and decides nothing.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final, NamedTuple

from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Side
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange import venue_arrays as arrays
from engine.sim.exchange.order_values import SimOrder
from engine.sim.exchange.venue_books import VenueBooks
from engine.sim.feeds.sim_market import SimQuote, TradePrint
from engine.sim.units import ONE, product

AVERAGE_MINUTES: Final = 5  # avgPriceMins of the filters
SECOND_NS: Final = 1_000_000_000


class MinuteBar(NamedTuple):
    """A minute of trades, in the order of its array (matching_kernel.M_...)."""

    start_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int
    taker_base: int
    taker_quote: int
    first_id: int
    last_id: int


class SymbolMarket:
    """The books, the tape and the resting orders of one symbol."""

    def __init__(self, rules: SymbolRules, books: VenueBooks, place: int) -> None:
        self.rules = rules
        self.place = place
        self.history: tuple[MinuteBar, ...] = ()  # the minutes before the market began
        self._books = books

    def _number(self, field: int) -> int:
        return int(self._books.v[self.place, field])

    # ---- the public book, without resting orders and what they consumed

    @property
    def joined(self) -> bool:
        """Return True after the first snapshot."""
        return bool(self._number(arrays.V_JOINED))

    @property
    def gaps(self) -> int:
        """Return the number of diffs that did not continue the previous one: losses of the capture."""
        return self._number(arrays.V_GAPS)

    @property
    def update_id(self) -> int:
        """Return the last update id."""
        return self._number(arrays.V_ID)

    def top(self, limit: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best bids and asks of the public book."""
        return self._books.public(self.place, r.BID, limit), self._books.public(self.place, r.ASK, limit)

    @property
    def quote(self) -> SimQuote | None:
        """Return the last quote; None before the first."""
        if not self._number(arrays.V_QUOTED):
            return None
        return SimQuote(*self._books.v[self.place, arrays.V_QUOTE_ID : arrays.V_ASK_SIZE + 1].tolist())

    # ---- the matching book

    def offers(self, side: Side) -> Iterator[tuple[int, int]]:
        """Yield (price, quantity left to consume) of a side, best first."""
        return self._books.offers(self.place, _row(side))

    def best(self, side: Side) -> int | None:
        """Return the best price of a side; None if the side is empty."""
        return next((price for price, _ in self.offers(side)), None)

    def quantity(self, side: Side, price: int) -> int:
        """Return the market's size at a price: the queue that a new order joins."""
        return self._books.level(self.place, _row(side), price)

    def consume(self, side: Side, price: int, quantity: int) -> None:
        """Consume size of a level until that level changes."""
        self._books.consume(self.place, _row(side), price, quantity)

    # ---- the tape

    @property
    def prints(self) -> list[TradePrint]:
        """Return the last trades, oldest first."""
        count = self._number(arrays.V_PRINTS)
        tape = self._books.prints[self.place]
        return [_print(tape[n % arrays.PRINTS_KEPT]) for n in range(max(0, count - arrays.PRINTS_KEPT), count)]

    def prints_last(self) -> TradePrint:
        """Return the last trade; the symbol must have had one."""
        return _print(self._books.prints[self.place, (self._number(arrays.V_PRINTS) - 1) % arrays.PRINTS_KEPT])

    @property
    def has_prints(self) -> bool:
        """Return True after the first trade."""
        return bool(self._number(arrays.V_PRINTS))

    @property
    def minutes(self) -> list[MinuteBar]:
        """Return the minutes of the history and those with trades, oldest first."""
        bars = self.bars
        first_ns = bars[0].start_ns if bars else None
        return [*(bar for bar in self.history if first_ns is None or bar.start_ns < first_ns), *bars]

    @property
    def seconds(self) -> list[MinuteBar]:
        """A bar for each second of the kept trades, oldest first, without a second whose first trades are dropped."""
        found: list[MinuteBar] = []
        for start_ns, group in groupby(self.prints, lambda trade: trade.time_ns - trade.time_ns % SECOND_NS):
            trades = list(group)
            takers = [trade for trade in trades if not trade.buyer_is_maker]
            prices = [trade.price for trade in trades]
            found.append(
                MinuteBar(
                    start_ns=start_ns,
                    open=prices[0],
                    high=max(prices),
                    low=min(prices),
                    close=prices[-1],
                    volume=sum(trade.quantity for trade in trades),
                    quote=sum(product(trade.price, trade.quantity) for trade in trades),
                    trades=len(trades),
                    taker_base=sum(trade.quantity for trade in takers),
                    taker_quote=sum(product(trade.price, trade.quantity) for trade in takers),
                    first_id=trades[0].trade_id,
                    last_id=trades[-1].trade_id,
                )
            )
        return found[1:] if self._number(arrays.V_PRINTS) > arrays.PRINTS_KEPT else found

    @property
    def bar_last(self) -> MinuteBar:
        """Return the newest minute; the symbol must have had a trade."""
        return self._bars(1)[0]

    @property
    def bars(self) -> list[MinuteBar]:
        """Return the minutes with trades, oldest first."""
        return self._bars(arrays.MINUTES_KEPT)

    def _bars(self, most: int) -> list[MinuteBar]:
        count = self._number(arrays.V_BARS)
        minutes = self._books.minutes[self.place]
        return [MinuteBar(*minutes[n % arrays.MINUTES_KEPT].tolist()) for n in range(max(0, count - most), count)]

    def last_price(self) -> int:
        """Return the last trade's price; before the first, the middle of the book; 0 if both are missing."""
        if bars := self._bars(1):
            return bars[0].close
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        return (bid + ask) // 2 if bid is not None and ask is not None else bid or ask or 0

    def trigger_price(self) -> int:
        """Return the price that triggers stops: the last trade's, or the middle of the quote if only quotes come."""
        quote = self.quote
        if self._number(arrays.V_QUOTES_ALONE) and quote is not None:
            return (quote.bid + quote.ask) // 2
        return self.last_price()

    def average_price(self) -> int:
        """Return the volume-weighted price of the last minutes, as the filters use it."""
        count, minutes = self._number(arrays.V_BARS), self._books.minutes[self.place]
        recent = range(max(0, count - AVERAGE_MINUTES), count)
        traded = [minutes[n % arrays.MINUTES_KEPT, arrays.M_VOLUME : arrays.M_QUOTE + 1].tolist() for n in recent]
        volume = sum([base for base, _ in traded])
        return sum([quote for _, quote in traded]) * ONE // volume if volume else self.last_price()

    def pop_funding(self) -> tuple[int, int, int]:
        """Return (mark price, rate, time) of the due funding and forget its time; the next mark has the next one."""
        price, rate, due_ns = (
            self._number(arrays.V_MARK),
            self._number(arrays.V_RATE),
            self._number(arrays.V_FUNDING_NS),
        )
        self._books.v[self.place, arrays.V_FUNDING_NS] = 0
        return price, rate, due_ns

    # ---- resting orders, best price first, then by age

    def rest(self, order: SimOrder) -> None:
        """Put an order at the end of its queue."""
        order.on_book = True
        order.shown = min(order.iceberg_quantity, order.leaves)
        order.queue_ahead = order.queue_shown = self.quantity(order.side, order.price)
        order.queue_front = float(order.queue_ahead)
        order.queue_since = self._number(arrays.V_PLACED)
        self._books.rest(order)

    def remove(self, order: SimOrder) -> None:
        """Remove a resting order."""
        order.on_book = False
        self._books.remove(order)

    def resting(self, side: Side) -> list[SimOrder]:
        """Return the resting orders of a side."""
        return [order for order in self._books.resting if order.place == self.place and order.side is side]


def _row(side: Side) -> int:
    return r.BID if side is Side.BUY else r.ASK


def _print(numbers: Rows) -> TradePrint:
    trade_id, price, quantity, time_ns, maker = numbers.tolist()
    return TradePrint(trade_id, price, quantity, time_ns, bool(maker))
