"""The venues that can be simulated, by the name of their protocol, and how their markets are written."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from engine.sim import binance, binance_usdm
from engine.sim.binance.spot_protocol import SpotProtocol
from engine.sim.binance_usdm import market_messages
from engine.sim.binance_usdm.usdm_protocol import UsdmProtocol
from engine.sim.feeds.sim_market import SPOT_WORDING, Wording
from engine.sim.feeds.synthetic_feed import GAP_NS_QUIET, SPOT_SHAPES, Shape, SyntheticMarket
from engine.sim.venue_protocol import ProtocolMaker


class VenueKind(NamedTuple):
    """One venue that the simulation can be."""

    protocol: ProtocolMaker
    wording: Wording
    shapes: Mapping[str, Shape]
    info_path: str  # of exchangeInfo

    def synthetic(
        self, symbols: tuple[str, ...], *, seed: int, start_ns: int, gap_ns: int = GAP_NS_QUIET
    ) -> SyntheticMarket:
        """Return a synthetic market that speaks the venue's messages."""
        return SyntheticMarket(
            symbols, seed=seed, start_ns=start_ns, wording=self.wording, shapes=self.shapes, gap_ns=gap_ns
        )


KINDS: Final = {
    binance.PROTOCOL: VenueKind(SpotProtocol, SPOT_WORDING, SPOT_SHAPES, "/api/v3/exchangeInfo"),
    binance_usdm.PROTOCOL: VenueKind(
        UsdmProtocol, market_messages.WORDING, market_messages.SHAPES, "/fapi/v1/exchangeInfo"
    ),
}
