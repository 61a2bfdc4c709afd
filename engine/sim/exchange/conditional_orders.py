"""Conditional orders of contracts: stops, take-profits and trailing stops that wait outside the book.

A conditional order has its own id, and binds no margin until it is triggered. Then it becomes a plain order with
an id of that kind. The last price triggers it through the compiled loop, as Spot's stops; the mark price triggers it
here, whenever one comes.
"""

from copy import copy
from typing import Final

import msgspec

from engine.model import OrderType
from engine.sim.binance.filters import SymbolRules
from engine.sim.binance.refusals import VenueRefusalError, unknown_order
from engine.sim.binance_usdm import contract_filters
from engine.sim.binance_usdm import contract_refusals as refusals
from engine.sim.exchange.contract_events import AlgoChanged, AlgoOrder, AlgoStatus
from engine.sim.exchange.contract_settings import ContractSettings
from engine.sim.exchange.held_orders import begin_tracking, is_triggered, reaches_stop, track
from engine.sim.exchange.margin import contract_of
from engine.sim.exchange.margin_account import MarginAccount
from engine.sim.exchange.order_values import SimNewOrder, SimOrder
from engine.sim.exchange.price_match import matched_price
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.units import product

ALGO_ID_FIRST: Final = 2_000_001
MARK_PRICE: Final = "MARK_PRICE"


class ConditionalOrders(ContractSettings):
    """Conditional orders. Amounts are integers in units of 1e-8."""

    def __init__(
        self,
        rules: dict[str, SymbolRules],
        accounts: dict[str, MarginAccount],
        *,
        computed_marks: tuple[str, ...],
        start_ns: int,
    ) -> None:
        super().__init__(rules, accounts, computed_marks=computed_marks, start_ns=start_ns)
        self.algos: dict[int, AlgoOrder] = {}
        self._on_mark: list[AlgoOrder] = []  # those that the mark price triggers, oldest first
        self._by_held: dict[int, AlgoOrder] = {}  # algo id of a held order -> its conditional order
        self._algo_id_next = ALGO_ID_FIRST

    # ---- queries

    def open_algos(self, account: str, symbol: str | None = None) -> list[AlgoOrder]:
        """Return the conditional orders of an account that wait, by id."""
        return [
            algo
            for algo in self.algos.values()
            if algo.account == account and algo.is_open and symbol in (None, algo.held.symbol)
        ]

    def has_open_algos(self, account: str, symbol: str | None) -> bool:
        """Return True if the account has conditional orders that wait, of one symbol or of any."""
        return bool(self.open_algos(account, symbol))

    def find_algo(self, account: str, *, algo_id: int | None, client_algo_id: str | None) -> AlgoOrder | None:
        """Find a conditional order by its id, or else the newest with a client id."""
        if algo_id is not None:
            found = self.algos.get(algo_id)
            return found if found is not None and found.account == account else None
        own = [each for each in self.algos.values() if (each.account, each.client_algo_id) == (account, client_algo_id)]
        return own[-1] if own else None

    # ---- placing and canceling

    def place_algo(
        self, account: str, new: SimNewOrder, order_type: str, *, callback_rate: int, now_ns: int
    ) -> AlgoOrder:
        """Hold a conditional order. `new` has the type of the trigger, and the terms of the order that it becomes."""
        self._count_ids(new.client_order_id)
        market, terms = self.market(new.symbol), new.contract
        assert terms is not None, "an order of a contract has its terms"
        self._check_account(account, market, new)
        if not terms.close_position:
            contract_filters.check_quantity(market.rules, new.quantity, has_price=new.price > 0)
        for price in (new.stop_price, new.price):
            if price:
                contract_filters.check_price(market.rules, price)
        if len(self.open_algos(account)) >= contract_of(market.rules).conditional_orders_max:
            raise refusals.too_many_conditional_orders()
        if any(each.client_algo_id == new.client_order_id for each in self.open_algos(account)):
            raise refusals.duplicate_client_id()
        now_price = self._trigger_price(market, terms.working_type)
        if now_price and reaches_stop(new, now_price):
            raise refusals.would_trigger()
        held = self._make(account, new, now_ns, order_id=self._algo_id_next)
        self._algo_id_next += 1
        algo = AlgoOrder(
            algo_id=held.order_id,
            client_algo_id=new.client_order_id or f"sim-a{held.order_id}",
            account=account,
            order_type=order_type,
            held=held,
            callback_rate=callback_rate,
            created_ns=now_ns,
            updated_ns=now_ns,
        )
        self.algos[algo.algo_id] = self._by_held[held.order_id] = algo
        begin_tracking(held, now_price, now_ns)
        if terms.working_type == MARK_PRICE:
            held.is_held = True
            self._on_mark.append(algo)
        else:
            self._held.add(held)
        self._report_algo(algo, now_ns)
        return algo

    def cancel_algo(self, algo: AlgoOrder, now_ns: int) -> None:
        """Cancel a conditional order that waits."""
        if not algo.is_open:
            raise unknown_order()
        self._stop_holding(algo)
        self._set_algo(algo, AlgoStatus.CANCELED, now_ns)

    def _stop_holding(self, algo: AlgoOrder) -> None:
        if algo in self._on_mark:
            self._on_mark.remove(algo)
            algo.held.is_held = False
        else:
            self._held.remove(algo.held)

    def _set_algo(self, algo: AlgoOrder, status: AlgoStatus, now_ns: int) -> None:
        algo.status, algo.updated_ns = status, now_ns
        self._report_algo(algo, now_ns)

    def _report_algo(self, algo: AlgoOrder, now_ns: int) -> None:
        shown = copy(algo)
        shown.held = copy(algo.held)
        shown.order = copy(algo.order) if algo.order is not None else None
        self._events.append(AlgoChanged(algo=shown, time_ns=now_ns))

    # ---- triggers

    def _trigger_price(self, market: SymbolMarket, working_type: str) -> int:
        return self.mark(market.rules.symbol) if working_type == MARK_PRICE else market.trigger_price()

    def _after_mark(self, symbol: str, now_ns: int) -> None:
        """Trigger the conditional orders that a mark price reaches."""
        super()._after_mark(symbol, now_ns)
        price = self.marks[symbol]
        for algo in [each for each in self._on_mark if each.held.symbol == symbol]:
            if algo.held.trailing_delta:
                track(algo.held, price, now_ns)
            if algo.is_open and is_triggered(algo.held, price):
                self._trigger(algo, now_ns)

    def _activate(self, market: SymbolMarket, order: SimOrder, now_ns: int) -> None:
        """Trigger the conditional order of a held order: the last price reached it."""
        del market
        self._trigger(self._by_held[order.order_id], now_ns)

    def _trigger(self, algo: AlgoOrder, now_ns: int) -> None:
        """Turn a conditional order into a plain one, or reject it as the matching refuses that."""
        held = algo.held
        terms = held.contract
        assert terms is not None, "an order of a contract has its terms"
        symbol, market = held.symbol, self.markets[held.symbol]
        if terms.price_protect and self._is_protected(market):
            return  # it waits until mark and last price are close again
        self._stop_holding(algo)
        algo.triggered_ns = now_ns
        self._set_algo(algo, AlgoStatus.TRIGGERING, now_ns)
        owner = self.margin_accounts[algo.account]
        quantity = held.quantity
        if terms.close_position:
            quantity = abs(owner.position(symbol, terms.position_side).quantity)
        price = held.price
        if terms.price_match != "NONE":
            price = matched_price(market, held.side, terms.price_match)
        new = SimNewOrder(
            symbol=symbol,
            side=held.side,
            order_type=_plain_type(held, is_limit=price > 0),
            time_in_force=held.time_in_force,
            quantity=quantity,
            price=price,
            client_order_id=algo.client_algo_id,
            self_trade=held.self_trade,
            contract=msgspec.structs.replace(terms, algo_id=algo.algo_id, original_type=algo.order_type),
        )
        try:
            self.place(algo.account, new, now_ns)
        except VenueRefusalError as refusal:
            algo.reject_message = refusal.message
            self._set_algo(algo, AlgoStatus.REJECTED, now_ns)

    def _is_protected(self, market: SymbolMarket) -> bool:
        """Return True if mark and last price differ too much for an order with price protection."""
        mark, last = self.mark(market.rules.symbol), market.last_price()
        return abs(mark - last) > product(mark, contract_of(market.rules).trigger_protect)

    # ---- events of the plain order that concern its conditional one

    def _admitted(self, order: SimOrder, now_ns: int) -> None:
        """Report a conditional order as triggered, with the id of its plain order."""
        algo = self._algo_of(order)
        if algo is not None:
            algo.order = order
            self._set_algo(algo, AlgoStatus.TRIGGERED, now_ns)

    def _after_close(self, order: SimOrder, now_ns: int) -> None:
        """Finish a conditional order with its plain one."""
        super()._after_close(order, now_ns)
        algo = self._algo_of(order)
        if algo is not None:
            self._set_algo(algo, AlgoStatus.FINISHED, now_ns)

    def _algo_of(self, order: SimOrder) -> AlgoOrder | None:
        return self.algos.get(order.contract.algo_id) if order.contract is not None else None


def _plain_type(held: SimOrder, *, is_limit: bool) -> OrderType:
    """Return the type of the order that a conditional one becomes."""
    assert held.contract is not None, "an order of a contract has its terms"
    if not is_limit:
        return OrderType.MARKET
    return OrderType.LIMIT_MAKER if held.contract.time_in_force == "GTX" else OrderType.LIMIT
