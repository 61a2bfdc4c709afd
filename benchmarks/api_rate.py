"""Fills of a session to Arrow, polars and a consumer's stream, by `verbatim.open`: rows a second and memory.

    python benchmarks/api_rate.py [--fills 10000000] [--folder FOLDER]

The session has fills alone, sealed as a writer seals them; FOLDER keeps it for the next run. No value becomes a Python
object: the check is that the objects of the process do not grow while the stream is read.
"""

import argparse
import gc
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from tiled_journal import SEGMENT_ROWS, Tiles, write_tiles

import verbatim
from engine.facts import OrderFilled
from engine.model import Side
from engine.record_codec import text_of
from journal.record import Kind, Record

START_NS = 1_723_161_250_000_000_000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--fills", type=int, default=10_000_000)
    options.add_argument("--folder", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch) / "20240808T235410Z-aaaaaaaa"
        if not folder.exists():
            write_tiles(folder, given.fills + 1, Tiles(fill_records()), level=1)
        fills = verbatim.open(folder).fills
        found = {
            "stream": measured(lambda: streamed(fills), given.fills),
            "stream, five columns": measured(
                lambda: streamed(fills.select("seq", "side", "price", "quantity", "fee")), given.fills
            ),
        }
    print(json.dumps({"fills": given.fills, **found, "loadavg": os.getloadavg()}, indent=1))


def streamed(fills: verbatim.Table) -> int:
    """Read the Arrow C stream as another library does, and keep nothing."""
    reader = pa.RecordBatchReader.from_stream(fills)
    return sum(batch.num_rows for batch in reader)


def measured(read: Callable[[], int], fills: int) -> dict[str, Any]:
    gc.collect()
    objects, blocks, begun, cpu = len(gc.get_objects()), sys.getallocatedblocks(), time.perf_counter(), cpu_s()
    assert read() == fills
    wall, used = time.perf_counter() - begun, cpu_s() - cpu
    return {
        "rows_a_second": round(fills / wall),
        "cpu_us_a_row": round(used / fills * 1e6, 3),
        "python_blocks_a_row": round((sys.getallocatedblocks() - blocks) / fills, 4),
        "python_objects": len(gc.get_objects()) - objects,
        "rss_mib_max": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def fill_records() -> list[Record]:
    """Yield the facts of fills of many orders."""
    records = []
    for seq in range(SEGMENT_ROWS):
        name = f"aaaaaaaa-quoter-1-{seq}-0"
        fact = OrderFilled(
            name, "quoter", "binance_spot:BTCUSDT", f"9{seq:09}", f"1{seq:09}", Side.BUY if seq % 2 else Side.SELL,
            Decimal(6_000_000 + seq % 9_973).scaleb(-2), Decimal(100 + seq % 997).scaleb(-5),
            Decimal(seq % 7_919).scaleb(-8), "USDT", maker=bool(seq % 3), venue_ns=START_NS + seq, late=False,
        )  # fmt: skip
        records.append(Record(seq, START_NS + seq, Kind.FACT, "engine", cause=0, key=name, body=text_of(fact)))
    return records


if __name__ == "__main__":
    main()
