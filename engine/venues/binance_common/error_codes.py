"""The table from a refusal's (HTTP status, Binance's code, its text) to an Outcome.

Knows nothing of orders or of the shape of bodies. An answer that proves nothing is UNKNOWN, because a wrong UNKNOWN
costs a query and a wrong REFUSED costs a second order.
"""

from engine.events import Outcome

DUPLICATE_ORDER = "Duplicate order sent."  # -2010: an order with this id is open, so not a failure

# -2011 says "the cancel was rejected". With these texts the order itself is not the reason. With any other text the
# order may be gone, so the engine queries it.
CANCEL_REFUSALS = frozenset(
    {
        "Market is closed.",
        "Order was not canceled due to cancel restrictions.",
        "This account may not place or cancel orders.",
        "This action is disabled on this account.",
    }
)

STATUSES = {
    401: Outcome.AUTH,
    403: Outcome.AUTH,  # the firewall's, with an HTML body: it went no further
    409: Outcome.UNKNOWN,  # cancel-replace, half done
    418: Outcome.RATE_LIMITED,  # the ban for not heeding 429
    429: Outcome.RATE_LIMITED,
    451: Outcome.AUTH,  # refused by place of origin; not on the fact sheet, and nothing but a person can help
}

CODES = {
    -1000: Outcome.UNKNOWN,
    -1001: Outcome.UNKNOWN,  # its text is "try again", but it comes after the request was accepted
    -1002: Outcome.AUTH,
    -1003: Outcome.RATE_LIMITED,
    -1006: Outcome.UNKNOWN,
    -1007: Outcome.UNKNOWN,
    -1008: Outcome.RETRY_LATER,
    -1010: Outcome.REFUSED,
    -1013: Outcome.REFUSED,
    -1014: Outcome.REFUSED,
    -1015: Outcome.ORDER_LIMITED,
    -1016: Outcome.RETRY_LATER,
    -1020: Outcome.REFUSED,
    -1021: Outcome.CLOCK,
    -1022: Outcome.AUTH,
    -1034: Outcome.RATE_LIMITED,
    -1210: Outcome.REFUSED,
    -1211: Outcome.REFUSED,
    -1220: Outcome.REFUSED,
    -1221: Outcome.REFUSED,
    -1222: Outcome.REFUSED,
    -1223: Outcome.REFUSED,
    -1224: Outcome.REFUSED,
    -1225: Outcome.REFUSED,
    -2010: Outcome.REFUSED,
    -2011: Outcome.NOT_FOUND,
    -2013: Outcome.NOT_FOUND,
    -2014: Outcome.AUTH,
    -2015: Outcome.AUTH,
    -2016: Outcome.REFUSED,
    -2021: Outcome.UNKNOWN,
    -2022: Outcome.REFUSED,
    -2026: Outcome.NOT_FOUND,
    -2035: Outcome.REFUSED,
    -2036: Outcome.REFUSED,
    -2038: Outcome.REFUSED,
    -2039: Outcome.REFUSED,
    -2042: Outcome.REFUSED,
    -2043: Outcome.REFUSED,
}
TOO_MANY_ORDERS = -1015  # with HTTP 429 and without Retry-After: it concerns new orders alone
BANNED = 418
# a filter, the market's status, or a precision: exchangeInfo may have changed
INSTRUMENT_RULES = frozenset({-1013, -1111, -1121})
MARKET_CLOSED = "Market is closed."  # -2010 and -2011
# -2010 and -1013 refuse an order for a reason that passes: funds, the number of open orders, the price of the moment
INSUFFICIENT_BALANCE = "Account has insufficient balance for requested action."
TEMPORARY_TEXTS = frozenset({INSUFFICIENT_BALANCE, MARKET_CLOSED})
TEMPORARY_FILTERS = ("MAX_NUM_", "EXCHANGE_MAX_NUM_", "MAX_POSITION", "PERCENT_PRICE")
FILTER_FAILURE = "Filter failure: "
PARAMETER_CODES = range(-1199, -1099)  # -1100 ... -1199: something in the request was malformed


def is_instrument_rule(code: int, text: str) -> bool:
    """Return True if the instrument's rules or status refused the request."""
    return code in INSTRUMENT_RULES or text == MARKET_CLOSED


def is_temporary(code: int, text: str) -> bool:
    """Return True if a refused order may be accepted later without a change.

    >>> is_temporary(-1013, "Filter failure: MAX_NUM_ALGO_ORDERS"), is_temporary(-2010, "Stop price would trigger.")
    (True, False)
    """
    if code == -1013:
        return text.startswith(FILTER_FAILURE) and text.removeprefix(FILTER_FAILURE).startswith(TEMPORARY_FILTERS)
    return code == -2010 and text in TEMPORARY_TEXTS


def classify(method: str, status: int, code: int, text: str) -> Outcome:
    """Return the outcome that an answer proves. `code` is 0 where the body held none.

    >>> classify("POST", 400, -2010, "Duplicate order sent.")
    <Outcome.UNKNOWN: 'unknown'>
    """
    if status >= 500:
        return Outcome.UNKNOWN  # with any body: the documentation forbids to read it as a failure
    if code == TOO_MANY_ORDERS and status != BANNED:
        return Outcome.ORDER_LIMITED
    if status in STATUSES:
        return STATUSES[status]
    if code == 0:
        return Outcome.DONE if 200 <= status < 300 else Outcome.UNKNOWN
    if code in PARAMETER_CODES:
        return Outcome.REFUSED
    outcome = CODES.get(code, Outcome.UNKNOWN)
    if code == -2010 and DUPLICATE_ORDER in text:
        return Outcome.UNKNOWN
    if code == -2011 and text in CANCEL_REFUSALS:
        return Outcome.REFUSED
    if outcome is Outcome.NOT_FOUND and method == "POST":
        return Outcome.UNKNOWN  # "not found" answers a query, and a placement is none
    return outcome
