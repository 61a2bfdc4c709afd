"""Links to venues: how far each is, and how often in a row it failed. The account starts each session without any."""

from typing import ClassVar

import msgspec
from msgspec.structs import replace

from engine.bodies import LinkEvent
from engine.facts import LinkReady
from engine.requests import LinkPhase, LinkRole, Purpose
from engine.state.changes import Change, LinkMoved, Requested, Stamp


class LinkState(msgspec.Struct, frozen=True):
    """One link: its role, phase and newest records."""

    OMITTED_AT_DEFAULT: ClassVar[frozenset[str]] = frozenset({"renewed_ns"})

    source: str
    role: LinkRole
    venue: str
    state: LinkPhase = LinkPhase.DOWN
    up_seq: int = -1  # seq of the LINK record that opened it: the cause of its frames
    changed_seq: int = -1
    changed_ns: int = 0
    failures: int = 0  # in a row, without becoming ready in between
    reconnects: int = 0
    renewed_ns: int = 0  # when a renewal of its token was last requested


class LinkStates(msgspec.Struct, frozen=True):
    """All links of the session."""

    by_source: dict[str, LinkState] = {}

    def all_ready(self, venue: str = "") -> bool:
        """Return True if every link is ready, of one venue or of all."""
        return all(link.state is LinkPhase.READY for link in self.by_source.values() if venue in ("", link.venue))

    def account_ready(self, venue: str = "") -> bool:
        """Return True if every private link is ready, of one venue or of all. Market links do not count."""
        return all(link.state is LinkPhase.READY for link in self.private(venue))

    def private(self, venue: str = "") -> list[LinkState]:
        """Return the private links of a venue, or of all."""
        links = self.by_source.values()
        return [link for link in links if link.role is LinkRole.PRIVATE and venue in ("", link.venue)]

    def has_account_at(self, venue: str) -> bool:
        """Return True if a private link is of this venue; "" stands for any."""
        return bool(self.private(venue))

    @property
    def has_account(self) -> bool:
        """True if a link is an account's. Without one there is nothing to reconcile and nothing to trade."""
        return any(link.role is LinkRole.PRIVATE for link in self.by_source.values())


def reduce(links: LinkStates, change: Change, at: Stamp) -> LinkStates:
    """Fold connect requests, LINK records and confirmed subscriptions."""
    match change:
        case Requested() if change.request.purpose is Purpose.CONNECT:
            plan = change.request.link
            assert plan is not None, "a connect request carries its plan"
            link = links.by_source.get(plan.source) or LinkState(plan.source, plan.role, change.request.venue)
            return _put(links, replace(link, state=LinkPhase.OPENING))
        case Requested() if change.request.purpose is Purpose.RENEW_TOKEN:
            link = links.by_source[change.request.source]
            return _put(links, replace(link, renewed_ns=at.time_ns))
        case LinkMoved() if change.source in links.by_source:
            return _moved(links, change, at)
        case LinkReady():
            link = links.by_source[change.source]
            if link.state is not LinkPhase.UP:
                return links
            return _put(links, replace(link, state=LinkPhase.READY, failures=0))
        case _:
            return links


def _moved(links: LinkStates, change: LinkMoved, at: Stamp) -> LinkStates:
    link = links.by_source[change.source]
    is_up = change.link.state is LinkEvent.UP
    moved = replace(
        link,
        state=LinkPhase.UP if is_up else LinkPhase.DOWN,
        failures=link.failures if is_up else link.failures + 1,
        up_seq=at.seq if is_up else -1,
        changed_seq=at.seq,
        changed_ns=at.time_ns,
        reconnects=link.reconnects + (1 if is_up and link.changed_seq >= 0 else 0),
    )
    return _put(links, moved)


def _put(links: LinkStates, link: LinkState) -> LinkStates:
    return LinkStates({**links.by_source, link.source: link})
