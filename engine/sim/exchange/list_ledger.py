"""The order lists of the simulated exchange: which order ends which, what they lock together, and their reports.

A pair (OCO) locks the larger of its two amounts once. One order of it holds the lock, until the other trades.
The orders of an OTO lock their amounts at placement, pending ones too, unless the working order pays for them.
"""

from typing import Final

from engine.sim.binance import refusals
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.order_ledger import OrderLedger
from engine.sim.exchange.order_lists import Contingency, ListChanged, ListStatus, SimNewList, SimOrderList
from engine.sim.exchange.order_values import Execution, SimFill, SimOrder, SimOrderStatus

OCO_TRIGGER: Final = "OCO_TRIGGER"
PHASE_ONE: Final = "OTO_PHASE_ONE_EXPIRED"


class ListLedger(OrderLedger):
    """Order lists beside the orders. Amounts are integers in units of 1e-8."""

    def __init__(self, rules: dict[str, SymbolRules], accounts: dict[str, Funds]) -> None:
        super().__init__(rules, accounts)
        self.lists: dict[int, SimOrderList] = {}
        self._list_id_next = 1
        self._to_release: list[SimOrderList] = []  # their working order is filled

    # ---- queries

    def open_lists(self, account: str, symbol: str | None = None) -> list[SimOrderList]:
        """Return an account's open lists, oldest first."""
        return [
            each
            for each in self.lists.values()
            if each.account == account and symbol in (None, each.symbol) and not each.is_done
        ]

    def find_list(self, account: str, *, list_id: int | None, client_list_id: str | None) -> SimOrderList | None:
        """Find a list by its id, or else the newest with a client id."""
        if list_id is not None:
            found = self.lists.get(list_id)
            return found if found is not None and found.account == account else None
        own = [each for each in self.lists.values() if (each.account, each.client_list_id) == (account, client_list_id)]
        return own[-1] if own else None

    # ---- placing

    def _check_ids(self, account: str, new: SimNewList) -> None:
        """Refuse client ids that open orders or lists have, or that two orders of the list share."""
        names = [order.client_order_id for order in new.orders if order.client_order_id]
        taken = [name for name in names if (account, name) in self._open_by_client_id]
        lists = [each.client_list_id for each in self.open_lists(account)]
        if taken or len(set(names)) < len(names) or new.client_list_id in lists:
            raise refusals.duplicate_order()

    def restore_list(self, client_list_id: str, orders: tuple[SimOrder, ...], now_ns: int) -> None:
        """Link restored orders to a list: pending ones wait for the first, and two exits lock once.

        Args:
            client_list_id: The client's id of the list.
            orders: Its open orders: the working one before those that wait for it.
            now_ns: Time of the market.

        """
        pending = tuple(order for order in orders if order.is_pending)
        pair = pending or orders
        made = SimOrderList(
            list_id=self._list_id_next,
            account=orders[0].account,
            symbol=orders[0].symbol,
            contingency=Contingency.OTO if pending else Contingency.OCO,
            client_list_id=client_list_id,
            orders=orders,
            pair=pair if len(pair) == 2 else (),
            changed_ns=now_ns,
            is_paid_by_working=bool(pending),
        )
        self._list_id_next += 1
        self.lists[made.list_id] = made
        for order in orders:
            order.list_id = made.list_id
        dearest = (
            orders[0] if pending else max(orders, key=lambda order: (order.price or order.stop_price, order.leaves))
        )
        self._lock_restored(dearest)
        if pending and orders[0].executed:
            base, funds = self.markets[made.symbol].rules.base, self.accounts[made.account]
            brought = min(orders[0].executed, funds.free[base])
            funds.lock(base, brought)
            pending[0].locked = brought

    def _admit_list(self, account: str, new: SimNewList, now_ns: int) -> SimOrderList:
        orders = tuple(self._admit(account, order, now_ns) for order in new.orders)
        made = SimOrderList(
            list_id=self._list_id_next,
            account=account,
            symbol=orders[0].symbol,
            contingency=new.contingency,
            client_list_id=new.client_list_id or f"sim-l{self._list_id_next}",
            orders=orders,
            pair=orders[-2:] if new.pair else (),
            changed_ns=now_ns,
            is_paid_by_working=new.is_paid_by_working,
        )
        self._list_id_next += 1
        self.lists[made.list_id] = made
        for order in orders:
            order.list_id = made.list_id
            if new.contingency is Contingency.OTO and order is not orders[0]:
                order.status = SimOrderStatus.PENDING_NEW
        return made

    # ---- what one order does to the others

    def _sibling(self, order: SimOrder) -> SimOrder | None:
        """Return the open other order of a pair."""
        if order.list_id < 0:
            return None
        pair = self.lists[order.list_id].pair
        return next((other for other in pair if other is not order and order in pair and other.is_open), None)

    def _needed(self, order: SimOrder) -> int:
        """Return what the rest of an order, and of its pair, must lock."""
        sibling = self._sibling(order)
        own = super()._needed(order)
        return own if sibling is None else max(own, super()._needed(sibling))

    def _end_sibling(self, order: SimOrder, now_ns: int) -> None:
        """Expire the other order of a pair: this one trades or was triggered."""
        sibling = self._sibling(order)
        if sibling is not None:
            self._expire_together(self.lists[order.list_id], [sibling], OCO_TRIGGER, now_ns)
            self._unlock_excess(order)

    def _move_pair_lock(self, order: SimOrder) -> None:
        """Move the lock of a pair to the order that pays from it now."""
        sibling = self._sibling(order)
        if sibling is not None:
            order.locked += sibling.locked
            sibling.locked = 0

    def _after_fill(self, order: SimOrder, fill: SimFill, now_ns: int) -> None:
        """End the other order of a pair, and lock what a working order brings for the orders that it pays."""
        if order.list_id < 0:
            return
        self._end_sibling(order, now_ns)
        own = self.lists[order.list_id]
        if own.is_paid_by_working and order is own.working and own.pending:
            rules, funds = self.markets[order.symbol].rules, self.accounts[order.account]
            fee = fill.fee if fill.fee_asset == rules.base else 0
            brought = fill.quantity if funds.free[rules.base] >= fill.quantity else fill.quantity - fee
            funds.lock(rules.base, brought)
            own.pending[0].locked += brought

    def _after_close(self, order: SimOrder, now_ns: int) -> None:
        """Release or end the other orders of a list, and report the list once all have ended."""
        if order.list_id < 0:
            return
        own = self.lists[order.list_id]
        if not own.is_ending:
            if order is own.working and order.status is SimOrderStatus.FILLED:
                self._to_release.append(own)
            elif order is own.working:
                self._expire_together(own, own.pending, PHASE_ONE, now_ns)
            else:
                self._end_sibling(order, now_ns)
        if not own.is_done and not own.is_ending and not any(each.is_open for each in own.orders):
            own.is_done = True
            self._report_list(own, ListStatus.ALL_DONE, now_ns)

    def _expire_together(self, own: SimOrderList, orders: list[SimOrder], reason: str, now_ns: int) -> None:
        own.is_ending = True
        for order in orders:
            self._expire(order, reason, now_ns)
        own.is_ending = False

    def cancel_list(self, own: SimOrderList, now_ns: int, *, cancel_client_order_id: str) -> list[SimOrder]:
        """Cancel all open orders of a list, as the cancel of one of them does. Return them."""
        orders = [order for order in own.orders if order.is_open]
        if not orders:
            raise refusals.unknown_order()
        own.is_ending = True
        for order in orders:
            self._end(
                order,
                SimOrderStatus.CANCELED,
                Execution.CANCELED,
                now_ns,
                cancel_client_order_id=cancel_client_order_id,
            )
        own.is_ending = False
        self._after_close(orders[-1], now_ns)
        self._flush_funds(now_ns)
        return orders

    def _check_amendment(self, order: SimOrder, quantity: int, client_order_id: str) -> None:
        if order.is_pending and self.lists[order.list_id].is_paid_by_working:
            raise refusals.amend_rejected("Order amend (pending OPO order) is not supported.")
        super()._check_amendment(order, quantity, client_order_id)

    def _amend(self, order: SimOrder, quantity: int, now_ns: int, *, client_order_id: str) -> int:
        """Reduce an order; the other order of its pair is reduced with it."""
        changes_id = client_order_id != order.client_order_id
        execution_id = super()._amend(order, quantity, now_ns, client_order_id=client_order_id)
        sibling = self._sibling(order)
        if sibling is not None:
            super()._amend(sibling, quantity, now_ns, client_order_id=sibling.client_order_id)
            self._unlock_excess(order)
        if order.list_id >= 0 and changes_id:
            self._report_list(self.lists[order.list_id], ListStatus.UPDATED, now_ns)
        return execution_id

    def _report_list(self, own: SimOrderList, status: ListStatus, now_ns: int) -> None:
        own.changed_ns = now_ns
        orders = tuple((order.order_id, order.client_order_id) for order in own.orders)
        self._events.append(ListChanged(order_list=own, status=status, orders=orders, time_ns=now_ns))
