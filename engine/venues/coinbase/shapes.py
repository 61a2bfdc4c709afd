"""Coinbase's orders, fills and balances as typed shapes, and what each says in our own words.

One message, one event. A shape that does not hold raises; account.py catches. The venue adds fields at will.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import msgspec

from engine.events import BalanceReport, Fill, OrderReport, VenueStatus
from engine.model import OrderType, Side
from engine.money import ZERO
from engine.venues.coinbase.order_types import configured, field_of, reported
from engine.venues.coinbase.values import (
    ID_MAX,
    TEXT_MAX,
    Amount,
    Text,
    amount,
    positive,
    quote_of,
)
from engine.venues.timestamps import nanoseconds

STATUSES: Final = {
    "PENDING": VenueStatus.OPEN,  # accepted, perhaps not in the book yet
    "QUEUED": VenueStatus.OPEN,
    "OPEN": VenueStatus.OPEN,
    "EDIT_QUEUED": VenueStatus.OPEN,
    "CANCEL_QUEUED": VenueStatus.OPEN,  # still live
    "FILLED": VenueStatus.FILLED,
    "CANCELLED": VenueStatus.CANCELED,
    "EXPIRED": VenueStatus.EXPIRED,
    "FAILED": VenueStatus.REJECTED,
}
SIDES: Final = {"BUY": Side.BUY, "SELL": Side.SELL}
TRIGGERED: Final = "STOP_TRIGGERED"
# configuration -> order type and time in force, for an answer that does not state them
KEY_WORDS: Final = {
    "market_market_ioc": ("MARKET", "IMMEDIATE_OR_CANCEL"),
    "sor_limit_ioc": ("LIMIT", "IMMEDIATE_OR_CANCEL"),
    "limit_limit_gtc": ("LIMIT", "GOOD_UNTIL_CANCELLED"),
    "limit_limit_fok": ("LIMIT", "FILL_OR_KILL"),
    "stop_limit_stop_limit_gtc": ("STOP_LIMIT", "GOOD_UNTIL_CANCELLED"),
}
FILL: Final = "FILL"  # the trade type of a fill; the others correct one
QUOTED_PLACES: Final = Decimal("1e-8")  # of a quantity that is computed from an amount of the quote asset
MAKERS: Final = {"MAKER": True, "TAKER": False, "UNKNOWN_LIQUIDITY_INDICATOR": False, "UNKNOWN": False, "": False}


def _status(word: str, filled: Decimal) -> VenueStatus:
    status = STATUSES[word]
    return VenueStatus.PARTIALLY_FILLED if status is VenueStatus.OPEN and filled > 0 else status


class OrderUpdate(msgspec.Struct, frozen=True):
    """An order of the user channel: its state so far, and not its fills."""

    order_id: Text
    status: str
    product_id: Text
    order_side: str
    client_order_id: Text = ""
    order_type: Text = ""
    time_in_force: Text = ""
    trigger_status: Text = ""
    cumulative_quantity: Amount = ""
    leaves_quantity: Amount = ""
    limit_price: Amount = ""
    stop_price: Amount = ""
    post_only: bool | str = False
    cancel_reason: str = ""
    reject_reason: str = ""

    def report(self, venue: str, venue_ns: int) -> OrderReport:
        """Return the report. `leaves_quantity` is 0 once an order has ended: its size is not stated then."""
        filled, leaves = positive(self.cumulative_quantity), positive(self.leaves_quantity)
        is_post_only = self.post_only is True or self.post_only == "true"
        kind, name, in_force = reported(self.order_type, self.time_in_force, is_post_only=is_post_only)
        reasons = (self.reject_reason, self.cancel_reason)
        return OrderReport(
            instrument=f"{venue}:{self.product_id[:ID_MAX]}",
            client_order_id=self.client_order_id[:ID_MAX],
            venue_order_id=self.order_id[:ID_MAX],
            status=_status(self.status, filled),
            side=SIDES[self.order_side],
            type=kind,
            time_in_force=in_force,
            price=positive(self.limit_price),
            quantity=filled + leaves,
            filled_quantity=filled,
            venue_ns=venue_ns,
            reason=", ".join(word for word in reasons if word)[:TEXT_MAX],
            stop_price=positive(self.stop_price),
            venue_type=name,
            is_triggered=self.trigger_status == TRIGGERED,
        )


class OrderState(msgspec.Struct, frozen=True):
    """An order as a query shows it. It states no time of its last change."""

    order_id: Text
    product_id: Text
    side: str
    status: str
    client_order_id: Text = ""
    order_configuration: dict[str, dict[str, Any]] = {}
    time_in_force: Text = ""
    order_type: Text = ""
    filled_size: Amount = ""
    trigger_status: Text = ""
    reject_reason: str = ""
    reject_message: str = ""
    cancel_message: str = ""

    def report(self, venue: str) -> OrderReport:
        """Return the report."""
        key, fields = configured(self.order_configuration)
        filled = positive(self.filled_size)
        is_post_only = fields.get("post_only") in (True, "true")
        word, lasts = _words_of(key)
        kind, name, in_force = reported(self.order_type or word, self.time_in_force or lasts, is_post_only=is_post_only)
        reject = "" if self.reject_reason == "REJECT_REASON_UNSPECIFIED" else self.reject_reason
        reasons = (reject, self.reject_message, self.cancel_message)
        return OrderReport(
            instrument=f"{venue}:{self.product_id[:ID_MAX]}",
            client_order_id=self.client_order_id[:ID_MAX],
            venue_order_id=self.order_id[:ID_MAX],
            status=_status(self.status, filled),
            side=SIDES[self.side],
            type=kind,
            time_in_force=in_force,
            price=field_of(fields, "limit_price") if kind is not OrderType.MARKET else ZERO,
            quantity=field_of(fields, "base_size") or filled,
            filled_quantity=filled,
            venue_ns=0,
            reason=", ".join(word for word in reasons if word)[:TEXT_MAX],
            stop_price=field_of(fields, "stop_price") or field_of(fields, "stop_trigger_price"),
            venue_type=name,
            quote_quantity=field_of(fields, "quote_size"),
            is_triggered=self.trigger_status == TRIGGERED,
        )


def _words_of(key: str) -> tuple[str, str]:
    """Return the order type and the time in force of a configuration's key, in the venue's words."""
    return KEY_WORDS.get(key, (key.upper(), ""))


class ListedFill(msgspec.Struct, frozen=True):
    """A fill of the list of fills."""

    entry_id: Text
    order_id: Text
    product_id: Text
    price: Amount
    size: Amount
    side: str
    trade_time: Text
    commission: Amount = ""
    trade_type: str = FILL
    sequence_timestamp: Text = ""
    liquidity_indicator: str = ""
    size_in_quote: bool = False

    def fill(self, venue: str) -> Fill:
        """Return the fill. Its fee is in the quote asset; its identity is the entry, since a trade has two sides."""
        price, size = positive(self.price), positive(self.size)
        if self.size_in_quote:
            size = (size / price).quantize(QUOTED_PLACES, ROUND_HALF_EVEN)
        return Fill(
            instrument=f"{venue}:{self.product_id[:ID_MAX]}",
            fill_id=self.entry_id[:ID_MAX],
            venue_order_id=self.order_id[:ID_MAX],
            side=SIDES[self.side],
            price=price,
            quantity=size,
            fee=amount(self.commission),
            fee_asset=quote_of(self.product_id),
            maker=MAKERS[self.liquidity_indicator],
            venue_ns=nanoseconds(self.sequence_timestamp or self.trade_time),
        )


class _Money(msgspec.Struct, frozen=True):
    value: Amount = ""


class ListedWallet(msgspec.Struct, frozen=True):
    """An account of the list of accounts: one asset."""

    currency: Text
    available_balance: _Money = _Money()
    hold: _Money = _Money()

    def report(self) -> BalanceReport:
        """Return the balance."""
        return BalanceReport(self.currency[:40], positive(self.available_balance.value), positive(self.hold.value))
