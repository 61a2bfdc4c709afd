"""Order lists as values: OCO, OTO, OTOCO, and the last two paid by their working order (OPO, OPOCO).

Binance Spot API, "Order lists". list_ledger.py keeps the lists and the locks of their orders, order_matching.py
releases the pending ones.
"""

from enum import StrEnum
from itertools import pairwise

import msgspec

from engine.model import Side
from engine.sim.binance import refusals
from engine.sim.exchange.held_orders import reaches_stop
from engine.sim.exchange.order_values import SimNewOrder, SimOrder


class Contingency(StrEnum):
    """The kind of a list, as Binance names it; an OTOCO is an OTO."""

    OCO = "OCO"
    OTO = "OTO"


class ListStatus(StrEnum):
    """The listStatusType of a list."""

    EXEC_STARTED = "EXEC_STARTED"
    UPDATED = "UPDATED"  # in events alone: the client order id of an order is another one
    ALL_DONE = "ALL_DONE"


class SimNewList(msgspec.Struct, frozen=True, kw_only=True):
    """A list request with its numbers decoded.

    `orders` are the stop-loss and the other order of a pair, after the working order if there is one; or the working
    and the only pending order.
    """

    contingency: Contingency
    orders: tuple[SimNewOrder, ...]
    client_list_id: str = ""  # empty: the venue makes one
    is_paid_by_working: bool = False  # True: the pending orders get what the working order brings

    @property
    def working(self) -> SimNewOrder | None:
        """The order that the pending ones wait for."""
        return self.orders[0] if self.contingency is Contingency.OTO else None

    @property
    def pair(self) -> tuple[SimNewOrder, ...]:
        """The two orders that end each other; empty if there is no pair."""
        return self.orders[-2:] if self.contingency is Contingency.OCO or len(self.orders) == 3 else ()


class SimOrderList(msgspec.Struct, kw_only=True):
    """A list of the venue, from its acceptance on."""

    list_id: int
    account: str
    symbol: str
    contingency: Contingency
    client_list_id: str
    orders: tuple[SimOrder, ...]
    pair: tuple[SimOrder, ...]
    changed_ns: int
    is_paid_by_working: bool = False
    is_done: bool = False
    is_ending: bool = False  # True while its orders are ended together

    @property
    def working(self) -> SimOrder | None:
        """The order that the pending ones wait for."""
        return self.orders[0] if self.contingency is Contingency.OTO else None

    @property
    def pending(self) -> list[SimOrder]:
        """The orders that wait for the working one."""
        return [order for order in self.orders if order.is_pending]

    @property
    def status(self) -> ListStatus:
        """The listStatusType of a query."""
        return ListStatus.ALL_DONE if self.is_done else ListStatus.EXEC_STARTED


class ListChanged(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a list's life, with its orders as (order id, client order id) at that moment."""

    order_list: SimOrderList
    status: ListStatus
    orders: tuple[tuple[int, str], ...]
    time_ns: int


def is_stop_loss(order: SimNewOrder | SimOrder) -> bool:
    """Return True for a stop-loss of either type; the other order of a pair is none."""
    return order.terms.trigger is not None and not order.terms.triggers_on_gain


def pair_level(order: SimNewOrder | SimOrder) -> int:
    """Return the price that Binance compares in a pair; 0 for a trailing order without a stop price.

    It is the limit price of LIMIT_MAKER and TAKE_PROFIT_LIMIT, and the stop price of the others.
    """
    return order.stop_price if is_stop_loss(order) or not order.price else order.price


def are_prices_related(pair: tuple[SimNewOrder | SimOrder, ...], last: int) -> bool:
    """Return True if the last price is between the levels of a pair, on the right sides.

    A price of 0 is unknown and fits.
    """
    stop, other = sorted(pair, key=lambda order: not is_stop_loss(order))
    levels = [pair_level(other), last, pair_level(stop)]  # from gain to loss
    known = [level for level in levels if level]
    rising = stop.side is Side.BUY
    return all(a < b if rising else a > b for a, b in pairwise(known))


def check_pair(pair: tuple[SimNewOrder, ...], last: int) -> None:
    """Refuse a pair whose prices do not fit each other and the last price, or that would trigger at once."""
    if not are_prices_related(pair, last):
        raise refusals.order_rejected("The relationship of the prices for the orders is not correct.")
    if last and any(order.terms.trigger is not None and reaches_stop(order, last) for order in pair):
        raise refusals.would_trigger()
