"""Resimulation: another version, parameter or limit on a session that was recorded. Exact first, modelled after.

The inputs come from the journal as long as every REQUEST is the one that was recorded: so far nothing that the venue answered could
have been otherwise. From the first that differs on, a simulated venue answers, which has the account's money and open orders and
sees the market that was recorded. What comes of it is a journal of its own, with a COMMAND `handover` where the model takes over;
each market record's `key` is its origin, the seq of the record it was made of. Opens no socket and reads no clock.
"""

import shutil
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from engine.apply.batch import Batch
from engine.gc_tuning import rare_collections
from engine.kernel import Kernel
from engine.model import ONLY, find_instrument
from engine.record_codec import read_request
from engine.requests import LinkRole
from engine.sequencer import Append, Sequencer
from engine.session_record import Resimulated, SessionBody
from engine.state.session_state import State
from engine.step_context import Output
from journal.reader import Journal, available_records
from journal.record import INPUTS, Kind, Record
from journal.writer import JournalWriter
from replay.compare import timer_differs
from replay.replay import runs_of_frames
from replay.resim.capture_session import is_import
from replay.resim.model_run import MarketLinks, ModelRun
from replay.resim.row_feed import FullRows, ReferencedRows, RowFeed
from replay.resim.sim_setup import CannotResimulateError, refuse_venue
from replay.resim.timeline import Timeline
from replay.resim.venue_model import VenueModel
from replay.resim.warmup import asked_from, paused

SEQ_MAX = 2**62  # no record has it: to the end, wherever that is
GROUP_ROWS, GROUP_DELAY_S = (
    4096,
    10.0,
)  # nobody waits for these records: few large frames, whose writer seldom takes the interpreter from us


class ResimOutcome(msgspec.Struct, frozen=True):
    """What a resimulation came to."""

    folder: Path  # of its journal; where it has none, of its source
    records: int
    handover_seq: (
        int | None
    )  # exact up to this record, which has this seq in both journals; modelled after. 0: from the beginning; None: exact to the end
    handover: str  # why there
    balances_known: bool  # False: they are those given, for the session had none

    @property
    def modelled(self) -> bool:
        return bool(self.handover) or self.handover_seq == 0

    @property
    def exactness(self) -> str:
        """For people: where it stops being exact."""
        if not self.modelled:
            return "exact to the end: every request is the one that was recorded"
        if not self.handover:
            return "modelled from the beginning"
        return f"exact up to record {self.handover_seq}, modelled after it: {self.handover}"


class ResimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be resimulated: `session` is the recorded one with the changes in it (replay/overrides.py)."""

    session: SessionBody
    model: VenueModel
    modelled: bool = False
    balances: dict[str, str] = {}
    changes: tuple[str, ...] = ()  # for people
    until_seq: int | None = None  # nothing behind this record is known to it
    from_seq: int = 0  # no strategy is asked before this record of the market; goes with `modelled`


def resimulate(folder: Path, into: Path, wanted: ResimOptions) -> ResimOutcome:
    """Into a journal of its own, in a new folder: every record of the market is in it, so it is replayed and asked as any other. CannotResimulateError, CoreError."""
    with rare_collections():
        run = _Resimulation(Journal.open(folder), wanted, whole=True)
        writer = JournalWriter.create(into, sync=False, group_rows=GROUP_ROWS, group_delay_s=GROUP_DELAY_S)

        def append(records: Sequence[Record], *, urgent: bool) -> None:
            del urgent  # nothing leaves from here
            writer.append_step(records)
            writer.wait_for_room()

        try:
            run.through(append)
        except BaseException:
            writer.abandon()
            shutil.rmtree(into, ignore_errors=True)  # half a resimulation would verify as a session
            raise
        summary = writer.close(final=run.closing)
    return run.outcome(into, summary.last_seq + 1)


def decide_again(folder: Path, wanted: ResimOptions, keep: Callable[[Sequence[Record]], None]) -> ResimOutcome:
    """As `decide_along`, of a session that was closed or is taken as it stands."""
    return decide_along(Journal.open(folder), wanted, keep)


def decide_along(journal: Journal, wanted: ResimOptions, keep: Callable[[Sequence[Record]], None]) -> ResimOutcome:
    """The same decisions, told step by step: the market's records are only those that led to something, and their bytes are in the source.
    So it costs what deciding costs. Their seqs differ from those of `resimulate`, and with them the ids of orders: hold sessions against
    each other by origin (replay/study/decisions.py).
    """
    count = 0

    def append(records: Sequence[Record], *, urgent: bool) -> None:
        nonlocal count
        del urgent
        count += len(records)
        keep(records)

    with rare_collections():
        run = _Resimulation(journal, wanted, whole=False)
        run.through(append)
    return run.outcome(journal.folder, count)


def refuse(journal: Journal, session: SessionBody) -> None:
    refuse_venue(journal, session)
    if not session.strategies:
        raise CannotResimulateError(f"{journal.folder} ran no strategy. What to do: name one with --strategy.")
    known = {instrument.id: instrument for instrument in session.instruments}
    wanted = [name for found in session.strategies if found.declared is not None for name in found.declared.instruments]
    if wanted and not any(find_instrument(known, name) for name in wanted):
        here = ", ".join(instrument.symbol for instrument in session.instruments)
        only = f' "{ONLY}" is for sessions of a single instrument: name them.' if ONLY in wanted else ""
        raise CannotResimulateError(
            f"{journal.folder} has {here}, and the strategy asks for {', '.join(wanted)}.{only}"
        )


class _Resimulation:
    def __init__(self, journal: Journal, wanted: ResimOptions, *, whole: bool) -> None:
        self.closing = False
        self._journal = journal
        refuse(journal, wanted.session)
        assert wanted.modelled or not wanted.from_seq, "what was recorded was asked from the beginning"
        resimulated = Resimulated(
            source=journal.folder.resolve().name,
            last_seq=journal.last_seq,
            chain=journal.chain,
            modelled=wanted.modelled,
            model=wanted.model.told(),
            changes=wanted.changes,
        )
        self._wanted = wanted
        self._body = msgspec.structs.replace(wanted.session, resimulated=resimulated)
        self._whole = whole
        self._last = SEQ_MAX if wanted.until_seq is None else wanted.until_seq
        self._kernel = Kernel(self._body)
        plans = self._kernel.session.links(wanted.session.venues[0].name)
        self._links = MarketLinks(frozenset(plan.source for plan in plans if plan.role is LinkRole.MARKET))
        self._is_capture = is_import(journal)
        if self._is_capture:
            self._links.up |= self._links.sources  # nobody says when they stood: there are frames
        self._private = [(plan.source, plan.path) for plan in plans if plan.role is LinkRole.PRIVATE]
        self._handover_seq: int | None = None
        self._handover = ""
        self._balances_known = True

    def outcome(self, folder: Path, records: int) -> ResimOutcome:
        return ResimOutcome(folder, records, self._handover_seq, self._handover, self._balances_known)

    def through(self, append: Append) -> None:
        sequencer = Sequencer(self._kernel, append)
        outputs: Sequence[Output] = sequencer.begin(self._body)
        after = 0
        if self._wanted.modelled or self._is_capture:
            self._handover_seq = 0
        else:
            after, outputs = self._exact(sequencer, outputs)
            if not self._handover:
                return
        self._model_on(sequencer, outputs, after)

    def _model_on(self, sequencer: Sequencer, outputs: Sequence[Output], after: int) -> None:
        program = self._kernel.session
        tape = Timeline(self._journal, program, self._last, self._links.sources)
        modelled = ModelRun(self._journal, tape, sequencer, self._body, self._wanted.model, self._links, self._last)
        self._balances_known = modelled.adopt(
            self._wanted.balances, handed_over=bool(self._handover_seq), lived=not self._is_capture
        )
        takes: RowFeed
        if self._whole:
            frames = self._journal.records(after + 1, self._last, kinds=(Kind.FEED,))
            takes = FullRows(sequencer, frames, self._body.engine.checkpoint_every)
        else:
            takes = ReferencedRows(sequencer)
        pieces = tape.pieces(after + 1)
        if self._wanted.from_seq:
            modelled.shell.take(paused())
            pieces = asked_from(pieces, self._wanted.from_seq)
        modelled.go(outputs, pieces, self._private, takes, self._handover)
        self.closing = modelled.shell.closing

    # ---- exact: the venue's answers are those of the journal -------------------------------------------------

    def _exact(self, sequencer: Sequencer, outputs: Sequence[Output]) -> tuple[int, Sequence[Output]]:
        """Up to the first step whose requests are not those recorded: the last record of that step in the source, and its outputs."""
        state = sequencer.state
        recorded: list[Record] = []
        last = 0
        for run in chain.from_iterable(map(runs_of_frames, available_records(self._journal, 1, self._last))):
            last = run[-1].seq
            if run[0].kind not in INPUTS:
                recorded += run
                continue
            at = 0
            while at < len(run):
                record = run[at]
                if why := differs(recorded, outputs):
                    self._hand_over(state, why)
                    return record.seq - 1, outputs
                recorded = []
                timed = record.kind is Kind.TIMER or state.next_due_ns <= record.time_ns
                if timed and (found := timer_differs(self._kernel, state, record)) is not None:
                    self._hand_over(state, found.what)
                    return record.seq - 1, []
                count, outputs = self._repeat(sequencer, run[at:])
                at += count
            self.closing = state.account.modes.closing
        if why := differs(recorded, outputs):
            self._hand_over(state, why)
            return last, outputs
        return last, []

    def _repeat(self, sequencer: Sequencer, run: list[Record]) -> tuple[int, Sequence[Output]]:
        """Records as they stand, the market's with their origins: how many were taken, and what the last of them led to."""
        made = [
            msgspec.structs.replace(record, key=str(record.seq))
            if record.kind is Kind.FEED and record.key is None
            else record
            for record in run
        ]
        records, outputs = sequencer.step(Batch(made))
        for record in run[: len(records)]:
            self._links.follow(record)
        return len(records), outputs

    def _hand_over(self, state: State, why: str) -> None:
        self._handover_seq, self._handover = state.seq, why


def differs(recorded: Sequence[Record], ours: Sequence[Output]) -> str:
    """Why the venue might have answered otherwise from here on: other requests, or the same under other seqs. "": it could not."""
    if len(recorded) != len(ours):
        first = recorded[0] if recorded else ours[0].record
        return f"{len(ours)} outputs in place of {len(recorded)} after record {first.seq - 1}"
    for theirs, (mine, _) in zip(recorded, ours, strict=True):
        if Kind.REQUEST in (theirs.kind, mine.kind) and (theirs.kind, theirs.body) != (mine.kind, mine.body):
            return f"another request at record {mine.seq}: {_said(mine)} in place of {_said(theirs)}"
    return ""


def _said(record: Record) -> str:
    if record.kind is not Kind.REQUEST:
        return f"{record.kind}"
    request = read_request(record.body or "")
    if (order := request.order) is None:
        return request.purpose
    price = f" at {order.price:f}" if order.price else ""
    return f"{request.purpose} {order.side} {order.quantity:f} {order.instrument.partition(':')[2]}{price}"
