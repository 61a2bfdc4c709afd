"""A version of a strategy beside a session that is being lived: both sides' decisions are held against each other as they come.

A difference is said once both sides had their chance: the other side's decision is there, or its time has passed that of this one.
Deciding is replay/resim/resimulate.py, reading is journal/live_journal.py; what is held here grows with decisions alone. Knows no file.
"""

from collections.abc import Callable, Sequence

from engine.record_codec import read_command
from engine.session_record import SECOND_NS
from journal.record import Kind, Record
from replay.study.decisions import ChangedDecision, DecisionReader, Place, RecordedDecision
from replay.study.performance import PerformanceCounter

SURE_ORIGINS = ("market ", "watch.")  # these come to both sides at one time; others are answers, or follow from them
GRACE_NS = SECOND_NS  # what a modelled answer may be late, or the recorded one


class _Side:
    def __init__(self, *, as_source: bool) -> None:
        self.reading = DecisionReader(as_source=as_source)
        self.counting = PerformanceCounter()
        self.waiting: dict[Place, RecordedDecision] = {}  # for the other's, in the order of time
        self.time_ns = -1  # all before it was decided
        self.decisions = 0


class Shadow:
    """`lived` takes the records of the session, `decided` those of the version; `tell` gets each difference at once."""

    def __init__(self, tell: Callable[[ChangedDecision], None], tell_handover: Callable[[int, str], None]) -> None:
        """`tell_handover`: the last record up to which it was exact, and why the model takes over there."""
        self._live, self._ours = _Side(as_source=True), _Side(as_source=False)
        self._tell = tell
        self._tell_handover = tell_handover
        self.changed = 0

    def lived(self, records: Sequence[Record]) -> None:
        self._take(self._live, self._ours, records)

    def decided(self, records: Sequence[Record]) -> None:
        first = records[0]
        if first.kind is Kind.COMMAND and first.source == "resim":
            self._tell_handover(first.seq - 1, read_command(first.body or "").reason)
        self._take(self._ours, self._live, records)

    def end(self) -> None:
        """Nothing more comes: what has no counterpart now has none."""
        for side in (self._live, self._ours):
            while side.waiting:
                self._tell_one(side, side.waiting.pop(next(iter(side.waiting))))

    @property
    def counts(self) -> tuple[int, int]:
        """Decisions of the session, and of the version."""
        return self._live.decisions, self._ours.decisions

    @property
    def tallies(self) -> tuple[PerformanceCounter, PerformanceCounter]:
        return self._live.counting, self._ours.counting

    def _take(self, side: _Side, other: _Side, records: Sequence[Record]) -> None:
        for record in records:
            side.counting.take(record)
            if (found := side.reading.take(record)) is None:
                continue
            side.decisions += 1
            counterpart = other.waiting.pop(found.place, None)
            if counterpart is None:
                side.waiting[found.place] = found
            elif not counterpart.says_as(found):
                self._tell_pair(side, found, counterpart)
        side.time_ns = records[-1].time_ns
        self._settle(side, other)
        self._settle(other, side)

    def _settle(self, side: _Side, other: _Side) -> None:
        """Say what the other side did not decide, though it came past it."""
        while side.waiting:
            place, found = next(iter(side.waiting.items()))
            if other.time_ns <= found.time_ns + (0 if found.origin.startswith(SURE_ORIGINS) else GRACE_NS):
                return
            del side.waiting[place]
            self._tell_one(side, found)

    def _tell_one(self, side: _Side, found: RecordedDecision) -> None:
        self.changed += 1
        self._tell(ChangedDecision(found, None) if side is self._live else ChangedDecision(None, found))

    def _tell_pair(self, side: _Side, found: RecordedDecision, counterpart: RecordedDecision) -> None:
        self.changed += 1
        self._tell(ChangedDecision(found, counterpart) if side is self._live else ChangedDecision(counterpart, found))
