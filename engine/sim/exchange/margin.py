"""Margin of an account: the bound and the available amounts, and the prices of liquidation.

Pure functions of positions, orders, mark prices and rules. Amounts are integers in units of 1e-8; required margin is
rounded up.

One-way mode counts the worse of two worlds for a symbol: all its open buys filled, or all its open sales. Hedge mode
counts each position with the orders that increase it. Orders that only reduce bind nothing.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from engine.model import PositionSide, Side
from engine.sim.binance.filters import SymbolRules
from engine.sim.exchange.contract_rules import ContractRules
from engine.sim.exchange.margin_account import ContractPosition, MarginAccount
from engine.sim.exchange.order_values import SimNewOrder, SimOrder
from engine.sim.units import ONE, product


class OpenNotional(NamedTuple):
    """The notional of the open orders that increase a position: buys and sales."""

    bids: int = 0
    asks: int = 0

    def plus(self, side: Side, notional: int) -> "OpenNotional":
        """Return it with one more order."""
        return OpenNotional(self.bids + notional, self.asks) if side is Side.BUY else (
            OpenNotional(self.bids, self.asks + notional)
        )  # fmt: skip


class PositionMargin(NamedTuple):
    """The margin of one position at a mark price."""

    position: ContractPosition
    mark: int
    notional: int  # signed
    unrealised: int
    initial: int
    open_order: int  # initial margin of open orders, beside that of the position
    maintenance: int
    open_notional: OpenNotional


class AssetMargin(NamedTuple):
    """An account's margin in one asset."""

    wallet: int
    cross_wallet: int
    unrealised: int
    cross_unrealised: int
    position_initial: int
    open_order_initial: int
    maintenance: int
    cross_maintenance: int
    available: int

    @property
    def initial(self) -> int:
        """The initial margin of positions and open orders."""
        return self.position_initial + self.open_order_initial

    @property
    def margin_balance(self) -> int:
        """The wallet and the P&L that is not realised."""
        return self.wallet + self.unrealised

    @property
    def cross_balance(self) -> int:
        """The money that bears the losses of all cross positions."""
        return self.cross_wallet + self.cross_unrealised


def contract_of(rules: SymbolRules) -> ContractRules:
    """Return the contract's rules of a symbol that is one."""
    assert rules.contract is not None, rules.symbol
    return rules.contract


def increases(order: SimOrder | SimNewOrder) -> bool:
    """Return True for an order that may increase its position, in hedge mode only then."""
    terms = order.contract
    assert terms is not None, "an order of a contract has its terms"
    if terms.reduce_only or terms.close_position:
        return False
    if terms.position_side is PositionSide.BOTH:
        return True
    return (order.side is Side.BUY) == (terms.position_side is PositionSide.LONG)


def open_notional(orders: Iterable[SimOrder], side: PositionSide) -> OpenNotional:
    """Return the notional of a symbol's open orders that increase one position."""
    found = OpenNotional()
    for order in orders:
        if order.contract is not None and order.contract.position_side is side and increases(order):
            found = found.plus(order.side, product(order.price, order.leaves))
    return found


def worst_notional(notional: int, opened: OpenNotional) -> int:
    """Return the notional if all open buys or all open sales are filled, the larger of the two."""
    return max(abs(notional + opened.bids), abs(notional - opened.asks))


def position_margin(
    position: ContractPosition, rules: SymbolRules, mark: int, leverage: int, opened: OpenNotional
) -> PositionMargin:
    """Return the margin of a position and of the open orders that increase it."""
    notional = product(mark, position.quantity)
    initial = -(-abs(notional) // leverage)
    return PositionMargin(
        position=position,
        mark=mark,
        notional=notional,
        unrealised=position.unrealised(mark),
        initial=initial,
        open_order=-(-worst_notional(notional, opened) // leverage) - initial,
        maintenance=contract_of(rules).maintenance(abs(notional)),
        open_notional=opened,
    )


def position_margins(
    account: MarginAccount, rules: Mapping[str, SymbolRules], marks: Mapping[str, int], orders: Iterable[SimOrder]
) -> list[PositionMargin]:
    """Return the margin of each position that is open or has open orders, by symbol and side."""
    by_symbol: dict[str, list[SimOrder]] = {}
    for order in orders:
        by_symbol.setdefault(order.symbol, []).append(order)
    symbols = sorted({*by_symbol, *(position.symbol for position in account.open_positions())})
    return [
        position_margin(
            account.position(symbol, side),
            rules[symbol],
            marks.get(symbol, 0),
            account.leverage(symbol),
            open_notional(by_symbol.get(symbol, ()), side),
        )
        for symbol in symbols
        for side in account.sides
    ]


def asset_margin(
    account: MarginAccount, asset: str, rules: Mapping[str, SymbolRules], margins: Iterable[PositionMargin]
) -> AssetMargin:
    """Return the sums of an account in one margin asset."""
    own = [each for each in margins if rules[each.position.symbol].settles_in == asset]
    cross = [each for each in own if not account.is_isolated(each.position.symbol)]
    cross_wallet = account.free.get(asset, 0)
    cross_unrealised = sum(each.unrealised for each in cross)
    bound = sum(each.initial for each in cross) + sum(each.open_order for each in own)
    isolated = sum(
        each.isolated_wallet for each in account.positions.values() if rules[each.symbol].settles_in == asset
    )
    return AssetMargin(
        wallet=cross_wallet + isolated,
        cross_wallet=cross_wallet,
        unrealised=sum(each.unrealised for each in own),
        cross_unrealised=cross_unrealised,
        position_initial=sum(each.initial for each in own),
        open_order_initial=sum(each.open_order for each in own),
        maintenance=sum(each.maintenance for each in own),
        cross_maintenance=sum(each.maintenance for each in cross),
        available=max(cross_wallet + cross_unrealised - bound, 0),
    )


def liquidation_price(
    margin: PositionMargin, rules: SymbolRules, *, balance: int, other_maintenance: int, other_unrealised: int
) -> int:
    """Return the mark price at which a position is liquidated if nothing else moves; 0 without such a price.

    It solves balance + unrealised(price) = maintenance(price) in each bracket: the result must fit the bracket that
    it was computed with.

    Args:
        margin: The position's margin now.
        rules: The symbol's rules.
        balance: The wallet that bears its losses.
        other_maintenance: Maintenance margin of the other positions on that wallet.
        other_unrealised: Their P&L.
    """
    quantity = margin.position.quantity
    if not quantity:
        return 0
    own = balance + other_unrealised - other_maintenance - margin.position.cost
    size = abs(quantity)
    for bracket in contract_of(rules).brackets:
        # own + price x quantity = price x size x rate - amount
        share = quantity * ONE - size * bracket.rate
        if not share:
            continue
        price = -(own + bracket.amount) * ONE * ONE // share
        if price > 0 and bracket.floor <= product(price, size) <= bracket.cap:
            return price
    return 0
