"""The money of a run with orders in the fold, by the functions of the venue: fees, cash, and whether it lasts."""

from dataclasses import dataclass
from decimal import Decimal
from operator import mul
from typing import Any, Final

import numpy as np

from engine.market.rows import Rows
from engine.model import Instrument, Side
from engine.sim.exchange.funds import Funds
from engine.sim.exchange.settlement import contract_fee, settle_contract, swap_assets
from engine.sim.exchange.symbol_view import SymbolMarket
from engine.sim.fold_orders import fold_layout as at
from engine.sim.units import ONE, PLACES, product
from replay.fold_orders.foldable import CannotFoldError

MARGIN: Final = 2  # the loop computes no margin and locks no funds: with so much no order is refused for want of them


@dataclass(slots=True)
class _SettledOrder:
    """The part of an order that the settlement of a fill reads."""

    symbol: str
    side: Side
    locked: int = 0


class FoldMoney:
    """The account of a run. Prices and sizes are whole multiples of the instrument's units, amounts units of 1e-8."""

    def __init__(self, instrument: Instrument, market: SymbolMarket, funds: Funds) -> None:
        self._instrument = instrument
        self._rules = rules = market.rules
        self._funds = funds
        self._price_unit = 10 ** (PLACES - instrument.price_scale)
        self._size_unit = 10 ** (PLACES - instrument.size_scale)
        self._before = funds.total(self.asset)
        self._orders: dict[int, Any] = {side.sign: _SettledOrder(rules.symbol, side) for side in Side}
        if rules.fee_in_quote or funds.fee_asset:
            raise CannotFoldError("orders in the fold: fees are charged in an asset that the fill does not bring.")

    @property
    def asset(self) -> str:
        """The asset in which cash is counted."""
        return self._rules.settles_in or self._rules.quote

    def fee_of(self, side: int, price: int, size: int, *, is_maker: bool) -> tuple[int, str]:
        """Return the fee of a fill and its asset."""
        rules, paid = self._rules, (price * self._price_unit, size * self._size_unit)
        if rules.settles_in:
            return contract_fee(rules, self._funds, *paid, maker=is_maker), rules.settles_in
        amount, asset = (paid[1], rules.base) if side > 0 else (product(*paid), rules.quote)
        return product(amount, self._funds.rate(maker=is_maker)), asset

    def settle(self, events: Rows, touch_max: int) -> list[int]:
        """Book all fills; return their fees.

        Args:
            events: The events of the run.
            touch_max: The highest price that an order without a limit met, with its headroom.

        Raises:
            CannotFoldError: The account might have lacked funds.
        """
        fees = list[int]()
        needs = _contract_needs if self._rules.settles_in else _spot_needs
        cash_needed, base_needed = needs(events, touch_max)
        totals, asset, base_asset = self._funds.total, self.asset, self._rules.base
        cash, base = totals(asset), totals(base_asset)  # the least that the account had
        for _, _, _, side, price, size, maker, _ in events[events[:, at.X_KIND] == at.FILLED].tolist():
            fees.append(self._settle_fill(side, price, size, is_maker=bool(maker)))
            cash, base = min(cash, totals(asset)), min(base, totals(base_asset))
        value = cash_needed * self._price_unit * self._size_unit // ONE
        if MARGIN * value > cash:
            raise _too_little(asset)
        if MARGIN * base_needed * self._size_unit > base:
            raise _too_little(base_asset)
        return fees

    def cash(self) -> Decimal:
        """Return what the asset of cash gained."""
        return Decimal(self._funds.total(self.asset) - self._before).scaleb(-PLACES)

    def cost(self) -> Decimal:
        """Return the worth at entry of a contract's position."""
        holding = self._funds.contracts.get(self._instrument.symbol)
        return Decimal(0 if holding is None else holding.cost).scaleb(-PLACES)

    def _settle_fill(self, side: int, price: int, size: int, *, is_maker: bool) -> int:
        rules, funds, order = self._rules, self._funds, self._orders[side]
        paid = price * self._price_unit, size * self._size_unit
        if rules.settles_in:
            return settle_contract(rules, funds, order, *paid, maker=is_maker)
        quote = product(*paid)
        asset, amount = (rules.quote, quote) if side > 0 else (rules.base, paid[1])
        if funds.free.get(asset, 0) < amount:
            raise _too_little(asset)
        funds.lock(asset, amount)
        return swap_assets(rules, funds, order, paid[1], quote, maker=is_maker)[0]


def _too_little(asset: str) -> CannotFoldError:
    return CannotFoldError(
        f"orders in the fold: the account has less {asset} than {MARGIN} times what its position and orders need, so "
        f"one might be refused. What to do: give a larger balance of {asset}, or leave out --orders-in-fold, which "
        "runs the ordinary way."
    )


def _contract_needs(events: Rows, touch_max: int) -> tuple[int, int]:
    """Return the largest notional of the position and all live orders, at the price of a new order; and 0."""
    kinds, sizes = events[:, at.X_KIND], events[:, at.X_SIZE]
    is_placed, is_filled, is_canceled = kinds == at.PLACED, kinds == at.FILLED, kinds == at.CANCELED
    leaves = np.where(is_placed, sizes, 0)  # the change of the open quantity of live orders
    leaves[is_filled | (kinds == at.REJECTED)] = -sizes[is_filled | (kinds == at.REJECTED)]
    placed = sizes[is_placed]  # of all orders: they are numbered from 1
    leaves[is_canceled] = sizes[is_canceled] - placed[events[is_canceled, at.X_NUMBER] - 1]
    position = np.cumsum(np.where(is_filled, events[:, at.X_SIDE] * sizes, 0))
    amounts = abs(position) + np.cumsum(leaves) - leaves + np.maximum(sizes, 0)
    is_new = is_placed | (kinds == at.REFUSED)  # risk compares the funds of an order that another rule refuses too
    prices = [price or touch_max for price in events[is_new, at.X_PRICE].tolist()]
    return max(map(mul, amounts[is_new].tolist(), prices), default=0), 0


def _spot_needs(events: Rows, touch_max: int) -> tuple[int, int]:
    """Return the most that live buys cost in quote, and the most that live sales were in base."""
    costs: dict[int, int] = {}  # of each order: what a unit of it takes of its asset
    leaves: dict[int, int] = {}
    live, most = [0, 0], [0, 0]  # of buys and of sales
    for kind, _, number, side, price, size, _, _ in events.tolist():
        asset = 0 if side > 0 else 1
        if kind in (at.PLACED, at.REFUSED):
            cost = (price or touch_max) if side > 0 else 1
            wanted = live[asset] + cost * max(size, 0)
            most[asset] = max(most[asset], wanted)
            if kind == at.PLACED:
                costs[number], leaves[number], live[asset] = cost, size, wanted
        elif kind in (at.FILLED, at.CANCELED, at.REJECTED):
            less = size if kind == at.FILLED else leaves[number]
            leaves[number] -= less
            live[asset] -= costs[number] * less
    return most[0], most[1]
