"""Other people's liquidity in one symbol, and what our orders have taken of it.

Taken stays taken until that level next changes. Knows nothing of our own orders, accounts or time.
Amounts are integers in units of 1e-8.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

from engine.model import Side

Levels = Iterable[tuple[int, int]]  # (price, quantity); quantity 0 removes the level


class _Ladder:
    """One side: price -> quantity, its prices in rising order, and what was taken at each price."""

    def __init__(self) -> None:
        self.quantities: dict[int, int] = {}
        self.prices: list[int] = []
        self.taken: dict[int, int] = {}

    def clear(self) -> None:
        self.quantities.clear()
        self.prices.clear()
        self.taken.clear()

    def set(self, price: int, quantity: int) -> None:
        before = self.quantities.get(price)
        if quantity == (before or 0):
            return  # the level did not change, so what was taken stays taken
        self.taken.pop(price, None)
        if not quantity:
            del self.quantities[price]
            del self.prices[bisect_left(self.prices, price)]
            return
        if before is None:
            insort(self.prices, price)
        self.quantities[price] = quantity

    def available(self, price: int) -> int:
        return max(0, self.quantities.get(price, 0) - self.taken.get(price, 0))

    def take(self, price: int, quantity: int) -> None:
        assert 0 < quantity <= self.available(price), (price, quantity)
        self.taken[price] = self.taken.get(price, 0) + quantity


class Book:
    """The book that our orders meet: depth diffs, and on top of them the newest quote where it is the fresher word."""

    def __init__(self) -> None:
        self._bids = _Ladder()
        self._asks = _Ladder()
        self._update_id = 0
        self._quote_id = 0
        self._quote_bid = 0
        self._quote_ask = 0

    def reset(self, bids: Levels, asks: Levels, update_id: int) -> None:
        """A snapshot: all that was known is forgotten."""
        for ladder, levels in ((self._bids, bids), (self._asks, asks)):
            ladder.clear()
            ladder.quantities.update((price, quantity) for price, quantity in levels if quantity)
            ladder.prices.extend(sorted(ladder.quantities))
        self._update_id = update_id
        self._quote_id = 0

    def apply_diff(self, bids: Levels, asks: Levels, update_id: int) -> None:
        """Absolute quantities. Where a newer quote has spoken (at its prices and better), the older diff is silent."""
        if update_id >= self._quote_id:
            for price, quantity in bids:
                self._bids.set(price, quantity)
            for price, quantity in asks:
                self._asks.set(price, quantity)
        else:
            for price, quantity in bids:
                if price < self._quote_bid:
                    self._bids.set(price, quantity)
            for price, quantity in asks:
                if price > self._quote_ask:
                    self._asks.set(price, quantity)
        self._update_id = update_id

    def apply_quote(self, *, bid: int, bid_quantity: int, ask: int, ask_quantity: int, update_id: int) -> None:
        """The best bid and ask as of an update: whatever stood better than them is gone."""
        if update_id < self._update_id or not self._update_id:
            return
        bids, asks = self._bids, self._asks
        while bids.prices and bids.prices[-1] > bid:
            bids.set(bids.prices[-1], 0)
        while asks.prices and asks.prices[0] < ask:
            asks.set(asks.prices[0], 0)
        bids.set(bid, bid_quantity)
        asks.set(ask, ask_quantity)
        self._quote_id, self._quote_bid, self._quote_ask = update_id, bid, ask

    def ladder(self, side: Side) -> _Ladder:
        return self._bids if side is Side.BUY else self._asks

    def quantity(self, side: Side, price: int) -> int:
        """What the market shows at a price: the queue that an order of ours joins."""
        return self.ladder(side).quantities.get(price, 0)

    def best(self, side: Side) -> int | None:
        """The best price still to be had on that side; None where there is none."""
        return next((price for price, _ in self.offers(side)), None)

    def offers(self, side: Side) -> Iterator[tuple[int, int]]:
        """(price, quantity still to be had) from the best on."""
        ladder = self.ladder(side)
        for price in reversed(ladder.prices) if side is Side.BUY else iter(ladder.prices):
            quantity = ladder.available(price)
            if quantity:
                yield price, quantity

    def take(self, side: Side, price: int, quantity: int) -> None:
        self.ladder(side).take(price, quantity)


class PublicBook:
    """The book as depth diffs alone tell it: what GET depth answers. It never shows our orders or what they took."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.update_id = 0

    def reset(self, bids: Levels, asks: Levels, update_id: int) -> None:
        self.bids, self.asks = dict(bids), dict(asks)
        self.update_id = update_id

    def apply_diff(self, bids: Levels, asks: Levels, update_id: int) -> None:
        for levels, changes in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in changes:
                if quantity:
                    levels[price] = quantity
                else:
                    levels.pop(price, None)
        self.update_id = update_id

    def top(self, limit: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return sorted(self.bids.items(), reverse=True)[:limit], sorted(self.asks.items())[:limit]
