"""The venue of a hostile session, its present process and its chain of journals: time, ends and restarts."""

from collections.abc import Callable
from functools import cache
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import msgspec

from engine.bodies import CommandName
from engine.facts import CloseReason
from engine.live.previous_session import rebuilt_state
from engine.mode_reasons import texts
from engine.session_record import MILLISECOND_NS, SECOND_NS, PreviousSession, StrategySettings
from engine.sim.feeds.synthetic_feed import Chance
from engine.state.session_state import State
from journal.reader import Journal
from journal.recover import recover
from verbatim.hostile.fault_plan import Fault, FaultPlan
from verbatim.hostile.hostile_result import BrokenError
from verbatim.hostile.hostile_session import HostileSession, HostileVenue
from verbatim.hostile.invariants import Broken, open_own
from verbatim.hostile.other_programs import OtherPrograms
from verbatim.hostile.sparse_market import SparseMarket
from verbatim.testing import START_NS, strategy_settings

SYMBOL = "BTCUSDT"
END_S_MAX = 90  # for an ordered end


@cache
def churn() -> StrategySettings:
    """Return the strategy of hostile sessions as a SESSION record holds it."""
    return strategy_settings(Path(__file__).parent / "churn.py", "Churn")


class HostileStage:
    """The venue and the session of a plan, and the values that the checks need."""

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

    def begin(self) -> None:
        """Start the next process of the session."""
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

    def schedule(self, wait_ms: int, action: Callable[[], None]) -> None:
        """Run an action after a wait."""
        heappush(self.later, (self.venue.now_ns + wait_ms * MILLISECOND_NS, len(self.later), action))

    def run_until(self, end_ns: int, *, until: Callable[[Any], bool] | None = None) -> None:
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

    def run(self, seconds: float, *, until: Callable[[Any], bool] | None = None) -> None:
        """Run the session for some seconds, at most until a condition holds."""
        self.run_until(self.venue.now_ns + int(seconds * SECOND_NS), until=until)

    def command(self, name: str) -> None:
        """Send a command, unless the session has closed."""
        if not self.session.closing:
            self.session.command(name, "a hostile session")

    def mode_text(self) -> str:
        """Return the mode with its reasons."""
        modes = self.session.state.account.modes
        return f"{modes.mode} {texts(modes.reasons)}".strip()

    # ---- restarts

    def restart(self, fault: Fault) -> None:
        """End the session as the fault says, wait, and start the next from the recovered journal."""
        session, closed = self.session, False
        self.records += len(session.records)
        match fault.kind:
            case "stop_restart":
                session.command(CommandName.STOP)
                self.run(END_S_MAX)
                if not session.closing:
                    raise BrokenError("a stop ends", f"not closed {END_S_MAX} s after the stop: {self.mode_text()}")
                self.check_closed()
                session.close_journal()
                closed = True
            case "disk_full":
                session.fill_disk()
                if self.plan.cancels_on_failure:
                    self._check_emergency(session.gateway.cancel_unrecorded())
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
        self.begin()

    def _check_emergency(self, named: list[str]) -> None:
        """Verify that an emergency cancel closed our orders or named them, except those that no query finds."""
        now_ns, faults = self.venue.now_ns, self.venue.sim.faults
        left = [name for name in open_own(self.venue, self.marks) if name not in named]
        if left := [name for name in left if not faults.hidden(name, now_ns)]:
            self.broken.append(Broken("the emergency cancel names what it leaves open", ", ".join(left)))

    def check_closed(self) -> None:
        """Note our open orders as broken if the session closed in order."""
        closings = self.session.facts("session_closing")
        left = open_own(self.venue, self.marks)
        if left and closings and closings[-1]["reason"] == CloseReason.STOPPED:
            self.broken.append(Broken("after an ordered end none of ours is open", ", ".join(left)))
