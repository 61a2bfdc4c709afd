"""The input loop: the one place in which inputs get their order. It does not wait between an input and its outputs.

While the loop waits, a socket read is processed in the task that read it. Nothing runs beside it: a step never waits.
"""

from collections.abc import Callable, Sequence

import trio
from msgspec.structs import replace

from engine.bodies import CommandBody, LinkBody, LinkEvent, NoteBody
from engine.errors import CoreError
from engine.gc_tuning import collect_while_idle, freeze_started, is_collection_due
from engine.live import decision_watch, lag_meter
from engine.live.clock import SessionClock, wall_ns
from engine.live.decision_watch import DecisionWatch
from engine.live.ingress import Command, FrameBatch, Ingress, LinkDown
from engine.live.lag_meter import LagMeter
from engine.live.outputs import OutputDispatcher
from engine.record_codec import text_of
from engine.sequencer import Arrival, Sequencer
from engine.session_record import SECOND_NS
from engine.state.session_state import State
from journal.errors import JournalError
from journal.record import Kind
from journal.writer import JournalWriter

BATCH = 512  # messages after which the other tasks run
BATCH_NS_MAX = 20_000_000  # real time, after which they run too
UNREAD_NS = 200_000_000  # real time without reading sockets that counts as age of the messages read next
MEASURE_NEVER = 2**62
IDLE_SECONDS_MAX = 1.0
IDLE_SECONDS_MIN = 0.02  # without a timer that is due: time enough to collect garbage
NOTES_MAX, NOTE_TEXT_MAX = 20, 500  # of the remarks in the answer to a command


class InputLoop:
    """Takes arrivals from the ingress queue through the sequencer, and dispatches the outputs."""

    def __init__(
        self,
        sequencer: Sequencer,
        ingress: Ingress,
        clock: SessionClock,
        writer: JournalWriter,
        outputs: OutputDispatcher,
        *,
        watch: DecisionWatch,
    ) -> None:
        self.messages = 0  # processed
        self.lag_ns = 0  # from the socket read of the last message to the end of its step
        self._lag_peak_ns = 0  # the highest since `pop_lag_peak_ns`
        self._sequencer = sequencer
        self._ingress = ingress
        self._clock = clock
        self._writer = writer
        self._dispatch, self._flush, self._flush_now = outputs.dispatch, outputs.flush, outputs.flush_now
        settings = sequencer.kernel.session.settings
        self._watch = watch
        self._lag = LagMeter(settings)
        self._lag_checked_after_ns = settings.late_after_ns // clock.speed or MEASURE_NEVER  # real time
        self._lag_checked_over = settings.late_waiting_max or MEASURE_NEVER
        self._read_ns = 0  # wall clock when the sockets could be read last
        self._unread_ns = 0  # messages read since may have arrived as early as this; 0: every socket was empty since
        self._accept_batch = self._accept_frames
        self._slow_since_ns = 0  # wall clock when a step began that took long while the loop waited; 0: none
        self._error: BaseException | None = None  # of a step while it waited

    def sample(self, put_frames: Callable[[FrameBatch, int, int], None]) -> None:
        """Pass on each socket read that led to nothing, with seq and time of its newest message."""

        def accept(frames: FrameBatch, state: State) -> bool:
            before = state.seq
            has_request = self._accept_frames(frames, state)
            if state.seq - before == len(frames.payloads):  # neither outputs nor TIMERs among them
                put_frames(frames, state.seq, state.time_ns)
            return has_request

        self._accept_batch = accept

    def pop_lag_peak_ns(self) -> int:
        """Return the highest `lag_ns` since the last call, and begin again."""
        peak_ns, self._lag_peak_ns = self._lag_peak_ns, 0
        return peak_ns

    async def run(self, on_end: Callable[[Exception | None], None]) -> None:
        """Process inputs until the core closes the session, our code fails or the journal fails.

        Commands come first. A request ends a batch, so that it can leave. So does time: sockets must be read. `on_end`
        gets the CoreError or JournalError.
        """
        state, ingress = self._sequencer.state, self._ingress
        budget = BATCH
        freeze_started()
        self._read_ns = wall_ns()
        try:
            while not state.account.modes.closing and self._writer.failed is None:
                item = ingress.next()
                if self._unread_ns or self._lag.late_since_ns:
                    self._measure_lag(item.recv_ns if isinstance(item, FrameBatch) else 0)
                if isinstance(item, FrameBatch):
                    budget -= len(item.payloads)
                    has_request = self._accept_batch(item, state)
                elif item is not None:
                    budget -= 1
                    has_request = self._accept(item)
                else:
                    has_request = self._dispatch(self._sequencer.fire_timers(self._clock.now_ns()))
                if self._watch.overruns:
                    self._enter_overruns()
                now_ns = wall_ns()
                is_behind = now_ns - self._read_ns > BATCH_NS_MAX
                if item is not None and not (has_request or budget <= 0 or is_behind):
                    if self._writer.has_deferred and not ingress.is_empty:
                        self._writer.wake()  # a private record must not wait for the decisions of the inputs behind it
                    continue
                wait_s = 0.0
                if self._writer.has_deferred:
                    await self._flush()
                if self._unread_ns or now_ns - self._read_ns > UNREAD_NS:
                    await self._read_sockets()
                elif item is None and not state.account.modes.closing:
                    wait_s = min(max(self._clock.seconds_until(self._sequencer.next_due_ns), 0), IDLE_SECONDS_MAX)
                    if wait_s > IDLE_SECONDS_MIN:
                        collect_while_idle()
                    is_timely = not self._unread_ns and not self._lag.late_since_ns
                    await ingress.wait(wait_s, self._accept_now if is_timely else None)
                    await self._end_slow_step()
                else:
                    await trio.lowlevel.checkpoint()
                budget, self._read_ns = BATCH, wall_ns()
                if self._read_ns - now_ns > wait_s * SECOND_NS + UNREAD_NS:
                    self._unread_ns = self._unread_ns or now_ns
            on_end(None)
        except (CoreError, JournalError) as error:
            on_end(error)
        finally:
            self._writer.wake()  # the last step may be an urgent one
            ingress.close()

    async def _read_sockets(self) -> None:
        """Let the readers read what waits in their sockets. Until nothing waits, it may have arrived long ago."""
        self._unread_ns = self._unread_ns or self._read_ns
        if await self._ingress.read_out_sockets():
            self._unread_ns = 0

    # ---- while the loop waits

    def _accept_now(self) -> bool:
        """Process a socket read in the task that read it. Return False if the loop must run.

        The change of task to the loop and back would take an order 40 us.
        """
        frames, state = self._ingress.next(), self._sequencer.state
        assert isinstance(frames, FrameBatch), "the queue was empty before it came"
        due_ns = state.next_due_ns
        try:
            self._accept_batch(frames, state)
            if self._writer.has_deferred:
                self._flush_now()
        except BaseException as error:  # noqa: BLE001 - the connection of the reader is not to blame
            self._error = error
            return False
        if wall_ns() - frames.recv_ns > BATCH_NS_MAX:  # the step, or the disk
            self._slow_since_ns = frames.recv_ns
        is_over = state.account.modes.closing or self._writer.failed is not None
        has_more = self._watch.overruns or not self._ingress.is_empty or state.next_due_ns < due_ns
        return not (is_over or has_more or self._slow_since_ns or self._lag.late_since_ns or is_collection_due())

    async def _end_slow_step(self) -> None:
        """Raise the error of a step in another task, and read the sockets if it took long."""
        if self._error is not None:
            raise self._error
        if self._slow_since_ns:
            self._read_ns, self._slow_since_ns = self._slow_since_ns, 0
            await self._read_sockets()

    # ---- our own lateness

    def _measure_lag(self, recv_ns: int) -> None:
        """Report to the core that it is late, or caught up, before it processes a message received at `recv_ns`.

        0: a message without such a time, or none.
        """
        times_ns = [time_ns for time_ns in (recv_ns, self._unread_ns) if time_ns]
        age_ns = max(wall_ns() - min(times_ns), 0) * self._clock.speed if times_ns else 0
        if not recv_ns and not self._unread_ns and not self._ingress.is_empty:
            return  # the next market message says more
        body = self._lag.measure(self._clock.now_ns(), age_ns, self._ingress.waiting)
        if body is None:
            return
        busiest = self._watch.busiest()
        if body.state is LinkEvent.LATE and busiest is not None:
            body = replace(body, strategy=busiest.strategy, spent_ns=busiest.spent_ns)
        self._enter(lag_meter.SOURCE, body)

    def _enter_overruns(self) -> None:
        """Report decisions that exceeded their time budget to the core."""
        overruns = self._watch.overruns.copy()
        self._watch.overruns.clear()
        for overrun in overruns:
            self._enter(decision_watch.SOURCE, overrun.body())

    def _enter(self, source: str, body: LinkBody) -> None:
        """Enter a measurement before the TIMERs that became due meanwhile: they too act on old data."""
        sequencer = self._sequencer
        now_ns = self._clock.now_ns()
        if body.state is not LinkEvent.CAUGHT_UP:
            now_ns = min(now_ns, sequencer.next_due_ns - 1)
        self._dispatch(sequencer.accept(Arrival(Kind.LINK, source, body=text_of(body)), now_ns).outputs)

    def accept_first(self, arrivals: Sequence[Arrival]) -> None:
        """Process what the start of the session brought."""
        for arrival in arrivals:
            self._accept(arrival)

    def _accept_frames(self, frames: FrameBatch, state: State) -> bool:
        """Process the messages of a socket read. Return True if one led to a request."""
        source, payloads = frames.source, frames.payloads
        kind = Kind.FEED if frames.is_market else Kind.BROKER
        cause = state.account.links.by_source[source].up_seq
        has_request, start, watch = False, 0, self._watch
        while start < len(payloads):
            if (
                wall_ns() - frames.recv_ns > self._lag_checked_after_ns
                or self._ingress.waiting > self._lag_checked_over
            ):
                self._measure_lag(frames.recv_ns)
            rest = payloads[start:] if frames.is_market else payloads[start : start + 1]
            arrival = Arrival(kind, source, cause, recv_ns=frames.recv_ns, payloads=rest)
            accepted = self._sequencer.accept(arrival, self._clock.now_ns())
            applied, outputs = accepted.applied_count, accepted.outputs
            start += applied
            if outputs and self._dispatch(outputs):
                has_request = True
            if (watch.is_slow or has_request) and start < len(payloads):  # the rest waits until the request has left
                self._ingress.put_back(FrameBatch(source, frames.is_market, frames.recv_ns, payloads[start:]))
                break
        watch.is_slow = False
        self.messages += start
        self.lag_ns = lag_ns = wall_ns() - frames.recv_ns
        self._lag_peak_ns = max(self._lag_peak_ns, lag_ns)
        return has_request

    def _accept(self, item: Arrival | LinkDown | Command) -> bool:
        """Process a single input. Return True if it led to a request."""
        if isinstance(item, Command):
            return self._accept_command(item)
        arrival = self._link_down(item) if isinstance(item, LinkDown) else item
        if arrival.payload and arrival.source in self._sequencer.kernel.session.polled.sources:
            self.messages += 1  # a polled market has answers in the place of frames
        return self._dispatch(self._sequencer.accept(arrival, self._clock.now_ns()).outputs)

    def _link_down(self, down: LinkDown) -> Arrival:
        """Return the LINK down input. Its cause is the LINK up that it ends or else the request."""
        link = self._sequencer.state.account.links.by_source.get(down.source)
        cause = link.up_seq if link is not None and link.up_seq >= 0 else down.request_seq
        return Arrival(Kind.LINK, down.source, cause=cause, body=text_of(LinkBody(LinkEvent.DOWN, down.reason)))

    def _accept_command(self, command: Command) -> bool:
        body = CommandBody(
            command.name, command.by, command.reason, self._sequencer.kernel.session.recorded_name(command.about)
        )
        sequencer, now_ns = self._sequencer, self._clock.now_ns()
        has_request = self._dispatch(sequencer.fire_timers(now_ns))  # so that the next record is the command
        command.seq = sequencer.state.seq + 1
        arrival = Arrival(Kind.COMMAND, "control", body=text_of(body))
        outputs = sequencer.accept(arrival, now_ns).outputs
        has_request |= self._dispatch(outputs)
        notes = [output.body.text for output in outputs if isinstance(output.body, NoteBody)]
        command.notes = tuple(text[:NOTE_TEXT_MAX] for text in notes[:NOTES_MAX])
        modes = sequencer.state.account.modes
        command.mode, command.reasons = str(modes.mode), tuple(reason.text for reason in modes.reasons)
        command.done.set()
        return has_request
