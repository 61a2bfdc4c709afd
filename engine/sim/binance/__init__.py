"""Binance Spot's protocol in front of the simulated exchange."""

# the protocol of the simulated venue: it can replace the account of a venue whose `sim_protocol` has this name
PROTOCOL = "binance_spot"
