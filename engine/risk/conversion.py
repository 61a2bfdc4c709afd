"""Rates between assets, from the mids of the session's instruments."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from engine.model import Instrument
from engine.money import ZERO

ONE = Decimal(1)


def rate(asset: str, to: str, instruments: Mapping[str, Instrument], mid_of: Callable[[str], Decimal]) -> Decimal:
    """Return the worth of one `asset` in `to`; 0 if no quote gives it. One asset may stand between the two."""
    if direct := _direct(asset, to, instruments, mid_of):
        return direct
    spot = [each for _, each in sorted(instruments.items()) if not each.contract]
    for instrument in spot:
        if asset not in (instrument.base, instrument.quote):
            continue
        between = instrument.quote if instrument.base == asset else instrument.base
        if second := _direct(between, to, instruments, mid_of):
            first = _direct(asset, between, instruments, mid_of)
            if first:
                return first * second
    return ZERO


def _direct(asset: str, to: str, instruments: Mapping[str, Instrument], mid_of: Callable[[str], Decimal]) -> Decimal:
    if asset == to:
        return ONE
    for name, instrument in sorted(instruments.items()):
        if instrument.contract:
            continue
        if (instrument.base, instrument.quote) == (asset, to) and (mid := mid_of(name)):
            return mid
        if (instrument.base, instrument.quote) == (to, asset) and (mid := mid_of(name)):
            return ONE / mid
    return ZERO
