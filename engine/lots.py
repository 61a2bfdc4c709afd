"""Open lots of a position and what closing them realises, by average cost, FIFO or LIFO. Values in, values out.

Every fill's worth is rounded once to the ledger's grid (engine/money.py). Realised and unrealised P&L together are then
the same to the last digit under each method: the worth of the open quantity at the mark, less the worth of every fill.
"""

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine import contracts
from engine.model import Instrument
from engine.money import MONEY, ZERO, to_ledger


class CostMethod(StrEnum):
    """Which lots a fill closes first."""

    AVERAGE = "average"  # each lot in proportion: there is one, at the average cost
    FIFO = "fifo"  # the oldest
    LIFO = "lifo"  # the newest


class Lot(msgspec.Struct, frozen=True):
    """A quantity that is held, and its worth when it was opened. Both have the sign of the position."""

    quantity: Decimal
    cost: Decimal


Lots = tuple[Lot, ...]


def quantity_of(lots: Lots) -> Decimal:
    """Return the signed quantity of all lots."""
    return lots[0].quantity if len(lots) == 1 else sum([lot.quantity for lot in lots], ZERO)


def cost_of(lots: Lots) -> Decimal:
    """Return the signed worth of all lots when they were opened."""
    return lots[0].cost if len(lots) == 1 else sum([lot.cost for lot in lots], ZERO)


def opened_at(instrument: Instrument, quantity: Decimal, price: Decimal) -> Lots:
    """Return a position as one lot at a price; () if it is flat."""
    if not quantity:
        return ()
    return (Lot(quantity, to_ledger(contracts.worth(instrument, quantity, price))),)


def entry_price(instrument: Instrument, lots: Lots) -> Decimal:
    """Return the average entry price; 0 without lots."""
    quantity, cost = quantity_of(lots), cost_of(lots)
    if not quantity or not cost:
        return ZERO
    units = MONEY.multiply(quantity, instrument.contract_size)
    return MONEY.divide(units, cost) if instrument.inverse else MONEY.divide(cost, units)


def trade(
    lots: Lots, instrument: Instrument, signed: Decimal, price: Decimal, method: CostMethod
) -> tuple[Lots, Decimal]:
    """Return the lots after `signed` more at `price`, and the P&L that this realised.

    The part of a fill that exceeds the position opens the other side at the fill's price.
    """
    worth = to_ledger(contracts.worth(instrument, signed, price))
    left, realised = signed, ZERO
    while lots and left and (lots[0].quantity > 0) != (left > 0):
        index = len(lots) - 1 if method is CostMethod.LIFO else 0
        lot = lots[index]
        closes = -left if abs(left) < abs(lot.quantity) else lot.quantity
        left += closes
        # the last part of the fill gets what the parts before left of its worth
        part = worth if not left else to_ledger(contracts.worth(instrument, -closes, price))
        cost = lot.cost if closes == lot.quantity else to_ledger(MONEY.divide(lot.cost * closes, lot.quantity))
        worth -= part
        gain = -part - cost
        realised += -gain if instrument.inverse else gain
        rest = () if closes == lot.quantity else (Lot(lot.quantity - closes, lot.cost - cost),)
        lots = (*lots[:index], *rest, *lots[index + 1 :])
    if left:
        lots = _joined(lots, Lot(left, worth), method)
    return lots, realised


def _joined(lots: Lots, new: Lot, method: CostMethod) -> Lots:
    if method is CostMethod.AVERAGE and lots:
        return (Lot(lots[0].quantity + new.quantity, lots[0].cost + new.cost),)
    return (*lots, new)


def unrealised(lots: Lots, instrument: Instrument, mark: Decimal) -> Decimal:
    """Return the P&L of the open quantity at a mark price."""
    quantity = quantity_of(lots)
    if not quantity:
        return ZERO
    moved = to_ledger(contracts.worth(instrument, quantity, mark)) - cost_of(lots)
    return -moved if instrument.inverse else moved
