"""The simulated exchange of contracts with margin, whole: with changes of orders and what the clock brings."""

from typing import NamedTuple

import msgspec

from engine.sim.binance import refusals as common
from engine.sim.binance.filters import SymbolRules
from engine.sim.binance_usdm import contract_filters
from engine.sim.binance_usdm import contract_refusals as refusals
from engine.sim.exchange.contract_orders import GOOD_TILL_DATE, limited
from engine.sim.exchange.deadlines import Deadlines
from engine.sim.exchange.liquidation import Liquidations
from engine.sim.exchange.margin import PositionMargin, asset_margin, liquidation_price, open_notional, position_margin
from engine.sim.exchange.margin_account import MarginAccount
from engine.sim.exchange.match_plan import plan_matches
from engine.sim.exchange.order_values import Execution, SimNewOrder, SimOrder, SimOrderStatus


class Amendment(NamedTuple):
    """A change of an order's price and quantity."""

    number: int
    time_ns: int
    price_before: int
    price: int
    quantity_before: int
    quantity: int


class ContractExchange(Liquidations):
    """Orders, positions, fundings, liquidations and timers of contracts. Amounts are integers in units of 1e-8."""

    def __init__(
        self,
        rules: dict[str, SymbolRules],
        accounts: dict[str, MarginAccount],
        *,
        computed_marks: tuple[str, ...],
        start_ns: int,
    ) -> None:
        super().__init__(rules, accounts, computed_marks=computed_marks, start_ns=start_ns)
        self.deadlines = Deadlines()
        self.amendments: dict[int, list[Amendment]] = {}  # by order id
        self._amendment_next = 1

    # ---- time

    @property
    def next_timer_ns(self) -> int:
        """Return when `run_timers` must be called next."""
        deadline_ns, mark_ns = self.deadlines.next_ns, super().next_timer_ns
        return mark_ns if deadline_ns is None else min(mark_ns, deadline_ns)

    def run_timers(self, now_ns: int) -> None:
        """Compute the mark prices that are due, end orders by date, and cancel those of elapsed countdowns."""
        super().run_timers(now_ns)
        for order in self.deadlines.pop_orders(now_ns):
            self._expire(order, GOOD_TILL_DATE, now_ns)
        for account, symbol in self.deadlines.pop_countdowns(now_ns):
            self.cancel_symbol(account, symbol, now_ns)

    def place(self, account: str, new: SimNewOrder, now_ns: int) -> SimOrder:
        """Place an order and match it at once; one with a date ends at it."""
        order = super().place(account, new, now_ns)
        self.deadlines.watch(order)
        return order

    def cancel_symbol(self, account: str, symbol: str, now_ns: int) -> list[SimOrder]:
        """Cancel all open orders of an account in a symbol. Return them."""
        orders = self.open_orders(account, symbol)
        for order in orders:
            self.cancel(order, now_ns, cancel_client_order_id="")
        return orders

    # ---- changes of an order

    def modify(self, order: SimOrder, *, quantity: int, price: int, now_ns: int) -> None:
        """Give an open limit order another price and quantity; it goes to the end of its queue.

        A quantity that is executed already, and a post-only order that would take, cancel the order.
        """
        market, terms = self.markets[order.symbol], order.contract
        assert terms is not None, "an order of a contract has its terms"
        if not order.is_open:
            raise common.no_such_order()
        if order.terms.price is None:
            raise refusals.modify_limit_only()
        if (quantity, price) == (order.quantity, order.price):
            raise refusals.modify_unchanged()
        self._check_change(order, quantity, price)
        if quantity <= order.executed:
            self._end(order, SimOrderStatus.CANCELED, Execution.CANCELED, now_ns)
            return
        change = Amendment(self._amendment_next, now_ns, order.price, price, order.quantity, quantity)
        self._amendment_next += 1
        self.amendments.setdefault(order.order_id, []).append(change)
        if order.on_book:
            market.remove(order)
        order.price, order.quantity, order.updated_ns = price, quantity, now_ns
        order.contract = msgspec.structs.replace(terms, price_match="NONE")
        matches = limited(list(plan_matches(market, order.account, order)), self._room(order))
        if matches and order.terms.is_post_only:
            self._end(order, SimOrderStatus.CANCELED, Execution.CANCELED, now_ns)
            return
        self._report(Execution.AMENDMENT, order, now_ns)
        self._match(market, order, matches, now_ns)
        self._run_releases(now_ns)

    def _check_change(self, order: SimOrder, quantity: int, price: int) -> None:
        """Refuse a change that breaks a filter or lacks margin; the order stays as it is."""
        market = self.markets[order.symbol]
        new = SimNewOrder(
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            quantity=quantity,
            price=price,
            contract=order.contract,
        )
        contract_filters.check_order(market.rules, new, self.mark(order.symbol))
        rest = msgspec.structs.replace(new, quantity=max(quantity - order.executed, 0))
        self._check_margin(order.account, market, rest, [], replaces=order)

    # ---- margin for readers

    def flat_margins(self, account: str) -> list[PositionMargin]:
        """Return the margin of all positions of the account's mode, as if no order were open."""
        owner, none = self.margin_accounts[account], open_notional((), self.margin_accounts[account].sides[0])
        return [
            position_margin(owner.position(symbol, side), market.rules, self.mark(symbol), owner.leverage(symbol), none)
            for symbol, market in self.markets.items()
            for side in owner.sides
        ]

    def liquidation_price(self, account: str, margin: PositionMargin) -> int:
        """Return the mark price at which a position is liquidated if nothing else moves; 0 without such a price."""
        owner, position = self.margin_accounts[account], margin.position
        rules = self.markets[position.symbol].rules
        if owner.is_isolated(position.symbol):
            alone = position.isolated_wallet
            return liquidation_price(margin, rules, balance=alone, other_maintenance=0, other_unrealised=0)
        sums = asset_margin(owner, rules.settles_in, self.rules, self.margins(account))
        return liquidation_price(
            margin,
            rules,
            balance=sums.cross_wallet,
            other_maintenance=sums.cross_maintenance - margin.maintenance,
            other_unrealised=sums.cross_unrealised - margin.unrealised,
        )
