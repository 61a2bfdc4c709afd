"""Hyperliquid's perpetuals as a simulated venue, over the exchange of contracts (engine/sim/exchange)."""

PROTOCOL = "hyperliquid"
