"""Live session on loopback with the venue in its own process: messages journalled and stepped per second.

    python benchmarks/live_rate.py [--squeeze 130 180 1000] [--tiles 2] [--strategy demo|none] [--transport standard
    fast] [--meter 5] [--profile] [--record]

Plays a tiled capture whose lines come so many times as fast as they did, on a clock that runs at its own pace: as on a
busy day. (`--speed N` scales the clock as well, and with it all that goes by time: N times the TIMERs and decisions a
second.) Within its power the engine keeps up, and `waiting_peak` is the highest number of waiting messages. At 1000 the
venue sends as fast as it can and the engine works off what waits in its inbox: then `taken_per_s` is what it can do.
Rates are over the steady part, from a tenth to the last of the messages; start-up and compilation are before it. CPU
microseconds a message, of both processes, are the figures that a busy machine disturbs least.
"""

import argparse
import cProfile
import dataclasses
import itertools
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import tiling
import trio
from history import record

from engine.live import meter
from engine.live.logs import configure
from engine.live.machine import software_versions
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig
from engine.live.transport.selection import TransportProfile
from verbatim.demo import DemoOptions, demo_session
from verbatim.runner import run_session_config
from verbatim.warmup import warm

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("VERBATIM_DATA", ROOT.parent / "shared" / "data"))
SAMPLE_SECONDS = 0.05
STILL_SECONDS = 15.0  # nothing came for so long: the link was closed, say


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--capture", type=Path, default=DATA / "captures/binance/spot_btcusdt_20240808.gz")
    options.add_argument(
        "--tiles", type=int, default=2, help="passes of the capture; above 2 the inbox may overflow at full speed"
    )
    options.add_argument("--squeeze", type=int, nargs="+", default=[130, 180, 1000])
    options.add_argument("--speed", type=int, default=1, help="of the clock of venue and engine")
    options.add_argument("--repeat", type=int, default=3, help="medians are told")
    options.add_argument("--strategy", choices=["demo", "none"], default="demo")
    options.add_argument("--transport", choices=["standard", "fast"], nargs="+", default=["standard"])
    options.add_argument(
        "--meter", type=float, nargs="+", default=[meter.METER_SECONDS], help="seconds between two lines of the meter"
    )
    options.add_argument("--profile", action="store_true", help="one run of each, under cProfile")
    options.add_argument("--record", action="store_true", help="add the rates to benchmarks/results/live_rate.json")
    given = options.parse_args()
    configure(level="error")
    warm()
    software_versions()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for squeeze in given.squeeze:
            capture = Path(scratch) / f"{squeeze}.gz"
            count = tiling.write(given.capture, given.tiles, capture, squeeze=squeeze)
            profile = cProfile.Profile() if given.profile else None
            contenders = list(itertools.product(given.transport, given.meter))
            runs: dict[tuple[str, float], list[dict[str, float]]] = {contender: [] for contender in contenders}
            for n in range(1 if given.profile else given.repeat):
                for name, seconds in contenders:  # alternating, because other processes disturb the machine
                    meter.METER_SECONDS = seconds
                    folder = Path(scratch) / f"{squeeze}-{name}-{seconds}-{n}"
                    runs[name, seconds].append(once(capture, count, given, name, folder, profile=profile))
            for (name, seconds), found in runs.items():
                medians = {figure: statistics.median(run[figure] for run in found) for figure in found[0]}
                case = {
                    "squeeze": squeeze,
                    "speed": given.speed,
                    "transport": name,
                    "meter_s": seconds,
                    "messages": count - 1,
                }
                print(json.dumps({**case, **medians}), flush=True)
                contender = f"squeeze {squeeze}, {name}"
                figures[f"messages/s, {contender}"] = medians["taken_per_s"]
                figures[f"engine CPU us a message, {contender}"] = medians["engine_cpu_us"]
            if profile is not None:
                pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    if given.record:
        record("live_rate", figures)


@contextmanager
def venue(options: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The venue's process: its number and what it said when it listened."""
    command = [sys.executable, "-P", "-m", "engine.live.venue_main", json.dumps(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "asked for"
        try:
            yield process.pid, json.loads(process.stdout.readline())
        finally:
            process.terminate()


def once(
    capture: Path,
    count: int,
    given: argparse.Namespace,
    transport: str,
    journals: Path,
    *,
    profile: cProfile.Profile | None,
) -> dict[str, float]:
    with venue({"capture": str(capture), "speed": given.speed}) as (pid, ready):
        options = DemoOptions(
            journals=journals, capture=capture, speed=given.speed, transport=TransportProfile(transport)
        )
        wanted = demo_session(options, ready)
        if given.strategy == "none":
            wanted = dataclasses.replace(wanted, strategies=())
        return trio.run(watched, wanted, pid, count - 1, str(ready["listening"]), profile)


async def watched(
    wanted: SessionConfig, pid: int, expected: int, address: str, profile: cProfile.Profile | None
) -> dict[str, float]:
    samples: list[tuple[int, float, float, float]] = []  # messages, wall, our CPU, the venue's CPU
    late_ms: list[float] = []

    async def drive(session: LiveSession) -> None:
        still = time.monotonic()
        if profile is not None:
            profile.enable()
        while session.status().messages < expected and time.monotonic() - still < STILL_SECONDS:
            if not session.messages:
                still = time.monotonic()  # the first message may be late on a busy machine
            sample = (session.status().messages, time.monotonic(), time.process_time(), cpu_s(pid))
            still = sample[1] if not samples or sample[0] != samples[-1][0] else still
            samples.append(sample)
            await trio.sleep(SAMPLE_SECONDS)
        samples.append((session.status().messages, time.monotonic(), time.process_time(), cpu_s(pid)))
        if profile is not None:
            profile.disable()
        async with httpx.AsyncClient(trust_env=False) as client:
            status = (await client.get(f"{address}/sim/status")).json()
        late_ms.append(status["feed"]["late_ns_max"] / wanted.clock.speed / 1e6)
        await session.command("stop", by="benchmark")

    summary = await run_session_config(wanted, drive=drive)
    first = next(sample for sample in samples if sample[0] >= expected // 10)
    messages, wall_s, ours_s, venue_s = (last - begun for last, begun in zip(samples[-1], first, strict=True))
    return {
        "taken_per_s": round(messages / wall_s),
        "engine_cpu_us": round(ours_s / messages * 1e6, 1),
        "per_engine_cpu_s": round(messages / ours_s),
        "venue_cpu_us": round(venue_s / messages * 1e6, 1),
        "waiting_peak": summary.last.waiting_peak,
        "venue_late_ms_max": round(late_ms[0]),
        "orders": summary.last.orders,
        "records": summary.last.records,
        "nothing_lost": float(summary.last.messages >= expected and summary.clean),
    }


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
