"""What the exchangeInfo of every Binance market spells alike: filters, rates, numbers, and the scales that follow from them."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from engine.market.rows import VALUE_MAX
from engine.model import RateLimits

LEVEL_OVER_ORDER: Final = 1000  # room for a level of this many largest orders


class Filter(msgspec.Struct):
    """The fields of all the filters we use; each filter has its own few. Numbers are decimal strings."""

    filterType: str = ""  # noqa: N815  the wire's name
    minPrice: str = "0"  # noqa: N815  the wire's name
    maxPrice: str = "0"  # noqa: N815  the wire's name
    tickSize: str = "0"  # noqa: N815  the wire's name
    minQty: str = "0"  # noqa: N815  the wire's name
    maxQty: str = "0"  # noqa: N815  the wire's name
    stepSize: str = "0"  # noqa: N815  the wire's name
    minNotional: str = "0"  # noqa: N815  the wire's name
    notional: str = "0"  # the futures' name for it
    applyMinToMarket: bool = True  # noqa: N815  the wire's name, in NOTIONAL
    applyToMarket: bool = True  # noqa: N815  the wire's name, in MIN_NOTIONAL


class RateLimit(msgspec.Struct):
    rateLimitType: str = ""  # noqa: N815  the wire's name
    interval: str = ""
    intervalNum: int = 0  # noqa: N815  the wire's name
    limit: int = 0


def allowance(rows: Sequence[RateLimit], documented: RateLimits) -> RateLimits:
    """What the venue says of rates; what it does not say, or says as 0, is as documented."""
    told = {(row.rateLimitType, row.interval, row.intervalNum): row.limit for row in rows}
    return RateLimits(
        weight_minute_max=told.get(("REQUEST_WEIGHT", "MINUTE", 1), 0) or documented.weight_minute_max,
        orders_10s_max=told.get(("ORDERS", "SECOND", 10), 0) or documented.orders_10s_max,
    )


def number(text: str) -> Decimal:
    """A filter's number without trailing zeros; raises ValueError for what is no plain finite number."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{text!r} bounds nothing")
    digits = f"{value:f}"
    return Decimal(digits.rstrip("0").rstrip(".") if "." in digits else digits)


def decimals(step: Decimal) -> int:
    exponent = step.as_tuple().exponent
    assert isinstance(exponent, int), exponent  # `number` lets only finite ones through
    return max(0, -exponent)


def fitting_scale(wanted: int, least: int, largest: Decimal) -> int:
    """The decimals wanted, or fewer where the largest value would leave the integers at them; never fewer than `least`."""
    scale = wanted
    while scale > least and largest * 10**scale > VALUE_MAX:
        scale -= 1
    return max(scale, least)
