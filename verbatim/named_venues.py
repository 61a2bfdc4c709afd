"""The venues and accounts of a configuration: `[venue]` alone, or `[venue.NAME]` and `[account.NAME]`.

A name stands for one venue with one account at most. Two accounts at one exchange are two venues of one kind.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from engine.requests import LinkRole
from engine.session_record import VenueSettings
from engine.venue_choices import AccountUse
from engine.venues.polling import is_polled
from engine.venues.venue import Endpoints, Network
from engine.venues.venue_lookup import CAPTURED, ON_PAPER, UnknownVenueError, make_venue, network_of, network_of_address
from verbatim.sections import ConfigError
from verbatim.venue_sections import RECV_WINDOW_MS_MAX, AccountSection, VenueSection

ONLY = ""  # the key of a [venue] without NAME


class NamedVenue(NamedTuple):
    """One venue of a configuration."""

    where: str  # its table, as errors name it
    section: VenueSection
    settings: VenueSettings
    alias: str  # of its account; "" without one
    account: AccountSection


def venue_tables(value: Any) -> Any:
    """Return the tables below `venue` by name; a [venue] without NAME is under ONLY."""
    if not isinstance(value, Mapping) or (value and all(isinstance(each, Mapping) for each in value.values())):
        return value
    return {ONLY: value}


def named_venues(
    venues: Mapping[str, VenueSection], accounts: Mapping[str, AccountSection], *, alias: str, speed: int
) -> tuple[NamedVenue, ...]:
    """Return the venues with their settings and accounts.

    Args:
        venues: The tables below `venue`.
        accounts: The tables below `account`.
        alias: The account of a session of one venue that has no table of accounts.
        speed: Seconds of session time in a real one.

    Raises:
        ConfigError: A name or an address cannot be used.
    """
    by_venue = _accounts_by_venue(venues, accounts)
    found = []
    for name, section in venues.items():
        where = f"venue.{name}" if name else "venue"
        own_alias, account = by_venue.get(name, ("" if name else alias, AccountSection()))
        if not name and name not in by_venue:
            account = AccountSection(secret_file=section.secret_file, allow_key_rights=section.allow_key_rights)
        elif section.secret_file is not None or section.allow_key_rights:
            raise ConfigError(
                f"{where}: secret_file and allow_key_rights belong to the table of its account. What to do: move them"
            )
        if name and "name" in section.model_fields_set:
            raise ConfigError(f"{where}.name: its table names the venue. What to do: use kind for the dialect")
        use = AccountUse(account.use) if own_alias else AccountUse.NONE
        settings = _settings(name, section, where, speed=speed)
        settings = msgspec.structs.replace(settings, use=use, account=own_alias if name else "")
        found.append(NamedVenue(where, section, settings, own_alias, account))
    return tuple(found)


def _accounts_by_venue(
    venues: Mapping[str, VenueSection], accounts: Mapping[str, AccountSection]
) -> dict[str, tuple[str, AccountSection]]:
    """Return venue -> (alias, account). A session of one unnamed venue has one account at most."""
    found: dict[str, tuple[str, AccountSection]] = {}
    for alias, account in accounts.items():
        name = account.venue or (ONLY if ONLY in venues else alias)
        if name not in venues:
            raise ConfigError(
                f"account.{alias}.venue: there is no [venue.{name}]; there is {', '.join(venues) or 'none'}"
            )
        if name in found:
            raise ConfigError(
                f"account.{alias}: {found[name][0]} is the account of that venue already. What to do: give the "
                "exchange a second [venue.NAME] of the same kind"
            )
        found[name] = (alias, account)
    return found


def _settings(name: str, section: VenueSection, where: str, *, speed: int) -> VenueSettings:
    """Return a venue's settings: its network, and the addresses of market data and of the account.

    Raises:
        ConfigError: No dialect has this name, or the network has no address.
    """
    kind, network = section.dialect, section.network
    if kind.startswith((ON_PAPER, CAPTURED)):
        raise ConfigError(
            f"{where}.{'kind' if section.kind else 'name'}: {kind} is not a venue. What to do: name "
            f'{kind.partition(":")[2]}, and set session.account = "paper"'
        )
    window_ms = min(section.recv_window_ms * speed, RECV_WINDOW_MS_MAX)
    settings = VenueSettings(name=name or kind, recv_window_ms=window_ms, kind=kind if name else "")
    try:
        venue = make_venue(settings, ())
    except UnknownVenueError as error:
        raise ConfigError(f"{where}.{'kind' if section.kind else 'name'}: {error}") from None
    known = Endpoints() if network is None else venue.endpoints.get(network, Endpoints())
    addresses = {part: getattr(section, part) or getattr(known, part) for part in ("rest", "stream", "private")}
    for part in ("rest",) if is_polled(venue, LinkRole.MARKET) else ("rest", "stream"):
        if not addresses[part] and known.why_unusable:
            usable = " or ".join(each for each, found in venue.endpoints.items() if not found.why_unusable)
            raise ConfigError(f"{where}.network: {known.why_unusable}. What to do: name another network: {usable}")
        if not addresses[part]:
            raise ConfigError(
                f"{where}.network: {kind} has no known {part} address of its network {network}. What to do: name it "
                f"in {where}.{part}"
            )
    if network is not None:
        _refuse_other_network(section, where, network)
    named = msgspec.structs.replace(settings, **addresses, network=network or "")
    return msgspec.structs.replace(named, network=str(network_of(named)))


def _refuse_other_network(section: VenueSection, where: str, network: Network) -> None:
    """Raise ConfigError if an address belongs to another network than the one that is named."""
    for part in ("rest", "stream", "private"):
        address = getattr(section, part)
        other = network_of_address(section.dialect, address) if address else None
        if other not in (None, network, Network.LOCAL):
            raise ConfigError(
                f"{where}.{part}: {address} belongs to the network {other}, and {where}.network is {network}. What to "
                "do: leave one of the two out"
            )
