"""The common part of every Binance exchangeInfo: filters, rates, numbers, and the scales that follow from them."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from engine.model import RateLimits

LEVEL_OVER_ORDER: Final = 1000  # room for a level of this many largest orders


class Filter(msgspec.Struct, rename="camel"):
    """The fields of all the filters we use; each filter has its own few. Numbers are decimal strings."""

    filter_type: str = ""
    min_price: str = "0"
    max_price: str = "0"
    tick_size: str = "0"
    min_qty: str = "0"
    max_qty: str = "0"
    step_size: str = "0"
    min_notional: str = "0"
    notional: str = "0"  # the futures' name for it
    apply_min_to_market: bool = True  # in NOTIONAL
    apply_to_market: bool = True  # in MIN_NOTIONAL
    bid_multiplier_up: str = "0"  # in PERCENT_PRICE_BY_SIDE
    bid_multiplier_down: str = "0"
    ask_multiplier_up: str = "0"
    ask_multiplier_down: str = "0"
    limit: int = 0  # in ICEBERG_PARTS, and the futures' counts of orders
    min_trailing_above_delta: int = 0  # in TRAILING_DELTA
    max_trailing_above_delta: int = 0
    min_trailing_below_delta: int = 0
    max_trailing_below_delta: int = 0


class RateLimit(msgspec.Struct, rename="camel"):
    """An entry of exchangeInfo.rateLimits."""

    rate_limit_type: str = ""
    interval: str = ""
    interval_num: int = 0
    limit: int = 0


def rate_limits(rows: Sequence[RateLimit], documented: RateLimits) -> RateLimits:
    """Return the rate limits that the venue states. A limit that is missing or 0 is as documented."""
    told = {(row.rate_limit_type, row.interval, row.interval_num): row.limit for row in rows}
    return RateLimits(
        weight_minute_max=told.get(("REQUEST_WEIGHT", "MINUTE", 1), 0) or documented.weight_minute_max,
        orders_10s_max=told.get(("ORDERS", "SECOND", 10), 0) or documented.orders_10s_max,
        orders_day_max=told.get(("ORDERS", "DAY", 1), 0) or documented.orders_day_max,
    )


def number(text: str) -> Decimal:
    """Return a filter's number without trailing zeros. Raises ValueError unless it is plain and finite."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{text!r} bounds nothing")
    digits = f"{value:f}"
    return Decimal(digits.rstrip("0").rstrip(".") if "." in digits else digits)


def decimals(step: Decimal) -> int:
    """Return the number of decimal places of a step."""
    exponent = step.as_tuple().exponent
    assert isinstance(exponent, int), exponent  # `number` accepts finite ones alone
    return max(0, -exponent)
