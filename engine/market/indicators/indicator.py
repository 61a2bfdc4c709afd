"""The contract of an indicator: a declared value that the fold updates with quotes, trades or closed bars.

An indicator's file has a spec class and a compiled function

    update(numbers: Numbers, count: int, length: int) -> float

which returns the new value; its INDICATORS pairs the two. `numbers` is the indicator's row of floats: VALUE (the last
value), INPUT and the other columns of the input, then from OWN on its parameters and its state, as `own_numbers` of the
spec began them. `count` is the number of updates before this one, and `length` the spec's window. The arithmetic is
+ - * / and sqrt in written order: compiled and plain code must agree to the bit.

Sources: "mid" (each change of the quote; INPUT is the mid, and with `needs_quotes` BID ... ASK_SIZE the quote), "trade"
(each trade; INPUT is its price, VOLUME its size) and "bars.SECONDS" (each closed bar of so many seconds; OPEN ...
VOLUME, and INPUT is the spec's field). TIME_S is the time of a trade or of a bar's end. Each source sets its own
columns only.
"""

from collections.abc import Callable, Mapping, MutableSequence
from typing import Any, ClassVar, Final

import msgspec

from engine.market import layout as at

VALUE: Final = at.I_VALUE
INPUT: Final = at.I_INPUT
TIME_S: Final = at.I_TIME_S
OPEN: Final = at.I_OPEN
HIGH: Final = at.I_HIGH
LOW: Final = at.I_LOW
CLOSE: Final = at.I_CLOSE
VOLUME: Final = at.I_VOLUME
BID: Final = at.I_BID
BID_SIZE: Final = at.I_BID_SIZE
ASK: Final = at.I_ASK
ASK_SIZE: Final = at.I_ASK_SIZE
OWN: Final = at.I_OWN

MID: Final = "mid"
TRADE: Final = "trade"
BARS: Final = "bars."  # then the seconds of a bar
FIELDS: Final = {
    "open": at.I_OPEN, "high": at.I_HIGH, "low": at.I_LOW, "close": at.I_CLOSE, "volume": at.I_VOLUME,
}  # fmt: skip
LENGTH_MAX: Final = 5000  # values that an indicator keeps: they are carried to the next session
UNBOUNDED: Final = 2**53  # of an indicator that keeps no values
SECOND_NS: Final = 1_000_000_000
LATER: Final = frozenset({"field", "begins"})  # older sessions know the ema without them

Numbers = MutableSequence[float]  # in compiled code a pointer: it has no length
Update = Callable[[Numbers, int, int], float]


class IndicatorSpec(msgspec.Struct, frozen=True):
    """The declaration of one indicator of one instrument. Its fields are its parameters."""

    name: ClassVar[str]  # as strategies declare it and records name it: it never changes
    needs_bars: ClassVar[bool] = False
    needs_quotes: ClassVar[bool] = False
    needs_trades: ClassVar[bool] = False  # or bars: it weighs by volume
    length_max: ClassVar[int] = LENGTH_MAX
    memory: ClassVar[int] = 1  # multiples of `warm_count` after which the first inputs no longer matter
    outputs: ClassVar[Mapping[str, int]] = {}  # values beside the first one: name -> index in `own_numbers`

    instrument_id: str

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        raise NotImplementedError

    @property
    def settled_count(self) -> int:
        """The number of bars to request from before a session: enough that the first values no longer matter."""
        return min(self.warm_count * self.memory, LENGTH_MAX)

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The parameters and the first state of the indicator."""
        raise NotImplementedError

    @property
    def carried_from(self) -> int:
        """The index in `own_numbers` from which the numbers are state, carried to the next session."""
        return 0

    @property
    def window(self) -> int:
        """The number that the update gets as `length`."""
        return int(getattr(self, "length", 1))

    @property
    def followed(self) -> str:
        """The source."""
        return str(getattr(self, "source", MID))

    @property
    def interval_ns(self) -> int:
        """The interval of the bars that it follows; 0: it follows quotes or trades."""
        return int(self.followed.removeprefix(BARS)) * SECOND_NS if self.followed.startswith(BARS) else 0

    @property
    def reads_quotes(self) -> bool:
        """True if its update reads the quote, not the mid alone."""
        return self.needs_quotes

    @property
    def input_field(self) -> str:
        """The field of the bars that is its input."""
        return getattr(self, "field", "") or "close"

    def check(self) -> None:
        """Check length, source and field. Each spec calls it first in `__post_init__`. Raises ValueError."""
        if hasattr(self, "length"):
            check_length("length", self.length, most=self.length_max)
        self._check_source()
        field, source = getattr(self, "field", ""), self.followed
        if field not in ("", *FIELDS):
            raise ValueError(f"field is one of {', '.join(FIELDS)}, not {field!r}")
        if not self.interval_ns and field not in ("", "close", "volume" if source == TRADE else "close"):
            raise ValueError(f"field {field!r} needs bars: give bars_s")

    def _check_source(self) -> None:
        source = self.followed
        seconds = source.removeprefix(BARS)
        is_bars = source.startswith(BARS) and seconds.isascii() and seconds.isdigit() and int(seconds) > 0
        if self.needs_bars and not is_bars:
            raise ValueError(f"{self.name} needs bars: give bars_s")
        if source not in (MID, TRADE) and not is_bars:
            raise ValueError(f"source is {MID!r}, {TRADE!r} or {BARS + 'SECONDS'!r}, not {source!r}")
        if self.needs_quotes and source != MID:
            raise ValueError(f"{self.name} needs quotes: its source is {MID!r}, not {source!r}")
        if self.needs_trades and source == MID:
            raise ValueError(f"{self.name} needs volume: its source is {TRADE!r} or bars, not {source!r}")


class WindowSpec(IndicatorSpec, frozen=True):
    """An indicator over the last `length` values. Its own numbers are `sums` numbers, then a ring of the values."""

    sums: ClassVar[int]

    length: int
    source: str = MID
    field: str = ""

    def __post_init__(self) -> None:
        self.check()

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return self.length

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The sums and the ring."""
        return (0.0,) * (self.sums + self.length)


def check_length(name: str, length: object, *, least: int = 1, most: int = LENGTH_MAX) -> None:
    """Check a number of values. Raises ValueError."""
    if type(length) is not int or length < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {length!r}")
    if length > most:
        raise ValueError(f"{name} may be {most} at most, not {length}")


def spec_fields(spec: IndicatorSpec) -> dict[str, Any]:
    """Return the parameters as records and dumps state them. Later parameters are left out while they are empty."""
    fields: dict[str, Any] = msgspec.to_builtins(spec)
    return {name: value for name, value in fields.items() if value != "" or name not in LATER}
