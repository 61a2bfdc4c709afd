"""Gives every input its place in the one total order and takes it through a step. Waits for nothing and reads no clock.

Live, in virtual time and in a resimulation alike: whoever drives it says what arrived and what time it is, and gets the
outputs to perform. Before an input whose time has passed a due time, the TIMER is taken first.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from engine.apply.batches import RecordsOf
from engine.apply.inputs import apply_input
from engine.bodies import TimerBody
from engine.errors import CoreError
from engine.kernel import Kernel
from engine.market.rows import Rows
from engine.record_codec import text_of
from engine.session_record import SessionBody
from engine.state.session_state import State
from engine.state.timers import strategy_of
from journal.record import Kind, Record, canonical

Append = Callable[[Sequence[Record], bool], None]  # (the records of one step, whether its group must close at once)
URGENT_INPUTS = frozenset({Kind.SESSION, Kind.BROKER, Kind.LINK, Kind.COMMAND})


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


class Sequencer:
    """One session from its SESSION record on. `append` is called once for each step, with the input and its outputs."""

    def __init__(self, kernel: Kernel, append: Append) -> None:
        self.kernel = kernel
        self._append = append
        self.state: State | None = None

    def begin(self, session: SessionBody) -> list[Record]:
        """Takes the SESSION record: the first of all. Returns the outputs to perform."""
        assert self.state is None, "a session begins once"
        record = Record(
            seq=0,
            time_ns=session.started_ns,
            kind=Kind.SESSION,
            source="shell",
            body=canonical(session),
        )
        self.state = self.kernel.begin(record)
        outputs = self.kernel.open_turn(self.state, record)
        self.state.seq = len(outputs)
        self._append([record, *outputs], True)
        return outputs

    @property
    def next_due_ns(self) -> int:
        assert self.state is not None, "begin comes first"
        return self.state.next_due_ns

    def take(self, arrival: Arrival, now_ns: int) -> list[Record]:
        """Takes due TIMERs, then the arrival. Returns all outputs that this led to, oldest first."""
        state = self.state
        assert state is not None, "begin comes first"
        outputs = self.take_due(now_ns) if state.next_due_ns <= now_ns else []
        record = Record(
            seq=state.seq + 1,
            time_ns=max(now_ns, state.time_ns),
            kind=arrival.kind,
            source=arrival.source,
            cause=arrival.cause,
            key=arrival.key,
            recv_ns=arrival.recv_ns,
            meta=arrival.meta,
            payload=arrival.payload,
            body=arrival.body,
        )
        return outputs + self._step(record) if outputs else self._step(record)

    def take_frames(
        self, source: str, cause: int | None, recv_ns: int, payloads: Sequence[bytes], now_ns: int
    ) -> tuple[int, list[Record]]:
        """`take` for market frames that arrived together: the same records, many at once where they lead to nothing.

        Returns how many were taken, up to the first that led to something, and all outputs; the caller comes again for the rest.
        """
        state = self.state
        assert state is not None, "begin comes first"
        time_ns = max(now_ns, state.time_ns)
        if state.next_due_ns <= time_ns:
            return 0, self.take_due(time_ns)
        records = [
            Record(seq, time_ns, Kind.FEED, source, cause, None, recv_ns, None, payload)
            for seq, payload in enumerate(payloads, state.seq + 1)
        ]
        return self.repeat_frames(records)

    def repeat(self, record: Record) -> list[Record]:
        """Takes an input that has its place already: one that was recorded, TIMERs too."""
        return self._step(record)

    def repeat_frames(self, records: Sequence[Record]) -> tuple[int, list[Record]]:
        """The same of stream frames of one source, as many as lead to nothing, and the first that does; 0 where a TIMER must precede."""
        state = self.state
        assert state is not None, "begin comes first"
        try:
            count, outputs = self.kernel.step_frames(state, records)
        except CoreError as error:
            # what broke us, and the HALT it left, are in the journal before anybody hears of it
            self._append([*records[: error.taken], *error.outputs], True)
            raise
        if count:
            asked = any(output.kind is Kind.REQUEST for output in outputs)
            self._append([*records[:count], *outputs], asked)
        return count, outputs

    def take_rows(
        self, rows: Rows, start: int, until_ns: int | None, records_of: RecordsOf
    ) -> tuple[int, list[Record]]:
        """Rows of a recorded market (see frames.take_rows): the next row, and what the last record led to."""
        state = self.state
        assert state is not None, "begin comes first"
        seen: list[Sequence[Record]] = []  # also where the core breaks on them

        def numbered(first: int, end: int, woken: bool) -> Sequence[Record]:  # noqa: FBT001 - RecordsOf
            seen.append(records_of(first, end, woken))
            return seen[-1]

        try:
            end, records, outputs = self.kernel.step_rows(state, rows, start, until_ns, numbered)
        except CoreError as error:
            self._append([*seen[-1], *error.outputs], True)
            raise
        if records:
            self._append([*records, *outputs], any(output.kind is Kind.REQUEST for output in outputs))
        return end, outputs

    def take_due(self, now_ns: int) -> list[Record]:
        """Takes every TIMER due at or before `now_ns`, by (due, name). k missed periods fire once, with k."""
        state = self.state
        assert state is not None, "begin comes first"
        outputs: list[Record] = []
        while state.next_due_ns <= now_ns:
            record = due_timer(state, self.kernel.program.recurring, now_ns)
            outputs += self._step(record)
        return outputs

    def pass_due(self) -> bool:
        """Lets the TIMER that comes first pass without a record, where it asks a strategy that says nothing and nothing else could come of it.

        For who keeps only what led to something: what is decided is the same.
        """
        state, program = self.state, self.kernel.program
        assert state is not None, "begin comes first"
        due_ns, name = next_timer(state)
        asked = strategy_of(name)
        if (
            state.steady is not state.account
            or not asked
            or not program.deciding.says_nothing(state.account, state.market, due_ns, asked)
        ):
            return False
        apply_input(program, state, msgspec.structs.replace(due_timer(state, program.recurring, due_ns), seq=state.seq))
        state.steady = state.account
        return True

    def _step(self, record: Record) -> list[Record]:
        state = self.state
        assert state is not None, "begin comes first"
        try:
            outputs = self.kernel.step(state, record)
        except CoreError as error:
            self._append([record, *error.outputs], True)
            raise
        if outputs:
            urgent = record.kind in URGENT_INPUTS or any(output.kind is Kind.REQUEST for output in outputs)
            self._append([record, *outputs], urgent)
        else:
            self._append((record,), record.kind in URGENT_INPUTS)
        return outputs


def next_timer(state: State) -> tuple[int, str]:
    """Which TIMER is due first, by (due, name): the account's own, and strategies that saw a change within their throttle."""
    due = state.account.timers.next()
    market = state.market
    if market.next_due_ns > due[0]:
        return due
    watch = market.due_watches(market.next_due_ns)[0]
    return min(due, (market.due_ns(watch), f"watch.{market.watches[watch].name}"))


def due_timer(state: State, recurring: Mapping[str, int], now_ns: int) -> Record:
    """The TIMER that comes first, taken at `now_ns`: the sequencer takes it, a replay asks whether it was taken."""
    due_ns, name = next_timer(state)
    period = recurring.get(name, 0)
    missed = (now_ns - due_ns) // period if period else 0
    return Record(
        seq=state.seq + 1,
        time_ns=max(due_ns, state.time_ns),
        kind=Kind.TIMER,
        source="clock",
        meta=f'{{"late_ns":{now_ns - due_ns}}}',
        body=text_of(TimerBody(name, due_ns, missed)),
    )
