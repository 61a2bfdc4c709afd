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
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

import msgspec

from engine.market.jit import Callback, callback, returns_number, strictly_compiled
from engine.market.rows import Floats, Rows

YES: Final = 1
RAISED: Final = 2  # Python calls it again and gets the exception
CACHED_MAX: Final = 64  # compiled functions kept, keyed by their code and constants
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


def compile_predicate(wants: FunctionType, parameters: Mapping[str, float], averages: int) -> CompiledPredicate:
    """Compile a predicate, once for each code, constants and number of averages.

    Raises:
        CannotCompileError: an operation is refused, or the compiler fails.

    """
    functions = _functions(wants)
    names = tuple(parameters)
    try:
        kind: Any = namedtuple("Numbers", names)  # type: ignore[misc]  # noqa: PYI024 - its fields are the strategy's
    except ValueError as error:
        raise CannotCompileError(f"a parameter cannot be named so: {error}") from None
    constants = tuple(
        (name, repr(value))
        for function in functions
        for name, value in _globals_of(function)
        if not isinstance(value, FunctionType)
    )
    key = (*((function.__code__, repr(function.__defaults__)) for function in functions), constants, names, averages)
    code = _known.pop(key, None)
    if code is None:
        code = _compiled(wants, functions, kind, averages)
    _known[key] = code
    while len(_known) > CACHED_MAX:
        del _known[next(iter(_known))]
    return CompiledPredicate(tuple(parameters.values()), code, _called(wants, kind, averages, guarded=False))


def _compiled(wants: FunctionType, functions: Sequence[FunctionType], kind: Any, averages: int) -> Callback:
    made = _bound(functions)
    try:
        code = callback(_called(made[wants], kind, averages, guarded=True))
    except Exception as error:
        lines = [
            line.strip()
            for line in str(error).splitlines()
            if line.strip() and not line.startswith("Failed in nopython")
        ]
        raise CannotCompileError(lines[0] if lines else type(error).__name__) from error
    for function in functions:
        if not returns_number(made[function]):
            raise CannotCompileError(f"{function.__name__} must end with a number or a truth, on every path")
    return code


def _functions(wants: FunctionType) -> list[FunctionType]:
    """List `wants` and the functions that it calls, callees first.

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
        _check_allowed(function)
        for _, value in _globals_of(function):
            if isinstance(value, FunctionType):
                walk(value, (*above, function))
        functions.append(function)

    walk(wants, ())
    return functions


def _globals_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the global names that a function reads, with their values."""
    for instruction in dis.get_instructions(function.__code__):
        if instruction.opname == "LOAD_GLOBAL" and instruction.argval in function.__globals__:
            yield instruction.argval, function.__globals__[instruction.argval]


def _check_allowed(function: FunctionType) -> None:
    """Raise CannotCompileError if a function uses anything refused."""
    name = function.__name__
    if function.__closure__ or any(isinstance(constant, CodeType) for constant in function.__code__.co_consts):
        raise CannotCompileError(f"{name}: functions within functions cannot be compiled")
    if function.__code__.co_exceptiontable:
        raise CannotCompileError(f"{name}: `try` cannot be used")
    instructions = list(dis.get_instructions(function.__code__))
    for now, after in zip(instructions, [*instructions[1:], None], strict=True):
        operation = now.argrepr.removesuffix("=") if now.opname == "BINARY_OP" else now.opname
        if operation in REFUSED:
            raise CannotCompileError(f"{name}: {REFUSED[operation]} is not the same in machine code and in Python")
        if now.opname == "LOAD_CONST" and now.argval is None and (after is None or after.opname != "RETURN_VALUE"):
            raise CannotCompileError(f"{name}: None cannot be used")
        if now.opname == "LOAD_GLOBAL" and now.argval not in function.__globals__ and now.argval not in USABLE:
            raise CannotCompileError(
                f"{name}: {now.argval} cannot be used; the built-ins allowed are {', '.join(sorted(USABLE))}"
            )
    used = [
        *_globals_of(function),
        *(("a value", constant) for constant in function.__code__.co_consts[1:]),
        *(("a default", default) for default in function.__defaults__ or ()),
    ]
    for what, value in used:
        if not _is_number(value) and value is not None and not isinstance(value, FunctionType):
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


def _bound(functions: Sequence[FunctionType]) -> dict[FunctionType, Any]:
    """Compile copies of the functions that call each other's copies; their modules stay unchanged."""
    made: dict[FunctionType, Any] = {}
    for function in functions:
        scope = {
            name: made.get(value, value) if isinstance(value, FunctionType) else value
            for name, value in _globals_of(function)
        }
        made[function] = strictly_compiled(
            FunctionType(
                function.__code__, scope | {"__builtins__": builtins}, function.__name__, function.__defaults__
            )
        )
    return made


def _called(wants: Any, kind: Any, averages: int, *, guarded: bool) -> Any:
    """Make the function of two rows that calls `wants`. It is generated as text, because it names every number."""
    tick = [
        "integers[0] / 1e9",
        *(f"float(integers[{k}])" for k in range(1, INTEGERS)),
        *(f"floats[{k}]" for k in range(3)),
    ]
    tick.append("(" + "".join(f"floats[{3 + k}], " for k in range(averages)) + ")")
    numbers = [f"floats[{3 + averages + k}]" for k in range(len(kind._fields))]
    call = f"return {YES} if wants(MarketTick({', '.join(tick)}), Numbers({', '.join(numbers)})) else 0"
    text = (
        f"def called(integers, floats):\n    try:\n        {call}\n    except Exception:\n        return {RAISED}\n"
        if guarded
        else f"def called(integers, floats):\n    {call}\n"
    )
    scope = {"wants": wants, "MarketTick": MarketTick, "Numbers": kind, "__builtins__": builtins}
    exec(text, scope)  # noqa: S102 - the text is ours
    return scope["called"]
