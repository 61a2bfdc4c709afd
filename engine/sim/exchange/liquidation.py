"""Liquidation of contracts: margin calls, forced closing, the insurance fund and automatic deleveraging.

Checked at each mark price. An account whose margin balance has fallen to the maintenance margin loses its open orders
of the contracts concerned; then its positions are closed one by one, the largest maintenance margin first, until the
rest is safe. A position is closed by a limit order at its bankruptcy price, the price at which its margin is used up.
The insurance fund takes what the book does not at that price, as long as it can bear the loss at the mark price;
beyond that, positions of the other side are deleveraged. The margin that a liquidation leaves pays a fee to the fund.
"""

from typing import Final, NamedTuple

from engine.model import OrderType, Side, TimeInForce
from engine.sim.exchange.conditional_orders import ConditionalOrders
from engine.sim.exchange.contract_events import AlgoStatus, Liquidated, MarginCalled, Reason
from engine.sim.exchange.margin import PositionMargin, contract_of
from engine.sim.exchange.margin_account import ContractPosition, IncomeType, MarginAccount
from engine.sim.exchange.order_values import ContractTerms, Execution, SimNewOrder, SimOrder
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import ONE, product, units

LIQUIDATED: Final = "LIQUIDATION"  # expiry reason of an account's own orders
CALL_RATIO: Final = units("0.8")  # of maintenance margin to margin balance: a margin call is sent
LIQUIDATION_ID: Final = "autoclose-"
DELEVERAGING_ID: Final = "adl_autoclose"
FUND: Final = units("1000000")
MS: Final = 1_000_000


class MarginLevel(NamedTuple):
    """The margin balance and the maintenance margin of an asset's cross positions, or of one isolated position."""

    subject: str
    balance: int
    maintenance: int
    cross_wallet: int | None = None


class Liquidations(ConditionalOrders):
    """Forced closing of positions. Amounts are integers in units of 1e-8."""

    insurance_fund = FUND  # in any margin asset

    def _after_mark(self, symbol: str, now_ns: int) -> None:
        """Check the accounts that hold a contract whose mark price moved."""
        super()._after_mark(symbol, now_ns)
        for owner in self.margin_accounts.values():
            if owner.open_positions(symbol):
                self._check_margin_level(owner, symbol, now_ns)

    def _check_margin_level(self, owner: MarginAccount, symbol: str, now_ns: int) -> None:
        margins = self.margins(owner.name)
        if owner.is_isolated(symbol):
            for margin in margins:
                position = margin.position
                if position.symbol == symbol and position.quantity:
                    balance = position.isolated_wallet + margin.unrealised
                    level = MarginLevel(f"{symbol} {position.side}", balance, margin.maintenance)
                    if self._is_used_up(owner, level, [margin], now_ns):
                        self._end_orders(owner, [symbol], now_ns)
                        self._liquidate(owner, position, balance, now_ns)
            return
        asset = self.markets[symbol].rules.settles_in
        cross = [each for each in margins if self._is_cross(owner, each, asset)]
        sums = self.asset_margin(owner.name, asset)
        level = MarginLevel(asset, sums.cross_balance, sums.cross_maintenance, sums.cross_wallet)
        if self._is_used_up(owner, level, cross, now_ns):
            self._end_orders(owner, sorted({each.position.symbol for each in cross}), now_ns)
            for margin in sorted(cross, key=lambda each: -each.maintenance):
                sums = self.asset_margin(owner.name, asset)
                if sums.cross_balance > sums.cross_maintenance:
                    break
                self._liquidate(owner, margin.position, sums.cross_balance, now_ns)

    def _is_cross(self, owner: MarginAccount, margin: PositionMargin, asset: str) -> bool:
        symbol = margin.position.symbol
        is_own = self.markets[symbol].rules.settles_in == asset
        return is_own and not owner.is_isolated(symbol) and bool(margin.position.quantity)

    def _is_used_up(self, owner: MarginAccount, level: MarginLevel, margins: list[PositionMargin], now_ns: int) -> bool:
        """Return True if a margin balance is used up; warn once while it is close to that."""
        if level.balance <= level.maintenance:
            owner.called.discard(level.subject)
            return True
        is_close = level.maintenance * ONE >= level.balance * CALL_RATIO
        if is_close and level.subject not in owner.called:
            owner.called.add(level.subject)
            positions = tuple(self.position_state(owner, each.position) for each in margins)
            called = MarginCalled(
                account=owner.name, time_ns=now_ns, cross_wallet=level.cross_wallet, positions=positions
            )
            self._events.append(called)
        elif not is_close:
            owner.called.discard(level.subject)
        return False

    def _end_orders(self, owner: MarginAccount, symbols: list[str], now_ns: int) -> None:
        """End the account's own orders of contracts that are liquidated, conditional ones too."""
        for symbol in symbols:
            for order in self.open_orders(owner.name, symbol):
                self._expire(order, LIQUIDATED, now_ns)
            for algo in self.open_algos(owner.name, symbol):
                self._stop_holding(algo)
                self._set_algo(algo, AlgoStatus.EXPIRED, now_ns)

    # ---- closing

    def _bankruptcy_price(self, market: SymbolMarket, position: ContractPosition, balance: int) -> int:
        """Return the price at which a position's margin is used up, rounded to a tick in favour of its account."""
        exact = self.mark(position.symbol) - balance * ONE // position.quantity
        tick = market.rules.tick_size or 1
        rounded = -(-exact // tick) * tick if position.quantity > 0 else exact // tick * tick
        return max(rounded, tick)

    def _liquidate(self, owner: MarginAccount, position: ContractPosition, balance: int, now_ns: int) -> None:
        """Close a position with the venue's own order, and take the fee out of the rest of its margin."""
        market, held, mark = self.markets[position.symbol], position.quantity, self.mark(position.symbol)
        price = self._bankruptcy_price(market, position, balance)
        order = self._force(owner, position, price, now_ns)
        self._events.append(Liquidated(order=order, time_ns=now_ns))
        gained = order.executed_quote - product(mark, abs(held))  # of a sale, beside the mark price
        left = balance + (gained if held > 0 else -gained)
        fee = min(product(order.executed_quote, contract_of(market.rules).liquidation_fee), max(left, 0))
        if fee:
            asset = market.rules.settles_in
            self.insurance_fund += fee
            self._earn(owner, now_ns, IncomeType.INSURANCE_CLEAR, asset, -fee, symbol=position.symbol)
            self._report_account(owner, Reason.INSURANCE_CLEAR, now_ns, {asset: -fee})

    def _force(self, owner: MarginAccount, position: ContractPosition, price: int, now_ns: int) -> SimOrder:
        """Place the venue's own order against a whole position. It is always filled."""
        name = f"{LIQUIDATION_ID}{now_ns // MS}"
        return self.place(owner.name, self._forced(owner, position, abs(position.quantity), price, name), now_ns)

    def _forced(
        self, owner: MarginAccount, position: ContractPosition, quantity: int, price: int, name: str
    ) -> SimNewOrder:
        """Return the venue's own order against a position; its name gets a number if it is not the first one."""
        if (owner.name, position.symbol, name) in self._last_by_client_id:
            name = f"{name}-{self._order_id_next}"
        return SimNewOrder(
            symbol=position.symbol,
            side=Side.SELL if position.quantity > 0 else Side.BUY,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.IOC,
            quantity=quantity,
            price=price,
            client_order_id=name,
            contract=ContractTerms(position_side=position.side, reduce_only=True, time_in_force="IOC", is_forced=True),
        )

    def _execution_of_fill(self, order: SimOrder) -> Execution:
        """Return CALCULATED for a fill of the venue's own order."""
        forced = order.contract is not None and order.contract.is_forced
        return Execution.CALCULATED if forced else super()._execution_of_fill(order)

    def _settle(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Fill what the book did not take of the venue's own order: the fund takes it, or other positions do."""
        forced = order.contract is not None and order.contract.is_forced
        if forced and order.is_open and order.leaves:
            if self._takeover_gain(order) + self.insurance_fund < 0:
                self._deleverage_others(order, now_ns)
            if order.leaves:
                self.insurance_fund += self._takeover_gain(order)
                self._fill_outside(order, order.leaves, order.price, now_ns)
        super()._settle(market, order, now_ns)

    def _takeover_gain(self, order: SimOrder) -> int:
        """Return what the fund gains at the mark price if it takes the rest of a liquidation at the order's price."""
        return product(self.mark(order.symbol) - order.price, order.leaves) * -order.side.sign

    def _fill_outside(self, order: SimOrder, quantity: int, price: int, now_ns: int) -> None:
        self._fill(order, price, quantity, now_ns, maker=False, trade_id=self._new_trade_id())

    # ---- deleveraging

    def _deleverage_others(self, forced: SimOrder, now_ns: int) -> None:
        """Close positions of the other side against a liquidation, those with the highest leveraged profit first."""
        for owner, position in self._ranked(forced.symbol, long=forced.side is Side.BUY, but=forced.account):
            if not forced.leaves:
                return
            quantity = min(abs(position.quantity), forced.leaves)
            self.deleverage(owner.name, position, quantity, forced.price, now_ns)
            self._fill_outside(forced, quantity, forced.price, now_ns)

    def _ranked(self, symbol: str, *, long: bool, but: str) -> list[tuple[MarginAccount, ContractPosition]]:
        """Return the positions of one direction by profit over entry times leverage, highest first."""
        mark = self.mark(symbol)
        found = [
            (owner, position)
            for owner in self.margin_accounts.values()
            for position in owner.open_positions(symbol)
            if owner.name != but and (position.quantity > 0) is long
        ]

        def rank(pair: tuple[MarginAccount, ContractPosition]) -> int:
            owner, position = pair
            return position.unrealised(mark) * ONE // max(abs(position.cost), 1) * owner.leverage(symbol)

        return sorted(found, key=rank, reverse=True)

    def deleverage(self, account: str, position: ContractPosition, quantity: int, price: int, now_ns: int) -> SimOrder:
        """Close a part of a position at a price, outside the book."""
        owner = self.margin_accounts[account]
        new = self._forced(owner, position, quantity, price, DELEVERAGING_ID)
        order = self._admit(account, new, now_ns)
        self._report(Execution.NEW, order, now_ns)
        self._fill_outside(order, quantity, price, now_ns)
        self._settle(self.markets[position.symbol], order, now_ns)
        return order
