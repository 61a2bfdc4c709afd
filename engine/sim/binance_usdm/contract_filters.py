"""Filters of USD-M contracts, in Binance's words, and their exchangeInfo entry.

The numbers are BTCUSDT's and ETHUSDT's of 2025-08-07. Unlike on Spot, steps count from the smallest value, and each
breach has its own code.
"""

from typing import Any, Final

import msgspec

from engine.model import Side
from engine.sim.binance.filters import SymbolRules
from engine.sim.binance_usdm import contract_refusals as refusals
from engine.sim.exchange.contract_rules import ContractRules
from engine.sim.exchange.margin import contract_of
from engine.sim.exchange.order_values import SimNewOrder
from engine.sim.units import plain, product, units

NEVER_MS: Final = 4_133_404_800_000  # the delivery of a perpetual
ONBOARD_MS: Final = 1_569_398_400_000
ORDER_TYPES: Final = (
    "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET",
)  # fmt: skip
TIMES_IN_FORCE: Final = ("GTC", "IOC", "FOK", "GTX", "GTD")


def _rules(symbol: str, base: str, quote: str, **changes: Any) -> SymbolRules:
    numbers = {
        "tick_size": "0.10", "price_min": "556.80", "price_max": "4529764", "lot_size": "0.001",
        "quantity_min": "0.001", "quantity_max": "1000", "market_quantity_max": "120", "notional_min": "100",
        "notional_max": "0", "price_multiplier_up": "1.05", "price_multiplier_down": "0.95", **changes,
    }  # fmt: skip
    amounts = {name: units(text) for name, text in numbers.items()}
    rules = SymbolRules(symbol, base, quote, settles_in=quote, contract=ContractRules())
    return msgspec.structs.replace(rules, **amounts)


RULES: Final = {
    "BTCUSDT": _rules("BTCUSDT", "BTC", "USDT"),
    "ETHUSDT": _rules(
        "ETHUSDT", "ETH", "USDT", tick_size="0.01", price_min="39.86", price_max="306177", quantity_max="10000",
        market_quantity_max="2000", notional_min="20",
    ),
}  # fmt: skip


def rules_for(symbol: str) -> SymbolRules:
    """Return a known symbol's rules; for any other, small numbers under its name."""
    if symbol in RULES:
        return RULES[symbol]
    for quote in ("USDT", "USDC"):
        if symbol.endswith(quote) and len(symbol) > len(quote):
            small = {"tick_size": "0.01", "price_min": "0.01", "price_max": "100000", "notional_min": "5"}
            return _rules(symbol, symbol.removesuffix(quote), quote, **small)
    raise ValueError(f"cannot separate base from quote in symbol {symbol!r}; use one that ends in USDT")


def check_price(rules: SymbolRules, price: int) -> None:
    """Refuse a price out of bounds or off the tick."""
    if rules.price_max and price > rules.price_max:
        raise refusals.price_too_high()
    if price < rules.price_min:
        raise refusals.price_too_low()
    if rules.tick_size and (price - rules.price_min) % rules.tick_size:
        raise refusals.price_off_tick()


def check_percent_price(rules: SymbolRules, side: Side, price: int, mark: int) -> None:
    """Refuse a buy too far above the mark price, and a sale too far below."""
    if not mark:
        return
    high, low = product(mark, rules.price_multiplier_up), product(mark, rules.price_multiplier_down)
    if side is Side.BUY and price > high:
        raise refusals.price_over_cap(plain(high))
    if side is Side.SELL and price < low:
        raise refusals.price_under_floor(plain(low))


def check_quantity(rules: SymbolRules, quantity: int, *, has_price: bool) -> None:
    """Refuse a quantity out of bounds or off the step."""
    if quantity <= 0:
        raise refusals.quantity_not_positive()
    if quantity < rules.quantity_min:
        raise refusals.quantity_too_low()
    if quantity > (rules.quantity_max if has_price else rules.market_quantity_max):
        raise refusals.quantity_too_high()
    if rules.lot_size and (quantity - rules.quantity_min) % rules.lot_size:
        raise refusals.quantity_off_step()


def check_order(rules: SymbolRules, new: SimNewOrder, mark: int) -> None:
    """Refuse an order that breaks a filter. The venue's own orders are exempt."""
    terms = new.contract
    assert terms is not None, "an order of a contract has its terms"
    if terms.is_forced:
        return
    has_price = new.terms.price is not None
    if has_price:
        check_price(rules, new.price)
        check_percent_price(rules, new.side, new.price, mark)
    check_quantity(rules, new.quantity, has_price=has_price)
    if not terms.reduce_only and not terms.close_position:
        check_notional(rules, product(new.price or mark, new.quantity))


def check_notional(rules: SymbolRules, notional: int) -> None:
    """Refuse a notional below the smallest one; a market order's is at the mark price."""
    if notional < rules.notional_min:
        raise refusals.too_small()


def _decimals(amount: int) -> int:
    return len(plain(amount).partition(".")[2])


def _filters(rules: SymbolRules) -> list[dict[str, Any]]:
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": plain(rules.price_min),
            "maxPrice": plain(rules.price_max),
            "tickSize": plain(rules.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": plain(rules.quantity_min),
            "maxQty": plain(rules.quantity_max),
            "stepSize": plain(rules.lot_size),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": plain(rules.quantity_min),
            "maxQty": plain(rules.market_quantity_max),
            "stepSize": plain(rules.lot_size),
        },
        {"filterType": "MAX_NUM_ORDERS", "limit": rules.orders_max},
        {"filterType": "MIN_NOTIONAL", "notional": plain(rules.notional_min)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": plain(rules.price_multiplier_up),
            "multiplierDown": plain(rules.price_multiplier_down),
            "multiplierDecimal": "4",
        },
    ]


def exchange_info_entry(rules: SymbolRules) -> dict[str, Any]:
    """Return the symbol's entry in exchangeInfo."""
    contract = contract_of(rules)
    return {
        "symbol": rules.symbol,
        "pair": rules.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": NEVER_MS,
        "onboardDate": ONBOARD_MS,
        "status": rules.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": rules.base,
        "quoteAsset": rules.quote,
        "marginAsset": rules.settles_in,
        "pricePrecision": max(_decimals(rules.tick_size), 2),  # not the tick
        "quantityPrecision": _decimals(rules.lot_size),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": plain(contract.trigger_protect),
        "liquidationFee": plain(contract.liquidation_fee),
        "marketTakeBound": plain(contract.market_take_bound),
        "maxMoveOrderLimit": 10_000,
        "filters": _filters(rules),
        "orderTypes": list(ORDER_TYPES),
        "timeInForce": list(TIMES_IN_FORCE),
        "permissionSets": ["GRID", "COPY"],
    }
