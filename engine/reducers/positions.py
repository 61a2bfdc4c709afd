"""Positions from fills. Nothing else may move a position; prices of the market are no business of this file.

Average cost, per strategy and instrument. A fee taken in the base asset is booked as base given away at the fill's price:
it lowers the quantity and counts in `fees_quote`, so that quantity stays what one really holds (binance_spot.md section 13).
"""

from decimal import Decimal

import msgspec

from engine.facts import OrderFilled, Position
from engine.model import Instrument, Side
from engine.money import ZERO
from engine.reducers.changes import Change, Stamp


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


def reduce(positions: Positions, change: Change, at: Stamp) -> Positions:  # noqa: ARG001 - every reducer is told when
    """Folds the Position that a fill led to: the arithmetic is `after_fill`, done once, when the fact is made."""
    if isinstance(change, Position):
        return Positions({**positions.by_key, f"{change.strategy} {change.instrument}": change})
    return positions


def after_fill(held: Position, fill: OrderFilled, instrument: Instrument) -> Position:
    """The position after one fill, by average cost."""
    signed = fill.quantity * fill.side.sign
    quantity, price_avg, realised = held.quantity, held.price_avg, held.realised_pnl
    opening = quantity == 0 or (quantity > 0) == (signed > 0)
    if opening:
        price_avg = (price_avg * abs(quantity) + fill.price * fill.quantity) / (abs(quantity) + fill.quantity)
    else:
        closed = min(abs(quantity), fill.quantity)
        realised += (fill.price - price_avg) * closed * (1 if quantity > 0 else -1)
        if fill.quantity > abs(quantity):
            price_avg = fill.price  # what is left over opens the other way
    quantity += signed
    fees_quote = held.fees_quote
    if fill.fee and fill.fee_asset == instrument.base:
        fees_quote += fill.fee * fill.price
        quantity, price_avg, realised = _give_away(quantity, price_avg, realised, fill)
    elif fill.fee and fill.fee_asset == instrument.quote:
        fees_quote += fill.fee
    fees = held.fees
    if fill.fee:
        fees = {**fees, fill.fee_asset: fees.get(fill.fee_asset, ZERO) + fill.fee}
    if quantity == 0:
        price_avg = ZERO
    return Position(held.strategy, held.instrument, quantity, price_avg, realised, fees, fees_quote)


def _give_away(
    quantity: Decimal, price_avg: Decimal, realised: Decimal, fill: OrderFilled
) -> tuple[Decimal, Decimal, Decimal]:
    """A base fee leaves at the fill's price: a sale whose proceeds are the fee already counted in quote."""
    if quantity > 0:
        realised += (fill.price - price_avg) * min(quantity, fill.fee)
        if fill.fee > quantity:
            price_avg = fill.price
    elif quantity < 0:
        price_avg = (price_avg * -quantity + fill.price * fill.fee) / (-quantity + fill.fee)
    else:
        price_avg = fill.price
    return quantity - fill.fee, price_avg, realised


def unrealised(held: Position, mark: Decimal) -> Decimal:
    return (mark - held.price_avg) * held.quantity


def side_to_close(held: Position) -> Side | None:
    if held.quantity == 0:
        return None
    return Side.SELL if held.quantity > 0 else Side.BUY
