"""Requests for the tokens of private links, when a link opens. No record and no log line holds a token."""

from collections.abc import Awaitable, Callable

from engine.live.transport.http_result import HttpResult
from engine.requests import AnswerStatus, LinkPlan, Unsigned
from engine.venues.contract_accounts import StreamTokens
from engine.venues.link_tokens import needs_token
from engine.venues.venue import Venue

Send = Callable[[str, Unsigned], Awaitable[HttpResult]]


class TokenRefusedError(Exception):
    """The venue gave no token; the text says why, without any secret."""


async def request_token(plan: LinkPlan, venue: Venue, send: Send) -> str:
    """Return a new token for a link that needs one, or "". Raises TokenRefusedError."""
    if not needs_token(venue, plan):
        return ""
    account = venue.account
    assert isinstance(account, StreamTokens), f"{venue.name} has a place for a token and requests none"
    unsigned = account.stream_token()
    result = await send(venue.name, unsigned)
    if result.outcome is not AnswerStatus.ANSWER:
        raise TokenRefusedError(f"no token for the private link: {result.error or result.outcome}")
    if not 200 <= result.status < 300:
        text = " ".join(result.body[:200].decode("utf-8", "replace").split())
        raise TokenRefusedError(f"no token for the private link: HTTP {result.status} {text}")
    try:
        return account.read_token(result.body)
    except ValueError as error:
        raise TokenRefusedError(f"no token for the private link: {error}") from None
