"""Positions from fills. Nothing else may move a position; prices of the market are no business of this file.

Average cost, per strategy and instrument. A fee taken in the base asset is booked as base given away at the fill's price:
it lowers the quantity and counts in `fees_quote`, so that quantity stays what one really holds (binance_spot.md section 13).
"""

from decimal import Decimal

import msgspec

from engine import contracts
from engine.facts import OrderFilled, Position
from engine.model import Instrument
from engine.money import ZERO
from engine.state.changes import Change, Stamp


class Positions(msgspec.Struct, frozen=True):
    by_key: dict[str, Position] = {}  # "strategy instrument" -> position

    def of(self, strategy: str, instrument: str) -> Position:
        found = self.by_key.get(f"{strategy} {instrument}")
        return found if found is not None else flat(strategy, instrument)

    def net(self, instrument: str) -> Decimal:
        """All strategies together."""
        return sum((held.quantity for held in self.by_key.values() if held.instrument == instrument), ZERO)


def flat(strategy: str, instrument: str) -> Position:
    return Position(strategy, instrument, ZERO, ZERO, ZERO, {}, ZERO)


def reduce(positions: Positions, change: Change, at: Stamp) -> Positions:
    """Folds the Position that a fill led to: the arithmetic is `after_fill`, done once, when the fact is made."""
    if isinstance(change, Position):
        return Positions({**positions.by_key, f"{change.strategy} {change.instrument}": change})
    return positions


def after_fill(held: Position, fill: OrderFilled, instrument: Instrument) -> Position:
    """The position after one fill, by average cost. A contract's P&L and fees are told in contracts.asset_of, and its fees are no part of it."""
    fees, fees_quote = held.fees, held.fees_quote
    if fill.fee:
        fees = {**fees, fill.fee_asset: fees.get(fill.fee_asset, ZERO) + fill.fee}
    if instrument.contract:
        if fill.fee_asset == contracts.asset_of(instrument):
            fees_quote += fill.fee
        return Position(held.strategy, held.instrument, *_contract_moved(held, fill, instrument), fees, fees_quote)
    moved = _moved(held.quantity, held.price_avg, held.realised_pnl, fill.quantity * fill.side.sign, fill.price)
    if fill.fee:
        if fill.fee_asset == instrument.base:
            # it leaves at the fill's price: a sale whose proceeds are the fee counted in quote
            fees_quote += fill.fee * fill.price
            moved = _moved(*moved, -fill.fee, fill.price)
        elif fill.fee_asset == instrument.quote:
            fees_quote += fill.fee
    return Position(held.strategy, held.instrument, *moved, fees, fees_quote)


def _moved(
    quantity: Decimal, price_avg: Decimal, realised: Decimal, signed: Decimal, price: Decimal
) -> tuple[Decimal, Decimal, Decimal]:
    """Quantity, average price and realised P&L after `signed` more at `price`: more of it, less of it, or across zero."""
    after = quantity + signed
    if quantity == 0 or (quantity > 0) == (signed > 0):
        price_avg = (price_avg * abs(quantity) + price * abs(signed)) / abs(after)
    else:
        realised += (price - price_avg) * min(abs(quantity), abs(signed)) * (1 if quantity > 0 else -1)
        if abs(signed) > abs(quantity):
            price_avg = price  # what is left over opens the other way
    return after, price_avg if after else ZERO, realised


def _contract_moved(held: Position, fill: OrderFilled, instrument: Instrument) -> tuple[Decimal, Decimal, Decimal]:
    """The same of a contract, linear or inverse: its average is by worth (engine/contracts.py)."""
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


def unrealised(held: Position, mark: Decimal, instrument: Instrument) -> Decimal:
    if instrument.contract:
        return contracts.gain(instrument, held.quantity, held.price_avg, mark)
    return (mark - held.price_avg) * held.quantity
