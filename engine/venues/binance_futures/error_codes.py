"""The table from a refusal of Binance's futures to an Outcome.

Some numbers mean another thing than on Spot (-2021, -2022), and a status 503 is told apart by its text alone. Numbers
in parentheses are sections of the fact sheet of USD-M. A wrong UNKNOWN costs a query, a wrong REFUSED a second order.
"""

from typing import Final

from engine.events import Outcome
from engine.venues.binance_common import error_codes as common

SUCCESS: Final = 200  # the code of an answer without data ("success")
DUPLICATE_ID: Final = -4116  # an order with this id is open: the first request succeeded
NO_CHANGE: Final = frozenset({-4046, -4059})  # the margin mode or the position mode is as requested
NOT_SENT_ON: Final = frozenset(
    {"Service Unavailable.", "Internal error; unable to process your request. Please try again."}
)
THROTTLED: Final = -1008
KEY_EXPIRED: Final = -1125  # a listen key that is no longer valid

_UNKNOWN: Final = (-1000, -1001, -1006, -1007, DUPLICATE_ID)
_NOT_FOUND: Final = (-2011, -2013)
_AUTH: Final = (-1002, -1022, -2014, -2015)
_CLOCK: Final = (-1021, -5028)
# funds, counts of orders, distances from the mark price: they may pass
_PASSES: Final = (-2018, -2019, -2025, -4016, -4024, -4045, -4131, -2027, -2028)
_REFUSED: Final = (
    -1014, -2010, -2020, -2021, -2022, -4003, -4004, -4005, -4013, -4014, -4015, -4023, -4061, -4062, -4087, -4088,
    -4105, -4106, -4107, -4109, -4118, -4120, -4137, -4138, -4142, -4164, -4189, -4192, -4400, -4401, -4531, -5021,
    -5022, -5037, -5038, -5039, -5040, -5041, KEY_EXPIRED,
)  # fmt: skip
_RULES: Final = frozenset({-1111, -1121, -4003, -4004, -4005, -4013, -4014, -4023, -4109, -4164})

CODES: Final = {
    **dict.fromkeys(_UNKNOWN, Outcome.UNKNOWN),
    **dict.fromkeys(_NOT_FOUND, Outcome.NOT_FOUND),
    **dict.fromkeys(_AUTH, Outcome.AUTH),
    **dict.fromkeys(_CLOCK, Outcome.CLOCK),
    **dict.fromkeys((*_PASSES, *_REFUSED), Outcome.REFUSED),
    **dict.fromkeys(NO_CHANGE, Outcome.DONE),
    -1003: Outcome.RATE_LIMITED,
    THROTTLED: Outcome.RETRY_LATER,
    SUCCESS: Outcome.DONE,
}


def classify(method: str, status: int, code: int, text: str) -> Outcome:
    """Return the outcome that an answer proves. `code` is 0 where the body held none.

    >>> classify("POST", 503, 0, "Service Unavailable."), classify("POST", 503, 0, "Unknown error, please check")
    (<Outcome.RETRY_LATER: 'retry_later'>, <Outcome.UNKNOWN: 'unknown'>)
    """
    if status >= 500:
        is_failed = status == 503 and (text in NOT_SENT_ON or code == THROTTLED)
        return Outcome.RETRY_LATER if is_failed else Outcome.UNKNOWN
    if code == common.TOO_MANY_ORDERS and status != common.BANNED:
        return Outcome.ORDER_LIMITED
    if status == 408:
        return Outcome.UNKNOWN
    if status in common.STATUSES:
        return common.STATUSES[status]
    if code in (0, SUCCESS):
        return Outcome.DONE if 200 <= status < 300 else Outcome.UNKNOWN
    outcome = CODES.get(code)
    if outcome is None:
        return Outcome.REFUSED if code in common.PARAMETER_CODES else Outcome.UNKNOWN
    if outcome is Outcome.NOT_FOUND and method == "POST":
        return Outcome.UNKNOWN  # "not found" answers a query, and a placement is none
    return outcome


def is_instrument_rule(code: int, _text: str) -> bool:
    """Return True if the instrument's rules or status refused the request."""
    return code in _RULES


def is_temporary(code: int, _text: str) -> bool:
    """Return True if a refused order may be accepted later without a change."""
    return code in _PASSES
