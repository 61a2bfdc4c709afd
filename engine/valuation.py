"""Amounts of several assets in one currency, at rates that a journal recorded. Values in, values out; decides nothing.

A rate is the middle of a recorded quote of a spot market: of the market of the two assets, of its inverse, or of two
markets that share an asset. A rate that no quote gives is missing: the asset is named, and its amount is in no sum.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from engine.money import MONEY, ZERO

ONE: Final = Decimal(1)
RateOf = Callable[[str, str], Decimal | None]  # (asset, currency) -> rate, or None if it is missing


class QuotedPair(NamedTuple):
    """A spot market with the middle of its last quote."""

    base: str
    quote: str
    mid: Decimal


class Valuation(msgspec.Struct, frozen=True):
    """A sum in one currency, and the assets that it lacks because no rate is known."""

    amount: Decimal
    missing: tuple[str, ...] = ()


def find_rate(asset: str, currency: str, pairs: Iterable[QuotedPair]) -> Decimal | None:
    """Return how much of `currency` a unit of `asset` is worth, or None if no quote gives it.

    A market of the two assets comes first, then the first two markets over a third asset, in the order of `pairs`.
    """
    if asset == currency:
        return ONE
    known = [pair for pair in pairs if pair.mid > 0]
    direct = _direct_rate(asset, currency, known)
    if direct is not None:
        return direct
    for pair in known:
        if asset not in (pair.base, pair.quote):
            continue
        third = pair.quote if pair.base == asset else pair.base
        rest = _direct_rate(third, currency, known)
        if rest is not None:
            first = pair.mid if pair.base == asset else MONEY.divide(ONE, pair.mid)
            return MONEY.multiply(first, rest)
    return None


def _direct_rate(asset: str, currency: str, pairs: Iterable[QuotedPair]) -> Decimal | None:
    for pair in pairs:
        if (pair.base, pair.quote) == (asset, currency):
            return pair.mid
        if (pair.quote, pair.base) == (asset, currency):
            return MONEY.divide(ONE, pair.mid)
    return None


def value_in(currency: str, amounts: Mapping[str, Decimal], rate_of: RateOf) -> Valuation:
    """Return the sum of amounts by asset in a currency."""
    total, missing = ZERO, []
    for asset in sorted(amounts):
        amount = amounts[asset]
        if not amount:
            continue
        rate = rate_of(asset, currency)
        if rate is None:
            missing.append(asset)
        else:
            total = MONEY.add(total, MONEY.multiply(amount, rate))
    return Valuation(total, tuple(missing))
