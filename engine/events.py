"""Events of an account, decoded from a venue's messages. Values only: a venue makes them, engine/execution reads them.

Market data becomes rows instead (engine/market/rows.py). An event states a fact of the venue, never an intent of ours.
`venue_ns` is the venue's own clock in nanoseconds; 0 if the message has no time.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.facts import CashReason
from engine.model import (
    ForcedKind,
    Instrument,
    MarginMode,
    OrderType,
    PositionSide,
    RateLimits,
    Side,
    TimeInForce,
)


class VenueStatus(StrEnum):
    """An order's status in the venue's words, normalised."""

    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Outcome(StrEnum):
    """The proof that an answer gives about its request (docs/glossary.md)."""

    DONE = "done"  # the venue did it
    REFUSED = "refused"  # definitely not done; an unchanged request would be refused again
    RETRY_LATER = "retry_later"  # definitely not done; may be sent again
    RATE_LIMITED = "rate_limited"  # definitely not done; wait as long as the venue says
    ORDER_LIMITED = "order_limited"  # definitely not done; new orders must wait, other requests need not
    CLOCK = "clock"  # definitely not done: our timestamp was outside the venue's window
    AUTH = "auth"  # definitely not done: key, signature or permission
    NOT_FOUND = "not_found"  # the query was answered: the venue does not know it (yet)
    NOT_SENT = "not_sent"  # no byte left us
    UNKNOWN = "unknown"  # may or may not have happened: timeout, cut, 5xx


class Fill(msgspec.Struct, frozen=True):
    """One execution. (instrument, fill_id) is its identity."""

    instrument: str
    fill_id: str
    venue_order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str  # "" where the venue named none
    maker: bool
    venue_ns: int
    client_order_id: str = ""  # "" where the source does not carry it (trade lists)
    position_side: PositionSide = PositionSide.BOTH


class OrderReport(msgspec.Struct, frozen=True):
    """The venue's view of one order, from the stream, from an answer or from a query."""

    instrument: str
    client_order_id: str  # the order's own id, never the id of the cancel request
    venue_order_id: str
    status: VenueStatus
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: Decimal  # 0: without a limit
    quantity: Decimal
    filled_quantity: Decimal
    venue_ns: int
    fills: tuple[Fill, ...] = ()  # the executions this very message carries, if any
    reason: str = ""
    stop_price: Decimal = Decimal(0)  # 0: without a stop
    venue_type: str = ""  # the venue's name for a FOREIGN type
    client_order_id_now: str = ""  # after an amendment gave the order another id; "": client_order_id
    prevented_quantity: Decimal | None = None  # taken from it by self-trade prevention; None: not said
    trailing_delta: int = 0  # of a trailing stop, in basis points; 0: none
    iceberg_quantity: Decimal = Decimal(0)  # the part that the book shows; 0: all of it
    quote_quantity: Decimal = Decimal(0)  # amount of the quote asset that a market order trades; 0: none
    is_triggered: bool = False  # the market reached its trigger, and the venue activated it
    is_temporary: bool = False  # it was rejected for a reason that passes, such as missing funds
    # of a venue that keeps orders with a trigger apart: this one is in the market, so its trigger was reached
    is_in_market: bool = False
    position_side: PositionSide = PositionSide.BOTH
    reduce_only: bool = False
    forced: ForcedKind | None = None  # the venue itself placed it, to close a position


class PartialFill(msgspec.Struct, frozen=True):
    """An execution of an order that the message does not describe: the rest of a Fill is known of its order."""

    fill_id: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool


class OrderChange(msgspec.Struct, frozen=True):
    """What changed of an order that the venue names by its own id alone. None: not said."""

    venue_order_id: str
    venue_ns: int
    status: VenueStatus | None = None
    filled_quantity: Decimal | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    fill: PartialFill | None = None
    reason: str = ""
    is_triggered: bool = False


class StreamNumber(msgspec.Struct, frozen=True):
    """The number of a message of a private stream. A message whose number does not follow shows that some are lost."""

    stream: str
    number: int


class BalanceReport(msgspec.Struct, frozen=True):
    """One asset as the venue holds it now."""

    asset: str
    free: Decimal
    locked: Decimal
    venue_ns: int = 0


class WalletReport(msgspec.Struct, frozen=True):
    """A wallet of a venue of contracts, right after a change: deposits and earnings, without open P&L."""

    asset: str
    wallet: Decimal
    change: Decimal  # what neither the P&L nor the fee of a fill explains
    reason: CashReason
    venue_ns: int
    instrument: str = ""  # that the change belongs to; "": not said


class ContractReport(msgspec.Struct, frozen=True):
    """The position of an account in a contract, right after a change."""

    instrument: str
    quantity: Decimal  # signed
    entry_price: Decimal  # 0 if it is flat
    reason: CashReason
    venue_ns: int
    position_side: PositionSide = PositionSide.BOTH


class FundingReport(msgspec.Struct, frozen=True):
    """A funding of a contract that the account holds, with its own numbers."""

    instrument: str
    asset: str
    amount: Decimal  # received; negative: paid
    rate: Decimal
    mark: Decimal
    venue_ns: int  # when it was due


class PositionReport(msgspec.Struct, frozen=True):
    """A position of a contract as the answer to a query states it."""

    instrument: str
    position_side: PositionSide
    quantity: Decimal  # signed
    entry_price: Decimal
    mark_price: Decimal
    liquidation_price: Decimal  # 0: none
    margin: Decimal  # initial margin of position and open orders
    maintenance: Decimal  # margin below which it is liquidated
    venue_ns: int


class PositionsReport(msgspec.Struct, frozen=True):
    """All positions of the account. A contract that is not named is flat."""

    positions: tuple[PositionReport, ...]


class MarginSettingsReport(msgspec.Struct, frozen=True):
    """The account's leverage and margin mode in a contract."""

    instrument: str
    leverage: Decimal
    margin_mode: MarginMode | None = None  # None: not said


class PositionModeReport(msgspec.Struct, frozen=True):
    """The position mode: long and short positions apart, or one net position."""

    is_hedge: bool


class MarginCall(msgspec.Struct, frozen=True):
    """The venue warns that a position is near its liquidation."""

    instrument: str
    quantity: Decimal
    mark_price: Decimal
    maintenance: Decimal


class AccountReport(msgspec.Struct, frozen=True):
    """All balances, or those of the assets that it covers. A covered asset that is not named holds nothing."""

    balances: tuple[BalanceReport, ...]
    can_trade: bool | None  # None: not said
    venue_ns: int = 0
    # of a venue that answers in parts (venue.BalancesInParts): it covers these alone; (): all except `leaves_out`
    covers: tuple[str, ...] = ()
    leaves_out: tuple[str, ...] = ()

    def is_about(self, asset: str) -> bool:
        """Return True if the report states what the account holds of an asset."""
        return asset in self.covers if self.covers else asset not in self.leaves_out


class OpenOrdersReport(msgspec.Struct, frozen=True):
    """All orders that are open at the venue, or all of the kind that `are_held` names."""

    orders: tuple[OrderReport, ...]
    # of a venue that keeps orders with a trigger apart. True: those alone; False: those in the market; None: all
    are_held: bool | None = None


class FillsReport(msgspec.Struct, frozen=True):
    """A page of executions, oldest first. `whole` is False if the page was full and more may follow.

    In a frame of a private link: executions that the stream reports apart from their orders.
    """

    instrument: str
    fills: tuple[Fill, ...]
    whole: bool
    total: int = 0  # of all fills after the cursor, of a venue whose pages begin with the newest; 0: not said
    through: str = ""  # cursor of the page's last fill, of a venue whose pages hold those of other instruments too


class InstrumentsReport(msgspec.Struct, frozen=True):
    """The venue's instruments and its limits for requests."""

    instruments: tuple[Instrument, ...]
    rate_limits: RateLimits = RateLimits()


class ServerTime(msgspec.Struct, frozen=True):
    """The venue's clock, as it answered a query."""

    venue_ns: int


class Subscribed(msgspec.Struct, frozen=True):
    """A stream request succeeded: account events now arrive on this link, or the named market streams were accepted."""

    subscription: str


class StreamEnded(msgspec.Struct, frozen=True):
    """The venue ended a stream or announces that it will: reconnect now."""

    reason: str


class Answer(msgspec.Struct, frozen=True):
    """The proof that an answer gives about its request, apart from any report that it carries."""

    outcome: Outcome
    code: int | str = 0  # the venue's own error code, a number or a word; 0: none
    text: str = ""  # the venue's own words, cut to 200 characters
    retry_at_ns: int = 0  # venue or session time before which nothing may be sent; 0: not said
    retry_after_ns: int = 0  # a wait, where the venue gave a length rather than an instant
    weight_used: int = -1  # what the venue counted in this window; -1: not said
    orders_used: int = -1
    orders_day_used: int = -1  # the account's unfilled orders of this day
    # the instrument's rules or status refused it: what we know of them may be old
    is_instrument_rule: bool = False
    is_temporary: bool = False  # REFUSED for a reason that passes: the venue may accept the same order later

    @property
    def coded_text(self) -> str:
        """Return code and text, without the code if it is a word with which the text begins.

        >>> Answer(Outcome.AUTH, -2015, "Invalid API-key").coded_text
        '-2015 Invalid API-key'
        >>> Answer(Outcome.RATE_LIMITED, "EAPI:Rate limit exceeded", "EAPI:Rate limit exceeded").coded_text
        'EAPI:Rate limit exceeded'
        """
        is_said = isinstance(self.code, str) and self.text.startswith(self.code)
        return self.text if is_said else f"{self.code} {self.text}"


class Unrecognised(msgspec.Struct, frozen=True):
    """A message that could not be decoded. The journal contains it."""

    where: str
    error: str


Event = (
    OrderReport
    | OrderChange
    | StreamNumber
    | BalanceReport
    | WalletReport
    | ContractReport
    | FundingReport
    | AccountReport
    | OpenOrdersReport
    | FillsReport
    | InstrumentsReport
    | ServerTime
    | Subscribed
    | StreamEnded
    | Answer
    | Unrecognised
    | PositionsReport
    | MarginSettingsReport
    | PositionModeReport
    | MarginCall
)
