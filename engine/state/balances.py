"""Balances as the venue reports them, each with the seq of its report.

Risk counts the amounts that open orders reserve.
"""

from decimal import Decimal

import msgspec

from engine.facts import BalanceChanged
from engine.money import ZERO
from engine.state.changes import Change, Stamp


class Balance(msgspec.Struct, frozen=True):
    """An asset's balance at the venue."""

    free: Decimal
    locked: Decimal
    seq: int  # it includes every record up to this one
    venue_ns: int = 0

    @property
    def total(self) -> Decimal:
        """Free and locked amount together."""
        return self.free + self.locked


class Balances(msgspec.Struct, frozen=True):
    """The account's balances."""

    by_asset: dict[str, Balance] = {}

    def of(self, asset: str) -> Balance:
        """Return an asset's balance; zeros if the venue never reported it."""
        return self.by_asset.get(asset) or Balance(ZERO, ZERO, -1)


def reduce(balances: Balances, change: Change, at: Stamp) -> Balances:
    """Replace a balance that the venue reported."""
    if isinstance(change, BalanceChanged):
        held = Balance(change.free, change.locked, change.query_seq or at.seq, change.venue_ns)
        return Balances({**balances.by_asset, change.asset: held})
    return balances
