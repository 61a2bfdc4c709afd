"""What Coinbase's reasons mean: from the words of a refusal and the HTTP status to an Outcome.

A refused order comes with HTTP 200, and any of three fields may hold the reason. An answer that proves nothing is
UNKNOWN, because a wrong UNKNOWN costs a query and a wrong REFUSED costs a second order.
"""

from typing import Final

from engine.events import Outcome

# words that say nothing: a field that holds one is looked over
EMPTY: Final = frozenset(
    {"", "UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON", "UNKNOWN_CANCEL_FAILURE_REASON", "UNKNOWN"}
)
DUPLICATE_ID: Final = "DUPLICATE_CLIENT_ORDER_ID"  # the order exists, perhaps as we want it: it is queried
ORDERS: Final = {
    DUPLICATE_ID: Outcome.UNKNOWN,
    "RATE_LIMIT_EXCEEDED": Outcome.RATE_LIMITED,
    "RESOURCE_EXHAUSTED": Outcome.RATE_LIMITED,
    "PERMISSION_DENIED": Outcome.AUTH,
    "INTERNAL": Outcome.UNKNOWN,
    "UNAVAILABLE": Outcome.UNKNOWN,
    "DEADLINE_EXCEEDED": Outcome.UNKNOWN,
}
CANCELS: Final = {
    "UNKNOWN_CANCEL_ORDER": Outcome.NOT_FOUND,
    "INVALID_CANCEL_REQUEST": Outcome.REFUSED,
    "COMMANDER_REJECTED_CANCEL_ORDER": Outcome.REFUSED,
    "DUPLICATE_CANCEL_REQUEST": Outcome.DONE,  # queued already; the order itself says how it ends
    "ORDER_IS_PENDING_CANCEL": Outcome.DONE,
}
# the instrument's rules or its state
RULES: Final = (
    "PRECISION",
    "SIZE_TOO_",
    "TRADING_DISABLED",
    "ORDER_ENTRY_DISABLED",
    "PRODUCT_TRADING_HALTED",
    "UNTRADABLE_PRODUCT",
    "INELIGIBLE_PAIR",
    "INVALID_PRODUCT_ID",
)
# reasons that pass: funds, the price of the moment, a halt
TEMPORARY: Final = (
    "INSUFFICIENT_FUND",
    "INVALID_LIMIT_PRICE_POST_ONLY",
    "INVALID_NO_LIQUIDITY",
    "TOO_FAR_FROM_MARKET",
    "EXCEEDS_PRICE_BAND",
    "STOP_PRICE_",
    "STOP_ALREADY_TRIGGERED",
    "ORDER_ENTRY_DISABLED",
    "PRODUCT_TRADING_HALTED",
)
STATUSES: Final = {401: Outcome.AUTH, 403: Outcome.AUTH, 429: Outcome.RATE_LIMITED}


def reason_of(*words: str) -> str:
    """Return the first field of a refusal that gives a reason; "" if all are empty.

    >>> reason_of("UNKNOWN_FAILURE_REASON", "PREVIEW_INSUFFICIENT_FUND", "")
    'PREVIEW_INSUFFICIENT_FUND'
    """
    return next((word for word in words if word not in EMPTY), "")


def placement_outcome(reason: str) -> Outcome:
    """Return what a refused placement proves. Without a definite reason nothing."""
    return ORDERS.get(reason, Outcome.REFUSED if reason else Outcome.UNKNOWN)


def cancel_outcome(reason: str) -> Outcome:
    """Return what a refused cancel proves."""
    return CANCELS.get(reason, Outcome.UNKNOWN)


def is_instrument_rule(reason: str) -> bool:
    """Return True if the instrument's rules or state refused an order."""
    return any(word in reason for word in RULES)


def is_temporary(reason: str) -> bool:
    """Return True if the venue may accept the same order later."""
    return any(word in reason for word in TEMPORARY)


def status_outcome(method: str, status: int, text: str) -> Outcome:
    """Return what an HTTP status proves, for any body.

    >>> status_outcome("POST", 502, ""), status_outcome("GET", 404, "")
    (<Outcome.UNKNOWN: 'unknown'>, <Outcome.NOT_FOUND: 'not_found'>)
    """
    if status >= 500:
        return Outcome.UNKNOWN  # orders and cancels of such answers were carried out
    if status in STATUSES:
        return STATUSES[status]
    is_absent = status == 404 or "not found" in text.lower()
    if is_absent:
        return Outcome.NOT_FOUND if method == "GET" else Outcome.UNKNOWN  # "not found" answers a query
    if status == 400:
        return Outcome.REFUSED if "INVALID_ARGUMENT" in text.upper() else Outcome.UNKNOWN
    return Outcome.DONE if 200 <= status < 300 else Outcome.UNKNOWN
