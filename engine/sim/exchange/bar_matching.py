"""The matching of orders with a market of bars, which shows no order of the prices within a bar.

A bar first opens: market orders fill at its first price and half a spread. Then its prices reach the waiting orders,
and what is unknown counts against them: an order that limits a loss is triggered before any other order fills, at its
own price and half a spread, or at the bar's first price if that is beyond it. A limit order fills at its price once
the bar traded beyond it, and one that became active within the bar waits for the next. All fills of a bar together
have at most the share of its volume that the model allows (docs/fidelity.md).
"""

from typing import NamedTuple

from engine.model import Side
from engine.sim.exchange.held_orders import trigger_within
from engine.sim.exchange.order_matching import OrderMatching
from engine.sim.exchange.order_values import SimOrder
from engine.sim.exchange.symbol_view import SymbolMarket


class BarPrices(NamedTuple):
    """The prices of a bar, in units."""

    first: int
    high: int
    low: int
    last: int


class BarMatching(OrderMatching):
    """The matching with bars."""

    fills_at_touch = False  # True: a bar that reaches a limit price and does not pass it fills the order

    def _fill_waiting(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Match a market order that waited for a bar; the rest of it waits for the next."""
        if not self.books.bar_left(market.place):
            return
        self._held.remove(order)
        order.working_ns = order.updated_ns = now_ns
        self._match_late(market, order, now_ns)
        self._run_releases(now_ns)
        self._flush_funds(now_ns)

    def _fill_by_bar(self, market: SymbolMarket, bar: BarPrices, now_ns: int) -> None:
        """Trigger and fill the orders that the prices of a bar reach."""
        for order in self._held.list_priced(market.place):
            self._trigger_within_bar(market, order, bar, bar.first, now_ns)
        if self._fill_limits(market, bar, now_ns):
            for order in self._held.list_priced(market.place):
                # a fill of this bar released the order: the bar may have reached its stop later, not its target
                if order.working_ns == now_ns and not order.terms.triggers_on_gain:
                    self._trigger_within_bar(market, order, bar, order.stop_price or bar.last, now_ns)

    def _trigger_within_bar(
        self, market: SymbolMarket, order: SimOrder, bar: BarPrices, first: int, now_ns: int
    ) -> None:
        """Activate a held order if the bar reaches its trigger. `first` is the first price after the order was held."""
        price = trigger_within(order, bar.low, bar.high, (first, bar.last)) if order.is_held else 0
        if price:
            self.books.quote_at(market.place, price, market.rules.tick_size)
            self._activate(market, order, now_ns)

    def _fill_limits(self, market: SymbolMarket, bar: BarPrices, now_ns: int) -> bool:
        """Fill the resting orders that the bar traded through; return True if it filled any."""
        touched = False
        for side, extreme in ((Side.BUY, bar.low), (Side.SELL, bar.high)):
            for order in market.resting(side):
                beyond = (order.price - extreme) * side.sign
                if beyond < 0 or (beyond == 0 and not self.fills_at_touch):
                    break
                if order.working_ns == now_ns:
                    continue
                left = self.books.bar_left(market.place) or 0
                quantity = order.leaves if self.fills_whole else min(order.leaves, left)
                if quantity <= 0:
                    break
                touched = True
                self._fill(order, order.price, quantity, now_ns, maker=True, trade_id=self._new_trade_id())
                self.books.write_queues()  # before a filled order is removed: that reads the queues of all others
                self._settle_maker(order, now_ns)
        if touched:
            self._run_releases(now_ns)
            self._flush_funds(now_ns)
        return touched
