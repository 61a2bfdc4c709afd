"""When a strategy decides: the values of its `cadence`, one or several, and their form in a SESSION record."""

from typing import Any

import msgspec

from engine.session_record import MILLISECOND_NS, Declared
from engine.strategy.source_guard import StrategyError
from engine.trigger_kinds import ACCOUNT_KINDS, TriggerKind


class CrossOver(msgspec.Struct, frozen=True):
    """Two declared averages of an instrument change their order; the first time that they differ counts too."""

    first: str
    second: str


class PriceMove(msgspec.Struct, frozen=True):
    """The mid price has moved by more than `ppm` millionths since the last such move; the first quote counts too."""

    ppm: int


class Predicate(msgspec.Struct, frozen=True):
    """The strategy's own function `should_decide(now, parameters)` returns True.

    It gets a MarketTick and the parameters that are numbers. The engine compiles it into the fold, which calls it at
    each change of a quote or of the book's top and at each trade. `wants` is its old name.
    """


class OnQuote(msgspec.Struct, frozen=True):
    """Decide when the best bid or ask of an instrument changes, at most every `throttle_ms`.

    With `when`, decide only if that condition is true. The compiled fold checks it, so Python runs only for decisions.
    """

    throttle_ms: int = 0
    when: CrossOver | PriceMove | Predicate | None = None

    @property
    def throttle_ns(self) -> int:
        """The throttle in nanoseconds."""
        return self.throttle_ms * MILLISECOND_NS


class Every(msgspec.Struct, frozen=True):
    """Decide at a fixed interval of session time."""

    ms: int

    @property
    def period_ns(self) -> int:
        """The period in nanoseconds."""
        return self.ms * MILLISECOND_NS


class OnBar(msgspec.Struct, frozen=True):
    """Decide when a bar of so many seconds ends, of any of the instruments."""

    seconds: int


class OnTrade(msgspec.Struct, frozen=True):
    """Decide when the market trades in an instrument, at most every `throttle_ms`."""

    throttle_ms: int = 0

    @property
    def throttle_ns(self) -> int:
        """The throttle in nanoseconds."""
        return self.throttle_ms * MILLISECOND_NS


class OnBook(msgspec.Struct, frozen=True):
    """Decide when any level of an instrument's book changes, at most every `throttle_ms`."""

    throttle_ms: int = 0

    @property
    def throttle_ns(self) -> int:
        """The throttle in nanoseconds."""
        return self.throttle_ms * MILLISECOND_NS


class OnFill(msgspec.Struct, frozen=True):
    """Decide when an order of the strategy fills, in full or in part."""


class OnOrderEnd(msgspec.Struct, frozen=True):
    """Decide when an order of the strategy ended: filled, cancelled, expired, rejected, or never placed."""


class OnRefusal(msgspec.Struct, frozen=True):
    """Decide when risk refused an intent of the strategy, or the venue rejected an order of it."""


class OnMode(msgspec.Struct, frozen=True):
    """Decide when the session begins to trade, and again after each pause. Outside RUNNING no strategy decides."""


Cadence = OnQuote | OnBar | Every | OnTrade | OnBook | OnFill | OnOrderEnd | OnRefusal | OnMode
KINDS: dict[type, TriggerKind] = {
    OnQuote: TriggerKind.QUOTE,
    Every: TriggerKind.TIMER,
    OnBar: TriggerKind.BAR,
    OnTrade: TriggerKind.TRADE,
    OnBook: TriggerKind.BOOK,
    OnFill: TriggerKind.FILL,
    OnOrderEnd: TriggerKind.ORDER_END,
    OnRefusal: TriggerKind.REFUSAL,
    OnMode: TriggerKind.MODE,
}
_OF_KIND = {kind: each for each, kind in KINDS.items()}
_NAMES = "OnQuote, OnBar, OnTrade, OnBook, Every, OnFill, OnOrderEnd, OnRefusal or OnMode"


def kind_of(cadence: Cadence) -> TriggerKind:
    """Return the kind of trigger that a cadence declares."""
    return KINDS[type(cadence)]


def read_cadences(where: str, declared: Any) -> tuple[Cadence, ...]:
    """Return the cadences that a class declares, one or a tuple, checked. Raises StrategyError."""
    cadences = declared if isinstance(declared, tuple) else (declared,)
    if not cadences:
        raise StrategyError(f"{where}: `cadence` is empty: nothing would ever ask the strategy")
    for cadence in cadences:
        _check(where, cadence)
    kinds = [kind_of(cadence) for cadence in cadences]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise StrategyError(f"{where}: `cadence` has {_OF_KIND[kind].__name__} twice")
    return cadences


def _check(where: str, cadence: Any) -> None:
    if type(cadence) not in KINDS:
        raise StrategyError(f"{where}: cadence is {_NAMES}, or a tuple of these, not {cadence!r}")
    if isinstance(cadence, Every) and not (type(cadence.ms) is int and cadence.ms > 0):
        raise StrategyError(f"{where}: Every takes a whole number of milliseconds above 0, not {cadence.ms!r}")
    if isinstance(cadence, OnBar) and not (type(cadence.seconds) is int and cadence.seconds > 0):
        raise StrategyError(f"{where}: OnBar takes a whole number of seconds above 0, not {cadence.seconds!r}")
    if isinstance(cadence, OnQuote | OnTrade | OnBook) and not (
        type(cadence.throttle_ms) is int and cadence.throttle_ms >= 0
    ):
        raise StrategyError(f"{where}: throttle_ms is a whole number of milliseconds, not {cadence.throttle_ms!r}")


def recorded_triggers(cadences: tuple[Cadence, ...]) -> tuple[tuple[str, int], ...]:
    """Return the cadences as Declared.triggers has them: () for a single one of the older kinds."""
    if len(cadences) == 1 and isinstance(cadences[0], OnQuote | OnBar | Every):
        return ()
    return tuple((str(kind_of(cadence)), _number_of(cadence)) for cadence in cadences)


def _number_of(cadence: Cadence) -> int:
    if isinstance(cadence, Every):
        return cadence.ms
    if isinstance(cadence, OnBar):
        return cadence.seconds
    return cadence.throttle_ms if isinstance(cadence, OnQuote | OnTrade | OnBook) else 0


def declared_cadences(declared: Declared) -> tuple[Cadence, ...]:
    """Return the cadences of a recorded declaration."""
    when = _when(declared)
    if declared.on_bar_s:
        return (OnBar(declared.on_bar_s),)
    if not declared.triggers:
        return (Every(declared.every_ms),) if declared.every_ms else (OnQuote(declared.throttle_ms, when),)
    cadences: list[Cadence] = []
    for text, number in declared.triggers:
        kind = TriggerKind(text)
        if kind is TriggerKind.QUOTE:
            cadences.append(OnQuote(number, when))
        else:
            cadences.append(_OF_KIND[kind]() if kind in ACCOUNT_KINDS else _OF_KIND[kind](number))
    return tuple(cadences)


def _when(declared: Declared) -> CrossOver | PriceMove | Predicate | None:
    if declared.has_predicate:
        return Predicate()
    if declared.cross_over is not None:
        return CrossOver(*declared.cross_over)
    return PriceMove(declared.price_move_ppm) if declared.price_move_ppm else None
