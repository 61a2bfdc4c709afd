"""Measure how old healthy market data gets, on the real captures: the basis of the bounds of freshness.

    python benchmarks/freshness.py [--json]

For each capture it repeats the check of each second (engine/handlers/freshness.py) on the receive times: the silence of
the instrument, how far its quotes and its book are apart, and how far a message's age by the venue's stamp is above
the median (a session measures that median as the offset of the venue's clock). Captures are short, so beyond the longest
value it extrapolates: values over the 99th percentile of all gaps decay exponentially with their mean excess. That
holds for a market that trades as these do; an instrument with a trade a minute is silent for a minute in health.
"""

import argparse
import gzip
import itertools
import json
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from measuring import DATA, percentile

CHECK_SECONDS = 1.0
BOUNDS_SECONDS = (1.0, 2.0, 3.0, 5.0, 10.0)
STREAM = re.compile(rb'"stream":"[a-z0-9_]+@(bookTicker|depth|trade|markPrice)')
STAMP = re.compile(rb'"E":(\d{13})')
SECONDS_OF_DIGITS = {16: 1e-6, 19: 1e-9}  # of a receive time


class Capture(NamedTuple):
    """The receive times of a capture, in seconds, and the venue's stamps where a message has one."""

    name: str
    times: dict[str, list[float]]  # stream -> receive times
    lags: list[float]  # receive time less stamp, of each message with a stamp

    @property
    def seconds(self) -> float:
        """Return the length of the capture."""
        every = [time for times in self.times.values() for time in (times[0], times[-1])]
        return max(every) - min(every)


def read_capture(path: Path) -> Capture:
    times: dict[str, list[float]] = {}
    lags: list[float] = []
    with gzip.open(path) as file:
        for line in file:
            stamp, _, frame = line.partition(b" ")
            if (found := STREAM.search(frame[:80])) is None:
                continue
            received = int(stamp) * SECONDS_OF_DIGITS[len(stamp)]
            times.setdefault(found[1].decode(), []).append(received)
            if (sent := STAMP.search(frame[:200])) is not None:
                lags.append(received - int(sent[1]) / 1000)
    return Capture(path.name.split(".")[0], times, lags)


def gaps_of(times: Sequence[float]) -> list[float]:
    return [later - sooner for sooner, later in itertools.pairwise(times)]


def checked(capture: Capture) -> tuple[list[float], list[float]]:
    """Return, at each check, how long the instrument was silent, and how far quotes and book were apart."""
    quotes, diffs = capture.times["bookTicker"], capture.times["depth"]
    silent: list[float] = []
    apart: list[float] = []
    at, quote, diff = max(quotes[0], diffs[0]) + CHECK_SECONDS, 0, 0
    while at < min(quotes[-1], diffs[-1]):
        while quote + 1 < len(quotes) and quotes[quote + 1] <= at:
            quote += 1
        while diff + 1 < len(diffs) and diffs[diff + 1] <= at:
            diff += 1
        silent.append(at - max(quotes[quote], diffs[diff]))
        apart.append(abs(quotes[quote] - diffs[diff]))
        at += CHECK_SECONDS
    return silent, apart


def alarms_a_day(values: Sequence[float], bound: float, seconds: float) -> float:
    """Return how often a day a value exceeds a bound: counted, or extrapolated beyond the longest value."""
    over = sum(value > bound for value in values)
    if over:
        return over / seconds * 86_400
    start = percentile(values, 0.99)
    excess = [value - start for value in values if value > start]
    if not excess:
        return 0.0
    return len(excess) / seconds * 86_400 * math.exp(-(bound - start) / statistics.fmean(excess))


def figures(capture: Capture) -> dict[str, dict[str, float]]:
    """Return the figures of one capture, in seconds, by measure."""
    merged = sorted(capture.times["bookTicker"] + capture.times["depth"])
    silent, apart = checked(capture)
    middle = statistics.median(capture.lags)
    measures = {f"gap {stream}": gaps_of(times) for stream, times in sorted(capture.times.items())}
    measures |= {
        "gap quote+book": gaps_of(merged),
        "silent at check": silent,
        "apart at check": apart,
        "lag over median": [lag - middle for lag in capture.lags],
    }
    result = {}
    for name, values in measures.items():
        row = {"count": float(len(values)), "p50": percentile(values, 0.5), "p99": percentile(values, 0.99)}
        row |= {"p99.9": percentile(values, 0.999), "max": max(values)}
        row |= {f">{bound:g} s a day": alarms_a_day(values, bound, capture.seconds) for bound in BOUNDS_SECONDS}
        result[name] = row
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    captures = [read_capture(path) for path in sorted((DATA / "captures/binance").glob("*.gz"))]
    found = {capture.name: figures(capture) for capture in captures}
    if wanted.json:
        print(json.dumps({"seconds": {each.name: each.seconds for each in captures}, "figures": found}))
        return
    for capture in captures:
        print(f"\n{capture.name}: {capture.seconds:.0f} s")
        rows = found[capture.name]
        heads = list(next(iter(rows.values())))
        print(f"{'':18}" + "".join(f"{head:>12}" for head in heads))
        for name, row in rows.items():
            print(f"{name:18}" + "".join(f"{value:12.3g}" for value in row.values()))


if __name__ == "__main__":
    main()
