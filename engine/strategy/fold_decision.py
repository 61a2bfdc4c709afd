"""`decide_fold`: one source of a strategy for the compiled loop and for the ordinary way.

The ordinary way gets a `decide` that calls the same function in plain Python, on lists with the same numbers that the
loop has in its arrays (engine/sim/fold_orders).
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from decimal import Decimal
from types import FunctionType
from typing import Any, Final

from engine.market.order_decision import (
    FOLD_CANCEL,
    FOLD_LIMIT,
    FOLD_LIMIT_MAKER,
    FOLD_MARKET,
    ORDERS_MAX,
    FoldDecision,
    FoldIntents,
    FoldOrders,
    empty_intents,
    read_decision,
)
from engine.market.predicates import CannotCompileError
from engine.model import Instrument, OrderType, Side
from engine.state.orders import Order
from engine.strategy.api import Average, Cancel, Indicator, Intent, Place, View
from engine.strategy.own_order_numbers import SETTLED
from engine.strategy.source_guard import StrategyError

NAME: Final = "decide_fold"
ORDER_TYPES: Final = {
    FOLD_LIMIT: OrderType.LIMIT, FOLD_LIMIT_MAKER: OrderType.LIMIT_MAKER, FOLD_MARKET: OrderType.MARKET,
}  # fmt: skip
SIDES: Final = {1.0: Side.BUY, -1.0: Side.SELL}


def read_fold_decision(where: str, cls: type[Any], parameters: Any) -> FoldDecision | None:
    """Return the `decide_fold` of a class, and give the class its `decide`. None if it declares none.

    Raises:
        StrategyError: It declares both, or `decide_fold` cannot be compiled.
    """
    found = next((vars(base)[NAME] for base in cls.__mro__ if NAME in vars(base)), None)
    if found is None:
        return None
    if hasattr(cls, "decide"):
        raise StrategyError(f"{where} declares `decide` and `{NAME}`: the second is used both ways, so drop the first")
    if not isinstance(found, staticmethod) or not isinstance(found.__func__, FunctionType):
        raise StrategyError(f"{where}: declare `{NAME}(now, orders, intents, parameters)` as a static method")
    try:
        numbers = {
            field.name: float(value)
            for field in fields(parameters)
            if isinstance(value := getattr(parameters, field.name), int | float | Decimal)
        }
        decision = read_decision(found.__func__, numbers)
    except CannotCompileError as error:
        raise StrategyError(f"{where}: `{NAME}` cannot be compiled: {error}") from None
    except OverflowError:
        raise StrategyError(f"{where}: a parameter is beyond what a float holds") from None
    cls.decide = staticmethod(_ordinary_decide(decision.plain))
    return decision


def refuse_indicators(where: str, averages: Sequence[Average], indicators: Sequence[Indicator]) -> None:
    """Refuse indicators beside `decide_fold`, which does not get them. Raises StrategyError."""
    if averages or indicators:
        raise StrategyError(
            f"{where}: `{NAME}` gets no averages and no indicators: compute them in it, or use `decide`"
        )


def _ordinary_decide(plain: Callable[[Any, FoldOrders, FoldIntents], int]) -> Callable[..., list[Intent]]:
    """Return the `decide` of a class with `decide_fold`."""

    def decide(view: View, _state: Any, _parameters: Any) -> list[Intent]:
        name = view.instruments[0]
        own, intents = view.orders(name), empty_intents()
        if len(own) > ORDERS_MAX:
            raise ValueError(f"more than {ORDERS_MAX} orders of `{NAME}` are live")
        instrument = view.instrument(name)
        count = plain(view.tick(name), _orders(own, instrument), intents)
        return [_intent(name, instrument, own, tuple(column[k] for column in intents)) for k in range(count)]

    return decide


def _orders(own: Sequence[Order], instrument: Instrument) -> FoldOrders:
    room = [0.0] * (ORDERS_MAX - len(own))
    return FoldOrders(
        len(own),
        [float(order.order.side.sign) for order in own] + room,
        [float(order.order.price.scaleb(instrument.price_scale)) for order in own] + room,
        [float(order.leaves_quantity.scaleb(instrument.size_scale)) for order in own] + room,
        [float(order.status in SETTLED) for order in own] + room,
        [float(order.cancel_seq > 0) for order in own] + room,
    )


def _intent(name: str, instrument: Instrument, own: Sequence[Order], numbers: tuple[float, ...]) -> Intent:
    """Return one of the intents of a decision. Raises ValueError if its numbers are no order and no cancel."""
    kind, side, price, quantity, order = numbers
    if kind == FOLD_CANCEL:
        if not (order == int(order) and 0 <= order < len(own)):
            raise ValueError(f"`{NAME}` cancels order {order}, and has {len(own)}")
        return Cancel(own[int(order)].client_order_id)
    if kind not in ORDER_TYPES or side not in SIDES or price != int(price) or quantity != int(quantity):
        raise ValueError(f"`{NAME}` made no intent: kind {kind}, side {side}, price {price}, quantity {quantity}")
    return Place(
        name,
        SIDES[side],
        Decimal(int(quantity)).scaleb(-instrument.size_scale),
        price=Decimal(int(price)).scaleb(-instrument.price_scale),
        type=ORDER_TYPES[int(kind)],
    )
