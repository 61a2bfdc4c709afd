"""Kraken Spot v2 as a simulated venue: REST, WebSocket v2 and their rules, over the exchange of engine/sim/exchange."""

from typing import Final

from engine.sim.feeds.synthetic_feed import Shape
from engine.sim.units import units

PROTOCOL: Final = "kraken"
SYMBOLS: Final = ("BTC/USD", "ETH/USD")
SHAPES: Final = {
    "BTC/USD": Shape(units("61000"), units("0.1"), units("0.00001"), 40_000),
    "ETH/USD": Shape(units("2600"), units("0.01"), units("0.0001"), 40_000),
}
DEMO_KEY: Final = ("demo-key", "a3Jha2VuLWRlbW8tc2VjcmV0LXRoYXQtaXMtbm8tc2VjcmV0")  # the secret is base64
