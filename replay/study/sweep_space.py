"""The parameters that a sweep varies, and the variants of a grid or of random draws. Values are texts, as in settings.

The same axes, count and seed give the same variants in the same order, on any machine.
"""

import random
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import product
from math import exp, log

import msgspec

from journal.record import plain

VARIANTS_MAX = 100_000
DRAWS_PER_VARIANT = 20  # further draws find no new variant: the space is nearly used up
DIGITS = 6  # of a drawn number


class Axis(msgspec.Struct, frozen=True):
    """One parameter: values to choose from, or an interval to draw from."""

    name: str
    values: tuple[str, ...] = ()
    low: str = ""
    high: str = ""
    is_log: bool = False

    @property
    def is_integer(self) -> bool:
        """True if both ends of the interval are whole numbers."""
        return all(Decimal(end) == Decimal(end).to_integral_value() and "." not in end for end in (self.low, self.high))


class Variant(msgspec.Struct, frozen=True):
    """One choice of all parameters."""

    values: dict[str, str]

    @property
    def label(self) -> str:
        """The choice in one line."""
        return " ".join(f"{name}={value}" for name, value in self.values.items()) or "as it is"


class SweepError(Exception):
    """A sweep cannot be made as it is described. The text is one line."""


def parse_axis(text: str) -> Axis:
    """Parse `NAME=5,10,20`, `NAME=LOW:HIGH:STEP`, or an interval `NAME=LOW:HIGH` or `NAME=LOW:HIGH:log`.

    Raises:
        SweepError: The text has another form.
    """
    name, sign, rest = text.partition("=")
    name, rest = name.strip(), rest.strip()
    if not sign or not name or not rest:
        raise SweepError(f"{text!r} is no parameter: write NAME=5,10,20 or NAME=LOW:HIGH:STEP or NAME=LOW:HIGH.")
    if ":" not in rest:
        values = tuple(dict.fromkeys(value.strip() for value in rest.split(",")))
        if not all(values):
            raise SweepError(f"{text!r} has an empty value.")
        return Axis(name, values)
    parts = rest.split(":")
    low, high = _number(parts[0], text), _number(parts[1], text)
    if low >= high or len(parts) > 3:
        raise SweepError(f"{text!r}: write NAME=LOW:HIGH or NAME=LOW:HIGH:STEP, with LOW below HIGH.")
    if len(parts) == 2 or parts[2] == "log":
        if len(parts) == 3 and low <= 0:
            raise SweepError(f"{text!r}: a logarithmic interval begins above 0.")
        return Axis(name, low=parts[0].strip(), high=parts[1].strip(), is_log=len(parts) == 3)
    step = _number(parts[2], text)
    if step <= 0 or (high - low) / step >= VARIANTS_MAX:
        raise SweepError(f"{text!r}: the step must be above 0, and make fewer than {VARIANTS_MAX:,} values.")
    count = int((high - low) / step) + 1
    return Axis(name, tuple(plain(low + step * place) for place in range(count)))


def _number(text: str, whole: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        raise SweepError(f"{whole!r}: {text!r} is no number.") from None
    if not number.is_finite():
        raise SweepError(f"{whole!r}: {text!r} is not finite.")
    return number


def check_axes(axes: Sequence[Axis]) -> None:
    """Refuse a sweep without parameters, or with one twice.

    Raises:
        SweepError: It is one of these.
    """
    names = [axis.name for axis in axes]
    if not names:
        raise SweepError("a sweep needs a parameter. What to do: name one, as in --param fast=5,10,20.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SweepError(f"the parameter {twice} is given twice. What to do: give all its values at once.")


def grid(axes: Sequence[Axis]) -> list[Variant]:
    """Return every combination, the last parameter changing first.

    Raises:
        SweepError: A parameter has an interval without a step, or there are too many combinations.
    """
    check_axes(axes)
    for axis in axes:
        if not axis.values:
            raise SweepError(
                f"{axis.name} has an interval without a step. What to do: add a step, as in "
                f"{axis.name}={axis.low}:{axis.high}:1, or choose --search random."
            )
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > VARIANTS_MAX:
        raise SweepError(f"the grid has {count:,} variants, more than {VARIANTS_MAX:,}. What to do: --search random.")
    names = [axis.name for axis in axes]
    return [Variant(dict(zip(names, chosen, strict=True))) for chosen in product(*(axis.values for axis in axes))]


def draw(axes: Sequence[Axis], count: int, seed: int) -> list[Variant]:
    """Return so many different variants at random; fewer if the space is smaller.

    Raises:
        SweepError: A parameter is missing or given twice.
    """
    check_axes(axes)
    source = random.Random(seed)
    found: dict[tuple[str, ...], Variant] = {}
    for _ in range(count * DRAWS_PER_VARIANT):
        if len(found) == count:
            break
        values = {axis.name: _drawn(axis, source) for axis in axes}
        found.setdefault(tuple(values.values()), Variant(values))
    return list(found.values())


def _drawn(axis: Axis, source: random.Random) -> str:
    if axis.values:
        return source.choice(axis.values)
    low, high = float(axis.low), float(axis.high)
    number = exp(source.uniform(log(low), log(high))) if axis.is_log else source.uniform(low, high)
    if axis.is_integer:
        return str(min(int(axis.high), max(int(axis.low), round(number))))
    return number_text(number)


def number_text(number: float) -> str:
    """Return a drawn number with few digits, as a setting has it."""
    return plain(Decimal(f"{number:.{DIGITS}g}"))


def sort_key(value: str) -> tuple[int, Decimal, str]:
    """Return a key that sorts numbers by size and other values by text."""
    try:
        return 0, Decimal(value), ""
    except InvalidOperation:
        return 1, Decimal(0), value
