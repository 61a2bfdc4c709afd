"""Rules of Hyperliquid's perpetuals, its list of them, and the grid of prices and sizes, by the fact sheet (6, 10).

The list begins with a delisted coin, so that no place is 0 by luck: a place that was kept elsewhere names another coin.
"""

from typing import Any, Final

from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.contract_rules import ContractRules, brackets_of
from engine.sim.feeds.synthetic_feed import Shape
from engine.sim.units import ONE, plain, units

QUOTE: Final = "USDC"
DELISTED: Final = {"name": "OLD", "szDecimals": 2, "maxLeverage": 10, "marginTableId": 10, "isDelisted": True}
FIRST: Final = 1  # place of the first coin that trades
PRICE_DECIMALS: Final = 6
PRICE_DIGITS: Final = 5
NOTIONAL_MIN: Final = units("10")
LEVERAGE_MAX: Final = 50
SIZE_DECIMALS: Final = {"BTC": 5, "ETH": 4, "SOL": 2}
SIZE_DECIMALS_OTHERS: Final = 2
# 60000.4 is no price of five digits: the synthetic market moves in whole dollars where it must
SHAPES: Final = {
    "BTC": Shape(units("60000"), units("1"), units("0.00001"), 40_000),
    "ETH": Shape(units("2600"), units("0.1"), units("0.0001"), 80_000),
    "SOL": Shape(units("150"), units("0.01"), units("0.01"), 10_000),
}
CONTRACT: Final = ContractRules(
    brackets=brackets_of((("100000000", LEVERAGE_MAX, "0.01"),)),  # half of the initial margin at the most leverage
    liquidation_fee=0,
    market_take_bound=units("0.1"),  # of a trigger that becomes a market order
    conditional_orders_max=1_000,
    funding_hours=1,
    interest_rate=units("0.0000125"),  # 0.01 % in 8 hours
    premium_clamp=units("0.0005"),
    funding_rate_max=units("0.04"),
)


def size_decimals(coin: str) -> int:
    """Return the decimal places of a coin's sizes."""
    return SIZE_DECIMALS.get(coin, SIZE_DECIMALS_OTHERS)


def rules_for(coin: str) -> SymbolRules:
    """Return the rules of a coin."""
    decimals = size_decimals(coin)
    tick, lot = ONE // 10 ** (PRICE_DECIMALS - decimals), ONE // 10**decimals
    return SymbolRules(
        symbol=coin,
        base=coin,
        quote=QUOTE,
        tick_size=tick,
        price_min=tick,
        price_max=units("100000000"),
        lot_size=lot,
        quantity_min=lot,
        quantity_max=units("100000000"),
        market_quantity_max=units("100000000"),
        notional_min=NOTIONAL_MIN,
        notional_max=0,
        price_multiplier_up=units("1.8"),  # 80 % from the reference price
        price_multiplier_down=units("0.2"),
        orders_max=1_000,
        settles_in=QUOTE,
        contract=CONTRACT,
    )


def universe(coins: list[str]) -> list[dict[str, Any]]:
    """Return the list of perpetuals."""
    listed = [
        {"name": coin, "szDecimals": size_decimals(coin), "maxLeverage": LEVERAGE_MAX, "marginTableId": LEVERAGE_MAX}
        for coin in coins
    ]
    return [dict(DELISTED), *listed]


def is_price(price: int, coin: str) -> bool:
    """Return True for a price of at most five significant digits and the coin's decimal places, or a whole one.

    >>> [is_price(units(text), "BTC") for text in ("123456", "12345.6", "1234.5", "0.123")]
    [True, False, True, False]
    """
    text = plain(price)
    whole, _, part = text.partition(".")
    if not part:
        return price > 0
    digits = (whole.lstrip("0") + part).lstrip("0")
    return len(part) <= PRICE_DECIMALS - size_decimals(coin) and len(digits) <= PRICE_DIGITS


def is_size(size: int, coin: str) -> bool:
    """Return True for a size with at most the coin's decimal places."""
    return len(plain(size).partition(".")[2]) <= size_decimals(coin)


def money(amount: int) -> str:
    """Return an amount, a price or a size as the venue writes it: with at least one decimal place."""
    shown = plain(amount)
    return shown if "." in shown else f"{shown}.0"
