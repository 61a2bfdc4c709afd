"""What Hyperliquid states about an account as typed shapes, and what each says in our own words.

A shape that does not hold raises; the decoders catch. Only the fields that we use are named. Numbers in parentheses
are sections of the fact sheet.
"""

from decimal import Decimal
from typing import Final, Literal

import msgspec

from engine.events import (
    AccountReport,
    BalanceReport,
    Event,
    Fill,
    FundingReport,
    MarginSettingsReport,
    OrderReport,
    PositionModeReport,
    PositionReport,
    PositionsReport,
    VenueStatus,
)
from engine.model import ForcedKind, MarginMode, OrderType, PositionSide, Side, TimeInForce
from engine.money import ZERO
from engine.venues.hyperliquid.metadata import QUOTE
from engine.venues.hyperliquid.values import Amount, Millis, SignedAmount, Text, VenueId, nanoseconds

SIDES: Final = {"B": Side.BUY, "A": Side.SELL}
MARGIN_MODES: Final = {"cross": MarginMode.CROSS, "isolated": MarginMode.ISOLATED}
REJECTED: Final = ("rejected", "Rejected")  # endings of statuses: there are over a dozen, and new ones come (7)
CANCELED: Final = ("canceled", "Canceled", "scheduledCancel")
TYPES: Final = {
    "Limit": OrderType.LIMIT,
    "Stop Market": OrderType.STOP,
    "Stop Limit": OrderType.STOP_LIMIT,
    "Take Profit Market": OrderType.TAKE_PROFIT,
    "Take Profit Limit": OrderType.TAKE_PROFIT_LIMIT,
}


def status_of(word: str, *, is_begun: bool) -> VenueStatus:
    """Return the normalised status. Raises ValueError for a word that is neither known nor has a known ending.

    >>> [str(status_of(word, is_begun=False)) for word in ("open", "tickRejected", "outcomeSettledCanceled")]
    ['open', 'rejected', 'canceled']
    """
    if word in ("open", "triggered"):
        return VenueStatus.PARTIALLY_FILLED if is_begun else VenueStatus.OPEN
    if word == "filled":
        return VenueStatus.FILLED
    if word.endswith(REJECTED):
        return VenueStatus.REJECTED
    if word.endswith(CANCELED):
        return VenueStatus.CANCELED
    raise ValueError(f"no status {word[:40]!r}")


class PerpOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order as the stream and all queries show it. `sz` is what is left.

    The answer to `openOrders` lacks `origSz` and cannot be read: a filled part would look like nothing.
    """

    coin: Text
    side: Literal["A", "B"]
    limit_px: Amount
    sz: Amount
    oid: VenueId
    timestamp: Millis
    orig_sz: Amount
    cloid: Text | None = None
    tif: Text | None = None
    order_type: Text = "Limit"
    reduce_only: bool = False
    is_trigger: bool = False
    trigger_px: Amount = "0.0"

    def report(self, venue: str, status: str = "open", venue_ms: int = 0) -> OrderReport:
        """Return the order's status. Its fills come over their own stream, or as a list."""
        left, quantity = Decimal(self.sz), Decimal(self.orig_sz)
        found = status_of(status, is_begun=left < quantity)
        is_open = found in (VenueStatus.OPEN, VenueStatus.PARTIALLY_FILLED)
        filled = quantity if found is VenueStatus.FILLED else quantity - left
        if not left and not is_open and found is not VenueStatus.FILLED:
            filled = ZERO  # a canceled order may be shown with nothing left: its fills say more
        kind = TYPES.get(self.order_type, OrderType.FOREIGN)
        if kind is OrderType.LIMIT and self.tif == "Alo":
            kind = OrderType.LIMIT_MAKER
        return OrderReport(
            instrument=f"{venue}:{self.coin}",
            client_order_id=self.cloid or "",
            venue_order_id=str(self.oid),
            status=found,
            side=SIDES[self.side],
            type=kind,
            time_in_force=TimeInForce.IOC if self.tif == "Ioc" else TimeInForce.GTC,
            price=Decimal(self.limit_px) if kind not in (OrderType.STOP, OrderType.TAKE_PROFIT) else ZERO,
            quantity=quantity,
            filled_quantity=filled,
            venue_ns=nanoseconds(venue_ms or self.timestamp),
            reason="" if is_open or found is VenueStatus.FILLED else status,
            stop_price=Decimal(self.trigger_px) if self.is_trigger else ZERO,
            venue_type=self.order_type if kind is OrderType.FOREIGN else "",
            is_triggered=status == "triggered",
            reduce_only=self.reduce_only,
        )


class PerpUpdate(msgspec.Struct, frozen=True, rename="camel"):
    """An order with its status: of `orderUpdates`, `orderStatus` and `historicalOrders`."""

    order: PerpOrder
    status: Text
    status_timestamp: Millis

    def report(self, venue: str) -> OrderReport:
        """Return the order's status."""
        return self.order.report(venue, self.status, self.status_timestamp)


class _Liquidation(msgspec.Struct, frozen=True, rename="camel"):
    liquidated_user: Text


class PerpFill(msgspec.Struct, frozen=True, rename="camel"):
    """A fill. `closedPnl` is before the fee, and `dir` is text to read: the side alone says what was done."""

    coin: Text
    px: Amount
    sz: Amount
    side: Literal["A", "B"]
    time: Millis
    start_position: SignedAmount
    oid: VenueId
    crossed: bool
    fee: SignedAmount
    tid: VenueId = 0  # absent before 2024
    fee_token: Text = QUOTE
    cloid: Text | None = None
    closed_pnl: SignedAmount = "0.0"
    liquidation: _Liquidation | None = None  # on both sides of the trade

    def is_forced(self, user: str) -> bool:
        """Return True if the venue closed a position of this user."""
        return self.liquidation is not None and self.liquidation.liquidated_user.lower() == user.lower()

    def forced_report(self, venue: str) -> OrderReport:
        """Return the venue's own order against the position that it closes, as far as the fill shows it."""
        whole, fill = abs(Decimal(self.start_position)), self.fill(venue)
        return OrderReport(
            instrument=fill.instrument,
            client_order_id="",
            venue_order_id=fill.venue_order_id,
            status=VenueStatus.FILLED if fill.quantity >= whole else VenueStatus.PARTIALLY_FILLED,
            side=fill.side,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.IOC,
            price=fill.price,
            quantity=max(whole, fill.quantity),
            filled_quantity=fill.quantity,
            venue_ns=fill.venue_ns,
            fills=(fill,),
            reduce_only=True,
            forced=ForcedKind.LIQUIDATION,
        )

    def fill(self, venue: str) -> Fill:
        """Return the fill. Without a `tid`, its time, order, position, price and size name it."""
        return Fill(
            instrument=f"{venue}:{self.coin}",
            fill_id=str(self.tid) if self.tid else self._name,
            venue_order_id=str(self.oid),
            side=SIDES[self.side],
            price=Decimal(self.px),
            quantity=Decimal(self.sz),
            fee=Decimal(self.fee),
            fee_asset=self.fee_token,
            maker=not self.crossed,
            venue_ns=nanoseconds(self.time),
            client_order_id=self.cloid or "",
        )

    @property
    def _name(self) -> str:
        return f"{self.time}-{self.oid}-{self.start_position}-{self.px}-{self.sz}"


def in_time(rows: tuple[PerpFill, ...]) -> list[PerpFill]:
    """Return fills as they happened. Answers list the newest millisecond first, and within one the oldest first (3)."""
    return sorted(rows, key=lambda row: row.time)


class _CoinLeverage(msgspec.Struct, frozen=True):
    type: Literal["cross", "isolated"]
    value: int


class _PerpPosition(msgspec.Struct, frozen=True, rename="camel"):
    coin: Text
    szi: SignedAmount
    leverage: _CoinLeverage
    margin_used: SignedAmount
    position_value: SignedAmount
    unrealized_pnl: SignedAmount
    entry_px: Amount | None = None
    liquidation_px: SignedAmount | None = None
    max_leverage: int = 0  # absent in old answers

    def report(self, venue: str, venue_ns: int) -> PositionReport:
        """Return the position. The maintenance margin is half of the initial one at the highest leverage (10)."""
        size, worth = Decimal(self.szi), Decimal(self.position_value)
        return PositionReport(
            instrument=f"{venue}:{self.coin}",
            position_side=PositionSide.BOTH,
            quantity=size,
            entry_price=Decimal(self.entry_px or "0"),
            mark_price=worth / abs(size) if size else ZERO,
            liquidation_price=max(Decimal(self.liquidation_px or "0"), ZERO),
            margin=Decimal(self.margin_used),
            maintenance=worth / (2 * self.max_leverage) if self.max_leverage > 0 else ZERO,
            venue_ns=venue_ns,
        )


class _AssetPosition(msgspec.Struct, frozen=True):
    position: _PerpPosition
    type: Literal["oneWay"]


class _Summary(msgspec.Struct, frozen=True, rename="camel"):
    account_value: SignedAmount
    total_margin_used: SignedAmount
    total_ntl_pos: SignedAmount
    total_raw_usd: SignedAmount


class AccountState(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to `clearinghouseState`: money, positions, and that long and short are one position."""

    asset_positions: tuple[_AssetPosition, ...]
    margin_summary: _Summary
    time: Millis = 0  # absent in old answers

    def events(self, venue: str) -> tuple[Event, ...]:
        """Return the wallet, the positions and the position mode.

        The wallet is what deposits and earnings make, without open P&L; free is what new orders may use of it.
        """
        held = [row.position for row in self.asset_positions]
        value = Decimal(self.margin_summary.account_value)
        wallet = value - sum((Decimal(each.unrealized_pnl) for each in held), ZERO)
        available = value - Decimal(self.margin_summary.total_margin_used)
        free = min(max(available, ZERO), max(wallet, ZERO))
        at_ns = nanoseconds(self.time)
        balance = BalanceReport(QUOTE, free, wallet - free, at_ns)
        return (
            AccountReport((balance,), can_trade=True, venue_ns=at_ns),
            PositionsReport(tuple(each.report(venue, 0) for each in held)),  # the date of a change is not stated
            PositionModeReport(is_hedge=False),
        )


class AssetData(msgspec.Struct, frozen=True):
    """The answer to `activeAssetData`: leverage and margin mode of a coin."""

    coin: Text
    leverage: _CoinLeverage

    def settings(self, venue: str) -> MarginSettingsReport:
        """Return leverage and margin mode."""
        return MarginSettingsReport(
            f"{venue}:{self.coin}", Decimal(self.leverage.value), MARGIN_MODES[self.leverage.type]
        )


class _FundingDelta(msgspec.Struct, frozen=True, rename="camel"):
    coin: Text
    usdc: SignedAmount  # received; negative: paid
    funding_rate: SignedAmount


class FundingRow(msgspec.Struct, frozen=True):
    """A row of `userFunding`."""

    time: Millis
    delta: _FundingDelta

    def funding(self, venue: str) -> FundingReport:
        """Return the funding. The answer names no mark price."""
        delta = self.delta
        rate, at_ns = Decimal(delta.funding_rate), nanoseconds(self.time)
        return FundingReport(f"{venue}:{delta.coin}", QUOTE, Decimal(delta.usdc), rate, ZERO, at_ns)


class StreamedFunding(msgspec.Struct, frozen=True, rename="camel"):
    """A funding of the stream `userFundings`, which has no `delta`."""

    time: Millis
    coin: Text
    usdc: SignedAmount
    funding_rate: SignedAmount

    def funding(self, venue: str) -> FundingReport:
        """Return the funding."""
        return FundingRow(self.time, _FundingDelta(self.coin, self.usdc, self.funding_rate)).funding(venue)
