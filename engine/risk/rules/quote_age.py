"""No order on an old quote: its age is that of the last message that states it, its own or a book with the same top."""

from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the quote is too old, or ""."""
    if context.quote_age_max_ns and context.quote_age_ns > context.quote_age_max_ns:
        age_ms, most_ms = context.quote_age_ns // 1_000_000, context.quote_age_max_ns // 1_000_000
        return f"the quote is {age_ms} ms old, at most {most_ms} ms"
    return ""


RULE = RiskRule(reject_reason, name="quote_age")
