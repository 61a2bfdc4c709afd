"""The broker's desk: places, cancels and replaces orders, and holds them while stocks do not trade.

It announces what the exchange cannot know: that an order was accepted for later, or waits for its cancel.
"""

from engine.sim.alpaca import broker_refusals
from engine.sim.alpaca.broker_exchange import BrokerExchange
from engine.sim.alpaca.broker_orders import BrokerOrder, BrokerOrders, text
from engine.sim.alpaca.market_hours import MarketHours
from engine.sim.alpaca.order_requests import OrderBody, OrderReader
from engine.sim.binance.refusals import VenueRefusalError
from engine.sim.exchange.order_values import Announced, SimReport

UNREPLACEABLE = frozenset({"accepted", "pending_new", "pending_cancel", "pending_replace"})


class OrderDesk:
    """Orders of all accounts."""

    def __init__(self, exchange: BrokerExchange) -> None:
        self.orders = BrokerOrders()
        self.reader = OrderReader(exchange, self.orders)
        self.hours = MarketHours()
        self.cancel_wait_ns = 0  # from a cancel's request to the cancel
        self._exchange = exchange

    # ---- requests

    def place(self, account: str, body: OrderBody, now_ns: int) -> BrokerOrder:
        """Place an order, or accept it for the next session."""
        order = self.reader.read(account, body, now_ns)
        self._begin(order, now_ns)
        return order

    def cancel(self, order: BrokerOrder, now_ns: int) -> None:
        """Request the cancel of an order, which may take a while: until then it may still be filled."""
        if not order.is_open or order.status == "pending_cancel":
            raise broker_refusals.unprocessable(f'order is already in "{order.status}" state')
        if not self.cancel_wait_ns:
            self._end(order, "canceled", now_ns)
            return
        order.cancel_due_ns = now_ns + self.cancel_wait_ns
        self._announce(order, "pending_cancel", now_ns)

    def replace(self, order: BrokerOrder, changes: OrderBody, now_ns: int) -> BrokerOrder:
        """Replace an order by another one, with another id. The filled part stays with the old one."""
        if not order.is_open or order.status in UNREPLACEABLE or order.notional:
            raise broker_refusals.unprocessable(f'cannot replace order in "{order.status}" state')
        old = order.new
        body = OrderBody(
            symbol=old.symbol,
            side=old.side.value.lower(),
            type=order.order_type,
            time_in_force=changes.time_in_force or order.in_force,
            qty=changes.qty if changes.qty is not None else text(old.quantity),
            limit_price=changes.limit_price if changes.limit_price is not None else text(old.price),
            stop_price=changes.stop_price if changes.stop_price is not None else text(old.stop_price),
            trail_percent=order.trail_percent,
            client_order_id=changes.client_order_id or f"replaced-{self.orders.next_number}",
            extended_hours=order.extended_hours,
        )
        made = self.reader.read(order.account, body, now_ns, replacing=order)
        made.replaces, order.replaced_by = order.order_id, made.order_id
        self._end(order, "replaced", now_ns)
        self._begin(made, now_ns)
        return made

    # ---- time

    @property
    def next_timer_ns(self) -> int | None:
        """Return when a queued order begins, a day ends or a cancel is due."""
        orders = self.orders.open()
        due: list[int | None] = [order.cancel_due_ns for order in orders]
        for order in orders:
            if order.sim is None and order.cancel_due_ns is None:
                due.append(self.hours.next_open_ns(order.submitted_ns))
            elif order.in_force == "day" and not order.is_crypto:
                due.append(self.hours.next_close_ns(order.submitted_ns))
        return min((each for each in due if each is not None), default=None)

    def run_timers(self, now_ns: int) -> None:
        """Do what is due."""
        for order in self.orders.open():
            if order.cancel_due_ns is not None and order.cancel_due_ns <= now_ns:
                order.cancel_due_ns = None
                self._end(order, "canceled", now_ns)
            elif order.sim is None and order.cancel_due_ns is None and self.hours.is_open(now_ns):
                self._send(order, now_ns)
            elif order.in_force == "day" and not order.is_crypto and self._has_closed(order, now_ns):
                self._end(order, "expired", now_ns)

    def _has_closed(self, order: BrokerOrder, now_ns: int) -> bool:
        close_ns = self.hours.next_close_ns(order.submitted_ns)
        return close_ns is not None and close_ns <= now_ns

    # ---- the exchange

    def follow(self, report: SimReport) -> BrokerOrder | None:
        """Take what the exchange reports of an order. Return the order, or None if it is not the broker's."""
        order = self.orders.by_client_id(report.order.account, report.order.client_order_id)
        if order is not None:
            order.note(report.time_ns)
        return order

    def _begin(self, order: BrokerOrder, now_ns: int) -> None:
        if not order.is_crypto and not order.extended_hours and not self.hours.is_open(now_ns):
            self.orders.add(order)
            self._announce(order, "accepted", now_ns)
            return
        self._place(order, now_ns)

    def _place(self, order: BrokerOrder, now_ns: int) -> None:
        """Give the exchange an order. Raises VenueRefusalError, and the order does not exist then."""
        order.sim = self._exchange.place(order.account, order.new, now_ns)
        self.orders.add(order)

    def _send(self, order: BrokerOrder, now_ns: int) -> None:
        """Give the exchange an order that was accepted before: it can only be rejected now."""
        try:
            self._place(order, now_ns)
        except VenueRefusalError:
            order.phase = "rejected"
            self._announce(order, "rejected", now_ns)

    def _end(self, order: BrokerOrder, ends_as: str, now_ns: int) -> None:
        if order.sim is None:
            order.phase = ends_as
            self._announce(order, ends_as, now_ns)
        elif order.sim.is_open:
            order.ends_as = ends_as
            self._exchange.cancel(order.sim, now_ns, cancel_client_order_id="")

    def _announce(self, order: BrokerOrder, name: str, now_ns: int) -> None:
        order.note(now_ns)
        self._exchange.announce(Announced(account=order.account, name=name, order=order.order_id, time_ns=now_ns))
