"""Order terms: one class an order type, with its own price, reserved funds, resting and trigger.

Code that depends on the type of an order uses its terms, so a new type is one class here and its name in `Terms`.
Values only: nothing here knows a venue, a clock or a wire format.
"""

from decimal import Decimal
from typing import ClassVar, NamedTuple, Self, get_args

import msgspec

from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.money import ZERO
from journal.record import plain


class Lock(NamedTuple):
    """Funds that an open order reserves."""

    asset: str
    amount: Decimal


class RecordedTerms(NamedTuple):
    """The fields in which the terms of an order are recorded; each type reads those that belong to it."""

    price: Decimal
    time_in_force: TimeInForce
    stop_price: Decimal = ZERO
    venue_type: str = ""


class _OrderTerms(msgspec.Struct, frozen=True):
    """The answers that all types give in the same way, from the price that an order names."""

    is_placeable: ClassVar[bool] = True  # True: a strategy may place it
    is_post_only: ClassVar[bool] = False  # True: the venue refuses it if it would match at once
    # True: the order becomes active when the market falls to its trigger for a buy, or rises to it for a sell
    triggers_on_gain: ClassVar[bool] = False

    @property
    def trigger(self) -> Decimal | None:
        """The market price that activates the order; None if it is active at once or only the venue knows."""
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

    def locks(
        self, side: Side, quantity: Decimal, instrument: Instrument, *, market_price: Decimal | None
    ) -> Lock | None:
        """Return the funds that an open order reserves, a stop order from its placement on.

        Args:
            side: The order's side.
            quantity: The quantity that is not filled yet.
            instrument: The order's instrument.
            market_price: The price of a buy that names none; None if it is not known.

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


class MarketTerms(_OrderTerms, frozen=True):
    """Fill at once at the prices that the book offers; the quantity that finds none expires."""

    type: ClassVar[OrderType] = OrderType.MARKET
    rests: ClassVar[bool] = False  # True: the quantity that is not filled at once stays in the book
    price: ClassVar[None] = None  # the limit price; None: no limit
    time_in_force: ClassVar[TimeInForce] = TimeInForce.IOC

    @classmethod
    def from_recorded(cls, _recorded: RecordedTerms) -> Self:
        """Return the terms; a market order records none."""
        return cls()

    @property
    def known_price(self) -> None:
        """The market alone decides the price."""
        return None

    def text(self) -> str:
        """Return the terms as a person reads them."""
        return "at market"


class LimitTerms(_OrderTerms, frozen=True):
    """Fill at `price` or better."""

    type: ClassVar[OrderType] = OrderType.LIMIT
    price: Decimal
    time_in_force: TimeInForce

    @classmethod
    def from_recorded(cls, recorded: RecordedTerms) -> Self:
        """Return the terms from the recorded price and time in force."""
        return cls(recorded.price, recorded.time_in_force)

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
        return f"at {plain(self.price)} ({self.type}, {self.time_in_force})"


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
    def from_recorded(cls, recorded: RecordedTerms) -> Self:
        """Return the terms from the recorded stop price."""
        return cls(recorded.stop_price)

    @property
    def trigger(self) -> Decimal:
        """The stop price."""
        return self.stop_price

    @property
    def known_price(self) -> Decimal:
        """The stop price: the market's at the time of the trigger."""
        return self.stop_price

    def limit_price(
        self,
        side: Side,
        *,
        bid: Decimal,  # noqa: ARG002 - it will be another one at the trigger
        ask: Decimal,  # noqa: ARG002 - as above
        slippage: Decimal,
    ) -> Decimal:
        """Return the worst price to expect: the stop price, for a buy with the fraction `slippage` as headroom."""
        return self.stop_price * (1 + slippage) if side is Side.BUY else self.stop_price

    def text(self) -> str:
        """Return the terms as a person reads them."""
        return f"at market from {plain(self.stop_price)} ({self.type})"


class StopLimitTerms(LimitTerms, frozen=True):
    """Become a limit order at `price` once the last price is at `stop_price` or worse."""

    type: ClassVar[OrderType] = OrderType.STOP_LIMIT
    stop_price: Decimal

    @classmethod
    def from_recorded(cls, recorded: RecordedTerms) -> Self:
        """Return the terms from the recorded prices and time in force."""
        return cls(recorded.price, recorded.time_in_force, recorded.stop_price)

    @property
    def trigger(self) -> Decimal:
        """The stop price."""
        return self.stop_price

    def text(self) -> str:
        """Return the terms as a person reads them."""
        return f"at {plain(self.price)} from {plain(self.stop_price)} ({self.type}, {self.time_in_force})"


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
    def from_recorded(cls, recorded: RecordedTerms) -> Self:
        """Return the terms from the recorded fields; a price of 0 means that the venue reports none."""
        return cls(recorded.venue_type, recorded.price or None, recorded.stop_price or None, recorded.time_in_force)

    @property
    def known_price(self) -> Decimal | None:
        """The price if the venue reports one, else the stop price."""
        return self.price or self.stop_price

    def text(self) -> str:
        """Return the terms as a person reads them, with the venue's name for the type."""
        at = "at market" if self.price is None else f"at {plain(self.price)}"
        stop = "" if self.stop_price is None else f", stop price {plain(self.stop_price)}"
        return f"{at} ({self.venue_type}, {self.time_in_force}{stop})"


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


def terms_of(order_type: OrderType, recorded: RecordedTerms) -> Terms:
    """Return the terms of an order from the fields in which it is recorded."""
    return TERMS[order_type].from_recorded(recorded)
