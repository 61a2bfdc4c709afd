"""Orders of the simulated exchange, the funds that they lock, and the reports of their changes. Matches nothing.

Ids count up from fixed numbers, so the same calls in the same order give the same ids.
"""

from typing import Final

from msgspec.structs import replace

from engine.model import Side
from engine.sim.binance import refusals
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.contract_events import ContractEvent
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.held_orders import HeldOrders
from engine.sim.exchange.order_lists import ListChanged
from engine.sim.exchange.order_values import (
    Announced,
    Execution,
    FundingSettled,
    FundsChanged,
    SimAmendment,
    SimFill,
    SimNewOrder,
    SimOrder,
    SimOrderStatus,
    SimPreventedMatch,
    SimReport,
)
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.exchange.venue_books import VenueBooks
from engine.sim.units import ONE

ORDER_ID_FIRST: Final = 1_000_001
ENDED_KEPT: Final = 1_000  # orders that a lagging list can show
Event = SimReport | Announced | FundingSettled | FundsChanged | ListChanged | ContractEvent
TRADE_ID_FIRST: Final = 9_000_000_001  # above any captured trade id: (symbol, trade id) stays unique


class OrderLedger:
    """Symbols, accounts and orders of the venue. Amounts are integers in units of 1e-8."""

    def __init__(self, rules: dict[str, SymbolRules], accounts: dict[str, Funds]) -> None:
        self.books = VenueBooks(len(rules))
        self.markets = {
            symbol: SymbolMarket(given, self.books, place) for place, (symbol, given) in enumerate(rules.items())
        }
        self._by_place = tuple(self.markets.values())
        self.accounts = accounts
        self.orders: dict[int, SimOrder] = {}
        self.client_ids_seen: dict[str, int] = {}  # every client order id received, also of refused orders
        self._open_by_client_id: dict[tuple[str, str], SimOrder] = {}
        self._last_by_client_id: dict[tuple[str, str, str], SimOrder] = {}
        self._before_end: dict[int, tuple[SimOrder, int]] = {}  # order id -> as it was, when it ended
        self._held = HeldOrders(self.books)
        self._events: list[Event] = []
        self._order_id_next = ORDER_ID_FIRST
        self._trade_id_next = TRADE_ID_FIRST
        self._execution_id_next = 1
        self._cancel_id_next = 1
        self._prevented_next: dict[str, int] = {}  # symbol -> id of the next prevented match

    # ---- queries

    @property
    def awaits_market(self) -> bool:
        """Return True if a price of the market may fill or trigger an order."""
        return bool(self.books.resting or self._held)

    @property
    def is_indifferent(self) -> bool:
        """Return True if nothing that the market does has an effect before the next request."""
        return not self.awaits_market and not any(
            held.quantity for account in self.accounts.values() for held in account.contracts.values()
        )

    def market(self, symbol: str) -> SymbolMarket:
        """Return a symbol's market, or refuse an unknown symbol."""
        market = self.markets.get(symbol)
        if market is None:
            raise refusals.invalid_symbol()
        return market

    def pop_events(self) -> list[Event]:
        """Return and drop the reports and changes of funds since the last call, in order."""
        events, self._events = self._events, []
        return events

    def open_orders(self, account: str, symbol: str | None = None) -> list[SimOrder]:
        """Return an account's open orders by order id."""
        own = (order for (owner, _), order in self._open_by_client_id.items() if owner == account)
        return sorted((o for o in own if symbol in (None, o.symbol)), key=lambda order: order.order_id)

    def find(self, account: str, symbol: str, *, order_id: int | None, client_order_id: str | None) -> SimOrder | None:
        """Find an order by order id, or else by client order id.

        As at Binance, a client order id given beside an order id must belong to that order.
        """
        if order_id is None:
            return self._last_by_client_id.get((account, symbol, client_order_id or ""))
        order = self.orders.get(order_id)
        if order is None or order.account != account or order.symbol != symbol:
            return None
        if client_order_id is not None and client_order_id != order.client_order_id:
            raise refusals.client_id_mismatch()
        return order

    def announce(self, event: Event) -> None:
        """Add an event that happened outside the orders."""
        self._events.append(event)

    # ---- ids

    def number_after(self, order_id: int, trade_id: int) -> None:
        """Continue order and trade ids after those of the venue that this one replaces."""
        self._order_id_next = max(self._order_id_next, order_id + 1)
        self._trade_id_next = max(self._trade_id_next, trade_id + 1)

    def cancel_id(self) -> str:
        """Make a client order id for a cancel without one."""
        self._cancel_id_next += 1
        return f"sim-c{self._cancel_id_next - 1}"

    def _new_trade_id(self) -> int:
        self._trade_id_next += 1
        return self._trade_id_next - 1

    # ---- changes of an order

    def _make(self, account: str, new: SimNewOrder, now_ns: int, *, order_id: int | None = None) -> SimOrder:
        """Make an order with the next order id, or a given one, without admitting it."""
        number = self._order_id_next if order_id is None else order_id
        order = SimOrder(
            order_id=number,
            account=account,
            symbol=new.symbol,
            place=self.markets[new.symbol].place,
            side=new.side,
            order_type=new.order_type,
            time_in_force=new.time_in_force,
            terms=new.terms,
            client_order_id=new.client_order_id or f"sim-o{number}",
            price=new.price,
            stop_price=new.stop_price,
            quantity=new.quantity,
            quote_quantity=new.quote_quantity,
            self_trade=new.self_trade,
            trailing_delta=new.trailing_delta,
            iceberg_quantity=new.iceberg_quantity,
            contract=new.contract,
            created_ns=now_ns,
            updated_ns=now_ns,
            working_ns=now_ns,
        )
        self._order_id_next += order_id is None
        return order

    def _admit(self, account: str, new: SimNewOrder, now_ns: int) -> SimOrder:
        order = self._make(account, new, now_ns)
        self.orders[order.order_id] = order
        self._open_by_client_id[account, order.client_order_id] = order
        self._last_by_client_id[account, order.symbol, order.client_order_id] = order
        return order

    def _expire(self, order: SimOrder, reason: str, now_ns: int) -> None:
        order.expiry_reason = reason
        self._end(order, SimOrderStatus.EXPIRED, Execution.EXPIRED, now_ns)

    def _end(
        self,
        order: SimOrder,
        status: SimOrderStatus,
        execution: Execution,
        now_ns: int,
        *,
        cancel_client_order_id: str = "",
        prevented: SimPreventedMatch | None = None,
    ) -> None:
        self._before_end[order.order_id] = replace(order), now_ns
        if len(self._before_end) > ENDED_KEPT:
            del self._before_end[next(iter(self._before_end))]
        if not order.is_working:
            order.working_ns = 0
        order.status = status
        order.updated_ns = now_ns
        self._close(order)
        self._report(execution, order, now_ns, cancel_client_order_id=cancel_client_order_id, prevented=prevented)
        self._after_close(order, now_ns)

    def _after_close(self, order: SimOrder, now_ns: int) -> None:
        """Do what an order's end causes; list_ledger.py ends the other orders of its list."""

    def _close(self, order: SimOrder) -> None:
        del self._open_by_client_id[order.account, order.client_order_id]
        if order.on_book:
            self.markets[order.symbol].remove(order)
        if order.is_held:
            self._held.remove(order)
        self._unlock(order, order.locked)

    def _lock(self, order: SimOrder, amount: int, *, price: int = 0) -> None:
        """Lock an amount for an order; `price` is the estimate for a buy without a limit price that waits."""
        rules = self.markets[order.symbol].rules
        self.accounts[order.account].lock(rules.quote if order.side is Side.BUY else rules.base, amount)
        order.locked = amount
        order.lock_price = order.price or price

    def _lock_restored(self, order: SimOrder) -> None:
        """Lock what the rest of a restored order needs; nothing on a market of contracts."""
        if not self.markets[order.symbol].rules.settles_in:
            price = order.price or order.stop_price
            buying = order.side is Side.BUY
            cost = -(-price * order.leaves // ONE) if buying else order.leaves
            self._lock(order, self._with_fee(order.account, order, cost), price=price)

    def _unlock(self, order: SimOrder, amount: int) -> None:
        if amount:
            rules = self.markets[order.symbol].rules
            self.accounts[order.account].release(rules.quote if order.side is Side.BUY else rules.base, amount)
            order.locked -= amount

    def _unlock_excess(self, order: SimOrder) -> None:
        """Release what an order locks beyond its rest."""
        if self.markets[order.symbol].rules.settles_in or (order.side is Side.BUY and not order.lock_price):
            return
        self._unlock(order, max(order.locked - self._needed(order), 0))

    def _needed(self, order: SimOrder) -> int:
        """Return what an order's rest must lock."""
        cost = -(-order.lock_price * order.leaves // ONE) if order.side is Side.BUY else order.leaves
        return self._with_fee(order.account, order, cost)

    def _with_fee(self, account: str, order: SimNewOrder | SimOrder, cost: int) -> int:
        """Return what an order locks: a buy also the fee, where it is paid in the quote asset."""
        if order.side is not Side.BUY or not self.markets[order.symbol].rules.fee_in_quote:
            return cost
        return cost + -(-cost * self.accounts[account].rate(maker=False) // ONE)

    def amend(self, order: SimOrder, quantity: int, now_ns: int, *, client_order_id: str) -> int:
        """Reduce an open order's quantity; it keeps its id and its place. Return the execution id of the report."""
        self._check_amendment(order, quantity, client_order_id)
        execution_id = self._amend(order, quantity, now_ns, client_order_id=client_order_id)
        self._flush_funds(now_ns)
        return execution_id

    def _check_amendment(self, order: SimOrder, quantity: int, client_order_id: str) -> None:
        if quantity > order.quantity:
            raise refusals.amend_rejected("Order amend (quantity increase) is not supported.")
        if quantity == order.quantity:
            raise refusals.amend_rejected("The requested action would change no state; rejecting")
        if quantity <= order.executed + order.prevented:
            raise refusals.amend_rejected("The new quantity must be more than was filled.")
        if len(order.amendments) >= self.markets[order.symbol].rules.amends_max:
            raise refusals.amend_rejected("Filter failure: MAX_NUM_ORDER_AMENDS")
        if client_order_id != order.client_order_id and (order.account, client_order_id) in self._open_by_client_id:
            raise refusals.duplicate_order()

    def _amend(self, order: SimOrder, quantity: int, now_ns: int, *, client_order_id: str) -> int:
        old_id = order.client_order_id
        amendment = SimAmendment(
            execution_id=self._execution_id_next,
            client_order_id_before=old_id,
            client_order_id=client_order_id,
            quantity_before=order.quantity,
            quantity=quantity,
            time_ns=now_ns,
        )
        order.amendments = [*order.amendments, amendment]
        del self._open_by_client_id[order.account, old_id]
        order.client_order_id, order.quantity, order.updated_ns = client_order_id, quantity, now_ns
        self._open_by_client_id[order.account, client_order_id] = order
        self._last_by_client_id.pop((order.account, order.symbol, old_id), None)
        self._last_by_client_id[order.account, order.symbol, client_order_id] = order
        self._unlock_excess(order)
        self._report(Execution.REPLACED, order, now_ns, amended_client_order_id=old_id)
        return amendment.execution_id

    def ended_since(self, account: str, since_ns: int, symbol: str | None) -> list[SimOrder]:
        """Return orders that ended after a time, as they were before their end: what a lagging list shows."""
        return [
            before
            for before, ended_ns in self._before_end.values()
            if before.account == account and symbol in (None, before.symbol) and ended_ns > since_ns
        ]

    def _report(
        self,
        execution: Execution,
        order: SimOrder,
        now_ns: int,
        *,
        fill: SimFill | None = None,
        cancel_client_order_id: str = "",
        amended_client_order_id: str = "",
        prevented: SimPreventedMatch | None = None,
    ) -> None:
        self._events.append(
            SimReport(
                execution=execution,
                order=replace(order),
                execution_id=self._execution_id_next,
                time_ns=now_ns,
                fill=fill,
                cancel_client_order_id=cancel_client_order_id,
                amended_client_order_id=amended_client_order_id,
                prevented=prevented,
            )
        )
        self._execution_id_next += 1

    def move_balance(self, account: str, asset: str, amount: int, now_ns: int, *, streamed: bool) -> None:
        """Move a balance by hand. `pop_events` returns the report of a streamed move. Raises ValueError."""
        funds = self.accounts[account]
        funds.move_by_hand(asset, amount)
        if streamed:
            self._flush_funds(now_ns)
        else:
            funds.touched.discard(asset)
            funds.changed_ns = now_ns

    def _flush_funds(self, now_ns: int) -> None:
        for name, account in self.accounts.items():
            touched = account.pop_touched()
            if touched:
                account.changed_ns = now_ns
                balances = tuple((asset, account.free[asset], account.locked[asset]) for asset in touched)
                self._events.append(FundsChanged(account=name, time_ns=now_ns, balances=balances))
