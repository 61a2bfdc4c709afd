"""Which session the accounts of a new one continue from, and the opening state under the keys of the new session.

A session of one venue keys balances, ledger and wallets by asset, a session of several by venue and asset.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from engine.state.account_keys import asset_key, key_asset, key_venue, key_venue_is

KEYED = ("balances", "ledger", "wallets")
ORDER_NAMES = ("missing_fills", "doubted", "expiring", "linked")  # the parts of the orders that list client order ids


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


def with_account(opening: Mapping[str, Any], older: Mapping[str, Any], venue: str) -> dict[str, Any]:
    """Return an opening state with the account at a venue as another state has it: orders, plans, positions, money.

    Both have the keys of a session of several venues.
    """
    account = dict(opening["account"])
    for part, group, venue_of in _BY_VENUE:
        ours, theirs = (state["account"].get(part) for state in (opening, older))
        if ours is not None or theirs is not None:
            chosen = _chosen((ours or {}).get(group) or {}, (theirs or {}).get(group) or {}, venue, venue_of)
            account[part] = {**(account.get(part) or theirs), group: chosen}
    live, closed = (account["orders"][group] for group in ("live", "closed"))
    for group in ORDER_NAMES:
        named = [name for state in (opening, older) for name in state["account"]["orders"].get(group, ())]
        account["orders"][group] = [name for name in dict.fromkeys(named) if name in live or name in closed]
    if "ledger" in account:
        opened = [name for name in account["ledger"].get("opened", ()) if name != venue]
        theirs = (older["account"].get("ledger") or {}).get("opened", ())
        account["ledger"]["opened"] = sorted([*opened, *([venue] if venue in theirs else [])])
    return {**opening, "account": account}


def _chosen(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], venue: str, venue_of: Callable[[str, Any], str]
) -> dict[str, Any]:
    kept = {key: value for key, value in ours.items() if venue_of(key, value) != venue}
    return kept | {key: value for key, value in theirs.items() if venue_of(key, value) == venue}


def _venue(instrument: str) -> str:
    return instrument.partition(":")[0]


_BY_VENUE: Final[tuple[tuple[str, str, Callable[[str, Any], str]], ...]] = (
    ("orders", "live", lambda _, order: _venue(order["order"]["instrument"])),
    ("orders", "closed", lambda _, order: _venue(order["order"]["instrument"])),
    ("orders", "by_venue_id", lambda key, _: _venue(key)),
    ("positions", "by_key", lambda _, position: _venue(position["instrument"])),
    ("plans", "running", lambda _, plan: _venue(plan["terms"]["instrument"])),
    ("reconciling", "fills_confirmed", lambda key, _: _venue(key)),
    *((part, "by_asset", lambda key, _: key_venue(key)) for part in KEYED),
)
