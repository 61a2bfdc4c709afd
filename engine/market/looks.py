"""Strategies compiled into the fold: what they are shown, and how a function of it becomes machine code with an address.

`wants(now, parameters)` says whether there is something to decide; the fold asks it at each change of what it is shown, and Python
runs where it says yes. It remembers nothing: what it was told comes from the market and the account as they stand, so that a
journal need only say when it said yes. Knows no strategy's class and no account.
"""

import builtins
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, Final, NamedTuple

import msgspec

from engine.market.jit import Callback, callback, strictly_compiled
from engine.market.rows import Floats, Rows

YES: Final = 1
RAISED: Final = 2  # Python asks again, and hears what it was
KEPT: Final = 64  # compiled functions that are known by their source


class Glance(NamedTuple):
    """What a compiled strategy is shown of one of its instruments. Prices and sizes are whole numbers of `price_unit` and `size_unit`; 0 where there is none."""

    time_ns: int
    bid: int  # the last quote
    bid_size: int
    ask: int
    ask_size: int
    book_bid: int  # the book's top; 0 while it is not synchronised
    book_bid_size: int
    book_ask: int
    book_ask_size: int
    trade_price: int  # the last trade
    trade_size: int
    buyer_is_maker: int
    which: int  # the instrument's place among those declared
    tick: int
    lot: int
    bids: int  # live orders of this strategy
    bid_price: int  # of its best one
    asks: int
    ask_price: int
    unsettled: int  # how many of them wait for the venue: to be taken, to be ended, or to be known of
    position: float  # in base
    price_unit: float
    size_unit: float
    averages: tuple[float, ...]  # as declared; nan until warm


INTEGERS: Final = Glance._fields.index("position")
Wants = Callable[[Any, Any], Any]


class Look(msgspec.Struct, frozen=True):
    """A compiled strategy: its function, what it is called with, and where its machine code lies."""

    wants: Wants
    parameters: tuple[float, ...]
    kind: Any  # the tuple with names that `wants` gets them as
    whole: tuple[bool, ...]  # which of them are int
    code: Callback

    def again(self, integers: Rows, floats: Floats, averages: int) -> bool:
        """The same question of the same numbers to the function as Python runs it. Raises what it raises."""
        given = floats.tolist()
        own, parameters = given[:3], given[3 + averages :]
        numbers = [int(value) if whole else value for value, whole in zip(parameters, self.whole, strict=True)]
        return bool(self.wants(Glance._make([*integers.tolist(), *own, tuple(given[3 : 3 + averages])]), self.kind(*numbers)))


class CannotCompile(Exception):  # noqa: N818 - named for what it is to the person who reads it
    """Why, in the compiler's own first words."""


_known: dict[Any, Callback] = {}


def look(wants: FunctionType, source: str, parameters: Mapping[str, int | float], averages: int) -> Look:
    """Compile `wants`, once for the same `source` (all that it is made of). Raises CannotCompile."""
    names = tuple(parameters)
    whole = tuple(isinstance(value, int) for value in parameters.values())
    kind = namedtuple("Numbers", names)  # type: ignore[misc]  # noqa: PYI024 - its fields are the strategy's
    key = (source, wants.__qualname__, names, whole, averages)
    code = _known.pop(key, None)
    if code is None:
        try:
            code = callback(_called(_bound(wants), kind, whole, averages))
        except Exception as error:
            said = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("Failed in nopython")]
            raise CannotCompile(said[0] if said else type(error).__name__) from error
    _known[key] = code
    while len(_known) > KEPT:
        del _known[next(iter(_known))]
    return Look(wants, tuple(float(value) for value in parameters.values()), kind, whole, code)


def _bound(wants: FunctionType) -> Any:
    """The function and those of its module, to be compiled together; the module itself is left as it is."""
    scope = dict(wants.__globals__)
    for name, value in wants.__globals__.items():
        if isinstance(value, FunctionType) and value.__globals__ is wants.__globals__:
            scope[name] = strictly_compiled(FunctionType(value.__code__, scope, name, value.__defaults__))
    return strictly_compiled(FunctionType(wants.__code__, scope, wants.__name__, wants.__defaults__))


def _called(wants: Any, kind: Any, whole: Sequence[bool], averages: int) -> Any:
    """A function of two rows that calls `wants`: written as text, since it names every number."""
    shown = [*(f"integers[{at}]" for at in range(INTEGERS)), *(f"floats[{at}]" for at in range(3))]
    shown.append("(" + "".join(f"floats[{3 + at}], " for at in range(averages)) + ")")
    first = 3 + averages
    given = [f"int(floats[{first + at}])" if one else f"floats[{first + at}]" for at, one in enumerate(whole)]
    text = (
        "def called(integers, floats):\n    try:\n"
        f"        return {YES} if wants(Glance({', '.join(shown)}), Numbers({', '.join(given)})) else 0\n"
        f"    except Exception:\n        return {RAISED}\n"
    )
    scope = {"wants": wants, "Glance": Glance, "Numbers": kind, "__builtins__": builtins}
    exec(text, scope)  # noqa: S102 - our own words
    return scope["called"]
