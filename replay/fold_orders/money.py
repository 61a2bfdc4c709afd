"""The money of a run with orders in the fold, by the functions of the venue: fees, cash, and whether it lasts."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

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
        fees: list[int] = []
        needs = _contract_needs if self._rules.settles_in else _spot_needs
        highest = [0, 0]  # needs of the asset of cash, and of base
        lowest = self._totals()
        for event, needed in zip(events.tolist(), needs(events, touch_max), strict=True):
            highest = [max(pair) for pair in zip(highest, needed, strict=True)]
            kind, _, _, side, price, size, maker, _ = event
            if kind == at.FILLED:
                fees.append(self._settle_fill(side, price, size, is_maker=bool(maker)))
                lowest = [min(pair) for pair in zip(lowest, self._totals(), strict=True)]
        value = highest[0] * self._price_unit * self._size_unit // ONE
        if MARGIN * value > lowest[0]:
            raise _too_little(self.asset)
        if MARGIN * highest[1] * self._size_unit > lowest[1]:
            raise _too_little(self._rules.base)
        return fees

    def cash(self) -> Decimal:
        """Return what the asset of cash gained."""
        return Decimal(self._funds.total(self.asset) - self._before).scaleb(-PLACES)

    def cost(self) -> Decimal:
        """Return the worth at entry of a contract's position."""
        holding = self._funds.contracts.get(self._instrument.symbol)
        return Decimal(0 if holding is None else holding.cost).scaleb(-PLACES)

    def _totals(self) -> list[int]:
        return [self._funds.total(self.asset), self._funds.total(self._rules.base)]

    def _settle_fill(self, side: int, price: int, size: int, *, is_maker: bool) -> int:
        rules, funds = self._rules, self._funds
        order: Any = _SettledOrder(rules.symbol, Side.BUY if side > 0 else Side.SELL)
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


def _contract_needs(events: Rows, touch_max: int) -> Iterator[tuple[int, int]]:
    """Yield at each event the notional of the position and all live orders at the price of the newest."""
    leaves: dict[int, int] = {}
    position = 0
    for kind, _, number, side, price, size, _, _ in events.tolist():
        needed = 0
        if kind in (at.PLACED, at.REFUSED):  # risk compares the funds of an order that another rule refuses too
            wanted = abs(position) + sum(leaves.values()) + max(size, 0)
            needed = wanted * (price or touch_max)
        if kind == at.PLACED:
            leaves[number] = size
        elif kind == at.FILLED:
            leaves[number] -= size
            position += side * size
        elif kind in (at.CANCELED, at.REJECTED):
            del leaves[number]
        yield needed, 0


def _spot_needs(events: Rows, touch_max: int) -> Iterator[tuple[int, int]]:
    """Yield at each event what live buys cost in quote, and what live sales are in base."""
    live: dict[int, list[int]] = {}  # side, price, quantity that is left
    for kind, _, number, side, price, size, _, _ in events.tolist():
        if kind in (at.PLACED, at.REFUSED):
            live[number] = [side, price or touch_max, max(size, 0)]
            buys = sum(cost * left for of, cost, left in live.values() if of > 0)
            yield buys, sum(left for of, _, left in live.values() if of < 0)
        else:
            yield 0, 0
        if kind == at.FILLED:
            live[number][2] -= size
        if kind in (at.CANCELED, at.REJECTED, at.REFUSED) or (kind == at.FILLED and not live[number][2]):
            del live[number]
