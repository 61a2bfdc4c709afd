"""No order on old market data, by arrival and by the venue's own stamps."""

from decimal import Decimal

from engine.risk.context import RiskAnswer, RiskContext, RiskRule, answer_of

MILLISECOND_NS = 1_000_000


def quote_age(context: RiskContext) -> str | RiskAnswer:
    """Return why the quote is too old, or "".

    Its age is that of the last message that states it: its own, or a book with the same best prices.
    """
    if not context.quote_age_max_ns:
        return ""
    age_ms, most_ms = context.quote_age_ns // MILLISECOND_NS, context.quote_age_max_ns // MILLISECOND_NS
    is_old = context.quote_age_ns > context.quote_age_max_ns
    reason = f"the quote is {age_ms} ms old, at most {most_ms} ms" if is_old else ""
    return answer_of((reason, "quote_age_max_ms", (Decimal(age_ms), Decimal(most_ms), Decimal(age_ms))))


def venue_lag(context: RiskContext) -> str | RiskAnswer:
    """Return why the data was too old when it came, or "": by the venue's stamps and its clock."""
    if not context.venue_lag_max_ns:
        return ""
    lag_ms, most_ms = context.venue_lag_ns // MILLISECOND_NS, context.venue_lag_max_ns // MILLISECOND_NS
    is_late = context.venue_lag_ns > context.venue_lag_max_ns
    reason = f"market data comes {lag_ms} ms after the venue's stamp, at most {most_ms} ms" if is_late else ""
    return answer_of((reason, "venue_lag_max_ms", (Decimal(lag_ms), Decimal(most_ms), Decimal(lag_ms))))


RULES = (
    RiskRule(quote_age, name="quote_age", applies_to=lambda context: bool(context.quote_age_max_ns)),
    RiskRule(venue_lag, name="venue_lag", applies_to=lambda context: bool(context.venue_lag_max_ns)),
)
