"""Rules of a symbol: its filters, in Binance's order and words, and its exchangeInfo entry.

The numbers are BTCUSDT's and ETHUSDT's of 2025-08-07. Knows nothing of accounts except the counts that callers pass.
"""

from typing import Any, Final

import msgspec

from engine.model import Instrument, OrderTerm, Side
from engine.sim.binance import refusals
from engine.sim.binance.type_params import BY_NAME
from engine.sim.exchange.contract_rules import ContractRules
from engine.sim.units import ONE, product, text, units


class SymbolRules(msgspec.Struct, frozen=True):
    """A symbol's filters; amounts in units of 1e-8, 0 disables a bound."""

    symbol: str
    base: str
    quote: str
    tick_size: int = units("0.01")
    price_min: int = units("0.01")
    price_max: int = units("1000000")
    lot_size: int = units("0.00001")
    quantity_min: int = units("0.00001")
    quantity_max: int = units("9000")
    market_quantity_max: int = units("97.09521512")
    notional_min: int = units("5")
    notional_max: int = units("9000000")
    price_multiplier_up: int = units("5")
    price_multiplier_down: int = units("0.2")
    orders_max: int = 200
    algo_orders_max: int = 5
    iceberg_orders_max: int = 0
    order_lists_max: int = 20
    amends_max: int = 10  # of one order
    iceberg_parts_max: int = 100
    trailing_above: tuple[int, int] = (10, 2000)  # basis points, of orders that trigger above the market
    trailing_below: tuple[int, int] = (10, 2000)
    position_max: int = 0
    status: str = "TRADING"
    forbidden: tuple[str, ...] = ()  # names of PERMISSIONS that the symbol does not have
    self_trade_modes: tuple[str, ...] = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER")
    fee_in_quote: bool = False  # fees are paid in quote, beside the cost of a buy; else in the asset received
    # of contracts
    settles_in: str = ""  # the asset of P&L and fees; "": no contract
    contract_size: int = ONE
    inverse: bool = False
    contract: ContractRules | None = None  # of contracts with margin


# flag in exchangeInfo -> what the venue answers where the flag is false (errors.md)
PERMISSIONS: Final = {
    "icebergAllowed": "Iceberg orders are not supported for this symbol.",
    "ocoAllowed": "OCO orders are not supported for this symbol",
    "otoAllowed": "OTO orders are not supported for this symbol",
    "opoAllowed": "OPO orders are not supported for this symbol.",
    "quoteOrderQtyMarketAllowed": "Quote order qty market orders are not support for this symbol.",
    "allowTrailingStop": "Trailing stop orders are not supported for this symbol.",
    "cancelReplaceAllowed": "Order cancel-replace is not supported for this symbol.",
    "amendAllowed": "Order amend is not supported for this symbol.",
}
OPTIONAL_TERMS: Final = {
    "icebergAllowed": OrderTerm.ICEBERG,
    "quoteOrderQtyMarketAllowed": OrderTerm.QUOTE_QUANTITY,
    "allowTrailingStop": OrderTerm.TRAILING,
}
COUNTS: Final = frozenset({"orders_max", "algo_orders_max", "iceberg_orders_max", "order_lists_max", "amends_max",
                           "iceberg_parts_max"})  # fields that are no amounts  # fmt: skip

RULES: Final = {
    "BTCUSDT": SymbolRules("BTCUSDT", "BTC", "USDT"),
    "ETHUSDT": SymbolRules(
        "ETHUSDT",
        "ETH",
        "USDT",
        lot_size=units("0.0001"),
        quantity_min=units("0.0001"),
        market_quantity_max=units("2357.34408702"),
    ),
}


def rules_for(symbol: str) -> SymbolRules:
    """Return a known symbol's rules; for any other, BTCUSDT's numbers under its name."""
    known = RULES.get(symbol)
    if known is not None:
        return known
    for quote in ("USDT", "USDC", "FDUSD", "BTC", "ETH", "EUR"):
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return SymbolRules(symbol, symbol.removesuffix(quote), quote)
    raise ValueError(f"cannot separate base from quote in symbol {symbol!r}; use one that ends in USDT")


def rules_of(instrument: Instrument) -> SymbolRules:
    """Return an instrument's rules, as far as its venue states them and this venue has them."""
    return SymbolRules(
        instrument.symbol,
        instrument.base,
        instrument.quote,
        tick_size=units(f"{instrument.tick_size:f}"),
        price_min=units(f"{instrument.price_min:f}"),
        price_max=units(f"{instrument.price_max:f}"),
        lot_size=units(f"{instrument.lot_size:f}"),
        quantity_min=units(f"{instrument.quantity_min:f}"),
        quantity_max=units(f"{instrument.quantity_max:f}"),
        market_quantity_max=units(f"{instrument.market_quantity_max:f}"),
        notional_min=units(f"{instrument.notional_min:f}"),
        status="TRADING" if instrument.trading else "BREAK",
        settles_in=instrument.margin if instrument.contract else "",
        contract_size=units(f"{instrument.contract_size:f}"),
        inverse=instrument.inverse,
        iceberg_parts_max=instrument.iceberg_parts_max,
        trailing_above=(instrument.trailing_delta_min, instrument.trailing_delta_max),
        trailing_below=(instrument.trailing_delta_min, instrument.trailing_delta_max),
        forbidden=tuple(flag for flag, term in OPTIONAL_TERMS.items() if term in instrument.forbids),
    )


def check_price(rules: SymbolRules, price: int) -> None:
    """Refuse a price out of bounds or off the tick."""
    low = rules.price_min and price < rules.price_min
    high = rules.price_max and price > rules.price_max
    off_grid = rules.tick_size and price % rules.tick_size
    if low or high or off_grid:
        raise refusals.filter_failure("PRICE_FILTER")


def check_percent_price(rules: SymbolRules, price: int, price_average: int) -> None:
    """Refuse a price too far from the average (PERCENT_PRICE_BY_SIDE). Without an average, any price passes.

    A multiplier of 0 is no bound: some venues lack the rule.
    """
    low, high = (product(price_average, each) for each in (rules.price_multiplier_down, rules.price_multiplier_up))
    if price_average and (price < low or (high and price > high)):
        raise refusals.filter_failure("PERCENT_PRICE_BY_SIDE")


def check_quantity(rules: SymbolRules, quantity: int, *, has_price: bool) -> None:
    """Refuse a quantity out of bounds or off the lot."""
    low = rules.quantity_min and quantity < rules.quantity_min
    high = rules.quantity_max and quantity > rules.quantity_max
    off_grid = rules.lot_size and quantity % rules.lot_size
    if low or high or off_grid or quantity <= 0:
        raise refusals.filter_failure("LOT_SIZE")
    if not has_price and rules.market_quantity_max and quantity > rules.market_quantity_max:
        raise refusals.filter_failure("MARKET_LOT_SIZE")


def check_notional(rules: SymbolRules, notional: int, *, has_price: bool) -> None:
    """Refuse a notional out of bounds; the maximum does not apply to an order without a price (applyMaxToMarket)."""
    low = notional < rules.notional_min
    high = rules.notional_max and notional > rules.notional_max and has_price
    if low or high:
        raise refusals.filter_failure("NOTIONAL")


class OpenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The open orders of an account in a symbol, and its position."""

    orders: int
    algo_orders: int
    iceberg_orders: int
    base_position: int  # free and locked base asset, and the quantity of open buys


def check_counts(rules: SymbolRules, side: Side, opened: OpenCounts, *, quantity: int) -> None:
    """Refuse an order if too many are open or the position could become too large."""
    if opened.orders >= rules.orders_max:
        raise refusals.filter_failure("MAX_NUM_ORDERS")
    if side is Side.BUY and rules.position_max and opened.base_position + quantity > rules.position_max:
        raise refusals.filter_failure("MAX_POSITION")


def check_permission(rules: SymbolRules, flag: str) -> None:
    """Refuse what the symbol does not allow."""
    if flag in rules.forbidden:
        raise refusals.order_rejected(PERMISSIONS[flag])


def check_algo_count(rules: SymbolRules, opened: OpenCounts) -> None:
    """Refuse a stop or a take-profit if too many are open."""
    if opened.algo_orders >= rules.algo_orders_max:
        raise refusals.filter_failure("MAX_NUM_ALGO_ORDERS")


def check_iceberg(rules: SymbolRules, quantity: int, iceberg_quantity: int, opened: OpenCounts) -> None:
    """Refuse an iceberg with a wrong visible quantity, with too many parts, or one too many."""
    check_permission(rules, "icebergAllowed")
    if iceberg_quantity >= quantity:
        raise refusals.order_rejected("IcebergQty exceeds QTY.")
    check_quantity(rules, iceberg_quantity, has_price=True)
    if rules.iceberg_parts_max and -(-quantity // iceberg_quantity) > rules.iceberg_parts_max:
        raise refusals.filter_failure("ICEBERG_PARTS")
    if rules.iceberg_orders_max and opened.iceberg_orders >= rules.iceberg_orders_max:
        raise refusals.filter_failure("MAX_NUM_ICEBERG_ORDERS")


def check_trailing(rules: SymbolRules, delta: int, *, above: bool) -> None:
    """Refuse a trailing delta out of bounds; `above` names the orders that trigger above the market."""
    check_permission(rules, "allowTrailingStop")
    least, most = rules.trailing_above if above else rules.trailing_below
    if delta < least or (most and delta > most):
        raise refusals.filter_failure("TRAILING_DELTA")


def _count_filters(rules: SymbolRules) -> list[dict[str, Any]]:
    return [
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": rules.orders_max},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": rules.algo_orders_max},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": rules.order_lists_max},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": rules.amends_max},
    ]


def _filters(rules: SymbolRules) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": text(rules.price_min),
            "maxPrice": text(rules.price_max),
            "tickSize": text(rules.tick_size),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": text(rules.quantity_min),
            "maxQty": text(rules.quantity_max),
            "stepSize": text(rules.lot_size),
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": text(0),
            "maxQty": text(rules.market_quantity_max),
            "stepSize": text(0),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": _short(rules.price_multiplier_up),
            "bidMultiplierDown": _short(rules.price_multiplier_down),
            "askMultiplierUp": _short(rules.price_multiplier_up),
            "askMultiplierDown": _short(rules.price_multiplier_down),
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": text(rules.notional_min),
            "applyMinToMarket": True,
            "maxNotional": text(rules.notional_max),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "ICEBERG_PARTS", "limit": rules.iceberg_parts_max},
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": rules.trailing_above[0],
            "maxTrailingAboveDelta": rules.trailing_above[1],
            "minTrailingBelowDelta": rules.trailing_below[0],
            "maxTrailingBelowDelta": rules.trailing_below[1],
        },
        *_count_filters(rules),
    ]
    if rules.iceberg_orders_max:
        filters.append({"filterType": "MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": rules.iceberg_orders_max})
    if rules.position_max:
        filters.append({"filterType": "MAX_POSITION", "maxPosition": text(rules.position_max)})
    return filters


def exchange_info_entry(rules: SymbolRules) -> dict[str, Any]:
    """Return the symbol's entry in exchangeInfo. It lists only the order types that this venue accepts."""
    return {
        "symbol": rules.symbol,
        "status": rules.status,
        "baseAsset": rules.base,
        "baseAssetPrecision": 8,
        "quoteAsset": rules.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": list(BY_NAME),
        **{flag: flag not in rules.forbidden for flag in PERMISSIONS},
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(rules),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": list(rules.self_trade_modes),
    }


def _short(amount: int) -> str:
    return text(amount).rstrip("0").rstrip(".")
