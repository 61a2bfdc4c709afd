"""The venues that can be simulated, by the name of their protocol, and how their markets are written."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from engine.sim import alpaca, binance, binance_usdm, coinbase, hyperliquid, kraken
from engine.sim.alpaca import feed_messages
from engine.sim.alpaca.broker_protocol import BrokerProtocol
from engine.sim.binance.spot_protocol import SpotProtocol
from engine.sim.binance_usdm import market_messages
from engine.sim.binance_usdm.usdm_protocol import UsdmProtocol
from engine.sim.coinbase.coinbase_protocol import CoinbaseProtocol
from engine.sim.feeds.sim_market import SPOT_WORDING, Wording
from engine.sim.feeds.synthetic_feed import SPOT_SHAPES, Shape, SyntheticMarket
from engine.sim.hyperliquid import perp_rules
from engine.sim.hyperliquid.perp_protocol import PerpProtocol
from engine.sim.kraken.kraken_protocol import KrakenProtocol
from engine.sim.venue_protocol import ProtocolMaker


class VenueKind(NamedTuple):
    """One venue that the simulation can be."""

    dialect: str  # that speaks to it (engine/venues)
    protocol: ProtocolMaker
    wording: Wording
    shapes: Mapping[str, Shape]
    symbols: tuple[str, ...]  # of a synthetic market, unless others are named
    balances: Mapping[str, str]  # of the demo's account
    credentials: tuple[str, str] | None = None  # of it, where a venue does not take any words; open to all

    def synthetic(self, symbols: tuple[str, ...], *, seed: int, start_ns: int) -> SyntheticMarket:
        """Return a synthetic market that speaks the venue's messages."""
        return SyntheticMarket(symbols, seed=seed, start_ns=start_ns, wording=self.wording, shapes=self.shapes)


_SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")

KINDS: Final = {
    binance.PROTOCOL: VenueKind(
        binance.PROTOCOL,
        SpotProtocol,
        SPOT_WORDING,
        SPOT_SHAPES,
        _SYMBOLS,
        {"USDT": "100000", "BTC": "2", "ETH": "30"},
    ),
    binance_usdm.PROTOCOL: VenueKind(
        binance_usdm.PROTOCOL,
        UsdmProtocol,
        market_messages.WORDING,
        market_messages.SHAPES,
        _SYMBOLS,
        {"USDT": "100000"},
    ),
    alpaca.PROTOCOL: VenueKind(
        "engine.venues.alpaca:Alpaca",
        BrokerProtocol,
        SPOT_WORDING,
        feed_messages.SHAPES,
        ("AAPL", "BTC/USD"),
        {"USD": "100000"},
    ),
    kraken.PROTOCOL: VenueKind(
        "engine.venues.kraken:Kraken",
        KrakenProtocol,
        SPOT_WORDING,
        kraken.SHAPES,
        kraken.SYMBOLS,
        {"USD": "100000", "BTC": "2", "ETH": "30"},
        kraken.DEMO_KEY,
    ),
    coinbase.PROTOCOL: VenueKind(
        "engine.venues.coinbase:Coinbase",
        CoinbaseProtocol,
        SPOT_WORDING,
        coinbase.SHAPES,
        ("BTC-USD", "ETH-USD"),
        {"USD": "100000", "BTC": "2", "ETH": "30"},
        coinbase.DEMO_KEY,
    ),
    hyperliquid.PROTOCOL: VenueKind(
        "engine.venues.hyperliquid:Hyperliquid",
        PerpProtocol,
        SPOT_WORDING,  # of the market inside: channels.py makes the venue's own messages of it
        perp_rules.SHAPES,
        ("BTC", "ETH"),
        {"USDC": "100000"},
        # an account and its API wallet
        ("0x1234567890abcdef1234567890abcdef12345678", "0x" + "0123456789" * 6 + "0123"),
    ),
}
