"""Count the functions and files on the paths of a live session: an idle quote, an order, a fill.

A real session runs on loopback: `verbatim demo` with its trio shell, its journal and the simulated venue in another
process. The task steps of trio are traced with `sys.setprofile`. Of our functions the program names only the kernel's
entry, `Kernel.step`, and the inbox's, `Ingress.put_frames`, so it survives renames of all others; it also needs `journal.record`, the command line, and the
records' own words.

The paths:

- quote: from where the messages of a socket read are put into the inbox, or the task that takes them out resumes, to
  where the journal's append of a `bookTicker` frame that triggers no strategy returns. Shell and kernel together;
- decision: the kernel's part of a quote on which a strategy places one order, from the call of `Kernel.step` to its
  return with the outputs: decode, apply, strategies, risk, execution, outputs. The REQUEST is among the outputs;
- decision-shell: all that the same task does for this quote before and after that call, from where it begins to where
  it has handed the REQUEST to the gateway. The journal's append is part of it;
- sending: the gateway's part of the same order, from the release after the sync, in its task, to the call that hands the signed order
  to its transport library (httpx, h11, websockets);
- fill: the kernel's part of an `executionReport` of a trade, from the call of `Kernel.step` to its return;
- fill-shell: all that the task does for this message before and after that call, up to where the journal's append
  returns.

Issue 10 sets targets for quote, decision and fill.

Functions, methods and properties of files below engine/ and journal/ count. Comprehensions, generator expressions
and lambdas count with the function that contains them. Compiled code (numba, msgspec, C), generated methods, the
user's strategy, third-party packages and the journal's writer thread do not count. A caller on the way counts, and
so does a function that a path only passes through. `calls` are all calls of such functions, `jumps` those into
another file. Paths of one kind differ a little (a clock tick, a mode), so each figure is that of the function set
seen most often; `most` is the largest set.

Run `python benchmarks/call_paths.py` for the table. `--list` adds the functions in order of first call, `--text` and
`--mermaid` draw the walk of one quote and one order for docs/ARCHITECTURE.md, `--json` prints the figures.
"""

import argparse
import ast
import contextlib
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import trio

import journal.record
from engine.kernel import Kernel
from engine.live.ingress import Ingress
from journal.frame_output import DiskPace
from journal.record import Kind, Record
from verbatim.cli import main as verbatim

ROOT = Path(journal.record.__file__).resolve().parent.parent  # the checkout whose code runs
COUNTED = ("engine", "journal")
TRANSPORTS = ("httpx", "h11", "websockets", "trio_websocket", "wsproto")
SECONDS = 4.0

# path -> (functions, files). A ceiling falls; a new safety rule or part of the account raises it by its own functions; the targets are those of issue 10.
# A traced decision or fill varies by a few functions from run to run (a timer or a balance may fall into its step)
CEILINGS: dict[str, tuple[int, int]] = {
    "quote": (16, 10),
    "decision": (148, 59),  # three rules of margin, the account of each venue, and the grid of prices
    "decision-shell": (40, 16),  # the text of outputs is made here, and the order is signed
    "sending": (20, 8),  # with the turn of venues whose nonces must rise; a slow disk leaves the order to a task
    "fill": (89, 37),
    "fill-shell": (17, 9),
}
TARGETS: dict[str, tuple[int, int]] = {"quote": (16, 8), "decision": (50, 16), "fill": (40, 14)}
# the paths that are drawn, with the heading of each in docs/walk.md
WALKS = {
    "quote": "A quote that triggers nothing",
    "decision": "A quote on which a strategy places an order: the kernel",
    "sending": "The order leaves: from the sync to the transport",
    "fill": "A fill: the kernel",
}
WALK_PAGE = ROOT / "docs" / "walk.md"
ARCHITECTURE = ROOT / "docs" / "ARCHITECTURE.md"
WALK_BEGINS = "<!-- walk: written by benchmarks/call_paths.py --write -->\n"
WALK_ENDS = "<!-- /walk -->"
WALK_HEAD = """# The walk of one quote, one order and one fill

`python benchmarks/call_paths.py --write` traced a live session and wrote this page. Each function is there once, indented below the function that called it first.
Code that is not ours may be between the two: a strategy's `decide`, or a library. A test checks that each function exists and that the one above it calls it.

Between the second part and the third, `OutputDispatcher.dispatch` hands the order to `Gateway.perform`, which signs it, and `Gateway.flush_now` (or `flush`, in the input loop) writes and syncs its record with
`JournalWriter.commit`. If the disk was slow, as in this walk, the order waits until the journal's thread has reported a sync: `Gateway.release` is called.
"""

STRATEGY = '''
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, OrderType, Place, Side


class Resting:
    """Place a limit order within the spread at every fifth decision: the market fills it a little later."""

    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=10)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        decisions: int = 0

    @staticmethod
    def decide(view, state, parameters):
        quote = view.quote("BTCUSDT")
        state.decisions += 1
        if quote is None or state.decisions % 5:
            return
        price = ((quote.bid + quote.ask) / 2).quantize(Decimal("0.01"))
        yield Place("BTCUSDT", side=Side.BUY, quantity=Decimal("0.001"), price=price)
'''


class Function(NamedTuple):
    """A function of ours: its file, relative to the repository, and its qualified name."""

    file: str
    name: str


class Call(NamedTuple):
    """One call in a task step, or the resumption of a coroutine (`is_call` is False)."""

    function: Function
    caller: Function | None
    depth: int
    is_call: bool
    seqs: frozenset[int]  # of the records among its arguments
    orders: frozenset[str]  # client order ids of the requests among its arguments


class Append(NamedTuple):
    """The journal's append of one step: the records, and the index of the call."""

    records: tuple[Record, ...]
    at: int


class TaskStep:
    """The calls of one task between two waits."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.calls: list[Call] = []
        self.appends: list[Append] = []
        self.spawns: list[tuple[Any, int]] = []  # (task, calls before it)
        self.handed_over: int | None = None  # calls before the first one of a transport library

    def begin_of(self, at: int) -> int:
        """Return the index of the call that put the messages of call `at` into the inbox; 0 if another task did."""
        return max((i for i in range(at) if self.calls[i].function == INBOX_ENTRY), default=0)

    def end_of(self, at: int) -> int:
        """Return the index behind the calls that happen within call `at`."""
        depth = self.calls[at].depth
        return next((i for i in range(at + 1, len(self.calls)) if self.calls[i].depth <= depth), len(self.calls))


# ---- tracing ---------------------------------------------------------------------------------------


@cache
def function_of(code: CodeType) -> Function | None:
    """Return the function of ours that a code object belongs to, or None for all other code."""
    path = Path(code.co_filename)
    if not path.is_relative_to(ROOT):
        return None
    file = path.relative_to(ROOT)
    if file.parts[0] not in COUNTED:
        return None
    return Function(file.as_posix(), code.co_qualname.split(".<locals>.<")[0])


KERNEL_ENTRY = function_of(Kernel.step.__code__)
INBOX_ENTRY = function_of(Ingress.put_frames.__code__)


@cache
def is_transport(code: CodeType) -> bool:
    return any(package in Path(code.co_filename).parts for package in TRANSPORTS)


def is_compiled(frame: FrameType) -> bool:
    """Return True for the frame that numba shows to profilers when it enters machine code: it has no globals."""
    return "__name__" not in frame.f_globals


def is_resumed(frame: FrameType) -> bool:
    """Return True if a generator or coroutine continues after a yield or await: its RESUME has an argument."""
    return frame.f_code.co_code[frame.f_lasti + 1] & 3 != 0


class Tracer(trio.abc.Instrument):
    """Record the calls of every task step of a trio run."""

    def __init__(self) -> None:
        self.steps: list[TaskStep] = []
        self.order_tasks: dict[str, list[Any]] = {}  # client order id -> the tasks that were started with its request
        self._step: TaskStep | None = None
        self._stack: list[tuple[FrameType, Function]] = []

    def before_run(self) -> None:
        sys.setprofile(self._profile)

    def after_run(self) -> None:
        sys.setprofile(None)

    def before_task_step(self, task: Any) -> None:
        self._step = TaskStep(task)
        self._stack.clear()

    def after_task_step(self, _task: Any) -> None:
        if self._step is not None and self._step.calls:
            self.steps.append(self._step)
        self._step = None

    def task_spawned(self, task: Any) -> None:
        if self._step is not None:
            self._step.spawns.append((task, len(self._step.calls)))
        frame = getattr(task.coro, "cr_frame", None)
        for order in orders_in(frame.f_locals.values() if frame is not None else ()):
            self.order_tasks.setdefault(order, []).append(task)

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        step = self._step
        if step is None:
            return
        if event == "call":
            function = function_of(frame.f_code)
            if function is not None and not is_compiled(frame):
                self._called(step, frame, function)
            elif function is None and step.handed_over is None and is_transport(frame.f_code):
                step.handed_over = len(step.calls)
        elif event == "return" and self._stack and self._stack[-1][0] is frame:
            self._stack.pop()

    def _called(self, step: TaskStep, frame: FrameType, function: Function) -> None:
        caller = self._stack[-1][1] if self._stack else None
        self._stack.append((frame, function))
        if function == caller:  # a comprehension or a lambda of the caller, or a recursion
            return
        code = frame.f_code
        given = [frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]]
        seqs = frozenset(value.seq for value in given if isinstance(value, Record))
        step.calls.append(
            Call(function, caller, len(self._stack), not is_resumed(frame), seqs, frozenset(orders_in(given)))
        )
        inside = caller is not None and caller.file.startswith("journal/")
        if function.file.startswith("journal/") and not inside:
            for value in given:
                if isinstance(value, list | tuple) and value and isinstance(value[0], Record):
                    step.appends.append(Append(tuple(value), len(step.calls) - 1))


def orders_in(values: Iterable[object]) -> Iterator[str]:
    """Yield the client order ids of the requests among some values."""
    for value in values:
        order = getattr(value, "client_order_id", None)
        if isinstance(order, str) and order:
            yield order


def traced_session(folder: Path, seconds: float) -> Tracer:
    """Run a session of so many seconds against the simulated venue, and return what was traced.

    The disk counts as slow, so each order waits for the writer's thread: else the machine's load would decide on which
    of two ways an order leaves.
    """
    tracer = Tracer()
    file = folder / "resting.py"
    file.write_text(STRATEGY)
    options = [
        "--seconds",
        str(seconds),
        "--journals",
        str(folder / "journals"),
        "--strategy",
        f"{file}:Resting",
        "--json",
    ]
    run, trio.run = trio.run, partial(trio.run, instruments=[tracer])
    is_fast, DiskPace.is_fast = DiskPace.is_fast, property(lambda _pace: False)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as printed:
            verbatim(["demo", *options], standalone_mode=False)
    except SystemExit as error:
        raise SystemExit(f"the session failed ({error.code}): {printed.getvalue()}") from error
    finally:
        trio.run, DiskPace.is_fast = run, is_fast
    return tracer


# ---- paths -----------------------------------------------------------------------------------------


class CallPath(NamedTuple):
    """The calls of one path, task step after task step."""

    calls: tuple[Call, ...]

    @property
    def functions(self) -> tuple[Function, ...]:
        """The distinct functions in order of first call."""
        return tuple(dict.fromkeys(call.function for call in self.calls))

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(function.file for function in self.functions))

    @property
    def call_count(self) -> int:
        return sum(call.is_call for call in self.calls)

    @property
    def jump_count(self) -> int:
        return sum(
            call.is_call and call.caller is not None and call.caller.file != call.function.file for call in self.calls
        )


def body_of(record: Record) -> dict[str, Any]:
    return json.loads(record.body) if record.body else {}


def placed_orders(records: Sequence[Record]) -> list[Record]:
    """Return the REQUEST records of a step that place an order."""
    return [record for record in records if record.kind is Kind.REQUEST and body_of(record).get("purpose") == "place"]


def kind_of(records: Sequence[Record]) -> str | None:
    """Return which of the three paths a step of the journal belongs to, if any."""
    first, payload = records[0], records[0].payload or b""
    if first.kind is Kind.FEED and b"@bookTicker" in payload:
        if len(records) == 1:
            return "quote"
        return "decision" if len(placed_orders(records)) == 1 else None
    is_trade = first.kind is Kind.BROKER and b'"executionReport"' in payload and b'"TRADE"' in payload
    return "fill" if is_trade else None


def paths(tracer: Tracer) -> dict[str, list[CallPath]]:
    """Return all paths of each kind. Only the first message of a task step counts, since the step begins with it."""
    found: dict[str, list[CallPath]] = {kind: [] for kind in CEILINGS}
    for at, step in enumerate(tracer.steps):
        if not step.appends:
            continue
        append = step.appends[0]
        kind = kind_of(append.records)
        if kind == "decision":
            [request] = placed_orders(append.records)
            order = body_of(request)["client_order_id"]
            holders = [i for i, call in enumerate(step.calls) if request.seq in call.seqs or order in call.orders]
            add_parts(found, kind, step, append.at, step.end_of(holders[-1]))
            if (calls := sending(tracer.steps[at + 1 :], tracer.order_tasks.get(order, []))) is not None:
                found["sending"].append(CallPath(calls))
        elif kind == "quote":
            found[kind].append(CallPath(tuple(step.calls[step.begin_of(append.at) : step.end_of(append.at)])))
        elif kind is not None:
            add_parts(found, kind, step, append.at, step.end_of(append.at))
    return found


def add_parts(found: dict[str, list[CallPath]], kind: str, step: TaskStep, append_at: int, end: int) -> None:
    """Add the kernel's part of a path and, apart, the shell's."""
    entry = max(i for i, call in enumerate(step.calls[:append_at]) if call.function == KERNEL_ENTRY and call.is_call)
    kernel_end = step.end_of(entry)
    found[kind].append(CallPath(tuple(step.calls[entry:kernel_end])))
    found[f"{kind}-shell"].append(
        CallPath((*step.calls[step.begin_of(append_at) : entry], *step.calls[kernel_end:end]))
    )


def sending(steps: Sequence[TaskStep], tasks: Sequence[Any]) -> tuple[Call, ...] | None:
    """Follow the tasks of an order to the transport library. Return None if the session ended before."""
    calls: list[Call] = []
    for step in steps:
        for task, before in step.spawns:
            if task in tasks:
                calls += step.calls[:before]
        if step.task in tasks:
            calls += step.calls[: step.handed_over]
            if step.handed_over is not None:
                return tuple(calls)
    return None


def usual(found: Sequence[CallPath]) -> CallPath:
    """Return a path with the function set seen most often; of two sets seen equally often, the larger."""
    sets = Counter(frozenset(path.functions) for path in found)
    best = max(sets, key=lambda functions: (sets[functions], len(functions)))
    return next(path for path in found if frozenset(path.functions) == best)


def traced_paths(seconds: float) -> dict[str, list[CallPath]]:
    """Trace a session; if it was too short for one of the paths, trace another that runs three times as long."""
    missing: list[str] = []
    for length in (seconds, 3 * seconds):
        with tempfile.TemporaryDirectory() as folder:
            found = paths(traced_session(Path(folder), length))
        missing = [kind for kind, all_of_kind in found.items() if not all_of_kind]
        if not missing:
            return found
    raise SystemExit(f"the session had no {' and no '.join(missing)}: run it longer (--seconds)")


# ---- the program -----------------------------------------------------------------------------------


def figures(found: dict[str, list[CallPath]]) -> dict[str, dict[str, int]]:
    rows = {}
    for kind, all_of_kind in found.items():
        path = usual(all_of_kind)
        rows[kind] = {
            "functions": len(path.functions),
            "files": len(path.files),
            "calls": path.call_count,
            "jumps": path.jump_count,
            "most": max(len(other.functions) for other in all_of_kind),
            "seen": len(all_of_kind),
        }
    return rows


def table(rows: dict[str, dict[str, int]]) -> str:
    columns = ["functions", "files", "calls", "jumps", "most", "seen"]
    lines = [f"{'path':15s}" + "".join(f"{column:>11s}" for column in columns) + f"{'ceiling':>12s}{'target':>12s}"]
    for kind, row in rows.items():
        limits = [
            "" if limit is None else f"{limit[0]} in {limit[1]}" for limit in (CEILINGS.get(kind), TARGETS.get(kind))
        ]
        lines.append(
            f"{kind:15s}"
            + "".join(f"{row[column]:11d}" for column in columns)
            + "".join(f"{limit:>12s}" for limit in limits)
        )
    return "\n".join(lines)


@cache
def summaries(file: str) -> dict[str, str]:
    """Return the first docstring line of each function of a file, by qualified name."""
    found: dict[str, str] = {}

    def visit(parent: ast.AST, prefix: str) -> None:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{prefix}{node.name}"
                found[name] = (ast.get_docstring(node) or "").partition("\n")[0]
                visit(node, f"{name}." if isinstance(node, ast.ClassDef) else f"{name}.<locals>.")
            else:
                visit(node, prefix)

    visit(ast.parse((ROOT / file).read_text()), "")
    return found


def text_walk(path: CallPath) -> str:
    """Draw a path as a tree: each function once, at its first call, with its file and its docstring's first line."""
    lines, seen = [], set()
    for call in path.calls:
        if call.function not in seen:
            seen.add(call.function)
            name = "  " * (call.depth - 1) + call.function.name.rpartition(".<locals>.")[2]
            summary = summaries(call.function.file).get(call.function.name, "")
            lines.append(f"{name:58s} {call.function.file:38s} {summary}".rstrip())
    return "\n".join(lines)


def mermaid_walk(path: CallPath) -> str:
    """Draw a path as a flowchart: a box a file with its functions, an arrow for each first call from file to file."""
    boxes = {file: f"f{number}" for number, file in enumerate(path.files)}
    lines = ["flowchart TD"]
    for file, box in boxes.items():
        names = [function.name.rpartition(".")[2] for function in path.functions if function.file == file]
        lines.append(f'  {box}["<b>{file}</b><br/>{"<br/>".join(names)}"]')
    arrows: dict[tuple[str, str], int] = {}
    for call in path.calls:
        if call.caller is not None and call.caller.file != call.function.file:
            arrows.setdefault((call.caller.file, call.function.file), len(arrows) + 1)
    lines += [f"  {boxes[one]} -->|{number}| {boxes[other]}" for (one, other), number in arrows.items()]
    return "\n".join(lines)


def callees(path: CallPath) -> dict[Function | None, list[Function]]:
    """Return the functions that each function is the first on the path to call, in that order; None calls the first."""
    found: dict[Function | None, list[Function]] = {None: []}
    seen: set[Function] = set()
    for call in path.calls:
        if call.function not in seen:
            seen.add(call.function)
            found.setdefault(call.caller if call.caller in seen else None, []).append(call.function)
    return found


def document_walk(kind: str, path: CallPath) -> str:
    """Draw a path as a section of docs/walk.md: a line a function, indented below its first caller."""
    lines = []
    waiting = [(function, 0) for function in reversed(callees(path)[None])]
    while waiting:
        function, depth = waiting.pop()
        summary = summaries(function.file).get(function.name, "")
        lines.append(f"{'  ' * depth}- `{function.name}` ({function.file}){': ' if summary else ''}{summary}")
        waiting += [(callee, depth + 1) for callee in reversed(callees(path).get(function, []))]
    return (
        f"## {WALKS[kind]}\n\n{len(path.functions)} functions in {len(path.files)} files.\n\n" + "\n".join(lines) + "\n"
    )


def write_documents(paths: dict[str, CallPath]) -> None:
    """Write docs/walk.md, and the walk of a quote into docs/ARCHITECTURE.md."""
    sections = "\n".join(document_walk(kind, paths[kind]) for kind in WALKS)
    WALK_PAGE.write_text(f"{WALK_HEAD}\n{sections}")
    before, marker, rest = ARCHITECTURE.read_text().partition(WALK_BEGINS)
    _, end, after = rest.partition(WALK_ENDS)
    lines = [f"{number:2d}  {one.file:34s} {one.name}" for number, one in enumerate(paths["quote"].functions, 1)]
    ARCHITECTURE.write_text(f"{before}{marker}\n```\n" + "\n".join(lines) + f"\n```\n{end}{after}")


def listed(path: CallPath) -> str:
    return "\n".join(f"  {n:3d}  {function.file:40s} {function.name}" for n, function in enumerate(path.functions, 1))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=SECONDS, help="how long the session runs")
    options.add_argument("--list", action="store_true", help="the functions of each path, in order of first call")
    options.add_argument("--text", action="store_true", help="draw the walk of one quote and one order as text")
    options.add_argument("--mermaid", action="store_true", help="draw the same walks as Mermaid flowcharts")
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument(
        "--write", action="store_true", help="write the walks into docs/walk.md and docs/ARCHITECTURE.md"
    )
    given = options.parse_args()
    found = traced_paths(given.seconds)
    rows = figures(found)
    if given.json:
        print(
            json.dumps(
                {kind: {**row, "ceiling": CEILINGS[kind], "target": TARGETS.get(kind)} for kind, row in rows.items()}
            )
        )
        return
    print(table(rows))
    if given.write:
        write_documents({kind: usual(found[kind]) for kind in WALKS})
    for kind, all_of_kind in found.items():
        path = usual(all_of_kind)
        if given.list:
            print(f"\n{kind}\n{listed(path)}")
        if given.text and kind in WALKS:
            print(f"\n{kind}\n{text_walk(path)}")
        if given.mermaid and kind in WALKS:
            print(f"\n{kind}\n```mermaid\n{mermaid_walk(path)}\n```")


if __name__ == "__main__":
    main()
