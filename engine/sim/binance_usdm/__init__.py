"""Binance USD-M futures' protocol in front of the simulated exchange of contracts with margin."""

PROTOCOL = "binance_usdm"
