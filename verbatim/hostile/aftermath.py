"""The end of a hostile session: faults end, trading comes back, the books are compared, the session stops."""

from heapq import heappop

from engine.bodies import CommandName, NoteLevel
from engine.market.layout import NEVER
from engine.mode_reasons import Mode, texts
from engine.record_codec import read_note
from engine.session_record import SECOND_NS
from journal.record import Kind
from verbatim.hostile.hostile_result import BrokenError
from verbatim.hostile.hostile_stage import END_S_MAX, HostileStage
from verbatim.hostile.invariants import Broken, check_books, open_own, read_chain, read_records

QUIET_S = 15  # after the last fault until the first look
RESUMES_MAX = 3  # by a person
BACK_S_MAX = 600  # by then trading has come back, or the session says why not
SETTLE_S_MAX = 180  # for a reconciliation while paused
ARRIVED_S_MAX = 10  # by then there was a moment with no message under way


class Aftermath(HostileStage):
    """A stage after its last fault."""

    stays_down = ""  # why trading did not come back, as the session said

    def end_faults(self) -> None:
        """End all faults: the venue is healthy again, and each person does what was promised."""
        sim = self.venue.sim
        while self.later:
            heappop(self.later)[2]()
        sim.faults.clear()
        self.session.gateway.busy_until_ns = 0

    def come_back(self) -> bool:
        """Return True once the session trades again. A person resumes a halt or a pause that says why it is."""
        ended_seq = self.session.state.seq
        resumed = 0
        deadline_ns = self.venue.now_ns + BACK_S_MAX * SECOND_NS
        self.run(QUIET_S)
        while self.venue.now_ns < deadline_ns:
            modes = self.session.state.account.modes
            if any(record.seq > ended_seq for record in self.session.placements()):
                return True
            if modes.mode in (Mode.HALTED, Mode.PAUSED) and resumed < RESUMES_MAX:
                if not texts(modes.reasons):
                    raise BrokenError("a halt says why", self.mode_text())
                resumed += 1
                self._accept_moved()
                self.command("resume")
            self.run(QUIET_S)
        notes = (read_note(record.body or "") for record in self.session.kinds(Kind.NOTE) if record.seq > ended_seq)
        alarms = [note.text for note in notes if note.level is NoteLevel.ALARM]
        self.stays_down = f"{self.mode_text()}; {alarms[-1] if alarms else 'no alarm'}"
        is_silent = not alarms and self.session.state.account.modes.mode is not Mode.HALTED
        invariant = "a session that stays down says why" if is_silent else "trading comes back"
        self.broken.append(Broken(invariant, f"{BACK_S_MAX} s after the last fault: {self.stays_down}"))
        return False

    def _accept_moved(self) -> None:
        """Accept each drifted balance, as the person who moved it does. Raise BrokenError for any other drift."""
        for asset in self.session.state.account.ledger.drifted:
            if asset not in self.others.moved:
                raise BrokenError("a drift is a balance that someone moved", self.mode_text())
            self.session.command(CommandName.ACCEPT_BALANCE, "moved by hand", about=asset)

    def settle(self) -> None:
        """Compare the books after a pause and a reconciliation."""
        self.run(3)
        self.command("pause")
        paused_seq = self.session.state.seq
        self.run(5)
        self.command("reconcile")
        self.run(
            SETTLE_S_MAX,
            until=lambda s: (
                s.state.account.reconciling.done_started_seq > paused_seq
                and not s.state.account.requests.by_seq
                and s.state.account.modes.mode is Mode.PAUSED
            ),
        )
        self.run(2)
        modes, rounds = self.session.state.account.modes, self.session.state.account.reconciling
        if rounds.done_started_seq <= paused_seq:
            raise BrokenError("a paused session reconciles", f"not within {SETTLE_S_MAX} s: {self.mode_text()}")
        if modes.mode is Mode.PAUSED:
            self._await_arrivals()
            self._check_books()

    def _await_arrivals(self) -> None:
        """Wait until nothing is under way: a fill of this moment is in the venue's books before it is in ours."""
        self.run(ARRIVED_S_MAX, until=lambda _session: not self._is_under_way())
        if self._is_under_way():
            raise BrokenError("messages arrive", f"for {ARRIVED_S_MAX} s always one was under way")

    def _is_under_way(self) -> bool:
        return self.venue.sim.next_sent_ns is not None or self.session.gateway.coming_ns != NEVER

    def _check_books(self) -> None:
        self.session._flush()  # noqa: SLF001 - what is compared is on disk
        state = self.session.state
        recorded = read_chain(self.folders[:-1])
        read_records(self.session.records, recorded)
        self.broken += check_books(self.venue, state, self.marks, recorded, self.others.cash)

    def end(self) -> None:
        """End the session: stop it, perhaps after cancelling all. Nothing of ours stays open."""
        session = self.session
        if self.plan.ends_by != "stop":
            self.command(self.plan.ends_by)
            self.run(60, until=lambda s: not s.state.account.safety.active)
            if left := open_own(self.venue, self.marks):
                self.broken.append(Broken("a safety order ends with none of ours open", ", ".join(left)))
        session.command(CommandName.STOP)
        self.run(END_S_MAX)
        if not session.closing:
            raise BrokenError("a stop ends", f"not closed {END_S_MAX} s after the stop: {self.mode_text()}")
        self.check_closed()
        session.close_journal()
