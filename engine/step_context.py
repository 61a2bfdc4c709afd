"""The work of one step: the state it changes and its outputs. Each output is folded as soon as it is made.

A later stage of the same step therefore sees what a reader of the journal sees. This module knows no rule of trading.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import force_setattr

from engine.bodies import CheckpointBody, IntentBody, NoteBody, NoteLevel, RequestBody, VerdictBody
from engine.facts import Fact, ModeChanged
from engine.market.market_state import Market
from engine.market.views import Quote
from engine.mode_reasons import Mode, ModeReason
from engine.record_codec import BODY_WRITERS
from engine.requests import Purpose
from engine.session_record import EngineSettings, SafeguardSettings
from engine.state.account_fold import move_of
from engine.state.changes import Change, Requested, Stamp
from engine.state.fill_cursor import NUMBERED_FILLS, FillCursor
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import Account, State
from journal.record import Kind, Record

OutputBody = Fact | IntentBody | VerdictBody | RequestBody | NoteBody | CheckpointBody
KINDS: Final[dict[type, Kind]] = {  # any other body is a fact
    IntentBody: Kind.INTENT,
    VerdictBody: Kind.VERDICT,
    RequestBody: Kind.REQUEST,
    NoteBody: Kind.NOTE,
    CheckpointBody: Kind.CHECKPOINT,
}
FACT: Final = Kind.FACT  # a member of an enum is found in ten times the time of a name of the module
VERDICT: Final = Kind.VERDICT
REQUEST: Final = Kind.REQUEST


class Output(msgspec.Struct, frozen=True):
    """An output of a step: the fields of its record, with the body as a value.

    The record has the body's canonical text. It is made when it is first needed: a resimulation that keeps no journal
    needs few of them.
    """

    seq: int
    time_ns: int
    kind: Kind
    source: str
    cause: int | None
    key: str | None
    body: OutputBody
    made: Record | None = None  # the record, once it was needed

    @classmethod
    def from_record(cls, record: Record, body: OutputBody) -> "Output":
        """Return the output whose record is there already."""
        return cls(record.seq, record.time_ns, record.kind, record.source, record.cause, record.key, body, record)

    @property
    def record(self) -> Record:
        """The output as it is journalled."""
        return records_of((self,))[0]


def records_of(outputs: Iterable[Output]) -> list[Record]:
    """Return the outputs as they are journalled."""
    records = []
    for output in outputs:
        record = output.made
        if record is None:
            body = output.body
            text = BODY_WRITERS[type(body)](body)
            record = Record(
                output.seq, output.time_ns, output.kind, output.source, output.cause, output.key, None, None, None, text
            )
            force_setattr(output, "made", record)
        records.append(record)
    return records


class StepContext:
    """One step, from its input to its outputs."""

    def __init__(self, state: State, record: Record, settings: ReducerSettings) -> None:
        self.state = state
        self.record = record  # the input that is decided on
        self.outputs: list[Output] = []
        self.account: Account = state.account  # always the state's own account
        self.market: Market = state.market
        self.time_ns: int = record.time_ns
        self.next_seq = record.seq + 1  # seq of the next output; order ids are derived from it
        self.reducer_settings = settings

    def emit(
        self, body: OutputBody, *, source: str = "engine", key: str | None = None, cause: int | None = None
    ) -> int:
        """Add an output and fold it into the account.

        Args:
            body: A fact, intent, verdict, request, note or checkpoint.
            source: The module or strategy that made it.
            key: The client order id that it concerns, if any.
            cause: Seq of the record that led to it; the input's if None.

        Returns:
            The seq of the output's record.

        """
        seq = self.next_seq
        self.next_seq = seq + 1
        kind = KINDS.get(type(body), FACT)
        if cause is None:
            cause = self.record.seq
        self.outputs.append(Output(seq, self.time_ns, kind, source, cause, key, body))
        change: Change
        moved_by: type | Purpose = type(body)  # as account_fold.fold looks it up
        if kind is FACT or (kind is VERDICT and body.strategy):  # type: ignore[union-attr]  # a VerdictBody
            change = body  # type: ignore[assignment]  # any body that KINDS does not list is a fact
        elif kind is REQUEST:
            change = requested = Requested(body)  # type: ignore[arg-type]  # a RequestBody
            moved_by = requested.request.purpose
        else:
            return seq  # intents, notes, checkpoints, and verdicts that count for no breaker change nothing
        move = self.reducer_settings.moves.get(moved_by) or move_of(moved_by, self.reducer_settings)
        self.account = self.state.account = move(self.account, change, Stamp(seq, self.time_ns))
        return seq

    def remove_outputs(self, count: int, account: Account) -> None:
        """Remove the outputs after the first `count`. `account` is the account before they were folded."""
        self.next_seq -= len(self.outputs) - count
        del self.outputs[count:]
        self.account = self.state.account = account

    def quote(self, index: int) -> Quote | None:
        """Return the last quote of an instrument with its age at this step."""
        return self.market.quote(index, self.time_ns)

    @property
    def settings(self) -> EngineSettings:
        """The session's settings."""
        return self.reducer_settings.engine

    @property
    def safeguards(self) -> SafeguardSettings:
        """The session's bounds on repeated requests and refusals."""
        return self.reducer_settings.safeguards

    def account_of(self, venue: str) -> str:
        """Return the key of a venue's account: the venue's name, or "" in a session of one venue."""
        return venue if self.reducer_settings.has_accounts else ""

    def fill_cursor(self, venue: str) -> FillCursor:
        """Return how a venue orders its fills."""
        return self.reducer_settings.cursors.get(venue, NUMBERED_FILLS)

    def halt(self, reason: ModeReason, *, key: str | None = None, source: str = "engine") -> None:
        """Halt until a person resumes. Every halt by the core goes through here."""
        self.emit(ModeChanged(Mode.HALTED, (reason,)), source=source, key=key)

    def note(self, level: NoteLevel, text: str, *, key: str | None = None) -> None:
        """Add a remark for people."""
        self.emit(NoteBody(level, text), key=key)
