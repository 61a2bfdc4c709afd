"""Binance Spot's account messages as typed shapes, and what each says in our own words.

One message, one event: no frames, no HTTP, no classes of error. A shape that does not hold raises; account.py catches.
Only the fields we use are named; the venue adds others at will.
"""

from decimal import Decimal
from typing import Annotated

import msgspec

from engine.events import AccountReport, BalanceReport, Fill, OrderReport, VenueStatus
from engine.model import Side, TimeInForce
from engine.venues.binance_common.values import Amount, Millis, SignedAmount, Text, VenueId, nanoseconds, renamed
from engine.venues.binance_spot.order_types import is_triggered, reported_type
from engine.venues.binance_spot.venue_limits import VENUE

TrailingDelta = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
VenueType = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z_]{1,40}\Z")]

PENDING = "PENDING_NEW"  # of a list's order that waits for another: not on the book, but it can be canceled
STATUSES = {
    "NEW": VenueStatus.OPEN,
    PENDING: VenueStatus.OPEN,
    "PARTIALLY_FILLED": VenueStatus.PARTIALLY_FILLED,
    "FILLED": VenueStatus.FILLED,
    "PENDING_CANCEL": VenueStatus.OPEN,  # documented as unused
    "CANCELED": VenueStatus.CANCELED,
    "EXPIRED": VenueStatus.EXPIRED,
    "EXPIRED_IN_MATCH": VenueStatus.EXPIRED,  # by self-trade prevention
    "REJECTED": VenueStatus.REJECTED,
}

CANCEL_LIKE = frozenset({"CANCELED", "REPLACED"})  # where c is the id of the request and the order's own is in C


def instrument_id(symbol: str) -> str:
    """Return the engine's id for a symbol."""
    return f"{VENUE}:{symbol}"


MISSING_FUNDS = "INSUFFICIENT_BALANCES"  # the reject reason that passes


def _reason(*words: str) -> str:
    return ", ".join([word for word in words if word and word != "NONE"])


class ExecutionReport(
    msgspec.Struct,
    frozen=True,
    tag_field="e",
    tag="executionReport",
    rename=renamed(
        symbol="s", request_or_order_id="c", original_id="C", side="S", type="o", time_in_force="f", quantity="q",
        price="p", stop_price="P", execution="x", status="X", reject_reason="r", expiry_reason="eR", order_id="i",
        last_quantity="l", filled_quantity="z", last_price="L", fee="n", fee_asset="N", transaction_ms="T",
        trade_id="t", maker="m", prevented_quantity="A", iceberg_quantity="F", quote_quantity="Q",
        trailing_delta="d", is_working="w", working_ms="W",
    ),
):  # fmt: skip
    """An executionReport event."""

    symbol: Text
    request_or_order_id: Text
    side: Side
    type: VenueType
    time_in_force: TimeInForce
    quantity: Amount
    price: Amount
    execution: str
    status: str
    order_id: VenueId
    last_quantity: Amount
    filled_quantity: Amount
    last_price: Amount
    transaction_ms: Millis
    trade_id: int = -1
    maker: bool = False
    fee: SignedAmount | None = None
    fee_asset: Text | None = None
    original_id: Text | None = None
    reject_reason: Text = ""
    expiry_reason: Text = ""
    stop_price: Amount = "0"
    prevented_quantity: Amount | None = None
    iceberg_quantity: Amount = "0"
    quote_quantity: Amount = "0"
    trailing_delta: TrailingDelta = 0
    is_working: bool = False  # it is in the book
    working_ms: int = -1  # since when; a market order that was triggered has this alone

    def report(self) -> OrderReport:
        """Return the order's status and the fill, if it is a trade."""
        original = self.original_id or ""
        own_id = original if original and self.execution in CANCEL_LIKE else self.request_or_order_id
        order_type, stop_price, venue_type = reported_type(self.type, self.stop_price)
        return OrderReport(
            instrument=instrument_id(self.symbol),
            client_order_id=own_id,
            venue_order_id=str(self.order_id),
            status=STATUSES[self.status],
            side=self.side,
            type=order_type,
            time_in_force=self.time_in_force,
            price=Decimal(self.price),
            quantity=Decimal(self.quantity),
            filled_quantity=Decimal(self.filled_quantity),
            venue_ns=nanoseconds(self.transaction_ms),
            fills=(self._fill(own_id),) if self.execution == "TRADE" else (),
            reason=_reason(self.reject_reason, self.expiry_reason),
            stop_price=stop_price,
            venue_type=venue_type,
            client_order_id_now=self.request_or_order_id if self.execution == "REPLACED" else "",
            prevented_quantity=None if self.prevented_quantity is None else Decimal(self.prevented_quantity),
            trailing_delta=self.trailing_delta,
            iceberg_quantity=Decimal(self.iceberg_quantity),
            quote_quantity=Decimal(self.quote_quantity),
            is_triggered=is_triggered(self.type, is_working=self.is_working, working_ms=self.working_ms),
            is_temporary=self.reject_reason == MISSING_FUNDS,
        )

    def _fill(self, own_id: str) -> Fill:
        if self.trade_id < 0 or not Decimal(self.last_quantity):
            raise ValueError(f"a TRADE report of trade {self.trade_id} for {self.last_quantity}")
        return Fill(
            instrument=instrument_id(self.symbol),
            fill_id=str(self.trade_id),
            venue_order_id=str(self.order_id),
            side=self.side,
            price=Decimal(self.last_price),
            quantity=Decimal(self.last_quantity),
            fee=Decimal(self.fee or "0"),
            fee_asset=self.fee_asset or "",
            maker=self.maker,
            venue_ns=nanoseconds(self.transaction_ms),
            client_order_id=own_id,
        )


class AnswerFill(msgspec.Struct, frozen=True, rename="camel"):
    """An execution inside a FULL answer: always the taker's side, for the order had only just arrived."""

    price: Amount
    qty: Amount
    commission: SignedAmount
    commission_asset: Text | None
    trade_id: VenueId


class OrderAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """An order as answers show it: placed (RESULT, FULL), canceled, queried or listed as open."""

    symbol: Text
    order_id: VenueId
    client_order_id: Text  # in the answer to a cancel: the cancel's own
    price: Amount
    executed_qty: Amount
    status: str
    time_in_force: TimeInForce
    type: VenueType
    side: Side
    orig_qty: Amount | msgspec.UnsetType = msgspec.UNSET  # absent of an order whose size another one will bring
    orig_client_order_id: Text = ""  # only in the answer to a cancel: the order's
    transact_time: Millis = 0  # of placed and canceled orders
    update_time: Millis = 0  # of queried ones
    expiry_reason: Text = ""
    stop_price: Amount = "0"  # in queries and lists
    prevented_quantity: Amount | None = None  # if self-trade prevention took some
    iceberg_qty: Amount = "0"
    orig_quote_order_qty: Amount = "0"
    trailing_delta: TrailingDelta = 0
    is_working: bool = False  # in queries and lists
    working_time: int = -1
    fills: tuple[AnswerFill, ...] = ()

    def report(self) -> OrderReport:
        """Return the order's status and its fills."""
        own_id = self.orig_client_order_id or self.client_order_id
        venue_ns = nanoseconds(self.transact_time or self.update_time)
        order_type, stop_price, venue_type = reported_type(self.type, self.stop_price)
        quantity = self.orig_qty
        if isinstance(quantity, msgspec.UnsetType):
            if self.status != PENDING:
                raise ValueError(f"order {self.order_id} is {self.status} and has no origQty")
            quantity = "0"
        fills = [
            Fill(
                instrument=instrument_id(self.symbol),
                fill_id=str(fill.trade_id),
                venue_order_id=str(self.order_id),
                side=self.side,
                price=Decimal(fill.price),
                quantity=Decimal(fill.qty),
                fee=Decimal(fill.commission),
                fee_asset=fill.commission_asset or "",
                maker=False,
                venue_ns=venue_ns,
                client_order_id=own_id,
            )
            for fill in self.fills
        ]
        return OrderReport(
            instrument=instrument_id(self.symbol),
            client_order_id=own_id,
            venue_order_id=str(self.order_id),
            status=STATUSES[self.status],
            side=self.side,
            type=order_type,
            time_in_force=self.time_in_force,
            price=Decimal(self.price),
            quantity=Decimal(quantity),
            filled_quantity=Decimal(self.executed_qty),
            venue_ns=venue_ns,
            fills=tuple(fills),
            reason=_reason(self.expiry_reason),
            stop_price=stop_price,
            venue_type=venue_type,
            prevented_quantity=None if self.prevented_quantity is None else Decimal(self.prevented_quantity),
            trailing_delta=self.trailing_delta,
            iceberg_quantity=Decimal(self.iceberg_qty),
            quote_quantity=Decimal(self.orig_quote_order_qty),
            is_triggered=is_triggered(self.type, is_working=self.is_working, working_ms=self.working_time),
        )


class AmendedOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order in the answer to its amendment, which names its quantities in another way."""

    symbol: Text
    order_id: VenueId
    client_order_id: Text
    orig_client_order_id: Text
    price: Amount
    qty: Amount
    executed_qty: Amount
    status: str
    time_in_force: TimeInForce
    type: VenueType
    side: Side
    prevented_qty: Amount = "0"


class AmendAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to an amendment."""

    transact_time: Millis
    amended_order: AmendedOrder

    def report(self) -> OrderReport:
        """Return the order's new terms. Stop prices are not among them."""
        order = self.amended_order
        order_type, _, venue_type = reported_type(order.type, "0")
        return OrderReport(
            instrument=instrument_id(order.symbol),
            client_order_id=order.orig_client_order_id,
            client_order_id_now=order.client_order_id,
            venue_order_id=str(order.order_id),
            status=STATUSES[order.status],
            side=order.side,
            type=order_type,
            time_in_force=order.time_in_force,
            price=Decimal(order.price),
            quantity=Decimal(order.qty),
            filled_quantity=Decimal(order.executed_qty),
            venue_ns=nanoseconds(self.transact_time),
            venue_type=venue_type,
            prevented_quantity=Decimal(order.prevented_qty),
        )


class OrderList(msgspec.Struct, frozen=True, rename="camel"):
    """An order list in an answer: its orders are like any other."""

    order_reports: tuple[OrderAnswer, ...]


class TradeAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """A row of myTrades. It knows the order by the venue's id only."""

    symbol: Text
    id: VenueId
    order_id: VenueId
    price: Amount
    qty: Amount
    commission: SignedAmount
    commission_asset: Text | None
    time: Millis
    is_buyer: bool
    is_maker: bool

    def fill(self) -> Fill:
        """Return the fill."""
        return Fill(
            instrument=instrument_id(self.symbol),
            fill_id=str(self.id),
            venue_order_id=str(self.order_id),
            side=Side.BUY if self.is_buyer else Side.SELL,
            price=Decimal(self.price),
            quantity=Decimal(self.qty),
            fee=Decimal(self.commission),
            fee_asset=self.commission_asset or "",
            maker=self.is_maker,
            venue_ns=nanoseconds(self.time),
        )


class BalanceAnswer(msgspec.Struct, frozen=True):
    """A balance in the answer to GET account."""

    asset: Text
    free: Amount
    locked: Amount


class AccountAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to GET account."""

    balances: tuple[BalanceAnswer, ...]
    can_trade: bool
    update_time: Millis = 0

    def report(self) -> AccountReport:
        """Return the balances and whether the account may trade."""
        at = nanoseconds(self.update_time)
        held = tuple(BalanceReport(row.asset, Decimal(row.free), Decimal(row.locked), at) for row in self.balances)
        return AccountReport(held, self.can_trade, at)


class PositionRow(msgspec.Struct, frozen=True, rename=renamed(asset="a", free="f", locked="l")):
    """A balance in an outboundAccountPosition event."""

    asset: Text
    free: Amount
    locked: Amount


class AccountPosition(
    msgspec.Struct, frozen=True, tag_field="e", tag="outboundAccountPosition", rename=renamed(updated_ms="u", rows="B")
):
    """The assets that may have changed, as they are now; the others are unchanged."""

    updated_ms: Millis
    rows: tuple[PositionRow, ...]

    def reports(self) -> tuple[BalanceReport, ...]:
        """Return the balances that the event lists."""
        at = nanoseconds(self.updated_ms)
        return tuple([BalanceReport(row.asset, Decimal(row.free), Decimal(row.locked), at) for row in self.rows])
