"""What Binance Spot allows: limits, windows, lifetimes, as named constants. No code that acts on them, no clock.

Numbers are those of the documentation of 2026-07-21. A session may find others in exchangeInfo.rateLimits; these are the defaults.
"""

import re

VENUE = "binance_spot"

# ---- ids and numbers ---------------------------------------------------------------------------
CLIENT_ORDER_ID_MAX = 36
CLIENT_ORDER_ID = re.compile(rf"[a-zA-Z0-9\-_]{{1,{CLIENT_ORDER_ID_MAX}}}")
NUMBER_SENT = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")  # else -1100: no exponent, no sign, no leading dot

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
PONG_WITHIN_S = 60  # ... and cuts who does not answer with the same payload
LINK_LIFE_S = 24 * 3_600
CONNECTS_MAX = 300  # per five minutes and IP
MESSAGES_SENT_MAX = 5  # per second and market connection, our pings and pongs included
STREAMS_MAX = 1_024  # per market connection
CONNECT_WEIGHT = 2  # of opening the WS API

# ---- pages -------------------------------------------------------------------------------------
FILLS_PAGE_MAX = 1_000
DEPTH_LIMIT_MAX = 5_000
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))  # (limit up to, weight)


def order_id_fits(text: str) -> bool:
    """Whether the venue would take this client order id. (USD-M allows dot, colon and slash; Spot does not.)

    >>> order_id_fits("cross-48212-0"), order_id_fits("a.b"), order_id_fits("x" * 37)
    (True, False, False)
    """
    return CLIENT_ORDER_ID.fullmatch(text) is not None


def not_placed_after_ms(recv_window_ms: int) -> int:
    """How long after sending a "not found" proves that an order never arrived.

    Our inference, not the venue's promise: recvWindow is checked anew before the matching engine, and the API gives up after its own
    timeout. So keep a tombstone and take a late report all the same.
    """
    return recv_window_ms + API_TIMEOUT_MS
