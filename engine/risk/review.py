"""A passed check is a type: only `review` makes an `Approved`, and only an `Approved` becomes a request."""

from engine.bodies import VerdictBody
from engine.facts import NewOrder
from engine.risk.rules import RULES, RiskContext

_REVIEWED = object()


class Approved:
    """An order that every rule let pass."""

    __slots__ = ("order",)

    def __init__(self, order: NewOrder, *, proof: object) -> None:
        assert proof is _REVIEWED, "only review() approves"
        self.order = order


def review(question: RiskContext) -> tuple[VerdictBody, Approved | None]:
    """Every rule's answer, asked in RULES' order, and the approval where none objects."""
    answers = {name: rule(question) for name, rule in RULES.items()}
    approved = not any(answers.values())
    verdict = VerdictBody(approved=approved, rules=answers)
    return verdict, Approved(question.order, proof=_REVIEWED) if approved else None
