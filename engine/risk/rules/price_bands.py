"""A limit price stays near the market: within our own band, and within the venue's bounds by side."""

from decimal import Decimal

from engine.model import Side
from engine.money import ZERO
from engine.risk.context import RiskAnswer, RiskContext, RiskRule, answer_of
from engine.risk_settings import PriceReference
from journal.record import plain

PLACES = 6  # of a share in a record


def price_band(context: RiskContext) -> str | RiskAnswer:
    """Return why the limit price is too far from the market, or "". A stop's limit is compared with its trigger."""
    most, price = context.limits.price_band_max, context.terms.price
    if not most or price is None:
        return ""
    name, by = "stop price", context.terms.trigger
    if not by:  # no stop, or one that follows the market at once
        name = context.limits.price_band_to.value
        price_of = context.last_of if context.limits.price_band_to is PriceReference.LAST else context.mid_of
        by = price_of(context.order.instrument)
    if not by:
        return f"no {name} is known, and price_band_max is {most}"
    off = abs(price - by)
    reason = ""
    if off > most * by:
        reason = f"price {price} differs from the {name} {plain(by)} by more than price_band_max {most}"
    return answer_of((reason, "price_band_max", (ZERO, most, round(off / by, PLACES))))


def price_by_side(context: RiskContext) -> str:
    """Return why the venue would refuse the limit price for its distance from the average, or "".

    The mid stands for the venue's average price, which is not known here.
    """
    price = context.terms.price
    low, high = _bounds(context)
    if price is None or not (low or high) or not (context.bid and context.ask):
        return ""
    mid = (context.bid + context.ask) / 2
    if low and price < mid * low:
        return f"price {price} is below {_share(low)} of the mid {plain(mid)}: the venue refuses it"
    if high and price > mid * high:
        return f"price {price} is above {_share(high)} of the mid {plain(mid)}: the venue refuses it"
    return ""


def _bounds(context: RiskContext) -> tuple[Decimal, Decimal]:
    """Return the venue's bounds on the order's side, as shares of the mid; 0: not bounded."""
    instrument = context.instrument
    if context.order.side is Side.BUY:
        return instrument.buy_price_low, instrument.buy_price_high
    return instrument.sell_price_low, instrument.sell_price_high


def _share(share: Decimal) -> str:
    return f"{plain(100 * share)} %"


RULES = (
    RiskRule(price_band, name="price_band", is_set=lambda limits: bool(limits.price_band_max)),
    RiskRule(price_by_side, name="price_by_side", applies_to=lambda context: any(_bounds(context))),
)
