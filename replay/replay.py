"""Replay: every recorded input is decided on again, and every output is compared with the recorded one.

The inputs come from the journal, including TIMERs, and each TIMER must come when the state expects it. The first
difference is reported with its chain of causes and ends the replay, since the later records follow from another state.
No socket may be opened meanwhile (replay/network_guard.py).
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from engine import upcast
from engine.apply.batch import Batch
from engine.bodies import CheckpointBody
from engine.errors import CoreError
from engine.gc_tuning import rare_collections
from engine.kernel import Kernel, StepResult
from engine.newer_sessions import refuse_newer
from engine.record_codec import read_checkpoint, read_verdict, text_of
from engine.recorded_inputs import RecordedInputs
from engine.session_record import SessionBody, StrategySettings, read_session
from engine.state.session_state import State
from engine.step_context import Output
from engine.upcast import SCHEMA
from journal.errors import JournalError
from journal.progress import Progress
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record, canonical
from replay import snapshots
from replay.causal_chain import CausalWalk
from replay.code_trust import refuse_untrusted_code, refuse_untrusted_state
from replay.compare import Difference, missing_end, only_recorded, only_replayed, output_difference, timer_difference
from replay.cut_decisions import Cuts, outputs_after, with_cuts
from replay.input_runs import InputRun, input_runs
from replay.network_guard import no_sockets
from replay.overrides import apply_overrides
from replay.record_text import FrameDecoder
from replay.recorded_digests import digests_as_of

PROGRESS_RECORDS = 1_000
Step = Callable[[State, Batch], StepResult]
StepWrapper = Callable[[Step], Step]
AtCheckpoint = Callable[[State, Record], None]  # a state right after its CHECKPOINT, which is the one recorded


class ReplayResult(msgspec.Struct, frozen=True):
    """The result of a replay. `records` counts the records compared or folded, including the SESSION record."""

    session: str
    identical: bool
    records: int
    inputs: int
    outputs: int
    checkpoints: int
    digest_final: str  # over the digests of every part of the last state
    start_seconds: float  # loading strategies, compiling the fold
    seconds: float  # reading, deciding and comparing
    difference: Difference | None = None
    not_compared: tuple[str, ...] = ()  # parts of CHECKPOINTs whose versions differ
    changes: tuple[str, ...] = ()  # the overrides
    pieces: int = 1  # processes that repeated it (replay/parallel.py)

    def text(self) -> str:
        """Format the result for people. The last line is the outcome."""
        rate = f", {self.records / self.seconds:,.0f} a second" if self.seconds > 0 else ""
        lines = [
            (
                f"session {self.session}: {self.records:,} records in {self.seconds:.2f} s{rate} "
                f"(start-up {self.start_seconds:.2f} s)" + (f", in {self.pieces} pieces" if self.pieces > 1 else "")
            ),
            f"inputs {self.inputs:,}, outputs compared {self.outputs:,}, checkpoints compared {self.checkpoints:,}",
        ]
        lines += [f"changed: {change}" for change in self.changes]
        if self.not_compared:
            lines.append(f"not compared (other versions): {', '.join(self.not_compared)}")
        if self.difference is not None:
            lines += difference_lines(self.difference)
            if self.changes:
                lines.append("exact up to here; the replay ends because the venue's answers beyond are not recorded")
            lines.append(f"replay: differs at seq {self.difference.seq}")
        else:
            lines.append(f"state digest {self.digest_final}")
            lines.append("replay: identical")
        return "\n".join(lines)


def difference_lines(difference: Difference) -> list[str]:
    """Format a difference for people, with its causes and the command that repeats it."""
    lines = [f"first difference, at seq {difference.seq}: {difference.what}"]
    if difference.chain:
        lines += ["  causes, newest first:", *(f"    {link}" for link in difference.chain)]
    return [*lines, f"  repeat it: {difference.command}"]


class ReplayCounts(msgspec.Struct):
    """The counts of a replay so far."""

    records: int = 1
    inputs: int = 1
    outputs: int = 0
    checkpoints: int = 0
    not_compared: set[str] = set()  # msgspec copies it for each


class SessionReplay:
    """A session that is repeated from its first record, or from a CHECKPOINT."""

    def __init__(
        self,
        journal: Journal,
        session: SessionBody,
        wrap_step: StepWrapper | None = None,
        *,
        begin_seq: int = 0,
        at_checkpoint: AtCheckpoint | None = None,
    ) -> None:
        """Prepare the replay.

        Args:
            journal: The recorded session.
            session: Its SESSION body, possibly with overrides.
            wrap_step: Receives the kernel's step and returns the function to call in its place (replay/strict.py).
            begin_seq: Continue from the snapshot of this CHECKPOINT.
            at_checkpoint: Called with the state after each CHECKPOINT that equals the recorded one.
        """
        self.journal = journal
        self.first = journal.session_record()
        self._has_other_limits = session.risk != read_session(self.first.body or "").risk
        refuse_newer(session)
        self.kernel = Kernel(session)
        self._schema = session.schema
        self._step = self.kernel.step if wrap_step is None else wrap_step(self.kernel.step)
        self._is_wrapped = wrap_step is not None  # then each input is stepped alone
        self.counts = ReplayCounts()
        self.state = self._initial_state(begin_seq)
        self._at_checkpoint = at_checkpoint
        self._outputs: list[Record] = []  # of the last step
        self._cut: Cuts = ()  # of the input at hand
        self._pending: list[Record] = []  # outputs that are not compared yet

    def _initial_state(self, begin_seq: int) -> State:
        if not begin_seq:
            return snapshots.initial_state(self.journal, self.kernel, self.first)
        if (state := snapshots.load_snapshot(begin_seq, self.journal, self.kernel, self.first)) is None:
            raise JournalError(
                f"{self.journal.folder}: the snapshot of record {begin_seq} cannot be used. "
                "What to do: replay in one piece."
            )
        return state

    def run(self, until: int, on_progress: Progress | None) -> Difference | None:
        """Replay up to and including record `until`, and return the first difference."""
        difference: Difference | None = None
        begun_at = seq = self.state.seq  # 0, or the CHECKPOINT from which a slice continues
        if not begun_at:
            self._expect_outputs(records_of(self.kernel.open_session(self.state, self.first)))
        for run, cut in with_cuts(self._recorded(begun_at + 1, until), outputs_after(self.journal, until)):
            before, self._cut = seq, cut
            seq = run.last[0] if isinstance(run, RecordedInputs) else run[0].seq
            if on_progress is not None and seq // PROGRESS_RECORDS != before // PROGRESS_RECORDS:
                on_progress(seq, until + 1)
            difference = self._replay_inputs(run) if isinstance(run, RecordedInputs) else self._replay_record(run[0])
            if difference is not None:
                seq = difference.seq
                break
        if difference is None and seq == self.journal.last_seq:
            difference = self._end_difference()
        self.counts.records = seq + 1 - begun_at
        return difference

    def _end_difference(self) -> Difference | None:
        """Return the difference at the end of the journal.

        A session that was killed may end after any step; one that is sealed as closed must have closed.
        """
        if self._pending:
            return only_replayed(self._pending[0], None)
        if self.journal.closed and not self.state.account.modes.closing:
            return missing_end(next(self.journal.records(self.journal.last_seq)))
        return None

    def _recorded(self, from_seq: int, until: int) -> Iterator[InputRun]:
        if self._is_wrapped:
            return ([record] for record in self.journal.records(from_seq, until))
        return input_runs(self.journal, self.kernel.session, from_seq, until, with_timers=self._schema == SCHEMA)

    def _replay_inputs(self, inputs: RecordedInputs) -> Difference | None:
        """Replay inputs that led to nothing.

        The step applies many at once, so outputs may come only from the last of them.
        """
        was_stepped = False
        while inputs:
            if self._pending:
                return only_replayed(self._pending[0], inputs[0])
            every = self.kernel.session.settings.checkpoint_every
            part = inputs[: every - self.state.inputs % every - 1]  # a CHECKPOINT follows the next input
            count, outputs = 0, list[Record]()
            if len(part) > 1 and not (was_stepped and part.is_timer_next):  # the step ended at this TIMER
                row, place = part.row_at(part.begin), part.begin
                try:
                    result = self._step(self.state, Batch(part, rows=part.rows_from(place), row=row, place=place))
                    count, outputs = len(result.records), records_of(result.outputs)
                except CoreError as error:
                    if not error.outputs:
                        return _core_failure(part[0], error)
                    count, outputs = len(error.records), error.outputs
            if count:
                self.counts.inputs += count
                self._expect_outputs(outputs)
            else:  # a TIMER must come first: this call returns the difference; or it is compared in the ordinary way
                difference = self._replay_record(inputs[0])
                if difference is not None:
                    return difference
            was_stepped = bool(count)
            inputs = inputs[count or 1 :]
        return None

    def _expect_outputs(self, outputs: list[Record]) -> None:
        self._outputs = outputs
        self._pending = outputs.copy()

    def _replay_record(self, record: Record) -> Difference | None:
        if record.kind in INPUTS:
            if self._pending:
                return only_replayed(self._pending[0], record)
            return self._replay_input(record)
        if not self._pending:
            return only_recorded(record)
        self.counts.outputs += 1
        ours = self._pending.pop(0)
        if self._schema != SCHEMA and record.body != ours.body:
            record = upcast.record(record)
            ours = upcast.comparable(self._schema, self._with_recorded_digests(ours))
        if self._has_other_limits and record.kind is Kind.VERDICT and record.body != ours.body:
            record, ours = _without_figures(record), _without_figures(ours)  # an override is in every figure
        difference = output_difference(record, ours, self.counts.not_compared)
        if record.kind is Kind.CHECKPOINT:
            self.counts.checkpoints += 1
            if difference is None and self._at_checkpoint is not None:
                self._at_checkpoint(self.state, ours)
        return difference

    def _with_recorded_digests(self, ours: Record) -> Record:
        """Return a CHECKPOINT with the digests of the session's older schema; any other output unchanged."""
        if ours.kind is not Kind.CHECKPOINT:
            return ours
        body = read_checkpoint(ours.body or "")
        # the state is the one right after this record, whose hash over the inputs has started again
        parts = {**digests_as_of(self._schema, self.state), "inputs": body.parts["inputs"]}
        return msgspec.structs.replace(ours, body=text_of(CheckpointBody(body.inputs, parts)))

    def _replay_input(self, record: Record) -> Difference | None:
        if record.kind is Kind.SESSION:
            return Difference(record.seq, "a second SESSION record", record, None)
        if record.kind is Kind.TIMER or self.state.next_due_ns <= record.time_ns:
            expected = record if self._schema == SCHEMA else upcast.record(record)
            difference = timer_difference(self.kernel, self.state, expected)
            if difference is not None:
                return difference
        self.counts.inputs += 1
        try:
            self._expect_outputs(records_of(self._step(self.state, Batch((record,), cut=self._cut)).outputs))
        except CoreError as error:
            if not error.outputs:
                return _core_failure(record, error)
            self._expect_outputs(error.outputs)  # a session that ended with an error must end with it again
        return None

    def with_causes(self, difference: Difference, command: str) -> Difference:
        """Return the difference with its chain of causes.

        The chain starts at the replayed record where the recorded one is not its counterpart.
        """
        is_recorded = difference.replayed is None or (
            difference.recorded is not None and difference.recorded.kind not in INPUTS
        )
        record = difference.recorded if is_recorded else difference.replayed
        assert record is not None, "a difference has a record"
        replayed = {} if is_recorded else {output.seq: output for output in self._outputs}
        walk = CausalWalk(self.journal, FrameDecoder(self.kernel.session, self.kernel.session.strategies))
        chain = tuple(link.text for link in walk.chain(record, replayed))
        return msgspec.structs.replace(difference, chain=chain, command=command)


def records_of(outputs: Sequence[Output]) -> list[Record]:
    """Return the records of a step's outputs, as the journal has them."""
    return [output.record for output in outputs] if outputs else []


def _core_failure(record: Record, error: CoreError) -> Difference:
    return Difference(record.seq, f"recorded {record.kind}, replayed: {error}", record, None)


def _without_figures(verdict: Record) -> Record:
    """Return a VERDICT without the figures of its limits: the answers of the rules remain."""
    body = msgspec.structs.replace(read_verdict(verdict.body or ""), figures={})
    return msgspec.structs.replace(verdict, body=text_of(body))


def replay_session(
    folder: Path,
    *,
    until: int | None = None,
    until_ns: int | None = None,
    strategies: Mapping[str, StrategySettings] | None = None,
    overrides: Mapping[str, str] | None = None,
    trust_code: bool = True,
    trust_key: bytes = b"",
    on_progress: Progress | None = None,
    command: str = "",
    begin_seq: int = 0,
    at_checkpoint: AtCheckpoint | None = None,
) -> ReplayResult:
    """Repeat a session and compare every output.

    Args:
        folder: The session.
        until: The last record to replay; the session's last one by default.
        until_ns: Replay up to the last record at or before this time.
        strategies: New strategies by the recorded name.
        overrides: Settings to change (replay/overrides.py).
        trust_code: Run recorded source of a session from another machine.
        trust_key: The key whose marks are trusted (journal/trust_key.py).
        on_progress: Called with the records done and to do.
        command: The command line that repeats this call, for the report.
        begin_seq: Replay only the records after this CHECKPOINT, from its snapshot.
        at_checkpoint: Called with the state after each CHECKPOINT that equals the recorded one.

    Raises:
        UntrustedSourceError: The code was recorded on another machine and is not trusted.
        UnknownOverrideError: An override does not fit the session.
        JournalError: The journal cannot be read.
    """
    began_at = time.perf_counter()
    journal = Journal.open(folder)
    recorded = read_session(journal.session_record().body or "")
    if not trust_code:
        refuse_untrusted_code(recorded, trust_key, folder)
        if journal.left_out:
            refuse_untrusted_state(folder.name)
    session = apply_overrides(recorded, overrides or {}, strategies)
    last = last_replayed_seq(journal, until, until_ns)
    with no_sockets(), rare_collections():
        session_replay = SessionReplay(journal, session, begin_seq=begin_seq, at_checkpoint=at_checkpoint)
        started_at = time.perf_counter()
        difference = session_replay.run(last, on_progress)
    ended_at = time.perf_counter()
    if difference is not None:
        again = command or f"verbatim replay {folder}"
        difference = session_replay.with_causes(difference, f"{again} --until {difference.seq} --explain")
    counts = session_replay.counts
    changes = [f"{name} = {value}" for name, value in (overrides or {}).items()]
    return ReplayResult(
        session=session.session,
        identical=difference is None,
        records=counts.records,
        inputs=counts.inputs,
        outputs=counts.outputs,
        checkpoints=counts.checkpoints,
        digest_final=hashlib.sha256(canonical(session_replay.state.digests()).encode()).hexdigest(),
        start_seconds=started_at - began_at,
        seconds=ended_at - started_at,
        difference=difference,
        not_compared=tuple(sorted(counts.not_compared)),
        changes=(*(f"strategy {name}" for name in sorted(strategies or {})), *changes),
    )


def last_replayed_seq(journal: Journal, until: int | None, until_ns: int | None) -> int:
    """Return the seq of the last record to replay."""
    last = journal.last_seq if until is None else min(until, journal.last_seq)
    return last if until_ns is None else min(last, journal.seq_at(until_ns))
