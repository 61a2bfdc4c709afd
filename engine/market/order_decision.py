"""Decisions with orders, compiled: `decide_fold(now, orders, intents, parameters)`.

A decision fills `intents` and returns their number. Both ways call the same function: the ordinary way with lists of
Python, and the loop of engine/sim/fold_orders with rows of its arrays. It is compiled as a predicate is, and refuses
the same operations; a loop is `for k in range(...)`. An index out of bounds fails in both.
"""

import builtins
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FunctionType
from typing import Any, Final, NamedTuple

import msgspec

from engine.market.jit import JIT, Callback, decision_compiled, row_of_pointer, update_callback
from engine.market.predicates import (
    USABLE,
    MarketTick,
    bound,
    called_functions,
    check_returned,
    compiled_once,
    generated,
    identity,
    kind_of_numbers,
    made_code,
)
from engine.market.user_update import check_loops

FOLD_LIMIT: Final = 1  # kinds of intents
FOLD_LIMIT_MAKER: Final = 2
FOLD_CANCEL: Final = 3
FOLD_MARKET: Final = 4
ORDERS_MAX: Final = 64
INTENTS_MAX: Final = 32
FAILED: Final = -1.0
TICK_FIELDS: Final = len(MarketTick._fields) - 1  # without `averages`


class FoldOrders(NamedTuple):
    """The strategy's own live orders, oldest first: `count` of them, each a place in the other fields."""

    count: int  # type: ignore[assignment]  # the method of that name is not needed
    side: Sequence[float]  # 1: buy, -1: sell
    price: Sequence[float]  # a whole multiple of price_unit
    leaves: Sequence[float]  # the quantity left to fill, a whole multiple of size_unit
    is_open: Sequence[float]  # 1: the venue has accepted it
    is_cancelling: Sequence[float]  # 1: its cancel is under way


class FoldIntents(NamedTuple):
    """The intents of one decision, in their order: each is a place in the fields."""

    kind: list[float]  # FOLD_LIMIT, FOLD_LIMIT_MAKER, FOLD_MARKET or FOLD_CANCEL
    side: list[float]  # 1: buy, -1: sell
    price: list[float]  # a whole multiple of price_unit; 0 of a FOLD_MARKET
    quantity: list[float]  # a whole multiple of size_unit
    order: list[float]  # of a FOLD_CANCEL: the place of the order in FoldOrders


class FoldDecision(msgspec.Struct, frozen=True):
    """A decision that can be compiled: its parameters, its plain form, and the way to its machine code."""

    parameters: tuple[float, ...]
    plain: Callable[[MarketTick, FoldOrders, FoldIntents], int]
    compiled: Callable[[], Callback]  # once for each code and constants. Raises CannotCompileError


ORDER_COLUMNS: Final = len(FoldOrders._fields) - 1
INTENT_COLUMNS: Final = len(FoldIntents._fields)
COUNT_AT: Final = TICK_FIELDS  # the row of floats: the tick, the number of orders, orders, intents, parameters
ORDERS_AT: Final = COUNT_AT + 1
INTENTS_AT: Final = ORDERS_AT + ORDER_COLUMNS * ORDERS_MAX
PARAMETERS_AT: Final = INTENTS_AT + INTENT_COLUMNS * INTENTS_MAX


def read_decision(decide: FunctionType, parameters: Mapping[str, float]) -> FoldDecision:
    """Return a decision whose operations are the same in machine code and in Python. It is not compiled yet.

    Args:
        decide: The strategy's function.
        parameters: Its parameters as floats.

    Raises:
        CannotCompileError: an operation is refused.

    """
    functions = called_functions(decide, USABLE | {"range"})
    check_loops(functions)
    names = tuple(parameters)
    kind = kind_of_numbers(names)

    def compiled() -> Callback:
        key = (*identity(functions), "decision", names)
        return compiled_once(key, lambda: _compiled(decide, functions, kind))

    return FoldDecision(tuple(parameters.values()), partial(_plain, decide, kind(*parameters.values())), compiled)


def empty_intents() -> FoldIntents:
    """Return intents that a decision in plain Python fills."""
    return FoldIntents(*([0.0] * INTENTS_MAX for _ in range(INTENT_COLUMNS)))


def _plain(decide: Any, given: Any, now: MarketTick, orders: FoldOrders, intents: FoldIntents) -> int:
    """Call the function in plain Python. Raises what it raises, and ValueError if it returns no number of intents."""
    count = int(decide(now, orders, intents, given))
    if not 0 <= count <= INTENTS_MAX:
        raise ValueError(f"`decide_fold` returned {count}: the number of intents is 0 to {INTENTS_MAX}")
    return count


def _compiled(decide: FunctionType, functions: Sequence[FunctionType], kind: Any) -> Callback:
    made = bound(functions, decision_compiled)
    code = made_code(lambda: update_callback(_called(made[decide], kind), uses_views=True))
    check_returned(functions, made)
    return code


def _called(decide: Any, kind: Any) -> Any:
    """Make the function of a row that calls `decide`. It is generated as text, because it names every number."""
    tick = ", ".join(f"row[{k}]" for k in range(TICK_FIELDS))
    numbers = ", ".join(f"row[{PARAMETERS_AT + k}]" for k in range(len(kind._fields)))
    orders = ", ".join(
        f"row[{ORDERS_AT + k * ORDERS_MAX}:{ORDERS_AT + (k + 1) * ORDERS_MAX}]" for k in range(ORDER_COLUMNS)
    )
    intents = ", ".join(
        f"row[{INTENTS_AT + k * INTENTS_MAX}:{INTENTS_AT + (k + 1) * INTENTS_MAX}]" for k in range(INTENT_COLUMNS)
    )
    row = f"row_of_pointer(floats, {PARAMETERS_AT + len(kind._fields)})" if JIT else "floats"
    text = (
        "def called(floats, count, length):\n"
        f"    row = {row}\n"  # before `try`, within which Numba branches after each operation
        f"    now, numbers = MarketTick({tick}, ()), Numbers({numbers})\n"
        f"    orders, intents = FoldOrders(int(row[{COUNT_AT}]), {orders}), FoldIntents({intents})\n"
        "    try:\n"
        "        given = int(decide(now, orders, intents, numbers))\n"
        f"        if 0 <= given <= {INTENTS_MAX}:\n"
        "            return float(given)\n"
        "    except Exception:\n"
        f"        return {FAILED}\n"
        f"    return {FAILED}\n"
    )
    scope = {
        "decide": decide, "MarketTick": MarketTick, "FoldOrders": FoldOrders, "FoldIntents": FoldIntents,
        "Numbers": kind, "row_of_pointer": row_of_pointer, "__builtins__": builtins,
    }  # fmt: skip
    return generated(text, scope)
