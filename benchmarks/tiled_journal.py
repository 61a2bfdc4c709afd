"""A sealed journal of any length: a capture's messages again and again, as one session that a writer might have
written.

    python benchmarks/tiled_journal.py FOLDER RECORDS [--capture FILE] [--level 8]

Receive and session times continue from pass to pass. Arrow batches are sealed as they are, without a writer's frames,
so a million records take some eight seconds; all else (names, footers, chain, checksums) is as the writer's own sealing
makes it.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from journal_peers import SOURCE
from measuring import CAPTURE, read

from journal.arrow_codec import SCHEMA, from_message, to_message
from journal.content_hash import CHAIN_START, next_chain
from journal.disk import Disk, RealDisk
from journal.footer import Footer, SegmentPart
from journal.record import Kind, Record
from journal.seal import write_sealed
from journal.segments import LEVEL

SEGMENT_ROWS = 187_000  # what 64 MiB of frames hold of the default capture
PASS_GAP_NS = 1_000_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("records", type=int)
    options.add_argument("--capture", type=Path, default=CAPTURE)
    options.add_argument("--level", type=int, default=LEVEL, help="of zstd; 1 is made sooner")
    given = options.parse_args()
    write(given.folder, given.records, capture=given.capture, level=given.level)


def write(folder: Path, records: int, *, capture: Path = CAPTURE, level: int = LEVEL) -> None:
    write_tiles(folder, records, Tiles(capture_records(capture)), level=level)


def write_tiles(folder: Path, records: int, tiles: "Tiles", *, level: int = LEVEL) -> None:
    disk = RealDisk.create_folder(folder)
    try:
        chain = CHAIN_START
        for first_seq in range(0, records, SEGMENT_ROWS):
            end = min(first_seq + SEGMENT_ROWS, records)
            chain = _sealed(disk, tiles, first_seq, end, chain, final=end == records, level=level)
        disk.sync_folder()
    finally:
        disk.release()


def _sealed(disk: Disk, tiles: "Tiles", first_seq: int, end: int, prev_chain: str, *, final: bool, level: int) -> str:
    def footer(content: str) -> Footer:
        return Footer(
            first_seq=first_seq,
            last_seq=end - 1,
            parts=(SegmentPart(end - 1, content),),
            prev_chain=prev_chain,
            chain=next_chain(prev_chain, content),
            final=final,
        )

    return write_sealed(disk, first_seq, tiles.batches(first_seq, end), footer, level=level).chain


def capture_records(capture: Path) -> list[Record]:
    messages = read(capture)
    now_ns, records = messages[0][0], []
    for seq, (recv_ns, payload) in enumerate(messages):
        now_ns = max(now_ns, recv_ns)  # session time never falls
        records.append(Record(seq, now_ns, Kind.FEED, SOURCE, cause=0, recv_ns=recv_ns, payload=payload))
    return records


class Tiles:
    """Records again and again; receive times, if they have some, move with the session's."""

    def __init__(self, records: list[Record]) -> None:
        session = Record(0, records[0].time_ns, Kind.SESSION, "shell", body='{"session":"tiles"}')
        self._first = _batch([session])
        self._tile = _batch(records)
        self._rows = len(records)
        self._span_ns = records[-1].time_ns - records[0].time_ns + PASS_GAP_NS

    def batches(self, seq: int, end: int) -> Iterator[pa.RecordBatch]:
        """Records from `seq` up to but without `end`. Record 0 is the SESSION record."""
        if seq == 0:
            yield self._first
            seq = 1
        while seq < end:
            passed, row = divmod(seq - 1, self._rows)
            part = self._tile.slice(row, min(self._rows - row, end - seq))
            moved = {
                "seq": np.arange(seq, seq + part.num_rows),
                "time_ns": part.column("time_ns").to_numpy() + passed * self._span_ns,
            }
            if not part.column("recv_ns").null_count:
                moved["recv_ns"] = part.column("recv_ns").to_numpy() + passed * self._span_ns
            columns = [pa.array(moved[name]) if name in moved else part.column(name) for name in SCHEMA.names]
            yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
            seq += part.num_rows


def _batch(records: list[Record]) -> pa.RecordBatch:
    return from_message(to_message(records))


if __name__ == "__main__":
    main()
