"""The cost of many jobs of `verbatim regress`, and the limits of spreading them: the figures behind
docs/scaling.md.

    python benchmarks/spread_scaling.py FOLDER [--rounds N] [PART ...]

`jobs`: five versions against captures of Binance through replay.study.workers.run_jobs, in one process and in two, in
turns: medians of the rounds; what a job reads and gives back; a session's first job, which makes the projection that
the later ones read. `scheduler`: jobs that do nothing but sleep, with a real job's value and result, on a Dask
scheduler with 50 one-thread workers: what each costs it. FOLDER is made: the captures are imported into it once.
"""

import argparse
import os
import pickle
import statistics
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

from measuring import Figures, Machine, Watch, medians, table
from regress_captures import BALANCES, CHANGES, DATA, FIRST, changed, imported

from journal.reader import Journal
from replay.overrides import parse_settings
from replay.study.regress import Job, JobOutcome, run_job
from replay.study.versions import Version, VersionRequest, jobs_for_session
from replay.study.workers import run_jobs
from verbatim.strategy_files import read_strategy

WORKERS = 50
NAPS_S = (0.0, 0.05, 0.2, 0.8)
NAPS = 1_000
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="*", choices=[[], "jobs", "scheduler"], metavar="PART")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--captures", type=int, default=3, help="of the eight, the longest first")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    jobs = jobs_in(options.folder, options.captures)
    if "jobs" in (options.parts or "jobs"):
        measure_jobs(jobs, options.rounds)
    if "scheduler" in (options.parts or "scheduler"):
        measure_scheduler(jobs[1])


def jobs_in(folder: Path, captures: int) -> list[Job]:
    longest = sorted(DATA.glob("*.gz"), key=lambda path: -path.stat().st_size)[:captures]
    sessions = [imported(folder / "sessions", capture.name.partition(".")[0], (capture.name,)) for capture in longest]
    files = [FIRST, *(changed(folder, name, *change) for name, change in CHANGES.items())]
    versions = [Version(file.stem, read_strategy(f"{file}:Touch")) for file in files]
    asked = VersionRequest(strategy_name="touch", balances=parse_settings(BALANCES))
    return [job for session in sessions for job in jobs_for_session(session, versions, asked, host="")]


# ---- jobs ------------------------------------------------------------------------------------------


class Timed(NamedTuple):
    """A job that was done, and what doing it took. `start_cpu_s`: of its process, all that came before its first job
    was timed.
    """

    cpu_s: float
    wall_s: float
    read: int  # bytes read through the system
    gave: int  # bytes of its end, as it goes back
    pid: int
    start_cpu_s: float


def timed(job: Job) -> Timed:
    start_cpu_s = _started(job)
    watch, read = Watch(), _read()
    ended = run_job(job)
    assert ended.result is not None, ended.error
    return Timed(watch.cpu_s, watch.wall_s, _read() - read, len(pickle.dumps(ended)), os.getpid(), start_cpu_s)


@cache
def _warmed() -> float:
    return time.process_time()


def _started(job: Job) -> float:
    """Prepare the process once: import, load compiled code, and run a job that is not timed."""
    if not _warmed.cache_info().currsize:
        run_job(job)
    return _warmed()


def _read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


def measure_jobs(jobs: list[Job], rounds: int) -> None:
    run_jobs(timed, jobs, workers=1)  # projections are made
    machine = Machine(0)
    runs: dict[str, list[Figures]] = {"one process": [], "two processes": []}
    for _ in range(rounds):
        for workers, (_name, seen) in enumerate(runs.items(), 1):
            machine.settle()
            watch = Watch()
            ends = run_jobs(timed, jobs, workers=workers)
            wall_s = watch.wall_s
            starts = {end.pid: end.start_cpu_s for end in ends}
            seen.append(
                {
                    "CPU s, all jobs": sum(end.cpu_s for end in ends),
                    "CPU s, median job": statistics.median(end.cpu_s for end in ends),
                    "wall s, all": wall_s,
                    "start CPU s, a process": statistics.median(starts.values()),
                    "cores used": sum(end.cpu_s for end in ends) / wall_s,
                }
            )
    rows = {name: medians(seen) for name, seen in runs.items()}
    one, two = rows["one process"], rows["two processes"]
    two["efficiency, wall"] = one["wall s, all"] / two["wall s, all"] / 2
    two["efficiency, CPU"] = one["CPU s, all jobs"] / two["CPU s, all jobs"]
    told = machine.told()
    print(
        table(
            f"{len(jobs)} jobs, medians of {rounds} rounds (load {told['load']:.1f}, {told['idle']:.0%} idle before "
            "each)",
            rows,
        ),
        flush=True,
    )
    print(
        table(
            "\none job of each session, by session",
            {job.folder.name: _of_session(job) for job in jobs[:: len(CHANGES) + 1]},
        ),
        flush=True,
    )


def _of_session(job: Job) -> Figures:
    caches = list(job.folder.glob("rows-*.cache"))
    journal = Journal.open(job.folder)
    times = [record.time_ns for seq in (1, journal.last_seq) for record in journal.records(seq, seq)]
    for path in caches:
        path.unlink()
    first, later = timed(job), medians([dict(timed(job)._asdict()) for _ in range(3)])
    return {
        "records": float(journal.last_seq + 1),
        "of seconds": (times[-1] - times[0]) / 1e9,
        "journal bytes": float(sum(path.stat().st_size for path in job.folder.glob("*.parquet"))),
        "projection bytes": float(sum(path.stat().st_size for path in job.folder.glob("rows-*.cache"))),
        "first job CPU s": first.cpu_s,
        "later job CPU s": later["cpu_s"],
        "us a record": later["cpu_s"] / journal.last_seq * 1e6,
        "bytes read, first": float(first.read),
        "bytes read, later": later["read"],
        "job's value": float(len(pickle.dumps(job))),
        "its end": later["gave"],
    }


# ---- the scheduler ---------------------------------------------------------------------------------


class Nap(NamedTuple):
    job: Job  # so that what travels is as long as in earnest
    seconds: float
    end: JobOutcome


def nap(asked: Nap) -> JobOutcome:
    time.sleep(asked.seconds)
    return asked.end


def measure_scheduler(job: Job) -> None:
    small = JobOutcome(None, "a line")
    large = run_job(job)
    rows = {}
    with_ends = [*((seconds, small) for seconds in NAPS_S), (NAPS_S[1], large)]
    for seconds, end in with_ends:
        rows[f"{seconds * 1e3:g} ms, ends of {len(pickle.dumps(end)):,} bytes"] = _on_cluster(
            [Nap(job, seconds, end)] * NAPS
        )
    print(
        table(f"\n{NAPS:,} jobs that sleep, {WORKERS} workers of one thread (load {os.getloadavg()[0]:.1f})", rows),
        flush=True,
    )


def _on_cluster(naps: list[Nap]) -> Figures:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "distributed.cli.dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "18787",
            "--no-dashboard",
        ],
        **quiet,
    )
    workers: subprocess.Popen[bytes] | None = None
    try:
        time.sleep(4)
        workers = subprocess.Popen([sys.executable, __file__, "--be-workers"], **quiet)
        time.sleep(12)
        run_jobs(nap, [nap_._replace(seconds=0) for nap_ in naps[:WORKERS]], on="dask://127.0.0.1:18787")
        cpu_s, theirs_s, watch = _cpu_s(scheduler.pid), _cpu_s(workers.pid), Watch()
        run_jobs(nap, naps, on="dask://127.0.0.1:18787")
        wall_s, ideal_s = watch.wall_s, naps[0].seconds * len(naps) / WORKERS
        return {
            "wall s": wall_s,
            "ideal s": ideal_s,
            "efficiency": ideal_s / wall_s,
            "jobs a second": len(naps) / wall_s,
            "scheduler CPU ms a job": (_cpu_s(scheduler.pid) - cpu_s) / len(naps) * 1e3,
            "client CPU ms a job": watch.cpu_s / len(naps) * 1e3,
            "workers CPU ms a job": (_cpu_s(workers.pid) - theirs_s) / len(naps) * 1e3,
        }
    finally:
        for process in (workers, scheduler):
            if process is not None:
                process.kill()
                process.wait()


def _cpu_s(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / TICKS


def be_workers() -> None:
    """Run all workers in this process, each with its own connection to the scheduler, as 50 machines would."""
    import asyncio

    from distributed import Worker

    async def stand() -> None:
        workers = [
            await Worker("tcp://127.0.0.1:18787", nthreads=1, name=f"w{at}", dashboard=False) for at in range(WORKERS)
        ]
        await asyncio.gather(*(worker.finished() for worker in workers))

    asyncio.run(stand())


if __name__ == "__main__":
    if sys.argv[1:] == ["--be-workers"]:
        be_workers()
    else:
        main()
