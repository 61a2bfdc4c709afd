"""The exchange of contracts with margin: it places orders, checks their margin and settles their fills.

Matching is Exchange's. A refusal is raised before anything changes.
"""

from collections.abc import Iterable, Sequence

from engine.model import PositionSide, Side, TimeInForce
from engine.sim.binance.filters import SymbolRules
from engine.sim.binance_usdm import contract_filters
from engine.sim.binance_usdm import contract_refusals as refusals
from engine.sim.exchange.contract_events import AccountChanged, BalanceChange, PositionState, Reason
from engine.sim.exchange.exchange import Exchange
from engine.sim.exchange.margin import (
    AssetMargin,
    PositionMargin,
    asset_margin,
    contract_of,
    increases,
    open_notional,
    position_margin,
    position_margins,
    worst_notional,
)
from engine.sim.exchange.margin_account import ContractPosition, Income, IncomeType, MarginAccount
from engine.sim.exchange.match_plan import Match, plan_matches
from engine.sim.exchange.order_values import ContractTerms, Execution, SimNewOrder, SimOrder
from engine.sim.exchange.settlement import Paid
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import ONE, product

REDUCED_AWAY = "REDUCE_ONLY"  # expiry reason: the position that it reduces has gone
GOOD_TILL_DATE = "GOOD_TILL_DATE"


class ContractOrders(Exchange):
    """Orders and fills of contracts. Amounts are integers in units of 1e-8."""

    def __init__(self, rules: dict[str, SymbolRules], accounts: dict[str, MarginAccount]) -> None:
        super().__init__(rules, dict(accounts))
        self.margin_accounts = accounts
        self.marks: dict[str, int] = {}  # symbol -> mark price
        self.margin_assets = tuple((symbol, of.settles_in) for symbol, of in rules.items())
        self._income_next = 1
        self._moved: dict[tuple[str, str], None] = {}  # (account, symbol) whose positions changed, in order

    # ---- queries

    @property
    def rules(self) -> dict[str, SymbolRules]:
        """Return the rules of all symbols."""
        return {symbol: market.rules for symbol, market in self.markets.items()}

    def margins(self, account: str) -> list[PositionMargin]:
        """Return the margin of each position of an account that is open or has open orders."""
        return position_margins(self.margin_accounts[account], self.rules, self.marks, self.open_orders(account))

    def asset_margin(self, account: str, asset: str) -> AssetMargin:
        """Return the sums of an account in one margin asset."""
        return asset_margin(self.margin_accounts[account], asset, self.rules, self.margins(account))

    def mark(self, symbol: str) -> int:
        """Return a symbol's mark price; before the first one, the price of the last trade or of the book."""
        return self.marks.get(symbol) or self.markets[symbol].last_price()

    # ---- placing

    def place(self, account: str, new: SimNewOrder, now_ns: int) -> SimOrder:
        """Place an order and match it at once; the rest of it may rest. `pop_events` returns the reports."""
        self._count_ids(new.client_order_id)
        market = self.market(new.symbol)
        matches = self.plan(account, new)
        self._make_room(account, new, now_ns)
        order = self._admit(account, new, now_ns)
        self._admitted(order, now_ns)
        self._report(Execution.NEW, order, now_ns)
        self._match(market, order, matches, now_ns)
        self._run_releases(now_ns)
        return order

    def _make_room(self, account: str, new: SimNewOrder, now_ns: int) -> None:
        """End resting orders that only reduce, oldest first, where a market order of that kind needs their quantity.

        As in a real account's session: their EXPIRED comes before the NEW of the market order.
        """
        room = self._reducible(account, new.symbol, _terms(new), new.side)
        if room is None or new.terms.price is not None:
            return
        others = [
            order
            for order in self.open_orders(account, new.symbol)
            if order.side is new.side
            and _side_of(order) is _terms(new).position_side
            and self._reducible(account, order.symbol, _terms(order), order.side) is not None
        ]
        excess = sum(order.leaves for order in others) + min(new.quantity, room) - room
        for order in others:
            if excess <= 0:
                return
            excess -= order.leaves
            self._expire(order, REDUCED_AWAY, now_ns)

    def _admitted(self, order: SimOrder, now_ns: int) -> None:
        """Do what follows from an order's acceptance, before its report."""

    def plan(self, account: str, new: SimNewOrder) -> list[Match]:
        """Check an order as its placement does, and return the matches that it would have."""
        market = self.market(new.symbol)
        terms = _terms(new)
        self._check_account(account, market, new)
        contract_filters.check_order(market.rules, new, self.mark(new.symbol))
        if (account, new.client_order_id) in self._open_by_client_id:
            raise refusals.duplicate_client_id()
        if len(self.open_orders(account, new.symbol)) >= market.rules.orders_max:
            raise refusals.too_many_open_orders()
        room = self._reducible(account, new.symbol, terms, new.side)
        if room == 0:
            raise refusals.reduce_only_rejected()
        matches = _within(list(plan_matches(market, account, new)), market, new, self.mark(new.symbol))
        matches = limited(matches, new.quantity if room is None else min(room, new.quantity))
        if matches and new.terms.is_post_only:
            raise refusals.post_only_rejected()
        if new.time_in_force is TimeInForce.FOK and sum(match.quantity for match in matches) < new.quantity:
            raise refusals.fill_or_kill_rejected()
        if not terms.is_forced:
            self._check_margin(account, market, new, matches)
        return matches

    def _check_account(self, account: str, market: SymbolMarket, new: SimNewOrder) -> None:
        owner, terms = self.margin_accounts[account], _terms(new)
        if terms.is_forced:
            return
        if market.rules.status != "TRADING":
            raise refusals.symbol_closed()
        if (terms.position_side is PositionSide.BOTH) is owner.is_hedged:
            raise refusals.side_against_mode()
        if not owner.can_trade and increases(new):
            raise refusals.is_disabled()

    def _reducible(self, account: str, symbol: str, terms: ContractTerms, side: Side) -> int | None:
        """Return the quantity that an order which only reduces may trade; None for one that may increase."""
        is_closer = terms.reduce_only or terms.close_position or (
            terms.position_side is not PositionSide.BOTH
            and (side is Side.BUY) != (terms.position_side is PositionSide.LONG)
        )  # fmt: skip
        if not is_closer:
            return None
        held = self.margin_accounts[account].position(symbol, terms.position_side).quantity
        return abs(held) if held * side.sign < 0 else 0

    def _check_margin(
        self,
        account: str,
        market: SymbolMarket,
        new: SimNewOrder,
        matches: Sequence[Match],
        *,
        replaces: SimOrder | None = None,
    ) -> None:
        """Refuse an order that the available balance, or the brackets of the leverage, do not allow."""
        if not increases(new):
            return
        rules, owner, mark = market.rules, self.margin_accounts[account], self.mark(new.symbol)
        side, leverage = _terms(new).position_side, self.margin_accounts[account].leverage(new.symbol)
        orders = self.open_orders(account, new.symbol)
        now = open_notional(orders, side)
        price = new.price or max((match.price for match in matches), default=mark)
        kept = open_notional([order for order in orders if order is not replaces], side)
        then = kept.plus(new.side, product(price, new.quantity))
        position = owner.position(new.symbol, side)
        margin = position_margin(position, rules, mark, leverage, now)
        more = position_margin(position, rules, mark, leverage, then)
        if more.open_order <= margin.open_order:
            return  # it reduces, or the other direction binds more
        if worst_notional(more.notional, then) > contract_of(rules).notional_max(leverage):
            raise refusals.position_over_leverage()
        loss = max(product((price - mark) * new.side.sign, new.quantity), 0)  # as soon as it is filled
        if more.open_order - margin.open_order + loss > self.asset_margin(account, rules.settles_in).available:
            raise refusals.margin_insufficient()

    # ---- fills

    def _room(self, order: SimOrder) -> int:
        """Return the quantity that a resting order may still fill: one that only reduces stops at the position."""
        assert order.contract is not None
        room = self._reducible(order.account, order.symbol, order.contract, order.side)
        return order.leaves if room is None else min(order.leaves, room)

    def _pay(self, order: SimOrder, price: int, quantity: int, now_ns: int, *, maker: bool) -> Paid:
        """Move the position and the wallet, and report both before the order's own report."""
        assert order.contract is not None
        owner, rules, side = self.margin_accounts[order.account], self.markets[order.symbol].rules, order.contract
        asset = rules.settles_in
        before = owner.position(order.symbol, side.position_side).quantity
        settled = owner.settle(order.symbol, side.position_side, quantity * order.side.sign, price, now_ns)
        fee = 0 if side.is_forced else product(product(price, quantity), owner.rate(maker=maker))
        if owner.is_isolated(order.symbol):
            owner.move_isolated(settled, before, price, asset, fee)
        trade = self._trade_id_next - 1
        if settled.realised:
            self._earn(
                owner, now_ns, IncomeType.REALIZED_PNL, asset, settled.realised, symbol=order.symbol, trade_id=trade
            )
        if fee:
            self._earn(owner, now_ns, IncomeType.COMMISSION, asset, -fee, symbol=order.symbol, trade_id=trade)
        settled.position.pay(settled, fee, before)
        self._moved[order.account, order.symbol] = None
        self._report_account(owner, Reason.ORDER, now_ns, {asset: 0}, [settled.position])
        return Paid(fee, asset if fee else "", settled.realised)

    def _earn(
        self,
        owner: MarginAccount,
        now_ns: int,
        kind: IncomeType,
        asset: str,
        amount: int,
        *,
        symbol: str = "",
        trade_id: int = 0,
        position: ContractPosition | None = None,
    ) -> None:
        """Book an income into the cross wallet, or into that of an isolated position."""
        owner.earn(Income(self._income_next, now_ns, kind, asset, amount, symbol, trade_id), position)
        self._income_next += 1

    def _report_account(
        self,
        owner: MarginAccount,
        reason: Reason,
        now_ns: int,
        changes: dict[str, int],
        positions: Iterable[ContractPosition] = (),
    ) -> None:
        """Report wallets, each with the change that nothing else explains, and positions."""
        balances = tuple(
            BalanceChange(asset, owner.wallet(asset, self.margin_assets), owner.free.get(asset, 0), change)
            for asset, change in changes.items()
        )
        states = tuple(self.position_state(owner, position) for position in positions)
        owner.pop_touched()
        owner.changed_ns = now_ns
        self._events.append(
            AccountChanged(account=owner.name, reason=reason, time_ns=now_ns, balances=balances, positions=states)
        )

    def position_state(self, owner: MarginAccount, position: ContractPosition) -> PositionState:
        """Return a position as reports show it."""
        mark = self.mark(position.symbol)
        rules = contract_of(self.markets[position.symbol].rules)
        return PositionState(
            symbol=position.symbol,
            side=position.side,
            quantity=position.quantity,
            entry_price=position.entry_price,
            break_even_price=position.break_even_price,
            realised=position.realised,
            unrealised=position.unrealised(mark),
            is_isolated=owner.is_isolated(position.symbol),
            isolated_wallet=position.isolated_wallet,
            mark=mark,
            maintenance=rules.maintenance(abs(product(mark, position.quantity))),
        )

    # ---- orders whose position has gone

    def _run_releases(self, now_ns: int) -> None:
        """End the resting orders that only reduce a position which has gone."""
        super()._run_releases(now_ns)
        moved, self._moved = self._moved, {}
        for account, symbol in moved:
            for order in self.open_orders(account, symbol):
                if order.is_open and order.on_book and not self._room(order):
                    self._expire(order, REDUCED_AWAY, now_ns)

    def _settle(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Close, rest or expire an order after matching; one that has nothing left to reduce does not rest."""
        if order.is_open and order.leaves and order.terms.rests and not self._room(order):
            self._expire(order, REDUCED_AWAY, now_ns)
            return
        super()._settle(market, order, now_ns)

    # ---- wallets

    def move_balance(self, account: str, asset: str, amount: int, now_ns: int, *, streamed: bool) -> None:
        """Deposit into the cross wallet by hand, or withdraw. Raises ValueError."""
        owner = self.margin_accounts[account]
        if amount < 0 and self.asset_margin(account, asset).available < -amount:
            raise ValueError(f"{account} has less than that {asset} available")
        self._earn(owner, now_ns, IncomeType.TRANSFER, asset, amount)
        owner.pop_touched()
        owner.changed_ns = now_ns
        if streamed:
            reason = Reason.DEPOSIT if amount > 0 else Reason.WITHDRAW
            self._report_account(owner, reason, now_ns, {asset: amount})

    def _flush_funds(self, now_ns: int) -> None:
        """Report nothing: each fill has reported its wallet."""


def _side_of(order: SimOrder) -> PositionSide:
    return _terms(order).position_side


def _terms(new: SimNewOrder | SimOrder) -> ContractTerms:
    assert new.contract is not None, "an order of a contract has its terms"
    return new.contract


def _within(matches: list[Match], market: SymbolMarket, new: SimNewOrder, mark: int) -> list[Match]:
    """Return the matches of a market order that are close enough to the mark price; all of any other order."""
    if new.terms.price is not None or not mark:
        return matches
    bound = mark * (ONE + new.side.sign * contract_of(market.rules).market_take_bound) // ONE
    near = [match for match in matches if (match.price - bound) * new.side.sign <= 0]
    if matches and not near:
        raise refusals.market_without_counterparty()
    return near


def limited(matches: list[Match], most: int) -> list[Match]:
    """Return the first matches, up to a quantity."""
    found: list[Match] = []
    for match in matches:
        if most <= 0:
            break
        found.append(match._replace(quantity=min(match.quantity, most)))
        most -= match.quantity
    return found
