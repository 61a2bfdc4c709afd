"""Refusals of access by venues and their firewalls: how long they last, and until when nothing is placed.

One refusal proves little: a firewall also refuses a healthy client for a while. Only refusals that last become a halt
(engine/handlers/access_refusals.py decides). The part is empty while every venue grants access.
"""

import msgspec
from msgspec.structs import replace

from engine.facts import AccessRefused, HaltsLifted
from engine.state.changes import Change, Stamp


class AccessRefusal(msgspec.Struct, frozen=True):
    """The refusals of one venue since the last answer that proved access."""

    reason: str  # the first one's
    since_ns: int
    until_ns: int  # nothing is placed before
    refusals: int = 1
    waits: int = 1  # how often `until_ns` was set
    is_key: bool = False
    purpose: str = ""  # of the newest request that was refused
    set_ns: int = 0  # when `until_ns` was set


class AccessRefusals(msgspec.Struct, frozen=True):
    """The venues that refuse access."""

    by_venue: dict[str, AccessRefusal] = {}

    def is_refused(self, venue: str, time_ns: int) -> bool:
        """Return True while queries to the venue wait after a refusal."""
        refusal = self.by_venue.get(venue)
        return refusal is not None and time_ns < refusal.until_ns


def reduce(access: AccessRefusals, change: Change, at: Stamp) -> AccessRefusals:
    """Count refusals; forget them when an answer proves access, or a person resumes."""
    match change:
        case AccessRefused() if not change.until_ns:
            return AccessRefusals({name: found for name, found in access.by_venue.items() if name != change.venue})
        case AccessRefused():
            known = access.by_venue.get(change.venue)
            if known is None:
                found = AccessRefusal(
                    change.reason,
                    at.time_ns,
                    change.until_ns,
                    is_key=change.is_key,
                    purpose=change.purpose,
                    set_ns=at.time_ns,
                )
            else:
                is_longer = change.until_ns > known.until_ns
                found = replace(
                    known,
                    until_ns=max(known.until_ns, change.until_ns),
                    refusals=known.refusals + 1,
                    waits=known.waits + is_longer,
                    is_key=known.is_key or change.is_key,
                    purpose=change.purpose,
                    set_ns=at.time_ns if is_longer else known.set_ns,
                )
            return AccessRefusals({**access.by_venue, change.venue: found})
        case HaltsLifted():
            return AccessRefusals()
        case _:
            return access
