"""A disk that fails at every call in turn: once or always, with an error or after half of a write.

The writer ends, reports the error and the last durable record, and retries nothing. Recovery finds every acknowledged
record. All other calls reach the real disk.
"""

import errno
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from power_cuts import record
from tiers import first_is_quick

from journal.disk import RealDisk
from journal.errors import JournalFailedError, NotAJournalError
from journal.reader import Journal
from journal.recover import recover
from journal.verify import verify
from journal.writer import JournalWriter

STEPS = [[record(seq) for seq in range(at, at + 3)] for at in (0, 3, 6)]
TRUTH = [record for step in STEPS for record in step]


class Call(NamedTuple):
    verb: str
    name: str
    nth: int  # of this verb on this file


class FailingDisk(RealDisk):
    """A disk whose call `fails` raises an error, and later ones of its kind too if `lasting`. `calls` logs all calls."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.calls: list[Call] = []
        self.fails: Call | None = None
        self.code, self.lasting, self.writes_half = errno.EIO, False, False
        self._counts: Counter[tuple[str, str]] = Counter()

    def _should_fail(self, verb: str, name: str = "") -> bool:
        """Log a call, and return True if it must fail."""
        call = Call(verb, name, self._counts[verb, name])
        self._counts[verb, name] += 1
        self.calls.append(call)
        after = self.fails is not None and self.fails[:2] == call[:2] and call.nth > self.fails.nth
        return call == self.fails or (self.lasting and after)

    def calls_of(self, verb: str) -> int:
        """Return the calls of a verb on the first segment so far."""
        return self._counts[verb, "000000000000.open"]

    def _fail_if_due(self, verb: str, name: str = "") -> None:
        if self._should_fail(verb, name):
            raise OSError(self.code, os.strerror(self.code))

    def create(self, name: str) -> None:
        self._fail_if_due("create", name)
        super().create(name)

    def write(self, name: str, data: bytes | memoryview) -> None:
        if self._should_fail("write", name):
            if self.writes_half:
                super().write(name, memoryview(data)[: len(data) // 2])
            raise OSError(self.code, os.strerror(self.code))
        super().write(name, data)

    def sync(self, name: str) -> None:
        self._fail_if_due("sync", name)
        super().sync(name)

    def rename(self, old: str, new: str) -> None:
        self._fail_if_due("rename", old)
        super().rename(old, new)

    def unlink(self, name: str) -> None:
        self._fail_if_due("unlink", name)
        super().unlink(name)

    def sync_folder(self) -> None:
        self._fail_if_due("sync_folder")
        super().sync_folder()


FAULTS = {  # how a call may fail: the error, whether all such calls fail from then on, whether half is taken
    "create": [(errno.EIO, False, False), (errno.ENOSPC, True, False)],
    "write": [(errno.EIO, False, False), (errno.ENOSPC, True, True), (errno.ENOSPC, False, True)],
    "sync": [(errno.EIO, False, False), (errno.EIO, True, False), (errno.ENOSPC, False, False)],
    "rename": [(errno.EIO, False, False), (errno.ENOSPC, True, False)],
    "unlink": [(errno.EIO, False, False), (errno.EROFS, True, False)],
    "sync_folder": [(errno.EIO, False, False), (errno.EIO, True, False)],
}


def fail(disk: FailingDisk, call: Call, fault: tuple[int, bool, bool]) -> None:
    disk.fails = call
    disk.code, disk.lasting, disk.writes_half = fault


def distinct_calls(calls: list[Call]) -> list[Call]:
    """Return the calls without the small writes of a sealed file, except the first and the last."""
    last = {call[:2]: call.nth for call in calls}
    return [
        call for call in calls if call.verb != "write" or call.nth in (0, last[call[:2]]) or call.name.endswith(".open")
    ]


def write(disk: FailingDisk, durable_seqs: list[int]) -> JournalWriter | None:
    """Write a session of three steps, one segment each. Return None if the first segment cannot be created."""
    try:
        writer = JournalWriter.create(disk.folder, disk=disk, segment_bytes=1, on_durable=durable_seqs.append)
    except JournalFailedError:
        return None
    try:
        for step in STEPS:
            writer.append_step(step, urgent=True)
            writer.wait_durable(step[-1].seq, 60)
        writer.close()
    except JournalFailedError:
        advice = f"Durable up to record {writer.durable_seq}. What to do: repair the disk, then recover"
        with pytest.raises(JournalFailedError, match=rf"{os.strerror(disk.code)}.*{advice}"):
            writer.wait_durable(99, 60)
        writer.abandon()
    return writer


def healthy_calls(folder: Path) -> list[Call]:
    disk = FailingDisk.create_folder(folder)
    write(disk, [])
    assert list(Journal.open(folder).records()) == TRUTH
    return distinct_calls(disk.calls)


@pytest.mark.slow
@pytest.mark.parametrize("verb", first_is_quick(FAULTS))
def test_a_call_that_fails_ends_the_writer_and_loses_nothing_acknowledged(tmp_path: Path, verb: str) -> None:
    calls = [call for call in healthy_calls(tmp_path / "healthy") if call.verb == verb]
    assert len(calls) >= 3
    cases = [(call, fault) for call in calls for fault in FAULTS[verb]]
    for number, (call, fault) in enumerate(cases):
        disk, durable_seqs = FailingDisk.create_folder(tmp_path / f"{number}"), list[int]()
        fail(disk, call, fault)
        writer = write(disk, durable_seqs)
        assert writer is None or writer.failed is not None, (call, fault)
        later_calls = disk.calls[disk.calls.index(call) + 1 :]
        assert call[:2] not in [each[:2] for each in later_calls] or verb == "sync_folder", f"{call} was tried again"
        try:
            last_seq = recover(disk.folder).last_seq
        except NotAJournalError:
            assert writer is None
            continue
        assert last_seq >= max(durable_seqs, default=-1), (call, fault)
        assert list(Journal.open(disk.folder).records()) == TRUTH[: last_seq + 1], (call, fault)
        assert verify(disk.folder).ok, (call, fault)


@pytest.mark.slow
@pytest.mark.parametrize("verb", FAULTS)
def test_a_call_that_fails_a_recovery_is_reported_and_the_next_recovers(tmp_path: Path, verb: str) -> None:
    def crashed(name: str) -> Path:
        """Leave two segments sealed and not yet unlinked, one open and torn, and half a seal."""
        while True:  # the writer notices the sealer's failure at another record each time
            disk = FailingDisk.create_folder(tmp_path / name)
            fail(disk, Call("unlink", "000000000000.open", 0), (errno.EIO, True, False))
            write(disk, [])
            if any(path.stem == "000000000006" and path.stat().st_size for path in disk.folder.glob("*.open")):
                break
            shutil.rmtree(disk.folder)
        with max(disk.folder.glob("*.open")).open("ab") as file:
            file.write(b"VJ1\n torn")
        (disk.folder / "000000000009.tmp").write_bytes(b"half")
        return disk.folder

    disk = FailingDisk(crashed("healthy"))
    expected = recover(disk.folder, disk=disk)
    calls = [call for call in distinct_calls(disk.calls) if call.verb == verb]
    assert calls
    for number, (call, fault) in enumerate((call, fault) for call in calls for fault in FAULTS[verb]):
        folder = crashed(f"{number}")
        disk = FailingDisk(folder)
        fail(disk, call, fault)
        with pytest.raises(
            JournalFailedError, match="What to do: repair the disk, then run the recovery again"
        ) as refused:
            recover(folder, disk=disk)
        assert os.strerror(disk.code) in str(refused.value)
        assert disk.calls[-1] == call, "nothing is done after it"
        assert recover(folder).last_seq == expected.last_seq, (call, fault)
        assert list(Journal.open(folder).records()) == TRUTH[: expected.last_seq + 1]
        assert verify(folder).ok


def test_a_disk_that_returns_other_bytes_loses_nothing(tmp_path: Path) -> None:
    """A sealed file is read back before the open segment is removed."""

    class GarblingDisk(RealDisk):
        def write(self, name: str, data: bytes | memoryview) -> None:
            garbled = bytearray(data)
            if name == "000000000000.tmp" and len(data) > 20:
                garbled[len(data) // 2] ^= 4
            super().write(name, garbled)

    writer = JournalWriter.create(tmp_path / "s", disk=GarblingDisk.create_folder(tmp_path / "s"))
    writer.append_step(TRUTH)
    with pytest.raises(JournalFailedError, match=r"000000000000\.tmp: .*Durable up to record 8"):
        writer.close()
    assert recover(tmp_path / "s").last_seq == 8
    assert list(Journal.open(tmp_path / "s").records()) == TRUTH
