"""The smallest run of a session's market records in which two versions decide differently.

A run is tried by resimulating both versions over it with the venue model: strategies decide from its first record on
(replay/resim/warmup.py), and no record after its last one is read. The market before it is unchanged; a strategy begins
with the state and position of the session's start. Whether a run shows a difference does not depend on its start in any
orderly way, so a smaller run than the one returned may exist; shorter by one record at either end, it shows no
difference. Knows nothing of where versions come from.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from engine import facts
from engine.record_codec import read_fact
from engine.step_context import Output
from journal.arrow_arrays import flags, numbers
from journal.reader import Journal
from journal.record import Kind, Record
from replay.entries import Entry, text_of
from replay.resim.resimulate import ResimOptions, resimulate_steps
from replay.study.decisions import ChangedDecision, DecisionReader, RecordedDecision, changed_decisions

SHORTER_STARTS = 12  # later starts that are tried within a run, since a shorter one may be anywhere in it
Numbers = npt.NDArray[np.int64]


class MinimalRun(msgspec.Struct, frozen=True):
    """The smallest run that was found."""

    first_seq: int
    last_seq: int
    first_ns: int
    last_ns: int
    records: int  # market records in it
    changed: list[ChangedDecision]  # the decisions that differ in it


class MinimizeResult(msgspec.Struct, frozen=True):
    """The result of a search."""

    run: MinimalRun | None  # None: no decision of the whole session differs
    records: int  # market records of the session
    decisions: int  # of the first version, over the whole session
    tried: int  # runs


def find_minimal_run(
    folder: Path, good: ResimOptions, bad: ResimOptions, on_try: Callable[[int], None] | None = None
) -> MinimizeResult:
    """Find the smallest run over which two versions decide differently.

    Args:
        folder: The session.
        good: One version.
        bad: The other version, on the same session.
        on_try: Called with the number of runs tried.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
        CoreError: A step failed.
    """
    runs = _Runs(folder, good, bad, on_try or (lambda _tried: None))
    count = len(runs.seqs)
    bounds = shrink_run(count, runs.differs_at) if count else None
    run = None
    if bounds is not None:
        first, last = bounds
        run = MinimalRun(
            first_seq=int(runs.seqs[first]),
            last_seq=int(runs.seqs[last]),
            first_ns=int(runs.times[first]),
            last_ns=int(runs.times[last]),
            records=runs.record_count(first, last),
            changed=runs.changed(first, last),
        )
    return MinimizeResult(run, runs.record_count(0, count - 1), runs.decisions, len(runs.tried))


def shrink_run(count: int, differs_at: Callable[[int, int], int | None]) -> tuple[int, int] | None:
    """Return the first and last of `count` records over which a difference shows, but not without either of them.

    Args:
        count: The number of records.
        differs_at: Returns the record at which the versions first differ in a run, or None if they do not.

    Returns:
        The two records, or None if no difference shows.
    """

    def differs(first: int, last: int) -> bool:
        return first <= last and differs_at(first, last) is not None

    end = differs_at(0, count - 1)
    if end is None:
        return None
    # the venue reads the market earlier than the engine, so the difference may need records after its own
    last = end if differs(0, end) else _boundary(end, count - 1, lambda stop: differs(0, stop))
    first, starts = 0, _doubling_starts(last)
    while (bounds := _latest_start(starts, last + 1, lambda start: differs(start, last))) is not None:
        first = _boundary(*bounds, lambda start: differs(start, last))
        starts = _later_starts(first, last)
    sooner = differs_at(first, last)
    if sooner is not None and differs(first, sooner):
        last = sooner
    while True:
        if differs(first + 1, last):
            first += 1
        elif differs(first, last - 1):
            last -= 1
        else:
            return first, last


def _doubling_starts(last: int) -> list[int]:
    """Return the starts of runs of 1, 2, 4, ... records, and of all records."""
    return [last + 1 - (1 << power) for power in range((last + 1).bit_length())] + [0]


def _later_starts(first: int, last: int) -> list[int]:
    """Return later starts within a run, the latest first."""
    return sorted(
        {last - (last - first) * number // (SHORTER_STARTS + 1) for number in range(1, SHORTER_STARTS + 1)} - {first},
        reverse=True,
    )


def _latest_start(starts: Iterable[int], without: int, differs: Callable[[int], bool]) -> tuple[int, int] | None:
    """Return a start without a difference and the first of `starts` with one, which is before it."""
    for start in starts:
        if differs(start):
            return without, start
        without = start
    return None


def _boundary(without: int, with_difference: int, differs: Callable[[int], bool]) -> int:
    """Return a value with a difference that is next to one without. Searches between the two given values."""
    while abs(with_difference - without) > 1:
        middle = (without + with_difference) // 2
        if differs(middle):
            with_difference = middle
        else:
            without = middle
    return with_difference


class _Runs:
    """The decisions of both versions over runs of a session. Each run is resimulated once."""

    def __init__(self, folder: Path, good: ResimOptions, bad: ResimOptions, on_try: Callable[[int], None]) -> None:
        self._folder = folder
        self._on_try = on_try
        self._versions = good, bad
        self.seqs, self.times, self._market = _market_records(Journal.open(folder))
        self.tried: dict[tuple[int, int], list[ChangedDecision]] = {}
        self.decisions = 0  # of the first version, in the first run that was tried

    def record_count(self, first: int, last: int) -> int:
        return min(last + 1, self._market) - first

    def changed(self, first: int, last: int) -> list[ChangedDecision]:
        changes = self.tried.get((first, last))
        if changes is None:
            good, bad = (self._decided(version, first, last) for version in self._versions)
            if not self.tried:
                self.decisions = len(good)
            changes = self.tried[first, last] = changed_decisions(good, bad)
            self._on_try(len(self.tried))
        return changes

    def differs_at(self, first: int, last: int) -> int | None:
        changes = self.changed(first, last)
        return min(
            (self._record_of(change) for change in changes if change.time_ns == changes[0].time_ns), default=None
        )

    def _record_of(self, changed: ChangedDecision) -> int:
        """Return the record of a decision: for a timer, the record before which it was due."""
        kind, _, seq = changed.one.origin.partition(" ")
        by_time = np.searchsorted(self.times, changed.time_ns)
        index = np.searchsorted(self.seqs, int(seq)) if kind == "market" else by_time
        return min(int(index), len(self.seqs) - 1)

    def _decided(self, version: ResimOptions, first: int, last: int) -> list[RecordedDecision]:
        reader = DecisionReader()
        decisions: list[RecordedDecision] = []

        def add_step(inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
            decisions.extend(
                decision
                for entry in chain[Entry](inputs, outputs)
                if (decision := reader.read(entry) or _stop_decision(reader, entry)) is not None
            )

        run = msgspec.structs.replace(
            version, modelled=True, from_seq=int(self.seqs[first]), until_seq=int(self.seqs[last])
        )
        resimulate_steps(self._folder, run, add_step)
        return decisions


def _stop_decision(reader: DecisionReader, entry: Entry) -> RecordedDecision | None:
    """Return the stop of a strategy as a decision, since an error is also a different behaviour."""
    if entry.kind is not Kind.FACT or (isinstance(entry, Output) and type(entry.body) is not facts.StrategyStopped):
        return None
    fact = read_fact(text_of(entry))
    if not isinstance(fact, facts.StrategyStopped):
        return None
    return RecordedDecision(
        reader.origin,
        fact.strategy,
        0,
        f"is stopped: {fact.reason}",
        approved=True,
        seq=entry.seq,
        time_ns=entry.time_ns,
    )


def _market_records(journal: Journal) -> tuple[Numbers, Numbers, int]:
    """Return seqs and times of the market records, and their number.

    The session's last record follows them in the arrays, since timers run up to it.
    """
    seqs, times = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in journal.batches(columns=("seq", "time_ns", "meta"), kinds=(Kind.FEED,)):
        streamed = flags(batch.column("meta").is_null())
        seqs.append(numbers(batch.column("seq"))[streamed])
        times.append(numbers(batch.column("time_ns"))[streamed])
    market = sum(map(len, seqs))
    if market and journal.last_seq > max(part[-1] for part in seqs if len(part)):
        last = next(journal.records(journal.last_seq, journal.last_seq))
        seqs.append(np.array([last.seq]))
        times.append(np.array([last.time_ns]))
    return np.concatenate(seqs), np.concatenate(times), market
