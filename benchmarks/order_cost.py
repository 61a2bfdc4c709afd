"""CPU microseconds of one order in a resimulation, from intent to fill, by stage.

    python benchmarks/order_cost.py [FOLDER] [--strategy touch.py:Touch] [--rounds 5] [--against PATH] [--counts]

FOLDER is a session, such as those that resim_peers.py makes; without it, the market that the package brings along. Each
run resimulates it as resim_peers.py does, without a journal. A stage has only its own time, divided by the orders that
were placed:

    request  kernel: from the look that decides to the requests of orders
    cancel   kernel: the same for steps that only cancel
    answer   kernel: the venue's answers to requests
    event    kernel: the account's stream, such as fills and balances
    looks    kernel: market rows and TIMERs that lead to no request
    gateway  requests on their way to the venue, answers and events on their way back
    venue    the venue takes a request: checks, endpoint, exchange, answer
    market   the venue's market: rows, fills of resting orders, events
    loop     the rest: the run's loop and the search for the next due time

`--against` runs another checkout in turns (its names of 2026-11-29 are needed) and adds its figure and the ratio. The
last two rows are whole runs without the stopwatch. `--counts` prints calls and bytecodes in place of microseconds: they
do not depend on the load of the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from history import record
from resim_peers import STRATEGIES, TIMERS

HERE = Path(__file__).resolve().parent
STAGES = ("request", "cancel", "answer", "event", "looks", "gateway", "venue", "market", "loop")
KERNEL, VENUE = STAGES[:4], STAGES[5:]


# ---- one run, in the checkout that is measured -----------------------------------------------------


class Stopwatch:
    """Adds what passes to the stage that is on top: nanoseconds of CPU, or events of the interpreter."""

    def __init__(self) -> None:
        self.start(time.process_time_ns)

    def start(self, read: Callable[[], int]) -> None:
        """Begin at nothing, with this clock."""
        self.spent: Counter[str] = Counter()
        self._stages = ["loop"]
        self._read = read
        self._since = read()

    def turn(self) -> None:
        """Add what has passed to the stage on top."""
        now = self._read()
        self.spent[self._stages[-1]] += now - self._since
        self._since = now

    def wrap(self, owner: Any, name: str, stage: str, classify: Callable[[Any], str] | None = None) -> None:
        """Measure a method. `classify` returns the stage of a call by its result."""
        plain = owner.__dict__.get(name)
        if plain is None:
            return

        def measured(*given: Any, **named: Any) -> Any:
            self.turn()
            self._stages.append(stage)
            before = self.spent[stage]
            try:
                result = plain(*given, **named)
            finally:
                self.turn()
                self._stages.pop()
            if classify is not None:
                moved = self.spent[stage] - before
                self.spent[stage] -= moved
                self.spent[classify(result)] += moved
            self._since = self._read()
            return result

        setattr(owner, name, measured)


def stage_of(result: Any) -> str:
    """Return the stage of a kernel's step."""
    from engine.requests import Purpose
    from journal.record import Kind

    purposes = {getattr(output.body, "purpose", None) for output in result.outputs}
    record = result.records[-1] if result.records else None
    if record is not None and record.kind is Kind.BROKER:
        return "event" if record.meta is None else "answer"
    if purposes & {Purpose.PLACE, Purpose.PLACE_LIST}:
        return "request"
    return "cancel" if Purpose.CANCEL in purposes else "looks"


def wrap_stages(watch: Stopwatch) -> None:
    """Measure the stages."""
    from engine.sequencer import Sequencer, UnrecordedSequencer
    from engine.sim.sim_venue import SimVenue
    from engine.sim.simulated_wires import SimulatedWires
    from engine.sim.virtual_gateway import VirtualGateway
    from replay.resim.row_feed import ReferencedRows

    watch.wrap(Sequencer, "step", "step", stage_of)
    for owner in (Sequencer, UnrecordedSequencer):
        watch.wrap(owner, "fire_timers", "looks")
    watch.wrap(ReferencedRows, "push_rows", "looks")
    watch.wrap(VirtualGateway, "perform", "gateway")
    watch.wrap(VirtualGateway, "_send", "gateway")
    watch.wrap(VirtualGateway, "accept", "gateway")
    watch.wrap(SimulatedWires, "_arrive", "gateway")
    watch.wrap(SimulatedWires, "_deliver", "gateway")
    watch.wrap(SimVenue, "http", "venue")
    watch.wrap(SimulatedWires, "pass_market", "market")
    watch.wrap(SimVenue, "touch_ns", "market")


def start_counting(kind: str) -> Callable[[], int]:
    """Count calls, of Python and of C, or bytecodes from now on."""
    count = 0

    def profile(_frame: Any, event: str, _given: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    def trace(frame: Any, event: str, _given: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    if kind == "calls":
        sys.setprofile(profile)
    else:
        sys.settrace(trace)
    return lambda: count


def make_run(folder: str, strategy: str) -> Callable[[], tuple[int, int]]:
    """Return a function that resimulates once and returns the numbers of orders and fills."""
    from engine.bodies import RequestBody
    from engine.facts import OrderFilled
    from engine.requests import Purpose
    from engine.sim.venue_model import VenueModel
    from journal.reader import Journal
    from replay.overrides import apply_overrides, with_strategy
    from replay.resim.capture_session import session_from_capture
    from replay.resim.resimulate import ResimOptions, resimulate_steps
    from verbatim.sample_data import sample_session
    from verbatim.strategy_files import read_strategy

    place = Path(folder) if folder else sample_session()
    body = with_strategy(session_from_capture(Journal.open(place)), read_strategy(f"{STRATEGIES / strategy}"))
    body = apply_overrides(body, TIMERS | {"risk.orders_per_second_max": "0"})
    model = VenueModel(fee_maker="0.0002", fee_taker="0.0005")
    options = ResimOptions(session=body, model=model, balances={"USDT": "10000000", "BTC": "1000"})

    def run() -> tuple[int, int]:
        kept: list[Any] = []

        def keep(inputs: Any, outputs: Any) -> None:
            kept.extend(inputs)
            kept.extend(outputs)

        resimulate_steps(place, options, keep)
        bodies = [getattr(each, "body", None) for each in kept]
        placed = sum(isinstance(body, RequestBody) and body.purpose is Purpose.PLACE for body in bodies)
        return placed, sum(isinstance(body, OrderFilled) for body in bodies)

    return run


def run_child(options: argparse.Namespace) -> None:
    """Print the stages of a few runs."""
    import gc

    run = make_run(options.folder, options.strategy)
    run()  # warm
    wholes = []
    for _ in range(0 if options.counts else options.repeats):
        gc.collect()
        begun = time.process_time_ns()
        run()
        wholes.append(time.process_time_ns() - begun)
    found: dict[str, Any] = {"whole": wholes, "runs": []}
    watch = Stopwatch()
    wrap_stages(watch)
    for kind in ("calls", "bytecodes") if options.counts else ("ns",) * options.repeats:
        gc.collect()
        watch.start(time.process_time_ns if kind == "ns" else start_counting(kind))
        found["orders"], found["fills"] = run()
        watch.turn()
        sys.setprofile(None)
        sys.settrace(None)
        found["runs"].append({stage: watch.spent[stage] for stage in STAGES} | {"kind": kind})
    print(json.dumps(found))


# ---- the table -------------------------------------------------------------------------------------


def measure(root: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one process in a checkout."""
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": "0"}
    command = [sys.executable, str(HERE / "order_cost.py"), "--child", "--strategy", options.strategy]
    command += ["--repeats", str(options.repeats), *(["--counts"] if options.counts else [])]
    command += [str(Path(options.folder).resolve())] if options.folder else []
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, cwd=root)
    if ended.returncode:
        raise SystemExit(f"{root}: {ended.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def rows_of(runs: list[dict[str, Any]], orders: int, unit: float) -> dict[str, float]:
    """Return the median of each stage for one order, with the sums of the kernel's and of the venue's stages."""
    row = {stage: statistics.median(run[stage] for run in runs) / orders / unit for stage in STAGES}
    sums = {
        name: statistics.median(sum(run[stage] for stage in stages) for run in runs) / orders / unit
        for name, stages in (("kernel", KERNEL), ("gateway and venue", VENUE))
    }
    return row | sums


def main() -> None:
    """Print a table of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="")
    parser.add_argument("--strategy", default="touch.py:Touch", help="of benchmarks/strategies")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each checkout, in turns")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each process")
    parser.add_argument("--against", type=Path, help="a checkout, measured in turns")
    parser.add_argument("--counts", action="store_true", help="Python calls and bytecodes in place of microseconds")
    parser.add_argument("--record", action="store_true", help="add the ratios to benchmarks/results/order_cost.json")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options)
        return
    roots = [HERE.parent, *([options.against.resolve()] if options.against else [])]
    seen: list[list[dict[str, Any]]] = [[] for _ in roots]
    for number in range(1 if options.counts else options.rounds):
        for which in range(len(roots)) if number % 2 else reversed(range(len(roots))):
            seen[which].append(measure(roots[which], options))
    orders, fills = seen[0][0]["orders"], seen[0][0]["fills"]
    print(f"{orders} orders, {fills} fills; {options.strategy}")
    for kind in ("calls", "bytecodes") if options.counts else ("ns",):
        tables = [
            rows_of(
                [run for found in each for run in found["runs"] if run["kind"] == kind],
                each[0]["orders"],
                1 if options.counts else 1000,
            )
            for each in seen
        ]
        if not options.counts:
            for table, each in zip(tables, seen, strict=True):
                wholes = sorted(ns / each[0]["orders"] / 1000 for found in each for ns in found["whole"])
                table |= {"whole run, median": statistics.median(wholes), "whole run, least": wholes[0]}
        print(
            f"\n| stage | {'us' if kind == 'ns' else kind} an order |{' before | ratio |' if options.against else ''}"
        )
        print(f"|---|---|{'---|---|' if options.against else ''}")
        if options.record and options.against and not options.counts:
            record(
                "order_cost",
                {f"{stage} over against": us / (tables[1][stage] or us) for stage, us in tables[0].items()},
            )
        for stage, value in tables[0].items():
            before = tables[-1][stage]
            more = f" {before:,.1f} | {value / before if before else 1:.3f} |" if options.against else ""
            print(f"| {stage} | {value:,.1f} |{more}")


if __name__ == "__main__":
    main()
