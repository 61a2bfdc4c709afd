"""Reads a session's metrics from another process: all recorded records at once, then each new one until the end.

The bytes of the session and the free space of its disk belong to the reader; the values of the trader's process come
from its meter, and all others from records.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from analysis.metrics.meter_metrics import put_meter
from analysis.metrics.meter_reader import last_line
from analysis.metrics.session_metrics import SessionMetrics
from analysis.metrics.values import MetricValues
from analysis.record_stream import RecordStream
from engine.session_record import SECOND_NS
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record

if TYPE_CHECKING:
    from analysis.metrics.stream_ages import StreamAges

POLL_S = 0.25  # between two reads of the files of a running session
OTHER_KINDS = frozenset(Kind) - {Kind.FEED}


class MetricsReader:
    """The metrics of one session. `catch_up` first; `follow` then blocks until the session ends, in a thread."""

    def __init__(
        self, folder: Path, *, has_streams: bool = False, on_record: Callable[[Record], None] = lambda _: None
    ) -> None:
        """Prepare to read a session's folder.

        Args:
            folder: The session.
            has_streams: Decode market messages, for the ages of the single streams of instruments.
            on_record: Gets each record, except the market messages of `catch_up`, in the thread that reads.

        Raises:
            NotAJournalError: The folder contains no journal.
            DamagedJournalError: Durable records are missing or damaged.
        """
        self.folder = folder
        self.ending = ""  # "closed", "stopped" (its process ended) or "left" once the session is no longer followed
        self.failure = ""  # why the journal cannot be read further
        self._metrics, self._on_record = SessionMetrics(), on_record
        self._journal: Journal | None = Journal.open(folder)
        self._stream = RecordStream(folder, from_seq=self._journal.last_seq + 1, durable=False, poll_s=POLL_S)
        self._has_streams = has_streams
        self._streams: StreamAges | None = None
        self._lock = Lock()  # scrapes read while `follow` folds
        self._read_s = time.monotonic()  # when the newest record was read

    def next(self, folder: Path) -> "MetricsReader":
        """Return a reader of another session that reads the same."""
        return MetricsReader(folder, has_streams=self._has_streams, on_record=self._on_record)

    @property
    def last_seq(self) -> int:
        """The newest record that was folded; market messages of `catch_up` do not count."""
        return self._metrics.last_seq

    def catch_up(self) -> None:
        """Fold the records that were there when the reader was made.

        Raises:
            JournalError: They cannot be read.
        """
        journal, self._journal = self._journal, None
        if journal is None:
            return
        with self._lock:
            _fold_feed(journal, self._metrics)
            for record in journal.records(kinds=OTHER_KINDS):
                self._metrics.add(record)
                self._on_record(record)
            if self._has_streams:
                from analysis.metrics.stream_ages import StreamAges

                self._streams = StreamAges.read_journal(journal)
        if journal.closed:
            self.ending = "closed"
        elif not is_locked(self.folder):
            self.follow()  # its last records, if it has just closed

    def follow(self) -> None:
        """Fold new records until the session ends, `close` is called, or a record cannot be read."""
        try:
            for record in self._stream:
                with self._lock:
                    self._metrics.add(record)
                    if self._streams is not None:
                        self._streams.add(record)
                    self._on_record(record)
                    self._read_s = time.monotonic()
        except (JournalError, OSError) as error:
            self.failure = str(error)
        self.ending = self._stream.ending

    def close(self) -> None:
        """End `follow`."""
        self._stream.close()

    def values(self) -> MetricValues:
        """Return the values as of now."""
        with self._lock:
            found, idle_s = self._metrics.snapshot(), time.monotonic() - self._read_s
            if self._streams is not None:
                put_streams(found, self._streams.seen(), self._metrics.now_ns)
        is_up = self.folder.is_dir() and is_locked(self.folder)
        found.put("session_up", is_up)
        if not is_up:
            found.zero("link_up")  # its sockets ended with the process
        for how in ("closed", "stopped"):
            found.put("session_ended", self.ending == how, how)
        if (line := last_line(self.folder)) is not None:
            put_meter(found, line)
        found.put("reader_idle_seconds", idle_s)
        found.put("reader_failed", bool(self.failure))
        size, free = disk_use(self.folder)
        found.put("journal_bytes", size)
        if free is not None:
            found.put("disk_free_bytes", free)
        return found


def put_streams(values: MetricValues, seen: Mapping[tuple[str, str], int], now_ns: int) -> None:
    """Set the age of each stream of an instrument."""
    for (instrument, stream), seen_ns in sorted(seen.items()):
        values.put("instrument_stream_last_message_timestamp_seconds", seen_ns / SECOND_NS, instrument, stream)
        values.put("instrument_stream_silence_seconds", max(now_ns - seen_ns, 0) / SECOND_NS, instrument, stream)


def disk_use(folder: Path) -> tuple[int, int | None]:
    """Return the bytes of a session's files, and the free bytes of their file system if it can be read."""
    size = 0
    try:
        for path in folder.iterdir():
            try:
                size += path.stat().st_size
            except FileNotFoundError:  # sealed or merged meanwhile
                continue
        return size, shutil.disk_usage(folder).free
    except OSError:
        return size, None


def _fold_feed(journal: Journal, metrics: SessionMetrics) -> None:
    """Count the market messages by columns, without making records of them."""
    for batch in journal.batches(columns=["time_ns", "source", "meta"], kinds=(Kind.FEED,)):
        table = pa.table({
            "time_ns": batch.column(0),
            "source": pc.cast(batch.column(1), pa.string()),
            "is_message": batch.column(2).is_null(),
        })  # fmt: skip
        metrics.values.add("records_total", Kind.FEED.value, amount=table.num_rows)
        counted = (
            table.filter(table["is_message"]).group_by("source").aggregate([("time_ns", "count"), ("time_ns", "max")])
        )
        for row in counted.to_pylist():
            metrics.add_messages(row["source"], row["time_ns_count"], row["time_ns_max"])
            metrics.now_ns = max(metrics.now_ns, row["time_ns_max"])
