"""A hundred instruments on one connection set against one: start-up, CPU of a message, of the checks, and memory.

    python benchmarks/many_instruments.py [--instruments 1 100] [--rounds 3] [--kind binance_spot]

Two parts, each case in its own process, in turns:

- live: a session without a strategy on loopback, the venue in its own process with its synthetic market, whose symbols
  are slower the more there are, so that the messages of a second are equal. `start_s` is the
  time from the configuration to the mode running (metadata, links, a book snapshot of each instrument, account),
  `start_cpu_s` the engine's CPU of it, `live_cpu_us` the CPU of a message in the seconds after it, `memory_mb` the
  resident memory at the end;
- core: a session in virtual time on the same market. `start_cpu_s` is the CPU until every instrument trades, with that
  of the simulated venue (its request weight makes 500 instruments wait for minutes). `message_us` is the CPU of the step of a market message, on average,
  `decision_us` the same with a strategy that decides on the quotes of all instruments and places nothing, `timers_us` the
  CPU of all TIMERs in a second of the session: freshness, blocks, reconciliation, closed bars. `memory_mb` is that of
  engine and simulated venue together.

The median of the rounds. Compilation is before.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import trio

from engine.apply.batch import Batch
from engine.kernel import StepResult
from engine.live.logs import configure
from engine.live.session import LiveSession
from engine.live.session_config import with_venue
from engine.sequencer import Sequencer
from engine.sim.feeds.sim_market import SimMarket
from engine.sim.venue_kinds import KINDS
from engine.step_context import Output
from journal.record import Kind
from verbatim.demo import DemoOptions, demo_session, venue_process
from verbatim.runner import run_session_config
from verbatim.testing import START_NS, VirtualSession, VirtualVenue, from_sources
from verbatim.warmup import warm

CORE_MESSAGES = 15_000
TIMER_SECONDS = 3
LIVE_SECONDS = 8.0
EVENT_MS = (
    16.0  # as the synthetic market has it; with more symbols each is slower, so the messages a second are the same
)
STRATEGY = """
from dataclasses import dataclass

from verbatim import OnQuote


class All:
    version = "1"
    instruments = (SYMBOLS)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        return ()
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--instruments", type=int, nargs="+", default=[1, 100])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--kind", default="binance_spot")
    options.add_argument("--part", choices=["live", "core"], nargs="+", default=["live", "core"])
    options.add_argument("--case", help=argparse.SUPPRESS)  # "core 100": one run, in this process
    given = options.parse_args()
    if given.case:
        part, count = given.case.split()
        run = {"live": live, "core": core}[part]
        sys.stdout.write(json.dumps(run(int(count), given.kind)) + "\n")
        return
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(given.rounds):
        for part in given.part:
            for count in given.instruments:
                found.setdefault((part, count), []).append(child(part, count, given.kind))
    for (part, count), runs in found.items():
        medians = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
        print(json.dumps({"part": part, "instruments": count, **medians}), flush=True)


def child(part: str, count: int, kind: str) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__).resolve()), "--kind", kind, "--case", f"{part} {count}"]
    made: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return made


def symbols_of(count: int) -> list[str]:
    return [f"A{number}USDT" for number in range(count)]


# ---- live --------------------------------------------------------------------------------------


def live(count: int, kind: str) -> dict[str, float]:
    configure(level="error")
    warm()
    with tempfile.TemporaryDirectory() as folder:
        return trio.run(live_session, count, kind, Path(folder))


async def live_session(count: int, kind: str, folder: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    async with venue_process({"kind": kind, "symbols": symbols_of(count), "event_ms": EVENT_MS * count}) as ready:
        wanted = demo_session(DemoOptions(journals=folder), {**ready, "symbols": ["BTCUSDT"]})
        [venue] = wanted.venues
        wanted = replace(wanted, strategies=(), venues=(replace(venue, symbols=tuple(symbols_of(count))),))
        wanted = with_venue(wanted, name=kind)
        begun, cpu = time.monotonic(), time.process_time()

        async def drive(session: LiveSession) -> None:
            account = session.state.account
            while account.modes.mode != "running" or account.blocks.by_instrument:
                await trio.sleep(0.02)
                account = session.state.account
            found["start_s"] = time.monotonic() - begun
            found["start_cpu_s"] = time.process_time() - cpu
            before, at, spent = session.messages, time.monotonic(), time.process_time()
            await trio.sleep(LIVE_SECONDS)
            messages = session.messages - before
            found["messages_per_s"] = messages / (time.monotonic() - at)
            found["live_cpu_us"] = (time.process_time() - spent) / messages * 1e6
            found["memory_mb"] = resident_mb()
            await session.command("stop", by="benchmark")

        summary = await run_session_config(wanted, drive=drive)
        assert summary.clean, summary
    return found


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# ---- core --------------------------------------------------------------------------------------


class TimedSequencer(Sequencer):
    """Adds up the CPU time of steps with market messages, and of TIMERs."""

    spent_ns: ClassVar[dict[str, list[int]]] = {}

    def step(self, batch: Batch) -> StepResult:
        name = "message" if batch.records[0].kind is Kind.FEED else "other"
        begun = time.thread_time_ns()
        made = super().step(batch)
        self.spent_ns.setdefault(name, []).append(time.thread_time_ns() - begun)
        return made

    def fire_timers(self, now_ns: int) -> list[Output]:
        begun = time.thread_time_ns()
        made = super().fire_timers(now_ns)
        self.spent_ns.setdefault("timers", []).append(time.thread_time_ns() - begun)
        return made


def core(count: int, kind: str) -> dict[str, float]:
    warm()
    found: dict[str, float] = {}
    for name, strategies in (("message", []), ("decision", [everywhere(count)])):
        times = TimedSequencer.spent_ns
        with tempfile.TemporaryDirectory() as folder:
            venue = VirtualVenue(kind=kind, market=market_of(count, kind))
            session = TimedSession(venue, Path(folder) / "journal", strategies=strategies)
            begun = time.process_time()
            session.run(5)
            session.run(until=lambda running: not running.state.account.blocks.by_instrument)
            if not strategies:
                found["start_cpu_s"] = time.process_time() - begun
            times.clear()
            session.run(until=lambda _, times=times: len(times.get("message", ())) >= CORE_MESSAGES)
            found[f"{name}_us"] = statistics.mean(times["message"]) / 1000
            if not strategies:
                times.clear()
                session.run(TIMER_SECONDS)
                found["timers_us"] = sum(times["timers"]) / 1000 / TIMER_SECONDS
                found["memory_mb"] = resident_mb()
            session.stop()
    return found


def market_of(count: int, kind: str) -> SimMarket:
    gap_ns = int(EVENT_MS * 1e6) * count
    return KINDS[kind].synthetic(tuple(symbols_of(count)), seed=1, start_ns=START_NS, gap_ns=gap_ns)


class TimedSession(VirtualSession):
    """A session whose steps are timed."""

    sequencer_class = TimedSequencer


def everywhere(count: int) -> Any:
    source = STRATEGY.replace("SYMBOLS", "".join(f'"{each}", ' for each in symbols_of(count)))
    return from_sources({"everywhere": source}, "everywhere", "All")


if __name__ == "__main__":
    main()
