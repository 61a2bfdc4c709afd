"""Appended records are read back in order and unchanged, for any grouping, rolling, sealing and any concurrent readers."""

import threading
import time
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import examples

from journal import segments
from journal.arrow_codec import SCHEMA, from_message, to_message, to_records
from journal.content_hash import CHAIN_START
from journal.disk import RealDisk, is_locked
from journal.durable import Durable
from journal.errors import JournalBehindError, JournalFailedError, JournalLockedError, NotAJournalError
from journal.frames import encode_frame
from journal.reader import Journal
from journal.record import Kind, Record, canonical
from journal.recover import recover
from journal.tail import POLL_ROWS, Follower
from journal.verify import verify
from journal.writer import JournalWriter

SESSION = Record(0, 0, Kind.SESSION, "shell", body="{}")


def feed(seq: int) -> Record:
    return Record(seq, seq * 10, Kind.FEED, "venue.market.0", cause=0, recv_ns=seq * 10 - 1, payload=b'{"u":%d}' % seq)


def steps(count: int, *, rows: int = 3) -> list[list[Record]]:
    """Return a session of `count` steps. The first step is the SESSION record alone."""
    found = [[SESSION]]
    for at in range(1, count):
        first = 1 + (at - 1) * rows
        outputs = [
            Record(seq, first * 10, Kind.FACT, "orders", cause=first, key=f"o{seq}", body=canonical({"seq": seq}))
            for seq in range(first + 1, first + rows)
        ]
        found.append([feed(first), *outputs])
    return found


def flat(groups: list[list[Record]]) -> list[Record]:
    return [record for group in groups for record in group]


def test_appended_records_are_read_back_open_and_sealed(tmp_path: Path) -> None:
    expected = steps(200)
    writer = JournalWriter.create(tmp_path / "s")
    for step in expected:
        writer.append_step(step)
    writer.wait_durable(expected[-1][-1].seq, 60)
    opened = Journal.open(tmp_path / "s")
    assert list(opened.records()) == flat(expected)
    assert opened.unsealed_rows().num_rows == opened.last_seq + 1
    assert not opened.sealed_paths()
    assert not opened.closed
    summary = writer.close()
    sealed = Journal.open(tmp_path / "s")
    assert list(sealed.records()) == flat(expected)
    assert sealed.session_record() == SESSION
    assert sealed.closed
    assert sealed.unsealed_rows().num_rows == 0
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["000000000000.parquet", "SHA256SUMS"]
    report = verify(tmp_path / "s")
    assert report.ok, report.problems
    assert (report.chain, report.records, report.notes) == (summary.chain, summary.last_seq + 1, [])


texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1)


@st.composite
def sessions(draw: st.DrawFn) -> list[tuple[list[Record], bool]]:
    """Draw steps of records with any values; times never fall."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=30))
    found, seq, time_ns = [], 0, draw(st.integers(0, 2**60))
    for size in sizes:
        step = []
        for _ in range(size):
            time_ns += draw(st.integers(0, 2**40))
            wire = draw(st.booleans())
            step.append(
                Record(
                    seq,
                    time_ns,
                    draw(st.sampled_from(Kind)),
                    draw(st.sampled_from(["a", "b.c", "", "ü"])),
                    cause=draw(st.none() | numbers),
                    key=draw(texts),
                    recv_ns=draw(st.none() | numbers),
                    meta=draw(texts),
                    payload=draw(st.binary(max_size=40)) if wire else None,
                    body=None if wire else draw(texts) or "",
                )
            )
            seq += 1
        found.append((step, draw(st.integers(0, 3)) == 0))
    return found


@pytest.mark.slow
@settings(max_examples=examples(200), deadline=None)
@given(session=sessions())
def test_a_message_made_by_hand_is_the_batch_that_arrow_makes(session: list[tuple[list[Record], bool]]) -> None:
    for records in [flat([step for step, _ in session]), *[step for step, _ in session]]:
        read = from_message(to_message(records))
        read.validate(full=True)
        assert read.equals(pa.RecordBatch.from_pylist([msgspec.structs.asdict(each) for each in records], SCHEMA))
        assert list(to_records(read)) == records


def test_segments_roll_between_steps_and_their_hashes_are_chained(tmp_path: Path) -> None:
    expected = steps(60, rows=4)
    writer = JournalWriter.create(tmp_path / "s", segment_bytes=4000)
    for step in expected:
        writer.append_step(step, urgent=True)
        writer.wait_durable(step[-1].seq, 60)
    assert writer.close().segments > 5
    begins = {step[0].seq for step in expected}
    journal = Journal.open(tmp_path / "s")
    assert {int(path.stem) for path in journal.sealed_paths()} <= begins
    chain = CHAIN_START
    for path in journal.sealed_paths():
        footer = segments.SealedSegment(path).footer
        assert footer.prev_chain == chain
        assert footer.final == (path == journal.sealed_paths()[-1])
        chain = footer.chain


def test_the_hash_is_over_the_rows_and_not_over_the_file(tmp_path: Path) -> None:
    def chain_of(folder: Path, *, segment_delay_s: float) -> str:
        writer = JournalWriter.create(folder, group_delay_s=segment_delay_s)
        for step in steps(40):
            writer.append_step(step)
        return writer.close().chain

    assert chain_of(tmp_path / "a", segment_delay_s=0) == chain_of(tmp_path / "b", segment_delay_s=1)


def test_a_long_segment_is_hashed_in_blocks_of_any_frames(tmp_path: Path) -> None:
    records = [SESSION, *map(feed, range(1, 40_000))]
    writer = JournalWriter.create(tmp_path / "s")
    for at in range(0, len(records), 7):
        writer.append_step(records[at : at + 7])
    writer.close()
    journal = Journal.open(tmp_path / "s")
    assert list(journal.records()) == records
    assert list(journal.records(20_000, 20_001)) == records[20_000:20_002]
    assert verify(tmp_path / "s").ok


def test_durability_is_reported_only_after_the_sync(tmp_path: Path) -> None:
    """Only the writer can make a token, and only for a record on stable storage."""
    reported = []
    writer = JournalWriter.create(tmp_path / "s", group_delay_s=30, on_durable=reported.append)
    writer.append_step([SESSION])
    assert (writer.durable_seq, writer.written_seq, writer.durable_token(0)) == (-1, -1, None)
    writer.append_step([feed(1)], urgent=True)
    assert writer.wait_durable(1, 60).seq == 1
    assert writer.durable_token(0) is not None
    assert writer.durable_token(2) is None
    with pytest.raises(AssertionError):
        Durable(7)
    writer.close()
    assert reported == [1]


def test_feed_alone_is_written_soon_and_synced_later(tmp_path: Path) -> None:
    synced = threading.Event()
    writer = JournalWriter.create(
        tmp_path / "s", group_delay_s=0.01, sync_delay_s=0.2, on_durable=lambda _: synced.set()
    )
    writer.append_step([SESSION])
    follower = Follower(tmp_path / "s")
    seen = []
    while not seen:
        seen = follower.poll()
    assert seen == [SESSION]
    assert writer.durable_seq == -1
    assert synced.wait(60)
    writer.close()


def test_a_record_is_written_soon_at_any_time(tmp_path: Path) -> None:
    """The writer may be polling or asleep: only the group's delay passes before a record is written."""
    writer = JournalWriter.create(tmp_path / "s", group_delay_s=0.02, sync_delay_s=60)
    for seq, record in enumerate([SESSION, *map(feed, range(1, 40))]):
        time.sleep((0, 0.005, 0.015, 0.025, 0.06)[seq % 5])  # the input, no synchronisation: records come at any phase
        writer.append_step([record])
        until = time.monotonic() + 60
        while writer.written_seq < seq and seq % 3:
            assert time.monotonic() < until, f"record {seq} is not written until another one comes"
            time.sleep(0.001)
    assert writer.durable_seq == -1
    writer.close()


def test_a_long_journal_is_followed_in_pieces(tmp_path: Path) -> None:
    """Each poll returns a few thousand records at most, sealed or not, and the pieces have no gap or overlap."""
    records = [SESSION, *map(feed, range(1, 40_000))]
    writer = JournalWriter.create(tmp_path / "s", segment_bytes=2_500_000)
    for at in range(0, len(records), 100):
        writer.append_step(records[at : at + 100])
    writer.wait_durable(len(records) - 1, 60)
    for from_seq in (0, 20_001):
        assert polled(Follower(tmp_path / "s", from_seq)) == records[from_seq:]
    writer.close()
    assert len(Journal.open(tmp_path / "s").sealed_paths()) > 1
    for from_seq in (0, 20_001):
        assert polled(follower := Follower(tmp_path / "s", from_seq)) == records[from_seq:]
        assert follower.ended


def polled(follower: Follower) -> list[Record]:
    """Return all records, and check that each poll is short."""
    found: list[Record] = []
    while some := follower.poll():
        assert len(some) < 2 * POLL_ROWS
        found += some
    return found


@pytest.mark.slow
def test_a_stalled_disk_is_noticed_before_memory_runs_out(tmp_path: Path) -> None:
    stalled = threading.Event()

    class StallingDisk(RealDisk):
        def sync(self, name: str) -> None:
            stalled.wait(60)
            super().sync(name)

    writer = JournalWriter.create(tmp_path / "s", disk=StallingDisk.create_folder(tmp_path / "s"))
    writer.append_step([SESSION], urgent=True)
    large = b"x" * 1_000_000
    with pytest.raises(JournalBehindError, match="wait for the disk"):  # noqa: PT012 - which append, the disk decides
        for seq in range(1, 200):
            writer.append_step([Record(seq, 0, Kind.FEED, "m", payload=large)])
    stalled.set()
    taken = writer.close().last_seq
    assert 60 < taken < 140
    assert verify(tmp_path / "s").records == taken + 1


def test_low_space_is_reported_once_and_before_the_disk_is_full(tmp_path: Path) -> None:
    class FillingDisk(RealDisk):
        left = 2000

        def write(self, name: str, data: bytes | memoryview) -> None:
            super().write(name, data)
            self.left -= len(data)

        def free_bytes(self) -> int:
            return self.left

    reported: list[int] = []
    disk = FillingDisk.create_folder(tmp_path / "s")
    writer = JournalWriter.create(tmp_path / "s", disk=disk, free_bytes_min=1000, on_low_space=reported.append)
    for seq in range(8):
        writer.append_step([feed(seq)], urgent=True)
        writer.wait_durable(seq, 60)
    writer.close()
    assert len(reported) == 1
    assert 0 < reported[0] < 1000


def test_one_writer_by_lock(tmp_path: Path) -> None:
    writer = JournalWriter.create(tmp_path / "s")
    writer.append_step([SESSION])
    assert is_locked(tmp_path / "s")
    with pytest.raises(JournalLockedError, match="being written by another process"):
        recover(tmp_path / "s")
    with pytest.raises(JournalFailedError, match="exists already"):
        JournalWriter.create(tmp_path / "s")
    writer.close()
    assert not is_locked(tmp_path / "s")
    assert recover(tmp_path / "s").was_closed


@pytest.mark.slow
def test_readers_during_writing_miss_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """Every view is a prefix with at least the records that were durable before it was opened."""
    expected = steps(1500, rows=2)
    writer = JournalWriter.create(tmp_path / "s", segment_bytes=20_000, group_delay_s=0.001, sync_delay_s=0.002)
    follower, followed, views = Follower(tmp_path / "s"), [], 0
    for at, step in enumerate(expected):
        writer.append_step(step)
        if at % 25 == 0:
            durable_seq = writer.durable_seq
            seen = list(Journal.open(tmp_path / "s").records())
            assert len(seen) > durable_seq
            assert seen == flat(expected)[: len(seen)]
            views += 1
            followed += follower.poll()
    writer.close()
    followed += follower.poll()
    assert followed == flat(expected)
    assert follower.ended
    assert follower.poll() == []
    assert views == 60
    follower.close()


def test_a_follower_may_join_late(tmp_path: Path) -> None:
    expected = flat(steps(100))
    writer = JournalWriter.create(tmp_path / "s", segment_bytes=3000, group_rows=10)
    for record in expected:
        writer.append_step([record], urgent=record.seq % 10 == 9)
    writer.close()
    assert Follower(tmp_path / "s", from_seq=123).poll() == expected[123:]


def test_a_session_without_records_is_a_valid_journal(tmp_path: Path) -> None:
    writer = JournalWriter.create(tmp_path / "s")
    assert writer.close().last_seq == -1
    journal = Journal.open(tmp_path / "s")
    assert (list(journal.records()), journal.last_seq, journal.closed) == ([], -1, True)
    assert verify(tmp_path / "s").ok
    assert recover(tmp_path / "s").was_closed
    with pytest.raises(NotAJournalError, match="no record yet"):
        journal.session_record()


def test_a_gap_in_seq_is_an_assertion_error(tmp_path: Path) -> None:
    writer = JournalWriter.create(tmp_path / "s")
    with pytest.raises(AssertionError):
        writer.append_step([feed(1)])
    with pytest.raises(AssertionError):
        writer.append_step([Record(0, 0, Kind.NOTE, "x")])  # neither payload nor body
    writer.append_step([SESSION])
    assert writer.close().last_seq == 0


def test_a_frame_is_a_header_of_forty_bytes_and_a_batch() -> None:
    frame = encode_frame([SESSION, feed(1)], durable_seq=-1)
    assert frame[:4] == b"VJ1\n"
    assert int.from_bytes(frame[8:16], "little") == len(frame) - 40


@pytest.mark.slow
def test_sealed_the_capture_is_no_larger_than_gzip(tmp_path: Path, shared_data: Path) -> None:
    import gzip

    raw = gzip.decompress((shared_data / "captures/binance/spot_btcusdt_20240808.gz").read_bytes())
    lines = raw.splitlines()
    writer = JournalWriter.create(tmp_path / "s")
    taken_ns = 0
    for seq, line in enumerate(lines):
        recv_ns, payload = line.split(b" ", 1)
        taken_ns = max(taken_ns, int(recv_ns) + 20_000 + seq * 7919 % 60_000)  # the sequencer takes it some 10 us later
        writer.append_step(
            [Record(seq, taken_ns, Kind.FEED, "binance_spot.market.0", cause=2, recv_ns=int(recv_ns), payload=payload)]
        )
    writer.close()
    sealed = sum(path.stat().st_size for path in Journal.open(tmp_path / "s").sealed_paths())
    assert sealed <= len(gzip.compress(raw, 6))
