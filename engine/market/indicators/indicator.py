"""The contract of an indicator: a declared value that the fold updates with each change of an instrument's mid.

An indicator's file has a spec class, which satisfies IndicatorSpec, and a compiled function

    update(numbers: Floats, count: int, mid: float) -> float

which returns the new value. `numbers` is the indicator's row of floats: VALUE, DIVISOR, then from OWN on its parameters
and its state, as `own_numbers` of the spec began them. `count` is the number of updates before this one. The arithmetic
is + - * / and sqrt in written order: compiled and plain code must agree to the bit.
"""

from typing import ClassVar, Final, Protocol

from engine.market.layout import I_OWN, I_VALUE

VALUE: Final = I_VALUE
OWN: Final = I_OWN


class IndicatorSpec(Protocol):
    """The declaration of one indicator of one instrument: a frozen struct whose other fields are its parameters."""

    name: ClassVar[str]  # as strategies declare it and records name it
    kind: ClassVar[int]  # as the registry's compiled dispatch knows it; never reused

    @property
    def instrument_id(self) -> str:
        """The instrument that the indicator follows."""

    @property
    def source(self) -> str:
        """Name the input; "mid" is the only one."""
        ...

    @property
    def warm_count(self) -> int:
        """Return the number of updates until the value may be used."""
        ...

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """Return the parameters and the first state of the indicator, at least one number."""
        ...

    @property
    def carried_from(self) -> int:
        """Return the index in `own_numbers` from which the numbers are state, carried to the next session."""
        ...
