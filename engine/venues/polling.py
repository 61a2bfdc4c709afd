"""Polled links of a session, and the rows of an answer by its record alone: the key names the stream. Total."""

from collections.abc import Iterable

import numpy as np

from engine.market.rows import COLUMNS, Rows
from engine.model import Instrument
from engine.requests import LinkPlan, LinkRole, PolledStream
from engine.venues.optional_parts import Poll, PollsMarket
from engine.venues.venue import Venue


def polls_of(venue: Venue, instrument: Instrument) -> tuple[Poll, ...]:
    """Return the polls of an instrument; () for a venue with streams."""
    return venue.polls(instrument) if isinstance(venue, PollsMarket) else ()


def is_polled(venue: Venue, role: LinkRole) -> bool:
    """Return True if the venue's links of this role have no socket."""
    return any(plan.polled and plan.role is role for plan in venue.links())


def decode_polled(venue: Venue, key: str, payload: bytes, seq: int, time_ns: int) -> Rows:
    """Return the rows of a record that answers a poll. Empty if it holds no market data."""
    if isinstance(venue, PollsMarket):
        rows = venue.decode_poll(payload, PolledStream.from_key(key), seq, time_ns)
        if not isinstance(rows, tuple):
            return rows
    return np.empty((0, COLUMNS), np.int64)


class PolledLinks:
    """The links of a session that have no socket. Fixed for the session."""

    def __init__(self, links: Iterable[tuple[Venue, LinkPlan]]) -> None:
        """Keep those of `links` that are polled."""
        found = [(venue, plan) for venue, plan in links if plan.polled]
        self.sources = frozenset(plan.source for _, plan in found)
        self.has_account = any(plan.role is LinkRole.PRIVATE for _, plan in found)
        self.streams = {  # requests.PolledStream.key -> the link
            f"{of.id}/{poll.stream.name.lower()}": plan.source
            for venue, plan in found
            if plan.role is LinkRole.MARKET
            for of in venue.instruments_of(plan.source)
            for poll in polls_of(venue, of)
        }
