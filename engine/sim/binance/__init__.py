"""Binance Spot's protocol in front of the simulated exchange."""

PROTOCOL = (
    "binance_spot"  # what the simulated venue speaks: a venue says by `sim_protocol` that its account speaks it too
)
