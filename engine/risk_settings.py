"""Risk settings by subject, as the SESSION record has them. Values only; engine/session_record.py assembles them.

Every field is omitted from the record at its default, so that a session without a limit records nothing about it.
"""

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import msgspec


class PriceReference(StrEnum):
    """Prices with which a limit price is compared."""

    MID = "mid"  # of the last quote
    LAST = "last"  # of the last trade


class LossAction(StrEnum):
    """Consequences of a loss of the day at its limit, beside the cancel of every own order."""

    REDUCE = "reduce"  # until the day ends orders may only reduce positions
    HALT = "halt"  # that, and the session halts until a person resumes
    FLATTEN = "flatten"  # that, and every position is closed


class DaySettings(msgspec.Struct, frozen=True):
    """The day of daily limits: it begins at an hour of a time zone, which the shell resolves."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"zone", "hour", "offsets"})

    zone: str = "UTC"
    hour: int = 0
    # (UTC time in seconds from which it holds, seconds east of UTC), oldest first; (): UTC
    offsets: tuple[tuple[int, int], ...] = ()


class ScopeLimits(msgspec.Struct, frozen=True):
    """Limits of one scope: an instrument, a strategy, the account or the whole portfolio. A limit of 0 is not set.

    Exposure is what the positions of the scope could become: open orders and the new one count as filled. In base it
    counts the instruments with the order's base asset, in quote those with its quote asset, in the reporting currency
    all. `gross` adds the absolute exposures of instruments, `net` adds them with their sign.
    """

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({
        "order_size_max", "order_notional_max", "position_max", "open_orders_max", "gross_base_max", "net_base_max",
        "gross_quote_max", "net_quote_max", "gross_max", "net_max", "price_band_max", "daily_loss_max", "drawdown_max",
    })  # fmt: skip

    order_size_max: Decimal = Decimal(0)  # base quantity of one order
    order_notional_max: Decimal = Decimal(0)  # of one order, in its quote asset
    position_max: Decimal = Decimal(0)  # base quantity in the order's instrument, open orders counted, absolute
    open_orders_max: int = 0
    gross_base_max: Decimal = Decimal(0)
    net_base_max: Decimal = Decimal(0)
    gross_quote_max: Decimal = Decimal(0)
    net_quote_max: Decimal = Decimal(0)
    gross_max: Decimal = Decimal(0)  # in the reporting currency
    net_max: Decimal = Decimal(0)
    price_band_max: Decimal = Decimal(0)  # of an instrument: a share, as in RiskSettings
    # of the day. Of the account and the portfolio in the reporting currency, else in each asset of P&L
    daily_loss_max: Decimal = Decimal(0)
    drawdown_max: Decimal = Decimal(0)  # the fall of the day's P&L from its highest


EXPOSURES = ("gross_base_max", "net_base_max", "gross_quote_max", "net_quote_max", "gross_max", "net_max")
NO_LIMITS = ScopeLimits()
