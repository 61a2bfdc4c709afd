"""Hostile sessions: the whole engine on the simulated venue in virtual time, with faults drawn by seed.

    python -P benchmarks/hostile.py --seed 1 --sessions 20000        # seeds 1 to 20000, on both cores
    python -P benchmarks/hostile.py --seed 17 --keep 0,3             # one session, only the faults 0 and 3 of its plan

After each session its invariants are checked (verbatim/hostile/invariants.py). A session that breaks one is shrunk: its
faults are left out one by one while the invariant stays broken. Prints the sessions per hour; if an invariant broke,
the exit code is 1 and the last line is the command that repeats the shrunk session.
"""

import argparse
import gc
import multiprocessing
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from verbatim.hostile.hostile_result import HostileResult
from verbatim.hostile.hostile_run import run_hostile, run_hostile_in, shrink_hostile

CHUNK = 20  # seeds that a process takes at once
COLLECTED_EVERY = 5  # sessions: an ended one is a cycle of few objects that holds megabytes of arrays
PROGRESS_EVERY = 500  # sessions


class Outcome(NamedTuple):
    result: HostileResult | None  # None: the simulator itself failed
    seed: int
    text: str = ""
    command: str = ""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=1, help="the first seed")
    options.add_argument("--sessions", type=int, default=1)
    options.add_argument("--keep", default=None, help="numbers of the faults to keep, with commas; for one session")
    options.add_argument("--processes", type=int, default=os.cpu_count())
    options.add_argument("--whole", action="store_true", help="do not shrink a failing session")
    options.add_argument("--folder", type=Path, default=None, help="keep the journals of one session here")
    options.add_argument("--most", type=int, default=0, help="stop after so many failing sessions; 0: never")
    chosen = options.parse_args()
    if chosen.sessions == 1:
        return _one(chosen)
    began = time.monotonic()
    cpu = 0.0
    totals: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    command = ""
    for outcome, seconds in _outcomes(chosen):
        cpu += seconds
        totals["sessions"] += 1
        if outcome.text:
            totals["failed"] += 1
            command = outcome.command
            print(outcome.text, flush=True)
            broken[outcome.result.broken[0].invariant if outcome.result else "the simulator itself"] += 1
        if totals["sessions"] % PROGRESS_EVERY == 0:
            print(f"{totals['sessions']:,} sessions, {totals['failed']} of them broken", flush=True)
        if outcome.result is not None:
            result = outcome.result
            totals += Counter(
                journals=result.sessions, records=result.records, orders=result.orders, fills=result.fills
            )
            totals["virtual_s"] += int(result.virtual_s)
            totals["stayed down and said why"] += bool(result.stays_down)
            kinds.update(fault.kind for fault in result.plan.faults)
            missed.update(fault.kind for fault in result.plan.faults if fault.number in result.missed)
        if chosen.most and totals["failed"] >= chosen.most:
            break
    seconds = time.monotonic() - began
    counts = [f"{kind} {count - missed[kind]} of {count}" for kind, count in sorted(kinds.items())]
    print(f"faults that had an effect, of those drawn: {', '.join(counts)}")
    print(f"totals: {', '.join(f'{name} {count:,}' for name, count in totals.items())}")
    for invariant, count in broken.most_common():
        print(f"broken in {count} sessions: {invariant}")
    per_hour = totals["sessions"] / seconds * 3600
    print(
        f"{totals['sessions']:,} sessions in {seconds:,.0f} s, {per_hour:,.0f} sessions an hour in "
        f"{chosen.processes} processes, {cpu / totals['sessions']:.2f} CPU s a session"
    )
    if command:
        print(command)
    return 1 if command else 0


def _one(chosen: argparse.Namespace) -> int:
    kept = None if chosen.keep is None else [int(number) for number in chosen.keep.split(",") if number]
    if chosen.folder is not None:
        chosen.folder.mkdir(parents=True)
        result = run_hostile(chosen.seed, chosen.folder, kept=kept)
    else:
        scratch = _scratch()
        try:
            result = run_hostile_in(scratch, chosen.seed, kept=kept)
            if result.broken and kept is None and not chosen.whole:
                result = shrink_hostile(scratch, result)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    print(result.text())
    if result.stays_down:
        print(f"  stays down: {result.stays_down}")
    if result.broken:
        print(_command(result))
    return bool(result.broken)


def _command(result: HostileResult) -> str:
    numbers = ",".join(str(fault.number) for fault in result.plan.faults)
    return f"python -P benchmarks/hostile.py --seed {result.seed} --keep '{numbers}'"


def _scratch() -> Path:
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="hostile-", dir=memory if memory.is_dir() else None))


def _outcomes(chosen: argparse.Namespace) -> Iterator[tuple[Outcome, float]]:
    seeds = range(chosen.seed, chosen.seed + chosen.sessions)
    chunks = [(list(seeds[at : at + CHUNK]), chosen.whole) for at in range(0, len(seeds), CHUNK)]
    with multiprocessing.get_context("spawn").Pool(chosen.processes, initializer=_prepare) as pool:
        for outcomes in pool.imap_unordered(_run_chunk, chunks):
            yield from outcomes


def _prepare() -> None:
    """Load what every session uses, and keep it from the collector, which takes a quarter of a second on it."""
    scratch = _scratch()
    try:
        run_hostile_in(scratch, 1)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    gc.collect()
    gc.freeze()


def _run_chunk(task: tuple[list[int], bool]) -> list[tuple[Outcome, float]]:
    seeds, whole = task
    scratch = _scratch()
    outcomes = []
    try:
        for seed in seeds:
            began = time.process_time()
            outcome = _run_seed(scratch, seed, whole=whole)
            if seed % COLLECTED_EVERY == 0:
                gc.collect()
            outcomes.append((outcome, time.process_time() - began))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return outcomes


def _run_seed(scratch: Path, seed: int, *, whole: bool) -> Outcome:
    try:
        result = run_hostile_in(scratch, seed)
        if not result.broken:
            return Outcome(result, seed)
        smallest = result if whole else shrink_hostile(scratch, result)
        return Outcome(result, seed, smallest.text(), _command(smallest))
    except Exception:
        command = f"python -P benchmarks/hostile.py --seed {seed}"
        return Outcome(None, seed, f"seed {seed}: {traceback.format_exc()}", command)


if __name__ == "__main__":
    raise SystemExit(main())
