"""Facts about orders. Values only."""

from decimal import Decimal
from typing import ClassVar

import msgspec

from engine.lifecycle import Report
from engine.model import OrderType, PositionSide, Side, TimeInForce
from engine.order_terms import Terms, terms_of


class NewOrder(msgspec.Struct, frozen=True):
    """An order as it is placed, or as another program placed it. `terms` says what its type means."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset(
        {
            "stop_price",
            "venue_type",
            "reduce_only",
            "market_price",
            "trailing_delta",
            "iceberg_quantity",
            "quote_quantity",
            "good_till_ns",
            "closes_position",
        }
    )

    instrument: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal = Decimal(0)  # 0: without a limit
    time_in_force: TimeInForce = TimeInForce.GTC
    stop_price: Decimal = Decimal(0)  # 0: without a stop
    venue_type: str = ""  # the venue's name for a FOREIGN type
    reduce_only: bool = False  # it never exceeds the position that it reduces
    # price at which the cost of a market order was estimated when it was approved; 0: not recorded
    market_price: Decimal = Decimal(0)
    trailing_delta: int = 0  # of a stop that follows the best price, in basis points; 0: it does not follow
    iceberg_quantity: Decimal = Decimal(0)  # the part that the book shows; 0: all of it
    # amount of the quote asset that a market order trades; `quantity` is then the most that it may be. 0: none
    quote_quantity: Decimal = Decimal(0)
    good_till_ns: int = 0  # session time at which the engine cancels it; 0: never
    closes_position: bool = False  # of a stop: when it is triggered, the venue closes all that the account holds

    @property
    def terms(self) -> Terms:
        """The order's terms by its type."""
        return terms_of(self.type, self)


class ListLeg(msgspec.Struct, frozen=True):
    """One order of an order list: the venue places all of them or none."""

    client_order_id: str
    order: NewOrder
    waits_for: str = ""  # client order id of the list's order that must be filled before this one is active


class OrderAccepted(msgspec.Struct, frozen=True, tag_field="fact", tag="order_accepted"):
    """The venue has the order."""

    client_order_id: str
    venue_order_id: str
    venue_ns: int
    filled_quantity: Decimal = Decimal(0)  # the venue's count; if it is above ours, fills are missing


class OrderFilled(msgspec.Struct, frozen=True, tag_field="fact", tag="order_filled"):
    """One fill of an order."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"settled", "position_side"})

    client_order_id: str
    strategy: str
    instrument: str
    fill_id: str
    venue_order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    venue_ns: int
    late: bool  # it came after the order had ended here
    fee_rate: Decimal = Decimal(0)  # mid of the fee's asset in the quote asset; 0: not needed, or not known
    # rate of the instrument's P&L in the reporting currency; 0: the same asset, or not known
    report_rate: Decimal = Decimal(0)
    # of a contract: the P&L that it realised of the account's whole position, before the fee (accounting 6)
    settled: Decimal = Decimal(0)
    position_side: PositionSide = PositionSide.BOTH


class OrderClosed(msgspec.Struct, frozen=True, tag_field="fact", tag="order_closed"):
    """The order reached a final status."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"is_temporary"})

    client_order_id: str
    status: Report  # CANCELED, EXPIRED, REJECTED; FULL_FILL for an adopted order
    filled_quantity: Decimal  # the venue's final count
    reason: str
    venue_ns: int
    is_temporary: bool = False  # a rejection that passes: the same order may be accepted later (order_rules 3)


class OrderTriggered(msgspec.Struct, frozen=True, tag_field="fact", tag="order_triggered"):
    """The market reached the trigger of an order that the venue held, and the venue activated it."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"venue_order_id"})

    client_order_id: str
    venue_ns: int
    venue_order_id: str = ""  # of the order in the market, where the venue kept it apart before


class OrderUnknown(msgspec.Struct, frozen=True, tag_field="fact", tag="order_unknown"):
    """The order may or may not be at the venue, so the venue is queried."""

    client_order_id: str
    reason: str
    proof_ns: int  # a "not found" answered after this proves that the order never reached the venue


class OrderNotPlaced(msgspec.Struct, frozen=True, tag_field="fact", tag="order_not_placed"):
    """The order never reached the venue."""

    client_order_id: str
    reason: str


class OrderAdopted(msgspec.Struct, frozen=True, tag_field="fact", tag="order_adopted"):
    """An order at the venue that this journal did not send: another program uses the account."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"strategy"})

    client_order_id: str
    venue_order_id: str
    order: NewOrder
    filled_before: Decimal
    strategy: str = ""  # whose position the venue closes by it; "": of no strategy


class OrderAmended(msgspec.Struct, frozen=True, tag_field="fact", tag="order_amended"):
    """The venue states other terms of an order than we hold: amended, decremented, or filled at a smaller size."""

    client_order_id: str
    quantity: Decimal  # the whole order, without what self-trade prevention took from it
    price: Decimal
    venue_client_id: str  # the client id by which the venue knows the order now
    venue_ns: int
    prevented_quantity: Decimal = Decimal(0)  # what self-trade prevention took from it


class OrderDoubted(msgspec.Struct, frozen=True, tag_field="fact", tag="order_doubted"):
    """The venue contradicts us about an order, which is queried again before anything halts. No reason: it is settled.

    A closed order that the venue lists as open, or a live one that the venue does not know.
    """

    client_order_id: str
    reason: str


class CancelSettled(msgspec.Struct, frozen=True, tag_field="fact", tag="cancel_settled"):
    """The answer to a cancel is in, and it did not close the order by itself."""

    client_order_id: str
    outcome: str
    is_refused: bool = False  # the venue will refuse the same cancel again


OrderFact = (
    OrderAccepted
    | OrderFilled
    | OrderClosed
    | OrderUnknown
    | OrderNotPlaced
    | OrderAdopted
    | OrderAmended
    | OrderDoubted
    | CancelSettled
    | OrderTriggered
)
