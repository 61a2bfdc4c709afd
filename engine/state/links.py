"""Connections: wanted, opening, up, ready; and how often in a row one failed. Fresh in every session.

A link is `up` when the socket stands and `ready` when the venue confirmed what we asked of it (market links: at once).
"""

import msgspec
from msgspec.structs import replace

from engine.facts import LinkReady
from engine.state.changes import Change, LinkMoved, Requested, Stamp


class LinkState(msgspec.Struct, frozen=True):
    source: str
    role: str
    venue: str
    state: str = "down"  # down | opening | up | ready
    up_seq: int = -1  # seq of the LINK record that opened it: the cause of its frames
    changed_seq: int = -1
    changed_ns: int = 0
    failures: int = 0  # in a row, without becoming ready in between
    reconnects: int = 0


class LinkStates(msgspec.Struct, frozen=True):
    by_source: dict[str, LinkState] = {}

    def all_ready(self) -> bool:
        return all(link.state == "ready" for link in self.by_source.values())

    @property
    def has_account(self) -> bool:
        """Whether one of them is an account's: without, there is nothing to reconcile and nothing to trade."""
        return any(link.role == "private" for link in self.by_source.values())

    def changed_seq(self) -> int:
        return max((link.changed_seq for link in self.by_source.values()), default=-1)


def reduce(links: LinkStates, change: Change, at: Stamp) -> LinkStates:
    match change:
        case Requested() if change.request.purpose == "connect":
            plan = change.request.link
            assert plan is not None, "a connect request carries its plan"
            link = links.by_source.get(plan.source) or LinkState(plan.source, plan.role, change.request.venue)
            return _put(links, replace(link, state="opening"))
        case LinkMoved() if change.source in links.by_source:
            return _moved(links, change, at)
        case LinkReady():
            link = links.by_source[change.source]
            if link.state != "up":
                return links
            return _put(links, replace(link, state="ready", failures=0))
        case _:
            return links


def _moved(links: LinkStates, change: LinkMoved, at: Stamp) -> LinkStates:
    link = links.by_source[change.source]
    if change.link.state == "up":
        state, failures, up_seq = "up", link.failures, at.seq
    else:
        state, failures, up_seq = "down", link.failures + 1, -1
    again = link.reconnects + (1 if change.link.state == "up" and link.changed_seq >= 0 else 0)
    return _put(
        links,
        replace(
            link,
            state=state,
            failures=failures,
            up_seq=up_seq,
            changed_seq=at.seq,
            changed_ns=at.time_ns,
            reconnects=again,
        ),
    )


def _put(links: LinkStates, link: LinkState) -> LinkStates:
    return LinkStates({**links.by_source, link.source: link})
