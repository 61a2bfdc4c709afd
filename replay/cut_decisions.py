"""Interrupted decisions of a recorded session. An exact repetition must not run them again: they may never end."""

from collections.abc import Iterable, Iterator

from engine.facts import StrategyStopped
from engine.record_codec import read_fact
from journal.record import INPUTS, Kind, Record

Cuts = tuple[tuple[str, str], ...]  # (strategy, reason) of the decisions on one input


def with_cuts(runs: Iterable[list[Record]], rest: Iterable[Record] = ()) -> Iterator[tuple[list[Record], Cuts]]:
    """Yield runs with the strategies whose decision on the run's last input was interrupted, and why.

    The facts that say so are outputs of that input, so the outputs are read ahead. `rest` are those behind the runs.
    """
    held: list[list[Record]] = []  # an input's run and its outputs
    cut: Cuts = ()
    for run in runs:
        record = run[0]
        if record.kind in INPUTS:
            for number, one in enumerate(held):
                yield one, () if number else cut
            held, cut = [run], ()
            continue
        held.append(run)
        if record.kind is Kind.FACT:
            cut = (*cut, *_cut_of(record))
    for record in rest if held else ():
        cut = (*cut, *_cut_of(record))
    for number, one in enumerate(held):
        yield one, () if number else cut


def _cut_of(output: Record) -> Cuts:
    if output.kind is not Kind.FACT or '"cut_off":true' not in (output.body or ""):
        return ()
    fact = read_fact(output.body or "")
    assert isinstance(fact, StrategyStopped), fact
    return ((fact.strategy, fact.reason),)
