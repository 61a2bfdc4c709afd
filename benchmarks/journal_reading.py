"""The journal's readers: replay, look-ups, memory, recovery and verification, and how soon another process sees a
record.

    python benchmarks/journal_reading.py [replay lookups memory recovery visible] [--folder JOURNAL ...] [--rounds 5]
    [--json]

    replay    every record as a Python object, beside the fastest reader of limits/i_readers.py with a struct for each
    row lookups   one record by seq, and one second by time: our reader and DuckDB, in journals of 1 and 50 million
    records memory    peak of writer and readers, each in its own process, at a million records and at ten recovery  of
    a full open segment of 64 MiB; and verification of a million records visible   from append to seen in a second
    process that polls each 2 ms, at groups of 50 ms

Journals are made by tiling (tiled_journal.py: 50 million take some minutes and 1.7 GB), or given with --folder,
smallest first.
"""

import argparse
import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import tiled_journal
from journal_writing import Ours, full_segment
from measuring import CAPTURE, Figures, Machine, Watch, in_turns, medians, percentile, read, run_parts

from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import recover
from journal.tail import Follower
from journal.verify import verify
from journal.writer import JournalWriter

Tables = Iterator[tuple[str, dict[str, dict[str, Any]]]]
MILLION = 1_000_000
SECOND_NS = 1_000_000_000


def journals(given: argparse.Namespace, scratch: Path, sizes: tuple[int, ...]) -> list[Path]:
    """Those given, or tiled ones."""
    if given.folder:
        return list(given.folder)
    found = [scratch / f"tiled-{size}" for size in sizes]
    for folder, size in zip(found, sizes, strict=True):
        if not folder.exists():
            tiled_journal.write(folder, size)
    return found


# ---- replay ----------------------------------------------------------------------------------------


class Event(msgspec.Struct, gc=False):
    seq: int
    recv_ns: int
    kind: int
    stream: str
    payload: bytes


def limit_file(folder: Path, target: Path) -> None:
    """The same rows as limits/i_readers.py keeps them: five columns, zstd 1, row groups of 10,000."""
    table = pa.Table.from_batches(Journal.open(folder).batches(1, ("seq", "recv_ns", "kind", "source", "payload")))
    table = table.set_column(2, "kind", pa.array([1] * len(table), pa.uint8()))
    table = table.set_column(3, "stream", table.column("source").cast(pa.string()))
    pq.write_table(
        table,
        target,
        compression="zstd",
        compression_level=1,
        use_dictionary=["kind", "stream"],
        column_encoding={"seq": "DELTA_BINARY_PACKED", "recv_ns": "DELTA_BINARY_PACKED"},
        row_group_size=10_000,
        write_page_checksum=True,
    )


def limit_events(path: Path) -> Iterator[Event]:
    """limits/i_readers.py: "numpy tolist + stream as dictionary" and "same + msgspec.Struct per row": its fastest that
    makes objects.
    """
    file = pq.ParquetFile(path, page_checksum_verification=False, pre_buffer=True, read_dictionary=["stream"])
    for batch in file.iter_batches(batch_size=10_000, use_threads=False):
        streams = batch.column(3)
        words = streams.dictionary.to_pylist()
        rows = zip(
            batch.column(0).to_numpy().tolist(),
            batch.column(1).to_numpy().tolist(),
            batch.column(2).to_numpy().tolist(),
            [words[index] for index in streams.indices.to_numpy().tolist()],
            batch.column(4).to_numpy(zero_copy_only=False).tolist(),
            strict=True,
        )
        for row in rows:
            yield Event(*row)


def replay(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    folder = journals(given, scratch, (MILLION,))[0]
    limit_file(folder, scratch / "limit.parquet")

    def once(rows: Callable[[], Iterator[Any]], of: Callable[[Any], int]) -> Figures:
        watch, count = Watch(), 0
        for row in rows():
            count += of(row)
        return {"M records/s": count / watch.wall_s / 1e6, "M records/s a core": count / watch.cpu_s / 1e6}

    found = in_turns(
        {
            "Journal.records": lambda: once(lambda: Journal.open(folder).records(), lambda _: 1),
            "limits/i_readers.py, struct a row": lambda: once(
                lambda: limit_events(scratch / "limit.parquet"), lambda _: 1
            ),
            "Journal.batches": lambda: once(lambda: Journal.open(folder).batches(), lambda batch: int(batch.num_rows)),
        },
        given.rounds,
        machine,
    )
    limit = found["limits/i_readers.py, struct a row"]
    for told in found.values():
        told |= {f"{name} over the limit's": told[name] / limit[name] for name in tuple(limit) if name in told}
    yield f"Replay of {Journal.open(folder).last_seq + 1} sealed records", found


# ---- look-ups --------------------------------------------------------------------------------------


def lookups(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    for folder in journals(given, scratch, (MILLION, 50 * MILLION)):
        records = Journal.open(folder).last_seq + 1
        rounds = []
        for number in range(given.rounds):
            machine.settle()
            rounds.append(looked_up(folder, random.Random(number), given.lookups))
        yield (
            f"Look-ups in {records} records, ms, of {given.lookups} a round",
            {name: medians([each[name] for each in rounds]) for name in rounds[0]},
        )


def looked_up(folder: Path, chance: random.Random, count: int) -> dict[str, Figures]:
    """Ours and DuckDB's in turns, at places drawn."""
    from analysis.sql_session import connect, query_rows

    journal = Journal.open(folder)
    begin_ns = journal.session_record().time_ns
    end_ns = next(journal.records(journal.last_seq)).time_ns - SECOND_NS
    watch = Watch()
    connection = connect(folder)
    taken: dict[str, list[float]] = {"DuckDB connect": [watch.wall_s]}

    def timed(name: str, look: Callable[..., int], *given: int) -> int:
        watch = Watch()
        found = look(*given)
        taken.setdefault(name, []).append(watch.wall_s)
        return found

    within = "time_ns > ? AND time_ns <= ?"
    by_seq: dict[str, Callable[[int], int]] = {
        "ours by seq, open": lambda seq: next(journal.records(seq, seq)).seq,
        "ours by seq, with opening": lambda seq: next(Journal.open(folder).records(seq, seq)).seq,
        "DuckDB journal by seq": lambda seq: query_rows(connection, "SELECT seq, * FROM journal WHERE seq = ?", [seq])[
            0
        ][0],
        "DuckDB records by seq": lambda seq: query_rows(connection, "SELECT seq, * FROM records WHERE seq = ?", [seq])[
            0
        ][0],
    }
    by_time: dict[str, Callable[[int, int], int]] = {
        "ours one second, open": lambda *given: second(journal, *given),
        "ours one second, with opening": lambda *given: second(Journal.open(folder), *given),
        "DuckDB journal one second": lambda *given: len(query_rows(connection, f"FROM journal WHERE {within}", given)),
        "DuckDB records one second": lambda *given: len(query_rows(connection, f"FROM records WHERE {within}", given)),
    }
    for _ in range(count):
        seq, time_ns = chance.randrange(journal.last_seq), chance.randrange(begin_ns, end_ns)
        assert {timed(name, look, seq) for name, look in by_seq.items()} == {seq}
        assert len({timed(name, look, time_ns, time_ns + SECOND_NS) for name, look in by_time.items()}) == 1
    return {
        name: {"first": s[0] * 1e3, "p50": percentile(s, 0.5) * 1e3, "max": max(s) * 1e3} for name, s in taken.items()
    }


def second(journal: Journal, after_ns: int, to_ns: int) -> int:
    return sum(1 for _ in journal.records(journal.seq_at(after_ns) + 1, journal.seq_at(to_ns)))


# ---- memory ----------------------------------------------------------------------------------------


def memory(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    """Measure each job in its own process. The peak of its imports is subtracted."""
    folders = journals(given, scratch, (MILLION, 10 * MILLION))[:2]
    sizes = [Journal.open(folder).last_seq + 1 for folder in folders]
    found: dict[str, Figures] = {}
    for name, job in JOBS.items():
        machine.settle()
        peaks = [alone(job, folder, size, scratch) for folder, size in zip(folders, sizes, strict=True)]
        found[name] = {
            "before MB": peaks[0][0],
            "peak MB": peaks[0][1],
            "peak MB, larger": peaks[1][1],
            "ratio": peaks[1][1] / peaks[0][1],
        }
    yield f"Peak memory at {sizes[0]} and at {sizes[1]} records", found


def alone(job: Callable[[Path, int, Path], None], folder: Path, size: int, scratch: Path) -> tuple[float, float]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak_of, job, folder, size, scratch).result()


def peak_of(job: Callable[[Path, int, Path], None], folder: Path, size: int, scratch: Path) -> tuple[float, float]:
    """MB resident before and at most."""
    before = resident_mb("VmRSS")
    job(folder, size, scratch)
    return before, resident_mb("VmHWM")


def resident_mb(field: str) -> float:
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) / 1024


def write_all(_folder: Path, size: int, scratch: Path) -> None:
    """Flat out, rolled and sealed. Its memory is the writer's and that of the capture."""
    rows = read(CAPTURE)
    ours = Ours(Path(tempfile.mkdtemp(dir=scratch)) / "written", segment_bytes=64 * 1024 * 1024)
    while ours.seq < size:
        ours.append(rows[ours.seq % len(rows)])
        if ours.seq % 1_024 == 0:
            ours.writer.wait_for_room()
    ours.writer.close()
    shutil.rmtree(ours.writer.folder.parent)


def read_records(folder: Path, _size: int, _scratch: Path) -> None:
    for _ in Journal.open(folder).records():
        pass


def read_batches(folder: Path, _size: int, _scratch: Path) -> None:
    for _ in Journal.open(folder).batches():
        pass


def look_up(folder: Path, size: int, _scratch: Path) -> None:
    chance = random.Random(1)
    journal = Journal.open(folder)
    for _ in range(200):
        seq = chance.randrange(size)
        assert next(journal.records(seq, seq)).seq == seq


def follow_all(folder: Path, _size: int, _scratch: Path) -> None:
    follower = Follower(folder)
    while follower.poll():
        pass


def verify_all(folder: Path, _size: int, _scratch: Path) -> None:
    assert verify(folder).ok


JOBS: dict[str, Callable[[Path, int, Path], None]] = {
    "write, roll and seal": write_all,
    "records": read_records,
    "batches": read_batches,
    "200 look-ups": look_up,
    "follow": follow_all,
    "verify": verify_all,
}


# ---- recovery --------------------------------------------------------------------------------------


def recovery(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    opened, records = full_segment(scratch, read(CAPTURE))
    sealed = journals(given, scratch, (MILLION,))[0]

    def recovered() -> Figures:
        folder = scratch / "recovered"
        shutil.copytree(opened, folder)
        watch = Watch()
        assert recover(folder).last_seq == records - 1
        found = {"seconds": watch.wall_s, "cpu s": watch.cpu_s, "M records/s": records / watch.wall_s / 1e6}
        shutil.rmtree(folder)
        return found

    def verified() -> Figures:
        watch = Watch()
        report = verify(sealed)
        assert report.ok, report.problems
        return {"seconds": watch.wall_s, "cpu s": watch.cpu_s, "M records/s": report.records / watch.wall_s / 1e6}

    yield (
        "Recovery and verification",
        in_turns(
            {f"recover {records} records of an open segment of 64 MiB": recovered, "verify sealed records": verified},
            given.rounds,
            machine,
        ),
    )


# ---- visible ---------------------------------------------------------------------------------------


def visible(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    rows = read(CAPTURE)

    def once(rate: int) -> Figures:
        folder = Path(tempfile.mkdtemp(dir=scratch)) / "journal"
        writer = JournalWriter.create(folder)
        count = int(rate * given.visible_s)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            seen = pool.submit(lags_s, folder, count)
            wait_for(folder / "watched")
            begin, seq = time.perf_counter(), 0
            while seq < count:
                due = min(count, int((time.perf_counter() - begin) * rate) + 1)
                for at in range(seq, due):
                    now_ns = time.time_ns()
                    record = Record(at, now_ns, Kind.FEED, "feed", 0, None, now_ns, None, rows[at % len(rows)][1])
                    writer.append_step((record,))
                seq = due
                time.sleep(0.001)
            lags = seen.result()
        writer.abandon()
        shutil.rmtree(folder.parent)
        return {
            name: percentile(lags, share) * 1e3 for name, share in (("p50 ms", 0.5), ("p99 ms", 0.99), ("max ms", 1.0))
        }

    yield (
        "From append to seen in a second process, groups of 50 ms, polled each 2 ms",
        in_turns(
            {f"{rate:,} records/s": lambda rate=rate: once(rate) for rate in (272, 2_466, 15_000)},
            given.rounds,
            machine,
        ),
    )


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def lags_s(folder: Path, count: int) -> list[float]:
    follower = Follower(folder)
    (folder / "watched").touch()
    found: list[float] = []
    while len(found) < count:
        records = follower.poll()
        now_ns = time.time_ns()
        found += [(now_ns - record.time_ns) / 1e9 for record in records]
        time.sleep(0.002)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", type=Path, nargs="+", metavar="JOURNAL", help="journals made before, smallest first"
    )
    parser.add_argument("--lookups", type=int, default=15, help="of each sort a round")
    parser.add_argument("--visible-s", type=float, default=5)
    run_parts(
        parser, {"replay": replay, "lookups": lookups, "memory": memory, "recovery": recovery, "visible": visible}
    )
