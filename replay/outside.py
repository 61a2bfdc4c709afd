"""What came to a recorded session from outside and would have come to any other in its place: market frames, the state of market
links, commands, clocks. And the same market as the simulated venue must see it: earlier, by what the way took.

Reads a journal; knows nothing of what is decided.
"""

from collections.abc import Iterator
from typing import NamedTuple

from engine import facts
from engine.sim.market import DATA_MARK, STREAM_PREFIX, Line
from journal.reader import Journal
from journal.record import Kind, Record

SNAPSHOT_MARK = b'{"lastUpdateId":'
OUTSIDE = (Kind.FEED, Kind.LINK, Kind.COMMAND)


class Outside(NamedTuple):
    """The record as it stands in the source: its seq is the origin of the one made of it."""

    record: Record
    line: int = 0  # its number among market_lines, from 1; 0: it is none of them
    is_market_link: bool = False


def outside(
    journal: Journal, from_seq: int, until_seq: int, market_sources: frozenset[str], *, lines: int
) -> Iterator[Outside]:
    """In their order; `lines` came before `from_seq`. Answers are not among them: whoever asks is answered by the model."""
    for record in journal.records(from_seq, until_seq, kinds=OUTSIDE):
        if is_line(record):
            lines += 1
            if record.meta is None:
                yield Outside(record, lines)
            continue
        if record.kind is Kind.LINK:
            if record.source in market_sources:
                yield Outside(record, is_market_link=True)
            elif record.source == "clock":
                yield Outside(record)
        elif record.kind is Kind.COMMAND or record.meta is None or record.cause is None:
            yield Outside(record)


def is_line(record: Record) -> bool:
    """Whether the record is a market message that the simulated venue knows what to do with: a frame, or a depth answer."""
    if record.kind is not Kind.FEED:
        return False
    payload = record.payload or b""
    if record.meta is None:
        return payload.startswith(STREAM_PREFIX)
    return record.cause is not None and payload.startswith(SNAPSHOT_MARK)


def market_lines(journal: Journal, until_seq: int, *, feed_ns: int, answer_ns: int) -> Iterator[Line]:
    """The market at the venue. Snapshots are lines without a stream, due when their answer left there."""
    known: dict[bytes, tuple[str, str]] = {}
    for record in journal.records(0, until_seq, kinds=(Kind.FEED,)):
        if not is_line(record):
            continue
        payload = record.payload or b""
        if record.meta is None:
            name = payload[len(STREAM_PREFIX) : payload.find(DATA_MARK)]
            if name not in known:
                stream = name.decode("ascii", "replace")
                known[name] = stream, stream.partition("@")[0].upper()
            yield Line(record.time_ns - feed_ns, *known[name], payload)
        else:
            asked = next(journal.records(record.cause or 0, record.cause))
            symbol = facts.read_request(asked.body or "").instrument.partition(":")[2]
            yield Line(record.time_ns - answer_ns, "", symbol, payload)
