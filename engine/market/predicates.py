"""Strategies compiled into the fold: what they are shown, and how a function of it becomes machine code with an address.

`wants(now, parameters)` says whether there is something to decide; the fold asks it at each change of what it is shown, and Python
runs where it says yes. It remembers nothing: what it was told comes from the market and the account as they stand, so that a
journal need only say when it said yes. Knows no strategy's class and no account.

Machine code must say what Python says, or a replay would not be one. So all numbers are floats, which do not wrap (prices and sizes
are below 2**53, so none is rounded), and what the two do in different ways is refused: powers, int(), `is`, None, text, a name that may
not be set. tests/test_market_cuts.py and tests/test_compiled_strategies.py hold the one against the other.
"""

import builtins
import dis
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

import msgspec

from engine.market.jit import Callback, callback, says_a_number, strictly_compiled
from engine.market.rows import Floats, Rows

YES: Final = 1
RAISED: Final = 2  # Python asks again, and hears what it was
KEPT: Final = 64  # compiled functions that are known by what they are made of
INT_MAX: Final = 2**31  # ints of its own: products of two of them fit
USABLE: Final = frozenset({"abs", "bool", "float", "max", "min"})  # of Python's own names
REFUSED: Final = {  # operators, and what else Python's own code is made of
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
    """What a compiled strategy is shown of one of its instruments. Prices and sizes are whole numbers of `price_unit` and `size_unit`; 0 where there is none."""

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
    which: float  # the instrument's place among those declared
    tick: float
    lot: float
    bids: float  # how many live orders this strategy has
    bid_price: float  # of its best one
    asks: float
    ask_price: float
    unsettled: float  # how many of them wait for the venue: to be taken, to be ended, or to be known of
    position: float  # in base
    price_unit: float
    size_unit: float
    averages: tuple[float, ...]  # as declared; nan until warm


INTEGERS: Final = MarketTick._fields.index("position")
Wants = Callable[[Any, Any], Any]


class CompiledPredicate(msgspec.Struct, frozen=True):
    """A compiled strategy: its function, what it is called with, and where its machine code lies."""

    parameters: tuple[float, ...]
    code: Callback
    plain: Callable[[list[int], list[float]], int]  # what was compiled, as Python runs it; raises what it raises

    def again(self, integers: Rows, floats: Floats) -> bool:
        """The same question of the same numbers."""
        return self.plain(integers.tolist(), floats.tolist()) != 0


class CannotCompileError(Exception):
    """Why, in a line."""


_known: dict[Any, Callback] = {}


def compile_predicate(wants: FunctionType, parameters: Mapping[str, float], averages: int) -> CompiledPredicate:
    """Compile `wants`, once for all that is made of the same. Raises CannotCompileError."""
    functions = _functions(wants)
    names = tuple(parameters)
    try:
        kind: Any = namedtuple("Numbers", names)  # type: ignore[misc]  # noqa: PYI024 - its fields are the strategy's
    except ValueError as error:
        raise CannotCompileError(f"a parameter cannot be named so: {error}") from None
    constants = tuple(
        (name, repr(value))
        for each in functions
        for name, value in _globals_of(each)
        if not isinstance(value, FunctionType)
    )
    key = (*((each.__code__, repr(each.__defaults__)) for each in functions), constants, names, averages)
    code = _known.pop(key, None)
    if code is None:
        code = _compiled(wants, functions, kind, averages)
    _known[key] = code
    while len(_known) > KEPT:
        del _known[next(iter(_known))]
    return CompiledPredicate(tuple(parameters.values()), code, _called(wants, kind, averages, guarded=False))


def _compiled(wants: FunctionType, functions: Sequence[FunctionType], kind: Any, averages: int) -> Callback:
    made = _bound(functions)
    try:
        code = callback(_called(made[wants], kind, averages, guarded=True))
    except Exception as error:
        said = [
            line.strip()
            for line in str(error).splitlines()
            if line.strip() and not line.startswith("Failed in nopython")
        ]
        raise CannotCompileError(said[0] if said else type(error).__name__) from error
    for function in functions:
        if not says_a_number(made[function]):
            raise CannotCompileError(f"{function.__name__} must end with a number or a truth, whichever way it goes")
    return code


def _functions(wants: FunctionType) -> list[FunctionType]:
    """`wants` and the functions that it uses, each once, behind those that it uses itself. CannotCompileError where one is or uses what is refused."""
    found: list[FunctionType] = []

    def walk(function: FunctionType, above: tuple[FunctionType, ...]) -> None:
        if function in above:
            raise CannotCompileError(
                f"{function.__name__} calls itself: machine code would end the process where it goes too deep"
            )
        if function in found:
            return
        _refuse(function)
        for _, value in _globals_of(function):
            if isinstance(value, FunctionType):
                walk(value, (*above, function))
        found.append(function)

    walk(wants, ())
    return found


def _globals_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The names that a function takes from its module, and what they stand for."""
    for each in dis.get_instructions(function.__code__):
        if each.opname == "LOAD_GLOBAL" and each.argval in function.__globals__:
            yield each.argval, function.__globals__[each.argval]


def _refuse(function: FunctionType) -> None:
    name = function.__name__
    if function.__closure__ or any(isinstance(each, CodeType) for each in function.__code__.co_consts):
        raise CannotCompileError(f"{name}: functions within functions cannot be compiled")
    if function.__code__.co_exceptiontable:
        raise CannotCompileError(f"{name}: `try` cannot be used")
    instructions = list(dis.get_instructions(function.__code__))
    for each, behind in zip(instructions, [*instructions[1:], None], strict=True):
        what = each.argrepr.removesuffix("=") if each.opname == "BINARY_OP" else each.opname
        if what in REFUSED:
            raise CannotCompileError(f"{name}: {REFUSED[what]} is not the same in machine code and in Python")
        if each.opname == "LOAD_CONST" and each.argval is None and (behind is None or behind.opname != "RETURN_VALUE"):
            raise CannotCompileError(f"{name}: None cannot be used")
        if each.opname == "LOAD_GLOBAL" and each.argval not in function.__globals__ and each.argval not in USABLE:
            raise CannotCompileError(
                f"{name}: {each.argval} cannot be used; of Python's own there are {', '.join(sorted(USABLE))}"
            )
    used = [
        *_globals_of(function),
        *(("a value", each) for each in function.__code__.co_consts[1:]),
        *(("a default", each) for each in function.__defaults__ or ()),
    ]
    for what, value in used:
        if not _is_number(value) and value is not None and not isinstance(value, FunctionType):
            raise CannotCompileError(
                f"{name}: {what} is {value!r:.40}: floats, ints up to 2**31, tuples of such and functions of this file can be used"
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
    """A name that is read on some way through the code on which nothing set it: Python raises there, and machine code takes a 0. "" where there is none."""
    at = {each.offset: place for place, each in enumerate(instructions)}
    before: dict[int, frozenset[str]] = {}
    todo = [(0, frozenset(code.co_varnames[: code.co_argcount]))]
    while todo:
        place, known = todo.pop()
        held = before.get(place)
        if held is not None and held <= known:
            continue
        known = before[place] = known if held is None else held & known
        each = instructions[place]
        if each.opname == "LOAD_FAST" and each.argval not in known:
            return str(each.argval)
        if each.opname == "STORE_FAST":
            known |= {each.argval}
        if each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
            todo.append((at[each.argval], known))
        if each.opname not in ("RETURN_VALUE", "RAISE_VARARGS", "JUMP_FORWARD", "JUMP_BACKWARD"):
            todo.append((place + 1, known))
    return ""


def _bound(functions: Sequence[FunctionType]) -> dict[FunctionType, Any]:
    """Each function, to be compiled with those that it uses; their modules are left as they are."""
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
    """A function of two rows that calls `wants`: written as text, since it names every number."""
    shown = [
        "integers[0] / 1e9",
        *(f"float(integers[{at}])" for at in range(1, INTEGERS)),
        *(f"floats[{at}]" for at in range(3)),
    ]
    shown.append("(" + "".join(f"floats[{3 + at}], " for at in range(averages)) + ")")
    given = [f"floats[{3 + averages + at}]" for at in range(len(kind._fields))]
    asks = f"return {YES} if wants(MarketTick({', '.join(shown)}), Numbers({', '.join(given)})) else 0"
    text = (
        f"def called(integers, floats):\n    try:\n        {asks}\n    except Exception:\n        return {RAISED}\n"
        if guarded
        else f"def called(integers, floats):\n    {asks}\n"
    )
    scope = {"wants": wants, "MarketTick": MarketTick, "Numbers": kind, "__builtins__": builtins}
    exec(text, scope)  # noqa: S102 - our own words
    return scope["called"]
