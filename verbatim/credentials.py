"""The key of each account: from the environment, a secret file or the system's keyring. Never from the configuration.

A key belongs to one network. Where the environment, the file or the account's table states it, another one is refused.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.session_record import VenueSettings
from engine.venue_choices import AccountUse
from engine.venues.signing import Credentials, SecretKey
from engine.venues.venue_lookup import make_venue, network_of
from verbatim.keyring_entries import read_keyring
from verbatim.named_venues import NamedVenue
from verbatim.secret_files import read_secret_file
from verbatim.sections import ConfigError

KEY_VARIABLES = ("VERBATIM_API_KEY", "VERBATIM_API_SECRET")
PASSPHRASE = "VERBATIM_API_PASSPHRASE"  # noqa: S105 - a variable's name; few venues have this third secret
KEY_NETWORK = "VERBATIM_API_NETWORK"  # that the key belongs to
VARIABLES = (*KEY_VARIABLES, PASSPHRASE, KEY_NETWORK)  # an account of several adds its name: VERBATIM_API_KEY_NAME
KEYRING_ENTRIES = ("api_key", "api_secret")  # names of the entries below an account's service


def credential_names(alias: str) -> tuple[str, str, str]:
    """Return the variables of an account's key, secret and passphrase. "" is the account of a session of one venue."""
    end = f"_{alias.upper().replace('-', '_')}" if alias else ""
    return KEY_VARIABLES[0] + end, KEY_VARIABLES[1] + end, PASSPHRASE + end


def is_credential_name(name: str) -> bool:
    """Return True for a variable that may hold a part of some account's credentials."""
    return name in VARIABLES or any(name.startswith(f"{base}_") for base in VARIABLES)


def read_keys(
    venues: tuple[NamedVenue, ...],
    environment: Mapping[str, str] | None = None,
    base: Path | None = None,
    *,
    may_share: bool = False,
) -> dict[str, SecretKey]:
    """Read the keys of the venues with an account, by venue. `may_share`: two venues may be one account, of recordings.

    Raises:
        ConfigError: A key is missing, cannot be used, is of another network, or is that of an account named before.
    """
    environment = os.environ if environment is None else environment
    is_only = len(venues) == 1
    found: dict[str, SecretKey] = {}
    by_key: dict[str, NamedVenue] = {}
    for each in venues:
        if each.settings.use is AccountUse.NONE:
            continue
        credentials = _read_credentials(each, environment, base, is_only=is_only)
        other = by_key.setdefault(credentials.key, each)
        if network_of(other.settings) is not network_of(each.settings):
            raise ConfigError(
                f"account.{each.alias}: its key is that of account.{other.alias}, and their networks differ. What to "
                "do: make a key at each network"
            )
        if other is not each and not may_share and _is_one_account(other.settings, each.settings):
            raise ConfigError(
                f"account.{each.alias}: its key is that of account.{other.alias}, at the same address. What to do: "
                "name all instruments in one [venue.NAME], or give each account its own key"
            )
        found[each.settings.name] = _load(each, credentials)
    return found


def _is_one_account(one: VenueSettings, other: VenueSettings) -> bool:
    """Return True if one key opens the same account at both: one dialect, and one address."""
    return (one.kind or one.name, one.rest.rstrip("/")) == (other.kind or other.name, other.rest.rstrip("/"))


def key_source(venue: NamedVenue, *, is_only: bool, environment: Mapping[str, str] | None = None) -> str:
    """Return where the key of an account is read, for people: its variables, its secret file or the keyring."""
    environment = os.environ if environment is None else environment
    names = _names_of(venue, environment, is_only=is_only)
    account = venue.account
    if not any(map(environment.get, names[:2])):
        if account.keyring:
            return f"the keyring's entries {' and '.join(KEYRING_ENTRIES)} of {account.keyring}"
        if account.secret_file is not None:
            return str(account.secret_file)
    return f"{names[0]} and {names[1]}"


def _names_of(venue: NamedVenue, environment: Mapping[str, str], *, is_only: bool) -> tuple[str, str, str]:
    """Return the variables of an account: those that are set, if an only account may have two sets of them."""
    choices = [credential_names(alias) for alias in (("", venue.alias) if is_only else (venue.alias,))]
    return next((each for each in choices if any(map(environment.get, each[:2]))), choices[0])


def _read_credentials(
    venue: NamedVenue, environment: Mapping[str, str], base: Path | None, *, is_only: bool
) -> Credentials:
    """Return the credentials of one account: of the environment if it has them, else of the file or the keyring."""
    names = _names_of(venue, environment, is_only=is_only)
    given = [environment.get(name, "") for name in names]
    if any(given[:2]) and not all(given[:2]):
        raise ConfigError(f"environment: {names[0]} and {names[1]} belong together, and one is missing")
    if all(given[:2]):
        network = environment.get(names[0].replace(KEY_VARIABLES[0], KEY_NETWORK), "")
        return _on_network(venue, Credentials(given[0], given[1], given[2], network), "environment")
    account = venue.account
    if account.keyring:
        where = f"account.{venue.alias}.keyring"
        key, secret = (read_keyring(where, account.keyring, name).get_secret_value() for name in KEYRING_ENTRIES)
        return _on_network(venue, Credentials(key, secret), where)
    if account.secret_file is None:
        where = "venue.secret_file" if is_only else f"account.{venue.alias}.secret_file"
        raise ConfigError(f"no credentials: set {names[0]} and {names[1]}, or name a file in {where}")
    path = account.secret_file.expanduser()
    path = path if path.is_absolute() or base is None else base / path
    return _on_network(venue, read_secret_file(path), str(path))


def _on_network(venue: NamedVenue, credentials: Credentials, where: str) -> Credentials:
    """Return the credentials, which may be used on the venue's network."""
    network, stated = network_of(venue.settings), credentials.network or venue.account.network or ""
    if stated and stated != network:
        raise ConfigError(
            f"{where}: the key belongs to the network {stated}, and {venue.where}.network is {network}. What to do: "
            f"use a key of {network}"
        )
    return replace(credentials, network=str(network))  # at some venues the signature depends on it


def _load(venue: NamedVenue, credentials: Credentials) -> SecretKey:
    try:
        return make_venue(venue.settings, ()).signer.load_key(credentials)
    except ValueError as error:
        raise ConfigError(f"account {venue.alias}: {error}") from None
