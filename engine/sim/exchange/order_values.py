"""Values of the simulated venue: orders, fills and reports, with their arithmetic. Decides nothing.

Amounts are integers in units of 1e-8, times are nanoseconds of the venue's clock.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.model import OrderType, Side, TimeInForce
from engine.order_terms import RecordedTerms, Terms, terms_of


class SimOrderStatus(StrEnum):
    """The status of an order, as Binance spells it."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"


OPEN = frozenset({SimOrderStatus.NEW, SimOrderStatus.PARTIALLY_FILLED})


class Execution(StrEnum):
    """The kind of an execution report, as Binance spells it."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    TRADE_PREVENTION = "TRADE_PREVENTION"
    REPLACED = "REPLACED"  # amended


class SelfTrade(StrEnum):
    """Self-trade prevention: the order that expires when two orders of one account match."""

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    DECREMENT = "DECREMENT"  # both lose the quantity that would have matched; the one without a rest expires


class SimNewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order request with its numbers decoded. A market order has `quantity` or `quote_quantity`, and no price."""

    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce = TimeInForce.GTC
    quantity: int = 0
    quote_quantity: int = 0
    price: int = 0
    client_order_id: str = ""  # empty: the venue makes one
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER
    stop_price: int = 0

    @property
    def terms(self) -> Terms:
        """The terms, with prices in units of 1e-8."""
        recorded = RecordedTerms(Decimal(self.price), self.time_in_force, Decimal(self.stop_price))
        return terms_of(self.order_type, recorded)


class SimFill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an order."""

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    price: int
    quantity: int
    quote: int
    fee: int
    fee_asset: str
    maker: bool
    time_ns: int


class SimOrder(msgspec.Struct, kw_only=True):
    """An order of the venue, from its acceptance on."""

    order_id: int
    account: str
    symbol: str
    place: int  # index of the symbol
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    terms: Terms  # with prices in units of 1e-8
    client_order_id: str
    price: int
    quantity: int
    quote_quantity: int
    self_trade: SelfTrade
    created_ns: int
    updated_ns: int
    status: SimOrderStatus = SimOrderStatus.NEW
    executed: int = 0
    executed_quote: int = 0
    locked: int = 0  # of the quote asset for a buy, of the base asset for a sell
    queue_ahead: int = 0  # size ahead in the queue; VenueBooks has it while the order rests
    # the same in a probabilistic queue model, with the level's last size and the size traded since
    queue_front: float = 0.0
    queue_shown: int = 0
    queue_traded: int = 0
    expiry_reason: str = ""
    on_book: bool = False
    fills: list[SimFill] = []
    stop_price: int = 0
    prevented: int = 0  # taken by self-trade prevention
    prevented_last: int = 0
    amends: int = 0
    is_held: bool = False  # True until the market triggers it (held_orders.py)
    working_ns: int = 0  # time from which it is in the book: its placement, or its trigger

    @property
    def leaves(self) -> int:
        """The quantity that can still be executed."""
        return self.quantity - self.executed - self.prevented

    @property
    def is_open(self) -> bool:
        """True until the order ends."""
        return self.status in OPEN


class SimReport(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an order's life. `order` is a copy of the order at that moment."""

    execution: Execution
    order: SimOrder
    execution_id: int
    time_ns: int
    fill: SimFill | None = None
    cancel_client_order_id: str = ""  # the cancel's own id; the order's stays in `order`
    amended_client_order_id: str = ""  # the id before an amendment


class FundsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The assets of one account that one operation moved."""

    account: str
    time_ns: int
    balances: tuple[tuple[str, int, int], ...]  # asset, free, locked


Event = SimReport | FundsChanged
