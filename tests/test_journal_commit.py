"""A caller that writes and syncs its own records: what it waits for, and what it leaves to the writer's thread."""

import errno
import os
import threading
from pathlib import Path

import pytest
from power_cuts import record, wait_written

from journal.disk import RealDisk
from journal.errors import JournalFailedError
from journal.frame_output import PACE_TIMES, SLOW_SHARE, DiskPace
from journal.reader import Journal
from journal.recover import recover
from journal.tail import Follower
from journal.verify import verify
from journal.writer import JournalWriter
from journal.writer_options import Release

NEVER_NS = 10**18
PATIENCE_S = 60


class WatchedDisk(RealDisk):
    """A real disk that notes which thread called, may fail, and may wait inside a sync."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.calls: list[tuple[str, bool]] = []  # the verb, and True if the main thread called
        self.fails = ""  # the verb that fails
        self.may_sync = threading.Event()
        self.may_sync.set()
        self.is_syncing = threading.Event()
        self.is_failing, self.may_fail = threading.Event(), threading.Event()
        self.may_fail.set()

    def _note(self, verb: str) -> None:
        self.calls.append((verb, threading.current_thread() is threading.main_thread()))
        if verb == self.fails:
            self.is_failing.set()
            assert self.may_fail.wait(PATIENCE_S)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def write(self, name: str, data: bytes | memoryview) -> None:
        self._note("write")
        super().write(name, data)

    def sync(self, name: str) -> None:
        self._note("sync")
        self.is_syncing.set()
        assert self.may_sync.wait(PATIENCE_S)
        super().sync(name)


def begun(folder: Path, **options: object) -> tuple[JournalWriter, WatchedDisk]:
    """Return a writer whose thread has written and synced record 0, so that the pace of its disk is known."""
    disk = WatchedDisk.create_folder(folder)
    given: dict[str, object] = {
        "group_delay_s": 3600.0,
        "sync_delay_s": 3600.0,
        "commit_ns_max": NEVER_NS,
        "defers": True,
    }
    writer = JournalWriter.create(folder, disk=disk, **(given | options))  # type: ignore[arg-type]  # by name
    writer.append_step([record(0)], urgent=True)
    writer.wake()
    writer.wait_durable(0, PATIENCE_S)
    assert disk.calls == [("write", False), ("sync", False)]
    disk.calls.clear()
    return writer, disk


def hang_a_sync(writer: JournalWriter, disk: WatchedDisk) -> None:
    """Let the writer's thread begin the sync of record 1, which ends with `may_sync`."""
    disk.may_sync.clear()
    disk.is_syncing.clear()
    writer.append_step([record(1)], urgent=True)
    writer.wake()
    assert disk.is_syncing.wait(PATIENCE_S)


def committed(writer: JournalWriter, seq: int) -> bool:
    writer.append_step([record(seq)], urgent=True)
    return writer.commit()


def test_a_caller_makes_its_own_record_durable(tmp_path: Path) -> None:
    writer, disk = begun(tmp_path / "s")
    while not committed(writer, at := writer.durable_seq + 1):
        writer.wait_durable(at, PATIENCE_S)  # the thread had not ended its turn
    assert disk.calls[-2:] == [("write", True), ("sync", True)]
    assert writer.durable_token(at) is not None
    assert writer.durable_token(at + 1) is None
    writer.close()
    assert list(Journal.open(tmp_path / "s").records()) == [record(seq) for seq in range(at + 1)]
    assert verify(tmp_path / "s").ok


@pytest.mark.parametrize("release", Release)
def test_a_disk_that_was_slow_is_left_to_the_writers_thread(tmp_path: Path, release: Release) -> None:
    writer, disk = begun(tmp_path / "s", commit_ns_max=0, release=release)
    assert not committed(writer, 1)
    writer.wait_durable(1, PATIENCE_S)
    assert disk.calls == [("write", False), ("sync", False)]
    writer.close()


def test_a_disk_is_fast_while_at_most_an_eighth_of_its_last_times_were_slow() -> None:
    pace = DiskPace(1_000)
    assert not pace.is_fast
    pace.note(1_000)
    assert pace.is_fast
    pace.note(1_001)
    for _ in range(SLOW_SHARE - 2):
        assert not pace.is_fast
        pace.note(5)
    assert pace.is_fast
    for _ in range(PACE_TIMES):
        pace.note(5)
    for is_fast in (True, True, False):
        pace.note(1_001)
        assert pace.is_fast is is_fast
    for _ in range(PACE_TIMES - 3):
        pace.note(5)
        assert not pace.is_fast
    pace.note_in_thread(1_001)  # proves nothing
    assert not pace.is_fast
    pace.note_in_thread(5)  # the first of the slow ones is forgotten
    assert pace.is_fast


def test_a_caller_waits_only_for_a_moment_for_a_sync_of_the_thread(tmp_path: Path) -> None:
    """The thread's sync hangs. The caller writes and returns, and its record is durable once the disk continues."""
    writer, disk = begun(tmp_path / "s")
    hang_a_sync(writer, disk)
    assert not committed(writer, 2)
    assert disk.calls[-1] == ("write", True)
    assert writer.durable_token(1) is None
    assert writer.durable_token(2) is None
    disk.may_sync.set()
    writer.wait_durable(2, PATIENCE_S)
    assert ("sync", True) not in disk.calls
    writer.close()


def test_an_order_waits_for_the_end_of_a_sync_of_the_thread(tmp_path: Path) -> None:
    """It is written meanwhile, and synced by its caller as soon as the thread is done."""
    writer, disk = begun(tmp_path / "s")
    hang_a_sync(writer, disk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("journal.writer.TURN_S_MAX", float(PATIENCE_S))
        threading.Timer(0.05, disk.may_sync.set).start()
        assert committed(writer, 2)
    assert disk.calls[-2:] == [("write", True), ("sync", True)]
    assert writer.durable_token(2) is not None
    writer.close()


def test_an_urgent_record_without_an_order_is_written_at_once_and_synced_soon(tmp_path: Path) -> None:
    """The caller writes it; the writer's thread, which sleeps, syncs it within URGENT_SYNC_S, or an order before."""
    writer, disk = begun(tmp_path / "s")
    writer.append_step([record(1)], urgent=True)
    writer.write_deferred()
    assert writer.written_seq == 1
    assert not writer.has_deferred
    writer.wait_durable(1, PATIENCE_S)
    assert disk.calls == [("write", True), ("sync", False)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("journal.writer.URGENT_SYNC_S", 3600.0)
        writer.append_step([record(2)], urgent=True)
        writer.write_deferred()
        assert writer.durable_seq == 1
        assert committed(writer, 3)
    assert writer.durable_seq == 3
    assert disk.calls[2:] == [("write", True), ("write", True), ("sync", True)], "one sync for both"
    writer.close()
    assert list(Journal.open(tmp_path / "s").records()) == [record(seq) for seq in range(4)]


def test_a_turn_that_does_not_come_counts_as_a_slow_disk(tmp_path: Path) -> None:
    """The thread's sync hangs: one order waits for a turn that does not come, the next waits for nothing."""
    writer, disk = begun(tmp_path / "s")
    hang_a_sync(writer, disk)
    assert not committed(writer, 2)
    assert not committed(writer, 3)
    assert [verb for verb, is_main in disk.calls if is_main] == ["write"], "the second one wrote nothing itself"
    disk.may_sync.set()
    writer.wait_durable(3, PATIENCE_S)
    writer.close()


def test_a_write_that_is_slow_without_an_order_counts_as_a_slow_disk(tmp_path: Path) -> None:
    writer, disk = begun(tmp_path / "s")
    writer._pace._ns_max = -1  # every write is slow from here on
    for seq in (1, 2):
        writer.append_step([record(seq)], urgent=True)
        writer.write_deferred()
        writer.wait_durable(seq, PATIENCE_S)
    assert disk.calls == [("write", True), ("sync", False), ("write", False), ("sync", False)]
    writer.close()


def test_a_sync_that_is_wanted_at_once_is_not_put_off_by_a_later_write(tmp_path: Path) -> None:
    """An order left before its sync, and an answer is written while the thread is busy: both are synced after that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("journal.writer.URGENT_SYNC_S", 3600.0)
        writer, disk = begun(tmp_path / "s", release=Release.WRITTEN)
        hang_a_sync(writer, disk)
        assert committed(writer, 2)
        writer.wake()
        writer.append_step([record(3)], urgent=True)
        writer.write_deferred()
        assert writer.written_seq == 3
        disk.may_sync.set()
        writer.wait_durable(3, PATIENCE_S)
        writer.close()


def test_a_long_segment_ends_in_the_writers_thread(tmp_path: Path) -> None:
    writer, disk = begun(tmp_path / "s", segment_bytes=1)
    assert not committed(writer, 1)
    writer.wait_durable(1, PATIENCE_S)
    assert True not in [is_main for _, is_main in disk.calls]
    assert writer.close().segments == 2


@pytest.mark.parametrize("verb", ["write", "sync"])
def test_a_failed_commit_is_final(tmp_path: Path, verb: str) -> None:
    """No token, no second call to the disk, no more records; the acknowledged ones are recovered."""
    failures: list[BaseException] = []
    writer, disk = begun(tmp_path / "s", on_failure=failures.append)
    while not committed(writer, at := writer.durable_seq + 1):
        writer.wait_durable(at, PATIENCE_S)
    disk.fails = verb
    disk.calls.clear()
    assert not committed(writer, at + 1)
    assert disk.calls.count((verb, True)) == 1
    assert writer.durable_token(at + 1) is None
    assert len(failures) == 1
    assert writer.failed is failures[0]
    disk.fails = ""
    assert not writer.commit()
    with pytest.raises(JournalFailedError, match="the disk failed"):
        writer.append_step([record(at + 2)], urgent=True)
    with pytest.raises(JournalFailedError):
        writer.close()
    assert ("sync", False) not in disk.calls, "nothing is tried again"
    writer.abandon()
    assert recover(tmp_path / "s").last_seq >= at


def test_who_waits_for_a_deferred_record_gets_it(tmp_path: Path) -> None:
    """Its caller failed before `commit` or `wake`, and the writer's thread sleeps."""
    writer, _ = begun(tmp_path / "s")
    writer.append_step([record(1)], urgent=True)
    assert writer.has_deferred
    assert writer.wait_durable(1, PATIENCE_S).seq == 1
    writer.close()


@pytest.mark.parametrize("release", Release)
def test_after_a_failure_no_record_is_released(tmp_path: Path, release: Release) -> None:
    writer, disk = begun(tmp_path / "s", release=release)
    assert writer.durable_token(0) is not None
    disk.fails = "sync"
    writer.append_step([record(1)], urgent=True)
    writer.wake()
    with pytest.raises(JournalFailedError):
        writer.wait_durable(1, PATIENCE_S)
    assert ("sync", False) in disk.calls
    assert writer.written_seq == 1
    assert writer.durable_token(1) is None
    assert writer.durable_token(0) is None
    writer.abandon()


@pytest.mark.parametrize("verb", ["write", "sync"])
def test_a_caller_cannot_miss_a_failure_of_the_thread(tmp_path: Path, verb: str) -> None:
    """The thread has failed and cannot note it, because the caller appends at that moment: it keeps its turn."""
    writer, disk = begun(tmp_path / "s")
    disk.fails = verb
    disk.may_fail.clear()
    writer.append_step([record(1)], urgent=True)
    writer.wake()
    assert disk.is_failing.wait(PATIENCE_S)
    with writer._lock:
        disk.may_fail.set()
        writer._writer_thread.join(0.05)
        assert writer.failed is None
        write_turn, sync_turn = writer._output.turns
        assert (write_turn if verb == "write" else sync_turn).locked()
    disk.fails = ""
    assert not writer.commit()
    with pytest.raises(JournalFailedError):
        writer.wait_durable(1, PATIENCE_S)
    assert writer.durable_seq == 0
    writer.abandon()


def test_where_written_is_enough_a_record_is_released_before_its_sync(tmp_path: Path) -> None:
    """The sync hangs: the record is released, its frame claims nothing, and the thread syncs after `wake`."""
    writer, disk = begun(tmp_path / "s", release=Release.WRITTEN)
    disk.may_sync.clear()
    disk.is_syncing.clear()
    at = 1
    while not committed(writer, at):
        wait_written(writer, at)  # the thread had not ended its turn
        at += 1
    assert ("write", True) in disk.calls
    assert ("sync", True) not in disk.calls
    assert writer.durable_token(at) is not None
    assert writer.durable_seq < at
    writer.wake()
    assert disk.is_syncing.wait(PATIENCE_S)
    assert committed(writer, at + 1), "a write does not wait for a sync"
    assert writer.durable_token(at + 1) is not None
    assert writer.durable_seq < at
    follower = Follower(tmp_path / "s")
    assert follower.poll()[-1].seq == at + 1
    assert follower.durable_seq < at, "no frame claims what was not synced"
    disk.may_sync.set()
    writer.wake()
    writer.wait_durable(at + 1, PATIENCE_S)
    writer.close()
    assert verify(tmp_path / "s").ok
