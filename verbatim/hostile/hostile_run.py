"""One hostile session from its seed: play the plan, let trading come back, settle, compare the books, end, replay."""

import shutil
from collections.abc import Callable, Sequence
from functools import cache
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import msgspec

from engine.bodies import CommandName, LinkBody, LinkEvent, NoteLevel
from engine.errors import CoreError
from engine.facts import CloseReason
from engine.live.previous_session import rebuilt_state
from engine.mode_reasons import Mode, texts
from engine.record_codec import read_note, text_of
from engine.sequencer import Arrival
from engine.session_record import MILLISECOND_NS, SECOND_NS, PreviousSession, StrategySettings
from engine.sim.feeds.synthetic_feed import Chance
from engine.state.session_state import State
from journal.reader import Journal
from journal.record import Kind
from journal.recover import recover
from verbatim.hostile.fault_plan import LAST_MS, PLACE, REPORT, Fault, FaultPlan, draw_plan
from verbatim.hostile.hostile_session import HostileSession, HostileVenue
from verbatim.hostile.invariants import (
    Broken,
    check_books,
    check_claims,
    check_journal,
    check_sent,
    open_own,
    read_chain,
    read_records,
)
from verbatim.hostile.other_programs import OtherPrograms
from verbatim.hostile.sparse_market import SparseMarket
from verbatim.testing import START_NS, strategy_settings

SYMBOL = "BTCUSDT"
QUIET_S = 15  # after the last fault until the first look
RESUMES_MAX = 3  # by a person
BACK_S_MAX = 600  # by then trading has come back, or the session says why not
SETTLE_S_MAX = 180  # for a reconciliation while paused
END_S_MAX = 90  # for an ordered end
MANAGED = frozenset({"kill", "power_cut", "stop_restart", "disk_full"})


class HostileResult(msgspec.Struct, frozen=True):
    """The result of a hostile session. `broken` is empty if every invariant held."""

    seed: int
    plan: FaultPlan
    broken: tuple[Broken, ...]
    records: int
    orders: int
    fills: int
    sessions: int  # journals
    virtual_s: float
    stays_down: str = ""  # why trading did not come back, as the session said

    def text(self) -> str:
        """Format the result for people."""
        lines = [f"seed {self.seed}: {self.sessions} journals, {self.records:,} records, {self.orders} orders"]
        lines += [f"  fault {fault.text()}" for fault in self.plan.faults]
        lines += [f"  BROKEN {broken.invariant}: {broken.text}" for broken in self.broken]
        return "\n".join(lines)


class BrokenError(Exception):
    """An invariant does not hold, and the session cannot continue."""

    def __init__(self, invariant: str, text: str) -> None:
        """Name the invariant."""
        super().__init__(f"{invariant}: {text}")
        self.broken = Broken(invariant, text)


def run_hostile(seed: int, folder: Path, *, kept: Sequence[int] | None = None) -> HostileResult:
    """Run the hostile session of a seed in an empty folder, and check its invariants.

    Args:
        seed: The seed.
        folder: The folder for the journals. It stays.
        kept: The numbers of the faults to keep. None: all.
    """
    return _HostileRun(draw_plan(seed, kept), folder).play()


@cache
def churn() -> StrategySettings:
    """Return the strategy of hostile sessions as a SESSION record holds it."""
    return strategy_settings(Path(__file__).parent / "churn.py", "Churn")


class _HostileRun:
    def __init__(self, plan: FaultPlan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.chance = Chance(plan.seed * 31 + 5)
        self.broken: list[Broken] = []
        self.folders: list[Path] = []
        self.marks: list[str] = []
        self.venue = HostileVenue(
            market=SparseMarket(SYMBOL, seed=plan.seed, start_ns=START_NS), latency_ns=plan.latency_ms * MILLISECOND_NS
        )
        self.later: list[tuple[int, int, Callable[[], None]]] = []  # heap of later events: ends of faults
        self.others = OtherPrograms(self.venue, SYMBOL)
        self.records = 0
        self.session: HostileSession
        self.previous: PreviousSession | None = None
        self.opening: State | None = None
        self.stays_down = ""

    # ---- the whole

    def play(self) -> HostileResult:
        try:
            self._begin()
            start_ns = self.venue.now_ns
            for fault in self.plan.faults:
                self._run_until(start_ns + fault.at_ms * MILLISECOND_NS)
                self._strike(fault)
            self._run_until(start_ns + LAST_MS * MILLISECOND_NS)
            self._end_faults()
            if self._come_back():
                self._settle()
            self._end()
        except BrokenError as error:
            self.broken.append(error.broken)
            self.session.kill()
            recover(self.session.folder)
        except CoreError as error:
            self.broken.append(Broken("the core does not fail", str(error)))
            self.session.kill()
            recover(self.session.folder)
        for folder in self.folders:
            self.broken += check_journal(folder)
        recorded = read_chain(self.folders)
        self.broken += check_sent(self.venue, self.marks, recorded)
        self.broken += check_claims(self.venue, recorded)
        return HostileResult(
            seed=self.plan.seed,
            plan=self.plan,
            broken=tuple(self.broken),
            records=self.records + len(self.session.records),
            orders=len(recorded.placed),
            fills=len(recorded.fills),
            sessions=len(self.folders),
            virtual_s=(self.venue.now_ns - START_NS) / SECOND_NS,
            stays_down=self.stays_down,
        )

    def _begin(self) -> None:
        number = len(self.folders)
        mark = f"h{'abcdefgh'[number]}" + "abcdef"
        self.folders.append(self.folder / mark)
        self.marks.append(mark)
        plan = self.plan
        strategy = msgspec.structs.replace(
            churn(), parameters={"seed": plan.seed, "orders_max": plan.orders_max, "busy": plan.busy}
        )
        self.session = HostileSession(
            self.venue,
            self.folders[-1],
            strategies=[strategy],
            session=mark,
            previous=self.previous,
            opening=self.opening,
            wire_ns=plan.wire_us * 1_000,
            seed=plan.seed,
        )

    # ---- time

    def _schedule(self, wait_ms: int, action: Callable[[], None]) -> None:
        heappush(self.later, (self.venue.now_ns + wait_ms * MILLISECOND_NS, len(self.later), action))

    def _run_until(self, end_ns: int, *, until: Callable[[Any], bool] | None = None) -> None:
        """Run the session to a time, with the events that are due before."""
        while True:
            due_ns = min(end_ns, self.later[0][0]) if self.later else end_ns
            if due_ns > self.venue.now_ns:
                self.session.run((due_ns - self.venue.now_ns) / SECOND_NS, until=until)
            if self.session.closing or (until is not None and until(self.session)):
                return
            if not self.later or self.later[0][0] > end_ns:
                return
            heappop(self.later)[2]()

    def _run(self, seconds: float, *, until: Callable[[Any], bool] | None = None) -> None:
        self._run_until(self.venue.now_ns + int(seconds * SECOND_NS), until=until)

    # ---- faults

    def _strike(self, fault: Fault) -> None:
        args = fault.args
        match fault.kind:
            case "ban":
                self.venue.sim.faults.banned_until_ns = self.venue.now_ns + args["seconds"] * SECOND_NS
            case "hidden_order":
                self.venue.fault(action="cut_answer", **PLACE)
                self.venue.fault(action="not_found_for", ms=args["ms"], **PLACE)
                self.venue.fault(action="delay_events", event=REPORT, times=3, ms=args["ms"])
            case "order_limit" | "refusal":
                self.venue.fault(action="reject", **args)
            case "venue_clock":
                self.venue.fault(action="clock_skew", ms=args["ms"])
                self._schedule(args["for_ms"], lambda: self.venue.fault(action="clock_skew", ms=0))
            case "clock_step":
                body = LinkBody(LinkEvent.CLOCK, drift_ns=args["ms"] * MILLISECOND_NS)
                self.session.gateway.accept(Arrival(Kind.LINK, "clock", body=text_of(body)))
            case "balance_moved":
                self.others.move_balance(**args)
            case "foreign_order":
                self._place_foreign(args)
            case "cancelled_by_hand":
                self.others.cancel_ours(self.marks, self.chance)
            case "command":
                self._command(args["command"])
                if args["command"] != "reconcile":
                    self._schedule(args["resume_ms"], lambda: self._command("resume"))
            case "slow_strategy":
                gateway = self.session.gateway
                gateway.busy_until_ns = max(gateway.busy_until_ns, self.venue.now_ns + args["ms"] * MILLISECOND_NS)
            case "kill" | "power_cut" | "stop_restart" | "disk_full":
                self._restart(fault)
            case kind:
                self.venue.fault(action=kind, **args)

    def _command(self, name: str) -> None:
        if not self.session.closing:
            self.session.command(name, "a hostile session")

    def _place_foreign(self, args: dict[str, Any]) -> None:
        order = self.others.place(side=args["side"], steps=args["steps"], lots=args["lots"])
        if args["cancel_ms"]:
            self._schedule(args["cancel_ms"], lambda: self.others.cancel(order))

    # ---- restarts

    def _restart(self, fault: Fault) -> None:
        """End the session as the fault says, wait, and start the next from the recovered journal."""
        session, closed = self.session, False
        self.records += len(session.records)
        match fault.kind:
            case "stop_restart":
                session.command(CommandName.STOP)
                self._run(END_S_MAX)
                if not session.closing:
                    raise BrokenError("a stop ends", f"not closed {END_S_MAX} s after the stop: {self._mode()}")
                self._check_closed()
                session.close_journal()
                closed = True
            case "disk_full":
                session.fill_disk()
                if self.plan.cancels_on_failure:
                    session.gateway.cancel_unrecorded()
            case _:
                session.kill(lost=fault.args.get("lost", 0), arrives=fault.args["arrives"])
        recovered = recover(session.folder)
        journal = Journal.open(session.folder)
        self.opening = rebuilt_state(journal)
        if recovered.last_seq == session.state.seq and self.opening.digests() != session.state.digests():
            raise BrokenError("a rebuild is the state", f"{session.folder.name} at its end")
        last = next(journal.records(recovered.last_seq))
        self.previous = PreviousSession(
            session.body.session,
            recovered.last_seq,
            recovered.chain,
            dropped_bytes=recovered.dropped_bytes,
            closed=closed,
            last_ns=last.time_ns,
        )
        self.venue.now_ns += fault.args["down_ms"] * MILLISECOND_NS
        self.venue.sim.advance(self.venue.now_ns)
        self._begin()

    # ---- the end

    def _end_faults(self) -> None:
        """End all faults: the venue is healthy again, and each person does what was promised."""
        sim = self.venue.sim
        while self.later:
            heappop(self.later)[2]()
        sim.faults.clear()
        self.session.gateway.busy_until_ns = 0

    def _mode(self) -> str:
        modes = self.session.state.account.modes
        return f"{modes.mode} {texts(modes.reasons)}".strip()

    def _come_back(self) -> bool:
        """Return True once the session trades again. A person resumes a halt or a pause that says why it is."""
        ended_seq = self.session.state.seq
        resumed = 0
        deadline_ns = self.venue.now_ns + BACK_S_MAX * SECOND_NS
        self._run(QUIET_S)
        while self.venue.now_ns < deadline_ns:
            modes = self.session.state.account.modes
            if any(record.seq > ended_seq for record in self.session.placements()):
                return True
            if modes.mode in (Mode.HALTED, Mode.PAUSED) and resumed < RESUMES_MAX:
                if not texts(modes.reasons):
                    raise BrokenError("a halt says why", self._mode())
                resumed += 1
                self._accept_moved()
                self._command("resume")
            self._run(QUIET_S)
        notes = (read_note(record.body or "") for record in self.session.kinds(Kind.NOTE) if record.seq > ended_seq)
        alarms = [note.text for note in notes if note.level is NoteLevel.ALARM]
        self.stays_down = f"{self._mode()}; {alarms[-1] if alarms else 'no alarm'}"
        is_silent = not alarms and self.session.state.account.modes.mode is not Mode.HALTED
        invariant = "a session that stays down says why" if is_silent else "trading comes back"
        self.broken.append(Broken(invariant, f"{BACK_S_MAX} s after the last fault: {self.stays_down}"))
        return False

    def _accept_moved(self) -> None:
        """Accept each drifted balance, as the person who moved it does. Raise BrokenError for any other drift."""
        for asset in self.session.state.account.ledger.drifted:
            if asset not in self.others.moved:
                raise BrokenError("a drift is a balance that someone moved", self._mode())
            self.session.command(CommandName.ACCEPT_BALANCE, "moved by hand", about=asset)

    def _settle(self) -> None:
        """Pause, wait for a reconciliation, and compare the books."""
        self._run(3)
        self._command("pause")
        paused_seq = self.session.state.seq
        self._run(5)
        self._command("reconcile")
        self._run(
            SETTLE_S_MAX,
            until=lambda s: (
                s.state.account.reconciling.done_started_seq > paused_seq
                and not s.state.account.requests.by_seq
                and s.state.account.modes.mode is Mode.PAUSED
            ),
        )
        self._run(2)
        modes, rounds = self.session.state.account.modes, self.session.state.account.reconciling
        if rounds.done_started_seq <= paused_seq:
            raise BrokenError("a paused session reconciles", f"not within {SETTLE_S_MAX} s: {self._mode()}")
        if modes.mode is Mode.PAUSED:
            self._check_books()

    def _check_books(self) -> None:
        self.session._flush()  # noqa: SLF001 - what is compared is on disk
        state = self.session.state
        recorded = read_chain(self.folders[:-1])
        read_records(self.session.records, recorded)
        self.broken += check_books(self.venue, state, self.marks, recorded, self.others.cash)

    def _end(self) -> None:
        """End the session: stop it, perhaps after cancelling all. Nothing of ours stays open."""
        session = self.session
        if self.plan.ends_by != "stop":
            self._command(self.plan.ends_by)
            self._run(60, until=lambda s: not s.state.account.safety.active)
            if left := open_own(self.venue, self.marks):
                self.broken.append(Broken("a safety order ends with none of ours open", ", ".join(left)))
        session.command(CommandName.STOP)
        self._run(END_S_MAX)
        if not session.closing:
            raise BrokenError("a stop ends", f"not closed {END_S_MAX} s after the stop: {self._mode()}")
        self._check_closed()
        session.close_journal()

    def _check_closed(self) -> None:
        closings = self.session.facts("session_closing")
        left = open_own(self.venue, self.marks)
        if left and closings and closings[-1]["reason"] == CloseReason.STOPPED:
            self.broken.append(Broken("after an ordered end none of ours is open", ", ".join(left)))


def run_hostile_in(scratch: Path, seed: int, *, kept: Sequence[int] | None = None) -> HostileResult:
    """Run a hostile session in its own folder, and remove the folder."""
    folder = scratch / f"seed-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return run_hostile(seed, folder, kept=kept)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def shrink_hostile(scratch: Path, failed: HostileResult, *, invariant: str = "") -> HostileResult:
    """Leave out faults one by one, as long as an invariant stays broken; return the last session that fails.

    Args:
        scratch: A folder for journals.
        failed: A session that broke an invariant.
        invariant: The invariant; the first broken one by default.
    """
    invariant = invariant or failed.broken[0].invariant
    smallest, again = failed, True
    while again:
        again = False
        for fault in smallest.plan.faults:
            kept = [each.number for each in smallest.plan.faults if each is not fault]
            result = run_hostile_in(scratch, failed.seed, kept=kept)
            if invariant in {broken.invariant for broken in result.broken}:
                smallest, again = result, True
                break
    return smallest
