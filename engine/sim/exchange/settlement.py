"""Money of one fill: assets swapped on spot, P&L of a contract, fees and funding. Knows no book and no report.

Amounts are integers in units of 1e-8.
"""

from typing import NamedTuple

from engine.model import Side
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.funds import Funds, Holding
from engine.sim.exchange.order_values import SimOrder
from engine.sim.units import ONE, product


class Paid(NamedTuple):
    """What a fill cost and brought, beside the assets that it swapped."""

    fee: int
    fee_asset: str  # "" without a fee
    realised: int = 0  # P&L of a contract, in its margin asset


def contract_worth(rules: SymbolRules, quantity: int, price: int) -> int:
    """Return the notional of a contract, signed as its quantity: in quote, or in base if it is inverse."""
    size = product(quantity, rules.contract_size)
    return size * ONE // price if rules.inverse else product(price, size)


def swap_assets(
    rules: SymbolRules, funds: Funds, order: SimOrder, quantity: int, quote: int, *, maker: bool
) -> tuple[int, str]:
    """Exchange the locked asset for the other one, less the fee; return the fee and its asset."""
    if order.side is Side.BUY and rules.fee_in_quote:
        fee = product(quote, funds.rate(maker=maker))
        funds.pay_locked(rules.quote, quote + fee)
        order.locked -= quote + fee
        funds.deposit(rules.base, quantity)
        return fee, rules.quote
    if order.side is Side.BUY:
        pay_asset, pay, get_asset, get = rules.quote, quote, rules.base, quantity
    else:
        pay_asset, pay, get_asset, get = rules.base, quantity, rules.quote, quote
    funds.pay_locked(pay_asset, pay)
    order.locked -= pay
    if fee := funds.pay_fee(quote, maker=maker):
        funds.deposit(get_asset, get)
        return fee, funds.fee_asset
    return funds.receive(get_asset, get, maker=maker), get_asset


def contract_fee(rules: SymbolRules, funds: Funds, price: int, quantity: int, *, maker: bool) -> int:
    """Return the fee of a contract's fill."""
    return product(contract_worth(rules, quantity, price), funds.rate(maker=maker))


def settle_contract(
    rules: SymbolRules, funds: Funds, order: SimOrder, price: int, quantity: int, *, maker: bool
) -> int:
    """Book the realised P&L of a contract's fill less its fee; return the fee."""

    def gains(signed: int) -> int:
        """Return the worth as P&L counts it: an inverse contract gains when its worth in base falls."""
        worth = contract_worth(rules, signed, price)
        return -worth if rules.inverse else worth

    realised = funds.contracts.setdefault(order.symbol, Holding()).trade(quantity * order.side.sign, gains)
    fee = contract_fee(rules, funds, price, quantity, maker=maker)
    funds.book(rules.settles_in, realised - fee)
    return fee


def settle_funding(rules: SymbolRules, funds: Funds, price: int, rate: int) -> int | None:
    """Book the funding of a held contract, by the last mark price and rate. Return what was received, None if none."""
    held = funds.contracts.get(rules.symbol)
    if held is None or not held.quantity or not price or not rules.settles_in:
        return None
    amount = -product(contract_worth(rules, held.quantity, price), rate)
    funds.book(rules.settles_in, amount)
    return amount
