"""Facts about positions, P&L, balances, and the reconciliation that compares them with the venue. Values only."""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import msgspec

from engine.model import Side


class Position(msgspec.Struct, frozen=True, tag_field="fact", tag="position"):
    """A strategy's position in one instrument after a fill, by average cost. Fees are apart from realised P&L."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"fees_unvalued"})

    strategy: str
    instrument: str
    quantity: Decimal
    price_avg: Decimal
    realised_pnl: Decimal  # in the quote asset, before fees
    fees: dict[str, Decimal]  # by asset, as charged
    fees_quote: Decimal  # those that the fill's own price, or its fee rate, can express in the quote asset
    fees_unvalued: dict[str, Decimal] = {}  # by asset: those without a known rate, which are not in `fees_quote`

    @property
    def entry_price(self) -> Decimal:
        """The average price at which the open quantity was entered; 0 if flat."""
        return self.price_avg

    @property
    def side(self) -> Side | None:
        """BUY for a long position, SELL for a short one, None if flat."""
        if not self.quantity:
            return None
        return Side.BUY if self.quantity > 0 else Side.SELL


class Pnl(msgspec.Struct, frozen=True, tag_field="fact", tag="pnl"):
    """A strategy's P&L in one instrument at the current mark."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"fees_unvalued", "has_funding"})

    strategy: str
    instrument: str
    quantity: Decimal
    mark: Decimal  # mid of the last quote; the average price without one
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    fees_quote: Decimal
    fees_unvalued: dict[str, Decimal] = {}  # by asset: not contained in `fees_quote`
    is_marked: bool = True  # False: no quote is known, so the unrealised P&L is not known and counts as 0
    # from accounting 3 on
    funding: Decimal = Decimal(0)  # received, in the asset of the P&L
    asset: str = ""  # of the amounts
    report_rate: Decimal = Decimal(0)  # of the asset in the reporting currency; 0: the same asset, or not known
    has_funding: bool = True  # False: the venue settles fundings by mark prices, and none came


class BalanceChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="balance"):
    """The account's balance of an asset, as the venue reports it."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"venue"})

    asset: str
    free: Decimal
    locked: Decimal
    query_seq: int = 0  # seq of the REQUEST that it answers: it is no newer than that. 0: as of this record
    venue_ns: int = 0
    venue: str = ""  # of the account; "": the session has one venue


class BalanceDrift(msgspec.Struct, frozen=True, tag_field="fact", tag="balance_drift"):
    """The venue's balance of an asset contradicts our records. A difference of 0: they agree again."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"venue"})

    asset: str
    expected: Decimal  # free and locked together, by our records
    reported: Decimal  # by the venue
    difference: Decimal  # reported minus expected
    report_seq: int  # the balance that was compared
    opening: Decimal  # the balance as first reported
    opening_seq: int  # -1: in an earlier session
    agreed_seq: int  # the last balance that agreed; -1: none in this session
    records: tuple[int, ...]  # of the fills and commands since then, the newest ones
    older: int = 0  # how many more there are
    venue: str = ""  # of the account; "": the session has one venue


class FillsConfirmed(msgspec.Struct, frozen=True, tag_field="fact", tag="fills_confirmed"):
    """Every fill of this instrument up to this cursor is booked."""

    instrument: str
    # the cursor: a number if the venue numbers its fills, else text (engine/state/fill_cursor.py)
    fill_id: int | str


class Reconciled(msgspec.Struct, frozen=True, tag_field="fact", tag="reconciled"):
    """A reconciliation round ended; `corrections` counts the orders whose fills are missing, 0 in health."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"venue"})

    round: int
    corrections: int
    # what the answers changed; not in sessions before order_rules 1
    orders: int = 0
    fills: int = 0
    balances: int = 0
    unsettled: int = 0  # own orders whose unknown fills may explain a balance, so that no drift is confirmed
    venue: str = ""  # of the account; "": the session has one venue


class ReconcileFailed(msgspec.Struct, frozen=True, tag_field="fact", tag="reconcile_failed"):
    """A reconciliation round ended without a result."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"venue"})

    round: int
    reason: str
    venue: str = ""  # of the account; "": the session has one venue


class RoundChanged(msgspec.Struct, frozen=True, tag_field="fact", tag="round_changed"):
    """The changes that an answer to a reconciliation round made in the account."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"venue"})

    round: int
    orders: int = 0
    fills: int = 0
    balances: int = 0
    venue: str = ""  # of the account; "": the session has one venue


class DayBegan(msgspec.Struct, frozen=True, tag_field="fact", tag="day_began"):
    """A day of daily limits began: the daily loss is counted from here on."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"unlisted", "reported"})

    day: int  # since 1970-01-01, as its own zone and hour count
    opening: dict[str, Decimal]  # "strategy instrument" -> P&L of all days before: realised and unrealised, less fees
    unlisted: tuple[str, ...] = ()  # positions that nothing marks: their instruments are not of this session
    # the same P&L as `verbatim pnl` reports it, in the reporting currency; lacks positions without a rate
    reported: dict[str, Decimal] = {}


class PositionEnteredDay(msgspec.Struct, frozen=True, tag_field="fact", tag="position_entered_day"):
    """A position whose P&L was not known when the day began: its instrument was not listed, or its asset had no rate.

    It counts from this P&L on. If a rate was missing, `reported` is the reported P&L now, less the P&L of the day until
    now at the first known rate.
    """

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"reported"})

    day: int
    position: str  # "strategy instrument"
    pnl: Decimal  # of all days before; of all time until now if it was not listed
    reported: Decimal | None = None  # the same in the reporting currency; None: not known, or before accounting 4


class DailyLossReached(msgspec.Struct, frozen=True, tag_field="fact", tag="daily_loss_reached"):
    """A loss of the day reached its limit: orders may only reduce positions until the day ends."""

    day: int
    asset: str
    loss: Decimal
    limit: Decimal
    name: str = ""  # of the limit, as in "strategy.quoter.drawdown_max"; "": daily_loss_max


class PnlPeak(msgspec.Struct, frozen=True, tag_field="fact", tag="pnl_peak"):
    """The P&L of the day is at its highest. Emitted when it rose by a hundredth of the limit of its drawdown."""

    day: int
    name: str  # of the limit
    asset: str
    pnl: Decimal


class CooldownCause(StrEnum):
    """Setbacks that lead to a cool-down."""

    LOSS = "loss"
    STOP = "stop"
    REFUSALS = "refusals"


class CooldownBegan(msgspec.Struct, frozen=True, tag_field="fact", tag="cooldown_began"):
    """A strategy opens no position in an instrument until a time."""

    strategy: str
    instrument: str
    cause: CooldownCause
    reason: str
    until_ns: int


AccountFact = (
    Position
    | Pnl
    | BalanceChanged
    | BalanceDrift
    | FillsConfirmed
    | Reconciled
    | ReconcileFailed
    | RoundChanged
    | DayBegan
    | DailyLossReached
    | PnlPeak
    | CooldownBegan
    | PositionEnteredDay
)
