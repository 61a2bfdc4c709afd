"""Tick to order on the wire: a whole live session against the bare transport, in the same run.

    python benchmarks/tick_to_order.py [--ticks 1000] [--gap-us 2000] [--record]
    [--bare ../shared/bench/limits/bare_tick_to_order.py]

tick to order = the venue holds the whole order request - the venue began to send the tick; both stamps are the venue's.
Ours is verbatim's own session: feed, sequencer, journal, decode, fold, strategy, risk, order, gateway, signature,
sender. The bare program only reads, parses, signs and sends. `sync off` makes the journal's fdatasync do nothing, so
what is left is our own work; with it, an order waits for the disk (the outbox rule), and the ratio leaves out the time
of one bare fdatasync, measured in each round. Rounds alternate; the results are
medians of rounds, and the least median of a round, for many short rounds on a busy machine. The limits on orders and
weight a minute are lifted for the run: each tick leads to an order. The bare program gets its own environment, with the
versions of trio, httpx and h11 that we run on.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import tick_venue
import trio
from history import record

from engine.live.clock import SessionClock
from engine.live.logs import configure
from engine.live.machine import software_versions
from engine.live.session import LiveSession
from engine.live.transport.selection import TransportProfile
from engine.session_record import SECOND_NS, EngineSettings, RiskSettings
from verbatim.demo import DemoOptions, demo_session
from verbatim.runner import run_session_config
from verbatim.warmup import warm

HERE = Path(__file__).resolve().parent
BARE = HERE.parent.parent / "shared" / "bench" / "limits" / "bare_tick_to_order.py"
OURS = (("standard", False), ("standard", True), ("fast", False), ("fast", True))
AGAINST = {
    "standard": "bare trio-websocket + httpx",
    "fast": "bare stream + h11",
}  # the reference's pair, and the fastest
SYNC = "fdatasync of 4 KB"
START_SECONDS_MAX = 10.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ticks", type=int, default=1000)
    options.add_argument("--warmup", type=int, default=200)
    options.add_argument("--gap-us", type=int, default=2000, help="sleep before each tick; 0: hot")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--bare", type=Path, default=BARE)
    options.add_argument(
        "--bare-python", type=Path, default=None, help="one that has trio-websocket; else one is made for the run"
    )
    options.add_argument("--folder", type=Path, default=None, help="where the journals lie: the disk matters")
    options.add_argument(
        "--record", action="store_true", help="add the ratios to benchmarks/results/tick_to_order.json"
    )
    given = options.parse_args()
    multiprocessing.set_start_method("spawn")
    configure(level="error")
    warm()
    software_versions()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        python = given.bare_python or bare_environment(Path(scratch) / "bare")
        for _ in range(given.rounds):
            for name, us in bare(given, python, Path(scratch)):
                found.setdefault(name, []).append(us)
            for transport, sync in OURS:
                us = ours(Path(scratch), transport, sync=sync, given=given)
                found.setdefault(f"verbatim {transport}, sync {'on' if sync else 'off'}", []).append(us)
            found.setdefault(SYNC, []).append(fdatasync_us(Path(scratch) / "probe"))
    ratios = show(found, given)
    if given.record:
        record("tick_to_order", ratios)


def show(found: dict[str, list[dict[str, float]]], given: argparse.Namespace) -> dict[str, float]:
    """Print the figures of all contenders. Return the ratios of our medians to the bare program's."""
    ratios: dict[str, float] = {}
    middle: dict[str, dict[str, float]] = {
        name: {
            **{point: round(statistics.median(run[point] for run in runs)) for point in ("p50", "p99")},
            "least p50": round(min(run["p50"] for run in runs)),
        }
        for name, runs in found.items()
    }
    for name, us in middle.items():
        if name.startswith("verbatim"):
            for against in sorted(
                {AGAINST["standard"], AGAINST["fast" if "fast" in name else "standard"]} & middle.keys()
            ):
                for point in ("p50", "least p50"):
                    waited = middle[SYNC][point] if name.endswith("sync on") else 0
                    us[f"{point} / {against}"] = round((us[point] - waited) / middle[against][point], 2)
                ratios[f"{name} over {against}"] = us[f"p50 / {against}"]
    for name, us in middle.items():
        print(f"{name:32s}", "  ".join(f"{point} {value}" for point, value in us.items()))
    about = {"ticks": given.ticks, "gap_us": given.gap_us, "rounds": given.rounds, "loadavg": os.getloadavg()}
    print(json.dumps({**about, "us": middle}))
    return ratios


def bare(given: argparse.Namespace, python: Path, scratch: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """One round of the bare program, all its pairs."""
    told = scratch / "bare.json"
    counts = ["--ticks", given.ticks, "--warmup", given.warmup, "--gap-us", given.gap_us, "--reps", 1]
    command = [python, given.bare, "--all", *counts, "--json", told]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    for row in json.loads(told.read_text())["rows"]:
        us = row["us"]["tick_to_order"]
        yield f"bare {row['ws']} + {row['http']}", {point: us[point] for point in ("p50", "p99")}


def bare_environment(folder: Path) -> Path:
    """Return a Python with the packages of the bare program, in the versions that we run on."""
    ours = [f"{name}=={metadata.version(name)}" for name in ("trio", "httpx", "httpcore", "h11")]
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *ours, "trio-websocket"], check=True
    )
    return python


# ---- ours --------------------------------------------------------------------------------------


class AtRest(trio.abc.Instrument):
    """An instrument that reports the client's progress to the venue whenever the client is about to wait."""

    def __init__(self, seen: Any, waiting: Any) -> None:
        self._seen, self._waiting = seen, waiting
        self.session: LiveSession | None = None

    def before_io_wait(self, timeout: float) -> None:
        if timeout > 0 and self.session is not None and self.session.ingress.is_empty:
            self._waiting.value = len(self.session.state.account.requests.by_seq)
            self._seen.value = self.session.messages


def ours(scratch: Path, transport: str, *, sync: bool, given: argparse.Namespace) -> dict[str, float]:
    here, there = multiprocessing.Pipe()
    seen, waiting = multiprocessing.RawValue("Q", 0), multiprocessing.RawValue("Q", 1)
    child = multiprocessing.Process(
        target=partial(
            tick_venue.main, there, seen, waiting, ticks=given.ticks, warmup=given.warmup, gap_us=given.gap_us
        ),
        daemon=True,
    )
    child.start()
    there.close()  # else the end of a venue that failed would not be seen
    try:
        port = here.recv()
        journals = Path(tempfile.mkdtemp(dir=scratch))
        ready = {
            "listening": f"http://127.0.0.1:{port}",
            "symbols": ["BTCUSDT"],
            "session_origin_ns": 0,
            "monotonic_origin_ns": 0,
        }
        tour = DemoOptions(
            journals=journals,
            strategy=f"{HERE / 'strategies' / 'each_tick.py'}:EachTick",
            transport=TransportProfile(transport),
        )
        wanted = dataclasses.replace(
            demo_session(tour, ready),
            clock=SessionClock.wall(),
            sync=sync,
            risk=RiskSettings(orders_per_second_max=0),
            engine=EngineSettings(reconcile_every_ns=3600 * SECOND_NS, stale_after_ns=3600 * SECOND_NS),
        )
        return trio.run(partial(trade, wanted, here, AtRest(seen, waiting)))
    finally:
        child.terminate()
        child.join()


async def trade(wanted: Any, pipe: Any, at_rest: AtRest) -> dict[str, float]:
    stamps: list[tuple[int, int]] = []

    async def drive(session: LiveSession) -> None:
        with trio.move_on_after(START_SECONDS_MAX) as scope:
            while session.status().mode != "running":
                await trio.sleep(0.01)
        if scope.cancelled_caught:
            raise SystemExit(f"the session does not come to trade: {session.status().reasons}")
        at_rest.session = session
        trio.lowlevel.add_instrument(at_rest)
        pipe.send("go")
        try:
            stamps.extend(await trio.to_thread.run_sync(pipe.recv))
        except EOFError:
            pass  # the venue ended before its last tick
        finally:
            trio.lowlevel.remove_instrument(at_rest)
        await session.command("stop", by="benchmark")

    summary = await run_session_config(wanted, drive=drive)
    if not stamps:
        raise SystemExit("the venue of the ticks ended early; the line above says why")
    pipe.send("done")
    assert summary.last.orders >= len(stamps), summary
    us = sorted((ordered - sent) / 1e3 for sent, ordered in stamps)
    return {"p50": statistics.median(us), "p99": us[int(0.99 * len(us))]}


def fdatasync_us(path: Path) -> dict[str, float]:
    """What the disk alone takes: a small write, synced, 2 ms apart."""
    us = sorted(_syncs(path, 300))
    return {"p50": statistics.median(us), "p99": us[int(0.99 * len(us))]}


def _syncs(path: Path, count: int) -> Iterator[float]:
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            begun = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            yield (time.perf_counter_ns() - begun) / 1e3
            time.sleep(0.002)


if __name__ == "__main__":
    main()
