"""Peak memory of a session and of one ten times as long: live (sealing included), replay, and sealing by recovery.

    python benchmarks/memory.py [--times 10] [--speed 80]

The longer session plays a tiled capture. Each job is its own process. The result is its peak resident set in MB, all of
it and its anonymous part (what it keeps itself: the rest is libraries and pages of mapped files, which the kernel takes
back at will).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("VERBATIM_DATA", HERE.parent.parent / "shared" / "data"))
SAMPLE_SECONDS = 0.02


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--capture", type=Path, default=DATA / "captures/binance/spot_btcusdt_20240808.gz")
    options.add_argument("--times", type=int, default=10)
    options.add_argument("--speed", type=int, default=80)
    options.add_argument("--job", nargs="+", help="for the children")
    given = options.parse_args()
    if given.job:
        JOBS[given.job[0]](*given.job[1:])
        return
    import tiling

    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for times in (1, given.times):
            capture, journals = Path(scratch) / f"{times}.gz", Path(scratch) / f"journals-{times}"
            tiling.write(given.capture, times, capture)
            found.setdefault("live", {})[f"{times}x"] = told = child(
                "live", str(capture), str(journals), str(given.speed)
            )
            folder = next(journals.glob("2*"))
            found.setdefault("replay", {})[f"{times}x"] = child("replay", str(folder))
            unsealed = Path(scratch) / f"unsealed-{times}"
            child("unseal", str(folder), str(unsealed))
            found.setdefault("seal", {})[f"{times}x"] = child("seal", str(unsealed))
            print(json.dumps({"times": times, "records": told["records"]}), file=sys.stderr)
    for sizes in found.values():
        one, many = sizes["1x"], sizes[f"{given.times}x"]
        sizes["ratio"] = {name: round(many[name] / one[name], 3) for name in ("peak_mb", "anonymous_mb")}
    print(json.dumps(found))


def child(*job: str) -> dict[str, float]:
    ended = subprocess.run([sys.executable, __file__, "--job", *job], check=True, stdout=subprocess.PIPE)
    told: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return told


class Watching(threading.Thread):
    """The most anonymous memory that was seen."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous_kb = 0

    def run(self) -> None:
        while True:
            text = Path("/proc/self/status").read_text()
            self.anonymous_kb = max(self.anonymous_kb, int(text.split("RssAnon:")[1].split()[0]))
            time.sleep(SAMPLE_SECONDS)


def tell(watching: Watching, records: int) -> None:
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {
        "peak_mb": round(peak_kb / 1024, 1),
        "anonymous_mb": round(watching.anonymous_kb / 1024, 1),
        "records": records,
    }
    print(json.dumps(told))


def live(capture: str, journals: str, speed: str) -> None:
    from rich.console import Console

    from engine.live.logs import configure
    from verbatim.demo import DemoOptions, trade
    from verbatim.runner import run_or_stop
    from verbatim.warmup import warm

    configure(level="error")
    warm()
    watching = Watching()
    watching.start()
    tour = DemoOptions(journals=Path(journals), capture=Path(capture), speed=int(speed))

    async def run() -> object:
        return await trade(tour, Console(stderr=True))

    summary = run_or_stop(run)
    assert summary.clean, summary.reason
    tell(watching, summary.last.records)


def replay(folder: str) -> None:
    from replay.replay import replay_session
    from verbatim.warmup import warm

    warm()
    watching = Watching()
    watching.start()
    verdict = replay_session(Path(folder))
    assert verdict.identical, verdict.text()
    tell(watching, verdict.records)


def unseal(folder: str, target: str) -> None:
    """The same records in a journal that was never closed."""
    from journal.reader import Journal
    from journal.writer import JournalWriter

    watching = Watching()
    writer = JournalWriter.create(Path(target), sync=False, segment_bytes=2**40)
    last = 0
    for record in Journal.open(Path(folder)).records():
        writer.append_step([record])
        last = record.seq
        if last % 5_000 == 0:
            writer.wait_durable(last, 30)
    writer.wait_durable(last, 30)
    writer.abandon()
    tell(watching, last + 1)


def seal(folder: str) -> None:
    from journal.recover import recover

    watching = Watching()
    watching.start()
    found = recover(Path(folder))
    tell(watching, found.last_seq + 1)


JOBS = {"live": live, "replay": replay, "unseal": unseal, "seal": seal}

if __name__ == "__main__":
    main()
