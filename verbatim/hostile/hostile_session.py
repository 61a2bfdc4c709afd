"""A VirtualSession that can be killed at any record, lose its tail, run out of disk and fall behind its own inputs."""

import errno
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engine.bodies import LinkEvent, RequestBody
from engine.live.lag_meter import SOURCE, LagMeter
from engine.model import Instrument
from engine.record_codec import text_of
from engine.sequencer import Arrival
from engine.sim.simulated_wires import RequestRecord
from engine.sim.virtual_gateway import VirtualGateway
from journal.disk import RealDisk
from journal.errors import JournalError
from journal.record import Kind, Record
from journal.writer import JournalWriter
from journal.writer_options import ClosedSummary
from verbatim.hostile.emergency_run import cancel_after_failure
from verbatim.testing import VirtualSession, VirtualVenue

HELD_STEPS = 64  # that a power cut may lose
NEVER_S = 3_600.0
PATIENCE_S = 30.0


class HostileVenue(VirtualVenue):
    """A venue whose metadata is read once: a fault of a session is no fault of its start."""

    _listed: tuple[Instrument, ...] = ()

    def instruments(self) -> tuple[Instrument, ...]:
        """Return the instruments of the venue."""
        self._listed = self._listed or super().instruments()
        return self._listed


class FillableDisk(RealDisk):
    """A disk that refuses every write once `is_full` is set."""

    is_full = False

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Append, or raise ENOSPC."""
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(name, data)


class HostileGateway(VirtualGateway):
    """A gateway whose session can be busy: inputs wait in order, and timers fire late."""

    busy_until_ns = 0
    sent_seq = -1  # the last request that left, of those that change the venue
    _backlog: deque[Arrival] | None = None
    _lag: LagMeter | None = None

    def accept(self, arrival: Arrival) -> None:
        """Step the session with an arrival, or queue it while the session is busy."""
        if self.venue.now_ns < self.busy_until_ns:
            if self._backlog is None:
                self._backlog = deque()
            self._backlog.append(arrival)
            return
        super().accept(arrival)

    def next_ns(self) -> int:
        """Return when something is due next."""
        if self.venue.now_ns >= self.busy_until_ns:
            return super().next_ns()
        due = [self.busy_until_ns, self.coming_ns]
        if (venue_ns := self.venue.sim.next_due_ns) is not None:
            due.append(venue_ns)
        return min(due)

    def advance(self, arrivals: Iterable[tuple[int, Callable[[], None]]] = ()) -> None:
        """Run everything due; while the session is busy, only what does not concern it."""
        if self.venue.now_ns < self.busy_until_ns:
            self.pass_market()
            self._come(self.venue.now_ns)
            return
        self._measure_lag()
        while self._backlog:
            super().accept(self._backlog.popleft())
            self._measure_lag()
        super().advance(arrivals)

    def _measure_lag(self) -> None:
        """Report to the core that it is late, or caught up, as the shell does (engine/live/input_loop.py)."""
        if self._lag is None:
            self._lag = LagMeter(self.sequencer.kernel.session.settings)
        if self.closing or (not self._backlog and not self._lag.late_since_ns):
            return
        now_ns, waiting = self.venue.now_ns, len(self._backlog or ())
        age_ns = next((now_ns - arrival.recv_ns for arrival in self._backlog or () if arrival.recv_ns), 0)
        body = self._lag.measure(now_ns, age_ns, waiting)
        if body is not None:
            at_ns = now_ns if body.state is LinkEvent.CAUGHT_UP else min(now_ns, self.sequencer.next_due_ns - 1)
            self.perform(self.sequencer.accept(Arrival(Kind.LINK, SOURCE, body=text_of(body)), at_ns).outputs)

    def _send(self, record: RequestRecord, request: RequestBody) -> None:
        if request.mutates:
            self.sent_seq = max(self.sent_seq, record.seq)
        super()._send(record, request)

    def cancel_unrecorded(self) -> list[str]:
        """Cancel as the shell does after its journal failed. Return the ids of the orders that may still be open."""
        return cancel_after_failure(self.venue, self.sequencer.kernel.session, self.state.account, self._key)

    def let_arrive(self) -> None:
        """Let the requests on their way reach the venue, without their answers reaching anyone."""
        for coming in sorted(self._coming):
            if isinstance(coming.action, partial) and coming.action.func == self._send:
                record, request = coming.action.args
                if request.mutates:
                    self._send(record, request)
        self._coming.clear()


class HostileSession(VirtualSession):
    """A session whose journal reaches the disk a little later, so that its end decides what is lost."""

    gateway_class = HostileGateway

    def __init__(self, *args: Any, **settings: Any) -> None:
        """Start a session; the arguments are VirtualSession's."""
        self._held: deque[Sequence[Record]] = deque()
        self.is_failed = False
        super().__init__(*args, **settings)

    @property
    def gateway(self) -> HostileGateway:
        """The session's gateway."""
        assert isinstance(self._shell, HostileGateway)
        return self._shell

    def _create_writer(self) -> JournalWriter:
        self.disk = FillableDisk.create_folder(self.folder)
        return JournalWriter.create(
            self.folder, disk=self.disk, sync=False, group_delay_s=NEVER_S, sync_delay_s=NEVER_S, segment_age_s=NEVER_S
        )

    def _append(self, records: Sequence[Record], *, urgent: bool) -> None:
        del urgent  # one sync at the end makes the same bytes durable
        self.records.extend(records)
        self._held.append(records)
        if len(self._held) > HELD_STEPS:
            self.writer.append_step(self._held.popleft())

    def _flush(self) -> None:
        """Bring everything that is held to the disk."""
        if not self._held:
            return
        last_seq = self._held[-1][-1].seq
        while self._held:
            records = self._held.popleft()
            self.writer.append_step(records, urgent=not self._held)
        self.writer.wait_durable(last_seq, PATIENCE_S)

    def _drop_tail(self, lost: int) -> None:
        """Forget the last steps, but none whose request has left: that one was durable first."""
        while lost and len(self._held) > 1 and self._held[-1][-1].seq > self.gateway.sent_seq:
            if any(record.seq <= self.gateway.sent_seq for record in self._held[-1]):
                break
            gone = self._held.pop()
            del self.records[-len(gone) :]
            lost -= 1

    def kill(self, *, lost: int = 0, arrives: bool = False) -> Path:
        """Abandon the session as a killed process does.

        Args:
            lost: Steps at the journal's end that a power cut takes.
            arrives: The requests on their way reach the venue.
        """
        if arrives:
            self.gateway.let_arrive()
        self._drop_tail(lost)
        self._flush()
        self.gateway.hang_up()
        self.writer.abandon()
        return self.folder

    def fill_disk(self) -> Path:
        """Fail the journal as a full disk does: records not yet durable are lost, and their requests never leave."""
        lost: deque[Sequence[Record]] = deque()
        while len(self._held) > 1 and self._held[-1][0].seq > self.gateway.sent_seq:
            lost.appendleft(self._held.pop())
        self._flush()
        self.disk.is_full = True
        try:
            for records in lost:
                self.writer.append_step(records, urgent=True)
                self.writer.wait_durable(records[-1].seq, PATIENCE_S)
        except JournalError:
            self.is_failed = True
        self.gateway.hang_up()
        self.writer.abandon()
        return self.folder

    def placements(self) -> list[Record]:
        """Return the requests that place orders so far."""
        return [record for record in self.kinds(Kind.REQUEST) if '"purpose":"place' in (record.body or "")]

    def close_journal(self) -> ClosedSummary:
        """Seal the journal of a session that closed in order."""
        assert self.closing, "the session did not close"
        self._flush()
        self.gateway.hang_up()
        return self.writer.close()
