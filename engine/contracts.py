"""Worth, gain and funding of a quantity of an instrument, linear or inverse.

Values in, values out; decides nothing. Linear (spot, USD-M): worth quantity x size x price, in quote. Inverse (COIN-M):
a quantity counts contracts of `contract_size` quote units, so its worth in base falls as the price rises: quantity x
size / price. Its gain follows its worth.
"""

from decimal import Decimal

from engine.model import Instrument
from engine.money import MONEY, ZERO

_multiply, _divide = MONEY.multiply, MONEY.divide  # looked up once: half of the time of a call


def asset_of(instrument: Instrument) -> str:
    """Return the asset in which `worth` and `gain` are counted."""
    return instrument.base if instrument.inverse else instrument.quote


def worth(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """Return the notional of a signed quantity at this price, which must be above 0 if the contract is inverse."""
    units = _multiply(quantity, instrument.contract_size)
    return _divide(units, price) if instrument.inverse else _multiply(units, price)


def gain(instrument: Instrument, quantity: Decimal, entry: Decimal, price: Decimal) -> Decimal:
    """Return the gain of a signed quantity from its entry price to this price, before fees."""
    if quantity == 0:
        return ZERO
    moved = MONEY.subtract(worth(instrument, quantity, price), worth(instrument, quantity, entry))
    return MONEY.minus(moved) if instrument.inverse else moved


def entry_of(instrument: Instrument, quantity: Decimal, entry: Decimal, more: Decimal, price: Decimal) -> Decimal:
    """Return the average entry price after `more` of the same sign joined at `price`.

    The average is by worth: the join itself makes no gain or loss.
    """
    if not instrument.inverse:
        sides = MONEY.add(MONEY.multiply(quantity, entry), MONEY.multiply(more, price))
        return MONEY.divide(sides, MONEY.add(quantity, more))
    sides = MONEY.add(MONEY.divide(quantity, entry), MONEY.divide(more, price))
    return MONEY.divide(MONEY.add(quantity, more), sides)


def funding(instrument: Instrument, quantity: Decimal, mark: Decimal, rate: Decimal) -> Decimal:
    """Return the payment of a funding to the holder of a signed quantity. Longs pay if the rate is positive."""
    return MONEY.minus(MONEY.multiply(worth(instrument, quantity, mark), rate))
