"""Shared parts of the journal's benchmarks: contenders in turns, medians, the load of the machine, tables for people.

A shared machine is noisy, so each figure has a comparison: the contenders run in turns in every round, each round
begins with another one, and the result is the median of the rounds and its ratio to a peer's.
"""

import argparse
import gzip
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("VERBATIM_DATA", HERE.parent.parent / "shared" / "data"))
SHARED = DATA.parent  # the limits programs and peers are beside the data
CAPTURE = DATA / "captures/binance/usdm_btcusdt_20240808.gz"
WINDOW_NS = 50_000_000
IDLE_WANTED = 0.85

Row = tuple[int, bytes]  # receive time, payload
Figures = dict[str, float]


def read(capture: Path) -> list[Row]:
    with gzip.open(capture) as file:
        return [(int(stamp), frame) for stamp, _, frame in (line.rstrip(b"\n").partition(b" ") for line in file)]


def windows(rows: Sequence[Row]) -> list[list[Row]]:
    """As the writer's groups of 50 ms would cut them, by the capture's own clock."""
    found: list[list[Row]] = []
    now = -1
    for row in rows:
        if row[0] // WINDOW_NS != now:
            now = row[0] // WINDOW_NS
            found.append([])
        found[-1].append(row)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# ---- the machine -----------------------------------------------------------------------------------


def _idle_and_all() -> tuple[int, int]:
    ticks = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def idle_fraction(seconds: float = 0.25) -> float:
    idle, whole = _idle_and_all()
    time.sleep(seconds)
    idle_then, whole_then = _idle_and_all()
    return (idle_then - idle) / max(1, whole_then - whole)


class Machine:
    """How idle it was before each run, when we had nothing running."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._idle: list[float] = []

    def settle(self) -> None:
        """Wait a while for an idle machine. The idle fraction is printed with the figures."""
        until = time.monotonic() + self._wait_s
        while (idle := idle_fraction()) < IDLE_WANTED and time.monotonic() < until:
            pass
        self._idle.append(idle)

    def told(self) -> Figures:
        return {
            "load": os.getloadavg()[0],
            "idle": statistics.median(self._idle or [idle_fraction()]),
            "cpus": float(os.cpu_count() or 0),
        }


# ---- rounds ----------------------------------------------------------------------------------------


def in_turns(contenders: dict[str, Callable[[], Figures]], rounds: int, machine: Machine) -> dict[str, Figures]:
    """Each contender once a round; medians of each of its figures."""
    seen: dict[str, list[Figures]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            machine.settle()
            seen[name].append(contenders[name]())
    return {name: medians(runs) for name, runs in seen.items()}


def medians(runs: Sequence[Figures]) -> Figures:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


class Watch:
    """CPU of this process, and wall time, from its making on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def cpu_s(self) -> float:
        return time.process_time() - self._cpu

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall


# ---- what is printed -------------------------------------------------------------------------------


def table(title: str, rows: dict[str, dict[str, Any]]) -> str:
    """A row for each name; columns are those of any row."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    texts = [["", *columns], *([name, *(_text(row.get(column)) for column in columns)] for name, row in rows.items())]
    widths = [max(len(line[at]) for line in texts) for at in range(len(columns) + 1)]
    lines = [
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in texts
    ]
    return "\n".join([title, *(line.rstrip() for line in lines)])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return (
        f"{value:,.0f}"
        if abs(value) >= 1000 or value == int(value)
        else f"{value:.1f}"
        if abs(value) >= 100
        else f"{value:.3g}"
    )


Part = Callable[[argparse.Namespace, Path, Machine], Iterator[tuple[str, dict[str, dict[str, Any]]]]]


def run_parts(options: argparse.ArgumentParser, parts: dict[str, Part]) -> None:
    """The parts that are named, or all: each a table, or with --json a line, with the machine's state beside it."""
    import tempfile

    options.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all where none is named")
    options.add_argument("--rounds", type=int, default=5, help="medians of so many are told")
    options.add_argument(
        "--quiet-s", type=float, default=5, help="how long a run waits at most for the machine to be quiet"
    )
    options.add_argument("--scratch", type=Path, help="where files are written: the disk that is measured")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    if unknown := set(given.parts) - parts.keys():
        options.error(f"no part {min(unknown)!r}: there are {', '.join(parts)}")
    with tempfile.TemporaryDirectory(prefix="journal-bench-", dir=given.scratch) as scratch:
        for name in given.parts or parts:
            machine = Machine(given.quiet_s)
            for title, rows in parts[name](given, Path(scratch), machine):
                told = machine.told()
                if given.json:
                    print(json.dumps({"part": name, "title": title, "machine": told, "rows": rows}), flush=True)
                else:
                    said = f"load {told['load']:.1f}, {told['idle']:.0%} of {told['cpus']:.0f} processors idle before each run"
                    print(f"\n{table(f'{title} ({said})', rows)}", flush=True)
