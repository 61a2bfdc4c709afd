"""What Kraken's errors prove about a request. They are words in a list, and come with HTTP 200."""

from typing import Final

from engine.events import Outcome

# the longest beginning of a text decides; a word that is not listed proves nothing
OUTCOMES: Final = {
    "EService:Unavailable": Outcome.UNKNOWN,
    "EService:Busy": Outcome.UNKNOWN,
    "EService:Timeout": Outcome.UNKNOWN,
    "EGeneral:Internal error": Outcome.UNKNOWN,
    "EOrder:": Outcome.REFUSED,
    "ETrade:": Outcome.REFUSED,
    "EQuery:": Outcome.REFUSED,
    "EFunding:": Outcome.REFUSED,
    "EGeneral:Invalid arguments": Outcome.REFUSED,
    "EGeneral:Unknown": Outcome.REFUSED,
    "EAPI:Bad request": Outcome.REFUSED,
    "EAPI:Feature disabled": Outcome.REFUSED,
    "EService:Market in": Outcome.REFUSED,
    "EService:Deadline elapsed": Outcome.UNKNOWN,  # never executed, says its text: one query confirms it
    "EOrder:Unknown order": Outcome.NOT_FOUND,
    "EOrder:Orders limit exceeded": Outcome.ORDER_LIMITED,
    "EOrder:Scheduled orders limit exceeded": Outcome.ORDER_LIMITED,
    "EOrder:Rate limit exceeded": Outcome.ORDER_LIMITED,
    "EOrder:Domain rate limit exceeded": Outcome.ORDER_LIMITED,
    "EAPI:Rate limit exceeded": Outcome.RATE_LIMITED,
    "EGeneral:Too many requests": Outcome.RATE_LIMITED,
    "EService:Throttled": Outcome.RATE_LIMITED,
    "Exceeded msg rate": Outcome.RATE_LIMITED,
    "EAPI:Invalid nonce": Outcome.CLOCK,
    "EAPI:Invalid key": Outcome.AUTH,
    "EAPI:Invalid signature": Outcome.AUTH,
    "EGeneral:Permission denied": Outcome.AUTH,
    "EGeneral:Temporary lockout": Outcome.AUTH,
    "ESession:": Outcome.AUTH,
    "EAuth:": Outcome.AUTH,
    "ETrade:User Locked": Outcome.AUTH,
    "EAccount:": Outcome.AUTH,
    "Token": Outcome.AUTH,
}
# an error that names our id may mean that the order exists: its text is not documented
MAY_EXIST: Final = ("cl_ord_id", "client order id")
INSTRUMENT_RULES: Final = (
    "EOrder:Order minimum not met", "EOrder:Cost minimum not met", "EOrder:Tick size check failed",
    "EOrder:Invalid price", "EGeneral:Invalid arguments:volume", "EService:Market in",
)  # fmt: skip
TEMPORARY: Final = ("EOrder:Insufficient funds", "EService:Market in")
THROTTLED: Final = "EService:Throttled:"
LOCKOUT: Final = "EGeneral:Temporary lockout"
_BY_LENGTH: Final = sorted(OUTCOMES, key=len, reverse=True)


def classify(text: str) -> Outcome:
    """Return what an error proves.

    >>> [str(classify(text)) for text in ("EOrder:Insufficient funds", "EService:Busy", "EOrder:Unknown order", "?")]
    ['refused', 'unknown', 'not_found', 'unknown']
    """
    if any(name in text.lower() for name in MAY_EXIST):
        return Outcome.UNKNOWN
    return next((OUTCOMES[word] for word in _BY_LENGTH if text.startswith(word)), Outcome.UNKNOWN)


def retry_at_ns(text: str) -> int:
    """Return the time before which nothing may be sent, where the error states it; else 0."""
    seconds = text.removeprefix(THROTTLED)
    is_stated = text.startswith(THROTTLED) and seconds.isascii() and seconds.isdigit() and len(seconds) <= 10
    return int(seconds) * 10**9 if is_stated else 0
