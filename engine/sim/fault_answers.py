"""Answers to requests that faults strike: the answer that replaces the venue's, or the venue's own, changed.

Sends nothing. engine/sim/faults.py decides which rules strike a request.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

import msgspec

from engine.sim.binance.refusals import VenueRefusalError, backend_timeout, banned
from engine.sim.binance.venue_api import ApiResult, refused
from engine.sim.faults import Action, Faults, Rule
from engine.sim.wire import HttpRequest

MS: Final = 1_000_000
FIREWALL_PAGE: Final = (
    b"<html>\n<head><title>403 Forbidden</title></head>\n"
    b"<body>\n<center><h1>403 Forbidden</h1></center>\n</body>\n</html>\n"
)
SECOND_NS: Final = 1_000_000_000
ORDER_NAMES: Final = ("clientOrderId", "clientAlgoId", "client_order_id")  # our id, in the answers of the venues


def is_struck(struck: list[Rule], action: Action) -> bool:
    """Return True if one of the rules has this action."""
    return bool(struck) and any(rule.action is action for rule in struck)


def delay_ns(struck: list[Rule], action: Action) -> int:
    """Return the delay of all rules with this action together."""
    return sum(rule.ms for rule in struck if rule.action is action) * MS if struck else 0


def replaced_answer(
    faults: Faults, struck: list[Rule], now_ns: int, refused: Callable[[VenueRefusalError], ApiResult] = refused
) -> ApiResult | None:
    """Return the answer to a request that the venue does not process, or None; `refused` words its refusals."""
    if now_ns < faults.banned_until_ns:
        until_ns = faults.banned_until_ns
        return refused(banned(until_ns // MS, -(-(until_ns - now_ns) // SECOND_NS)))
    for rule in struck:
        match rule.action:
            case Action.REJECT:
                retry_after_s = rule.retry_after_s or None
                return refused(VenueRefusalError(rule.status or 400, rule.code, rule.msg, retry_after_s=retry_after_s))
            case Action.FIREWALL:
                return ApiResult(status=403, body=None, html=FIREWALL_PAGE)
            case Action.RATE_LIMIT:
                seconds = rule.retry_after_s or 1
                faults.banned_until_ns = now_ns + seconds * SECOND_NS
                return refused(VenueRefusalError(429, -1003, "Too many requests queued.", retry_after_s=seconds))
            case _:
                pass
    return None


def answer_after_faults(
    faults: Faults,
    result: ApiResult,
    struck: list[Rule],
    now_ns: int,
    refused: Callable[[VenueRefusalError], ApiResult] = refused,
) -> ApiResult:
    """Return the answer to a processed request: the venue's, or the error that a rule puts in its place."""
    if result.status == 200 and isinstance(result.body, dict):
        for rule in struck:
            name = next((found for key in ORDER_NAMES if (found := result.body.get(key))), None)
            if rule.action is Action.NOT_FOUND_FOR and name:
                faults.suppress_order(name, rule, now_ns)
    for rule in struck:
        if rule.action is Action.ERROR_AFTER:
            lost = backend_timeout()
            result = refused(
                VenueRefusalError(rule.status or lost.status, rule.code or lost.code, rule.msg or lost.message)
            )
    return result


def renumbered_depth(faults: Faults, request: HttpRequest, result: ApiResult) -> ApiResult:
    """Return the answer to a depth request with the numbering of the symbol's diffs; any other answer as it is."""
    if not request.path.endswith("/depth") or result.status != HTTPStatus.OK:
        return result
    symbol = parse_qs(request.query.decode()).get("symbol", [""])[0]
    return msgspec.structs.replace(result, body=msgspec.Raw(faults.streams.snapshot(symbol, bytes(result.body))))
