"""The venue must have the instrument open for trading."""

from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the instrument does not trade, or ""."""
    return "" if context.instrument.trading else f"{context.instrument.symbol} is not trading"


RULE = RiskRule(reject_reason, name="trading")
