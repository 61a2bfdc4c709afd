"""Replay: every recorded input is decided on again, and every output compared with the one recorded.

The inputs come from the journal, TIMERs included, and each TIMER must come when the state says. The first difference is
named with its chain of causes and ends the replay: what follows a difference is no longer what was recorded.
No socket may be opened meanwhile (replay/network_guard.py).
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from engine.apply.batch import Batch
from engine.errors import CoreError
from engine.gc_tuning import rare_collections
from engine.kernel import Kernel, StepResult
from engine.session_record import SessionBody, StrategySettings, read_session
from engine.state.session_state import State
from engine.step_context import Output
from engine.venues.venue import MarketDialect
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record, canonical
from replay import snapshots
from replay.causal_chain import Markets, chain_of
from replay.compare import Difference, end_missing, only_recorded, only_replayed, outputs_differ, timer_differs
from replay.network_guard import no_sockets
from replay.overrides import changed

PROGRESS_RECORDS = 8_192
RUN_RECORDS_MAX = 512  # frames handed to the step at once
Step = Callable[[State, Batch], StepResult]
Watching = Callable[[Step], Step]
Progress = Callable[[int, int], None]  # (records done, records to do)
AtCheckpoint = Callable[[State, Record], None]  # a state right after its CHECKPOINT, which is the one recorded


class UntrustedSourceError(Exception):
    """The session's strategies were not recorded on this machine, and nobody said that their code may run."""


class Verdict(msgspec.Struct, frozen=True):
    """What a replay found. `records` counts those compared or taken, the SESSION record included."""

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
    changes: tuple[str, ...] = ()  # what a person changed before
    pieces: int = 1  # in which it was repeated (replay/parallel.py)

    def text(self) -> str:
        """For people; the last line is the verdict."""
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
            lines += told(self.difference)
            if self.changes:
                lines.append(
                    "exact up to here; nothing is decided beyond: what the venue would have answered is not recorded"
                )
            lines.append(f"replay: differs at seq {self.difference.seq}")
        else:
            lines.append(f"state digest {self.digest_final}")
            lines.append("replay: identical")
        return "\n".join(lines)


def told(difference: Difference) -> list[str]:
    lines = [f"first difference, at seq {difference.seq}: {difference.what}"]
    if difference.chain:
        lines += ["  led there, newest first:", *(f"    {link}" for link in difference.chain)]
    return [*lines, f"  repeat it: {difference.command}"]


class OutputComparison(msgspec.Struct):
    """The counts of a replay as it goes."""

    records: int = 1
    inputs: int = 1
    outputs: int = 0
    checkpoints: int = 0
    not_compared: set[str] = set()  # msgspec copies it for each


class Repetition:
    """A session being repeated from its first record."""

    def __init__(
        self,
        journal: Journal,
        session: SessionBody,
        watch: Watching | None = None,
        *,
        begin_seq: int = 0,
        at_checkpoint: AtCheckpoint | None = None,
    ) -> None:
        """`watch` is handed the step and returns what is called in its place (replay/strict.py). With `begin_seq` it goes on from that CHECKPOINT's snapshot."""
        self.journal = journal
        self.first = journal.session_record()
        self.kernel = Kernel(session)
        self._step = self.kernel.step if watch is None else watch(self.kernel.step)
        self._is_watched = watch is not None  # then each record is a batch of its own
        self.counts = OutputComparison()
        self.state = self._begun(begin_seq)
        self._at_checkpoint = at_checkpoint
        self._outputs: list[Record] = []  # of the last step
        self._pending: list[Record] = []  # those of them that no record has met yet

    def _begun(self, begin_seq: int) -> State:
        if not begin_seq:
            return snapshots.begun(self.journal, self.kernel, self.first)
        if (state := snapshots.at(begin_seq, self.journal, self.kernel, self.first)) is None:
            raise JournalError(
                f"{self.journal.folder}: the snapshot of record {begin_seq} went away or is none. What to do: replay in one piece."
            )
        return state

    def run(self, until: int, on_progress: Progress | None) -> Difference | None:
        """Up to and with record `until`; the first difference ends it."""
        found: Difference | None = None
        begun_at = seq = self.state.seq  # 0, or the CHECKPOINT at which a slice goes on
        if not begun_at:
            self._put_out(records_of(self.kernel.open_session(self.state, self.first)))
        for run in runs_of_frames(self.journal.records(begun_at + 1, until)):
            seq = run[-1].seq
            if on_progress is not None and seq // PROGRESS_RECORDS != run[0].seq // PROGRESS_RECORDS:
                on_progress(seq, until + 1)
            found = self._take(run[0]) if len(run) == 1 else self._take_frames(run)
            if found is not None:
                seq = found.seq
                break
        if found is None and seq == self.journal.last_seq:
            found = self._end_differs()
        self.counts.records = seq + 1 - begun_at
        return found

    def _end_differs(self) -> Difference | None:
        """A session that was killed may end anywhere between steps; one sealed as closed must have closed."""
        if self._pending:
            return only_replayed(self._pending[0], None)
        if self.journal.closed and not self.state.account.modes.closing:
            return end_missing(next(self.journal.records(self.journal.last_seq)))
        return None

    def _take_frames(self, run: list[Record]) -> Difference | None:
        """Stream frames in a row: as the step takes many at once, outputs may come only of the last of them."""
        at = 0
        while at < len(run):
            if self._pending:
                return only_replayed(self._pending[0], run[at])
            try:
                result = self._step(self.state, Batch(run[at : at + 1] if self._is_watched else run[at:]))
                count, outputs = len(result.records), records_of(result.outputs)
            except CoreError as error:
                if not error.outputs:
                    return _broke(run[at], error)
                count, outputs = len(error.records), error.outputs
            if count:
                self.counts.inputs += count
                self._put_out(outputs)
            else:  # a TIMER must come first: this names the difference
                found = self._take(run[at])
                if found is not None:
                    return found
            at += count or 1
        return None

    def _put_out(self, outputs: list[Record]) -> None:
        self._outputs = outputs
        self._pending = outputs.copy()

    def _take(self, record: Record) -> Difference | None:
        if record.kind in INPUTS:
            if self._pending:
                return only_replayed(self._pending[0], record)
            return self._take_input(record)
        if not self._pending:
            return only_recorded(record)
        self.counts.outputs += 1
        ours = self._pending.pop(0)
        found = outputs_differ(record, ours, self.counts.not_compared)
        if record.kind is Kind.CHECKPOINT:
            self.counts.checkpoints += 1
            if found is None and self._at_checkpoint is not None:
                self._at_checkpoint(self.state, ours)
        return found

    def _take_input(self, record: Record) -> Difference | None:
        if record.kind is Kind.SESSION:
            return Difference(record.seq, "a second SESSION record", record, None)
        if record.kind is Kind.TIMER or self.state.next_due_ns <= record.time_ns:
            found = timer_differs(self.kernel, self.state, record)
            if found is not None:
                return found
        self.counts.inputs += 1
        try:
            self._put_out(records_of(self._step(self.state, Batch((record,))).outputs))
        except CoreError as error:
            if not error.outputs:
                return _broke(record, error)
            self._put_out(error.outputs)  # a session that ended so must end so again
        return None

    def explained(self, difference: Difference, command: str) -> Difference:
        """With the chain that led there: along the replayed record where the recorded one is not its counterpart."""
        ours = difference.replayed is None or (
            difference.recorded is not None and difference.recorded.kind not in INPUTS
        )
        record = difference.recorded if ours else difference.replayed
        assert record is not None, "a difference has a record"
        held = {} if ours else {output.seq: output for output in self._outputs}
        session = self.kernel.session

        def dialect(source: str) -> MarketDialect | None:
            venue = session.venues.get(source.split(".", 1)[0])
            return None if venue is None else venue.market

        watched = {
            name: frozenset(instrument.id for _, instrument in session.runner.instruments_of(name))
            for name in session.strategies
        }
        markets = Markets(list(session.instruments.values()), dialect, watched)
        links = chain_of(self.journal, record, held, markets)
        return msgspec.structs.replace(difference, chain=tuple(link.text for link in links), command=command)


def records_of(outputs: Iterable[Output]) -> list[Record]:
    """Return the records of a step's outputs, as the journal has them."""
    return [output.record for output in outputs]


def runs_of_frames(records: Iterator[Record]) -> Iterator[list[Record]]:
    """The records in order: stream frames of one source in runs, all others one by one."""
    run: list[Record] = []
    feed = Kind.FEED
    for record in records:
        if record.kind is feed and record.meta is None:
            if run and (run[0].source != record.source or len(run) == RUN_RECORDS_MAX):
                yield run
                run = []
            run.append(record)
            continue
        if run:
            yield run
            run = []
        yield [record]
    if run:
        yield run


def _broke(record: Record, error: CoreError) -> Difference:
    return Difference(record.seq, f"recorded {record.kind}, replayed: {error}", record, None)


def replay_session(
    folder: Path,
    *,
    until: int | None = None,
    until_ns: int | None = None,
    strategies: Mapping[str, StrategySettings] | None = None,
    overrides: Mapping[str, str] | None = None,
    trust_code: bool = True,
    host: str = "",
    on_progress: Progress | None = None,
    command: str = "",
    begin_seq: int = 0,
    at_checkpoint: AtCheckpoint | None = None,
) -> Verdict:
    """Repeats a session and says whether it is the same, word for word.

    `strategies` (by recorded name) and `overrides` (replay/overrides.py) are a person's changes. Recorded source runs here:
    without `trust_code` only if the session was made on `host`. `command` is what repeats this call, for the report. With
    `begin_seq` only what comes after that CHECKPOINT is repeated, from its snapshot.
    """
    begun = time.perf_counter()
    journal = Journal.open(folder)
    recorded = read_session(journal.session_record().body or "")
    if not trust_code:
        refuse_strangers(recorded, host, folder)
    session = changed(recorded, overrides or {}, strategies)
    last = last_of(journal, until, until_ns)
    with no_sockets(), rare_collections():
        repetition = Repetition(journal, session, begin_seq=begin_seq, at_checkpoint=at_checkpoint)
        warmed = time.perf_counter()
        difference = repetition.run(last, on_progress)
    ended = time.perf_counter()
    if difference is not None:
        again = command or f"verbatim replay {folder}"
        difference = repetition.explained(difference, f"{again} --until {difference.seq} --explain")
    counts = repetition.counts
    changes = [f"{name} = {value}" for name, value in (overrides or {}).items()]
    return Verdict(
        session=session.session,
        identical=difference is None,
        records=counts.records,
        inputs=counts.inputs,
        outputs=counts.outputs,
        checkpoints=counts.checkpoints,
        digest_final=hashlib.sha256(canonical(repetition.state.digests()).encode()).hexdigest(),
        start_seconds=warmed - begun,
        seconds=ended - warmed,
        difference=difference,
        not_compared=tuple(sorted(counts.not_compared)),
        changes=(*(f"strategy {name}" for name in sorted(strategies or {})), *changes),
    )


def last_of(journal: Journal, until: int | None, until_ns: int | None) -> int:
    """The last record that is to be repeated."""
    last = journal.last_seq if until is None else min(until, journal.last_seq)
    return last if until_ns is None else min(last, journal.seq_at(until_ns))


def refuse_strange_state(journal: Journal, host: str, name: str) -> None:
    """A slice's state is folded on by compiled code, which believes its numbers: no less than code is it to be trusted."""
    session = read_session(journal.session_record().body or "")
    if not (host and session.host == host):
        raise UntrustedSourceError(
            f"{name} begins in the middle of a session, with a state that was not made on this machine. What to do: read it "
            "with verbatim sql, export and verify, or add --trust-code where you trust its maker."
        )


def refuse_strangers(session: SessionBody, host: str, folder: Path) -> None:
    if session.strategies and not (host and session.host == host):
        names = ", ".join(found.name for found in session.strategies)
        raise UntrustedSourceError(
            f"{folder} was recorded on another machine, lies in an archive or comes as a bundle, and a replay runs the code of its strategies ({names}). "
            "What to do: read it (verbatim ask, sql and verify run none of it), then add --trust-code."
        )
