"""HTTP answers of all Binance markets: the proof that each gives, and their shared reading. Total: nothing raises.

Knows no method, path or report of one market: the caller passes a reader for those.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from engine.events import Answer, Event, Outcome, ServerTime, Unrecognised
from engine.venues.binance_common.error_codes import classify, is_instrument_rule, is_temporary
from engine.venues.binance_common.values import Millis, nanoseconds

FAILURES = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, AttributeError, msgspec.MsgspecError)
TEXT_MAX = 200
ERROR_BODY_MAX = 4_096  # a longer body of an answer 2xx is data: it is not read a second time in search of an error
COUNT_MAX = 10**12  # of a header's number; above it, the header is nonsense
BAN_UNTIL = re.compile(r"banned until ([0-9]{13})\b")


class _RetryData(msgspec.Struct, frozen=True, rename="camel"):
    retry_after: Millis = 0  # an instant, unlike the header of that name


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of a refusal, in HTTP answers and in frames."""

    code: int
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Time(msgspec.Struct, frozen=True, rename="camel"):
    server_time: Millis


class RefusalTable(NamedTuple):
    """What the refusals of one market mean."""

    classify: Callable[[str, int, int, str], Outcome]  # method, status, code and text -> what it proves
    is_instrument_rule: Callable[[int, str], bool]
    is_temporary: Callable[[int, str], bool]


SPOT_REFUSALS = RefusalTable(classify, is_instrument_rule, is_temporary)

_read_error = msgspec.json.Decoder(ErrorBody).decode


def unrecognised(where: str, error: Exception) -> Unrecognised:
    """Return the event for bytes that could not be read."""
    return Unrecognised(where, f"{type(error).__name__}: {error}"[:TEXT_MAX])


def read_answer(
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str],
    payload: bytes,
    *,
    read: Callable[[bytes], tuple[Event, ...]],
    refusals: RefusalTable = SPOT_REFUSALS,
) -> tuple[Event, ...]:
    """Return what an answer proves, then what it reports.

    An answer "done" whose body cannot be read proves nothing: UNKNOWN, with the reason beside it.

    Args:
        method: Of the request, as the path.
        path: Of the request.
        status: HTTP status.
        headers: The kept headers.
        payload: The body.
        read: Makes reports of the body of a success. May raise FAILURES.
        refusals: What the market's refusals mean.

    """
    answer = Answer(Outcome.UNKNOWN)
    try:
        answer = _answer(method, status, headers, payload, refusals)
        if answer.outcome is not Outcome.DONE:
            return (answer,)
        return (answer, *read(payload))
    except FAILURES as error:
        proves_nothing = msgspec.structs.replace(answer, outcome=Outcome.UNKNOWN)
        return (proves_nothing, unrecognised(f"answer to {method} {path}"[:TEXT_MAX], error))


def _answer(method: str, status: int, headers: Mapping[str, str], payload: bytes, refusals: RefusalTable) -> Answer:
    error = _error_body(status, payload)
    text = error.msg if error is not None else ""
    if error is None and not 200 <= status < 300:
        text = " ".join(payload[: 4 * TEXT_MAX].decode("utf-8", "replace").split())  # HTML, as a rule
    named = {name.lower(): value for name, value in headers.items()}
    return Answer(
        outcome=refusals.classify(method, status, 0 if error is None else error.code, text),
        code=0 if error is None else error.code,
        text=text[:TEXT_MAX],
        retry_at_ns=0 if error is None else nanoseconds(retry_at_ms(error)),
        retry_after_ns=max(_count(named, "retry-after"), 0) * 1_000_000_000,
        weight_used=_count(named, "x-mbx-used-weight-1m"),
        orders_used=_count(named, "x-mbx-order-count-10s"),
        orders_day_used=_count(named, "x-mbx-order-count-1d"),
        is_instrument_rule=error is not None and refusals.is_instrument_rule(error.code, error.msg),
        is_temporary=error is not None and refusals.is_temporary(error.code, error.msg),
    )


def _error_body(status: int, payload: bytes) -> ErrorBody | None:
    if 200 <= status < 300 and (len(payload) > ERROR_BODY_MAX or not (b'"code"' in payload or b"\\" in payload)):
        return None  # the decoder takes longer to find that `code` is missing
    try:
        return _read_error(payload)
    except FAILURES:
        return None


def _count(headers: Mapping[str, str], name: str) -> int:
    """Return a header's number, or -1 if it is absent or none.

    (A used weight of minus one has been seen: also "not said".)
    """
    text = headers.get(name, "")
    if not text:
        return -1
    if not (text.isascii() and text.isdigit()) or len(text) > 13 or int(text) > COUNT_MAX:
        return -1
    return int(text)


def retry_at_ms(error: ErrorBody) -> int:
    """Return when requests are allowed again, in epoch milliseconds, or 0 if the error does not say."""
    try:
        stated = msgspec.json.decode(error.data, type=_RetryData | None)
    except FAILURES:
        stated = None
    if stated is not None and stated.retry_after:
        return stated.retry_after
    ban = BAN_UNTIL.search(error.msg)
    return int(ban[1]) if ban else 0


def read_time(payload: bytes, _instrument: str = "") -> tuple[Event, ...]:
    """Return the venue's clock."""
    return (ServerTime(nanoseconds(msgspec.json.decode(payload, type=_Time).server_time)),)


def read_nothing(payload: bytes, _instrument: str = "") -> tuple[Event, ...]:
    """Verify that a body is JSON: it is empty (ping), or market data that the market codec reads (depth)."""
    msgspec.json.decode(payload, type=dict[str, Any])
    return ()
