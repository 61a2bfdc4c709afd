"""Crash points: a session of 200 orders is killed between append, sync, send, answer and apply, everywhere, and restarted.

    python -P benchmarks/crash_points.py                  # every point, on both cores
    python -P benchmarks/crash_points.py --every 40       # each fortieth
    python -P benchmarks/crash_points.py --point 1234     # one of them, in this process

The session runs in virtual time on the simulated venue: quotes, orders, cancels, partial fills, lost reports, a lost answer,
reconciliations. At each point the process forks. The child is the crash: it keeps the records that are on disk at that
moment and the venue as it is, writes the journal, recovers it, starts the next session from it and runs it, kills
it (cancel all until done), and stops it. Then no order may be lost, doubled or open, no fill lost, and the books, the
cash and the replay must agree to the last decimal.

The points, for each step of the session:
- `append`: the input came, its step is not on disk (also: the answer arrived and was not applied; the disk lost it)
- `sync`: the step is on disk, and none of its requests has left
- `send`: a request has reached the venue, and its answer is on its way
A step without requests has the first alone: later ones have the same disk and the same venue.

Prints the number of points of each kind; exit code 1 and the command of the first broken point if one broke.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from engine.bodies import RequestBody
from engine.live.previous_session import rebuilt_state
from engine.mode_reasons import Mode
from engine.session_record import MILLISECOND_NS, SECOND_NS, PreviousSession
from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import recover
from journal.writer import JournalWriter
from verbatim.hostile.hostile_session import HostileGateway, HostileSession, HostileVenue
from verbatim.hostile.hostile_stage import churn
from verbatim.hostile.invariants import Broken, check_books, check_journal, check_sent, open_own, read_chain
from verbatim.hostile.other_programs import OtherPrograms
from verbatim.hostile.sparse_market import SparseMarket
from verbatim.testing import START_NS

SYMBOL = "BTCUSDT"
ORDERS = 200
FIRST, SECOND = "crashaaa", "crashbbb"
PROGRESS_EVERY = 250  # points
DOWN_NS = 700 * MILLISECOND_NS
BACK_S_MAX = 120
PLACE = {"method": "POST", "path": "/api/v3/order"}
SCRIPT: tuple[tuple[float, dict[str, Any]], ...] = (  # seconds, fault
    (20, {"action": "cut_answer", **PLACE}),
    (40, {"action": "drop_events", "event": "TRADE", "times": 3}),
    (60, {"action": "disconnect", "target": "private"}),
    (80, {"action": "cut_answer", "method": "DELETE", "path": "/api/v3/order"}),
    (100, {"action": "duplicate_events", "event": "TRADE", "times": 3}),
    (110, {"action": "delay_answer", "ms": 3_000, **PLACE}),
)


class CrashGateway(HostileGateway):
    crashing: "CrashSession"

    def _send(self, record: Record, request: RequestBody) -> None:
        super()._send(record, request)
        if request.unsigned is not None:
            self.crashing.crash_here("send")


class CrashSession(HostileSession):
    """A session in memory alone: its children write what would be on disk."""

    gateway_class = CrashGateway

    def __init__(self, points: "Points", *args: Any, **settings: Any) -> None:
        self.points = points
        self.steps: list[Sequence[Record]] = []
        super().__init__(*args, **settings)
        cast("CrashGateway", self.gateway).crashing = self

    def _create_writer(self) -> JournalWriter:
        return cast("JournalWriter", None)

    def _append(self, records: Sequence[Record], *, urgent: bool) -> None:
        if self.steps:
            self.crash_here("append")
        self.steps.append(records)
        self.records.extend(records)
        if self.steps[1:] and any(record.kind is Kind.REQUEST for record in records):
            self.crash_here("sync")

    def crash_here(self, name: str) -> None:
        self.points.visit(name, self)


class Points:
    """Visits the points: forks where one is chosen."""

    def __init__(self, scratch: Path, *, every: int, offset: int, only: int, processes: int) -> None:
        self.counts: Counter[str] = Counter()
        self.tried: Counter[str] = Counter()
        self.broken: list[tuple[int, str]] = []
        self.ended = 0
        self._scratch = scratch
        self._every, self._offset, self._only, self._processes = every, offset, only, processes
        self._running: dict[int, tuple[int, Path]] = {}  # process id -> point, file of its result

    def visit(self, name: str, session: CrashSession) -> None:
        point = self.counts.total()
        self.counts[name] += 1
        if point != self._only if self._only >= 0 else point % self._every != self._offset:
            return
        self.tried[name] += 1
        while len(self._running) >= self._processes:
            self._wait()
        folder = self._scratch / f"point-{point}"
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _child(folder, f"point {point} ({name})", session)
        self._running[child] = point, folder

    def finish(self) -> None:
        while self._running:
            self._wait()

    def _wait(self) -> None:
        child, _ = os.waitpid(-1, 0)
        point, folder = self._running.pop(child)
        result = folder / "result"
        text = result.read_text() if result.exists() else f"point {point}: the child ended without a result"
        shutil.rmtree(folder, ignore_errors=True)
        self.ended += 1
        if text:
            self.broken.append((point, text))
            print(text, flush=True)
        if self.ended % PROGRESS_EVERY == 0:
            print(f"{self.ended:,} points tried, {len(self.broken)} of them broken", flush=True)


def _child(folder: Path, title: str, session: CrashSession) -> None:
    try:
        folder.mkdir(parents=True)
        broken = crash(folder, session)
        text = f"{title}:\n" + "\n".join(f"  BROKEN {each.invariant}: {each.text}" for each in broken) if broken else ""
    except BaseException:
        text = f"{title}: {traceback.format_exc()}"
    (folder / "result").write_text(text)
    os._exit(0)


def crash(folder: Path, session: CrashSession) -> list[Broken]:
    """Be the crash, then the next session; return what does not hold after it."""
    venue, others = session.venue, OtherPrograms(session.venue, SYMBOL)
    session.gateway.hang_up()
    first = _write(folder / FIRST, session.steps)
    recovered = recover(first)
    journal = Journal.open(first)
    opening = rebuilt_state(journal)
    last = next(journal.records(recovered.last_seq))
    venue.now_ns += DOWN_NS
    venue.sim.advance(venue.now_ns)
    previous = PreviousSession(FIRST, recovered.last_seq, recovered.chain, closed=False, last_ns=last.time_ns)
    following = HostileSession(
        venue, folder / SECOND, strategies=[_churn(2)], session=SECOND, previous=previous, opening=opening
    )
    broken: list[Broken] = []
    venue.sim.faults.clear()
    following.run(BACK_S_MAX, until=lambda s: s.state.account.modes.mode is Mode.RUNNING)
    following.run(4)
    following.command("cancel_all").run(60, until=lambda s: not s.state.account.safety.active)
    if left := open_own(venue, (FIRST, SECOND)):
        broken.append(Broken("a kill leaves nothing of ours open", ", ".join(left)))
    paused_seq = following.state.seq
    following.command("reconcile")
    following.run(
        90,
        until=lambda s: (
            s.state.account.reconciling.done_started_seq > paused_seq and not s.state.account.requests.by_seq
        ),
    )
    following.run(1)
    following.command("stop").run(60)
    if not following.closing:
        return [*broken, Broken("a stop ends", "not closed 60 s after it")]
    following.close_journal()
    folders = [first, folder / SECOND]
    recorded = read_chain(folders)
    marks = (FIRST, SECOND)
    broken += check_sent(venue, marks, recorded)
    broken += check_books(venue, following.state, marks, recorded, others.cash)
    if left := open_own(venue, marks):
        broken.append(Broken("after an ordered end none of ours is open", ", ".join(left)))
    for each in folders:
        broken += check_journal(each)
    return broken


def _write(folder: Path, steps: Sequence[Sequence[Record]]) -> Path:
    writer = JournalWriter.create(folder, sync=False, group_delay_s=3600, sync_delay_s=3600, segment_age_s=3600)
    for step in steps[:-1]:
        writer.append_step(step)
    writer.append_step(steps[-1], urgent=True)
    writer.wait_durable(steps[-1][-1].seq, 30)
    writer.abandon()
    return folder


def _churn(seed: int) -> Any:
    return msgspec.structs.replace(churn(), parameters={"seed": seed, "orders_max": 4, "busy": 9})


def run_session(points: Points, folder: Path, orders: int) -> CrashSession:
    venue = HostileVenue(market=SparseMarket(SYMBOL, seed=4, start_ns=START_NS), latency_ns=5 * MILLISECOND_NS)
    session = CrashSession(points, venue, folder, strategies=[_churn(1)], session=FIRST)
    start_ns = venue.now_ns
    script = list(SCRIPT)
    while len(session.placements()) < orders:
        session.run(1)
        while script and venue.now_ns - start_ns >= script[0][0] * SECOND_NS:
            venue.fault(**script.pop(0)[1])
    session.run(3)
    unstruck = venue.unstruck_faults()
    assert not unstruck, unstruck
    return session


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=int, default=1, help="try each so many-th point")
    options.add_argument("--offset", type=int, default=0, help="begin with this point")
    options.add_argument("--point", type=int, default=-1, help="try this point alone")
    options.add_argument("--orders", type=int, default=ORDERS)
    options.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = options.parse_args()
    began, memory = time.monotonic(), Path("/dev/shm")
    scratch = Path(tempfile.mkdtemp(prefix="crash-points-", dir=memory if memory.is_dir() else None))
    points = Points(scratch, every=chosen.every, offset=chosen.offset, only=chosen.point, processes=chosen.processes)
    try:
        session = run_session(points, scratch / "mother", chosen.orders)
        points.finish()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    state, cpu = session.state, os.times()
    fills = sum(len(order.fill_ids) for order in session.state.account.orders.all())
    kinds = Counter(record.kind.value for record in session.records)
    print(
        f"the session: {len(session.placements())} orders, {len(session.facts('cancel_settled'))} + "
        f"{len([f for f in session.facts('order_closed') if f['status'] == 'canceled'])} cancels, "
        f"{len(session.facts('order_filled'))} fills ({fills} of orders still in state), "
        f"{len(session.facts('reconciled'))} reconciliations, {state.seq + 1:,} records, "
        f"{kinds['REQUEST'] if 'REQUEST' in kinds else sum(1 for r in session.records if r.kind is Kind.REQUEST)} requests"
    )
    print(
        f"points: {points.counts.total():,} ({', '.join(f'{name} {count:,}' for name, count in points.counts.items())})"
    )
    print(
        f"tried: {points.tried.total():,} ({', '.join(f'{name} {count:,}' for name, count in points.tried.items())}) in "
        f"{time.monotonic() - began:,.0f} s, {cpu.user + cpu.system + cpu.children_user + cpu.children_system:,.0f} CPU s; "
        f"broken: {len(points.broken)}"
    )
    if points.broken:
        print(f"python -P benchmarks/crash_points.py --point {min(points.broken)[0]}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
