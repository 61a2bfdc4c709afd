"""Interrupted decisions of a recorded session. An exact repetition must not run them again: they may never end."""

from collections.abc import Iterable, Iterator, Sequence

from engine.facts import StrategyStopped
from engine.record_codec import read_fact
from engine.recorded_inputs import RecordedInputs
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record

Cuts = tuple[tuple[str, str], ...]  # (strategy, reason) of the decisions on one input
_MARK = '"cut_off":true'


def with_cuts(runs: Iterable[Sequence[Record]], rest: Iterable[Record] = ()) -> Iterator[tuple[Sequence[Record], Cuts]]:
    """Yield runs with the strategies whose decision on the run's input was interrupted, and why.

    Such an input gets its own run. The facts that state the interruption are outputs of that input, so the outputs are
    read ahead.

    Args:
        runs: Inputs and outputs in their order, as `group_frames` or `input_runs` yield them.
        rest: The outputs behind the runs.

    """
    feed, fact = Kind.FEED, Kind.FACT
    held: list[Sequence[Record]] = []  # an input's run and its outputs
    cut: Cuts = ()
    for run in runs:
        kind = feed if isinstance(run, RecordedInputs) else run[0].kind
        if kind is feed or kind in INPUTS:
            if cut:
                yield from _released(held, cut)
                cut = ()
            else:
                for each in held:
                    yield each, ()
            held = [run]
            continue
        held.append(run)
        if kind is fact and _MARK in (run[0].body or ""):
            cut = (*cut, *_cut_of(run[0]))
    for record in rest if held else ():
        cut = (*cut, *_cut_of(record))
    yield from _released(held, cut)


def outputs_after(journal: Journal, seq: int) -> Iterator[Record]:
    """Yield the outputs right after a record: those of the last input up to it."""
    for record in journal.records(seq + 1) if seq < journal.last_seq else ():
        if record.kind in INPUTS:
            return
        yield record


def _released(held: list[Sequence[Record]], cut: Cuts) -> Iterator[tuple[Sequence[Record], Cuts]]:
    for number, run in enumerate(held):
        if not cut or number:
            yield run, ()
            continue
        if len(run) > 1:
            yield run[:-1], ()
        yield run[-1:], cut


def _cut_of(output: Record) -> Cuts:
    if output.kind is not Kind.FACT or _MARK not in (output.body or ""):
        return ()
    fact = read_fact(output.body or "")
    assert isinstance(fact, StrategyStopped), fact
    return ((fact.strategy, fact.reason),)
