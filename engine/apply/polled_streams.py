"""Apply the answers of polled streams as market rows, and find which stream is requested. Decides nothing."""

from engine.events import Answer, Event, Outcome, Unrecognised
from engine.market.rows import Rows
from engine.session_record import EngineSettings
from engine.state.pending_requests import PendingRequest, PendingRequests
from engine.state.session_state import Account
from engine.venues.optional_parts import PollsMarket
from engine.venues.venue import Venue
from journal.record import Record


def pending_poll(requests: PendingRequests, key: str) -> PendingRequest | None:
    """Return the request for a polled stream that has no answer yet."""
    for pending in requests.by_seq.values():
        if pending.request.poll is not None and pending.request.poll.key == key:
            return pending
    return None


def is_too_late(pending: PendingRequest, time_ns: int, settings: EngineSettings) -> bool:
    """Return True if an answer to a poll took so long that its data may be older than `venue_lag` allows."""
    return 0 < settings.venue_lag_max_ns < time_ns - pending.time_ns


def is_of_link(account: Account, pending: PendingRequest) -> bool:
    """Return True if the link of a poll is open, and was not closed since the request."""
    link = account.links.by_source.get(pending.request.source)
    return link is not None and 0 <= link.up_seq <= pending.seq


def read_poll(
    venue: Venue,
    account: Account,
    pending: PendingRequest,
    record: Record,
    events: tuple[Event, ...],
    *,
    settings: EngineSettings,
) -> tuple[Rows | None, tuple[Event, ...]]:
    """Return the rows of an answer to a poll, and its events.

    An answer that comes too late, or after its link was closed, has no rows.
    """
    poll = pending.request.poll
    assert poll is not None, "a poll names its stream"
    if not any(isinstance(event, Answer) and event.outcome is Outcome.DONE for event in events):
        return None, events
    if not is_of_link(account, pending) or is_too_late(pending, record.time_ns, settings):
        return None, events
    if not isinstance(venue, PollsMarket):
        return None, (*events, Unrecognised(record.source, f"{venue.name} cannot read polled streams"))
    found = venue.decode_poll(record.payload or b"", poll, record.seq, record.time_ns)
    return (None, (*events, *found)) if isinstance(found, tuple) else (found, events)
