"""Resimulation: another version, parameter or limit on a recorded session. Exact first, modelled after.

The inputs come from the journal as long as every REQUEST is the recorded one, since until then the venue's answers
could not have differed. From the first different REQUEST on, a simulated venue answers. It has the account's money and
open orders and reads the recorded market. The result is a new journal with a COMMAND `handover` where the model takes
over. The `key` of each market record is its origin, the seq of its source record. Opens no socket and reads no clock.
"""

import shutil
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from engine import upcast
from engine.apply.batch import Batch
from engine.gc_tuning import rare_collections
from engine.kernel import Kernel
from engine.newer_sessions import refuse_newer
from engine.record_codec import read_request
from engine.requests import LinkRole
from engine.sequencer import OnStep, Sequencer, UnrecordedSequencer
from engine.session_context import SessionContext
from engine.session_record import HISTORY_PERCENT, SECOND_NS, Resimulated, SessionBody
from engine.sim.exchange.exchange import TooLargeError
from engine.sim.venue_model import VenueModel
from engine.state.session_state import State
from engine.step_context import Output
from engine.upcast import SCHEMA
from engine.venues.candle_store import CandleStore
from engine.venues.venue_lookup import as_captured
from journal.frame_runs import group_frames
from journal.progress import Progress
from journal.reader import Journal, available_records
from journal.record import INPUTS, Kind, Record
from journal.trust_key import marked
from journal.writer import JournalWriter
from replay.backtest_rules import without_silence_rules
from replay.compare import timer_difference
from replay.cut_decisions import Cuts, with_cuts
from replay.imported_sessions import is_import
from replay.resim.bar_cadences import refuse_idle_clocks
from replay.resim.candle_sources import recorded_candles
from replay.resim.capture_session import captured_snapshots
from replay.resim.model_run import MarketLinks, ModelRun
from replay.resim.row_feed import FullRows, ReferencedRows, RowFeed
from replay.resim.sim_setup import CannotResimulateError, refuse_session
from replay.resim.time_progress import TimeProgress
from replay.resim.timeline import Timeline
from replay.resim.warmup import insert_decide_command, pause_command

SEQ_MAX = 2**62  # above every record: run to the end of the journal
# no reader waits for these records: with few large frames the writer thread seldom holds the interpreter lock
GROUP_ROWS, GROUP_DELAY_S = 4096, 10.0


class ResimOutcome(msgspec.Struct, frozen=True):
    """The result of a resimulation."""

    folder: Path  # of its journal, or of its source if it has no journal
    records: int
    # exact up to this record, of the same seq in both journals. 0: modelled from the beginning; None: exact to the end
    handover_seq: int | None
    handover: str  # the reason for the handover, or ""
    balances_known: bool  # False: the session states no balances, so the given ones were used
    remembers: tuple[str, ...] = ()  # what strategies remember outside State

    @property
    def modelled(self) -> bool:
        """True if the model answered any request."""
        return bool(self.handover) or self.handover_seq == 0

    @property
    def exactness(self) -> str:
        """The record up to which the resimulation is exact, for people."""
        if not self.modelled:
            return "exact to the end: every request is the recorded one"
        if not self.handover:
            return "modelled from the beginning"
        return f"exact up to record {self.handover_seq}, modelled after it: {self.handover}"


class ResimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a resimulation. `session` is the recorded one with the changes in it (replay/overrides.py)."""

    session: SessionBody
    model: VenueModel
    modelled: bool = False
    balances: dict[str, str] = {}
    changes: tuple[str, ...] = ()  # for people
    until_seq: int | None = None  # the last record of the source that is read
    marks: bool = False  # the new session bears the mark of this user, who trusts its code
    from_seq: int = 0  # no strategy decides before this market record; requires `modelled`
    history: CandleStore | None = None  # bars from before the session; None: those that it recorded


def resimulate(folder: Path, into: Path, options: ResimOptions, on_progress: Progress | None = None) -> ResimOutcome:
    """Resimulate a session into a new journal.

    Every market record is in it, so it can be replayed and queried like any other session.

    Args:
        folder: The source.
        into: The new folder.
        options: What to change.
        on_progress: Called with the seconds of the session that are done, and all of them.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
        CoreError: A step failed.
    """
    with rare_collections():
        journal = Journal.open(folder)
        resimulation = _Resimulation(journal, options, whole=True)
        report = None if on_progress is None else TimeProgress(journal, options.until_seq, on_progress)
        writer = JournalWriter.create(into, sync=False, group_rows=GROUP_ROWS, group_delay_s=GROUP_DELAY_S)

        def append(records: Sequence[Record], *, urgent: bool) -> None:
            del urgent  # no request is sent
            writer.append_step(records)
            writer.wait_for_room()
            if report is not None:
                report.add(records)

        try:
            resimulation.run(Sequencer(resimulation.kernel, append))
        except BaseException:
            writer.abandon()
            shutil.rmtree(into, ignore_errors=True)  # a partial resimulation would verify as a session
            raise
        summary = writer.close(final=resimulation.closing)
    return resimulation.outcome(into, summary.last_seq + 1)


def resimulate_decisions(
    source: Path | Journal,
    options: ResimOptions,
    on_records: Callable[[Sequence[Record]], None],
    on_progress: Progress | None = None,
) -> ResimOutcome:
    """Resimulate a session without writing a journal, and pass on its records step by step. See `resimulate_steps`."""
    return resimulate_steps(
        source,
        options,
        lambda inputs, outputs: on_records([*inputs, *(output.record for output in outputs)]),
        on_progress,
    )


def resimulate_steps(
    source: Path | Journal, options: ResimOptions, on_step: OnStep, on_progress: Progress | None = None
) -> ResimOutcome:
    """Resimulate a session without writing a journal, and pass on each step: its inputs and its outputs.

    Only market records that led to an output are made, without their bytes, and no text is made of an output until it
    is read, so the cost is that of deciding. Seqs and order ids differ from those of `resimulate`: compare sessions by
    origin (replay/study/decisions.py).

    Args:
        source: A session's folder, or a journal that may still grow.
        options: What to change.
        on_step: Receives the inputs and outputs of each step.
        on_progress: Called with the seconds of the session that are done, and all of them.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
        CoreError: A step failed.
    """
    journal = source if isinstance(source, Journal) else Journal.open(source)
    count = 0
    report = None if on_progress is None else TimeProgress(journal, options.until_seq, on_progress)

    def pass_on(inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
        nonlocal count
        count += len(inputs) + len(outputs)
        on_step(inputs, outputs)
        if report is not None:
            report.add(inputs)

    with rare_collections():
        resimulation = _Resimulation(journal, options, whole=False)
        resimulation.run(UnrecordedSequencer(resimulation.kernel, pass_on))
    return resimulation.outcome(journal.folder, count)


def open_run(
    journal: Journal, options: ResimOptions, until: Callable[[ModelRun], bool], on_step: OnStep
) -> tuple[ModelRun, SessionContext, bool]:
    """Run a modelled session without records, until `until` is true. Raises CannotResimulateError.

    `on_step` receives the inputs and outputs of each step.

    Returns:
        The run, its session, and True if `until` was true.
    """
    resimulation = _Resimulation(journal, options, whole=False)
    reached = False

    def is_reached() -> bool:
        nonlocal reached
        return (reached := until(resimulation.model_run))

    resimulation.run(UnrecordedSequencer(resimulation.kernel, on_step), until=is_reached)
    return resimulation.model_run, resimulation.kernel.session, reached


class _Resimulation:
    """One resimulation: its exact part and then its modelled part."""

    def __init__(self, journal: Journal, options: ResimOptions, *, whole: bool) -> None:
        self.closing = False
        self.model_run: ModelRun
        self._journal = journal
        refuse_session(journal, options.session)
        if is_import(journal):
            refuse_idle_clocks(journal, options.session)
        assert options.modelled or not options.from_seq, "an exact resimulation decides from the beginning"
        resimulated = Resimulated(
            source=journal.folder.resolve().name,
            last_seq=journal.last_seq,
            chain=journal.chain,
            is_backtest=options.modelled or is_import(journal),
            model=options.model.settings(),
            changes=options.changes,
        )
        self._options = options
        engine = without_silence_rules(options.session.engine) if resimulated.is_backtest else options.session.engine
        if options.history is not None:
            engine = msgspec.structs.replace(
                engine,
                history_from=options.history.name,
                history_percent=engine.history_percent or HISTORY_PERCENT,
                bar_close_after_ns=engine.bar_close_after_ns or SECOND_NS,
            )
        refuse_newer(options.session)
        body = msgspec.structs.replace(
            options.session,
            resimulated=resimulated,
            schema=SCHEMA,
            engine=engine,
            read_only=options.session.read_only and not resimulated.is_backtest,  # a model of the venue takes orders
            paper=None,
            venues=tuple(map(as_captured, options.session.venues)) if options.modelled else options.session.venues,
        )
        self._body = marked(body) if options.marks else body
        self._whole = whole
        self._last = SEQ_MAX if options.until_seq is None else options.until_seq
        self.kernel = Kernel(self._body)
        self.kernel.session.runner.watch_memory()
        plans = self.kernel.session.links(options.session.venues[0].name)
        self._links = MarketLinks(frozenset(plan.source for plan in plans if plan.role is LinkRole.MARKET))
        self._is_capture = is_import(journal)
        if self._is_capture:
            self._links.up |= self._links.sources  # it has no LINK records, and its frames show that they were up
        self._private = [(plan.source, plan.path) for plan in plans if plan.role is LinkRole.PRIVATE]
        self._handover_seq: int | None = None
        self._handover = ""
        self._balances_known = True

    def outcome(self, folder: Path, records: int) -> ResimOutcome:
        remembers = self.kernel.session.runner.hidden_memory()
        return ResimOutcome(folder, records, self._handover_seq, self._handover, self._balances_known, remembers)

    def run(self, sequencer: Sequencer, *, until: Callable[[], bool] | None = None) -> None:
        outputs: Sequence[Output] = sequencer.begin(self._body)
        after = 0
        if self._options.modelled or self._is_capture:
            self._handover_seq = 0
        else:
            after, outputs = self._run_exact(sequencer, outputs)
            if not self._handover:
                return
        self._run_modelled(sequencer, outputs, after, until)

    def _run_modelled(
        self, sequencer: Sequencer, outputs: Sequence[Output], after: int, until: Callable[[], bool] | None
    ) -> None:
        context = self.kernel.session
        snapshots = captured_snapshots(self._journal, self._body) if self._is_capture else None
        timeline = Timeline(self._journal, context, self._last, self._links.sources, snapshots)
        model_run = self.model_run = ModelRun(
            self._journal,
            timeline,
            sequencer,
            body=self._body,
            model=self._options.model,
            links=self._links,
            last=self._last,
            history=self._options.history or self._recorded_history(),
            hands_events=not self._whole,
        )
        self._balances_known = model_run.adopt(
            self._options.balances, handed_over=bool(self._handover_seq), has_account=not self._is_capture
        )
        feed: RowFeed
        if self._whole:
            frames = self._journal.records(after + 1, self._last, kinds=(Kind.FEED,))
            feed = FullRows(sequencer, frames, self._body.engine.checkpoint_every)
        else:
            feed = ReferencedRows(sequencer)
        items = timeline.items(after + 1)
        if self._options.from_seq:
            model_run.gateway.accept(pause_command())
            items = insert_decide_command(items, self._options.from_seq)
        try:
            model_run.run(outputs, items, self._private, feed, self._handover, until=until)
        except TooLargeError as error:
            raise CannotResimulateError(f"{self._journal.folder}: {error}") from None
        self.closing = model_run.gateway.closing

    def _recorded_history(self) -> CandleStore | None:
        """Return the bars from before the session that it recorded; None if it has none."""
        if self._is_capture:
            return None
        found = recorded_candles(self._journal, self._body)
        return found if len(found) else None

    # ---- exact: the venue's answers come from the journal --------------------------------------------------

    def _run_exact(self, sequencer: Sequencer, outputs: Sequence[Output]) -> tuple[int, Sequence[Output]]:
        """Step through the recorded inputs up to the first step whose requests differ from the recorded ones.

        Returns:
            The last source record of that step, and the step's outputs.
        """
        state = sequencer.state
        recorded: list[Record] = []
        last = 0
        groups = chain.from_iterable(
            with_cuts(group_frames(records)) for records in available_records(self._journal, 1, self._last)
        )
        for run, cut in groups:
            last = run[-1].seq
            if run[0].kind not in INPUTS:
                recorded += run
                continue
            first = 0
            while first < len(run):
                record = run[first]
                if why := request_difference(recorded, outputs):
                    self._hand_over(state, why)
                    return record.seq - 1, outputs
                recorded = []
                timed = record.kind is Kind.TIMER or state.next_due_ns <= record.time_ns
                if timed and (difference := timer_difference(self.kernel, state, upcast.record(record))) is not None:
                    self._hand_over(state, difference.what)
                    return record.seq - 1, []
                count, outputs = self._repeat_records(sequencer, run[first:], cut)
                first += count
            self.closing = state.account.modes.closing
        if why := request_difference(recorded, outputs):
            self._hand_over(state, why)
            return last, outputs
        return last, []

    def _repeat_records(self, sequencer: Sequencer, run: Sequence[Record], cut: Cuts) -> tuple[int, Sequence[Output]]:
        """Step recorded inputs, with the market's origins as keys.

        Returns:
            How many were stepped, and the outputs of the last one.
        """
        keyed = [
            msgspec.structs.replace(record, key=str(record.seq))
            if record.kind is Kind.FEED and record.key is None
            else record
            for record in run
        ]
        result = sequencer.step(Batch(keyed, cut=cut))
        for record in run[: len(result.records)]:
            self._links.follow(record)
        return len(result.records), result.outputs

    def _hand_over(self, state: State, why: str) -> None:
        self._handover_seq, self._handover = state.seq, why


def request_difference(recorded: Sequence[Record], ours: Sequence[Output]) -> str:
    """Return why the venue could have answered differently from here on, or "" if it could not.

    It could if a request differs, or if its seq does.
    """
    if len(recorded) != len(ours):
        first = recorded[0] if recorded else ours[0].record
        return f"{len(ours)} outputs in place of {len(recorded)} after record {first.seq - 1}"
    for before, output in zip(recorded, ours, strict=True):
        after = output.record
        if Kind.REQUEST in (before.kind, after.kind) and (before.kind, before.body) != (after.kind, after.body):
            return f"another request at record {after.seq}: {_request_text(after)} in place of {_request_text(before)}"
    return ""


def _request_text(record: Record) -> str:
    if record.kind is not Kind.REQUEST:
        return f"{record.kind}"
    request = read_request(record.body or "")
    if (order := request.order) is None:
        return request.purpose
    price = f" at {order.price:f}" if order.price else ""
    return f"{request.purpose} {order.side} {order.quantity:f} {order.instrument.partition(':')[2]}{price}"
