"""Cost of one tick inside the live session of tick_to_order.py, from the ready socket to the write of the order's bytes.

    python benchmarks/wire_cost.py [--rounds 5] [--ticks 400] [--against PATH ...] [--transports fast standard]

CPU time of the loop's thread, from the return of trio's wait to the call that writes the request: the least and the
10th percentile of all rounds. Then two counts, which vary little from run to run: Python calls, and bytecodes, of the
median of some ticks (a timer may fall into one, or the journal's thread may write its frame). `--against` runs the same program in other checkouts, in turns.
`--list` prints the functions with their calls and bytecodes.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import trio
from msgspec.structs import replace

HERE = Path(__file__).resolve().parent
COUNTED_TICKS = 20  # of each count, at the end of the run
ORDER = b"POST /api/v3/order"


class Probe(trio.abc.Instrument):
    """Measures each tick, and reports progress to the venue as AtRest of tick_to_order.py does."""

    def __init__(self, at_rest: Any, ticks: int) -> None:
        self._at_rest = at_rest
        self._root = Path.cwd()
        self._is_at_rest = False
        self._began_ns = 0  # CPU time of the thread; 0: no tick is under way
        self._left = ticks + COUNTED_TICKS
        self.cpu_ns: list[int] = []
        self.counts: list[Counter[str]] = []
        self._count: Counter[str] | None = None

    @property
    def session(self) -> Any:
        return self._at_rest.session

    @session.setter
    def session(self, session: Any) -> None:
        self._at_rest.session = session

    def before_io_wait(self, timeout: float) -> None:
        self._at_rest.before_io_wait(timeout)
        session = self._at_rest.session
        if timeout > 0 and session is not None and not session.state.account.requests.by_seq:
            self._is_at_rest = True  # the next event is the tick, or a timer before it
            sys.settrace(None)

    def after_io_wait(self, timeout: float) -> None:
        if not self._is_at_rest or not self._left:
            return
        self._is_at_rest = False
        if self._left <= COUNTED_TICKS:
            self._count = Counter()
            sys.settrace(self._trace)
        self._began_ns = time.thread_time_ns()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        assert self._count is not None
        code = frame.f_code
        file = code.co_filename.rpartition("site-packages/")[2].removeprefix(f"{self._root}/")
        name = f"{code.co_qualname} ({file}"
        if event == "call":
            self._count[f"call {name})"] += 1
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self._count[f"opcode {name})"] += 1
        return self._trace

    def write(self, data: bytes) -> None:
        """Note that these bytes are about to be written."""
        if not self._began_ns or not data.startswith(ORDER):
            return
        spent_ns = time.thread_time_ns() - self._began_ns
        sys.settrace(None)
        self._began_ns = 0
        self._left -= 1
        if self._count is not None:
            self.counts.append(self._count)
        else:
            self.cpu_ns.append(spent_ns)


def run_child(options: argparse.Namespace) -> None:
    """Run one session and print what its probe found."""
    import tick_to_order as program  # of the checkout that is measured

    from engine import session_record
    from engine.live.logs import configure
    from engine.live.machine import software_versions
    from verbatim.warmup import warm

    tick_to_order: Any = program
    multiprocessing.set_start_method("spawn")
    configure(level="error")
    warm()
    software_versions()
    if options.settings == "new":
        risk, engine = session_record.newest_risk(session_record.RiskSettings()), session_record.new_engine_settings()
        silent = dict.fromkeys(("stream_silence_max_ns", "stream_behind_max_ns", "private_probe_after_ns"), 0)
        engine = replace(engine, **silent)  # the venue of the ticks sends nothing else
        tick_to_order.RiskSettings = partial(replace, risk)
        tick_to_order.EngineSettings = partial(replace, engine)
    # under the counts a commit takes long, and the next order would leave by a thread
    if find_spec("journal.frame_output") is not None:  # older checkouts have no commit
        pace: Any = import_module("journal.frame_output").DiskPace
        pace.is_fast = True
    at_rest, probes = tick_to_order.AtRest, []

    def make_probe(*arguments: Any) -> Probe:
        probes.append(Probe(at_rest(*arguments), options.ticks))
        return probes[-1]

    os_write, send_all = os.write, trio.SocketStream.send_all

    def write(fd: int, data: Any) -> int:
        if probes:
            probes[0].write(bytes(data[:20]))
        return os_write(fd, data)

    async def send(stream: trio.SocketStream, data: Any) -> None:
        if probes:
            probes[0].write(bytes(data[:20]))
        await send_all(stream, data)

    patched: tuple[Any, Any] = (os, trio.SocketStream)
    patched[0].write, patched[1].send_all = write, send
    tick_to_order.AtRest = make_probe
    ticks = argparse.Namespace(ticks=options.ticks, warmup=COUNTED_TICKS + 5, gap_us=0)
    with tempfile.TemporaryDirectory() as scratch:
        tick_to_order.ours(Path(scratch), options.transports[0], sync=False, given=ticks)
    probe = probes[0]
    by_bytecodes = sorted(
        probe.counts, key=lambda count: sum(n for name, n in count.items() if name.startswith("opcode"))
    )
    print(json.dumps({"cpu_ns": probe.cpu_ns[20:], "counts": by_bytecodes[len(by_bytecodes) // 2]}))


def measure(root: Path, transport: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run the child in a checkout."""
    environment = os.environ | {"PYTHONPATH": f"{root}:{root / 'benchmarks'}", "PYTHONHASHSEED": "0"}
    arguments = [HERE / "wire_cost.py", "--child", "--transports", transport, "--ticks", options.ticks]
    arguments += ["--settings", options.settings]
    command = [sys.executable, "-P", *map(str, arguments)]
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, cwd=root)
    if ended.returncode:
        raise SystemExit(f"{root}: {ended.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print a table of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=400)
    parser.add_argument("--transports", nargs="+", default=["fast", "standard"], choices=["fast", "standard"])
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="checkouts, measured in turns")
    parser.add_argument("--settings", choices=["old", "new"], default="new", help="old: those of tick_to_order.py")
    parser.add_argument("--list", action="store_true", help="print the functions of the last round")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options)
        return
    roots = [HERE.parent, *(path.resolve() for path in options.against)]
    for transport in options.transports:
        cpu_ns: dict[Path, list[int]] = {root: [] for root in roots}
        counts: dict[Path, Counter[str]] = {}
        for number in range(options.rounds):
            for root in roots if number % 2 else reversed(roots):
                found = measure(root, transport, options)
                cpu_ns[root] += found["cpu_ns"]
                counts[root] = Counter(found["counts"])
        for root in roots:
            ordered = sorted(cpu_ns[root])
            shares = [f"{share} % {ordered[len(ordered) * share // 100] / 1e3:.0f}" for share in (2, 10, 50)]
            calls, opcodes = (
                sum(n for name, n in counts[root].items() if name.startswith(kind)) for kind in ("call", "opcode")
            )
            figures = f"us at {', '.join(shares)}; {calls} calls, {opcodes} bytecodes"
            print(f"{transport:9} {root.name:12} {figures}", flush=True)
        if options.list:
            for name, count in counts[roots[0]].most_common():
                if name.startswith("opcode "):
                    function = name.removeprefix("opcode ")
                    print(f"{count:6} {counts[roots[0]]['call ' + function]:4}  {function}")


if __name__ == "__main__":
    main()
