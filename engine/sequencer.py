"""The sequencer: it gives every input its place in the one total order and takes it through a step.

It waits for nothing and reads no clock. Live, in virtual time and in a resimulation, its caller says what arrived and
what time it is, and performs the outputs. A TIMER that is due comes before any later input.
"""

from collections.abc import Callable, Sequence
from decimal import localcontext
from typing import Protocol

import msgspec
from msgspec.structs import astuple

from engine.apply.batch import Batch
from engine.apply.due_timers import due_timer, next_timer, timer_record
from engine.apply.inputs import apply, triggered_by_timer
from engine.errors import CoreError
from engine.handlers.fired_timers import HANDLED_ONLY, leads_to_nothing
from engine.kernel import Kernel, StepResult
from engine.money import MONEY
from engine.session_record import SessionBody
from engine.state.session_state import State
from engine.step_context import Output, records_of
from engine.timer_names import TimerName
from engine.unwritten import StatedMessage, UnwrittenRecord
from engine.upcast import SCHEMA
from journal.record import Kind, Record, canonical

URGENT_INPUTS = frozenset({Kind.SESSION, Kind.BROKER, Kind.LINK, Kind.COMMAND})


class Append(Protocol):
    """The destination of the records of steps."""

    def __call__(self, records: Sequence[Record], *, urgent: bool) -> None:
        """Append the records of one step. `urgent` records must become durable at once."""
        ...


OnStep = Callable[[Sequence[Record], Sequence[Output]], None]  # receives the inputs and outputs of a step


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """Something from outside that has no place in the order yet."""

    kind: Kind
    source: str
    cause: int | None = None
    key: str | None = None
    recv_ns: int | None = None
    meta: str | None = None
    payload: bytes | None = None
    body: str | None = None
    payloads: Sequence[bytes] = ()  # instead of `payload`: market frames that were read together, each an input
    message: StatedMessage | None = None  # instead of `payload` and `meta`: its bytes are made when they are read


class Accepted(msgspec.Struct, frozen=True):
    """The result of an arrival."""

    applied_count: int  # of its payloads, from the first on; the caller brings the rest again
    outputs: Sequence[Output]


class Sequencer:
    """One session from its SESSION record on. `append` is called once a step, with its inputs and outputs."""

    def __init__(self, kernel: Kernel, append: Append) -> None:
        self.kernel = kernel
        self._append = append
        self.has_begun = False
        self.state: State  # after the last step; `begin` makes it

    @property
    def next_due_ns(self) -> int:
        """Session time at which `fire_timers` must be called at the latest."""
        return self.state.next_due_ns

    def begin(self, session: SessionBody) -> list[Output]:
        """Make the SESSION record, the first of all, and return its outputs."""
        assert not self.has_begun, "a session begins once"
        assert session.schema == SCHEMA, f"records of today cannot enter a journal of schema {session.schema}"
        record = Record(seq=0, time_ns=session.started_ns, kind=Kind.SESSION, source="shell", body=canonical(session))
        self.state = self.kernel.begin(record)
        self.has_begun = True
        outputs = self.kernel.open_session(self.state, record)
        self._deliver([record], outputs, urgent=True)
        return outputs

    def accept(self, arrival: Arrival, now_ns: int) -> Accepted:
        """Fire due TIMERs, then make the arrival's records and step them.

        Returns:
            All outputs, oldest first. Of several payloads the first that leads to outputs ends the step.

        """
        state = self.state
        outputs = self.fire_timers(now_ns) if state.next_due_ns <= now_ns else []
        time_ns = max(now_ns, state.time_ns)
        kind, source, cause, key, recv_ns, meta, payload, body, payloads, message = astuple(arrival)
        seq = state.seq + 1
        records: list[Record]
        if message is not None:
            records = [UnwrittenRecord(seq, time_ns, kind, source, cause, key, recv_ns, message=message)]
        elif len(payloads) < 2:
            if payloads:
                [payload] = payloads
            records = [Record(seq, time_ns, kind, source, cause, key, recv_ns, meta, payload, body)]
        else:
            records = [
                Record(number, time_ns, kind, source, cause, key, recv_ns, meta, each, body)
                for number, each in enumerate(payloads, seq)
            ]
        result = self.step(Batch(records))
        return Accepted(len(result.records), [*outputs, *result.outputs] if outputs else result.outputs)

    def step(self, batch: Batch) -> StepResult:
        """Step a batch of records (see Kernel.step), and append the inputs and their outputs.

        Raises:
            CoreError: Our own code failed. The inputs and the HALT are appended.

        """
        try:
            result = self.kernel.step(self.state, batch)
        except CoreError as error:
            self._append([*error.records, *error.outputs], urgent=True)
            raise
        records, outputs = result.records, result.outputs
        if records:
            is_urgent = records[-1].kind in URGENT_INPUTS or Kind.REQUEST in [output.kind for output in outputs]
            if outputs:
                self._deliver(records, outputs, urgent=is_urgent)
            else:
                self._append(records, urgent=is_urgent)
        return result

    def _deliver(self, inputs: Sequence[Record], outputs: Sequence[Output], *, urgent: bool) -> None:
        """Append the records of one step."""
        self._append([*inputs, *records_of(outputs)], urgent=urgent)

    def fire_timers(self, now_ns: int) -> list[Output]:
        """Take every TIMER due at or before `now_ns`, by (due, name). A timer that missed k periods fires once."""
        state = self.state
        outputs: list[Output] = []
        while state.next_due_ns <= now_ns:
            outputs += self._fire_timer(now_ns)
        return outputs

    def _fire_timer(self, now_ns: int) -> Sequence[Output]:
        """Take the first TIMER that is due."""
        timer = due_timer(self.state, self.kernel.session.timer_periods_ns, now_ns)
        return self.step(Batch((timer,))).outputs

    def skip_timer(self) -> bool:
        """Let the next TIMER pass without a record, if it leads to nothing: to no output and to no decision.

        For a caller that keeps only what led to outputs. Return True if it passed.
        """
        state, session = self.state, self.kernel.session
        if not state.quiescent or session.runner.early is not None:
            return False
        due_ns, name = next_timer(state)
        wanted, period_ns = TimerName.parse(name), session.timer_periods_ns.get(name, 0)
        timer = timer_record(state.time_ns, due_ns, name, seq=state.seq + 1, period_ns=period_ns)
        if wanted.kind in HANDLED_ONLY:
            with localcontext(MONEY):
                passes = leads_to_nothing(session, state, timer)
        else:
            strategies, decides = triggered_by_timer(state, wanted), session.runner.decides_early
            passes = bool(strategies) and not decides(state.account, state.market, name, due_ns, strategies)
        if not passes:
            return False
        apply(session, state, Batch((timer,)))
        state.hash_inputs((timer,))
        state.time_ns = timer.time_ns
        return True


class UnrecordedSequencer(Sequencer):
    """A sequencer whose steps are passed on as they are: an output becomes text when it is read.

    So one that cannot be written does not break its step here, as it does where a journal is written.
    """

    def __init__(self, kernel: Kernel, on_step: OnStep) -> None:
        super().__init__(kernel, self._pass_on)
        kernel.writes_records = False
        self._on_step = on_step

    def begin(self, session: SessionBody) -> list[Output]:
        """Make the SESSION record. No journal can be compared with the inputs, so their hash stays empty."""
        outputs = super().begin(session)
        self.state.stop_hashing()
        return outputs

    def fire_timers(self, now_ns: int) -> list[Output]:
        """Take every TIMER due at or before `now_ns`. One that leads to nothing has no record, as in a fold."""
        state = self.state
        outputs: list[Output] = []
        while state.next_due_ns <= now_ns:
            if not self.skip_timer():
                outputs += self._fire_timer(now_ns)
        return outputs

    def _pass_on(self, records: Sequence[Record], *, urgent: bool) -> None:
        del urgent
        self._on_step(records, ())

    def _deliver(self, inputs: Sequence[Record], outputs: Sequence[Output], *, urgent: bool) -> None:
        del urgent
        self._on_step(inputs, outputs)
