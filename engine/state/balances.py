"""Balances as the venue reports them, with the seq of each report. Risk counts the locks of orders on its own."""

from decimal import Decimal

import msgspec

from engine.facts import BalanceChanged
from engine.money import ZERO
from engine.state.account_keys import asset_key
from engine.state.changes import Change, Stamp


class Balance(msgspec.Struct, frozen=True):
    """An asset's balance at the venue."""

    free: Decimal
    locked: Decimal
    seq: int  # the balance contains every change up to this record
    venue_ns: int = 0

    @property
    def total(self) -> Decimal:
        """Free and locked amount together."""
        return self.free + self.locked


class Balances(msgspec.Struct, frozen=True):
    """The balances of the session's accounts."""

    by_asset: dict[str, Balance] = {}  # by account_keys.asset_key

    def get(self, asset: str, venue: str = "") -> Balance:
        """Return the balance of an asset; zeros before its first report. `venue` is "" in a session of one venue."""
        return self.by_asset.get(asset_key(venue, asset)) or Balance(ZERO, ZERO, -1)


def reduce(balances: Balances, change: Change, at: Stamp) -> Balances:
    """Keep the newest balance of each asset."""
    if isinstance(change, BalanceChanged):
        balance = Balance(change.free, change.locked, change.query_seq or at.seq, change.venue_ns)
        return Balances({**balances.by_asset, asset_key(change.venue, change.asset): balance})
    return balances
