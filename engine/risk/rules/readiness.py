"""The session, the venue and the market are ready for a new order."""

from engine.lifecycle import Status
from engine.mode_reasons import Mode, texts
from engine.risk.context import RiskContext, RiskRule


def mode(context: RiskContext) -> str:
    """Return why the mode allows no new order, or "": only RUNNING does, until the session stops."""
    modes = context.account.modes
    if modes.mode is not Mode.RUNNING:
        return f"mode is {modes.mode}: {texts(modes.reasons)}"
    return "the session is stopping" if modes.stopping_since_ns and not context.is_protecting else ""


def trading(context: RiskContext) -> str:
    """Return why the instrument does not trade, or ""."""
    if context.is_watched:
        return f"the session watches {context.instrument.venue}, and places no order there"
    return "" if context.instrument.trading else f"{context.instrument.symbol} is not trading"


def blocked(context: RiskContext) -> str:
    """Return why the instrument is blocked, or "": engine/state/instrument_blocks.py has the reasons."""
    return "; ".join(map(str, context.account.blocks.reasons(context.instrument.id)))


def quoted(context: RiskContext) -> str:
    """Return why the cost of an order without a limit price cannot be estimated from the quote, or ""."""
    if context.terms.price is None and not (context.bid and context.ask):
        return "no quote: a market order's cost cannot be judged"
    return ""


def unknown_order(context: RiskContext) -> str:
    """Return why an order of unknown status forbids a new one, or "" (scenarios S1, S5)."""
    index, instrument = context.account.orders.index, context.order.instrument
    if index.unknown.get(instrument):
        for order in index.live_orders(instrument).values():
            if order.status is Status.UNKNOWN:
                return f"order {order.client_order_id} is unknown: it is being asked about"
    return ""


RULES = (
    RiskRule(mode, name="mode"),
    RiskRule(trading, name="trading", applies_to=lambda context: bool(trading(context))),
    RiskRule(blocked, name="blocked"),
    RiskRule(quoted, name="quoted", applies_to=lambda context: context.terms.price is None),
    RiskRule(unknown_order, name="unknown_order"),
)
