"""Review of a new order.

Only `review` makes an `Approved`, and only an `Approved` becomes a request to place an order.
"""

from collections.abc import Mapping

from engine.bodies import VerdictBody
from engine.facts import NewOrder
from engine.order_terms import Terms
from engine.risk.context import BoundRule, RiskContext

_REVIEWED = object()


class Approved:
    """An order to which no rule objects."""

    __slots__ = ("order", "terms")

    def __init__(self, order: NewOrder, terms: Terms, *, proof: object) -> None:
        assert proof is _REVIEWED, "only review() approves"
        self.order = order
        self.terms = terms


def review(context: RiskContext, rules: Mapping[str, BoundRule]) -> tuple[VerdictBody, Approved | None]:
    """Ask every rule, also after one objects, so that a verdict names all objections.

    Returns:
        The verdict, and the approval if no rule objects.
    """
    answers = {name: reject_reason(context) for name, reject_reason in rules.items()}
    approved = not any(answers.values())
    verdict = VerdictBody(approved=approved, rules=answers)
    return verdict, Approved(context.order, context.terms, proof=_REVIEWED) if approved else None
