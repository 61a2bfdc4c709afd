"""Answers about an account of Binance's futures as typed shapes, and what each says in our own words.

A shape that does not hold raises; answers.py catches. Only the fields we use are named; the venue adds others at will.
Numbers in parentheses are sections of the fact sheet of USD-M.
"""

from decimal import Decimal
from typing import Final

import msgspec

from engine.events import (
    BalanceReport,
    Fill,
    FundingReport,
    MarginSettingsReport,
    OrderReport,
    PositionReport,
    VenueStatus,
)
from engine.model import ForcedKind, MarginMode, PositionSide, Side
from engine.venues.binance_common.values import Amount, Millis, SignedAmount, Text, VenueId, nanoseconds
from engine.venues.binance_futures.order_types import reported_terms, trailing_delta

STATUSES: Final = {
    "NEW": VenueStatus.OPEN,
    "PARTIALLY_FILLED": VenueStatus.PARTIALLY_FILLED,
    "FILLED": VenueStatus.FILLED,
    "CANCELED": VenueStatus.CANCELED,
    "EXPIRED": VenueStatus.EXPIRED,
    "EXPIRED_IN_MATCH": VenueStatus.EXPIRED,
    "REJECTED": VenueStatus.REJECTED,
}
# of a conditional order. Once it was triggered, its order in the market says how it ends
HELD_STATUSES: Final = {
    "NEW": VenueStatus.OPEN,
    "TRIGGERING": VenueStatus.OPEN,
    "TRIGGERED": VenueStatus.OPEN,
    "FINISHED": VenueStatus.OPEN,
    "CANCELED": VenueStatus.CANCELED,
    "EXPIRED": VenueStatus.EXPIRED,
    "REJECTED": VenueStatus.REJECTED,
}
MARGIN_MODES: Final = {"CROSSED": MarginMode.CROSS, "ISOLATED": MarginMode.ISOLATED}
# beginnings of the client ids of orders that the venue places by itself (6)
FORCED: Final = (
    ("autoclose-", ForcedKind.LIQUIDATION),
    ("adl_autoclose", ForcedKind.DELEVERAGING),
    ("settlement_autoclose-", ForcedKind.SETTLEMENT),
)


def forced_kind(client_order_id: str) -> ForcedKind | None:
    """Return why the venue itself placed an order, or None for any other order."""
    return next((kind for begins, kind in FORCED if client_order_id.startswith(begins)), None)


class MarketOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order of the market as answers show it: placed, canceled, queried or listed as open (7)."""

    symbol: Text
    order_id: VenueId
    client_order_id: Text
    price: Amount
    orig_qty: Amount
    executed_qty: Amount
    status: str
    time_in_force: Text
    type: Text
    side: Side
    update_time: Millis
    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    stop_price: Amount = "0"

    def report(self, venue: str) -> OrderReport:
        """Return the order's status. Its fills come over the stream or as a list."""
        terms = reported_terms(self.type, self.time_in_force)
        return OrderReport(
            instrument=f"{venue}:{self.symbol}",
            client_order_id=self.client_order_id,
            venue_order_id=str(self.order_id),
            status=STATUSES[self.status],
            side=self.side,
            type=terms.type,
            time_in_force=terms.time_in_force,
            price=Decimal(self.price),
            quantity=Decimal(self.orig_qty),
            filled_quantity=Decimal(self.executed_qty),
            venue_ns=nanoseconds(self.update_time),
            stop_price=Decimal(self.stop_price),
            venue_type=terms.venue_type,
            is_in_market=True,
            position_side=self.position_side,
            reduce_only=self.reduce_only,
            forced=forced_kind(self.client_order_id),
        )


class ConditionalOrder(msgspec.Struct, frozen=True, rename="camel"):
    """A conditional order as answers show it (7)."""

    symbol: Text
    client_algo_id: Text
    order_type: Text
    side: Side
    algo_status: str
    update_time: Millis
    time_in_force: Text = "GTC"
    quantity: Amount = "0"  # of an order that closes a position
    trigger_price: str = "0"  # "" of a trailing stop
    price: str = "0"
    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    activate_price: str | None = ""
    callback_rate: str | None = ""
    actual_order_id: str | int | None = ""  # of its order in the market, once it was triggered
    fail_reason: Text = ""

    def report(self, venue: str) -> OrderReport:
        """Return the order's status."""
        return held_report(
            venue,
            symbol=self.symbol,
            client_order_id=self.client_algo_id,
            status=self.algo_status,
            side=self.side,
            venue_type=self.order_type,
            time_in_force=self.time_in_force,
            price=self.price,
            quantity=self.quantity,
            trigger=self.trigger_price if _is_set(self.trigger_price) else self.activate_price or "0",
            callback_rate=self.callback_rate or "",
            order_id=self.actual_order_id,
            venue_ns=nanoseconds(self.update_time),
            position_side=self.position_side,
            reduce_only=self.reduce_only,
            reason=self.fail_reason,
        )


def held_report(
    venue: str,
    *,
    symbol: str,
    client_order_id: str,
    status: str,
    side: Side,
    venue_type: str,
    time_in_force: str,
    price: str,
    quantity: str,
    trigger: str,
    callback_rate: str,
    order_id: str | int | None,
    venue_ns: int,
    position_side: PositionSide,
    reduce_only: bool,
    reason: str = "",
) -> OrderReport:
    """Return the report of a conditional order. It has an id of the venue once it is an order of the market."""
    terms = reported_terms(venue_type, time_in_force)
    triggered_id = str(order_id or "")
    is_triggered = triggered_id not in ("", "0")
    return OrderReport(
        instrument=f"{venue}:{symbol}",
        client_order_id=client_order_id,
        venue_order_id=triggered_id if is_triggered else "",
        status=HELD_STATUSES[status],
        side=side,
        type=terms.type,
        time_in_force=terms.time_in_force,
        price=Decimal(price or "0"),
        quantity=Decimal(quantity),
        filled_quantity=Decimal(0),
        venue_ns=venue_ns,
        reason=reason,
        stop_price=Decimal(trigger or "0"),
        venue_type=terms.venue_type,
        trailing_delta=trailing_delta(callback_rate),
        is_in_market=is_triggered,
        position_side=position_side,
        reduce_only=reduce_only,
    )


def _is_set(number: str) -> bool:
    return bool(number) and Decimal(number) != 0


class UserTrade(msgspec.Struct, frozen=True, rename="camel"):
    """A row of userTrades. It knows the order by the venue's id only."""

    symbol: Text
    id: VenueId
    order_id: VenueId
    side: Side
    price: Amount
    qty: Amount
    time: Millis
    maker: bool
    commission: SignedAmount = "0"
    commission_asset: Text = ""
    position_side: PositionSide = PositionSide.BOTH

    def fill(self, venue: str) -> Fill:
        """Return the fill."""
        return Fill(
            instrument=f"{venue}:{self.symbol}",
            fill_id=str(self.id),
            venue_order_id=str(self.order_id),
            side=self.side,
            price=Decimal(self.price),
            quantity=Decimal(self.qty),
            fee=Decimal(self.commission),
            fee_asset=self.commission_asset,
            maker=self.maker,
            venue_ns=nanoseconds(self.time),
            position_side=self.position_side,
        )


class WalletAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A row of the balances (9)."""

    asset: Text
    balance: SignedAmount  # deposits and earnings, without open P&L
    available_balance: SignedAmount  # for new orders; open P&L of cross margin is a part of it
    update_time: Millis = 0

    def report(self) -> BalanceReport:
        """Return the wallet: new orders may use the free part, the rest secures positions and orders."""
        wallet, available = Decimal(self.balance), Decimal(self.available_balance)
        free = min(max(available, Decimal(0)), max(wallet, Decimal(0)))
        return BalanceReport(self.asset, free, wallet - free, nanoseconds(self.update_time))


class PositionAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A row of the positions (9)."""

    symbol: Text
    position_amt: SignedAmount
    entry_price: SignedAmount
    mark_price: Amount = "0"
    liquidation_price: SignedAmount = "0"
    initial_margin: SignedAmount = "0"
    maint_margin: SignedAmount = "0"
    update_time: Millis = 0
    position_side: PositionSide = PositionSide.BOTH

    def report(self, venue: str) -> PositionReport:
        """Return the position."""
        return PositionReport(
            instrument=f"{venue}:{self.symbol}",
            position_side=self.position_side,
            quantity=Decimal(self.position_amt),
            entry_price=Decimal(self.entry_price),
            mark_price=Decimal(self.mark_price),
            liquidation_price=max(Decimal(self.liquidation_price), Decimal(0)),
            margin=Decimal(self.initial_margin),
            maintenance=Decimal(self.maint_margin),
            venue_ns=nanoseconds(self.update_time),
        )


class IncomeAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A funding in the list of incomes (9). It names no rate and no mark price."""

    symbol: Text
    income: SignedAmount
    asset: Text
    time: Millis

    def funding(self, venue: str) -> FundingReport:
        """Return the funding."""
        zero = Decimal(0)
        name, at_ns = f"{venue}:{self.symbol}", nanoseconds(self.time)
        return FundingReport(name, self.asset, Decimal(self.income), zero, zero, at_ns)


class SymbolConfig(msgspec.Struct, frozen=True, rename="camel"):
    """A row of symbolConfig (9)."""

    symbol: Text
    leverage: int
    margin_type: str

    def settings(self, venue: str) -> MarginSettingsReport:
        """Return leverage and margin mode."""
        return MarginSettingsReport(f"{venue}:{self.symbol}", Decimal(self.leverage), MARGIN_MODES[self.margin_type])


class LeverageAnswer(msgspec.Struct, frozen=True):
    """The answer to a change of the leverage."""

    symbol: Text
    leverage: int

    def settings(self, venue: str) -> MarginSettingsReport:
        """Return the leverage."""
        return MarginSettingsReport(f"{venue}:{self.symbol}", Decimal(self.leverage))


class DualSide(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to the query of the position mode."""

    dual_side_position: bool
