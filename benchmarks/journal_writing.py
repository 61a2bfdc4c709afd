"""The journal's writer: CPU a record, full load, append to durable, sealing and its effects, bytes sealed; beside
peers.

    python benchmarks/journal_writing.py [cpu paced full durable sealing bytes] [--nautilus PYTHON ...] [--rounds 5]
    [--json]

The real JournalWriter with its threads takes usdm_btcusdt_20240808, a step for each record, and its raw bytes are kept.

    cpu      flat out, as limits/j_path.py does it: peers write a batch for each of the capture's own windows of 50 ms
    (13.8
             records); ours frames of 14, and, at the price of two changes of thread for each, a frame for each window
    paced    as the capture came: own CPU less that of the same loop without a writer, caches as cold as in life
    full     as much as goes, with the default groups; a core is a second of CPU, of all our threads together
    durable  an urgent record until its sync is known: to a waiting thread, and to a trio task as the live gateway has
    it sealing  a full segment: how fast, and what it does to appends and to an event loop meanwhile bytes    of every
    capture of more than 1 MB, imported as `verbatim import` does it, against gzip -6 of its lines
"""

import argparse
import gzip
import os
import shutil
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import trio
from journal_peers import SOURCE, ArrowStream, Proto, Sqlite, nautilus
from measuring import (
    CAPTURE,
    DATA,
    Figures,
    Machine,
    Row,
    Watch,
    in_turns,
    medians,
    percentile,
    read,
    run_parts,
    windows,
)

from journal.content_hash import CHAIN_START
from journal.disk import RealDisk
from journal.importing.formats import ImportOptions
from journal.importing.import_session import import_files
from journal.record import Kind, Record
from journal.seal import seal
from journal.segments import open_name, sealed_name
from journal.writer import JournalWriter

Tables = Iterator[tuple[str, dict[str, dict[str, Any]]]]
NO_END = 2**40  # of a segment
SEGMENT_BYTES = 64 * 1024 * 1024
REQUEST = '{"id":"c-000001","sym":"BTCUSDT","side":"BUY","px":"61800.20","qty":"0.014","tif":"GTC"}'


class Journal(Protocol):
    def append(self, row: Row, *, last: bool) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class Ours:
    """`flat_out`: the last record of a window closes its group and is waited for, so frames are those of 50 ms groups."""

    def __init__(self, folder: Path, *, flat_out: bool = False, **options: Any) -> None:
        self.writer = JournalWriter.create(folder, **{"segment_bytes": NO_END, **options})
        self._flat_out = flat_out
        self.seq = 0

    def append(self, row: Row, *, last: bool = False) -> None:
        recv_ns, payload = row
        record = Record(self.seq, recv_ns, Kind.FEED, SOURCE, 0, None, recv_ns, None, payload)
        self.seq += 1
        if last and self._flat_out:
            self.writer.append_step((record,), urgent=True)
            self.writer.wait_durable(record.seq, 60)
        else:
            self.writer.append_step((record,))

    def thread_cpu_s(self) -> float:
        """Of the writer's thread alone."""
        own = next(thread for thread in threading.enumerate() if thread.name == "journal-writer")
        return int(Path(f"/proc/self/task/{own.native_id}/schedstat").read_text().split()[0]) / 1e9

    def flush(self) -> None:
        self.writer.wait_durable(self.seq - 1, 60)

    def close(self) -> None:
        self.flush()
        self.writer.abandon()  # sealing is measured apart


class Peer:
    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def append(self, row: Row, *, last: bool) -> None:
        self._journal.append(row)
        if last:
            self._journal.end_window()

    def flush(self) -> None: ...
    def close(self) -> None:
        self._journal.close()


class Nothing:
    """The loop without a writer."""

    def append(self, row: Row, *, last: bool) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


def marked(groups: Sequence[Sequence[Row]]) -> list[tuple[Row, bool]]:
    """Each row, and whether it is the last of its window."""
    return [(row, row is group[-1]) for group in groups for row in group]


def fresh(scratch: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=scratch)) / "journal"


# ---- CPU a record ----------------------------------------------------------------------------------


def cpu(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    rows = marked(windows(read(CAPTURE)))

    def once(make: Callable[[Path], Journal]) -> Figures:
        folder = fresh(scratch)
        journal = make(folder)
        watch = Watch()
        for row, last in rows:
            journal.append(row, last=last)
        journal.flush()
        found = {"cpu us": watch.cpu_s / len(rows) * 1e6, "wall us": watch.wall_s / len(rows) * 1e6}
        journal.close()
        shutil.rmtree(folder.parent)
        return found

    makers: dict[str, Callable[[Path], Journal]] = {
        "ours": lambda folder: Ours(folder, group_rows=14, sync=False),
        "ours, each window waited for": lambda folder: Ours(folder, flat_out=True, sync=False),
        "limits/proto.py": lambda folder: Peer(Proto(folder)),
        "arrow ipc stream": lambda folder: Peer(ArrowStream(folder)),
        "sqlite wal normal": lambda folder: Peer(Sqlite(folder, synchronous="NORMAL")),
        "ours, each window waited for and synced": lambda folder: Ours(folder, flat_out=True),
        "limits/proto.py, each window synced": lambda folder: Peer(Proto(folder, sync=True)),
        "sqlite wal full": lambda folder: Peer(Sqlite(folder, synchronous="FULL")),
    }
    contenders = {name: lambda make=make: once(make) for name, make in makers.items()}
    found = in_turns({**contenders, **nautilus(given.nautilus, CAPTURE, scratch)}, given.rounds, machine)
    yield (
        "CPU a record, flat out, frames of the capture's 50 ms windows",
        {
            name: {**told, "cpu over proto's": told["cpu us"] / found["limits/proto.py"]["cpu us"]}
            for name, told in found.items()
        },
    )


def paced(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    rows = usual(read(CAPTURE), given.paced_s)
    steps = marked(windows(rows))

    def once(make: Callable[[Path], Journal]) -> Figures:
        folder = fresh(scratch)
        journal = make(folder)
        thread_s = journal.thread_cpu_s() if isinstance(journal, Ours) else 0.0
        watch, begin, first_ns = Watch(), time.perf_counter(), rows[0][0]
        for row, last in steps:
            due = begin + (row[0] - first_ns) / 1e9
            while (rest := due - time.perf_counter()) > 0:
                time.sleep(rest)
            journal.append(row, last=last)
        time.sleep(0.3)  # until waiting records are written and synced
        found = {"all us": watch.cpu_s / len(rows) * 1e6}
        if isinstance(journal, Ours):
            found["writer's thread us"] = (journal.thread_cpu_s() - thread_s) / len(rows) * 1e6
        journal.close()
        return found

    makers: dict[str, Callable[[Path], Journal]] = {
        "no writer": lambda _: Nothing(),
        "ours": Ours,
        "limits/proto.py": lambda folder: Peer(Proto(folder)),
        "sqlite wal normal": lambda folder: Peer(Sqlite(folder, synchronous="NORMAL")),
    }
    found = in_turns({name: lambda make=make: once(make) for name, make in makers.items()}, given.rounds, machine)
    for told in found.values():
        told["cpu us"] = told["all us"] - found["no writer"]["all us"]
        told["cpu over proto's"] = told["cpu us"] / (found["limits/proto.py"]["all us"] - found["no writer"]["all us"])
    title = f"CPU a record, as it came: {len(rows)} records in {given.paced_s:g} s, groups of 50 ms, a sync each 250 ms (peers: none)"
    yield title, found


def usual(rows: Sequence[Row], seconds: float) -> list[Row]:
    """The stretch of that length whose rate is nearest to the whole's."""
    span_ns = int(seconds * 1e9)
    wanted = len(rows) * span_ns / (rows[-1][0] - rows[0][0])
    starts = range(rows[0][0], rows[-1][0] - span_ns, 1_000_000_000)
    stretches = ([row for row in rows if start <= row[0] < start + span_ns] for start in starts)
    return min(stretches, key=lambda stretch: abs(len(stretch) - wanted))


def full(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    rows = read(CAPTURE) * 4

    def once(*, close: bool, **options: Any) -> Figures:
        folder = fresh(scratch)
        ours = Ours(folder, **options)
        watch = Watch()
        for at, row in enumerate(rows):
            ours.append((row[0], row[1]))
            if at % 1_024 == 0:
                ours.writer.wait_for_room()
        ours.writer.wait_durable(len(rows) - 1, 60)
        if close:
            ours.writer.close()
        found = {"k records/s a core": len(rows) / watch.cpu_s / 1e3, "k records/s": len(rows) / watch.wall_s / 1e3}
        if not close:
            ours.close()
        shutil.rmtree(folder.parent)
        return {**found, "cpu us": 1e3 / found["k records/s a core"]}

    def proto() -> Figures:
        folder = fresh(scratch)
        peer = Proto(folder, sync=True)
        watch = Watch()
        for at, row in enumerate(rows, 1):
            peer.append(row)
            if at % 256 == 0 or at == len(rows):
                peer.end_window()
        found = {"k records/s a core": len(rows) / watch.cpu_s / 1e3, "k records/s": len(rows) / watch.wall_s / 1e3}
        peer.close()
        shutil.rmtree(folder.parent)
        return {**found, "cpu us": 1e3 / found["k records/s a core"]}

    yield (
        "Full load, default groups",
        in_turns(
            {
                "ours": lambda: once(close=False),
                "ours, rolled and sealed": lambda: once(close=True, segment_bytes=SEGMENT_BYTES),
                "limits/proto.py, 256 a frame, each synced": proto,
            },
            given.rounds,
            machine,
        ),
    )


# ---- append to durable -----------------------------------------------------------------------------


class Feeding:
    """Feed records at a rate, as far as they are due, between two orders."""

    def __init__(self, ours: Ours, rows: Sequence[Row], rate: float) -> None:
        self._ours, self._rows, self._rate = ours, rows, rate
        self._begin, self._given = time.perf_counter(), 0
        self.append_s: list[float] = []

    def catch_up(self) -> None:
        due = int((time.perf_counter() - self._begin) * self._rate)
        for at in range(self._given, due):
            row = self._rows[at % len(self._rows)]
            begin = time.perf_counter()
            self._ours.append(row)
            self.append_s.append(time.perf_counter() - begin)
        self._given = max(due, self._given)


class Ordering:
    """Urgent records, and how long until they are known to be durable: to a thread, or to a trio task."""

    def __init__(self, folder: Path, *, in_trio: bool, **options: Any) -> None:
        token = trio.lowlevel.current_trio_token()
        self._known: dict[int, trio.Event] = {}
        tell = (lambda _: token.run_sync_soon(self._tell)) if in_trio else None
        self.ours = Ours(folder, on_durable=tell, **options)
        self._in_trio = in_trio

    def _tell(self) -> None:
        for seq in [seq for seq in self._known if seq <= self.ours.writer.durable_seq]:
            self._known.pop(seq).set()

    async def durable_s(self) -> float:
        ours = self.ours
        record = Record(ours.seq, time.time_ns(), Kind.REQUEST, "orders", 0, "c-000001", None, None, None, REQUEST)
        ours.seq += 1
        begin = time.perf_counter()
        if self._in_trio:
            event = self._known[record.seq] = trio.Event()
            ours.writer.append_step((record,), urgent=True)
            await event.wait()
            assert ours.writer.durable_token(record.seq)
        else:
            ours.writer.append_step((record,), urgent=True)
            ours.writer.wait_durable(record.seq, 60)
        return time.perf_counter() - begin


async def orders_and_bare(scratch: Path, rows: Sequence[Row], rate: float, *, in_trio: bool, count: int) -> Figures:
    """Time an order, then a bare write and sync of as many bytes, in turns, 2 ms apart."""
    folder = fresh(scratch)
    ordering = Ordering(folder, in_trio=in_trio)
    feeding = Feeding(ordering.ours, rows, rate)
    bare_fd = os.open(folder.parent / "bare", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    noise = os.urandom(1 << 20)
    size, ours_s, bare_s, sizes = 0, [], [], []
    for _ in range(count):
        await _rest(feeding)
        ours_s.append(await ordering.durable_s())
        grown = (folder / open_name(0)).stat().st_size
        sizes.append(grown - size)
        size = grown
        await _rest(feeding)
        begin = time.perf_counter()
        os.write(bare_fd, noise[: sizes[-1]])
        os.fdatasync(bare_fd)
        bare_s.append(time.perf_counter() - begin)
    os.close(bare_fd)
    ordering.ours.close()
    shutil.rmtree(folder.parent)
    return {
        "bytes": percentile(sizes, 0.5),
        **{f"{name} us": percentile(ours_s, share) * 1e6 for name, share in (("p50", 0.5), ("p99", 0.99))},
        **{f"bare {name} us": percentile(bare_s, share) * 1e6 for name, share in (("p50", 0.5), ("p99", 0.99))},
    }


async def _rest(feeding: Feeding) -> None:
    for _ in range(2):
        await trio.sleep(0.001)
        feeding.catch_up()


def durable(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    rows = read(CAPTURE)

    def once(rate: float, *, in_trio: bool) -> Figures:
        return trio.run(lambda: orders_and_bare(scratch, rows, rate, in_trio=in_trio, count=given.orders))

    found = in_turns(
        {
            f"{'trio task' if in_trio else 'thread'}, feed {rate:,}/s": lambda rate=rate, in_trio=in_trio: once(
                rate, in_trio=in_trio
            )
            for rate in (0, 272, 15_000)
            for in_trio in (False, True)
        },
        given.rounds,
        machine,
    )
    for told in found.values():
        told["p50 over bare"] = told["p50 us"] / told["bare p50 us"]
        told["p99 goal us"] = 2 * told["bare p99 us"] + 300
        told["p99 over goal"] = told["p99 us"] / told["p99 goal us"]
    yield (
        f"Append to durable, {given.orders} orders a round, each beside a bare write + fdatasync of as many bytes",
        found,
    )


# ---- sealing ---------------------------------------------------------------------------------------


def sealing(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    rows = read(CAPTURE)
    opened, records = full_segment(scratch, rows)

    def once() -> Figures:
        folder = fresh(scratch)
        shutil.copytree(opened, folder)
        disk = RealDisk(folder)
        watch = Watch()
        seal(disk, 0, CHAIN_START, final=True)
        found = {
            "k records/s": records / watch.wall_s / 1e3,
            "seconds": watch.wall_s,
            "cpu us a record": watch.cpu_s / records * 1e6,
            "bytes a record": (folder / sealed_name(0)).stat().st_size / records,
        }
        disk.release()
        shutil.rmtree(folder.parent)
        return found

    yield f"Sealing a full segment of {records} records", in_turns({"seal": once}, given.rounds, machine)
    seen: list[dict[str, Figures]] = []
    for _ in range(given.rounds):
        machine.settle()
        seen.append(trio.run(while_sealing, scratch, rows))
    title = "Feed of 272/s, an order each 10 ms and a ticker of 1 ms in one trio loop, while a full segment is sealed and else"
    yield title, {name: medians([each[name] for each in seen]) for name in seen[0]}


def full_segment(scratch: Path, rows: Sequence[Row]) -> tuple[Path, int]:
    """An open segment of 64 MiB, in frames of 50 ms, left as a crash would leave it; and its records."""
    folder = fresh(scratch)
    ours = Ours(folder, flat_out=True, sync=False)
    for row, last in marked(windows(rows)) * 4:
        ours.append(row, last=last)
        if last and (folder / open_name(0)).stat().st_size >= SEGMENT_BYTES:
            break
    ours.close()
    return folder, ours.seq


async def while_sealing(scratch: Path, rows: Sequence[Row]) -> dict[str, Figures]:
    folder = fresh(scratch)
    ordering = Ordering(folder, in_trio=True, segment_bytes=SEGMENT_BYTES, group_rows=14)  # as 50 ms of 272/s hold
    found = {"at rest": await watched(ordering, rows, lambda since_s: since_s > 3)}
    for at, row in enumerate(rows * 4):
        ordering.ours.append(row)
        if at % 256 == 0:
            ordering.ours.writer.wait_durable(ordering.ours.seq - 1, 60)
            if len(list(folder.glob("*.open"))) > 1:  # it has rolled, so sealing begins
                break
    found["sealing"] = await watched(ordering, rows, lambda _: (folder / sealed_name(0)).exists())
    ordering.ours.close()
    shutil.rmtree(folder.parent)
    return found


async def watched(ordering: Ordering, rows: Sequence[Row], is_over: Callable[[float], bool]) -> Figures:
    feeding = Feeding(ordering.ours, rows, 272)
    lag_s: list[float] = []
    durable_s: list[float] = []
    begin = time.perf_counter()

    async def tick() -> None:
        while True:
            asked = time.perf_counter()
            await trio.sleep(0.001)
            lag_s.append(time.perf_counter() - asked - 0.001)
            feeding.catch_up()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        while not is_over(time.perf_counter() - begin):
            durable_s.append(await ordering.durable_s())
            await trio.sleep(0.010)
        nursery.cancel_scope.cancel()
    return {
        "seconds": time.perf_counter() - begin,
        "append p99 us": percentile(feeding.append_s, 0.99) * 1e6,
        "append max us": max(feeding.append_s) * 1e6,
        "durable p50 us": percentile(durable_s, 0.5) * 1e6,
        "durable p99 us": percentile(durable_s, 0.99) * 1e6,
        "loop lag p50 us": percentile(lag_s, 0.5) * 1e6,
        "loop lag p99 us": percentile(lag_s, 0.99) * 1e6,
        "loop lag max us": max(lag_s) * 1e6,
    }


# ---- bytes -----------------------------------------------------------------------------------------


def bytes_sealed(given: argparse.Namespace, scratch: Path, machine: Machine) -> Tables:
    """Nothing here depends on the machine."""
    del given, machine
    found = {}
    for capture in sorted(path for path in (DATA / "captures").rglob("*") if path.is_file()):
        data = capture.read_bytes()
        lines = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        if len(lines) < 1_000_000:
            continue
        packer = zlib.compressobj(6, wbits=31)
        packed = len(packer.compress(lines) + packer.flush())
        done = import_files([capture], ImportOptions(None, None, None), journals=scratch / "imported")
        sealed = sum(path.stat().st_size for path in done.folder.glob("*.parquet"))
        found[capture.name] = {
            "records": done.received,
            "raw": len(lines) / done.received,
            "gzip -6": packed / done.received,
            "sealed": sealed / done.received,
            "sealed over gzip": sealed / packed,
        }
    yield "Bytes a record, of every capture above 1 MB, imported", found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--nautilus", type=Path, nargs="+", default=[], metavar="PYTHON", help="environments with nautilus_trader"
    )
    parser.add_argument("--paced-s", type=float, default=20)
    parser.add_argument("--orders", type=int, default=500)
    run_parts(
        parser,
        {"cpu": cpu, "paced": paced, "full": full, "durable": durable, "sealing": sealing, "bytes": bytes_sealed},
    )
