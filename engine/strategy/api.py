"""What a strategy is, what it may see and what it may wish. It never sees a venue, a clock or a file.

A strategy is a class:

    class Quoter:
        version = "1"
        instruments = ("BTCUSDT",)
        cadence = OnQuote(throttle_ms=100)

        @dataclass
        class Parameters: size: Decimal = Decimal("0.001")

        @dataclass
        class State: quotes: int = 0

        @staticmethod
        def decide(view, state, parameters): ...   # -> iterable of Place and Cancel

`State` is all that persists: int, str, bool, Decimal, float, None, and tuples, lists and str-keyed dicts of these.
What else a decision changes (a module's or class's variable, a list or dict there, its parameters) stops the strategy.
Never walk a set of strings: its order differs between processes, and sorted() costs nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import msgspec

from engine.facts import Position
from engine.market.market_state import Market
from engine.market.views import Bars, BookTop, Quote, Trade
from engine.model import Instrument, OrderType, Side, TimeInForce
from engine.money import ZERO, down_to_grid
from engine.session_record import MILLISECOND_NS, SECOND_NS
from engine.state.orders import Order
from engine.state.session_state import Account


class CrossOver(msgspec.Struct, frozen=True):
    """Two declared averages of an instrument change their order; the first time they differ is one too."""

    first: str
    second: str


class PriceMove(msgspec.Struct, frozen=True):
    """The mid price is further than `ppm` millionths from where it was when this came true last; the first quote makes it true."""

    ppm: int


class Predicate(msgspec.Struct, frozen=True):
    """`wants(now, parameters)` of the strategy's class says yes: a function of a MarketTick and of the parameters that are numbers, compiled
    into the fold and called at each change of a quote, of the book's top and at each trade.
    """


class OnQuote(msgspec.Struct, frozen=True):
    """Be asked when the best bid or ask of one of the instruments changed, at most every `throttle_ms`; with `when`, only if that has come
    true. The compiled fold looks at it, so a condition costs next to nothing, and Python runs when there is something to decide.
    """

    throttle_ms: int = 0
    when: CrossOver | PriceMove | Predicate | None = None

    @property
    def throttle_ns(self) -> int:
        return self.throttle_ms * MILLISECOND_NS


class Every(msgspec.Struct, frozen=True):
    """Be asked at a fixed cadence of session time."""

    ms: int

    @property
    def period_ns(self) -> int:
        return self.ms * MILLISECOND_NS


class Average(msgspec.Struct, frozen=True):
    """An exponential moving average of the mid price, kept by the compiled fold on every quote."""

    name: str
    length: int


class Indicator(msgspec.Struct, frozen=True):
    """Any indicator of engine/market/indicators, by its kind: `Indicator("slow", "ema", {"length": 50})`."""

    name: str
    kind: str
    parameters: Mapping[str, int | float | str] = MappingProxyType({})


class Place(msgspec.Struct, frozen=True):
    """The wish for a new order. `because` names what it was decided on."""

    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal = ZERO
    type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    because: Mapping[str, Any] = MappingProxyType({})


class Cancel(msgspec.Struct, frozen=True):
    """The wish to end one of the strategy's own open orders."""

    client_order_id: str
    because: Mapping[str, Any] = MappingProxyType({})


Intent = Place | Cancel


class Decision(NamedTuple):
    """What a strategy says when it is asked; most often nothing."""

    changed: dict[str, Any]  # the fields of its state
    wishes: list[Intent]

    def __bool__(self) -> bool:
        return bool(self.changed or self.wishes)


class Strategy(Protocol):
    """The shape of a strategy class (see the module's head). `averages`, `indicators` and `bars_s` (lengths in seconds) are optional."""

    version: str
    instruments: tuple[str, ...]
    cadence: OnQuote | Every
    Parameters: type[Any]
    State: type[Any]

    @staticmethod
    def decide(view: "View", state: Any, parameters: Any) -> Iterable[Intent]: ...


class View:
    """What a strategy may look at: read-only, as of this record. Instruments go by the name the strategy declared."""

    __slots__ = ("_account", "_indicators", "_instruments", "_market", "_name", "time_ns")

    def __init__(
        self,
        *,
        name: str,
        account: Account,
        market: Market,
        time_ns: int,
        instruments: Mapping[str, tuple[int, Instrument]],
        indicators: Mapping[tuple[str, str], int],
    ) -> None:
        self._name = name
        self._account = account
        self._market = market
        self._instruments = instruments
        self._indicators = indicators
        self.time_ns = time_ns

    def __repr__(self) -> str:
        return f"View({self._name}, {self.time_ns})"  # no address: text of it may end up in a record

    def instrument(self, name: str) -> Instrument:
        return self._instruments[name][1]

    def quote(self, name: str) -> Quote | None:
        """The last best bid and ask, or None before the first."""
        return self._market.quote(self._instruments[name][0])

    def book(self, name: str, levels: int = 20) -> BookTop | None:
        """The best levels of each side, or None while the book is not synchronised."""
        return self._market.book_top(self._instruments[name][0], levels)

    def last_trade(self, name: str) -> Trade | None:
        return self._market.last_trade(self._instruments[name][0])

    def bars(self, name: str, seconds: int) -> Bars:
        """Declared bars of trades by the venue's time: closed ones and the forming one, clearly apart."""
        return self._market.bars(self._instruments[name][0], seconds * SECOND_NS)

    def average(self, name: str, instrument: str) -> float | None:
        """Return a declared average; None until as many quote changes as its length were seen."""
        return self.indicator(name, instrument)

    def indicator(self, name: str, instrument: str) -> float | None:
        """Return the value of a declared average or indicator; None until it is warm."""
        index = self._indicators[name, instrument]
        return self._market.indicator(index) if self._market.is_warm(index) else None

    def orders(self, name: str | None = None) -> list[Order]:
        """The strategy's own live orders, oldest first."""
        wanted = None if name is None else self.instrument(name).id
        return [
            order
            for order in self._account.orders.live_by_age()
            if order.strategy == self._name and wanted in (None, order.order.instrument)
        ]

    def position(self, name: str) -> Position:
        held = self._account.positions.of(self._name, self.instrument(name).id)
        return msgspec.structs.replace(
            held, fees=dict(held.fees)
        )  # a copy: what a view shows cannot be written through it

    def balance(self, asset: str) -> Decimal:
        """What the venue holds free for us."""
        return self._account.balances.of(asset).free

    def round_price(self, name: str, price: Decimal | float) -> Decimal:
        """Down to the tick."""
        return down_to_grid(
            Decimal(price) if isinstance(price, Decimal) else Decimal(str(price)), self.instrument(name).tick_size
        )

    def round_quantity(self, name: str, quantity: Decimal) -> Decimal:
        """Down to the lot."""
        return down_to_grid(quantity, self.instrument(name).lot_size)


def state_from(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """The declared state with the recorded values put in; fields the record does not have keep their defaults."""
    return msgspec.convert(dict(values), type=kind, strict=False)


def state_values(state: Any) -> dict[str, Any]:
    """A state as JSON values, field by field, in the order of declaration."""
    return {name: msgspec.to_builtins(getattr(state, name)) for name in _names(state.__class__)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    assert is_dataclass(kind), "a strategy's State is a dataclass"
    return tuple(field.name for field in fields(kind))
