"""Terms that some venues have: trailing stops, icebergs, amounts of the quote asset, and orders that end at a time."""

from decimal import Decimal

from engine.model import OrderTerm, TimeInForce
from engine.money import on_grid, up_to_grid
from engine.risk.context import RiskContext, RiskRule
from engine.session_record import SECOND_NS
from journal.record import plain

AMOUNT_STEP = Decimal("1e-8")  # of an amount of the quote asset


def trailing_stop(context: RiskContext) -> str:
    """Return why the stop cannot follow the market, or ""."""
    delta, instrument = context.order.trailing_delta, context.instrument
    if not delta:
        return ""
    if delta != context.terms.trailing_delta:
        return f"a {context.terms.type} order has no trailing stop"
    if not _is_offered(context, OrderTerm.TRAILING):
        return f"{instrument.symbol} has no trailing stops at {instrument.venue}"
    if delta < max(instrument.trailing_delta_min, 1):
        return f"trailing delta {delta} is below {max(instrument.trailing_delta_min, 1)} basis points"
    if instrument.trailing_delta_max and delta > instrument.trailing_delta_max:
        return f"trailing delta {delta} is above {instrument.trailing_delta_max} basis points"
    return ""


def iceberg(context: RiskContext) -> str:
    """Return why the book cannot show a part of the order alone, or ""."""
    shown, quantity, instrument = context.order.iceberg_quantity, context.order.quantity, context.instrument
    if not shown:
        return ""
    if shown != context.terms.iceberg_quantity:
        return f"a {context.terms.type} order has no visible part"
    if not _is_offered(context, OrderTerm.ICEBERG):
        return f"{instrument.symbol} has no icebergs at {instrument.venue}"
    if context.terms.time_in_force is not TimeInForce.GTC:
        return f"an iceberg rests in the book, so its time in force is GTC, not {context.terms.time_in_force}"
    if shown < 0 or not on_grid(shown, instrument.lot_size):
        return f"visible part {plain(shown)} is not a multiple of the lot {instrument.lot_size}"
    if shown < instrument.quantity_min:
        return f"visible part {plain(shown)} is below {instrument.quantity_min}"
    if shown >= quantity:
        return f"visible part {plain(shown)} is not below the quantity {plain(quantity)}"
    parts = up_to_grid(quantity, shown) / shown
    if instrument.iceberg_parts_max and parts > instrument.iceberg_parts_max:
        return f"{plain(parts)} parts of {plain(shown)} are more than {instrument.iceberg_parts_max}"
    return ""


def quote_amount(context: RiskContext) -> str:
    """Return why the order cannot be placed for an amount of the quote asset, or ""."""
    amount, instrument = context.order.quote_quantity, context.instrument
    if not amount:
        return ""
    if amount != context.terms.quote_quantity:
        return f"a {context.terms.type} order is placed by quantity, not by quote amount"
    if instrument.contract or not _is_offered(context, OrderTerm.QUOTE_QUANTITY):
        return f"{instrument.symbol} has no orders by quote amount at {instrument.venue}"
    if context.order.reduce_only:
        return "a reduce-only order is placed by quantity: the quantity of an amount is known by its fills alone"
    if amount < 0 or not on_grid(amount, AMOUNT_STEP):
        return f"quote amount {plain(amount)} is not a multiple of {plain(AMOUNT_STEP)}"
    return ""


def good_till(context: RiskContext) -> str:
    """Return why the order cannot end at its time, or ""."""
    till_ns, terms = context.order.good_till_ns, context.terms
    if not till_ns:
        return ""
    if not terms.rests and terms.trigger is None:
        return f"a {terms.type} order does not rest ({terms.time_in_force}), so it cannot be good till a time"
    if till_ns <= context.time_ns:
        return f"its time was over {(context.time_ns - till_ns) / SECOND_NS:.3f} s ago"
    return ""


def _is_offered(context: RiskContext, term: OrderTerm) -> bool:
    """Return True if the venue has the term, and has it for this instrument."""
    is_known = context.venue_terms is None or term in context.venue_terms
    return is_known and term not in context.instrument.forbids


RULES = (
    RiskRule(trailing_stop, name="trailing_stop", of_term="trailing_delta"),
    RiskRule(iceberg, name="iceberg", of_term="iceberg_quantity"),
    RiskRule(quote_amount, name="quote_amount", of_term="quote_quantity"),
    RiskRule(good_till, name="good_till", of_term="good_till_ns"),
)
