"""Venue classes by name: those that installed distributions announce, and any other as `package.module:Class`.

A distribution announces its venues as entry points of the group `verbatim.venues`, and adapters of many exchanges as
those of `verbatim.venue_families`. Ours do the same in pyproject.toml; there is no other list.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from engine.model import Instrument
from engine.session_record import VenueSettings
from engine.suggestions import suggestion
from engine.venues.captured_market import CapturedMarket, CaptureMessages
from engine.venues.placed_market import PlacedMarket
from engine.venues.venue import Endpoints, Network, Venue

GROUP = "verbatim.venues"
FAMILIES = "verbatim.venue_families"
# before the kind of any venue: its live market, or a capture of it, with an account on paper
ON_PAPER = "paper:"
CAPTURED = "captured:"


class UnknownVenueError(Exception):
    """No venue has this name. The text names those that are installed."""


@cache
def installed_venues() -> Mapping[str, str]:
    """Return the announced venues: name to `package.module:Class`."""
    return {found.name: found.value for found in sorted(entry_points(group=GROUP), key=lambda found: found.name)}


@cache
def installed_families() -> Mapping[str, str]:
    """Return the announced families: name to the function that returns the class of a member, by its name."""
    return {found.name: found.value for found in sorted(entry_points(group=FAMILIES), key=lambda found: found.name)}


def venue_class(settings: VenueSettings) -> Any:
    """Return the class of a venue. Sources and instruments bear its `name`: the dialect's own, or the one given.

    Raises:
        UnknownVenueError: The venue is not installed, or its class cannot be imported.

    """
    if not settings.kind:
        return _dialect_class(settings.name)
    return named_class(_dialect_class(settings.kind), settings.name)


@cache
def named_class(dialect: Any, name: str) -> Any:
    """Return a dialect's class under another name: its ids and sources begin with its `name`."""
    return dialect if dialect.name == name else type(dialect.__name__, (dialect,), {"name": name})


def _dialect_class(kind: str) -> Any:
    for prefix in (ON_PAPER, CAPTURED):
        if kind.startswith(prefix):
            wrapper = import_module("engine.venues.paper.any_market")  # which imports this module
            return wrapper.paper_class(_dialect_class(kind.removeprefix(prefix)), is_captured=prefix == CAPTURED)
    installed = installed_venues()
    families = {} if kind in installed else installed_families()  # to read them takes 8 ms
    module, _, cls = installed.get(kind, kind).partition(":")
    if not module or not cls:
        raise UnknownVenueError(f"no venue {kind!r}{suggestion(kind, installed)}; {_known_names()}")
    try:
        venue = _member(families[module], cls) if module in families else getattr(import_module(module), cls)
    except (ImportError, AttributeError, LookupError) as error:
        raise UnknownVenueError(f"no venue {kind!r} ({error}); {_known_names()}") from error
    if not (isinstance(venue, type) and hasattr(venue, "links") and hasattr(venue, "instruments_of")):
        raise UnknownVenueError(f"{kind!r} is not a venue's class (docs/venues.md); {_known_names()}")
    return venue


def _known_names() -> str:
    names = ", ".join((*installed_venues(), *(f"{family}:NAME" for family in installed_families())))
    return f"installed: {names or 'none (install verbatim-trading again)'}; name any other as package.module:Class"


@cache
def _member(family: str, name: str) -> Any:
    """Return the class of a family's member. Raises LookupError, ImportError or AttributeError for any other name."""
    module, _, function = family.partition(":")
    return getattr(import_module(module), function)(name)


def make_venue(settings: VenueSettings, instruments: Sequence[Instrument], *, first: int = 0) -> Venue:
    """Return a venue for these instruments.

    Args:
        settings: The venue's name and dialect.
        instruments: The instruments of the venue.
        first: The place of the first one in the session, whose others follow: rows name instruments by their place.

    Raises:
        UnknownVenueError: The name is that of no venue.
    """
    found = venue_class(settings)
    is_attribute = not isinstance(getattr(found, "market", None), property)
    if first and not is_attribute:
        found = _placed_class(found, first)
    made: Any = found(instruments, settings.recv_window_ms)
    if first and is_attribute:
        made.market = PlacedMarket(made.market, first)
    venue: Venue = made
    return venue


@cache
def _placed_class(dialect: Any, first: int) -> Any:
    """Return a dialect's class whose property `market` places rows behind other venues' instruments."""
    own = dialect.market
    placed = property(lambda venue: PlacedMarket(own.fget(venue), first))
    return type(dialect.__name__, (dialect,), {"market": placed})


def as_captured(settings: VenueSettings) -> VenueSettings:
    """Return the settings of a capture of the market of a paper session; any others as they are."""
    if not settings.kind.startswith(ON_PAPER):
        return settings
    return replace(settings, kind=CAPTURED + settings.kind.removeprefix(ON_PAPER))


def network_of(settings: VenueSettings) -> Network:
    """Return the network of a session: the one that is named, or else that of its addresses.

    Addresses that belong to no known network and are not of this machine count as LIVE, since real money may be there.
    """
    if settings.network:
        return Network(settings.network)
    hosts = {urlsplit(address).hostname or "" for address in _addresses(settings) if address}
    if all(map(_is_loopback, hosts)):
        return Network.LOCAL
    dialect = settings.kind or settings.name
    networks = {network_of_address(dialect, address) for address in _addresses(settings) if address}
    return Network.TESTNET if networks == {Network.TESTNET} else Network.LIVE


def network_of_address(venue: str, address: str) -> Network | None:
    """Return the network of a venue that has an address of this host, or None."""
    host = urlsplit(address).hostname
    for network, known in make_venue(VenueSettings(name=venue), ()).endpoints.items():
        if host and host in {urlsplit(one).hostname for one in _every_address(known)}:
            return network
    return None


def _addresses(settings: VenueSettings) -> tuple[str, ...]:
    return settings.rest, settings.stream, settings.private


def _every_address(known: Endpoints) -> tuple[str, ...]:
    return known.rest, known.stream, known.private, known.public_rest, known.public_stream


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def needs_key(venue: Venue) -> bool:
    """Return True if a venue shows its instruments or its market to key holders alone."""
    return venue.metadata.request().signed


def captured_markets(messages: CaptureMessages) -> list[CapturedMarket]:
    """Return the markets of a capture, as the installed venues recognise them, in the order of their names."""
    found = []
    for name in installed_venues():
        identify = getattr(venue_class(VenueSettings(name=name)), "identify_capture", None)
        market: CapturedMarket | None = None if identify is None else identify(messages)
        if market is not None:
            found.append(market)
    return found
