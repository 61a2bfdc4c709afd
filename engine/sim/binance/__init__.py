"""Binance Spot's protocol in front of the simulated exchange."""
