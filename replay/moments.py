"""Session time in a journal: which record stood at a moment, and moments as people write them."""

from datetime import UTC, datetime, time

from journal.reader import Journal

SECOND_NS = 1_000_000_000
TIME_NS_MIN = (
    10**15
)  # a bare number from here on is a time_ns: in 1970 nobody traded, and no session has so many records


class UnknownMomentError(Exception):
    """A text that names neither a record nor a time."""


def moment_of(journal: Journal, text: str) -> tuple[int | None, int | None]:
    """`moment`, within what the journal holds. UnknownMomentError says where it begins and ends."""
    first = journal.session_record()
    started_ns = first.time_ns
    seq, time_ns = moment(text, started_ns)
    ended_ns = next(journal.records(journal.last_seq)).time_ns
    if seq is not None and seq > journal.last_seq:
        where = "after its last record"
    elif time_ns is not None and time_ns < started_ns - started_ns % SECOND_NS:  # the second it began in is its own
        where = "before it began"
    elif time_ns is not None and time_ns > ended_ns:
        where = "after it ended"
    elif (left := journal.left_out) and (
        seq in left or (time_ns is not None and _within(journal, time_ns, started_ns))
    ):
        where = f"among records {left.start} to {left[-1]}, which this slice has not"
    else:
        return seq, time_ns
    raise UnknownMomentError(
        f"{text!r} is no moment of the session: {where}. "
        f"It goes from {iso(started_ns)} (record 0) to {iso(ended_ns)} (record {journal.last_seq})"
    )


def _within(journal: Journal, time_ns: int, started_ns: int) -> bool:
    """Whether nothing that a slice has but the SESSION record stands at or before a moment."""
    return time_ns > started_ns and journal.seq_at(time_ns) == 0


def span_of(journal: Journal, begin: str | None, end: str | None) -> tuple[int, int]:
    """First and last record of what lies between two moments; where one is None, of all. UnknownMomentError."""
    from_seq, to_seq = 0, journal.last_seq
    if begin is not None:
        seq, time_ns = moment_of(journal, begin)
        from_seq = journal.seq_at(time_ns - 1) + 1 if time_ns is not None else seq or 0
    if end is not None:
        seq, time_ns = moment_of(journal, end)
        to_seq = journal.seq_at(time_ns) if time_ns is not None else seq or 0
    if from_seq > to_seq:
        raise UnknownMomentError(f"nothing lies between {begin!r} and {end!r}")
    return from_seq, to_seq


def moment(text: str, started_ns: int) -> tuple[int | None, int | None]:
    """(seq, None) or (None, time_ns): a seq, a time_ns, an ISO time, or HH:MM:SS (UTC) of the session's first 24 hours."""
    text = text.strip().replace(",", "").replace("_", "")
    if text.isascii() and text.isdigit():
        number = int(text)
        return (None, number) if number >= TIME_NS_MIN else (number, None)
    try:
        if "-" not in text:
            return None, _of_the_day(time.fromisoformat(text), started_ns)
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UnknownMomentError(
            f"{text!r} is neither a record's seq nor a time: 48212, 13:45:10.250 or 2026-03-04T13:45:10Z"
        ) from None
    return None, nanoseconds(when if when.tzinfo else when.replace(tzinfo=UTC))


def iso(time_ns: int) -> str:
    when = datetime.fromtimestamp(time_ns // SECOND_NS, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{time_ns // 1000 % 1_000_000:06d}Z"


def nanoseconds(when: datetime) -> int:
    return int(when.replace(microsecond=0).timestamp()) * SECOND_NS + when.microsecond * 1000


def _of_the_day(of_day: time, started_ns: int) -> int:
    """A session that passes midnight has each time of day once: the first that is not before its start."""
    start = datetime.fromtimestamp(started_ns // SECOND_NS, UTC)
    found = nanoseconds(datetime.combine(start.date(), of_day, UTC))
    day_ns = 24 * 3600 * SECOND_NS
    return found if found >= started_ns - started_ns % SECOND_NS else found + day_ns
