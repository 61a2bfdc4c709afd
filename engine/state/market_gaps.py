"""Gaps in the market data: which links have one, and what begins and ends one.

The account starts each session without any. A gap is a lost or silent link, the time between two sessions, or a break
in the ids of a stream. The functions return the fact to emit; the caller emits it.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from engine.facts import MarketGap, SequencedStream
from engine.market.views import SequenceBreak
from engine.session_record import SessionBody
from engine.state.changes import Change, Stamp

BREAKS: Final = {
    SequencedStream.TRADE: "trade ids are missing",
    SequencedStream.DEPTH: "depth update ids are missing",
    SequencedStream.CHECKSUM: "the book's checksum differs from the venue's",
}


class OpenGap(msgspec.Struct, frozen=True):
    """A gap that lasts."""

    seq: int  # of the FACT that opened it
    gap: MarketGap


class OpenGaps(msgspec.Struct, frozen=True):
    """The gaps that last, at most one for each link."""

    open: dict[str, OpenGap] = {}  # link -> its gap


def reduce(gaps: OpenGaps, change: Change, at: Stamp) -> OpenGaps:
    """Fold gaps of links: add those that begin, drop those that end."""
    match change:
        case MarketGap() if change.stream:
            return gaps  # a break in ids begins and ends in one record
        case MarketGap() if change.to_ns:
            return OpenGaps({link: gap for link, gap in gaps.open.items() if link != change.link})
        case MarketGap():
            return OpenGaps({**gaps.open, change.link: OpenGap(at.seq, change)})
        case _:
            return gaps


def gap_before_session(body: SessionBody, link: str) -> MarketGap | None:
    """Return the gap between the previous session and this link's start. None if the shell kept the connection."""
    previous = body.previous
    if previous is None or not previous.last_ns or link in previous.links:
        return None
    return MarketGap(link, f"between session {previous.session} and this one", previous.last_ns, -1)


def gap_of_link(body: SessionBody, link: str, reason: str, last_frame: tuple[int, int]) -> MarketGap:
    """Return the gap that begins when a link is lost or falls silent.

    Args:
        body: The session.
        link: The source of the link.
        reason: Why it begins.
        last_frame: (time_ns, seq) of the link's last frame; zeros before the first.

    """
    from_ns, from_seq = last_frame
    if not from_ns:
        from_ns = body.previous.last_ns if body.previous is not None else 0
        from_ns, from_seq = from_ns or body.started_ns, 0
    return MarketGap(link, reason, from_ns, _seq_here(body, from_ns, from_seq))


def gap_ended(gap: MarketGap, *, time_ns: int, seq: int) -> MarketGap:
    """Return the gap with its end: the record that made its link ready again."""
    return replace(gap, to_ns=time_ns, to_seq=seq)


def gap_in_ids(
    body: SessionBody, found: SequenceBreak, *, link: str, instrument: str, time_ns: int, seq: int
) -> MarketGap:
    """Return the gap that a jump in ids or a checksum shows. `time_ns` and `seq` are of the record that shows it."""
    return MarketGap(
        link=link,
        reason=BREAKS[found.stream],
        from_ns=found.last_ns,
        from_seq=_seq_here(body, found.last_ns, found.last_seq),
        to_ns=time_ns,
        to_seq=seq,
        instrument=instrument,
        stream=found.stream,
        last_id=found.last_id,
        first_id=found.first_id,
    )


def _seq_here(body: SessionBody, time_ns: int, seq: int) -> int:
    return seq if time_ns >= body.started_ns else -1
