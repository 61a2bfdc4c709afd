"""Binance Spot's protocol in front of the simulated exchange, and what Binance's futures share with it.

Shared: keys, parameters, request limits, connections, candles, the checks of a request, the venue's own pages.
"""

# the protocol of the simulated venue: it can replace the account of a venue whose `sim_protocol` has this name
PROTOCOL = "binance_spot"
