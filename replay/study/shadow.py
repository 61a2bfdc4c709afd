"""A version of a strategy beside a session that is running: decisions of both sides are compared as they are made.

A difference is reported once both sides had the chance to decide: the other side has decided, or its time is later.
replay/resim/resimulate.py decides, journal/live_journal.py reads; memory grows with decisions only. Knows no file.
"""

from collections.abc import Callable, Sequence

from engine.record_codec import read_command
from engine.session_record import SECOND_NS
from engine.timer_names import TimerKind
from journal.record import Kind, Record
from replay.study.decisions import ChangedDecision, DecisionKey, DecisionReader, RecordedDecision
from replay.study.performance import PerformanceCounter

# both sides receive these at the same time; answers, and timers that follow from answers, may come later at one side
SIMULTANEOUS_ORIGINS = ("market ", f"{TimerKind.THROTTLE}.")
GRACE_NS = SECOND_NS  # how much later than the other a modelled or a recorded answer may be


class _ShadowSide:
    """The decisions of one side, and those that wait for their counterpart."""

    def __init__(self, *, as_source: bool) -> None:
        self.reader = DecisionReader(as_source=as_source)
        self.counter = PerformanceCounter()
        self.waiting: dict[DecisionKey, RecordedDecision] = {}  # decisions without a counterpart yet, by time
        self.time_ns = -1  # every decision before this time is known
        self.decisions = 0


class Shadow:
    """Compares the records of a running session with those of a version that is resimulated beside it."""

    def __init__(self, on_change: Callable[[ChangedDecision], None], on_handover: Callable[[int, str], None]) -> None:
        """Prepare the comparison.

        Args:
            on_change: Called with each decision that differs.
            on_handover: Called with the last exact record and the reason when the model takes over.
        """
        self._live, self._ours = _ShadowSide(as_source=True), _ShadowSide(as_source=False)
        self._on_change = on_change
        self._on_handover = on_handover
        self.changed = 0

    def add_recorded(self, records: Sequence[Record]) -> None:
        """Add records of the running session."""
        self._add(self._live, self._ours, records)

    def add_resimulated(self, records: Sequence[Record]) -> None:
        """Add records of the version."""
        first = records[0]
        if first.kind is Kind.COMMAND and first.source == "resim":
            self._on_handover(first.seq - 1, read_command(first.body or "").reason)
        self._add(self._ours, self._live, records)

    def end(self) -> None:
        """Report every decision that has no counterpart yet. No records follow."""
        for side in (self._live, self._ours):
            while side.waiting:
                self._report_unmatched(side, side.waiting.pop(next(iter(side.waiting))))

    @property
    def counts(self) -> tuple[int, int]:
        """The number of decisions of the session and of the version."""
        return self._live.decisions, self._ours.decisions

    @property
    def performances(self) -> tuple[PerformanceCounter, PerformanceCounter]:
        """The figures of the session and of the version."""
        return self._live.counter, self._ours.counter

    def _add(self, side: _ShadowSide, other: _ShadowSide, records: Sequence[Record]) -> None:
        for record in records:
            side.counter.add(record)
            if (decision := side.reader.read(record)) is None:
                continue
            side.decisions += 1
            counterpart = other.waiting.pop(decision.key, None)
            if counterpart is None:
                side.waiting[decision.key] = decision
            elif not counterpart.same_as(decision):
                self._report_pair(side, decision, counterpart)
        side.time_ns = records[-1].time_ns
        self._settle(side, other)
        self._settle(other, side)

    def _settle(self, side: _ShadowSide, other: _ShadowSide) -> None:
        """Report the decisions that the other side did not make, once its time is later."""
        while side.waiting:
            key, decision = next(iter(side.waiting.items()))
            if other.time_ns <= decision.time_ns + (
                0 if decision.origin.startswith(SIMULTANEOUS_ORIGINS) else GRACE_NS
            ):
                return
            del side.waiting[key]
            self._report_unmatched(side, decision)

    def _report_unmatched(self, side: _ShadowSide, decision: RecordedDecision) -> None:
        self.changed += 1
        self._on_change(ChangedDecision(decision, None) if side is self._live else ChangedDecision(None, decision))

    def _report_pair(self, side: _ShadowSide, decision: RecordedDecision, counterpart: RecordedDecision) -> None:
        self.changed += 1
        self._on_change(
            ChangedDecision(decision, counterpart) if side is self._live else ChangedDecision(counterpart, decision)
        )
