"""Rules of the pairs of the simulated Kraken, and their description in AssetPairs."""

from typing import Any, Final

from engine.sim.binance.filters import SymbolRules
from engine.sim.kraken.counters import OPEN_ORDERS_MAX
from engine.sim.units import ONE, plain, units
from engine.venues.kraken.values import CLASSED, OLD_NAMES, rest_pair

FEES: Final = ("0.0025", "0.004")  # of makers and takers, of the lowest tier
FEES_PERCENT: Final = (0.25, 0.4)
LOT_DECIMALS: Final = 8
_OLD: Final = {name: classed for classed, name in CLASSED.items()}
_TICKS: Final = {"BTC/USD": "0.1", "ETH/USD": "0.01"}
_MINIMA: Final = {"BTC/USD": "0.00005", "ETH/USD": "0.002"}


def rules_for(symbol: str) -> SymbolRules:
    """Return the rules of a pair such as BTC/USD."""
    base, slash, quote = symbol.partition("/")
    if not slash:
        raise ValueError(f"{symbol!r} is no pair; use one such as BTC/USD")
    return SymbolRules(
        symbol,
        base,
        quote,
        tick_size=units(_TICKS.get(symbol, "0.01")),
        price_min=0,
        price_max=0,
        lot_size=1,
        quantity_min=units(_MINIMA.get(symbol, "0.0001")),
        quantity_max=0,
        market_quantity_max=0,
        notional_min=units("0.5"),
        notional_max=0,
        orders_max=OPEN_ORDERS_MAX,
        algo_orders_max=OPEN_ORDERS_MAX,
        fee_in_quote=True,
    )


def decimals_of(rules: SymbolRules) -> tuple[int, int]:
    """Return the decimals of a pair's prices and quantities."""
    return len(plain(ONE + rules.tick_size).partition(".")[2]), LOT_DECIMALS


def rest_asset(name: str) -> str:
    """Return the REST name of an asset, such as XXBT or ZUSD."""
    old = OLD_NAMES.get(name, name)
    return _OLD.get(old, old)


def description(rules: SymbolRules) -> dict[str, Any]:
    """Return a pair as AssetPairs describes it."""
    price_decimals, lot_decimals = decimals_of(rules)
    maker, taker = FEES_PERCENT
    return {
        "altname": rest_pair(rules.symbol),
        "wsname": "/".join(OLD_NAMES.get(name, name) for name in (rules.base, rules.quote)),
        "aclass_base": "currency", "base": rest_asset(rules.base), "aclass_quote": "currency",
        "quote": rest_asset(rules.quote), "lot": "unit", "cost_decimals": 5, "pair_decimals": price_decimals,
        "lot_decimals": lot_decimals, "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [],
        "fees": [[0, taker]], "fees_maker": [[0, maker]], "fee_volume_currency": "ZUSD", "margin_call": 80,
        "margin_stop": 40, "ordermin": plain(rules.quantity_min), "costmin": plain(rules.notional_min),
        "tick_size": plain(rules.tick_size), "status": "online" if rules.status == "TRADING" else "cancel_only",
    }  # fmt: skip


def rest_name(rules: SymbolRules) -> str:
    """Return the key of a pair in REST's answers, such as XXBTZUSD."""
    base, quote = rest_asset(rules.base), rest_asset(rules.quote)
    is_old = base != rules.base and quote != rules.quote
    return f"{base}{quote}" if is_old else rest_pair(rules.symbol)
