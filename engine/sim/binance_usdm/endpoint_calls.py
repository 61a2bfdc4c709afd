"""Shared parts of USD-M's endpoints: the exchange of contracts, symbols, time windows and pages."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from engine.sim.binance import refusals
from engine.sim.binance.endpoints import Call, Endpoint
from engine.sim.binance.params import Params
from engine.sim.binance_usdm import contract_refusals as own
from engine.sim.exchange.contract_exchange import ContractExchange
from engine.sim.exchange.margin_account import MarginAccount
from engine.sim.exchange.symbol_view import SymbolMarket

MS: Final = 1_000_000
DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
Row = TypeVar("Row")
SUCCESS: Final = {"code": 200, "msg": "success"}


def contracts(call: Call) -> ContractExchange:
    """Return the exchange of contracts that answers a call."""
    assert isinstance(call.exchange, ContractExchange), "the protocol of contracts has their exchange"
    return call.exchange


def owner_of(call: Call) -> MarginAccount:
    """Return the account of a signed call."""
    return contracts(call).margin_accounts[call.account]


def market_of(call: Call) -> SymbolMarket:
    """Return the market of the symbol that a call names."""
    return call.exchange.market(call.params.symbol())


def week_window(call: Call) -> tuple[int, int]:
    """Return startTime and endTime in milliseconds: the last 7 days, or the range of the call, of 7 days at most."""
    now_ms = call.now_ns // MS
    start_ms, end_ms = call.params.integer("startTime"), call.params.integer("endTime")
    if start_ms is None:
        return (now_ms if end_ms is None else end_ms) - WEEK_MS, now_ms if end_ms is None else end_ms
    if end_ms is None:
        return start_ms, min(start_ms + WEEK_MS, now_ms)
    if end_ms - start_ms > WEEK_MS:
        raise own.window_too_long(7)
    return start_ms, end_ms


def page(found: list[Row], limit: int, *, oldest_first: bool) -> list[Row]:
    """Return the first rows, or the last ones."""
    return found[:limit] if oldest_first else found[-limit:]


def by_symbol(one: int, every: int) -> Callable[[Params], int]:
    """Return a weight that depends on whether a call names a symbol."""
    return lambda params: one if params.get("symbol") else every


def keyed(handler: Callable[[Call], Any], weight: int = 1) -> Endpoint:
    """Return an endpoint that needs a key, but no signature."""
    return Endpoint(handler=handler, weight=lambda _: weight, keyed=True)


def one_or_many(call: Call, rows: list[Any]) -> Any:
    """Return the row of the symbol that a call names, or all rows."""
    return rows[0] if call.params.get("symbol") else rows


def whole_number(params: Params, name: str) -> int:
    """Return a required integer."""
    value = params.integer(name)
    if value is None:
        raise refusals.mandatory(name)
    return value
