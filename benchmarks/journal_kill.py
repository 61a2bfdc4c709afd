"""SIGKILL of a process that writes a journal at full speed, at random moments. Every record reported as durable
survives.

    python -P benchmarks/journal_kill.py --moments 200 [--seed N]

The child reports durable records through a pipe. Its segments are small, so rolling and sealing happen at most moments.
After each kill the journal is read, recovered, verified, read and recovered again. Prints one JSON line; the exit code
is 1 if a check failed. The same seed gives the same moments, but not the same interleavings.
"""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import recover
from journal.verify import verify
from journal.writer import JournalWriter

STEP_ROWS = 3
SEGMENT_BYTES = 400_000
MOMENT_SECONDS_MAX = 0.6  # from the first durable record on
AHEAD_ROWS_MAX = 50_000  # records in memory: the child must not outrun the disk


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--moments", type=int, default=200)
    options.add_argument(
        "--seed", type=int, default=None, help="of the moments; printed, so that a run can be repeated"
    )
    arguments = options.parse_args()
    seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    with tempfile.TemporaryDirectory() as folder:
        found = kill_and_check(Path(folder), arguments.moments, random.Random(seed))
    print(json.dumps({"seed": seed, **found}))
    return 1 if found["broken"] else 0


def kill_and_check(
    folder: Path, moments: int, chance: random.Random, *, seconds_max: float = MOMENT_SECONDS_MAX
) -> dict[str, Any]:
    broken: list[str] = []
    seen = []
    for moment in range(moments):
        session = folder / f"{moment}"
        delay_s = chance.uniform(0, seconds_max)
        durable_seq = kill_after(session, delay_s)
        try:
            seen.append(check_session(session, durable_seq))
        except Exception as error:
            broken.append(f"moment {moment} ({delay_s:.4f} s): {error!r}")
    rows = [each["records"] for each in seen] or [0]
    return {
        "moments": moments,
        "records_median": int(statistics.median(rows)),
        "records_max": max(rows),
        "beyond_the_durable_median": int(statistics.median([each["beyond"] for each in seen] or [0])),
        "torn": sum(each["torn_bytes"] > 0 for each in seen),
        "amid_a_seal": sum(each["amid_a_seal"] for each in seen),
        "segments_unsealed_median": int(statistics.median([each["unsealed"] for each in seen] or [0])),
        "broken": broken,
    }


def kill_after(session: Path, delay_s: float) -> int:
    """Kill a writing child, and return the last record that it had reported as durable."""
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if not child:
        os.close(read_fd)
        try:
            write_forever(session, write_fd)
        finally:
            os._exit(70)
    os.close(write_fd)
    with open(read_fd, "rb") as pipe:  # noqa: PTH123 - a pipe has no path
        first = pipe.readline()
        time.sleep(delay_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines = [first, *pipe.read().split(b"\n")[:-1]]
    return int(lines[-1])


def write_forever(session: Path, write_fd: int) -> None:
    writer = JournalWriter.create(
        session,
        segment_bytes=SEGMENT_BYTES,
        group_delay_s=0.005,
        sync_delay_s=0.01,
        on_durable=lambda seq: os.write(write_fd, b"%d\n" % seq),
    )
    seq = 0
    while True:
        writer.append_step([record(at) for at in range(seq, seq + STEP_ROWS)], urgent=seq % 150 == 0)
        seq += STEP_ROWS
        while seq - writer.written_seq > AHEAD_ROWS_MAX:
            time.sleep(0.001)


def record(seq: int) -> Record:
    return Record(
        seq, seq, Kind.FEED, "m", recv_ns=seq, payload=b'{"e":"depthUpdate","u":%d,"b":[["%d","1.0"]]}' % (seq, seq)
    )


def check_session(session: Path, durable_seq: int) -> dict[str, Any]:
    """Check a killed session, and raise AssertionError if a promise was broken."""
    left = {path.suffix: path for path in session.iterdir()}
    unsealed = len(list(session.glob("*.open")))
    before = list(Journal.open(session).records())
    assert len(before) > durable_seq, f"{durable_seq} was durable, a reader saw {len(before)} records"
    recovered = recover(session)
    assert recovered.last_seq >= durable_seq, f"{durable_seq} was durable, {recovered.last_seq} came back"
    assert (recovered.last_seq + 1) % STEP_ROWS == 0, f"{recovered.last_seq} ends no step"
    records = list(Journal.open(session).records())
    assert records == before == [record(seq) for seq in range(recovered.last_seq + 1)], (
        "other records than were written"
    )
    report = verify(session)
    assert (report.problems, report.notes) == ([], [])
    assert recover(session).chain == recovered.chain == report.chain, "a second recovery differs"
    return {
        "records": len(records),
        "beyond": recovered.last_seq - durable_seq,
        "torn_bytes": recovered.dropped_bytes,
        "amid_a_seal": ".tmp" in left,
        "unsealed": unsealed,
    }


if __name__ == "__main__":
    sys.exit(main())
