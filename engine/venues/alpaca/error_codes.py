"""The table from a refusal to an Outcome, by HTTP status and text: one code of Alpaca's has many causes.

A wrong UNKNOWN costs a query, a wrong REFUSED a second order.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from engine.events import Answer, Outcome
from engine.venues.alpaca.values import FAILURES, TEXT_MAX
from engine.venues.timestamps import SECOND_NS

FORBIDDEN: Final = "forbidden."  # 403 of a wrong key; any other text of a 403 is about the order
ID_TAKEN: Final = "client_order_id must be unique"  # an order with this id exists: the first attempt arrived
# texts of refusals that pass: funds, shares held by another order, an opposite order of our own
TEMPORARY: Final = ("insufficient", "wash trade", "held_for_orders")
# texts that are about the instrument: what we know of it may be old
INSTRUMENT: Final = ("not active", "not tradable", "not fractionable", "increment", "not found")
COUNT_MAX: Final = 10**12


class _Error(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""


def classify(method: str, status: int, code: int, text: str) -> Outcome:
    """Return the outcome that an answer proves. `code` is 0 where the body held none.

    >>> [classify("POST", 422, 42210000, text).value for text in ("asset X is not active", ID_TAKEN)]
    ['refused', 'unknown']
    """
    if 200 <= status < 300:
        return Outcome.DONE
    if status == 429:
        return Outcome.RATE_LIMITED
    if status == 401 or (status == 403 and (not code or text.lower().startswith("forbidden"))):
        return Outcome.AUTH
    if status >= 500 or ID_TAKEN in text:
        return Outcome.UNKNOWN
    if method != "POST" and status == 404:
        return Outcome.NOT_FOUND
    if method == "DELETE" and status == 422:
        return Outcome.NOT_FOUND  # it ended, or its cancel is under way: its own answer says which
    return Outcome.REFUSED if status in (400, 403, 404, 422) and (code or method != "POST") else Outcome.UNKNOWN


def read_refusal(method: str, status: int, headers: Mapping[str, str], payload: bytes) -> Answer:
    """Return what an answer proves by its status, headers and, unless it is a success, its body."""
    error = _Error()
    if not 200 <= status < 300:
        try:
            error = msgspec.json.decode(payload, type=_Error)
        except FAILURES:
            error = _Error(0, " ".join(payload[: 4 * TEXT_MAX].decode("utf-8", "replace").split()))
    text = error.message[:TEXT_MAX]
    outcome = classify(method, status, error.code, text)
    limit, left, reset_s = (_count(headers, f"x-ratelimit-{name}") for name in ("limit", "remaining", "reset"))
    return Answer(
        outcome,
        code=error.code,
        text=text or ("" if outcome is Outcome.DONE else f"HTTP {status}"),
        retry_at_ns=reset_s * SECOND_NS if outcome is Outcome.RATE_LIMITED and 0 < reset_s < 10**10 else 0,
        weight_used=limit - left if limit >= left >= 0 else -1,
        is_instrument_rule=outcome is Outcome.REFUSED and any(words in text for words in INSTRUMENT),
        is_temporary=outcome is Outcome.REFUSED and any(words in text for words in TEMPORARY),
    )


def _count(headers: Mapping[str, str], name: str) -> int:
    """Return a header's number, or -1 if it is absent or none."""
    text = headers.get(name, "")
    if not (text.isascii() and text.isdigit()) or len(text) > 13 or int(text) > COUNT_MAX:
        return -1
    return int(text)
