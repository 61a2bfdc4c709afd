"""The matching of the simulated exchange: orders with the market and each other, triggers, and pending orders.

Settles fills as settlement.py computes them. exchange.py decides when to match.
"""

from typing import Final

from engine.model import Side, TimeInForce
from engine.sim.binance import filters, refusals
from engine.sim.exchange.held_orders import begin_tracking, reaches_stop
from engine.sim.exchange.list_ledger import ListLedger
from engine.sim.exchange.match_plan import Match, amount_to_lock, crossing_offers, opposite, plan_matches, unspent
from engine.sim.exchange.order_lists import ListStatus, SimOrderList, are_prices_related
from engine.sim.exchange.order_values import Execution, SelfTrade, SimFill, SimOrder, SimOrderStatus, SimPreventedMatch
from engine.sim.exchange.settlement import Paid, settle_contract, swap_assets
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.feeds.sim_market import TradePrint
from engine.sim.units import ONE, product

EXPIRED_UNFILLED: Final = {
    TimeInForce.IOC: "UNFILLED_IOC_QUANTITY_EXPIRED",
    TimeInForce.FOK: "UNFILLED_FOK_ORDER_EXPIRED",
}
REJECTED: Final = "REJECTED"  # expiry reason of an order that the matching refuses after its acceptance
# reject reasons (user-data-stream.md)
NO_FUNDS: Final = "INSUFFICIENT_BALANCES"
WOULD_TRIGGER: Final = "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY"
WOULD_MATCH: Final = "WOULD_MATCH_IMMEDIATELY"
BAD_PRICES: Final = "OCO_BAD_PRICES"


class OrderMatching(ListLedger):
    """The matching of the venue's orders. Amounts are integers in units of 1e-8."""

    # True: a touched order fills completely and consumes no liquidity, as other simulators do
    fills_whole = False

    # ---- the market reaches resting orders

    def _fill_by_print(self, market: SymbolMarket, trade: TradePrint, now_ns: int) -> None:
        """Fill the resting orders that a trade reaches.

        A trade at an order's price serves the queue before it first; a trade beyond the price fills it.
        """
        hit = Side.BUY if trade.buyer_is_maker else Side.SELL
        touched = False
        for side in (Side.BUY, Side.SELL):
            left = trade.quantity
            for order in market.resting(side):
                beyond = (order.price - trade.price) * side.sign
                if beyond < 0:
                    break
                if beyond == 0 and side is not hit:
                    continue
                reached = (
                    trade.quantity if beyond > 0 else min(trade.quantity, self.books.excess(order, trade.quantity))
                )
                ours = left - trade.quantity + reached
                order.queue_ahead = 0 if beyond > 0 else max(0, order.queue_ahead - trade.quantity)
                order.queue_front = 0.0 if reached > 0 else order.queue_front - trade.quantity
                order.queue_traded += trade.quantity
                most = self._room(order) if beyond > 0 else min(order.visible, self._room(order))
                quantity = self._room(order) if self.fills_whole and ours > 0 else min(most, ours)
                if quantity > 0:
                    left -= 0 if self.fills_whole else quantity
                    touched = True
                    self._fill(order, order.price, quantity, now_ns, maker=True, trade_id=self._new_trade_id())
                    self.books.write_queues()  # before a filled order is removed: that reads the queues of all others
                    self._settle_maker(order, now_ns)
        if touched:
            self.books.write_queues()
            self._run_releases(now_ns)
            self._flush_funds(now_ns)

    def _fill_by_book(self, market: SymbolMarket, now_ns: int) -> None:
        """Fill resting orders by the market's offers at or better than their price."""
        touched = False
        for side in (Side.BUY, Side.SELL):
            other = opposite(side)
            for order in market.resting(side):
                offers = list(crossing_offers(market, order))
                for price, available in offers:
                    if self.fills_whole:
                        self._fill(order, order.price, order.leaves, now_ns, maker=True, trade_id=self._new_trade_id())
                        touched = True
                        break
                    quantity = min(available, self._room(order))
                    if not quantity:
                        break
                    market.consume(other, price, quantity)
                    self._fill(order, order.price, quantity, now_ns, maker=True, trade_id=self._new_trade_id())
                    touched = True
                    if not order.leaves:
                        break
                if offers:
                    self._settle_maker(order, now_ns)
        if touched:
            self._run_releases(now_ns)
            self._flush_funds(now_ns)

    # ---- triggers and releases

    def _activate(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Match a held order as if it were placed now: the market reached its trigger price."""
        self._held.remove(order)
        self._move_pair_lock(order)
        self._end_sibling(order, now_ns)
        order.working_ns = order.updated_ns = now_ns
        self._report(Execution.NEW, order, now_ns)
        self._match_late(market, order, now_ns)
        self._run_releases(now_ns)
        self._flush_funds(now_ns)

    def _match_late(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Match an order that was accepted earlier. A buy without a limit price locks what it will pay."""
        matches = list(plan_matches(market, order.account, order))
        if order.side is Side.BUY and not order.price and not market.rules.settles_in:
            self._unlock(order, order.locked)
            cost = self._with_fee(order.account, order, amount_to_lock(market, order, matches))
            if cost > self.accounts[order.account].free[market.rules.quote]:
                self._reject_late(order, NO_FUNDS, now_ns)
                return
            self._lock(order, cost)
        self._match(market, order, matches, now_ns)

    def _reject_late(self, order: SimOrder, reason: str, now_ns: int) -> None:
        order.reject_reason = reason
        self._expire(order, REJECTED, now_ns)

    def _run_releases(self, now_ns: int) -> None:
        """Release the pending orders of all lists whose working order is filled."""
        while self._to_release:
            self._release(self._to_release.pop(0), now_ns)

    def _release(self, own: SimOrderList, now_ns: int) -> None:
        """Place the pending orders of a list; if one of them cannot be placed, all expire as rejected."""
        market, orders = self.markets[own.symbol], own.pending
        if not orders:
            return
        if own.is_paid_by_working:
            self._size_by_payment(market, orders)
        if (reason := self._refusal_of(market, own, orders)) is not None:
            for order in orders:
                order.reject_reason = reason
            self._expire_together(own, orders, REJECTED, now_ns)
            self._after_close(orders[-1], now_ns)
            return
        for order in orders:
            order.status = SimOrderStatus.NEW
            order.working_ns = order.updated_ns = now_ns
            if order.terms.trigger is not None:
                begin_tracking(order, market.trigger_price(), now_ns)
                self._held.add(order)
            self._report(Execution.NEW, order, now_ns)
        self._report_list(own, ListStatus.EXEC_STARTED, now_ns)
        for order in orders:
            if not order.is_held:
                self._match_late(market, order, now_ns)

    def _size_by_payment(self, market: SymbolMarket, orders: list[SimOrder]) -> None:
        """Give pending orders the whole lots that their working order brought, and free the rest."""
        lot = market.rules.lot_size or 1
        for order in orders:
            order.quantity = orders[0].locked // lot * lot
        self._unlock_excess(orders[0])

    def _refusal_of(self, market: SymbolMarket, own: SimOrderList, orders: list[SimOrder]) -> str | None:
        """Return why the matching refuses pending orders now, as a reject reason; None if it accepts them."""
        last = market.trigger_price()
        for order in orders:
            if own.is_paid_by_working:
                price = order.price or order.stop_price or market.average_price()
                try:
                    filters.check_quantity(market.rules, order.quantity, has_price=bool(order.price))
                    filters.check_notional(market.rules, product(price, order.quantity), has_price=bool(order.price))
                except refusals.VenueRefusalError:
                    return "NONE"
            if order.terms.trigger is not None and reaches_stop(order, last):
                return WOULD_TRIGGER
            if order.terms.is_post_only and list(plan_matches(market, order.account, order)):
                return WOULD_MATCH
        return BAD_PRICES if own.pair and not are_prices_related(own.pair, last) else None

    # ---- matching

    def _match(self, market: SymbolMarket, order: SimOrder, matches: list[Match], now_ns: int) -> None:
        """Execute an order's matches; rest or end what is left."""
        if order.time_in_force is TimeInForce.FOK and sum(match.quantity for match in matches) < order.quantity:
            matches = []
        self._execute(market, order, matches, now_ns)
        self._settle(market, order, now_ns)

    def _execute(self, market: SymbolMarket, order: SimOrder, matches: list[Match], now_ns: int) -> None:
        if order.quote_quantity:  # Binance reports the executed quantity as the quantity of such an order
            lost = 0 if order.self_trade is SelfTrade.EXPIRE_MAKER else sum(match.prevented for match in matches)
            order.quantity = sum(match.quantity for match in matches) + lost + unspent(market, order, matches)
        for match in matches:
            maker = match.maker
            if maker is not None and not match.quantity:
                self._prevent(order, maker, match, now_ns)
                continue
            quantity = match.quantity if maker is None else min(match.quantity, self._room(maker))
            if not quantity:
                continue
            trade_id = self._new_trade_id()
            if maker is None:
                market.consume(opposite(order.side), match.price, quantity)
            else:
                self._fill(maker, match.price, quantity, now_ns, maker=True, trade_id=trade_id)
                self._settle_maker(maker, now_ns)
            self._fill(order, match.price, quantity, now_ns, maker=False, trade_id=trade_id)

    def _prevent(self, order: SimOrder, maker: SimOrder, match: Match, now_ns: int) -> None:
        """Take from one or both orders of an account what would have traded between them, by the taker's mode."""
        mode = order.self_trade
        taker_loses = mode is not SelfTrade.EXPIRE_MAKER
        maker_loses = mode is not SelfTrade.EXPIRE_TAKER
        number = self._prevented_next.get(order.symbol, 0)
        self._prevented_next[order.symbol] = number + 1
        prevented = SimPreventedMatch(
            symbol=order.symbol,
            match_id=number,
            mode=SelfTrade.DECREMENT if mode.decrements else mode,
            price=match.price,
            taker_order_id=order.order_id,
            maker_order_id=maker.order_id,
            taker_quantity=0 if not taker_loses else match.prevented if mode.decrements else order.leaves,
            maker_quantity=0 if not maker_loses else match.prevented if mode.decrements else maker.leaves,
            quantity=match.prevented,
            time_ns=now_ns,
        )
        order.prevented_matches = [*order.prevented_matches, prevented]
        maker.prevented_matches = [*maker.prevented_matches, prevented]
        if maker_loses:
            self._lose(maker, prevented.maker_quantity, prevented, now_ns)
        if taker_loses:
            self._lose(order, prevented.taker_quantity, prevented, now_ns)

    def _lose(self, order: SimOrder, quantity: int, prevented: SimPreventedMatch, now_ns: int) -> None:
        order.prevented += quantity
        order.prevented_last = quantity
        order.updated_ns = now_ns
        if order.leaves:
            self._unlock_excess(order)
            self._report(Execution.TRADE_PREVENTION, order, now_ns, prevented=prevented)
        else:
            status = SimOrderStatus.EXPIRED_IN_MATCH
            self._end(order, status, Execution.TRADE_PREVENTION, now_ns, prevented=prevented)

    def _settle(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Close, rest or expire an order after matching."""
        if order.status is SimOrderStatus.FILLED:
            self._close(order)
            self._after_close(order, now_ns)
        elif not order.is_open:
            return  # self-trade prevention ended it
        elif order.terms.rests:
            market.rest(order)
        elif order.terms.price is None and self.books.bar_left(order.place) is not None and not order.quote_quantity:
            self._held.wait_for_bar(order)
        elif order.terms.price is None:
            if order.quote_quantity:
                order.quantity = order.executed + order.prevented
            self._expire(order, "INSUFFICIENT_LIQUIDITY", now_ns)
        else:
            self._expire(order, EXPIRED_UNFILLED[order.time_in_force], now_ns)

    def _settle_maker(self, order: SimOrder, now_ns: int) -> None:
        """Close a resting order that is filled, and queue the next part of an iceberg."""
        order.updated_ns = now_ns
        if not order.leaves:
            self._close(order)
            self._after_close(order, now_ns)
        elif order.iceberg_quantity and not order.shown:
            market = self.markets[order.symbol]
            market.remove(order)
            market.rest(order)

    def _fill(self, order: SimOrder, price: int, quantity: int, now_ns: int, *, maker: bool, trade_id: int) -> None:
        self._move_pair_lock(order)
        rules, account = self.markets[order.symbol].rules, self.accounts[order.account]
        quote = product(price, quantity)
        paid = self._pay(order, price, quantity, now_ns, maker=maker)
        fill = SimFill(
            trade_id=trade_id,
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            price=price,
            quantity=quantity,
            quote=quote,
            fee=paid.fee,
            fee_asset=paid.fee_asset,
            maker=maker,
            time_ns=now_ns,
            realised=paid.realised,
        )
        order.fills.append(fill)
        order.executed += quantity
        order.executed_quote += quote
        self.books.use_bar(order.place, quantity)
        order.shown = max(0, order.shown - quantity) if maker else 0
        account.traded += quote
        order.updated_ns = now_ns
        order.status = SimOrderStatus.PARTIALLY_FILLED if order.leaves else SimOrderStatus.FILLED
        if order.side is Side.BUY and order.price and not rules.settles_in:
            # a fill below the limit price frees the rest of the locked amount
            left = -(-order.price * order.leaves // ONE)
            self._unlock(order, order.locked - self._with_fee(order.account, order, left))
        self._report(self._execution_of_fill(order), order, now_ns, fill=fill)
        self._after_fill(order, fill, now_ns)

    def _pay(self, order: SimOrder, price: int, quantity: int, now_ns: int, *, maker: bool) -> Paid:
        """Move the money of a fill: assets on spot, P&L of a contract."""
        del now_ns
        rules, account = self.markets[order.symbol].rules, self.accounts[order.account]
        if rules.settles_in:
            return Paid(settle_contract(rules, account, order, price, quantity, maker=maker), rules.settles_in)
        quote = product(price, quantity)
        return Paid(*swap_assets(rules, account, order, quantity, quote, maker=maker))

    def _execution_of_fill(self, order: SimOrder) -> Execution:
        """Return the kind of the report of a fill."""
        del order
        return Execution.TRADE

    def _room(self, order: SimOrder) -> int:
        """Return the quantity that a resting order may still fill."""
        return order.leaves
