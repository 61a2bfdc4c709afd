"""The choice of the rules that can object to an order.

Most orders are plain: they have no special term, and each of those has its rule. A verdict with figures names only the
rules that object, so a rule that cannot object is not run. A verdict without figures names every rule, so all rules
run.
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Final

from engine.facts import NewOrder
from engine.model import Instrument
from engine.risk.context import BoundRule
from engine.risk.rules import RULES
from engine.session_record import RiskSettings

SPECIAL_TERMS: Final = (  # fields of NewOrder; RiskRule.of_term names one
    "trailing_delta", "iceberg_quantity", "quote_quantity", "good_till_ns", "closes_position", "reduce_only",
)  # fmt: skip
_special_terms = attrgetter(*SPECIAL_TERMS)


class RuleChoice:
    """The rules of a session, and of them those of plain orders."""

    def __init__(self, rules: Mapping[str, BoundRule], risk: RiskSettings) -> None:
        self.rules = rules
        self.spot = rules if not risk.figures else _plain_rules(rules, is_contract=False)
        self.contracts = rules if not risk.figures else _plain_rules(rules, is_contract=True)

    def rules_for(self, order: NewOrder, instrument: Instrument) -> Mapping[str, BoundRule]:
        """Return the rules that can object to an order of an instrument."""
        if any(_special_terms(order)):
            return self.rules
        return self.contracts if instrument.contract else self.spot


def _plain_rules(rules: Mapping[str, BoundRule], *, is_contract: bool) -> dict[str, BoundRule]:
    """Return the rules that can object to a plain order. A user's rule always can."""
    return {
        name: rule
        for name, rule in rules.items()
        if (known := RULES.get(name)) is None or (not known.of_term and known.of_contracts in (None, is_contract))
    }
