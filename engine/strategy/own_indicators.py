"""Indicators of a strategy's own: a class in its modules, read and checked when the strategy is loaded.

    class Range:
        @dataclass
        class Parameters: length: int = 20

        kept = 1                      # numbers that it keeps between updates; all begin as 0.0
        warm_count = staticmethod(lambda parameters: parameters.length)

        @staticmethod
        def update(now, own, parameters): ...   # -> the new value

`kept` and `warm_count` are values, or static methods that return the value for the parameters. `now` is an
engine.market.user_update.IndicatorInput.
"""

from dataclasses import fields, is_dataclass
from decimal import Decimal
from types import FunctionType
from typing import Any

import msgspec

from engine.market.indicators.indicator import check_length
from engine.market.jit import Callback
from engine.market.predicates import INT_MAX, CannotCompileError
from engine.market.user_update import KIND, compile_update
from engine.strategy.api import Indicator
from engine.strategy.parameters import checked_parameters
from engine.strategy.source_guard import StrategyError


class OwnIndicator(msgspec.Struct, frozen=True):
    """A declared indicator of a strategy's own: its declaration as it is recorded, and its code."""

    declared: Indicator
    update: Any  # the function
    parameters: dict[str, int | float]  # the numbers among its parameters

    def compiled(self, where: str) -> Callback:
        """Return its update as machine code. Raises StrategyError."""
        try:
            return compile_update(self.update, self.parameters, self.declared.parameters["kept"])
        except CannotCompileError as error:
            raise StrategyError(f"{where}: indicator {self.declared.name!r} cannot be compiled: {error}") from None


def read_own(where: str, strategy: str, given: Indicator) -> OwnIndicator:
    """Return an indicator whose kind is a class.

    Args:
        where: The module and the class of the strategy, for texts.
        strategy: The strategy's name.
        given: The declaration.

    Raises:
        StrategyError: The class is not an indicator, or does not accept the parameters.

    """
    cls: Any = given.kind
    what = f"{where}: indicator {given.name!r}"
    update = vars(cls).get("update") if isinstance(cls, type) else None
    if not isinstance(update, staticmethod) or not isinstance(update.__func__, FunctionType):
        raise StrategyError(f"{what}: {cls!r:.60} has no static method `update(now, own, parameters)`")
    function = update.__func__
    if function.__code__.co_argcount != 3 or function.__code__.co_flags & 0x0C:
        raise StrategyError(f"{what}: `update` has the arguments now, own and parameters")
    values: Any = None
    numbers: dict[str, int | float] = {}
    kind: Any = getattr(cls, "Parameters", None)
    if kind is not None:
        is_valid = is_dataclass(kind)
        if not is_valid:
            raise StrategyError(f"{what}: Parameters must be a dataclass")
        values = checked_parameters(f"{what}: {cls.__name__}", f"indicator {given.name}", kind, given.parameters)
        numbers = _numbers(what, kind, values)
    elif given.parameters:
        raise StrategyError(f"{what}: {cls.__name__} declares no Parameters, so it has none")
    kept, warm = (_declared(what, cls, name, default, values) for name, default in (("kept", 0), ("warm_count", 1)))
    try:
        check_length("kept", kept, least=0)
        check_length("warm_count", warm, most=2**53)
        source = msgspec.structs.replace(given, parameters={}).all_parameters()
        recorded = {"source": "mid", **source, "kept": kept, "ready_after": warm, "parameters": numbers}
        module = cls.__module__.removeprefix(f"strategy_{strategy}_")
        declared = Indicator(given.name, f"{KIND}{module}.{cls.__qualname__}", recorded)
        declared.spec("")
    except (TypeError, ValueError) as error:
        raise StrategyError(f"{what}: {error}") from None
    return OwnIndicator(declared, function, numbers)


def _numbers(what: str, kind: type[Any], values: Any) -> dict[str, int | float]:
    """Return the parameters that are numbers: ints as ints, others as floats, which machine code gets."""
    numbers: dict[str, int | float] = {}
    for field in fields(kind):
        value = getattr(values, field.name)
        if isinstance(value, bool | int) and abs(value) > INT_MAX:
            raise StrategyError(f"{what}: parameter {field.name!r} is {value}: a whole number may be 2**31 at most")
        if isinstance(value, bool | int):
            numbers[field.name] = int(value)
        elif isinstance(value, float | Decimal):
            numbers[field.name] = float(value)
        else:
            raise StrategyError(f"{what}: parameter {field.name!r} is {value!r:.40}: an indicator gets numbers alone")
        if not abs(numbers[field.name]) < float("inf"):
            raise StrategyError(f"{what}: parameter {field.name!r} is {value}: it must be finite")
    return numbers


def _declared(what: str, cls: type[Any], name: str, default: int, parameters: Any) -> Any:
    value = getattr(cls, name, default)
    if not isinstance(value, FunctionType):
        return value
    try:
        return value(parameters)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StrategyError(f"{what}: `{name}` raises {type(error).__name__}: {error}") from None
