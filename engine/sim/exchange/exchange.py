"""The simulated exchange: it matches orders with the market and each other, and settles fills.

The orders, their funds and the reports are in order_ledger.py. Knows no protocol, key or clock: each call gets its
time. The same calls in the same order give the same orders, fills, ids and reports. A refusal is a VenueRefusalError,
raised before anything changes.
"""

from typing import Final

from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Side, TimeInForce
from engine.sim.binance import filters, refusals
from engine.sim.exchange import matching_kernel
from engine.sim.exchange.held_orders import is_triggered
from engine.sim.exchange.match_plan import Match, amount_to_lock, crossing_offers, opposite, plan_matches
from engine.sim.exchange.order_ledger import OrderLedger
from engine.sim.exchange.order_values import Execution, SelfTrade, SimFill, SimNewOrder, SimOrder, SimOrderStatus
from engine.sim.exchange.settlement import settle_contract, settle_funding, swap_assets
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.exchange.venue_books import FOREVER_NS, rows_of
from engine.sim.feeds.sim_market import DepthDiff, DepthSnapshot, SimQuote, TradePrint
from engine.sim.units import ONE, product

EXPIRED_UNFILLED: Final = {
    TimeInForce.IOC: "UNFILLED_IOC_QUANTITY_EXPIRED",
    TimeInForce.FOK: "UNFILLED_FOK_ORDER_EXPIRED",
}


class Exchange(OrderLedger):
    """The matching of the venue's orders. Amounts are integers in units of 1e-8."""

    # True: a touched order fills completely and consumes no liquidity, as other simulators do
    fills_whole = False

    # ---- placing

    def check(self, account: str, new: SimNewOrder) -> None:
        """Refuse an order that breaks the symbol's filters; funds are checked later."""
        market = self.market(new.symbol)
        rules = market.rules
        if rules.status != "TRADING":
            raise refusals.order_rejected("Market is closed.")
        if not self.accounts[account].can_trade:
            raise refusals.order_rejected("This action is disabled on this account.")
        average = market.average_price()
        has_price = new.terms.price is not None
        if new.stop_price:
            filters.check_price(rules, new.stop_price)
        if new.price:
            filters.check_price(rules, new.price)
            filters.check_percent_price(rules, new.price, average)
        if not new.quote_quantity:
            filters.check_quantity(rules, new.quantity, has_price=has_price)
        notional = new.quote_quantity or product(new.price or new.stop_price or average, new.quantity)
        if new.price or notional:  # a market order without any price in the market has no notional
            filters.check_notional(rules, notional, has_price=has_price)
        owner = self.accounts[account]
        mine = self.open_orders(account, new.symbol)
        filters.check_counts(
            rules,
            new.side,
            orders_open=len(mine),
            base_position=owner.total(rules.base) + sum(o.leaves for o in mine if o.side is Side.BUY),
            quantity=new.quantity,
        )

    def place(self, account: str, new: SimNewOrder, now_ns: int) -> SimOrder:
        """Place an order and match it at once; the rest of it may rest. `pop_events` returns the reports."""
        if new.client_order_id:
            self.client_ids_seen[new.client_order_id] = self.client_ids_seen.get(new.client_order_id, 0) + 1
        self.check(account, new)
        market = self.market(new.symbol)
        if (account, new.client_order_id) in self._open_by_client_id:
            raise refusals.duplicate_order()
        is_held = new.terms.trigger is not None
        if is_held and is_triggered(new, market.trigger_price()):
            raise refusals.would_trigger()
        matches = [] if is_held else list(plan_matches(market, account, new))
        if matches and new.terms.is_post_only:
            raise refusals.would_match()
        cost = amount_to_lock(market, new, matches)
        if not market.rules.settles_in:
            self.accounts[account].require(market.rules.quote if new.side is Side.BUY else market.rules.base, cost)
        order = self._admit(account, new, now_ns)
        self._lock(order, cost)
        if is_held:
            self._held.add(order)
        self._report(Execution.NEW, order, now_ns)
        if not is_held:
            self._match(market, order, matches, now_ns)
        self._flush_funds(now_ns)
        return order

    def restore(
        self,
        account: str,
        order_id: int,
        new: SimNewOrder,
        *,
        status: SimOrderStatus,
        executed: int,
        executed_quote: int,
        now_ns: int,
    ) -> None:
        """Restore an open order under the id that it has. Nothing is matched and nothing is reported.

        An order of a type that the exchange does not have keeps its funds locked and never trades.
        """
        self._order_id_next = order_id
        order = self._admit(account, new, now_ns)
        order.status, order.executed, order.executed_quote = status, executed, executed_quote
        buying = new.side is Side.BUY
        if not self.market(new.symbol).rules.settles_in:
            price = order.price or order.stop_price
            self._lock(order, -(-price * order.leaves // ONE) if buying else order.leaves)
        if order.terms.trigger is not None and not executed:
            self._held.add(order)
        elif order.terms.is_placeable:
            self.market(new.symbol).rest(order)

    def cancel(self, order: SimOrder, now_ns: int, *, cancel_client_order_id: str) -> None:
        """Cancel an open order."""
        if not order.is_open:
            raise refusals.unknown_order()
        self._end(
            order, SimOrderStatus.CANCELED, Execution.CANCELED, now_ns, cancel_client_order_id=cancel_client_order_id
        )
        self._flush_funds(now_ns)

    # ---- the market's messages

    def on_market(self, symbol: str, message: DepthSnapshot | DepthDiff | SimQuote | TradePrint, now_ns: int) -> None:
        """Fold a public message and fill the resting orders that it reaches."""
        rows = rows_of(self.markets[symbol].place, message, now_ns)
        self.match_rows(rows, 0, FOREVER_NS, 0)

    def match_rows(self, rows: Rows, start: int, until_ns: int, ahead_ns: int) -> tuple[bool, int]:
        """Fold the market's rows up to the first record that fills an order.

        Args:
            rows: whole records.
            start: the first row.
            until_ns: fold rows up to and including this time, in the rows' own clock.
            ahead_ns: how much later than the venue's clock the rows' clock is.

        Returns:
            (True if an order was filled, the next row).
        """
        books = self.books
        events = len(self._events)
        while len(self._events) == events:
            start, why = books.match_rows(rows, start, until_ns)
            if why == matching_kernel.DONE:
                return False, start
            if why == matching_kernel.FUNDED:
                row = rows[start].tolist()
                self._fund(self._by_place[row[r.INSTRUMENT]], row[r.TIME_NS] - ahead_ns)
                continue
            row = rows[start - 1].tolist()
            market = self._by_place[row[r.INSTRUMENT]]
            books.read_queues()
            if why == matching_kernel.PRINTED:
                trade = market.prints_last()
                self._fill_by_print(market, trade, row[r.TIME_NS] - ahead_ns)
            elif why == matching_kernel.CROSSED:
                self._fill_by_book(market, row[r.TIME_NS] - ahead_ns)
            books.write_queues()
            for order in self._held.due(market.place, market.trigger_price()):
                self._activate(market, order, row[r.TIME_NS] - ahead_ns)
        return True, start

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
                quantity = order.leaves if self.fills_whole and ours > 0 else min(order.leaves, ours)
                if quantity > 0:
                    left -= 0 if self.fills_whole else quantity
                    touched = True
                    self._fill(order, order.price, quantity, now_ns, maker=True, trade_id=self._new_trade_id())
                    self.books.write_queues()  # before a filled order is removed: that reads the queues of all others
                    self._settle_maker(order, now_ns)
        if touched:
            self._flush_funds(now_ns)

    def _fill_by_book(self, market: SymbolMarket, now_ns: int) -> None:
        """Fill resting orders by the market's offers at or better than their price."""
        touched = False
        for side in (Side.BUY, Side.SELL):
            other = opposite(side)
            for order in market.resting(side):
                for price, available in list(crossing_offers(market, order)):
                    if self.fills_whole:
                        self._fill(order, order.price, order.leaves, now_ns, maker=True, trade_id=self._new_trade_id())
                        touched = True
                        break
                    quantity = min(available, order.leaves)
                    market.consume(other, price, quantity)
                    self._fill(order, order.price, quantity, now_ns, maker=True, trade_id=self._new_trade_id())
                    touched = True
                    if not order.leaves:
                        break
                if not order.leaves:
                    self._settle_maker(order, now_ns)
        if touched:
            self._flush_funds(now_ns)

    def _fund(self, market: SymbolMarket, now_ns: int) -> None:
        """Settle a funding of each account that holds the contract."""
        price, rate = market.pop_funding()
        for account in self.accounts.values():
            settle_funding(market.rules, account, price, rate)
        self._flush_funds(now_ns)

    # ---- matching

    def _activate(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Match a held order as if it were placed now: the market reached its trigger price."""
        self._held.remove(order)
        order.working_ns = order.updated_ns = now_ns
        self._report(Execution.NEW, order, now_ns)
        matches = list(plan_matches(market, order.account, order))
        if not order.price and order.side is Side.BUY:  # it locked an estimate, at the stop price
            self._unlock(order, order.locked)
            cost = amount_to_lock(market, order, matches)
            if cost > self.accounts[order.account].free[market.rules.quote]:
                self._expire(order, "INSUFFICIENT_BALANCES", now_ns)
                self._flush_funds(now_ns)
                return
            self._lock(order, cost)
        self._match(market, order, matches, now_ns)
        self._flush_funds(now_ns)

    def _match(self, market: SymbolMarket, order: SimOrder, matches: list[Match], now_ns: int) -> None:
        """Execute an order's matches; rest or end what is left."""
        if order.time_in_force is TimeInForce.FOK and sum(quantity for _, quantity, _ in matches) < order.quantity:
            matches = []
        self._execute(market, order, matches, now_ns)
        self._settle(market, order, now_ns)

    def _execute(self, market: SymbolMarket, order: SimOrder, matches: list[Match], now_ns: int) -> None:
        if order.quote_quantity:  # Binance reports the executed quantity as the quantity of such an order
            order.quantity = sum(quantity for _, quantity, _ in matches)
        for price, quantity, maker in matches:
            if maker is not None and not quantity and order.self_trade is SelfTrade.DECREMENT:
                self._decrement((maker, order), now_ns)
                continue
            if maker is not None and not quantity:
                if order.self_trade is not SelfTrade.EXPIRE_TAKER:
                    self._end(maker, SimOrderStatus.EXPIRED_IN_MATCH, Execution.TRADE_PREVENTION, now_ns)
                if order.self_trade is not SelfTrade.EXPIRE_MAKER:
                    self._end(order, SimOrderStatus.EXPIRED_IN_MATCH, Execution.TRADE_PREVENTION, now_ns)
                continue
            trade_id = self._new_trade_id()
            if maker is None:
                market.consume(opposite(order.side), price, quantity)
            else:
                self._fill(maker, price, quantity, now_ns, maker=True, trade_id=trade_id)
                self._settle_maker(maker, now_ns)
            self._fill(order, price, quantity, now_ns, maker=False, trade_id=trade_id)

    def _decrement(self, pair: tuple[SimOrder, SimOrder], now_ns: int) -> None:
        """Take from both orders of an account what would have traded between them."""
        quantity = min(order.leaves for order in pair)
        for order in pair:
            order.prevented += quantity
            order.prevented_last = quantity
            order.updated_ns = now_ns
            self._unlock_excess(order)
            if order.leaves:
                self._report(Execution.TRADE_PREVENTION, order, now_ns)
            else:
                self._end(order, SimOrderStatus.EXPIRED_IN_MATCH, Execution.TRADE_PREVENTION, now_ns)

    def _settle(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Close, rest or expire an order after matching."""
        if order.status is SimOrderStatus.FILLED:
            self._close(order)
        elif not order.is_open:
            return  # self-trade prevention ended it
        elif order.terms.rests:
            market.rest(order)
        elif order.terms.price is None:
            self._expire(order, "INSUFFICIENT_LIQUIDITY", now_ns)
        else:
            self._expire(order, EXPIRED_UNFILLED[order.time_in_force], now_ns)

    def _settle_maker(self, order: SimOrder, now_ns: int) -> None:
        order.updated_ns = now_ns
        if not order.leaves:
            self._close(order)

    def _fill(self, order: SimOrder, price: int, quantity: int, now_ns: int, *, maker: bool, trade_id: int) -> None:
        rules, account = self.markets[order.symbol].rules, self.accounts[order.account]
        quote = product(price, quantity)
        if rules.settles_in:
            fee, get_asset = settle_contract(rules, account, order, price, quantity, maker=maker), rules.settles_in
        else:
            fee, get_asset = swap_assets(rules, account, order, quantity, quote, maker=maker)
        fill = SimFill(
            trade_id=trade_id,
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            price=price,
            quantity=quantity,
            quote=quote,
            fee=fee,
            fee_asset=get_asset,
            maker=maker,
            time_ns=now_ns,
        )
        order.fills.append(fill)
        order.executed += quantity
        order.executed_quote += quote
        account.traded += quote
        order.updated_ns = now_ns
        order.status = SimOrderStatus.PARTIALLY_FILLED if order.leaves else SimOrderStatus.FILLED
        if order.side is Side.BUY and order.price and not rules.settles_in:
            # a fill below the limit price frees the rest of the locked amount
            self._unlock(order, order.locked - -(-order.price * order.leaves // ONE))
        self._report(Execution.TRADE, order, now_ns, fill=fill)
