"""Balances as the venue reports them, and the seq at which each was last heard. What orders reserve is counted in risk."""

from decimal import Decimal

import msgspec

from engine.facts import BalanceChanged
from engine.money import ZERO
from engine.state.changes import Change, Stamp


class Balance(msgspec.Struct, frozen=True):
    free: Decimal
    locked: Decimal
    seq: int  # what happened up to here is contained in it
    venue_ns: int = 0

    @property
    def total(self) -> Decimal:
        return self.free + self.locked


class Balances(msgspec.Struct, frozen=True):
    by_asset: dict[str, Balance] = {}

    def of(self, asset: str) -> Balance:
        return self.by_asset.get(asset) or Balance(ZERO, ZERO, -1)


def reduce(balances: Balances, change: Change, at: Stamp) -> Balances:
    if isinstance(change, BalanceChanged):
        held = Balance(change.free, change.locked, change.query_seq or at.seq, change.venue_ns)
        return Balances({**balances.by_asset, change.asset: held})
    return balances
