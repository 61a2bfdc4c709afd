"""Session time in a journal: parses moments as people write them and finds the record at a moment."""

from datetime import UTC, datetime, time

from journal.reader import Journal

SECOND_NS = 1_000_000_000
# a bare number from here on is a time_ns: as a seq it is too large, as a time before it is in January 1970
TIME_NS_MIN = 10**15


class UnknownMomentError(Exception):
    """A text names neither a record nor a time of the session."""


def find_moment(journal: Journal, text: str) -> tuple[int | None, int | None]:
    """Parse `text` and check that the journal covers it.

    Raises:
        UnknownMomentError: The text is no moment, or one outside the session. The message states where the session
            begins and ends.
    """
    first = journal.session_record()
    started_ns = first.time_ns
    seq, time_ns = parse_moment(text, started_ns)
    ended_ns = next(journal.records(journal.last_seq)).time_ns
    if seq is not None and seq > journal.last_seq:
        where = "after its last record"
    elif (
        time_ns is not None and time_ns < started_ns - started_ns % SECOND_NS
    ):  # the session's first second counts as a whole
        where = "before it began"
    elif time_ns is not None and time_ns > ended_ns:
        where = "after it ended"
    elif (left := journal.left_out) and (
        seq in left or (time_ns is not None and _is_left_out(journal, time_ns, started_ns))
    ):
        where = f"among records {left.start} to {left[-1]}, which this slice does not have"
    else:
        return seq, time_ns
    raise UnknownMomentError(
        f"{text!r} is not a moment of the session: it is {where}. "
        f"The session runs from {iso_time(started_ns)} (record 0) to {iso_time(ended_ns)} (record {journal.last_seq})"
    )


def _is_left_out(journal: Journal, time_ns: int, started_ns: int) -> bool:
    """Return True if a slice has no record at or before a moment except the SESSION record."""
    return time_ns > started_ns and journal.seq_at(time_ns) == 0


def find_span(journal: Journal, begin: str | None, end: str | None) -> tuple[int, int]:
    """Return the first and the last record between two moments.

    Args:
        journal: The session.
        begin: A moment, or None for the first record.
        end: A moment, or None for the last record.

    Raises:
        UnknownMomentError: A moment is unknown, or no record is between the two.
    """
    from_seq, to_seq = 0, journal.last_seq
    if begin is not None:
        seq, time_ns = find_moment(journal, begin)
        from_seq = journal.seq_at(time_ns - 1) + 1 if time_ns is not None else seq or 0
    if end is not None:
        seq, time_ns = find_moment(journal, end)
        to_seq = journal.seq_at(time_ns) if time_ns is not None else seq or 0
    if from_seq > to_seq:
        raise UnknownMomentError(f"no record is between {begin!r} and {end!r}")
    return from_seq, to_seq


def parse_moment(text: str, started_ns: int) -> tuple[int | None, int | None]:
    """Return (seq, None) or (None, time_ns).

    `text` is a seq, a time_ns, an ISO time, or a UTC time of day within the session's first 24 hours.
    """
    text = text.strip().replace(",", "").replace("_", "")
    if text.isascii() and text.isdigit():
        number = int(text)
        return (None, number) if number >= TIME_NS_MIN else (number, None)
    try:
        if "-" not in text:
            return None, _next_time_of_day(time.fromisoformat(text), started_ns)
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UnknownMomentError(
            f"{text!r} is neither a record's seq nor a time; write 48212, 13:45:10.250 or 2026-03-04T13:45:10Z"
        ) from None
    return None, nanoseconds(when if when.tzinfo else when.replace(tzinfo=UTC))


def utc_time(time_ns: int) -> datetime:
    """Convert nanoseconds since 1970 to a datetime in UTC, to the microsecond."""
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).replace(microsecond=time_ns // 1000 % 1_000_000)


def iso_time(time_ns: int) -> str:
    """Format a time as ISO 8601 in UTC to the microsecond."""
    return f"{utc_time(time_ns):%Y-%m-%dT%H:%M:%S.%fZ}"


def nanoseconds(when: datetime) -> int:
    """Convert a datetime to nanoseconds since 1970."""
    return int(when.replace(microsecond=0).timestamp()) * SECOND_NS + when.microsecond * 1000


def _next_time_of_day(of_day: time, started_ns: int) -> int:
    """Return the first time with this time of day that is not before the session's start.

    A session that passes midnight has each time of day once.
    """
    start = datetime.fromtimestamp(started_ns // SECOND_NS, UTC)
    time_ns = nanoseconds(datetime.combine(start.date(), of_day, UTC))
    day_ns = 24 * 3600 * SECOND_NS
    return time_ns if time_ns >= started_ns - started_ns % SECOND_NS else time_ns + day_ns
