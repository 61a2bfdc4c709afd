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


class ScopeLimits(msgspec.Struct, frozen=True):
    """Limits of one scope: an instrument, a strategy, the account or the whole portfolio. A limit of 0 is not set.

    Exposure is what the positions of the scope could become: open orders and the new one count as filled. In base it
    counts the instruments with the order's base asset, in quote those with its quote asset, in the reporting currency
    all. `gross` adds the absolute exposures of instruments, `net` adds them with their sign.
    """

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({
        "order_size_max", "order_notional_max", "position_max", "open_orders_max", "gross_base_max", "net_base_max",
        "gross_quote_max", "net_quote_max", "gross_max", "net_max", "price_band_max",
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


EXPOSURES = ("gross_base_max", "net_base_max", "gross_quote_max", "net_quote_max", "gross_max", "net_max")
NO_LIMITS = ScopeLimits()
