"""Tokens of private links: where they go, and how they stay out of the journal.

A token suffices to read the account's events. So the path of a link, or a message over it, holds a place for it, and no
record holds the token.
"""

from typing import Final

from engine.requests import LinkPlan, LinkRole, Purpose
from engine.venues.venue import Venue

PLACE: Final = "{token}"
CONCEALED: Final = b"{}"


def needs_token(venue: Venue, plan: LinkPlan) -> bool:
    """Return True if the path of a private link, or a subscription over it, has a place for a token."""
    if PLACE in plan.path:
        return True
    if plan.role is not LinkRole.PRIVATE:
        return False
    return any(PLACE in value for message in venue.subscriptions(plan.source) for _, value in message.params)


def with_token(path: str, token: str) -> str:
    """Return the path with a token."""
    return path.replace(PLACE, token)


def frame_with_token(frame: bytes, token: str) -> bytes:
    """Return a message over a link with the link's token."""
    return frame.replace(PLACE.encode(), token.encode()) if token else frame


def without_token(purpose: Purpose, body: bytes, status: int) -> bytes:
    """Return the body of an answer as it may be recorded: none of a renewal, which may hold the token."""
    return CONCEALED if purpose is Purpose.RENEW_TOKEN and 200 <= status < 300 else body
