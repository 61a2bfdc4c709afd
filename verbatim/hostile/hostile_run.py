"""One hostile session from its seed: play the plan, let trading come back, settle, compare the books, end, replay."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.bodies import LinkBody, LinkEvent
from engine.errors import CoreError
from engine.record_codec import text_of
from engine.sequencer import Arrival
from engine.session_record import MILLISECOND_NS, SECOND_NS
from engine.sim.faults import ScriptedFault
from journal.record import Kind
from journal.recover import recover
from verbatim.hostile.aftermath import Aftermath
from verbatim.hostile.fault_plan import LAST_MS, PLACE, REPORT, RESTARTS, Fault, FaultPlan, draw_plan
from verbatim.hostile.hostile_result import BrokenError, HostileResult
from verbatim.hostile.invariants import Broken, check_claims, check_journal, check_sent, read_chain
from verbatim.testing import START_NS


def run_hostile(seed: int, folder: Path, *, kept: Sequence[int] | None = None) -> HostileResult:
    """Run the hostile session of a seed in an empty folder, and check its invariants.

    Args:
        seed: The seed.
        folder: The folder for the journals. It stays.
        kept: The numbers of the faults to keep. None: all.
    """
    return run_plan(draw_plan(seed, kept), folder)


def run_plan(plan: FaultPlan, folder: Path) -> HostileResult:
    """Run the hostile session of a plan in an empty folder, and check its invariants."""
    return _HostileRun(plan, folder).play()


class _HostileRun(Aftermath):
    def play(self) -> HostileResult:
        """Play the plan and check every invariant."""
        scripted = self.venue.sim.faults.scripted
        rules: dict[int, list[ScriptedFault]] = {}  # by number of the fault
        try:
            self.begin()
            start_ns = self.venue.now_ns
            for fault in self.plan.faults:
                self.run_until(start_ns + fault.at_ms * MILLISECOND_NS)
                before = len(scripted)
                self._strike(fault)
                rules[fault.number] = scripted[before:]
            self.run_until(start_ns + LAST_MS * MILLISECOND_NS)
            self.end_faults()
            if self.come_back():
                self.settle()
            self.end()
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
            missed=tuple(number for number in rules if not all(rule.struck for rule in rules[number])),
        )

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
            case "not_found_for":  # an order is queried if nothing else is known of it
                self.venue.fault(action="cut_answer", **PLACE)
                self.venue.fault(action="drop_events", event="NEW")
                self.venue.fault(action="not_found_for", **args)
            case "order_limit" | "refusal":
                self.venue.fault(action="reject", **args)
            case "venue_clock":
                self.venue.fault(action="clock_skew", ms=args["ms"])
                self.schedule(args["for_ms"], lambda: self.venue.fault(action="clock_skew", ms=0))
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
                self.command(args["command"])
                if args["command"] != "reconcile":
                    self.schedule(args["resume_ms"], lambda: self.command("resume"))
            case "slow_strategy":
                gateway = self.session.gateway
                gateway.busy_until_ns = max(gateway.busy_until_ns, self.venue.now_ns + args["ms"] * MILLISECOND_NS)
            case kind if kind in RESTARTS:
                self.restart(fault)
            case kind:
                self.venue.fault(action=kind, **args)

    def _place_foreign(self, args: dict[str, Any]) -> None:
        order = self.others.place(side=args["side"], steps=args["steps"], lots=args["lots"])
        if args["cancel_ms"]:
            self.schedule(args["cancel_ms"], lambda: self.others.cancel(order))


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
