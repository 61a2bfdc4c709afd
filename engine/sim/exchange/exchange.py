"""The simulated exchange: it matches orders with the market and each other, and settles fills.

The orders, their funds and the reports are in order_ledger.py. Knows no protocol, key or clock: each call gets its
time. The same calls in the same order give the same orders, fills, ids and reports. A refusal is a VenueRefusalError,
raised before anything changes.
"""

from copy import copy

from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Side
from engine.sim.binance import filters, refusals
from engine.sim.exchange import matching_kernel
from engine.sim.exchange.bar_matching import BarMatching, BarPrices
from engine.sim.exchange.held_orders import begin_tracking, reaches_stop, triggers_above
from engine.sim.exchange.match_plan import Match, amount_to_lock, plan_matches, worst_trigger
from engine.sim.exchange.message_rows import rows_of
from engine.sim.exchange.order_lists import (
    Contingency,
    ListStatus,
    SimNewList,
    SimOrderList,
    are_prices_related,
    check_pair,
)
from engine.sim.exchange.order_values import Execution, FundingSettled, SimNewOrder, SimOrder, SimOrderStatus
from engine.sim.exchange.settlement import settle_funding
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.exchange.venue_books import FOREVER_NS
from engine.sim.feeds.sim_market import MarketMessage
from engine.sim.units import ONE, product


class TooLargeError(Exception):
    """A number of the market is more than the venue counts in units of 1e-8. The text names the symbol."""


class Exchange(BarMatching):
    """The venue's orders, lists and market. Amounts are integers in units of 1e-8."""

    # ---- placing

    def check(self, account: str, new: SimNewOrder) -> None:
        """Refuse an order that breaks the symbol's filters; funds are checked later."""
        market = self.market(new.symbol)
        self._check_open(account, market)
        self._check_order(market, new, self._count_open(account, market))

    def _check_list(self, account: str, new: SimNewList) -> None:
        """Refuse a list that breaks the symbol's filters, each order as if the ones before it were open."""
        market = self.market(new.orders[0].symbol)
        self._check_open(account, market)
        flags = [*(["otoAllowed"] if new.working else []), *(["ocoAllowed"] if new.pair else []),
                 *(["opoAllowed"] if new.is_paid_by_working else [])]  # fmt: skip
        for flag in flags:
            filters.check_permission(market.rules, flag)
        opened = self._count_open(account, market)
        for order in new.orders:
            self._check_order(market, order, opened)
            opened = filters.OpenCounts(
                orders=opened.orders + 1,
                algo_orders=opened.algo_orders + (order.terms.trigger is not None),
                iceberg_orders=opened.iceberg_orders + bool(order.iceberg_quantity),
                base_position=opened.base_position,
            )
        if len(self.open_lists(account, market.rules.symbol)) >= market.rules.order_lists_max:
            raise refusals.filter_failure("MAX_NUM_ORDER_LISTS")

    def _check_open(self, account: str, market: SymbolMarket) -> None:
        if market.rules.status != "TRADING":
            raise refusals.order_rejected("Market is closed.")
        if not self.accounts[account].can_trade:
            raise refusals.order_rejected("This action is disabled on this account.")

    def _count_open(self, account: str, market: SymbolMarket) -> filters.OpenCounts:
        owner, mine = self.accounts[account], self.open_orders(account, market.rules.symbol)
        return filters.OpenCounts(
            orders=len(mine),
            algo_orders=sum(o.terms.trigger is not None for o in mine),
            iceberg_orders=sum(bool(o.iceberg_quantity) for o in mine),
            base_position=owner.total(market.rules.base) + sum(o.leaves for o in mine if o.side is Side.BUY),
        )

    def _check_order(self, market: SymbolMarket, new: SimNewOrder, opened: filters.OpenCounts) -> None:
        rules, average = market.rules, market.average_price()
        has_price = new.terms.price is not None
        if new.self_trade not in rules.self_trade_modes:
            raise refusals.self_trade_mode_refused()
        if new.stop_price:
            filters.check_price(rules, new.stop_price)
        if new.price:
            filters.check_price(rules, new.price)
            filters.check_percent_price(rules, new.price, average)
        if new.quantity:
            filters.check_quantity(rules, new.quantity, has_price=has_price)
        if new.quote_quantity:
            filters.check_permission(rules, "quoteOrderQtyMarketAllowed")
        notional = new.quote_quantity or product(new.price or new.stop_price or average, new.quantity)
        # a market order without any price in the market, and an order that another one pays, have no notional
        if notional or (new.price and new.quantity):
            filters.check_notional(rules, notional, has_price=has_price)
        if new.iceberg_quantity:
            filters.check_iceberg(rules, new.quantity, new.iceberg_quantity, opened)
        if new.trailing_delta:
            filters.check_trailing(rules, new.trailing_delta, above=triggers_above(new))
        if new.terms.trigger is not None:
            filters.check_algo_count(rules, opened)
        filters.check_counts(rules, new.side, opened, quantity=new.quantity)

    def place(self, account: str, new: SimNewOrder, now_ns: int) -> SimOrder:
        """Place an order and match it at once; the rest of it may rest. `pop_events` returns the reports."""
        self._count_ids(new.client_order_id)
        self.check(account, new)
        market = self.market(new.symbol)
        if (account, new.client_order_id) in self._open_by_client_id:
            raise refusals.duplicate_order()
        is_held = new.terms.trigger is not None
        if is_held and reaches_stop(new, market.trigger_price()):
            raise refusals.would_trigger()
        matches = [] if is_held else list(plan_matches(market, account, new))
        if matches and new.terms.is_post_only:
            raise refusals.would_match()
        if new.quote_quantity:
            self._check_liquidity(market, matches)
        cost = self._with_fee(account, new, amount_to_lock(market, new, matches))
        self._require(account, market, {new.side: cost})
        order = self._admit(account, new, now_ns)
        self._lock(order, cost, price=worst_trigger(market, new) if is_held else 0)
        if is_held:
            begin_tracking(order, market.trigger_price(), now_ns)
            self._held.add(order)
        self._report(Execution.NEW, order, now_ns)
        if not is_held:
            self._match(market, order, matches, now_ns)
        self._run_releases(now_ns)
        self._flush_funds(now_ns)
        return order

    def _count_ids(self, *names: str) -> None:
        for name in names:
            if name:
                self.client_ids_seen[name] = self.client_ids_seen.get(name, 0) + 1

    @staticmethod
    def _check_liquidity(market: SymbolMarket, matches: list[Match]) -> None:
        """Refuse a market order by quote quantity for which the book offers too little."""
        if not matches:
            raise refusals.order_rejected("Order book liquidity is less than symbol minimum quantity.")
        bought = sum(match.quantity for match in matches)
        if bought < market.rules.quantity_min and not any(match.prevented for match in matches):
            raise refusals.order_rejected("Order book liquidity is less than `LOT_SIZE` filter minimum quantity.")

    def _require(self, account: str, market: SymbolMarket, costs: dict[Side, int]) -> None:
        """Refuse what the free balances do not cover: quote for buys, base for sales."""
        if not market.rules.settles_in:
            for side, cost in costs.items():
                self.accounts[account].require(market.rules.quote if side is Side.BUY else market.rules.base, cost)

    def place_list(self, account: str, new: SimNewList, now_ns: int) -> tuple[SimOrderList, list[SimOrder]]:
        """Place a list. Return it, and its orders as they were before a filled working order released the others."""
        self._count_ids(*(order.client_order_id for order in new.orders))
        self._check_list(account, new)
        self._check_ids(account, new)
        market = self.market(new.orders[0].symbol)
        if new.working is None:
            check_pair(new.pair, market.trigger_price())
        elif new.pair and not are_prices_related(new.pair, 0):
            raise refusals.order_rejected("The relationship of the prices for the orders is not correct.")
        plans = [[] if order.terms.trigger is not None else list(plan_matches(market, account, order))
                 for order in new.orders]  # fmt: skip
        placed = new.orders[:1] if new.working else new.orders
        if any(plan and order.terms.is_post_only for order, plan in zip(placed, plans, strict=False)):
            raise refusals.would_match()
        costs = [
            self._with_fee(account, order, amount_to_lock(market, order, plan))
            for order, plan in zip(new.orders, plans, strict=True)
        ]
        if new.is_paid_by_working:
            costs[1:] = [0] * (len(costs) - 1)
        if new.pair:  # one order of a pair holds the lock of both
            costs[-2:] = [max(costs[-2:]), 0]
        total: dict[Side, int] = {}
        for order, cost in zip(new.orders, costs, strict=True):
            total[order.side] = total.get(order.side, 0) + cost
        self._require(account, market, total)
        made = self._admit_list(account, new, now_ns)
        for leg, plan, cost in zip(made.orders, plans, costs, strict=True):
            paid = sum(product(match.price, match.quantity) for match in plan)
            estimate = -(-paid * ONE // leg.quantity) if leg.is_pending and leg.quantity else 0
            self._lock(leg, cost, price=worst_trigger(market, leg) if leg.terms.trigger is not None else estimate)
        self._begin_list(market, made, plans[0], now_ns)
        answered = [copy(leg) for leg in made.orders]
        for leg in answered:
            leg.fills = list(leg.fills)
        self._run_releases(now_ns)
        self._flush_funds(now_ns)
        return made, answered

    def _begin_list(self, market: SymbolMarket, made: SimOrderList, matches: list[Match], now_ns: int) -> None:
        """Report a new list and place its first orders."""
        self._report_list(made, ListStatus.EXEC_STARTED, now_ns)
        for order in made.orders:
            if order.terms.trigger is not None and not order.is_pending:
                begin_tracking(order, market.trigger_price(), now_ns)
                self._held.add(order)
            self._report(Execution.NEW, order, now_ns)
        for order in made.orders:
            if order.is_working:
                self._match(market, order, matches if made.contingency is Contingency.OTO else [], now_ns)

    def report_rejected(self, account: str, new: SimNewOrder, reason: str, now_ns: int) -> SimOrder:
        """Report an order that the matching refused although its request had an effect. Return the order."""
        order = self._make(account, new, now_ns)
        order.status, order.reject_reason = SimOrderStatus.REJECTED, reason
        self._report(Execution.REJECTED, order, now_ns)
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
        is_triggered: bool = False,
        is_linked: bool = False,
    ) -> SimOrder:
        """Restore an open order under the id that it has. Nothing is matched and nothing is reported.

        An order of a type that the exchange does not have keeps its funds locked and never trades. Of a linked
        order, `restore_list` locks the funds, because a pair locks once.
        """
        self._order_id_next = order_id
        order = self._admit(account, new, now_ns)
        order.status, order.executed, order.executed_quote = status, executed, executed_quote
        if order.is_pending:
            return order
        if not is_linked:
            self._lock_restored(order)
        if order.terms.trigger is not None and not executed and not is_triggered:
            self._held.add(order)
        elif order.terms.is_placeable:
            self.market(new.symbol).rest(order)
        return order

    def cancel(self, order: SimOrder, now_ns: int, *, cancel_client_order_id: str) -> None:
        """Cancel an open order, and with it all of its list."""
        if not order.is_open:
            raise refusals.unknown_order()
        if order.list_id >= 0:
            self.cancel_list(self.lists[order.list_id], now_ns, cancel_client_order_id=cancel_client_order_id)
            return
        self._end(
            order, SimOrderStatus.CANCELED, Execution.CANCELED, now_ns, cancel_client_order_id=cancel_client_order_id
        )
        self._flush_funds(now_ns)

    # ---- the market's messages

    def on_market(self, symbol: str, message: MarketMessage, now_ns: int) -> None:
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

        Raises:
            TooLargeError: A number does not fit.
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
            if why == matching_kernel.TOO_LARGE:
                rules = self._by_place[int(rows[start, r.INSTRUMENT])].rules
                raise TooLargeError(
                    f"{rules.symbol}: a price or a size is more than the simulated venue counts exactly"
                )
            row = rows[start - 1].tolist()
            market = self._by_place[row[r.INSTRUMENT]]
            books.read_queues()
            if why == matching_kernel.PRINTED:
                trade = market.prints_last()
                self._fill_by_print(market, trade, row[r.TIME_NS] - ahead_ns)
            elif why == matching_kernel.CROSSED:
                self._fill_by_book(market, row[r.TIME_NS] - ahead_ns)
            elif why == matching_kernel.BAR_REACHED:
                self._fill_by_bar(
                    market,
                    BarPrices(*(price * books.price_unit(market.place) for price in row[r.FIELDS : r.BAR_VOLUME])),
                    row[r.TIME_NS] - ahead_ns,
                )
            books.write_queues()
            now_ns = row[r.TIME_NS] - ahead_ns
            if why == matching_kernel.BAR_REACHED:
                continue  # the bar triggered what its prices reach
            for order in self._held.due(market.place, market.trigger_price(), now_ns):
                if order.waits_for_bar:
                    self._fill_waiting(market, order, now_ns)
                elif order.is_held:
                    self._activate(market, order, now_ns)
        return True, start

    def _fund(self, market: SymbolMarket, now_ns: int) -> None:
        """Settle a funding of each account that holds the contract."""
        price, rate, due_ns = market.pop_funding()
        for name, account in self.accounts.items():
            amount = settle_funding(market.rules, account, price, rate)
            if amount is not None:
                symbol = market.rules.symbol
                settled = FundingSettled(
                    account=name, symbol=symbol, asset=market.rules.settles_in, amount=amount, price=price, rate=rate,
                    quantity=account.contracts[symbol].quantity, funding_ns=due_ns, time_ns=now_ns,
                )  # fmt: skip
                self._events.append(settled)
        self._flush_funds(now_ns)
