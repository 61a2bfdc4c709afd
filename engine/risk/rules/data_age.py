"""No order on old market data, by arrival and by the venue's own stamps."""

from engine.risk.context import RiskContext, RiskRule

MILLISECOND_NS = 1_000_000


def quote_age(context: RiskContext) -> str:
    """Return why the quote is too old, or "".

    Its age is that of the last message that states it: its own, or a book with the same best prices.
    """
    if context.quote_age_max_ns and context.quote_age_ns > context.quote_age_max_ns:
        age_ms, most_ms = context.quote_age_ns // MILLISECOND_NS, context.quote_age_max_ns // MILLISECOND_NS
        return f"the quote is {age_ms} ms old, at most {most_ms} ms"
    return ""


def venue_lag(context: RiskContext) -> str:
    """Return why the data was too old when it came, or "": by the venue's stamps and its clock."""
    if context.venue_lag_max_ns and context.venue_lag_ns > context.venue_lag_max_ns:
        lag_ms, most_ms = context.venue_lag_ns // MILLISECOND_NS, context.venue_lag_max_ns // MILLISECOND_NS
        return f"market data comes {lag_ms} ms after the venue's stamp, at most {most_ms} ms"
    return ""


RULES = (RiskRule(quote_age, name="quote_age"), RiskRule(venue_lag, name="venue_lag"))
