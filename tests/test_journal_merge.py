"""Merged segments and signed seals: the rows, the chain and the signature stay the same."""

import subprocess
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tiers import first_is_quick

from analysis.sql_session import connect, query_rows
from journal.checksums import CHECKSUMS
from journal.disk import RealDisk
from journal.errors import DamagedJournalError, JournalFailedError, JournalLockedError
from journal.merge import merge
from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import recover
from journal.seal import write_sealed
from journal.segments import SealedSegment, open_name, plain_batch
from journal.signing import BadKeyError, Signer
from journal.tail import Follower
from journal.verify import verify
from journal.writer import JournalWriter

RECORDS = [Record(seq, seq * 10, Kind.FEED, "m", recv_ns=seq, payload=b"%d" % seq * 20) for seq in range(120)]


def write(folder: Path, *, close: bool = True, signer: Signer | None = None) -> JournalWriter:
    writer = JournalWriter.create(folder, segment_bytes=1500, signer=signer)
    for record in RECORDS:
        writer.append_step([record], urgent=record.seq % 5 == 0)
        if record.seq % 5 == 0:
            writer.wait_durable(record.seq, 60)
    if close:
        writer.close()
    return writer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_merged_journal_is_the_same_records_under_the_same_root(tmp_path: Path) -> None:
    write(tmp_path / "s")
    before = verify(tmp_path / "s")
    assert before.segments > 10
    reading = Journal.open(tmp_path / "s")
    follower = Follower(tmp_path / "s", from_seq=50)
    done = merge(tmp_path / "s")
    assert (done.before, done.after, done.chain) == (before.segments, 1, before.chain)
    after = verify(tmp_path / "s")
    assert (after.problems, after.notes, after.segments, after.chain, after.closed) == ([], [], 1, before.chain, True)
    assert names(tmp_path / "s") == ["000000000000.parquet", CHECKSUMS]
    for journal in (reading, Journal.open(tmp_path / "s")):
        assert list(journal.records()) == RECORDS
        assert list(journal.records(77, 80)) == RECORDS[77:81]
        assert journal.seq_at(815) == 81
    assert follower.poll() == RECORDS[50:]
    assert follower.ended
    assert query_rows(connect(tmp_path / "s"), "SELECT count(*), sum(seq) FROM records") == [(120, sum(range(120)))]
    assert merge(tmp_path / "s").before == 1
    assert recover(tmp_path / "s").chain == before.chain


def test_merging_stops_at_a_size_and_can_continue(tmp_path: Path) -> None:
    write(tmp_path / "s")
    sizes = [path.stat().st_size for path in (tmp_path / "s").glob("*.parquet")]
    some = merge(tmp_path / "s", bytes_max=sum(sizes) // 3)
    assert 2 < some.after < some.before
    assert verify(tmp_path / "s").ok
    assert merge(tmp_path / "s").after == 1
    assert list(Journal.open(tmp_path / "s").records()) == RECORDS


@pytest.mark.slow
@pytest.mark.parametrize("calls", first_is_quick(range(1, 40), quick=4))
def test_an_interrupted_merge_loses_nothing_and_is_finished_by_recovery(tmp_path: Path, calls: int) -> None:
    write(tmp_path / "s")
    root = verify(tmp_path / "s").chain

    class Cut(RealDisk):
        left = calls

        def _call(self) -> None:
            self.left -= 1
            if self.left == 0:
                raise OSError("cut off here")

        def write(self, name: str, data: bytes | memoryview) -> None:
            self._call()
            super().write(name, data)

        def sync(self, name: str) -> None:
            self._call()
            super().sync(name)

        def rename(self, old: str, new: str) -> None:
            self._call()
            super().rename(old, new)

        def unlink(self, name: str) -> None:
            self._call()
            super().unlink(name)

        def sync_folder(self) -> None:
            self._call()
            super().sync_folder()

    with suppress(JournalFailedError):  # some calls are the last
        merge(tmp_path / "s", disk=Cut(tmp_path / "s"))
    report = verify(tmp_path / "s")
    assert (report.problems, report.chain) == ([], root)
    assert list(Journal.open(tmp_path / "s").records()) == RECORDS
    assert recover(tmp_path / "s").chain == root
    report = verify(tmp_path / "s")
    assert (report.problems, report.notes, report.chain) == ([], [], root)
    assert merge(tmp_path / "s").after == 1
    assert list(Journal.open(tmp_path / "s").records()) == RECORDS


@pytest.mark.slow
def test_sql_and_readers_see_no_record_twice_after_an_interrupted_merge(tmp_path: Path) -> None:
    """Small segments remain beside the large one, and a reader that began before the merge continues in the large one."""
    write(tmp_path / "s")
    small = {path.name: path.read_bytes() for path in (tmp_path / "s").glob("*.parquet")}
    follower = Follower(tmp_path / "s")
    reading = Journal.open(tmp_path / "s").records()
    begun = [next(reading) for _ in range(20)]
    merge(tmp_path / "s")
    assert begun + list(reading) == RECORDS
    assert follower.poll() == RECORDS
    assert follower.ended
    for name, data in small.items():
        if name != "000000000000.parquet":
            (tmp_path / "s" / name).write_bytes(data)
    assert query_rows(connect(tmp_path / "s"), "SELECT count(*), count(DISTINCT seq) FROM records") == [(120, 120)]
    (tmp_path / "s" / "0000000000005.parquet").write_bytes(small["000000000000.parquet"])  # not how a segment is named
    assert query_rows(connect(tmp_path / "s"), "SELECT count(*) FROM records") == [(120,)]


@pytest.mark.slow
def test_a_follower_continues_in_segments_merged_meanwhile(tmp_path: Path) -> None:
    writer = JournalWriter.create(tmp_path / "s", segment_bytes=1500)
    writer.append_step(RECORDS[:5], urgent=True)
    writer.wait_durable(4, 60)
    follower = Follower(tmp_path / "s")
    assert follower.poll() == RECORDS[:5]
    for record in RECORDS[5:]:
        writer.append_step([record], urgent=True)
        writer.wait_durable(record.seq, 60)
    writer.close()
    merge(tmp_path / "s")
    seen: list[Record] = []
    while some := follower.poll():
        seen += some
    assert seen == RECORDS[5:]
    assert follower.ended


def test_a_truncated_signed_journal_cannot_pass_as_closed(tmp_path: Path) -> None:
    ours = Signer(Ed25519PrivateKey.generate())
    write(tmp_path / "s", signer=ours)
    first, *others = sorted((tmp_path / "s").glob("*.parquet"))
    for path in others:
        path.unlink()
    (tmp_path / "s" / CHECKSUMS).unlink()
    assert verify(tmp_path / "s", signer=ours.public_key).closed is False
    sealed = SealedSegment(first)
    forged = msgspec.structs.replace(sealed.footer, final=True)
    batches = [plain_batch(batch) for batch in sealed.batches()]
    disk = RealDisk(tmp_path / "s")
    write_sealed(disk, 0, batches, lambda _content: forged)
    disk.release()
    assert "its signature is not one of" in verify(tmp_path / "s").problems[0]


def test_a_session_that_is_written_or_damaged_is_not_merged(tmp_path: Path) -> None:
    writer = write(tmp_path / "live", close=False)
    with pytest.raises(JournalLockedError):
        merge(tmp_path / "live")
    writer.abandon()
    with pytest.raises(JournalFailedError, match="recover this session first"):
        merge(tmp_path / "live")
    write(tmp_path / "s")
    damaged = sorted((tmp_path / "s").glob("*.parquet"))[3]
    data = bytearray(damaged.read_bytes())
    data[200] ^= 1  # in the first column's page
    damaged.write_bytes(data)
    before = names(tmp_path / "s")
    with pytest.raises(DamagedJournalError, match=damaged.name):
        merge(tmp_path / "s")
    assert names(tmp_path / "s") == before
    (problem,) = [each for each in verify(tmp_path / "s").problems if "cannot be read" in each]
    assert damaged.name in problem
    assert "row group 0 cannot be read: column " in problem


def test_a_crashed_session_whose_last_segment_is_empty_is_merged(tmp_path: Path) -> None:
    """Recovery seals a new segment without rows."""
    write(tmp_path / "s", close=False).abandon()
    last_seq = recover(tmp_path / "s").last_seq
    (tmp_path / "s" / open_name(last_seq + 1)).touch()
    assert recover(tmp_path / "s").sealed_now == 1
    chain = verify(tmp_path / "s").chain
    assert merge(tmp_path / "s").after == 1
    assert (verify(tmp_path / "s").problems, verify(tmp_path / "s").chain) == ([], chain)
    assert list(Journal.open(tmp_path / "s").records()) == RECORDS[: last_seq + 1]


def test_a_signed_journal_states_its_signer(tmp_path: Path) -> None:
    ours, theirs = Signer(Ed25519PrivateKey.generate()), Signer(Ed25519PrivateKey.generate())
    write(tmp_path / "s", signer=ours)
    report = verify(tmp_path / "s", signer=ours.public_key)
    assert (report.problems, report.signers) == ([], [ours.public_key])
    assert "signed by" in verify(tmp_path / "s", signer=theirs.public_key).problems[0]
    merge(tmp_path / "s")
    assert verify(tmp_path / "s", signer=ours.public_key).ok
    write(tmp_path / "unsigned")
    assert verify(tmp_path / "unsigned", signer=ours.public_key).problems == [
        f"the last seal is not signed, but must be signed by {ours.public_key}"
    ]
    crashed = write(tmp_path / "crashed", close=False, signer=ours)
    crashed.abandon()
    recover(tmp_path / "crashed", signer=ours)
    assert verify(tmp_path / "crashed", signer=ours.public_key).ok


def test_a_key_is_read_from_openssl_and_never_printed(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(BadKeyError, match=r"not an Ed25519 key in PEM .* openssl genpkey"):
        Signer.from_pem(b"no key")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True)
    signer = Signer.from_pem(path.read_bytes())
    assert repr(signer) == f"Signer(public_key={signer.public_key})"
    write(tmp_path / "s", signer=signer)
    secret = path.read_bytes().splitlines()[1]
    assert all(secret not in found.read_bytes() for found in (tmp_path / "s").iterdir())


def test_a_merge_does_not_make_damage_disappear(tmp_path: Path) -> None:
    """A merged file gets a new checksum, which would hide damage that the old checksums show."""
    write(tmp_path / "s")
    last = max((tmp_path / "s").glob("*.parquet"))
    whole, sums = last.read_bytes(), (tmp_path / "s" / CHECKSUMS).read_bytes()
    last.write_bytes(whole.replace(b"journal.final\x18\x011", b"journal.final\x18\x010"))
    assert last.read_bytes() != whole
    with pytest.raises(DamagedJournalError, match=f"{last.name}: its bytes do not have the checksum"):
        merge(tmp_path / "s")
    last.unlink()
    with pytest.raises(DamagedJournalError, match=f"names {last.name}, which is missing"):
        merge(tmp_path / "s")
    last.write_bytes(whole)
    (tmp_path / "s" / CHECKSUMS).write_bytes(sums[:-9] + b"\n")
    (tmp_path / "s" / CHECKSUMS).write_bytes(b"zz" + sums)
    with pytest.raises(DamagedJournalError, match=CHECKSUMS):
        merge(tmp_path / "s")
    (tmp_path / "s" / CHECKSUMS).write_bytes(sums)
    assert merge(tmp_path / "s").after == 1
