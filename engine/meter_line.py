"""The meter: figures of a live session's own process, one line of JSON each few seconds, beside the session's segments.

A line is no record: it is outside the order of records, the chain and every digest, and no decision depends on it.
engine/live/meter.py writes the lines, analysis/metrics/meter_reader.py reads them. All durations are real time.
"""

import msgspec

METER_FILE, OLDER_METER_FILE = "meter.jsonl", "meter.1.jsonl"
METER_BYTES_MAX = 4 * 1024 * 1024  # of each of the two files
# upper bounds of the counts of durations; the last count is of those above
BOUNDS_NS = (
    100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000,
    250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
)  # fmt: skip


class Durations(msgspec.Struct, frozen=True, kw_only=True):
    """Durations of one kind: all since the session's start by BOUNDS_NS, and the newest, since the line before."""

    counts: tuple[int, ...]  # since the session's start, one more than BOUNDS_NS
    sum_ns: int  # since the session's start
    newest: int  # how many since the line before
    p50_ns: int  # of the newest; 0 without any
    p99_ns: int
    max_ns: int


class SendDurations(Durations, frozen=True, kw_only=True):
    """Times from the input that led to a request until its sending began, of one purpose and one way."""

    purpose: str
    transport: str


class MeterLine(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one moment. "peak": the highest since the line before. Counts are since the session's start."""

    version: int = 1
    wall_ns: int  # the machine's clock
    time_ns: int  # session time
    seq: int  # the last record
    waiting: int  # messages in the queue
    waiting_peak: int
    lag_ns: int  # from the socket read of the last message to the end of its step
    lag_peak_ns: int
    unsynced: int  # records that are not on stable storage
    unwritten_bytes: int  # of records that wait in memory for the disk
    sync: Durations  # of the journal
    sends: tuple[SendDurations, ...]  # that reached the wire, by purpose and transport
    log_waiting: int  # batches of outputs that have no log lines yet
    log_dropped: int  # batches of outputs that never got log lines
    resident_bytes: int  # memory of the process; 0 without /proc
    cpu_ns: int  # of the process, all threads
    free_bytes: int  # of the session's disk
