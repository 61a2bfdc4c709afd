"""The choice of the rules that can object to an order.

Most orders are plain: they have no special term, and each of those has its rule. Of the other rules, those that a kind
of plain orders never meets are left out once for all orders of the kind.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Final

from engine.model import Instrument
from engine.risk.context import BoundRule, RiskContext
from engine.risk.rules import RULES

SPECIAL_TERMS: Final = (  # fields of NewOrder; RiskRule.of_term names one
    "trailing_delta", "iceberg_quantity", "quote_quantity", "good_till_ns", "closes_position", "reduce_only",
)  # fmt: skip
_special_terms = attrgetter(*SPECIAL_TERMS)
_kind_of = attrgetter("instrument", "side", "type", "time_in_force")


class RuleChoice:
    """The rules of a session, and of them those of each kind of plain orders."""

    def __init__(self, rules: Mapping[str, BoundRule]) -> None:
        self.rules = rules
        self._by_kind: dict[tuple[str, object], tuple[Instrument, Mapping[str, BoundRule]]] = {}

    def rules_for(self, context: RiskContext) -> Mapping[str, BoundRule]:
        """Return the rules that can object to an order, or compare a limit with it."""
        order, instrument = context.order, context.instrument
        if any(_special_terms(order)):
            return self.rules
        kind = context.strategy, _kind_of(order)
        known = self._by_kind.get(kind)
        if known is None or known[0] is not instrument:  # the venue may describe an instrument again
            known = self._by_kind[kind] = instrument, self._plain_rules(context)
        return known[1]

    def _plain_rules(self, context: RiskContext) -> dict[str, BoundRule]:
        """Return the rules for plain orders like that of the context. A user's rule always runs."""
        return {
            name: rule
            for name, rule in self.rules.items()
            if (known := RULES.get(name)) is None or (not known.of_term and known.can_apply(context))
        }
