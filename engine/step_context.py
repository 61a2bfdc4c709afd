"""One step's work in hand: the state it changes and the records it puts out. Every output is folded the moment it is made.

So what a later stage of the same step sees is what a reader of the journal would see. Knows no rule of trading.
"""

import msgspec

from engine.bodies import IntentBody, NoteBody, NoteLevel, RequestBody, VerdictBody
from engine.facts import Fact
from engine.market.market_state import Market
from engine.record_codec import text_of
from engine.state.changes import Change, Requested, Stamp
from engine.state.session_state import Account, Rules, State, fold
from journal.record import Kind, Record


class StepContext:
    """From one input to its outputs."""

    def __init__(self, state: State, record: Record, rules: Rules) -> None:
        self.state = state
        self.record = record
        self.outputs: list[Record] = []
        self.account: Account = state.account  # as the state's own; both move in `_fold`
        self.market: Market = state.market
        self.time_ns: int = record.time_ns
        self.next_seq = record.seq + 1  # that the next output will have: ids are derived from it
        self._rules = rules

    def fact(self, fact: Fact, *, key: str | None = None, source: str = "engine", cause: int | None = None) -> int:
        seq = self._put(Kind.FACT, fact, source=source, key=key, cause=cause)
        self._fold(fact, seq)
        return seq

    def intent(self, intent: IntentBody, *, key: str) -> int:
        return self._put(Kind.INTENT, intent, source=f"strategy.{intent.strategy}", key=key)

    def verdict(self, verdict: VerdictBody, *, key: str, cause: int) -> int:
        return self._put(Kind.VERDICT, verdict, source="risk", key=key, cause=cause)

    def request(self, request: RequestBody, *, cause: int | None = None, source: str = "execution") -> int:
        seq = self._put(Kind.REQUEST, request, source=source, key=request.client_order_id or None, cause=cause)
        self._fold(Requested(request), seq)
        return seq

    def note(self, level: str, text: str, *, key: str | None = None) -> int:
        """Put out a remark for people. It changes nothing."""
        return self._put(Kind.NOTE, NoteBody(NoteLevel(level), text), source="engine", key=key)

    def raw(self, kind: Kind, body: msgspec.Struct, *, source: str) -> int:
        """An output that is neither fact nor request and changes nothing (CHECKPOINT)."""
        return self._put(kind, body, source=source)

    def _fold(self, change: Change, seq: int) -> None:
        self.account = self.state.account = fold(self.account, change, Stamp(seq, self.time_ns), self._rules)

    def _put(
        self, kind: Kind, body: msgspec.Struct, *, source: str, key: str | None = None, cause: int | None = None
    ) -> int:
        seq = self.next_seq
        self.next_seq += 1
        self.outputs.append(
            Record(
                seq=seq,
                time_ns=self.time_ns,
                kind=kind,
                source=source,
                cause=self.record.seq if cause is None else cause,
                key=key,
                body=text_of(body),
            )
        )
        return seq
