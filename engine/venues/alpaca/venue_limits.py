"""Names and limits of Alpaca's Trading API (fact sheet of mid-2026)."""

from decimal import Decimal
from typing import Final

from engine.model import RateLimits

VENUE: Final = "alpaca"
CASH: Final = "USD"  # the currency of an account
REQUESTS_MINUTE_MAX: Final = 200  # of an account; raised on request
# orders are limited as requests alone
RATE_LIMITS: Final = RateLimits(weight_minute_max=REQUESTS_MINUTE_MAX, orders_10s_max=REQUESTS_MINUTE_MAX)
CLIENT_ID_MAX: Final = 48  # of older pages; newer ones allow 128
ORDERS_LISTED_MAX: Final = 500  # GET /v2/orders stops there without a word
FILLS_PAGE_MAX: Final = 100
STOCK_NOTIONAL_MIN: Final = Decimal(1)
CRYPTO_NOTIONAL_MIN: Final = Decimal(10)
CRYPTO_FEE_MAX: Final = Decimal("0.0025")  # of a taker in the first tier; no message states it
STOCK_TICK: Final = Decimal("0.01")  # below 1 USD the venue also takes steps of 0.0001
STOCK_PRICE_SCALE: Final = 6  # trades print finer prices than orders may have
CRYPTO_PRICE_SCALE: Final = 9
FRACTION_SCALE: Final = 9  # decimal places of a fractional quantity
