"""Instruments from ccxt's markets, and the markets that its calls and parsers need from our instruments."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import ceil
from typing import Any

from engine.events import InstrumentsReport
from engine.market.rows import fitting_scale
from engine.model import Instrument, RateLimits
from engine.venues.ccxt.exact_numbers import exact, number_or_zero
from engine.venues.ccxt.exchange_rules import ExchangeRules

DECIMAL_PLACES, SIGNIFICANT_DIGITS = 2, 3  # ccxt's precision modes; 4 is the size of a tick
SIZE_DECIMALS = 8  # books hold sizes off the grid of orders
PRICE_DECIMALS = 8  # of a market whose prices have significant digits instead of a grid
LARGEST_SIZE = Decimal(10**7)
MINUTE_MS = 60_000
WEIGHT_MAX = 60_000  # in a minute


def unified_symbol(instrument: Instrument) -> str:
    """Return ccxt's name for an instrument."""
    return f"{instrument.base}/{instrument.quote}"


def rate_limits(exchange: Any) -> RateLimits:
    """Return the limits: ccxt's units of cost in a minute. ccxt states no separate limit for orders."""
    units = min(int(MINUTE_MS / float(exchange.rateLimit or 1_000)), WEIGHT_MAX)
    return RateLimits(weight_minute_max=max(units, 1), orders_10s_max=max(units // 6, 1))


def weight_of(cost: float) -> int:
    """Return what a request of this cost weighs."""
    return max(1, ceil(cost))


def read_markets(exchange: Any, venue: str, markets: Iterable[Any]) -> InstrumentsReport:
    """Return the spot markets as instruments, in the order of their names. Raises ValueError if none can be read."""
    found: dict[str, Instrument] = {}
    named: set[str] = set()
    unreadable = ""
    for market in markets:
        if not market.get("spot") or market.get("contract"):
            continue
        try:
            instrument = _instrument(exchange, venue, market)
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            unreadable = unreadable or f"{market.get('id')}: {error}"
            continue
        if unified_symbol(instrument) in named:
            continue  # two markets with one name: a call by name could reach the wrong one
        named.add(unified_symbol(instrument))
        found[instrument.symbol] = instrument
    if not found:
        raise ValueError(f"no spot market is described; {unreadable or 'the list is empty'}"[:200])
    return InstrumentsReport(tuple(found[symbol] for symbol in sorted(found)), rate_limits(exchange))


def _instrument(exchange: Any, venue: str, market: Any) -> Instrument:
    symbol, base, quote = (str(market[name]) for name in ("id", "base", "quote"))
    precision, limits = market["precision"], market["limits"]
    tick, lot = _step(exchange, precision.get("price")), _step(exchange, precision.get("amount"))
    amounts, prices, costs = (limits.get(name) or {} for name in ("amount", "price", "cost"))
    largest = number_or_zero(amounts.get("max")) or LARGEST_SIZE
    return Instrument(
        id=f"{venue}:{symbol}",
        venue=venue,
        symbol=symbol,
        base=base,
        quote=quote,
        price_scale=_decimals(tick) if tick else PRICE_DECIMALS,
        size_scale=fitting_scale(SIZE_DECIMALS, _decimals(lot), min(largest, LARGEST_SIZE)),
        tick_size=tick,
        lot_size=lot,
        price_min=number_or_zero(prices.get("min")),
        price_max=number_or_zero(prices.get("max")),
        quantity_min=number_or_zero(amounts.get("min")),
        quantity_max=number_or_zero(amounts.get("max")),
        notional_min=number_or_zero(costs.get("min")),
        trading=market.get("active") is not False,
    )


def _step(exchange: Any, stated: Any) -> Decimal:
    """Return the grid that a precision means; 0 if it is none."""
    if stated is None:
        return Decimal(0)
    value = exact(stated)
    if exchange.precisionMode == SIGNIFICANT_DIGITS:
        return Decimal(0)
    if exchange.precisionMode == DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(value))
    return value


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a step is finite"
    return max(0, -exponent)


def set_markets(exchange: Any, instruments: Sequence[Instrument], rules: ExchangeRules) -> None:
    """Give an exchange the markets of these instruments."""
    made = [_market(exchange, of, rules) for of in instruments]
    exchange.set_markets(made)


def _market(exchange: Any, of: Instrument, rules: ExchangeRules) -> dict[str, Any]:
    is_lower = of.symbol == of.symbol.lower()
    places = exchange.precisionMode == DECIMAL_PLACES
    price, amount = (_decimals(step) if places else (step or None) for step in (of.tick_size, of.lot_size))
    if exchange.precisionMode == SIGNIFICANT_DIGITS:
        price, amount = 5, Decimal(SIZE_DECIMALS)
    found: dict[str, Any] = exchange.safe_market_structure(
        {
            "id": of.symbol,
            "lowercaseId": of.symbol.lower(),
            "symbol": unified_symbol(of),
            "base": of.base,
            "quote": of.quote,
            "baseId": of.base.lower() if is_lower else of.base,
            "quoteId": of.quote.lower() if is_lower else of.quote,
            "type": "spot",
            "spot": True,
            "margin": False,
            "active": of.trading,
            "precision": {"price": price, "amount": amount},
            "limits": {"amount": {"min": of.quantity_min or None}, "cost": {"min": of.notional_min or None}},
            "info": dict(rules.market_info),
        }
    )
    return found
