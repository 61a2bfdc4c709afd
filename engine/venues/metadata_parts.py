"""A venue's description of its instruments, in one answer or in several. Values only."""

from collections.abc import Sequence

from engine.events import Answer, Event, InstrumentsReport, Outcome
from engine.requests import Unsigned
from engine.venues.optional_parts import MetadataParts
from engine.venues.venue import Venue


def metadata_requests(venue: Venue, symbols: Sequence[str]) -> tuple[Unsigned, ...]:
    """Return the requests for all that a venue says of these symbols."""
    reader = venue.metadata
    return reader.requests(symbols) if isinstance(reader, MetadataParts) else (reader.request(symbols),)


def joined_report(
    venue: Venue, payloads: Sequence[bytes], decoded: Sequence[tuple[Event, ...]]
) -> tuple[InstrumentsReport, Answer | None]:
    """Return what the answers to `metadata_requests` describe, and the first that proves a failure.

    Args:
        venue: The venue.
        payloads: The bodies of the answers, in the order of the requests.
        decoded: The events of each answer.

    """
    answers = (event for events in decoded for event in events if isinstance(event, Answer))
    failed = next((answer for answer in answers if answer.outcome is not Outcome.DONE), None)
    if isinstance(venue.metadata, MetadataParts):
        try:
            return InstrumentsReport(()) if failed else venue.metadata.read_parts(payloads), failed
        except ValueError as error:
            return InstrumentsReport(()), Answer(Outcome.UNKNOWN, text=str(error)[:200])
    reports = (event for events in decoded for event in events if isinstance(event, InstrumentsReport))
    return next(reports, InstrumentsReport(())), failed
