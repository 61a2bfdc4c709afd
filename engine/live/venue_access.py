"""The access of a session to one venue: addresses, instruments, key and transport, and the sender that uses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.live.transport.http_result import HttpSender
from engine.live.transport.selection import TransportProfile, make_sender
from engine.session_record import VenueSettings
from engine.venue_choices import AccountUse
from engine.venues.signing import SecretKey
from engine.venues.venue import Network
from engine.venues.venue_lookup import make_venue, network_of, venue_class


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccess:
    """One venue. Its key is in no record."""

    settings: VenueSettings
    symbols: tuple[str, ...]  # the venue's
    own_symbols: Mapping[str, str] = field(default_factory=dict)  # venue symbol -> own symbol, of those that have one
    key: SecretKey | None = None
    key_source: str = "VERBATIM_API_KEY and VERBATIM_API_SECRET"  # where a person corrects the key
    transport: TransportProfile = TransportProfile.STANDARD

    @property
    def name(self) -> str:
        """The name that sources and ids of instruments bear."""
        return str(venue_class(self.settings).name)

    @property
    def network(self) -> Network:
        """The venue's network."""
        return network_of(self.settings)

    @property
    def trades(self) -> bool:
        """True if the session may place orders here."""
        return self.settings.use is AccountUse.TRADES

    @property
    def instrument_ids(self) -> tuple[str, ...]:
        """The ids of its instruments."""
        return tuple(f"{self.name}:{symbol}" for symbol in self.symbols)


def make_venue_sender(access: VenueAccess) -> HttpSender:
    """Return what sends requests to a venue."""
    kept_headers = make_venue(access.settings, ()).kept_headers
    return make_sender(access.transport, access.settings.rest, kept_headers=kept_headers)
