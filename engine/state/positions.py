"""Positions from fills, by average cost, per strategy and instrument. Only a fill moves a position.

A fee in the base asset counts as base that is given away at the fill's price: it lowers the quantity and counts in
`fees_quote`, so the quantity stays the real holding (Binance Spot API, trade endpoints).
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from engine import contracts
from engine.facts import FeeCharged, OrderFilled, Position, PositionOpened
from engine.model import Instrument
from engine.money import ZERO
from engine.state.changes import Change, Stamp
from journal.record import plain


class Positions(msgspec.Struct, frozen=True):
    """The positions of all strategies."""

    by_key: dict[str, Position] = {}  # "strategy instrument" -> position

    def get(self, strategy: str, instrument: str) -> Position:
        """Return a strategy's position in an instrument; a flat one before its first fill."""
        position = self.by_key.get(f"{strategy} {instrument}")
        return position or Position(strategy, instrument, ZERO, ZERO, ZERO, {}, ZERO)

    def net(self, instrument: str) -> Decimal:
        """Return the quantity of all strategies together."""
        return sum([each.quantity for each in self.by_key.values() if each.instrument == instrument], ZERO)


def reduce(positions: Positions, change: Change, at: Stamp) -> Positions:
    """Keep the position that a fill led to, or that was there before. `after_fill` computes it with the fact."""
    if isinstance(change, Position):
        return Positions({**positions.by_key, f"{change.strategy} {change.instrument}": change})
    if isinstance(change, PositionOpened):
        opened = Position(change.strategy, change.instrument, change.quantity, change.entry_price, ZERO, {}, ZERO)
        return Positions({**positions.by_key, f"{change.strategy} {change.instrument}": opened})
    return positions


def after_fill(held: Position, fill: OrderFilled, instrument: Instrument, *, keeps_unvalued: bool = False) -> Position:
    """Return the position after one fill, by average cost.

    A contract's P&L and fees are in contracts.asset_of, and its P&L does not contain its fees. A fee in a third asset
    counts at the fill's fee rate; with `keeps_unvalued`, one without a rate is kept apart.
    """
    fees, fees_quote, unvalued = held.fees, held.fees_quote, held.fees_unvalued
    own_assets = (contracts.asset_of(instrument),) if instrument.contract else (instrument.base, instrument.quote)
    if fill.fee:
        fees = {**fees, fill.fee_asset: fees.get(fill.fee_asset, ZERO) + fill.fee}
        if fill.fee_asset not in own_assets:
            fees_quote += fill.fee * fill.fee_rate
            if keeps_unvalued and not fill.fee_rate:
                unvalued = {**unvalued, fill.fee_asset: unvalued.get(fill.fee_asset, ZERO) + fill.fee}
    if instrument.contract:
        if fill.fee_asset == contracts.asset_of(instrument):
            fees_quote += fill.fee
        return Position(
            held.strategy, held.instrument, *_contract_moved(held, fill, instrument), fees, fees_quote, unvalued
        )
    moved = _moved(held.quantity, held.price_avg, held.realised_pnl, fill.quantity * fill.side.sign, fill.price)
    if fill.fee:
        if fill.fee_asset == instrument.base:
            # a sale at the fill's price, whose proceeds are the fee in quote
            fees_quote += fill.fee * fill.price
            moved = _moved(*moved, -fill.fee, fill.price)
        elif fill.fee_asset == instrument.quote:
            fees_quote += fill.fee
    return Position(held.strategy, held.instrument, *moved, fees, fees_quote, unvalued)


def after_fee(held: Position, fee: FeeCharged, instrument: Instrument) -> Position:
    """Return the position of spot after a fee that no fill stated. Base is sold for it, as for a stated one."""
    moved = (held.quantity, held.price_avg, held.realised_pnl)
    if fee.asset == instrument.base:
        moved = _moved(*moved, -fee.amount, fee.fee_rate)
    fees = {**held.fees, fee.asset: held.fees.get(fee.asset, ZERO) + fee.amount}
    in_quote = fee.amount * (fee.fee_rate or 1)
    return Position(held.strategy, held.instrument, *moved, fees, held.fees_quote + in_quote, held.fees_unvalued)


def _moved(
    quantity: Decimal, price_avg: Decimal, realised: Decimal, signed: Decimal, price: Decimal
) -> tuple[Decimal, Decimal, Decimal]:
    """Return quantity, average price and realised P&L after `signed` more at `price`."""
    after = quantity + signed
    if quantity == 0 or (quantity > 0) == (signed > 0):
        price_avg = (price_avg * abs(quantity) + price * abs(signed)) / abs(after)
    else:
        realised += (price - price_avg) * min(abs(quantity), abs(signed)) * (1 if quantity > 0 else -1)
        if abs(signed) > abs(quantity):
            price_avg = price  # the rest opens the other side
    return after, price_avg if after else ZERO, realised


def _contract_moved(held: Position, fill: OrderFilled, instrument: Instrument) -> tuple[Decimal, Decimal, Decimal]:
    """Return the same of a contract, linear or inverse. Its average is by worth (engine/contracts.py)."""
    quantity, signed = held.quantity, fill.quantity * fill.side.sign
    after = quantity + signed
    if quantity == 0:
        return after, fill.price, held.realised_pnl
    if (quantity > 0) == (signed > 0):
        return after, contracts.entry_of(instrument, quantity, held.price_avg, signed, fill.price), held.realised_pnl
    closed = min(abs(quantity), abs(signed)) * (1 if quantity > 0 else -1)
    realised = held.realised_pnl + contracts.gain(instrument, closed, held.price_avg, fill.price)
    price_avg = fill.price if abs(signed) > abs(quantity) else held.price_avg
    return after, price_avg if after else ZERO, realised


def unvalued_text(fees: Mapping[str, Decimal | str]) -> str:
    """Return the fees that no rate values, as they follow a sum: " and 0.5 BNB"; "" without any.

    >>> unvalued_text({"BNB": Decimal("0.50"), "FDUSD": Decimal(2)})
    ' and 0.5 BNB and 2 FDUSD'
    """
    return "".join(f" and {plain(Decimal(fees[asset]))} {asset}" for asset in sorted(fees))


def unrealised(held: Position, mark: Decimal, instrument: Instrument) -> Decimal:
    """Return the P&L of the open quantity at a mark price."""
    if instrument.contract:
        return contracts.gain(instrument, held.quantity, held.price_avg, mark)
    return (mark - held.price_avg) * held.quantity
