"""A blocked instrument gets no new order; engine/state/instrument_blocks.py has the reasons."""

from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the instrument is blocked, or ""."""
    return "; ".join(map(str, context.account.blocks.reasons(context.instrument.id)))


RULES = (RiskRule(reject_reason, name="blocked"),)
