"""Alpaca's objects as structs, and what each of them reports. Numbers are bounded where they are converted."""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from engine.events import AccountReport, BalanceReport, Fill, OrderReport, VenueStatus
from engine.model import Instrument, OrderType, Side
from engine.money import ZERO
from engine.venues.alpaca.fills import fill_id
from engine.venues.alpaca.order_types import basis_points, reported_terms
from engine.venues.alpaca.values import TEXT_MAX, Number, Text, number, symbol_key
from engine.venues.alpaca.venue_limits import CASH
from engine.venues.timestamps import nanoseconds

SIDES = {"buy": Side.BUY, "sell": Side.SELL}
# "done_for_day" trades again in the next session; fills are possible in every status of the first group
STATUSES = {
    **dict.fromkeys(
        (
            "accepted", "pending_new", "accepted_for_bidding", "new", "stopped", "suspended", "held", "calculated",
            "done_for_day", "pending_cancel", "pending_replace",
        ),
        VenueStatus.OPEN,
    ),
    "partially_filled": VenueStatus.PARTIALLY_FILLED,
    "filled": VenueStatus.FILLED,
    "canceled": VenueStatus.CANCELED,
    "replaced": VenueStatus.CANCELED,  # the order continues under another id; its fills stay with this one
    "expired": VenueStatus.EXPIRED,
    "rejected": VenueStatus.REJECTED,
}  # fmt: skip


class Names:
    """The session's instruments by the venue's symbols, in either spelling."""

    def __init__(self, venue: str, instruments: Mapping[str, Instrument]) -> None:
        self.venue = venue
        self._by_key = instruments

    def instrument_id(self, symbol: str) -> str:
        """Return the id of a symbol's instrument, also of one that the session does not trade."""
        known = self._by_key.get(symbol_key(symbol))
        return f"{self.venue}:{symbol[:40]}" if known is None else known.id

    def asset(self, symbol: str, asset_class: str) -> str:
        """Return the asset of a position."""
        known = self._by_key.get(symbol_key(symbol))
        if known is not None:
            return known.base
        return symbol_key(symbol).removesuffix(CASH) if asset_class == "crypto" else symbol


class OrderState(msgspec.Struct, frozen=True):
    """An order, in answers and in events."""

    id: Text
    symbol: Text
    side: Text
    type: Text
    time_in_force: Text
    status: Text
    client_order_id: Text = ""
    qty: Number = None
    notional: Number = None
    filled_qty: Number = None
    limit_price: Number = None
    stop_price: Number = None
    trail_percent: Number = None
    updated_at: Text | None = None
    submitted_at: Text | None = None
    created_at: Text | None = None
    replaced_by: Text | None = None
    legs: tuple["OrderState", ...] | None = None

    @property
    def traded(self) -> Decimal:
        """The quantity that it has traded."""
        return number(self.filled_qty)

    def report(self, names: Names, fills: tuple[Fill, ...] = (), reason: str = "") -> OrderReport:
        """Return the order's state."""
        terms, status, traded = reported_terms(self.type, self.time_in_force), STATUSES[self.status], self.traded
        if status is VenueStatus.OPEN and traded > 0:
            status = VenueStatus.PARTIALLY_FILLED
        if self.replaced_by:
            reason = f"replaced by {self.replaced_by}"
        stated = next((text for text in (self.updated_at, self.submitted_at, self.created_at) if text), None)
        trailing = basis_points(number(self.trail_percent)) if terms.type is OrderType.STOP else 0
        return OrderReport(
            instrument=names.instrument_id(self.symbol),
            client_order_id=self.client_order_id,
            venue_order_id=self.id,
            status=status,
            side=SIDES[self.side],
            type=terms.type,
            time_in_force=terms.time_in_force,
            price=number(self.limit_price),
            quantity=number(self.qty),
            filled_quantity=traded,
            venue_ns=0 if stated is None else nanoseconds(stated),
            fills=fills,
            reason=reason[:TEXT_MAX],
            stop_price=ZERO if trailing else number(self.stop_price),  # the venue moves that of a trailing stop
            venue_type=terms.venue_type,
            trailing_delta=trailing,
            quote_quantity=number(self.notional),
        )

    def reports(self, names: Names) -> tuple[OrderReport, ...]:
        """Return the order's state and those of its legs, which the venue holds back until the order is filled."""
        return (self.report(names), *(report for leg in self.legs or () for report in leg.reports(names)))


class TradeUpdateEvent(msgspec.Struct, frozen=True):
    """An event of an order. Price and quantity are those of this fill alone."""

    event: Text
    order: OrderState
    timestamp: Text | None = None
    price: Number = None
    qty: Number = None

    def fill(self, names: Names) -> Fill:
        """Return the execution. The fee is in no message: the venue books fees later."""
        order = self.order
        return Fill(
            instrument=names.instrument_id(order.symbol),
            fill_id=fill_id(order.id, order.traded),
            venue_order_id=order.id,
            side=SIDES[order.side],
            price=number(self.price),
            quantity=number(self.qty),
            fee=ZERO,
            fee_asset="",
            maker=False,  # not said
            venue_ns=nanoseconds(self.timestamp or ""),
            client_order_id=order.client_order_id,
        )


class FillActivity(msgspec.Struct, frozen=True):
    """A fill in the list of activities."""

    id: Text
    activity_type: Text
    order_id: Text
    symbol: Text
    side: Text
    price: Decimal
    qty: Decimal
    cum_qty: Decimal
    transaction_time: Text

    def fill(self, names: Names) -> Fill:
        """Return the execution."""
        return Fill(
            instrument=names.instrument_id(self.symbol),
            fill_id=fill_id(self.order_id, number(self.cum_qty)),
            venue_order_id=self.order_id,
            side=SIDES[self.side],
            price=number(self.price),
            quantity=number(self.qty),
            fee=ZERO,
            fee_asset="",
            maker=False,
            venue_ns=nanoseconds(self.transaction_time),
        )


class CashAccount(msgspec.Struct, frozen=True):
    """The account: its cash, and whether it may trade. The venue removed the fields of day trades on 2026-07-06."""

    cash: Decimal
    currency: Text = CASH
    status: Text = "ACTIVE"
    non_marginable_buying_power: Number = None
    trading_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False

    def report(self) -> AccountReport:
        """Return the cash. The part that open orders hold is missing in the buying power without margin."""
        cash, power = number(self.cash), self.non_marginable_buying_power
        locked = ZERO if power is None else max(cash - max(number(power), ZERO), ZERO)
        is_stopped = self.trading_blocked or self.account_blocked or self.trade_suspended_by_user
        return AccountReport(
            (BalanceReport(self.currency, cash - locked, locked),),
            can_trade=self.status == "ACTIVE" and not is_stopped,
            covers=(self.currency,),
        )


class HeldAsset(msgspec.Struct, frozen=True):
    """A position. Open orders hold the part that is not available."""

    symbol: Text
    qty: Decimal
    qty_available: Number = None
    asset_class: Text = ""

    def report(self, names: Names) -> BalanceReport:
        """Return the holding."""
        held = number(self.qty)
        free = held if self.qty_available is None else number(self.qty_available)
        return BalanceReport(names.asset(self.symbol, self.asset_class), free, held - free)
