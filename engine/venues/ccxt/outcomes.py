"""The proof that an answer gives, by the class of the error that ccxt makes of it.

A wrong UNKNOWN costs a query and a wrong REFUSED costs a second order: a class that ccxt also uses for errors that it
does not know proves nothing.
"""

from collections.abc import Mapping
from typing import Final

from engine.events import Answer, Outcome
from engine.venues.ccxt.unified_calls import CHANGING

SECOND_NS: Final = 1_000_000_000
TEXT_MAX: Final = 200
WAIT_DIGITS: Final = 6  # of seconds to wait

# the nearest class of an error in this table decides; a class that is not here proves nothing
OUTCOMES: Final[Mapping[str, Outcome]] = {
    "AuthenticationError": Outcome.AUTH,  # and what derives from it: permissions, suspended accounts
    "RestrictedLocation": Outcome.AUTH,
    "ManualInteractionNeeded": Outcome.AUTH,
    "ArgumentsRequired": Outcome.REFUSED,
    "BadRequest": Outcome.REFUSED,
    "OperationRejected": Outcome.REFUSED,
    "InsufficientFunds": Outcome.REFUSED,
    "InvalidOrder": Outcome.REFUSED,
    "OrderNotFound": Outcome.NOT_FOUND,
    "OrderNotCached": Outcome.UNKNOWN,
    "DuplicateOrderId": Outcome.UNKNOWN,  # of a placement: the order may be the one that is there
    "NotSupported": Outcome.REFUSED,
    "DDoSProtection": Outcome.RATE_LIMITED,
    "RateLimitExceeded": Outcome.RATE_LIMITED,
    "InvalidNonce": Outcome.CLOCK,
    "ChecksumError": Outcome.UNKNOWN,
    # it may have been accepted before: ExchangeNotAvailable, OnMaintenance, RequestTimeout, BadResponse, NetworkError
    "ExchangeError": Outcome.UNKNOWN,
    "OperationFailed": Outcome.UNKNOWN,
}
TEMPORARY: Final = frozenset({"InsufficientFunds", "MarketClosed", "OrderImmediatelyFillable", "OrderNotFillable"})
OF_INSTRUMENT: Final = frozenset({"InvalidOrder", "BadSymbol", "MarketClosed"})  # its rules or its status


def classify(error: Exception, call: str, status: int) -> Outcome:
    """Return the outcome that an error proves about a call."""
    if status >= 500:
        return Outcome.UNKNOWN
    found = next((OUTCOMES[name] for name in _classes(error) if name in OUTCOMES), Outcome.UNKNOWN)
    if found is Outcome.NOT_FOUND and call == "create_order":
        return Outcome.UNKNOWN  # "not found" answers a query, and a placement is none
    if found is Outcome.CLOCK and call in CHANGING and not 400 <= status < 500:
        return Outcome.UNKNOWN  # a nonce that was used before may be that of the same request
    return found


def answer_of(error: Exception, call: str, status: int, headers: Mapping[str, str]) -> Answer:
    """Return the Answer for an error that ccxt made of an answer."""
    names = list(_classes(error))
    outcome = classify(error, call, status)
    is_refused = outcome is Outcome.REFUSED
    return Answer(
        outcome=outcome,
        code=names[0],
        text=" ".join(str(error).split())[:TEXT_MAX],
        retry_after_ns=_wait_ns(headers) if outcome is Outcome.RATE_LIMITED else 0,
        is_instrument_rule=is_refused and names[0] in OF_INSTRUMENT,
        is_temporary=is_refused and names[0] in TEMPORARY,
    )


def _classes(error: Exception) -> list[str]:
    """Return the names of an error's classes, its own first."""
    return [each.__name__ for each in type(error).__mro__]


def _wait_ns(headers: Mapping[str, str]) -> int:
    text = headers.get("retry-after", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= WAIT_DIGITS
    return int(text) * SECOND_NS if is_number else 0
