"""The nouns of trading: instruments, sides, order types.

Values only; engine/order_terms.py says what an order type means.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

import msgspec


class Side(StrEnum):
    """Side of an order."""

    BUY = "BUY"
    SELL = "SELL"

    sign: int  # 1 for a buy, -1 for a sell
    __hash__ = str.__hash__  # that of Enum is a Python function, and dicts by side and by type are read at each order


Side.BUY.sign, Side.SELL.sign = 1, -1


class OrderType(StrEnum):
    """Types of orders that records name."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"  # post only
    STOP = "STOP"  # a market order once the market is at the stop price or beyond it
    STOP_LIMIT = "STOP_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"  # as STOP, on the other side of the market
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    FOREIGN = "FOREIGN"  # another program's, of a type that the engine does not have (order_terms.ForeignTerms)

    __hash__ = str.__hash__


class PositionSide(StrEnum):
    """The positions of a contract that an account has apart."""

    BOTH = "BOTH"  # one-way mode: one position, long or short
    LONG = "LONG"  # hedge mode: a long and a short position at the same time
    SHORT = "SHORT"


class MarginMode(StrEnum):
    """The money that secures a position of a contract."""

    CROSS = "cross"  # the whole wallet
    ISOLATED = "isolated"  # the margin that was put aside for it


class ForcedKind(StrEnum):
    """Why a venue itself closed a position."""

    LIQUIDATION = "liquidation"  # its margin was used up
    DELEVERAGING = "deleveraging"  # ADL: it paid for another account's liquidation
    SETTLEMENT = "settlement"  # the contract ended


class ListKind(StrEnum):
    """Kinds of order lists that a venue may place as one."""

    OCO = "oco"  # two exits: the fill of one ends the other
    OPOCO = "opoco"  # an entry and two exits, which become active, and are paid for, when the entry is filled


class TimeInForce(StrEnum):
    """Times in force of an order."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderTerm(StrEnum):
    """Terms of an order that some venues have, and some instruments of these."""

    TRAILING = "trailing"
    ICEBERG = "iceberg"
    QUOTE_QUANTITY = "quote_quantity"
    CLOSE_POSITION = "close_position"  # of a stop: it closes all that the account holds


class RateLimits(msgspec.Struct, frozen=True):
    """The requests that a venue allows one address and one account.

    The defaults are Binance Spot's (Binance Spot API, limits).
    """

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"orders_day_max", "orders_minute_max"})

    weight_minute_max: int = 6000  # request weight in a clock minute, for all programs of the address
    orders_10s_max: int = 100  # orders in ten seconds, for the account
    orders_day_max: int = 0  # unfilled orders in a day, for the account. 0: not counted
    orders_minute_max: int = 0  # orders in a clock minute, for the account. 0: not counted


class Instrument(msgspec.Struct, frozen=True):
    """One market and its limits. Scales are decimal places: an integer price is price * 10**price_scale.

    A bound of 0 means the venue states none (Binance: a filter value of 0 disables that bound).
    """

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset(
        {
            "buy_price_low",
            "buy_price_high",
            "sell_price_low",
            "sell_price_high",
            "own_symbol",
            "iceberg_parts_max",
            "trailing_delta_min",
            "trailing_delta_max",
            "forbids",
            "trade_stream",
            "half_spread_ppm",
            "quotes_from_book",
            "without_book",
            "unstated_fee_max",
            "by_order",
            "price_digits",
            "venue_index",
            "money_scale",
            "lacks_types",
            "lacks_times",
        }
    )

    id: str  # its name in records, e.g. "binance_spot:BTCUSDT"
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
    contract: str = ""  # the venue's name for its kind: "PERPETUAL", "CURRENT_QUARTER"; "": no contract, spot
    # units of base in a quantity of 1, or units of quote if the contract is inverse
    contract_size: Decimal = Decimal(1)
    inverse: bool = False  # priced in quote, margined and paid in base
    margin: str = ""  # the asset of margin, fees and P&L; "" for spot
    delivery_ns: int = 0  # venue time at which it ends; 0: never
    # bounds of a limit price, as shares of the venue's average price
    buy_price_low: Decimal = Decimal(0)
    buy_price_high: Decimal = Decimal(0)
    sell_price_low: Decimal = Decimal(0)
    sell_price_high: Decimal = Decimal(0)
    iceberg_parts_max: int = 0  # quantity over visible part, rounded up
    trailing_delta_min: int = 0  # basis points, on both sides of the market
    trailing_delta_max: int = 0
    forbids: tuple[OrderTerm, ...] = ()  # terms that the venue has, but not for this instrument
    # the stream whose trades count, where a capture has two that report each trade; "": the only one
    trade_stream: str = ""
    # millionths of the price between a quote made of a trade or a bar and that price; -1: quotes are the source's own
    half_spread_ppm: int = -1
    quotes_from_book: bool = False  # of a capture without quotes: the best levels of its book count as quotes
    # the largest share of a fill's proceeds that the venue keeps as a fee without stating it; 0: all fees are stated
    unstated_fee_max: Decimal = Decimal(0)
    without_book: bool = False  # the venue has a quote of it and no book
    by_order: bool = False  # its book comes order by order, so queues are counted
    # significant digits of a price beside the tick; a whole number may have more; 0: the tick alone decides
    price_digits: int = 0
    venue_index: int = -1  # the number by which requests name it, where they do not name its symbol
    money_scale: int = 8  # decimal places to which the venue rounds the P&L, the fee and the funding of a contract
    # order types and times in force that the venue has, but not for this instrument
    lacks_types: tuple[OrderType, ...] = ()
    lacks_times: tuple[TimeInForce, ...] = ()
    own_symbol: str = ""  # the user's name for it, as [symbols] of the configuration gives it

    @property
    def names(self) -> tuple[str, ...]:
        """All its names, as strategies, limits and commands may spell it: id, venue symbol, own symbol."""
        return (self.id, self.symbol, *((self.own_symbol,) if self.own_symbol else ()))

    def is_same_market(self, other: "Instrument") -> bool:
        """Return True for the same market, perhaps at another venue: the same assets and kind of contract."""
        return (self.base, self.quote, self.contract) == (other.base, other.quote, other.contract)


ONLY = "*"  # a strategy's name for the single instrument of its session


def find_instrument(instruments: Mapping[str, Instrument], name: str) -> Instrument | None:
    """Return the instrument with this id, venue symbol or own symbol, or None.

    `*` matches if the session has exactly one instrument. A symbol of several venues matches nothing: name its id.
    """
    if name == ONLY:
        return next(iter(instruments.values())) if len(instruments) == 1 else None
    if name in instruments:
        return instruments[name]
    found = [each for each in instruments.values() if name in each.names]
    return found[0] if found and len({each.venue for each in found}) == 1 else None
