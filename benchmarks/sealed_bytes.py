"""Bytes a message, sealed, against gzip -6 of the capture's lines: the whole session, and its public messages alone.

    python benchmarks/sealed_bytes.py SESSION_FOLDER CAPTURE
    python benchmarks/sealed_bytes.py            # plays both spot captures first

The whole session holds all our own records too (timers, intents, requests, facts, checkpoints, strategy sources). The
public messages alone are sealed again by the same writer, renumbered, for the comparison.
"""

import argparse
import gzip
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from journal.reader import Journal
from journal.record import Kind
from journal.writer import JournalWriter

DATA = Path(os.environ.get("VERBATIM_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data"))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("session", type=Path, nargs="?")
    options.add_argument("capture", type=Path, nargs="?")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if given.session:
            print(json.dumps(measured(given.session, given.capture, Path(scratch))))
            return
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        from capture_check import verbatim

        for name in ("spot_btcusdt", "spot_ethusdt"):
            capture = DATA / "captures" / "binance" / f"{name}_20240808.gz"
            journals = Path(scratch) / name
            demo = verbatim("demo", "--capture", capture, "--speed", 60, "--journals", journals, "--json")
            print(json.dumps(measured(Path(demo["folder"]), capture, Path(scratch))), flush=True)


def measured(session: Path, capture: Path, scratch: Path) -> dict[str, Any]:
    with gzip.open(capture) as file:
        lines = file.read()
    messages = lines.count(b"\n")
    packed = len(gzip.compress(lines, 6))
    journal = Journal.open(session)
    whole = sum(path.stat().st_size for path in journal.sealed_paths())
    feed = scratch / f"feed-{session.name}"
    writer = JournalWriter.create(feed, sync=False)
    records = 0
    wanted = (record for record in journal.records() if record.kind is Kind.FEED)
    for seq, record in enumerate(wanted):
        writer.append_step([msgspec.structs.replace(record, seq=seq)])
        records = seq + 1
    writer.close()
    alone = sum(path.stat().st_size for path in Journal.open(feed).sealed_paths())
    return {
        "capture": capture.name,
        "messages": messages,
        "gzip_6": round(packed / messages, 2),
        "feed_alone": round(alone / records, 2),
        "whole_session": round(whole / messages, 2),
        "records": journal.last_seq + 1,
        "feed_alone / gzip_6": round(alone / records / (packed / messages), 3),
        "whole_session / gzip_6": round(whole / packed, 3),
    }


if __name__ == "__main__":
    main()
