"""No order on market data that was old when it came, by the venue's own stamps and the measured offset of its clock."""

from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the market data lags too much, or ""."""
    if context.venue_lag_max_ns and context.venue_lag_ns > context.venue_lag_max_ns:
        lag_ms, most_ms = context.venue_lag_ns // 1_000_000, context.venue_lag_max_ns // 1_000_000
        return f"market data comes {lag_ms} ms after the venue's stamp, at most {most_ms} ms"
    return ""


RULE = RiskRule(reject_reason, name="venue_lag")
