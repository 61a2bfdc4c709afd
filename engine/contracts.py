"""What a quantity of an instrument is worth and what it earns, linear or inverse. Values in, values out; decides nothing.

Linear (spot, USD-M): worth quantity x size x price, in quote. Inverse (COIN-M): a quantity counts contracts of `contract_size`
quote units, so its worth in base falls as the price rises: quantity x size / price, and so does what it earns.
"""

from decimal import Decimal

from engine.model import Instrument
from engine.money import MONEY, ZERO


def asset_of(instrument: Instrument) -> str:
    """The asset in which `worth` and `gain` are told."""
    return instrument.base if instrument.inverse else instrument.quote


def worth(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """The notional of a signed quantity at this price, which is above 0 where the contract is inverse."""
    units = MONEY.multiply(quantity, instrument.contract_size)
    return MONEY.divide(units, price) if instrument.inverse else MONEY.multiply(units, price)


def gain(instrument: Instrument, quantity: Decimal, entry: Decimal, price: Decimal) -> Decimal:
    """What a signed quantity, taken at `entry`, has earned at this price, before fees."""
    if quantity == 0:
        return ZERO
    moved = MONEY.subtract(worth(instrument, quantity, price), worth(instrument, quantity, entry))
    return MONEY.minus(moved) if instrument.inverse else moved


def entry_of(instrument: Instrument, quantity: Decimal, entry: Decimal, more: Decimal, price: Decimal) -> Decimal:
    """The average entry price after `more` of the same sign joined at `price`: by worth, so that no gain appears or is lost."""
    if not instrument.inverse:
        sides = MONEY.add(MONEY.multiply(quantity, entry), MONEY.multiply(more, price))
        return MONEY.divide(sides, MONEY.add(quantity, more))
    sides = MONEY.add(MONEY.divide(quantity, entry), MONEY.divide(more, price))
    return MONEY.divide(MONEY.add(quantity, more), sides)


def funding(instrument: Instrument, quantity: Decimal, mark: Decimal, rate: Decimal) -> Decimal:
    """What a funding at this mark price and rate pays to the holder of a signed quantity: long pays where the rate is positive."""
    return MONEY.minus(MONEY.multiply(worth(instrument, quantity, mark), rate))
