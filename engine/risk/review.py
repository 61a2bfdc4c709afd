"""Review of a new order, and of the orders of a list.

Only `review` makes an `Approved`, and only an `Approved` becomes a request to place an order; the same of lists.
"""

from collections.abc import Iterable, Mapping, Sequence

from engine.bodies import Figure, VerdictBody
from engine.facts import ListLeg, NewOrder
from engine.order_terms import Terms
from engine.risk.context import BoundRule, RiskAnswer, RiskContext
from engine.risk.market_bound import sent_terms

_REVIEWED = object()
# the venue's rules of an order's own form
WAITING_RULES = frozenset({"lot", "tick", "notional_min", "order_type", "price_by_side", "blocked"})


class Approved:
    """An order to which no rule objects. `terms` are those that the venue gets."""

    __slots__ = ("order", "terms")

    def __init__(self, order: NewOrder, terms: Terms, *, proof: object) -> None:
        assert proof is _REVIEWED, "only review() approves"
        self.order = order
        self.terms = terms


def review(
    context: RiskContext, rules: Mapping[str, BoundRule], *, names: Iterable[str] | None = None
) -> tuple[VerdictBody, Approved | None]:
    """Ask every rule, also after one objects, so that a verdict names all objections.

    Args:
        context: The order with its account and market.
        rules: The rules that may object.
        names: Those of all rules, for a verdict that names each. None: they are `rules`.

    Returns:
        The verdict, and the approval if no rule objects.

    """
    objections: dict[str, str] = {}
    figures: dict[str, Figure] = {}
    for name, reject_reason in rules.items():
        answer = reject_reason(context)
        if isinstance(answer, RiskAnswer):
            reason, limit, figures[limit] = answer
            if reason:
                objections[name] = reason
        elif answer:
            objections[name] = answer
    approved = not objections
    if context.limits.figures:
        verdict = VerdictBody(approved, objections, figures=figures)
    else:
        verdict = VerdictBody(approved, {**dict.fromkeys(rules if names is None else names, ""), **objections})
    return verdict, Approved(context.order, sent_terms(context), proof=_REVIEWED) if approved else None


class ApprovedList:
    """The orders of a list to which no rule objects."""

    __slots__ = ("legs",)

    def __init__(self, legs: tuple[ListLeg, ...], *, proof: object) -> None:
        assert proof is _REVIEWED, "only review_list() approves"
        self.legs = legs


def review_list(
    reviewed: Sequence[tuple[ListLeg, RiskContext]], rules: Mapping[str, BoundRule]
) -> tuple[VerdictBody, ApprovedList | None]:
    """Ask every rule about each order of a list. Only one order of a pair can fill, so they are not summed.

    The verdict is of the whole list: it names the objections to any order, and of each limit the largest use.

    Args:
        reviewed: Each order of the list with its own context.
        rules: The rules. `WAITING_RULES` alone judge an order that waits for another: its funds and its position come
            with that other order.

    """
    reasons: dict[str, str] = {}
    figures: dict[str, Figure] = {}
    for leg, context in reviewed:
        asked = {name: rule for name, rule in rules.items() if not leg.waits_for or name in WAITING_RULES}
        verdict, _ = review(context, asked)
        for name, reason in verdict.rules.items():
            known = reasons.get(name, "")
            reasons[name] = known if not reason or reason == known else f"{known}; {reason}".removeprefix("; ")
        for limit, figure in verdict.figures.items():
            if limit not in figures or figure[2] > figures[limit][2]:
                figures[limit] = figure
    approved = not any(reasons.values())
    verdict = VerdictBody(approved, reasons, figures=figures)
    return verdict, ApprovedList(tuple(leg for leg, _ in reviewed), proof=_REVIEWED) if approved else None
