"""Review of a new order.

Only `review` makes an `Approved`, and only an `Approved` becomes a request to place an order.
"""

from collections.abc import Mapping

from engine.bodies import Figure, VerdictBody
from engine.facts import NewOrder
from engine.order_terms import Terms
from engine.risk.context import BoundRule, RiskAnswer, RiskContext

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
    reasons: dict[str, str] = {}
    figures: dict[str, Figure] = {}
    for name, reject_reason in rules.items():
        answer = reject_reason(context)
        if isinstance(answer, RiskAnswer):
            figures[answer.limit] = answer.figure
            answer = answer.reason
        reasons[name] = answer
    approved = not any(reasons.values())
    if context.limits.figures:
        objections = {} if approved else {name: reason for name, reason in reasons.items() if reason}
        verdict = VerdictBody(approved, objections, figures=figures)
    else:
        verdict = VerdictBody(approved, reasons)
    return verdict, Approved(context.order, context.terms, proof=_REVIEWED) if approved else None
