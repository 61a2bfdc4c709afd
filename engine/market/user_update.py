"""A user's own indicators: their spec, and the update of their class as machine code with checked bounds.

The class is in the modules of a strategy, whose text the SESSION record holds. The fold calls its update as it calls
ours, on the same events. An update that raises, or that returns no finite number, gives FAILED, and the strategy stops
when it reads that. A rebuild runs no user's code: there the indicator has an update that does nothing, so its row is
neither carried to the next session nor digested with the others.

An update cannot run for ever: `while` is refused, `range` has STEPS_MAX steps at most, and loops are LOOPS_DEEP deep.
"""

import builtins
import dis
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from math import sqrt
from types import FunctionType
from typing import Any, Final, NamedTuple

from engine.market.indicators.indicator import (
    ASK,
    ASK_SIZE,
    BID,
    BID_SIZE,
    CLOSE,
    HIGH,
    INPUT,
    LENGTH_MAX,
    LOW,
    MID,
    OPEN,
    OWN,
    TIME_S,
    VALUE,
    VOLUME,
    IndicatorSpec,
    Numbers,
)
from engine.market.jit import JIT, Callback, bounded_compiled, row_of_pointer, update_callback
from engine.market.predicates import (
    FAILED,
    FAILED_TEXT,
    USABLE,
    CannotCompileError,
    bound,
    called_functions,
    check_returned,
    compiled_once,
    generated,
    identity,
    instructions_of,
    kind_of_numbers,
    made_code,
)

BEGIN: Final = 0  # named: compiled code needs the same kind of range in both cases
STEPS_MAX: Final = LENGTH_MAX
LOOPS_DEEP: Final = 2
WHOLE_MAX: Final = 2.0**53
NOT_KNOWN: Final = float("nan")
KIND: Final = "own."  # begins the kind of such an indicator in records


class IndicatorInput(NamedTuple):
    """The input of an update: floats, in the instrument's own units. Columns that its source lacks are 0."""

    value: float  # the mid, the price of a trade, or the close of a bar
    open: float  # of a bar
    high: float
    low: float
    close: float  # of a bar, or the price of a trade
    volume: float  # of a bar, or the size of a trade
    bid: float  # of a quote
    bid_size: float
    ask: float
    ask_size: float
    time_s: float  # the venue's time of a trade, or the end of a bar, in seconds since 1970
    last: float  # what the last update returned; 0 before the first
    updates: int  # before this one


_COLUMNS: Final = (INPUT, OPEN, HIGH, LOW, CLOSE, VOLUME, BID, BID_SIZE, ASK, ASK_SIZE, TIME_S, VALUE)


class UserSpec(IndicatorSpec, frozen=True):
    """The declaration of a user's own indicator of one instrument."""

    name = "own"

    kind: str  # KIND, the module and the class
    source: str = MID
    kept: int = 0  # numbers that it keeps between updates
    ready_after: int = 1  # updates until its value may be read
    parameters: tuple[tuple[str, int | float | str], ...] = ()
    strategy: str = ""  # its owner: another strategy's class of this name is another indicator

    def __post_init__(self) -> None:
        self._check_source()

    @property
    def warm_count(self) -> int:
        """The number of updates until the value may be used."""
        return self.ready_after

    @property
    def own_numbers(self) -> tuple[float, ...]:
        """The numbers that it keeps."""
        return (0.0,) * self.kept

    @property
    def reads_quotes(self) -> bool:
        """True: its update gets the quote, not the mid alone."""
        return self.source == MID


def user_spec(kind: str, instrument_id: str, recorded: Mapping[str, Any], strategy: str) -> UserSpec:
    """Return the spec that a SESSION record declares. Raises TypeError or ValueError."""
    return UserSpec(
        instrument_id=instrument_id,
        kind=kind,
        source=recorded.get("source", MID),
        kept=recorded["kept"],
        ready_after=recorded["ready_after"],
        parameters=tuple(sorted(recorded["parameters"].items())),
        strategy=strategy,
    )


@cache
def inert_update() -> Callback:
    """Return the update of an indicator whose code does not run: its value is not known."""
    return update_callback(_do_nothing)


def _do_nothing(_numbers: Numbers, _count: int, _length: int) -> float:
    return NOT_KNOWN


def compile_update(update: FunctionType, parameters: Mapping[str, int | float], kept: int) -> Callback:
    """Compile the update of a user's class, once for each code, parameters and number of kept numbers.

    Raises:
        CannotCompileError: An operation is refused, or the compiler fails.

    """
    functions = called_functions(update, USABLE | {"int", "len", "range"}, library=(sqrt,))
    check_loops(functions)
    if taken := sorted({"int", "range"} & parameters.keys()):
        raise CannotCompileError(f"a parameter cannot be named {taken[0]!r}")
    given = kind_of_numbers(tuple(parameters))(**parameters)
    key = (*identity(functions), "update", repr(given), kept)
    return compiled_once(key, lambda: _compiled(update, functions, given, kept))


def _compiled(update: FunctionType, functions: Sequence[FunctionType], given: Any, kept: int) -> Callback:
    if not JIT:
        made = bound(functions, lambda function: function, {"range": _steps, "int": _whole})
        return update_callback(_plain(made[update], given, kept))
    replaced = {"range": bounded_compiled(_steps), "int": bounded_compiled(_whole)}
    made = bound(functions, bounded_compiled, replaced)
    try:
        code = made_code(lambda: update_callback(_called(made[update], given, kept), uses_views=True))
    except CannotCompileError:
        check_returned(functions, made)  # a wrong return value is the better reason
        raise
    check_returned(functions, made)
    return code


def _steps(first: int, end: int | None = None) -> range:
    """Return the range that a loop of an update gets. Raises ValueError if it is too long."""
    if end is None:
        if first > STEPS_MAX:
            raise ValueError("too many steps")
        return range(BEGIN, first)
    if end - first > STEPS_MAX:
        raise ValueError("too many steps")
    return range(first, end)


def _whole(number: float) -> int:
    """Return a number without its fraction. Raises ValueError if it is none, or too large."""
    if not -WHOLE_MAX < number < WHOLE_MAX:
        raise ValueError("no whole number")
    return int(number)


def _called(update: Any, given: Any, kept: int) -> Any:
    """Make the function of a row that calls a compiled update. It is generated as text: each number is named."""
    columns = ", ".join(f"row[{column}]" for column in _COLUMNS)
    text = (
        "def called(numbers, count, length):\n"
        f"    row = row_of_pointer(numbers, {OWN + kept})\n"  # before `try`, within which Numba branches everywhere
        f"    read, own, parameters = IndicatorInput({columns}, count), row[{OWN}:], Parameters{_literal(given)}\n"
        "    try:\n"
        "        value = float(update(read, own, parameters))\n"
        f"        if -{FAILED_TEXT} < value < {FAILED_TEXT}:\n"
        "            return value\n"
        "    except Exception:\n"
        f"        return {FAILED_TEXT}\n"
        f"    return {FAILED_TEXT}\n"
    )
    scope = {
        "update": update,
        "IndicatorInput": IndicatorInput,
        "Parameters": type(given),
        "row_of_pointer": row_of_pointer,
        "__builtins__": builtins,
    }
    return generated(text, scope)


def _literal(given: Any) -> str:
    return "(" + "".join(f"{value!r}, " for value in given) + ")"


class _KeptNumbers:
    """The kept numbers as an update in plain Python sees them: floats, with the bounds and indexes of compiled code."""

    def __init__(self, numbers: Any) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> float:
        return float(self._numbers[index])

    def __setitem__(self, index: int, value: float) -> None:
        self._numbers[index] = float(value)

    def __iter__(self) -> Iterator[float]:
        return iter(self._numbers.tolist())


def _plain(update: Any, given: Any, kept: int) -> Callable[..., float]:
    def called(numbers: Any, count: int, _length: int) -> float:
        with suppress(Exception):  # a user's code may raise anything
            row = IndicatorInput._make([*(float(numbers[column]) for column in _COLUMNS), int(count)])
            value = update(row, _KeptNumbers(numbers[OWN : OWN + kept]), given)
            if isinstance(value, int | float) and -FAILED < value < FAILED:
                return float(value)
        return FAILED

    return called


def check_loops(functions: Sequence[FunctionType]) -> None:
    """Raise CannotCompileError if an update could run for ever, or its loops are nested too deep."""
    depth_of: dict[FunctionType, int] = {}
    for function in functions:  # callees first
        instructions = instructions_of(function.__code__)
        loops = {each.offset: each.argval for each in instructions if each.opname == "FOR_ITER"}
        for each in instructions:
            is_jump = each.opcode in dis.hasjrel or each.opcode in dis.hasjabs
            if is_jump and each.argval <= each.offset and each.argval not in loops:
                raise CannotCompileError(
                    f"{function.__name__}: `while` cannot be used; a loop is `for i in range(...)`"
                )
        deepest = 0
        for each in instructions:
            depth = sum(begin <= each.offset < end for begin, end in loops.items())
            if each.opname == "LOAD_GLOBAL":
                called = function.__globals__.get(each.argval)
                depth += depth_of.get(called, 0) if isinstance(called, FunctionType) else 0
            deepest = max(deepest, depth)
        if deepest > LOOPS_DEEP:
            raise CannotCompileError(f"{function.__name__}: loops may be {LOOPS_DEEP} deep at most, not {deepest}")
        depth_of[function] = deepest
