"""An order without a limit price needs a quote, since its cost is estimated from the market's."""

from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the cost of a market order is unknown, or ""."""
    if context.terms.price is None and not (context.bid and context.ask):
        return "no quote: a market order's cost cannot be judged"
    return ""


RULE = RiskRule(reject_reason, name="quoted")
