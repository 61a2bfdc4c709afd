"""Every installed venue against the contract that a venue of another author is checked with."""

from pathlib import Path

import pytest

from engine.session_record import VenueSettings
from engine.venues.venue_lookup import installed_venues, venue_class
from verbatim.testing import check_venue

VECTORS = Path(__file__).parent / "vectors"
# also where the installed package is older than this folder
NEWER = {"engine.venues.binance_spot_polled:BinanceSpotPolled", "engine.venues.alpaca:Alpaca"}


@pytest.mark.parametrize("name", sorted({*installed_venues().values(), *NEWER}))
def test_an_installed_venue_keeps_the_contract(name: str) -> None:
    venue = venue_class(VenueSettings(name=name))
    checked = check_venue(venue, VECTORS / venue.name)
    assert {"decoders_are_total", "requests_are_values", "market_messages_decode_as_recorded"} <= set(checked)
