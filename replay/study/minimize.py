"""The smallest run of a session's market records in which two versions decide otherwise.

A run is tried by resimulating both versions over it on the venue's model: strategies are asked from its first record on
(replay/resim/warmup.py), and nothing behind its last is known. The market before it stands as it stood; what a strategy remembers and
holds is what it began the session with. Whether a run shows a difference depends on its beginning in no orderly way, so there may be a
smaller one than is found; that none is that has a record less at either end was tried. Knows nothing of where versions come from.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from engine import facts
from engine.record_codec import read_fact
from journal.reader import Journal
from journal.record import Kind, Record
from replay.resim.resimulate import ResimOptions, decide_again
from replay.study.decisions import ChangedDecision, DecisionReader, RecordedDecision, changes

SHORTER_TRIED = 12  # beginnings, where a run was found: there may be shorter ones anywhere in it
Numbers = npt.NDArray[np.int64]


class MinimalRun(msgspec.Struct, frozen=True):
    first_seq: int
    last_seq: int
    first_ns: int
    last_ns: int
    records: int  # of the market
    changed: list[ChangedDecision]  # what is decided otherwise in it


class MinimizeResult(msgspec.Struct, frozen=True):
    run: MinimalRun | None  # None: over the whole session nothing is decided otherwise
    records: int  # of the session's market
    decisions: int  # of the first version, over all of them
    tried: int  # runs


def smallest_run(
    folder: Path, good: ResimOptions, bad: ResimOptions, told: Callable[[int], None] | None = None
) -> MinimizeResult:
    """The two are on the same session's records; `told` hears how many runs were tried. CannotResimulateError, CoreError."""
    runs = _Runs(folder, good, bad, told or (lambda _tried: None))
    count = len(runs.seqs)
    found = smallest(count, runs.differs_at) if count else None
    run = None
    if found is not None:
        first, last = found
        run = MinimalRun(
            first_seq=int(runs.seqs[first]),
            last_seq=int(runs.seqs[last]),
            first_ns=int(runs.times[first]),
            last_ns=int(runs.times[last]),
            records=runs.counted(first, last),
            changed=runs.changed(first, last),
        )
    return MinimizeResult(run, runs.counted(0, count - 1), runs.decisions, len(runs.tried))


def smallest(count: int, differs_at: Callable[[int, int], int | None]) -> tuple[int, int] | None:
    """The first and last of `count` records between which a difference shows that does not show without either of them; None where none shows.

    `differs_at(first, last)`: the record on which they differ first, in the run of these; None: they do not.
    """

    def shows(first: int, last: int) -> bool:
        return first <= last and differs_at(first, last) is not None

    end = differs_at(0, count - 1)
    if end is None:
        return None
    last = (
        end if shows(0, end) else _edge(end, count - 1, lambda at: shows(0, at))
    )  # else it takes what the venue saw before us
    first, beginnings = 0, _doubling(last)
    while (found := _latest(beginnings, last + 1, lambda at: shows(at, last))) is not None:
        first = _edge(*found, lambda at: shows(at, last))
        beginnings = _spread(first, last)
    sooner = differs_at(first, last)
    if sooner is not None and shows(first, sooner):
        last = sooner
    while True:
        if shows(first + 1, last):
            first += 1
        elif shows(first, last - 1):
            last -= 1
        else:
            return first, last


def _doubling(last: int) -> list[int]:
    """Beginnings of runs of 1, 2, 4, ... records, and of all there are."""
    return [last + 1 - (1 << power) for power in range((last + 1).bit_length())] + [0]


def _spread(first: int, last: int) -> list[int]:
    """Later beginnings, the latest first."""
    return sorted(
        {last - (last - first) * part // (SHORTER_TRIED + 1) for part in range(1, SHORTER_TRIED + 1)} - {first},
        reverse=True,
    )


def _latest(beginnings: Iterable[int], without: int, shows: Callable[[int], bool]) -> tuple[int, int] | None:
    """One for which it does not show and the first of these for which it does, which lies before it."""
    for at in beginnings:
        if shows(at):
            return without, at
        without = at
    return None


def _edge(without: int, with_it: int, shows: Callable[[int], bool]) -> int:
    """One for which it shows beside one for which it does not, between two of which this is so."""
    while abs(with_it - without) > 1:
        middle = (without + with_it) // 2
        if shows(middle):
            with_it = middle
        else:
            without = middle
    return with_it


class _Runs:
    """Both versions over runs of a session, each tried once."""

    def __init__(self, folder: Path, good: ResimOptions, bad: ResimOptions, told: Callable[[int], None]) -> None:
        self._folder = folder
        self._told = told
        self._versions = good, bad
        self.seqs, self.times, self._market = _records(Journal.open(folder))
        self.tried: dict[tuple[int, int], list[ChangedDecision]] = {}
        self.decisions = 0  # of the first version, in the first run that was tried

    def counted(self, first: int, last: int) -> int:
        return min(last + 1, self._market) - first

    def changed(self, first: int, last: int) -> list[ChangedDecision]:
        found = self.tried.get((first, last))
        if found is None:
            good, bad = (self._decided(version, first, last) for version in self._versions)
            if not self.tried:
                self.decisions = len(good)
            found = self.tried[first, last] = changes(good, bad)
            self._told(len(self.tried))
        return found

    def differs_at(self, first: int, last: int) -> int | None:
        found = self.changed(first, last)
        return min((self._record_of(each) for each in found if each.time_ns == found[0].time_ns), default=None)

    def _record_of(self, changed: ChangedDecision) -> int:
        """Where it was decided on: of a timer, the record before which it was due."""
        kind, _, seq = changed.one.origin.partition(" ")
        at = np.searchsorted(self.seqs, int(seq)) if kind == "market" else np.searchsorted(self.times, changed.time_ns)
        return min(int(at), len(self.seqs) - 1)

    def _decided(self, version: ResimOptions, first: int, last: int) -> list[RecordedDecision]:
        reading = DecisionReader()
        found: list[RecordedDecision] = []

        def take(records: Sequence[Record]) -> None:
            for record in records:
                if decision := reading.take(record) or _stop(reading, record):
                    found.append(decision)  # noqa: PERF401 - it would be read less easily

        run = msgspec.structs.replace(
            version, modelled=True, from_seq=int(self.seqs[first]), until_seq=int(self.seqs[last])
        )
        decide_again(self._folder, run, take)
        return found


def _stop(reading: DecisionReader, record: Record) -> RecordedDecision | None:
    """A strategy's mistake is what it decided there."""
    if record.kind is not Kind.FACT:
        return None
    fact = read_fact(record.body or "")
    if not isinstance(fact, facts.StrategyStopped):
        return None
    return RecordedDecision(
        reading.origin,
        fact.strategy,
        0,
        f"is stopped: {fact.reason}",
        approved=True,
        seq=record.seq,
        time_ns=record.time_ns,
    )


def _records(journal: Journal) -> tuple[Numbers, Numbers, int]:
    """Seqs and times of the market's records, and how many they are; behind them the session's last, up to which its timers go."""
    seqs, times = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in journal.batches(columns=("seq", "time_ns", "meta"), kinds=(Kind.FEED,)):
        streamed = batch.column("meta").is_null().to_numpy(zero_copy_only=False)
        seqs.append(batch.column("seq").to_numpy()[streamed])
        times.append(batch.column("time_ns").to_numpy()[streamed])
    market = sum(map(len, seqs))
    if market and journal.last_seq > max(each[-1] for each in seqs if len(each)):
        last = next(journal.records(journal.last_seq, journal.last_seq))
        seqs.append(np.array([last.seq]))
        times.append(np.array([last.time_ns]))
    return np.concatenate(seqs), np.concatenate(times), market
