"""SQL over many archived sessions on a local S3 server, against the same records in one Parquet file: times and memory.

    python benchmarks/fleet_sql.py FOLDER [--sessions N] [--seconds S]

FOLDER is made. A session of S seconds in virtual time is written N times, at other times, under other ids and every third with
another symbol, and archived; their rows are those of the first, moved. moto serves the files from its memory, one request at
a time per core, so requests cost more here than at a real store. Each query runs in its own process: planning is the time to the
plan, the rest is the query; memory is the peak of the process above its start.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
DAY_NS = 86_400 * 1_000_000_000
PER_MONTH = 100
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
QUERIES = {
    "fills of each session": "SELECT session, count(*) AS fills, sum(notional) AS notional FROM fills GROUP BY session",
    "fills of one session": "SELECT count(*), sum(notional) FROM fills WHERE session = '{session}'",
    "records in an hour": "SELECT kind, count(*) FROM records WHERE time_ns BETWEEN {from_ns} AND {to_ns} GROUP BY kind",
    "kinds of all records": "SELECT kind, count(*) FROM journal GROUP BY kind",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--query", help=argparse.SUPPRESS)
    parser.add_argument("--at", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.query:
        print(json.dumps(measured(options.at, options.query)))
        return
    from s3_server import s3_server

    files = made(options.folder, options.sessions, options.seconds)
    big = options.folder / "big.parquet"
    with s3_server() as query:
        begun = time.monotonic()
        upload(files, query)
        print(f"{options.sessions:,} sessions on the server after {time.monotonic() - begun:.0f} s", flush=True)
        row = json.loads((min(files.glob("*/2*")) / "catalogue.json").read_text())["row"]
        print(f"{row['records']:,} records and {row['bytes']:,} bytes each; one file: {big.stat().st_size:,} bytes")
        places = {"bucket": f"s3://bucket/month-*/?{query}", "folder": f"{files}/month-*", "one file": str(big)}
        for name, text in QUERIES.items():
            filled = text.format(session=row["session"], from_ns=row["start_ns"], to_ns=row["start_ns"] + 3_600 * 10**9)
            found = {where: in_process(place, filled) for where, place in places.items()}
            for where, each in found.items():
                print(
                    f"{name}, {where}: plan {each['plan_s']:.2f} s, query {each['query_s']:.2f} s, again "
                    f"{each['again_s']:.2f} s, {each['cpu_s']:.1f} CPU s, {each['memory_mib']:.0f} MiB, {each['rows']} rows",
                    flush=True,
                )
            assert len({each["digest"] for each in found.values()}) == 1, name


def made(folder: Path, count: int, seconds: float) -> Path:
    """Return the archive of all sessions, and write the file with all their records, unless they are there."""
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq
    from moved_sessions import move_session, read_records
    from replaying import session

    from analysis import catalogue
    from analysis.catalogue_row import CatalogueRow, catalogue_row
    from journal.archive import archive
    from journal.archive_location import open_location
    from journal.arrow_codec import SCHEMA
    from journal.reader import Journal
    from journal.segments import plain_batch

    archives = folder / "archives"
    if (folder / "big.parquet").exists():
        return archives
    folder.mkdir(parents=True, exist_ok=True)
    session(folder / "source", seconds=seconds).stop()
    records = read_records(folder / "source")
    first: dict[bool, CatalogueRow] = {}
    names = pa.schema([pa.field("session", pa.string()), *SCHEMA])
    with pq.ParquetWriter(folder / "big.parquet", names, compression="zstd", compression_level=8) as writer:
        for at in range(count):
            digits = [at // 32**place % 32 for place in range(3)]
            name = f"20260101T000000Z-aaaaa{''.join(LETTERS[digit] for digit in reversed(digits))}"
            is_other = at % 3 == 2
            symbol = ("BTCUSDT", "ETHUSDT") if is_other else None
            target = move_session(records, folder / "made" / name, shift_ns=at * DAY_NS, symbol=symbol)
            root = open_location(str(archives / f"month-{at // PER_MONTH:02d}"))
            done = archive(target, root)
            begin = first.setdefault(is_other, catalogue_row(target))
            journal = Journal.open(target)
            segments = tuple(
                msgspec.structs.replace(
                    each,
                    bytes=(target / each.name).stat().st_size,
                    start_ns=records[0].time_ns + at * DAY_NS,
                    end_ns=records[-1].time_ns + at * DAY_NS,
                )
                for each in begin.segments
            )
            row = msgspec.structs.replace(
                begin, session=name[-8:], folder=name, chain=done.manifest.chain, segments=segments,
                start_ns=segments[0].start_ns, end_ns=segments[-1].end_ns, bytes=sum(each.bytes for each in segments),
            )  # fmt: skip
            catalogue.write_row(root.child(name), row)
            for batch in journal.batches():
                table = pa.Table.from_batches([plain_batch(batch)])
                texts = pa.array([row.session] * table.num_rows, pa.string())
                writer.write_table(table.add_column(0, names.field(0), texts))
    for month in archives.iterdir():
        catalogue.update_catalogue(open_location(str(month)))
    return archives


def upload(files: Path, query: str) -> None:
    from journal.archive_location import ArchiveLocation, open_location

    root = open_location(f"s3://bucket?{query}")
    for file in sorted(path for path in files.rglob("*") if path.is_file()):
        ArchiveLocation(root.filesystem, f"bucket/{file.relative_to(files)}", "s3://bucket").replace(file.read_bytes())


def in_process(place: str, query: str) -> dict[str, float]:
    words = [sys.executable, __file__, ".", "--at", place, "--query", query]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def measured(place: str, query: str) -> dict[str, object]:
    import hashlib

    from analysis import sql_session
    from analysis.fleet import Fleet
    from analysis.fleet_plan import plan_fleet
    from analysis.sql_views import SqlViews

    before, begun, used = peak_mib(), time.monotonic(), cpu_s()
    if place.endswith(".parquet"):
        import duckdb

        made = duckdb.connect(config=sql_session.SETTINGS)
        connection = sql_session.SqlConnection(made, SqlViews(made, f"SELECT * FROM read_parquet('{place}')", {}))
        planned = time.monotonic()
        rows = sql_session.run_query(connection, query).rows
        first = time.monotonic()
        sql_session.run_query(connection, query)
    else:
        fleet = Fleet(plan_fleet(place))
        planned = time.monotonic()
        rows = fleet.result(query).rows
        first = time.monotonic()
        fleet.result(query)
    return {
        "plan_s": planned - begun,
        "query_s": first - planned,
        "again_s": time.monotonic() - first,
        "cpu_s": cpu_s() - used,
        "memory_mib": peak_mib() - before,
        "rows": len(rows),
        "digest": hashlib.sha256(repr(sorted(rows)).encode()).hexdigest(),
    }


def peak_mib() -> float:
    """Return the peak of this process alone: getrusage counts that of its parent before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
