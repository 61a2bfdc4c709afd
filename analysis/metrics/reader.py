"""Reads a session's metrics from another process: all recorded records at once, then each new one until the end.

The bytes of the session and the free space of its disk belong to the reader; all other values come from records.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc

from analysis.metrics.session_metrics import SessionMetrics
from analysis.metrics.values import MetricValues
from analysis.record_stream import RecordStream
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record

POLL_S = 0.25  # between two reads of the files of a running session
OTHER_KINDS = frozenset(Kind) - {Kind.FEED}


class MetricsReader:
    """The metrics of one session. `catch_up` first; `follow` then blocks until the session ends, in a thread."""

    def __init__(self, folder: Path, *, on_record: Callable[[Record], None] = lambda _: None) -> None:
        """Prepare to read a session's folder.

        Args:
            folder: The session.
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
        self._lock = Lock()  # scrapes read while `follow` folds
        self._read_s = time.monotonic()  # when the newest record was read

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
        if journal.closed:
            self.ending = "closed"
        elif not is_locked(self.folder) and not Journal.open(self.folder).closed:  # it may have closed meanwhile
            self.ending = "stopped"

    def follow(self) -> None:
        """Fold new records until the session ends, `close` is called, or a record cannot be read."""
        try:
            for record in self._stream:
                with self._lock:
                    self._metrics.add(record)
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
        is_up = self.folder.is_dir() and is_locked(self.folder)
        found.put("session_up", is_up)
        if not is_up:
            found.zero("link_up")  # its sockets ended with the process
        for how in ("closed", "stopped"):
            found.put("session_ended", self.ending == how, how)
        found.put("reader_idle_seconds", idle_s)
        found.put("reader_failed", bool(self.failure))
        size, free = disk_use(self.folder)
        found.put("journal_bytes", size)
        if free is not None:
            found.put("disk_free_bytes", free)
        return found


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
