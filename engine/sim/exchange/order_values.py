"""Values of the simulated venue: orders, fills and reports, with their arithmetic. Decides nothing.

Amounts are integers in units of 1e-8, times are nanoseconds of the venue's clock.
"""

from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

import msgspec

from engine.model import OrderType, PositionSide, Side, TimeInForce
from engine.order_terms import RecordedTerms, Terms, terms_of


class SimOrderStatus(StrEnum):
    """The status of an order, as Binance spells it."""

    NEW = "NEW"
    PENDING_NEW = "PENDING_NEW"  # the pending order of a list, until its working order is filled
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"
    REJECTED = "REJECTED"  # in reports alone: a refused order never exists


OPEN = frozenset({SimOrderStatus.NEW, SimOrderStatus.PENDING_NEW, SimOrderStatus.PARTIALLY_FILLED})


class Execution(StrEnum):
    """The kind of an execution report, as Binance spells it."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    CALCULATED = "CALCULATED"  # a fill of a liquidation
    AMENDMENT = "AMENDMENT"  # of a contract's order: another price or quantity
    TRADE_PREVENTION = "TRADE_PREVENTION"
    REPLACED = "REPLACED"  # amended
    REJECTED = "REJECTED"


class SelfTrade(StrEnum):
    """Self-trade prevention: the order that expires when two orders of one account match."""

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    DECREMENT = "DECREMENT"  # both lose the quantity that would have matched; the one without a rest expires
    TRANSFER = "TRANSFER"  # between orders of one account the same as DECREMENT; this venue has no trade groups

    @property
    def decrements(self) -> bool:
        """True if both orders lose the same quantity."""
        return self in (SelfTrade.DECREMENT, SelfTrade.TRANSFER)


class ContractTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of an order that only contracts with margin have."""

    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    close_position: bool = False
    time_in_force: str = "GTC"  # as the venue spells it: GTX and GTD too
    good_till_ns: int = 0  # of GTD
    price_match: str = "NONE"
    original_type: str = ""  # of the conditional order that it comes from; "": its own type
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    trigger_price: int = 0  # of the conditional order that it comes from
    algo_id: int = 0  # its conditional order; 0: none
    is_forced: bool = False  # the venue's own order: a liquidation, or a deleveraging


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
    trailing_delta: int = 0  # basis points; 0: no trailing stop
    iceberg_quantity: int = 0  # the part that the book shows; 0: all of it
    contract: ContractTerms | None = None  # of a contract with margin

    @property
    def terms(self) -> Terms:
        """The terms, with prices in units of 1e-8."""
        return _terms(self.order_type, self.price, self.time_in_force, self.stop_price)


@lru_cache(maxsize=256)  # each placement reads the terms half a dozen times
def _terms(order_type: OrderType, price: int, time_in_force: TimeInForce, stop_price: int) -> Terms:
    return terms_of(order_type, RecordedTerms(Decimal(price), time_in_force, Decimal(stop_price)))


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
    realised: int = 0  # P&L of a contract with margin


class SimPreventedMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A trade between two orders of one account that self-trade prevention prevented."""

    symbol: str
    match_id: int  # counts up by symbol
    mode: SelfTrade
    price: int
    taker_order_id: int
    maker_order_id: int
    taker_quantity: int  # that the taker lost; 0: none
    maker_quantity: int
    quantity: int  # that would have traded
    time_ns: int


class SimAmendment(msgspec.Struct, frozen=True, kw_only=True):
    """A reduction of an order's quantity."""

    execution_id: int
    client_order_id_before: str
    client_order_id: str
    quantity_before: int
    quantity: int
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
    queue_since: int = 0  # placements of other traders before this order
    expiry_reason: str = ""
    on_book: bool = False
    fills: list[SimFill] = []
    stop_price: int = 0
    prevented: int = 0  # taken by self-trade prevention
    prevented_last: int = 0
    prevented_matches: list[SimPreventedMatch] = []
    amendments: list[SimAmendment] = []
    waits_for_bar: bool = False  # a market order that is held until the next bar trades
    is_held: bool = False  # True until the market triggers it (held_orders.py)
    working_ns: int = 0  # time from which it is in the book: its placement, trigger or release; 0: it ended before
    priority: int = 0  # among resting orders at one price: lower first
    lock_price: int = 0  # of a buy: the price at which its rest is locked
    trailing_delta: int = 0
    trailing_best: int = 0  # best price since tracking began; 0: not tracking yet
    trailing_ns: int = 0  # when tracking began
    iceberg_quantity: int = 0
    shown: int = 0  # of an iceberg: the part in the queue
    list_id: int = -1
    contract: ContractTerms | None = None  # of a contract with margin
    reject_reason: str = ""  # why the matching refused a pending or triggered order

    @property
    def leaves(self) -> int:
        """The quantity that can still be executed."""
        return self.quantity - self.executed - self.prevented

    @property
    def visible(self) -> int:
        """The part of the rest that is in the queue."""
        return min(self.shown, self.leaves) if self.iceberg_quantity else self.leaves

    @property
    def is_open(self) -> bool:
        """True until the order ends."""
        return self.status in OPEN

    @property
    def is_pending(self) -> bool:
        """True until the working order of its list is filled."""
        return self.status is SimOrderStatus.PENDING_NEW

    @property
    def is_working(self) -> bool:
        """True once the order has reached the book: it is neither held nor pending, and was not when it ended."""
        return not self.is_held and not self.is_pending and self.working_ns > 0


class SimReport(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an order's life. `order` is a copy of the order at that moment."""

    execution: Execution
    order: SimOrder
    execution_id: int
    time_ns: int
    fill: SimFill | None = None
    cancel_client_order_id: str = ""  # the cancel's own id; the order's stays in `order`
    amended_client_order_id: str = ""  # the id before an amendment
    prevented: SimPreventedMatch | None = None


class FundingSettled(msgspec.Struct, frozen=True, kw_only=True):
    """A funding of a contract that an account held."""

    account: str
    symbol: str
    asset: str
    amount: int  # received; negative: paid
    quantity: int  # signed
    price: int  # mark price
    rate: int
    funding_ns: int  # as the mark prices announced it
    time_ns: int


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """An event of an order that the protocol itself knows, outside the exchange."""

    account: str
    name: str
    order: str  # the venue's id
    time_ns: int


class FundsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The assets of one account that one operation moved."""

    account: str
    time_ns: int
    balances: tuple[tuple[str, int, int], ...]  # asset, free, locked
