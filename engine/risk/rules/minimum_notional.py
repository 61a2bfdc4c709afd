"""Price times quantity reaches the venue's minimum. Without a limit price the bid counts, which leaves no headroom."""

from engine.risk.context import RiskContext, RiskRule


def reject_reason(context: RiskContext) -> str:
    """Return why the notional is too small, or ""."""
    instrument, price = context.instrument, context.terms.price
    if not instrument.notional_min or (price is None and not instrument.notional_min_applies_to_market):
        return ""
    notional = (context.bid if price is None else price) * context.order.quantity
    return f"notional {notional} is below {instrument.notional_min}" if notional < instrument.notional_min else ""


RULE = RiskRule(reject_reason, name="notional_min")
