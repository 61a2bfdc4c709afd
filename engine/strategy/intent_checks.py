"""Checks of intents: types of fields, and numbers that a record can hold. Texts of its errors enter records."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Final, get_args

import msgspec

from engine.model import OrderType, Side, TimeInForce
from engine.order_terms import TERMS
from engine.plan_terms import PlanTerms
from engine.strategy.api import Amend, Cancel, Close, Intent, Place, Run
from journal.record import canonical

DIGITS_MAX: Final = 15
NUMBER_MAX = Decimal(10) ** DIGITS_MAX  # money has no room for 1e-8 beyond it (engine/money.py)
INTENTS_MAX = 32  # of one decision: a loop that never ends is a mistake
PLACE_FIELDS: Final = (
    ("instrument", str), ("side", Side), ("type", OrderType), ("time_in_force", TimeInForce), ("reduce_only", bool),
)  # fmt: skip
PLACE_NUMBERS: Final = ("quantity", "price", "stop_price")
_place_values = attrgetter(*(field for field, _ in PLACE_FIELDS), *PLACE_NUMBERS)
_PLACE_TYPES: Final = (*(kind for _, kind in PLACE_FIELDS), *(Decimal for _ in PLACE_NUMBERS))
AMEND_FIELDS: Final = (("client_order_id", str),)
CLOSE_FIELDS: Final = (("instrument", str), ("time_in_force", TimeInForce))


def check_intent(intent: Intent) -> None:
    """Raise if an intent has a field of a wrong type, or what a record cannot hold."""
    if isinstance(intent, Place):
        is_plain = _has_plain_fields(intent)
        if not is_plain:
            _check_fields(intent, PLACE_FIELDS)
        if not TERMS[intent.type].is_placeable:
            raise ValueError(f"a strategy cannot place an order of type {intent.type}")
        if intent.stop_price and "stop_price" not in TERMS[intent.type].__struct_fields__:
            raise ValueError(f"an order of type {intent.type} has no stop price")
        if not is_plain:
            _check_numbers(intent, *PLACE_NUMBERS)
    elif isinstance(intent, Close):
        _check_fields(intent, CLOSE_FIELDS)
        _check_numbers(intent, "price")
    elif isinstance(intent, Run):
        _check_plan(intent.plan)
    elif isinstance(intent, Amend):
        _check_fields(intent, AMEND_FIELDS)
        _check_numbers(intent, "quantity")
    elif not isinstance(intent, Cancel):
        raise TypeError(f"a wish is Place or Cancel, not {intent!r}")
    elif not isinstance(intent.client_order_id, str):
        raise TypeError(f"client_order_id must be a str, not {intent.client_order_id!r}")
    if intent.rationale:
        canonical(dict(intent.rationale))


def _has_plain_fields(intent: Place) -> bool:
    """Return True if each field has exactly its type and a number within the bounds."""
    values = _place_values(intent)
    numbers = values[len(PLACE_FIELDS) :]
    if tuple(map(type, values)) != _PLACE_TYPES or not all(map(Decimal.is_finite, numbers)):
        return False
    return max(map(Decimal.adjusted, numbers)) < DIGITS_MAX


def _check_plan(plan: PlanTerms) -> None:
    """Raise if a plan has a field of a wrong type, or fields that contradict each other."""
    if not isinstance(plan, PlanTerms):
        raise TypeError(f"a plan is one of {', '.join(kind.__name__ for kind in get_args(PlanTerms))}, not {plan!r}")
    again = msgspec.json.decode(msgspec.json.encode(plan), type=PlanTerms)
    if again != plan:
        raise TypeError(f"a field of {plan!r} has a wrong type")
    numbers = [value for value in msgspec.structs.astuple(plan) if isinstance(value, Decimal)]
    for number in (*numbers, *plan.prices, *plan.quantities):
        if not number.is_finite() or abs(number) > NUMBER_MAX:
            raise InvalidOperation(f"a number of a plan must be at most {NUMBER_MAX:f}, not {number!r}")
    if plan.side not in Side:
        raise TypeError(f"side must be a Side, not {plan.side!r}")
    plan.check()


def _check_fields(intent: Intent, kinds: Sequence[tuple[str, type]]) -> None:
    for field, kind in kinds:
        if not isinstance(getattr(intent, field), kind):
            raise TypeError(f"{field} must be a {kind.__name__}, not {getattr(intent, field)!r}")


def _check_numbers(intent: Intent, *fields: str) -> None:
    for field in fields:
        number = getattr(intent, field)
        if not isinstance(number, Decimal) or not number.is_finite() or abs(number) > NUMBER_MAX:
            raise InvalidOperation(f"{field} must be a Decimal of at most {NUMBER_MAX:f}, not {number!r}")
