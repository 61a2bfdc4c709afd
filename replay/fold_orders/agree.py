"""Compare a run with orders in the fold with the ordinary way, which decides if they differ."""

from journal.reader import Journal
from journal.record import Kind
from replay.fold_orders.events import EventCollector, first_difference
from replay.fold_orders.run import FoldedRun
from replay.resim.resimulate import ResimOptions, resimulate_steps


class FoldDiffersError(Exception):
    """A run with orders in the fold and the ordinary way differ. The text is one line with the first difference."""


def refuse_difference(run: FoldedRun, ordinary: EventCollector) -> None:
    """Refuse a run whose events are not those of the ordinary way.

    Raises:
        FoldDiffersError: They differ.
    """
    found = first_difference(run.events, ordinary.events, run.instrument)
    if found:
        raise FoldDiffersError(f"orders in the fold differ from the ordinary way, which holds: {found}.")


def check_against_steps(run: FoldedRun, source: Journal, options: ResimOptions) -> None:
    """Resimulate the ordinary way without a journal, and compare.

    Raises:
        FoldDiffersError: They differ.
    """
    ordinary = EventCollector(run.instrument)
    resimulate_steps(source, options, ordinary.add)
    refuse_difference(run, ordinary)


def check_against_journal(run: FoldedRun, journal: Journal) -> None:
    """Compare with the full records of the ordinary way, which a journal has.

    Raises:
        FoldDiffersError: They differ.
    """
    ordinary = EventCollector(run.instrument)
    for record in journal.records(kinds=(Kind.INTENT, Kind.VERDICT, Kind.REQUEST, Kind.FACT)):
        ordinary.add_record(record)
    refuse_difference(run, ordinary)
