"""Coinbase Advanced over the simulated exchange: its tokens, REST interface and numbered channels."""

from typing import Final

from engine.sim.feeds.synthetic_feed import Shape
from engine.sim.units import units

PROTOCOL: Final = "coinbase"
SHAPES: Final = {
    "BTC-USD": Shape(units("60000"), units("0.01"), units("0.00001"), 40_000),
    "ETH-USD": Shape(units("2600"), units("0.01"), units("0.0001"), 80_000),
}
# of the demo's account: its name, and an Ed25519 key in base64 that is open to all who read this
DEMO_KEY: Final = ("organizations/demo/apiKeys/verbatim", "dmVyYmF0aW0tZGVtby1rZXktb2YtdGhpcy12ZW51ZSE=")
