"""The trade's nouns: instruments, sides, order types, ids. Values only; nothing here changes or decides."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum

import msgspec


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"  # post only


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class RateLimits(msgspec.Struct, frozen=True):
    """What a venue lets one address and one account send. The defaults are Binance Spot's (binance_spot.md section 11)."""

    weight_minute_max: int = 6000  # request weight in a clock minute, for all programs of the address
    orders_10s_max: int = 100  # orders in ten seconds, for the account


class Instrument(msgspec.Struct, frozen=True):
    """What one market allows. Scales are decimal places: an integer price is price * 10**price_scale.

    A bound of 0 means the venue states none (Binance: a filter value of 0 disables that bound).
    """

    id: str  # our own name, e.g. "binance_spot:BTCUSDT"
    venue: str
    symbol: str  # the venue's name for it
    base: str
    quote: str
    price_scale: int
    size_scale: int
    tick_size: Decimal
    lot_size: Decimal
    price_min: Decimal = Decimal(0)
    price_max: Decimal = Decimal(0)
    quantity_min: Decimal = Decimal(0)
    quantity_max: Decimal = Decimal(0)
    market_quantity_max: Decimal = Decimal(0)
    notional_min: Decimal = Decimal(0)
    notional_min_applies_to_market: bool = True
    trading: bool = True
    # of contracts; engine/contracts.py says what they are worth
    contract: str = ""  # the venue's word for what kind it is: "PERPETUAL", "CURRENT_QUARTER"; "": no contract, spot
    contract_size: Decimal = Decimal(1)  # what a quantity of 1 stands for: units of base, of quote where it is inverse
    inverse: bool = False  # priced in quote, margined and paid in base
    margin: str = ""  # the asset of margin, fees and P&L; "" for spot
    delivery_ns: int = 0  # venue time at which it ends; 0: never


ONLY = "*"  # what a strategy calls the instrument of a session that has one alone


def find_instrument(instruments: Mapping[str, Instrument], wanted: str) -> Instrument | None:
    """By its id or, where that is enough, by the venue's symbol; "*" is the only one there is. None where there is no such, or no only one."""
    if wanted == ONLY:
        return next(iter(instruments.values())) if len(instruments) == 1 else None
    return instruments.get(wanted) or next((of for of in instruments.values() if of.symbol == wanted), None)
