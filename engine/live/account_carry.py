"""Which session the accounts of a new one continue from, and the opening state under the keys of the new session.

A session of one venue keys balances, ledger and wallets by asset, a session of several by venue and asset.
"""

from collections.abc import Collection, Mapping
from typing import Any

from engine.state.account_keys import asset_key, key_asset, key_venue_is

KEYED = ("balances", "ledger", "wallets")


def is_continued(theirs: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Return True if a session traded an account that the new one trades too. Both are venue -> alias."""
    return any(theirs.get(venue) == account for venue, account in wanted.items())


def left_out(theirs: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the accounts of the new session that an older one did not trade."""
    return {venue: account for venue, account in wanted.items() if theirs.get(venue) != account}


def rekeyed(opening: Mapping[str, Any], old: Collection[str], new: Collection[str]) -> dict[str, Any]:
    """Return an opening state with the keys of a session of the venues `new`; the state is of one of the venues `old`.

    Assets of venues that the new session does not have are left out.
    """
    if set(old) == set(new):
        return dict(opening)
    account = dict(opening["account"])
    for part in KEYED:
        if part in account:
            account[part] = {**account[part], "by_asset": _rekeyed(account[part]["by_asset"], old, new)}
    if "ledger" in account:
        opened = account["ledger"].get("opened") or (old if account["ledger"].get("is_open") else ())
        kept = sorted(set(opened) & set(new))
        is_one = len(new) == 1
        account["ledger"]["is_open"] = is_one and bool(kept)
        account["ledger"]["opened"] = [] if is_one else kept
    return {**opening, "account": account}


def _rekeyed(by_asset: Mapping[str, Any], old: Collection[str], new: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for venue in new:
        if venue not in old:
            continue
        before, after = ("" if len(names) == 1 else venue for names in (old, new))
        for key, value in by_asset.items():
            if key_venue_is(key, before):
                found[asset_key(after, key_asset(key) if before else key)] = value
    return found
