"""Power cuts at any operation: a disk that forgets what was not synced, as disks may.

What was synced stays; of the rest each 512-byte sector is kept, zeroed or garbled and the file ends anywhere; of the
folder's changes since its last sync a prefix is kept, or any of them. Whatever remains, recovery loses nothing that was acknowledged,
invents nothing, never calls a crash damage, and may itself be cut off.
"""

import random
from pathlib import Path

import pytest

from journal.batches import to_records
from journal.disk import Reading
from journal.errors import NotAJournal
from journal.record import Kind, Record
from journal.recover import Recovered, recover
from journal.segments import CHECKSUMS, Sealed, first_seqs, plain_batch, sealed_name
from journal.writer import JournalWriter

SECTOR = 512
FOLDER = Path("/forgetful")


class PowerCut(Exception):  # noqa: N818 - the name says what happened
    pass


class File:
    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.synced = len(data)  # files are only appended to, so a length says what is safe

    @property
    def size(self) -> int:
        return len(self.data)

    def at(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def close(self) -> None: ...


class ForgetfulDisk:
    """`cut_at` counts operations that change something; from that one on every operation raises."""

    folder = FOLDER

    def __init__(self, files: dict[str, bytes], cut_at: int) -> None:
        self.files = {name: File(data) for name, data in files.items()}
        self._safe = dict(self.files)
        self._since: list[dict[str, File | None]] = []  # changes of the folder: which name then was which file
        self._left = cut_at

    def _change(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise PowerCut

    def names(self) -> list[str]:
        return sorted(self.files)

    def create(self, name: str) -> None:
        self._change()
        assert name not in self.files, name
        self.files[name] = File()
        self._since.append({name: self.files[name]})

    def write(self, name: str, data: bytes | memoryview) -> None:
        self.files[name].data += data  # what a cut leaves of it is decided afterwards
        self._change()

    def sync(self, name: str) -> None:
        self._change()
        self.files[name].synced = len(self.files[name].data)

    def close(self, name: str) -> None: ...

    def rename(self, old: str, new: str) -> None:
        self._change()
        self.files[new] = self.files.pop(old)
        self._since.append({old: None, new: self.files[new]})

    def unlink(self, name: str) -> None:
        self._change()
        del self.files[name]
        self._since.append({name: None})

    def sync_folder(self) -> None:
        self._change()
        self._safe, self._since = dict(self.files), []

    def reading(self, name: str) -> Reading:
        if name not in self.files:
            raise FileNotFoundError(name)
        return self.files[name]

    def release(self) -> None: ...

    def after_the_cut(self, chance: random.Random) -> dict[str, bytes]:
        named: dict[str, File | None] = dict(self._safe)
        in_order, kept = chance.random() < 0.5, chance.randint(0, len(self._since))
        for at, change in enumerate(self._since):
            if at < kept if in_order else chance.random() < 0.5:
                named |= change
        return {name: self._left_of(file, chance) for name, file in named.items() if file is not None}

    @staticmethod
    def _left_of(file: File, chance: random.Random) -> bytes:
        size = chance.choice([file.synced, file.size, chance.randint(file.synced, file.size)])
        data = bytearray(file.data[:size])
        for at in range(file.synced, size, SECTOR):
            fate = chance.randrange(4)
            part = data[at : at + SECTOR]
            data[at : at + SECTOR] = [part, part, bytes(len(part)), chance.randbytes(len(part))][fate]
        return bytes(data)


def record(seq: int) -> Record:
    if seq % 2:
        return Record(seq, seq, Kind.FEED, "m", recv_ns=seq, payload=b"%d" % seq * 40)
    return Record(seq, seq, Kind.FACT, "orders", cause=seq, body=f'"{seq}"')


def write_until_the_cut(disk: ForgetfulDisk, chance: random.Random) -> int:
    """The last seq that was acknowledged before the power went."""
    told = [-1]
    try:
        writer = JournalWriter.create(
            FOLDER, disk=disk, segment_bytes=chance.choice([1, 5000, 10**6]), group_delay_s=0, on_durable=told.append
        )
    except PowerCut:
        return -1
    try:
        seq = 0
        while seq < 60:
            writer.append_step([record(seq), record(seq + 1), record(seq + 2)], urgent=chance.random() < 0.4)
            seq += 3
            if chance.random() < 0.5:
                while writer.written_seq < seq - 1 and writer.failed is None:
                    pass
        writer.close()
    except Exception:  # noqa: BLE001 - the cut, as JournalFailed or from below
        writer.abandon()
    return told[-1]


def recover_with_cuts(files: dict[str, bytes], chance: random.Random) -> tuple[dict[str, bytes], Recovered]:
    for _ in range(2):
        disk = ForgetfulDisk(files, cut_at=chance.randrange(25))
        try:
            found = recover(FOLDER, disk=disk)
        except PowerCut:
            files = disk.after_the_cut(chance)
        else:
            return {name: bytes(file.data) for name, file in disk.files.items()}, found
    disk = ForgetfulDisk(files, cut_at=10**9)
    found = recover(FOLDER, disk=disk)
    return {name: bytes(file.data) for name, file in disk.files.items()}, found


def read(files: dict[str, bytes]) -> list[Record]:
    found: list[Record] = []
    for seq in first_seqs(files, "parquet"):
        for batch in Sealed(FOLDER / sealed_name(seq), files[sealed_name(seq)]).batches():
            found += to_records(plain_batch(batch))
    return found


@pytest.mark.parametrize("lot", range(4))
def test_a_power_cut_anywhere_loses_nothing_acknowledged(lot: int) -> None:
    for seed in range(lot * 20, lot * 20 + 20):
        chance = random.Random(seed)  # noqa: S311 - it chooses faults, not keys
        disk = ForgetfulDisk({}, cut_at=chance.randrange(120))
        acknowledged = write_until_the_cut(disk, chance)
        files = disk.after_the_cut(chance)
        try:
            files, recovered = recover_with_cuts(files, chance)
        except NotAJournal:
            assert acknowledged == -1, seed
            continue
        assert recovered.last_seq >= acknowledged, seed
        assert (recovered.last_seq + 1) % 3 == 0, seed
        assert read(files) == [record(seq) for seq in range(recovered.last_seq + 1)], seed
        assert not [name for name in files if name.endswith((".open", ".tmp"))], seed
        assert files.keys() - {CHECKSUMS} == {sealed_name(seq) for seq in first_seqs(files, "parquet")}
        again = ForgetfulDisk(files, cut_at=10**9)
        assert recover(FOLDER, disk=again).chain == recovered.chain, seed
        assert {name: bytes(file.data) for name, file in again.files.items()} == files, seed
