"""Binance Spot's limits, windows and lifetimes as named constants. No code that acts on them, no clock.

Numbers are those of the documentation of 2026-07-21. A session may find others in exchangeInfo.rateLimits; these are
the defaults.
"""

from engine.venues.order_ids import ReadableOrderIds

VENUE = "binance_spot"

# ---- ids and numbers ---------------------------------------------------------------------------
ORDER_IDS = ReadableOrderIds(length_max=36)  # USD-M also takes dot, colon and slash; Spot does not

# ---- time --------------------------------------------------------------------------------------
RECV_WINDOW_MS = 5_000
RECV_WINDOW_MS_MAX = 60_000
TIMESTAMP_AHEAD_MS_MAX = 1_000  # a timestamp further ahead of the server is -1021
API_TIMEOUT_MS = 10_000  # the venue's own: below it, our timeout makes more unknowns than the venue does

# ---- rates: fixed clock windows, not sliding ---------------------------------------------------
WEIGHT_MAX = 6_000  # per minute and IP, so shared by every process on the host
RAW_REQUESTS_MAX = 300_000  # per five minutes and IP
ORDERS_10S_MAX = 100  # unfilled orders per account
ORDERS_1D_MAX = 200_000

# ---- connections -------------------------------------------------------------------------------
PING_EVERY_S = 20  # the server pings ...
PONG_WITHIN_S = 60  # ... and cuts clients that do not answer with the same payload
LINK_LIFE_S = 24 * 3_600
CONNECTS_MAX = 300  # per five minutes and IP
MESSAGES_SENT_MAX = 5  # per second and market connection, our pings and pongs included
STREAMS_MAX = 1_024  # per market connection
CONNECT_WEIGHT = 2  # of opening the WS API

# ---- pages -------------------------------------------------------------------------------------
FILLS_PAGE_MAX = 1_000
DEPTH_LIMIT_MAX = 5_000
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))  # (limit up to, weight)
