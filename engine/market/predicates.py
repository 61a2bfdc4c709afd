"""Predicates of strategies, compiled into the fold: their inputs, and the way from a function to an address.

Knows no strategy class. `wants(now, parameters)` returns True if the strategy has something to decide. The fold calls
it at each change of its inputs, and Python runs only after True. A predicate has no memory: its inputs are the market
and the account at that record, and a journal needs only the records at which it returned True.

Machine code must return what Python returns, because replay depends on it. All numbers are floats, which do not
overflow (prices and sizes are below 2**53 and exact), and operations that differ are refused: powers, int(), `is`,
None, text, a name that may be unset. tests/test_market_cuts.py and tests/test_compiled_strategies.py compare the two.
"""

import builtins
import dis
import re
from collections import namedtuple
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from engine.market.jit import Callback, callback, returns_number, strictly_compiled
from engine.market.rows import Floats, Rows

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")
YES: Final = 1
RAISED: Final = 2  # Python calls it again and gets the exception
CACHED_MAX: Final = 64  # compiled functions kept, keyed by their code and constants
FAILED: Final = float("inf")  # the value of a user's own indicator whose update failed
FAILED_TEXT: Final = "1e999"  # the same in generated text
FAILED_MESSAGE: Final = "a user's own indicator is not a number: its update failed"
INT_MAX: Final = 2**31  # constants of a predicate: a product of two fits an int64
USABLE: Final = frozenset({"abs", "bool", "float", "max", "min"})  # the built-ins allowed
REFUSED: Final = {  # operators and instructions of Python's byte code
    "**": "a power",
    "<<": "a shift",
    ">>": "a shift",
    "@": "a product of tables",
    "UNARY_INVERT": "`~`",
    "IS_OP": "`is`",
    "CONTAINS_OP": "`in`",
    "BUILD_TUPLE": "making a tuple",
    "KW_NAMES": "a named argument",
}


class MarketTick(NamedTuple):
    """The inputs of a predicate for one instrument.

    Prices and sizes are whole multiples of `price_unit` and `size_unit`; 0 if unknown.
    """

    time_s: float  # session time in seconds
    bid: float  # the last quote
    bid_size: float
    ask: float
    ask_size: float
    book_bid: float  # the book's top; 0 while it is not synchronised
    book_bid_size: float
    book_ask: float
    book_ask_size: float
    trade_price: float  # the last trade
    trade_size: float
    buyer_is_maker: float  # 1: yes
    which: float  # index of the instrument among those declared
    tick: float
    lot: float
    bids: float  # number of live buy orders of this strategy
    bid_price: float  # price of the best one
    asks: float
    ask_price: float
    unsettled: float  # number of orders that wait for the venue's answer
    position: float  # in base
    price_unit: float
    size_unit: float
    averages: tuple[float, ...]  # as declared; nan until warm


INTEGERS: Final = MarketTick._fields.index("position")
Wants = Callable[[Any, Any], Any]


class CompiledPredicate(msgspec.Struct, frozen=True):
    """A compiled predicate: its parameters, its machine code and its plain form."""

    parameters: tuple[float, ...]
    code: Callback
    plain: Callable[[list[int], list[float]], int]  # the same function in Python, with its exceptions

    def holds(self, integers: Rows, floats: Floats) -> bool:
        """Return the plain form's answer for these inputs."""
        return self.plain(integers.tolist(), floats.tolist()) != 0


class CannotCompileError(Exception):
    """A predicate that cannot be compiled; the text says why in one line."""


_known: dict[Any, Callback] = {}


def compile_predicate(
    wants: FunctionType, parameters: Mapping[str, float], averages: int, checked: Sequence[int] = ()
) -> CompiledPredicate:
    """Compile a predicate, once for each code, constants and number of averages.

    Args:
        wants: The strategy's function.
        parameters: Its parameters as floats.
        averages: The number of declared averages and indicators.
        checked: The indexes of a user's own indicators among them: one that failed makes the predicate raise.

    Raises:
        CannotCompileError: an operation is refused, or the compiler fails.

    """
    functions = called_functions(wants)
    names = tuple(parameters)
    kind = kind_of_numbers(names)
    code = compiled_once(
        (*identity(functions), names, averages, tuple(checked)),
        lambda: _compiled(wants, functions, partial(_called, kind=kind, averages=averages, checked=checked)),
    )
    plain = _called(wants, kind=kind, averages=averages, checked=checked, guarded=False)
    return CompiledPredicate(tuple(parameters.values()), code, plain)


def kind_of_numbers(names: tuple[str, ...]) -> Any:
    """Return a type whose fields are a user's parameters. Raises CannotCompileError."""
    try:
        return namedtuple("Numbers", names)  # noqa: PYI024 - its fields are the strategy's
    except ValueError as error:
        raise CannotCompileError(f"a parameter cannot be named so: {error}") from None


def generated(text: str, scope: dict[str, Any]) -> Any:
    """Return the function `called` of a text that this package made."""
    exec(text, scope)  # noqa: S102 - the text is ours
    return scope["called"]


def compiled_once(key: Any, make: Callable[[], Callback]) -> Callback:
    """Return the machine code with this key, compiled at its first use; the newest ones are kept."""
    code = _known.pop(key, None)
    _known[key] = code = make() if code is None else code
    while len(_known) > CACHED_MAX:
        del _known[next(iter(_known))]
    return code


def identity(functions: Sequence[FunctionType]) -> tuple[Any, ...]:
    """Return the code, the defaults and the constants of functions: equal ones are the same machine code."""
    constants = tuple(
        (name, repr(value))
        for function in functions
        for name, value in _globals_of(function)
        if not isinstance(value, FunctionType)
    )
    return (*((function.__code__, repr(function.__defaults__)) for function in functions), constants)


def _compiled(wants: FunctionType, functions: Sequence[FunctionType], called: Callable[..., Any]) -> Callback:
    made = bound(functions, strictly_compiled)
    code = made_code(lambda: callback(called(made[wants], guarded=True)))
    check_returned(functions, made)
    return code


def made_code(make: Callable[[], Callback]) -> Callback:
    """Return compiled code. Raises CannotCompileError with the compiler's first line."""
    try:
        return make()
    except Exception as error:
        lines = [
            line.strip()
            for line in _ESCAPES.sub("", str(error)).splitlines()  # of colours, where colorama is installed
            if line.strip() and not line.startswith("Failed in nopython")
        ]
        raise CannotCompileError(lines[0] if lines else type(error).__name__) from error


def check_returned(functions: Sequence[FunctionType], made: Mapping[FunctionType, Any]) -> None:
    """Raise CannotCompileError unless each compiled function returns a number on each path."""
    for function in functions:
        if not returns_number(made[function]):
            raise CannotCompileError(f"{function.__name__} must end with a number or a truth, on every path")


def called_functions(
    wants: FunctionType, usable: frozenset[str] = USABLE, library: Collection[Any] = ()
) -> list[FunctionType]:
    """List `wants` and the functions that it calls, callees first.

    Args:
        wants: The strategy's function.
        usable: The built-ins allowed.
        library: The functions of Python's library allowed.

    Raises:
        CannotCompileError: a function is recursive or uses a refused operation.

    """
    functions: list[FunctionType] = []

    def walk(function: FunctionType, above: tuple[FunctionType, ...]) -> None:
        if function in above:
            raise CannotCompileError(
                f"{function.__name__} calls itself: machine code would end the process where it goes too deep"
            )
        if function in functions:
            return
        _check_allowed(function, usable, library)
        for _, value in _globals_of(function):
            if isinstance(value, FunctionType):
                walk(value, (*above, function))
        functions.append(function)

    walk(wants, ())
    return functions


@lru_cache(CACHED_MAX)
def instructions_of(code: CodeType) -> tuple[dis.Instruction, ...]:
    """Return the instructions of a function's code, which several checks read."""
    return tuple(dis.get_instructions(code))


def _globals_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the global names that a function reads, with their values."""
    for instruction in instructions_of(function.__code__):
        if instruction.opname == "LOAD_GLOBAL" and instruction.argval in function.__globals__:
            yield instruction.argval, function.__globals__[instruction.argval]


def _check_allowed(function: FunctionType, usable: frozenset[str], library: Collection[Any]) -> None:
    """Raise CannotCompileError if a function uses anything refused."""
    name = function.__name__
    if function.__closure__ or any(isinstance(constant, CodeType) for constant in function.__code__.co_consts):
        raise CannotCompileError(f"{name}: functions within functions cannot be compiled")
    if function.__code__.co_exceptiontable:
        raise CannotCompileError(f"{name}: `try` cannot be used")
    instructions = instructions_of(function.__code__)
    for now, after in zip(instructions, [*instructions[1:], None], strict=True):
        operation = now.argrepr.removesuffix("=") if now.opname == "BINARY_OP" else now.opname
        if operation in REFUSED:
            raise CannotCompileError(f"{name}: {REFUSED[operation]} is not the same in machine code and in Python")
        if now.opname == "LOAD_CONST" and now.argval is None and (after is None or after.opname != "RETURN_VALUE"):
            raise CannotCompileError(f"{name}: None cannot be used")
        if now.opname == "LOAD_GLOBAL" and now.argval not in function.__globals__ and now.argval not in usable:
            raise CannotCompileError(
                f"{name}: {now.argval} cannot be used; the built-ins allowed are {', '.join(sorted(usable))}"
            )
    used = [
        *_globals_of(function),
        *(("a value", constant) for constant in function.__code__.co_consts[1:]),
        *(("a default", default) for default in function.__defaults__ or ()),
    ]
    for what, value in used:
        if value in library if isinstance(value, BuiltinFunctionType) else isinstance(value, FunctionType):
            continue
        if not _is_number(value) and value is not None:
            raise CannotCompileError(
                f"{name}: {what} is {value!r:.40}: floats, ints up to 2**31, tuples of such and functions of this file "
                f"can be used"
            )
    if unset := _unset(function.__code__, instructions):
        raise CannotCompileError(f"{name}: {unset} may not be set where it is read")


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, float)
        or (isinstance(value, int) and abs(value) <= INT_MAX)
        or (isinstance(value, tuple) and all(map(_is_number, value)))
    )


def _unset(code: CodeType, instructions: Sequence[dis.Instruction]) -> str:
    """Return a name that some path reads before setting it, or "". Python raises there, and machine code reads a 0."""
    index_of = {instruction.offset: index for index, instruction in enumerate(instructions)}
    before: dict[int, frozenset[str]] = {}
    todo = [(0, frozenset(code.co_varnames[: code.co_argcount]))]
    while todo:
        index, known = todo.pop()
        seen = before.get(index)
        if seen is not None and seen <= known:
            continue
        known = before[index] = known if seen is None else seen & known
        instruction = instructions[index]
        if instruction.opname == "LOAD_FAST" and instruction.argval not in known:
            return str(instruction.argval)
        if instruction.opname == "STORE_FAST":
            known |= {instruction.argval}
        if instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs:
            todo.append((index_of[instruction.argval], known))
        if instruction.opname not in ("RETURN_VALUE", "RAISE_VARARGS", "JUMP_FORWARD", "JUMP_BACKWARD"):
            todo.append((index + 1, known))
    return ""


def bound(
    functions: Sequence[FunctionType],
    compile_one: Callable[[Any], Any],
    replaced: Mapping[str, Any] = MappingProxyType({}),
) -> dict[FunctionType, Any]:
    """Compile copies of the functions that call each other's copies; their modules stay unchanged.

    Args:
        functions: As `called_functions` lists them.
        compile_one: Compiles one of them, or returns it as it is.
        replaced: Built-ins -> what the copies call instead.

    """
    renamed = {name: f"checked_{name}" for name in replaced}  # Numba refuses another meaning of a built-in's name
    made: dict[FunctionType, Any] = {}
    for function in functions:
        scope = {renamed[name]: value for name, value in replaced.items()} | {
            name: made.get(value, value) if isinstance(value, FunctionType) else value
            for name, value in _globals_of(function)
        }
        made[function] = compile_one(
            FunctionType(
                function.__code__.replace(
                    co_names=tuple(renamed.get(name, name) for name in function.__code__.co_names)
                ),
                scope | {"__builtins__": builtins},
                function.__name__,
                function.__defaults__,
            )
        )
    return made


def _called(wants: Any, *, kind: Any, averages: int, checked: Sequence[int], guarded: bool) -> Any:
    """Make the function of two rows that calls `wants`. It is generated as text, because it names every number.

    It raises if one of the indicators at the indexes `checked` failed.
    """
    tick = [
        "integers[0] / 1e9",
        *(f"float(integers[{k}])" for k in range(1, INTEGERS)),
        *(f"floats[{k}]" for k in range(3)),
    ]
    tick.append("(" + "".join(f"floats[{3 + k}], " for k in range(averages)) + ")")
    numbers = [f"floats[{3 + averages + k}]" for k in range(len(kind._fields))]
    failed = "".join(
        f"if floats[{3 + k}] == {FAILED_TEXT}: raise ValueError({FAILED_MESSAGE!r})\n        " for k in checked
    )
    given = f"now, numbers = MarketTick({', '.join(tick)}), Numbers({', '.join(numbers)})"
    call = f"{failed}return {YES} if wants(now, numbers) else 0"
    # Numba branches after each operation within `try`: with these there, compiling takes eight times as long
    text = f"def called(integers, floats):\n    {given}\n" + (
        f"    try:\n        {call}\n    except Exception:\n        return {RAISED}\n"
        if guarded
        else f"    if True:\n        {call}\n"
    )
    scope = {"wants": wants, "MarketTick": MarketTick, "Numbers": kind, "__builtins__": builtins}
    return generated(text, scope)
