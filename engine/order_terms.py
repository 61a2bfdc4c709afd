"""Order terms: one class an order type, with its own price, reserved funds, resting and trigger.

Code that depends on the type of an order uses its terms, so a new type is one class here and its name in `Terms`.
Values only: nothing here knows a venue, a clock or a wire format.
"""

from decimal import Decimal
from typing import ClassVar, NamedTuple, Protocol, Self, get_args

import msgspec

from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.money import ZERO
from journal.record import plain

BASIS = Decimal(10_000)  # basis points


class Lock(NamedTuple):
    """Funds that an open order reserves."""

    asset: str
    amount: Decimal


class TermFields(Protocol):
    """The fields of an order in which its terms are recorded; each type reads its own."""

    @property
    def price(self) -> Decimal:
        """The limit price; 0: without a limit."""

    @property
    def time_in_force(self) -> TimeInForce:
        """The time in force."""

    @property
    def stop_price(self) -> Decimal:
        """The stop price; 0: without a stop."""

    @property
    def venue_type(self) -> str:
        """The venue's name for a FOREIGN type."""

    @property
    def trailing_delta(self) -> int:
        """Basis points of a stop that follows the market; 0: it does not."""

    @property
    def iceberg_quantity(self) -> Decimal:
        """The part that the book shows; 0: all of it."""

    @property
    def quote_quantity(self) -> Decimal:
        """The amount of the quote asset; 0: none."""


class RecordedTerms(NamedTuple):
    """Recorded terms without an order."""

    price: Decimal
    time_in_force: TimeInForce
    stop_price: Decimal = ZERO
    venue_type: str = ""
    trailing_delta: int = 0
    iceberg_quantity: Decimal = ZERO
    quote_quantity: Decimal = ZERO


class _OrderTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The answers that all types give in the same way, from the price that an order names."""

    trailing_delta: int = 0  # of a stop that follows the best price, in basis points of it; 0: it does not follow
    iceberg_quantity: Decimal = ZERO  # the part that the book shows; 0: all of it
    quote_quantity: Decimal = ZERO  # amount of the quote asset to trade, of a market order; 0: it names a quantity

    is_placeable: ClassVar[bool] = True  # True: a strategy may place it
    is_post_only: ClassVar[bool] = False  # True: the venue refuses it if it would match at once
    # True: the order becomes active when the market falls to its trigger for a buy, or rises to it for a sell
    triggers_on_gain: ClassVar[bool] = False

    @property
    def trigger(self) -> Decimal | None:
        """The market price that activates the order; None if it is active at once or only the venue knows.

        Of a trailing stop it is the price from which it follows the market; 0: at once.
        """
        return None

    @property
    def known_price(self) -> Decimal | None:
        """The price that the order names; None if only the market decides."""
        raise NotImplementedError

    def limit_price(self, side: Side, *, bid: Decimal, ask: Decimal, slippage: Decimal) -> Decimal:
        """Return the worst price to expect: the order's own, or the far touch.

        A buy at the ask has the fraction `slippage` as headroom.
        """
        if (known := self.known_price) is not None:
            return known
        return ask * (1 + slippage) if side is Side.BUY else bid

    def notional(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return what a quantity of the order is worth in the quote asset, at the worst price to expect."""
        return price * quantity

    def locks(
        self,
        side: Side,
        quantity: Decimal,
        instrument: Instrument,
        *,
        market_price: Decimal | None,
        spent: Decimal = ZERO,  # noqa: ARG002 - of an order by quote amount
    ) -> Lock | None:
        """Return the funds that an open order reserves, a stop order from its placement on.

        Args:
            side: The order's side.
            quantity: The quantity that is not filled yet.
            instrument: The order's instrument.
            market_price: The price of a buy that names none; None if it is not known.
            spent: The quote amount that its fills moved.

        Returns:
            The funds; None if they depend on a market price that is not known.
        """
        if instrument.contract:
            return Lock(instrument.margin, ZERO)  # margin is not funds: the venue decides what an account may hold
        if side is Side.SELL:
            return Lock(instrument.base, quantity)
        known = self.known_price
        price = market_price if known is None else known
        return None if price is None else Lock(instrument.quote, price * quantity)


def _from_text(stop_price: Decimal, trailing_delta: int) -> str:
    """Return the words for the activation of an order."""
    start = f" from {plain(stop_price)}" if stop_price else ""
    return f"{start}, {trailing_delta} basis points behind the market" if trailing_delta else start


class MarketTerms(_OrderTerms, frozen=True):
    """Fill at once at the prices that the book offers; the quantity that finds none expires.

    With `quote_quantity` it trades for an amount of the quote asset, and its quantity is the most that may be.
    """

    type: ClassVar[OrderType] = OrderType.MARKET
    rests: ClassVar[bool] = False  # True: the quantity that is not filled at once stays in the book
    price: ClassVar[None] = None  # the limit price; None: no limit
    time_in_force: ClassVar[TimeInForce] = TimeInForce.IOC

    @classmethod
    def from_recorded(cls, recorded: TermFields) -> Self:
        """Return the terms from the recorded amount."""
        return cls(quote_quantity=recorded.quote_quantity)

    @property
    def known_price(self) -> None:
        """The market alone decides the price."""
        return None

    def notional(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Return what a quantity of the order is worth in the quote asset: no more than the amount it names."""
        return self.quote_quantity or price * quantity

    def locks(
        self,
        side: Side,
        quantity: Decimal,
        instrument: Instrument,
        *,
        market_price: Decimal | None,
        spent: Decimal = ZERO,
    ) -> Lock | None:
        """Return the funds that the order reserves: a buy by quote amount, what is left of the amount."""
        if self.quote_quantity and side is Side.BUY and not instrument.contract:
            return Lock(instrument.quote, max(self.quote_quantity - spent, ZERO))
        return super().locks(side, quantity, instrument, market_price=market_price)

    def text(self) -> str:
        """Return the terms as a person reads them."""
        return f"for {plain(self.quote_quantity)} of the quote asset at market" if self.quote_quantity else "at market"


class LimitTerms(_OrderTerms, frozen=True):
    """Fill at `price` or better."""

    type: ClassVar[OrderType] = OrderType.LIMIT
    price: Decimal
    time_in_force: TimeInForce

    @classmethod
    def from_recorded(cls, recorded: TermFields) -> Self:
        """Return the terms from the recorded price, time in force and visible part."""
        return cls(recorded.price, recorded.time_in_force, iceberg_quantity=recorded.iceberg_quantity)

    @property
    def rests(self) -> bool:
        """True if the quantity that is not filled at once stays in the book."""
        return self.time_in_force is TimeInForce.GTC

    @property
    def known_price(self) -> Decimal:
        """The limit price."""
        return self.price

    def text(self) -> str:
        """Return the terms as a person reads them."""
        return f"at {plain(self.price)} ({self.type}, {self.time_in_force}{self._shown_text()})"

    def _shown_text(self) -> str:
        return f", shows {plain(self.iceberg_quantity)}" if self.iceberg_quantity else ""


class PostOnlyTerms(LimitTerms, frozen=True):
    """Rest in the book at `price`; the venue refuses the order if it would match at once."""

    type: ClassVar[OrderType] = OrderType.LIMIT_MAKER
    is_post_only: ClassVar[bool] = True

    @property
    def rests(self) -> bool:
        """Always true."""
        return True  # under any recorded time in force: the venue has none for this type


class StopTerms(_OrderTerms, frozen=True):
    """Become a market order once the last price is at `stop_price` or worse: above it for a buy, below for a sell."""

    type: ClassVar[OrderType] = OrderType.STOP
    rests: ClassVar[bool] = False
    price: ClassVar[None] = None
    time_in_force: ClassVar[TimeInForce] = TimeInForce.GTC
    stop_price: Decimal

    @classmethod
    def from_recorded(cls, recorded: TermFields) -> Self:
        """Return the terms from the recorded stop price and distance."""
        return cls(recorded.stop_price, trailing_delta=recorded.trailing_delta)

    @property
    def trigger(self) -> Decimal:
        """The stop price."""
        return self.stop_price

    @property
    def known_price(self) -> Decimal | None:
        """The stop price: the market's at the time of the trigger. A trailing stop may move beyond it by its delta."""
        if not self.trailing_delta:
            return self.stop_price
        return self.stop_price * (BASIS + self.trailing_delta) / BASIS if self.stop_price else None

    def limit_price(self, side: Side, *, bid: Decimal, ask: Decimal, slippage: Decimal) -> Decimal:
        """Return the worst price to expect: the stop price, for a buy with the fraction `slippage` as headroom.

        A trailing stop is its delta behind the best price, which is the stop price or the market's when it begins.
        """
        price = self.stop_price
        if self.trailing_delta:
            price = (price or (ask if side is Side.BUY else bid)) * (BASIS + side.sign * self.trailing_delta) / BASIS
        return price * (1 + slippage) if side is Side.BUY else price

    def text(self) -> str:
        """Return the terms as a person reads them."""
        return f"at market{_from_text(self.stop_price, self.trailing_delta)} ({self.type})"


class StopLimitTerms(LimitTerms, frozen=True):
    """Become a limit order at `price` once the last price is at `stop_price` or worse."""

    type: ClassVar[OrderType] = OrderType.STOP_LIMIT
    stop_price: Decimal

    @classmethod
    def from_recorded(cls, recorded: TermFields) -> Self:
        """Return the terms from the recorded prices, time in force, distance and visible part."""
        return cls(
            recorded.price,
            recorded.time_in_force,
            recorded.stop_price,
            trailing_delta=recorded.trailing_delta,
            iceberg_quantity=recorded.iceberg_quantity,
        )

    @property
    def trigger(self) -> Decimal:
        """The stop price."""
        return self.stop_price

    def text(self) -> str:
        """Return the terms as a person reads them."""
        begins = _from_text(self.stop_price, self.trailing_delta)
        return f"at {plain(self.price)}{begins} ({self.type}, {self.time_in_force}{self._shown_text()})"


class TakeProfitTerms(StopTerms, frozen=True):
    """Become a market order once the last price is at `stop_price` or better: below it for a buy, above for a sell."""

    type: ClassVar[OrderType] = OrderType.TAKE_PROFIT
    triggers_on_gain: ClassVar[bool] = True


class TakeProfitLimitTerms(StopLimitTerms, frozen=True):
    """Become a limit order at `price` once the last price is at `stop_price` or better."""

    type: ClassVar[OrderType] = OrderType.TAKE_PROFIT_LIMIT
    triggers_on_gain: ClassVar[bool] = True


class ForeignTerms(_OrderTerms, frozen=True):
    """Another program's order of a type that the engine does not have.

    It keeps the type and the prices that the venue reports.
    """

    type: ClassVar[OrderType] = OrderType.FOREIGN
    is_placeable: ClassVar[bool] = False
    rests: ClassVar[bool] = False  # the engine does not know whether it is in the book, nor when it becomes active
    venue_type: str
    price: Decimal | None
    stop_price: Decimal | None
    time_in_force: TimeInForce

    @classmethod
    def from_recorded(cls, recorded: TermFields) -> Self:
        """Return the terms from the recorded fields; a price of 0 means that the venue reports none."""
        return cls(
            recorded.venue_type,
            recorded.price or None,
            recorded.stop_price or None,
            recorded.time_in_force,
            trailing_delta=recorded.trailing_delta,
            iceberg_quantity=recorded.iceberg_quantity,
            quote_quantity=recorded.quote_quantity,
        )

    @property
    def known_price(self) -> Decimal | None:
        """The price if the venue reports one, else the stop price."""
        return self.price or self.stop_price

    def text(self) -> str:
        """Return the terms as a person reads them, with the venue's name for the type."""
        at = "at market" if self.price is None else f"at {plain(self.price)}"
        stop = "" if self.stop_price is None else f", stop price {plain(self.stop_price)}"
        trails = f", {self.trailing_delta} basis points behind the market" if self.trailing_delta else ""
        shown = f", shows {plain(self.iceberg_quantity)}" if self.iceberg_quantity else ""
        amount = f", for {plain(self.quote_quantity)} of the quote asset" if self.quote_quantity else ""
        return f"{at} ({self.venue_type}, {self.time_in_force}{stop}{trails}{shown}{amount})"


Terms = (
    MarketTerms
    | LimitTerms
    | PostOnlyTerms
    | StopTerms
    | StopLimitTerms
    | TakeProfitTerms
    | TakeProfitLimitTerms
    | ForeignTerms
)
TERMS: dict[OrderType, type[Terms]] = {kind.type: kind for kind in get_args(Terms)}


def terms_of(order_type: OrderType, recorded: TermFields) -> Terms:
    """Return the terms of an order from the fields in which it is recorded."""
    return TERMS[order_type].from_recorded(recorded)
