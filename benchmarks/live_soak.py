"""A live session beside CPU hogs: does it trade in each minute or say why not, and do memory and descriptors stay flat?

    python -P benchmarks/live_soak.py --minutes 10 --speed 60 --hogs 2

Runs `verbatim demo` as a process: the simulated venue at so many times the normal speed, and two strategies on it. The
hogs are processes that only count. Every 5 s the resident memory and the open descriptors of the demo and of its children
are read. Then the journal tells, for each minute of the machine's clock, the orders placed and the share of each mode.

Prints one JSON line. The exit code is 1 if a minute passed in RUNNING without an order, while no note told of a paused
strategy or a late engine; if the session did not end in order or its replay differs; or if memory or descriptors grew:
their most in the last third is compared with their most in the second (the first third loads and compiles).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from engine.bodies import NoteBody, NoteLevel
from engine.facts import ModeChanged
from engine.mode_reasons import Mode
from engine.record_codec import read_fact, read_note
from journal.reader import Journal
from journal.record import Kind

SAMPLE_S = 5.0
MEMORY_GROWTH_MAX = 1.15
DESCRIPTOR_GROWTH_MAX = 3
MINUTE_NS = 60_000_000_000
END_S = 900.0  # for the seal and the replay after the session
HOG = "while True: pass"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--speed", type=int, default=60)
    options.add_argument("--hogs", type=int, default=2)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        hogs = [subprocess.Popen([sys.executable, "-S", "-c", HOG]) for _ in range(given.hogs)]
        try:
            told, samples = run_demo(Path(scratch), given.minutes * 60, given.speed)
        finally:
            for hog in hogs:
                hog.kill()
        found = {"speed": given.speed, "hogs": given.hogs, **growth(samples, given.minutes * 60)}
        found |= read_session(Path(told["folder"]), given.speed)
        found |= {"ended": told["ended"], "replay": told["replay"], "modes": told["time"]["modes"]}
    problems = find_problems(found)
    print(json.dumps(found | {"problems": problems}))
    return 1 if problems else 0


def run_demo(scratch: Path, seconds: float, speed: int) -> tuple[dict[str, Any], list[tuple[float, int, int]]]:
    """Run the demo. Return its summary, and (second, resident bytes, descriptors) of its processes over time."""
    command = [sys.executable, "-m", "verbatim", "demo", "--speed", str(speed), "--seconds", str(seconds)]
    command += ["--journals", str(scratch), "--json", "--no-status"]
    began = time.monotonic()
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    samples = []
    while demo.poll() is None and time.monotonic() - began < seconds:
        time.sleep(SAMPLE_S)
        samples.append((time.monotonic() - began, *measure_tree(demo.pid)))
    output, _ = demo.communicate(timeout=END_S)
    return json.loads(output.splitlines()[-1]), samples


def measure_tree(root: int) -> tuple[int, int]:
    """Return the resident bytes and the open descriptors of a process and of its descendants."""
    resident = descriptors = 0
    pending = [root]
    while pending:
        pid = pending.pop()
        folder = Path(f"/proc/{pid}")
        try:
            pending += [int(child) for child in (folder / f"task/{pid}/children").read_text().split()]
            resident += int((folder / "statm").read_text().split()[1]) * 4096
            descriptors += len(list((folder / "fd").iterdir()))
        except OSError:
            continue  # it has ended
    return resident, descriptors


def growth(samples: list[tuple[float, int, int]], seconds: float) -> dict[str, Any]:
    """Return the most memory and descriptors of each third."""
    thirds: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for second, resident, descriptors in samples:
        thirds[min(2, int(second / seconds * 3))].append((resident, descriptors))
    return {
        "memory_mb": [round(max(each[0] for each in thirds[at]) / 1e6, 1) for at in sorted(thirds)],
        "descriptors": [max(each[1] for each in thirds[at]) for at in sorted(thirds)],
    }


def read_session(folder: Path, speed: int) -> dict[str, Any]:
    """Return the orders and the modes of each minute of the machine's clock, and the notes that say why none came."""
    journal = Journal.open(folder)
    first_ns: int | None = None
    orders: Counter[int] = Counter()
    notes: dict[int, list[str]] = defaultdict(list)
    modes: dict[int, set[Mode]] = defaultdict(set)
    mode, last = Mode.STARTING, 0
    for record in journal.records():
        first_ns = record.time_ns if first_ns is None else first_ns
        minute = int((record.time_ns - first_ns) / speed // MINUTE_NS)
        if minute != last:
            modes[minute].add(mode)
            last = minute
        body = record.body or ""
        if record.kind is Kind.REQUEST and '"purpose":"place' in body:
            orders[minute] += 1
        elif record.kind is Kind.NOTE:
            note: NoteBody = read_note(body)
            if note.level is not NoteLevel.INFO:
                notes[minute].append(note.text[:120])
        elif record.kind is Kind.FACT and '"fact":"mode"' in body:
            fact = read_fact(body)
            assert isinstance(fact, ModeChanged)
            mode = fact.mode
            modes[minute].add(mode)
    minutes = range(last)  # the last one is not complete
    idle = [each for each in minutes if not orders[each]]
    return {
        "records": journal.last_seq + 1,
        "orders_by_minute": [orders[each] for each in minutes],
        "idle_minutes": {each: sorted(mode.value for mode in modes[each]) + notes[each][:3] for each in idle},
        "silent_minutes": [each for each in idle if modes[each] == {Mode.RUNNING} and not notes[each]],
    }


def find_problems(found: dict[str, Any]) -> list[str]:
    """Return what is not as it must be, in words."""
    problems = []
    if found["silent_minutes"]:
        problems.append(f"no order and no word why in minutes {found['silent_minutes']}")
    if found["ended"] != "closed" or found["replay"] != "identical":
        problems.append(f"ended {found['ended']}, replay {found['replay']}")
    memory, descriptors = found["memory_mb"], found["descriptors"]
    if memory[-1] > memory[-2] * MEMORY_GROWTH_MAX:
        problems.append(f"memory grew from {memory[-2]} to {memory[-1]} MB")
    if descriptors[-1] > descriptors[-2] + DESCRIPTOR_GROWTH_MAX:
        problems.append(f"descriptors grew from {descriptors[-2]} to {descriptors[-1]}")
    return problems


if __name__ == "__main__":
    raise SystemExit(main())
