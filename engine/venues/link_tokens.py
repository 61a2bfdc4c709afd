"""Tokens in the paths of private links: where they go, and how they stay out of the journal.

A token suffices to read the account's events. So a plan of a link holds a place for it, and no record holds it.
"""

from typing import Final

from engine.requests import Purpose

PLACE: Final = "{token}"
CONCEALED: Final = b"{}"


def needs_token(path: str) -> bool:
    """Return True if the path of a link has a place for a token."""
    return PLACE in path


def with_token(path: str, token: str) -> str:
    """Return the path with a token."""
    return path.replace(PLACE, token)


def without_token(purpose: Purpose, body: bytes, status: int) -> bytes:
    """Return the body of an answer as it may be recorded: none of a renewal, which may hold the token."""
    return CONCEALED if purpose is Purpose.RENEW_TOKEN and 200 <= status < 300 else body
