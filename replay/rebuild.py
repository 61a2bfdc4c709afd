"""Rebuilding: recorded inputs and outputs are folded, nothing is decided, and no strategy's code is run.

So what the engine believed at a moment can be read from any journal, also one from another machine.
"""

from pathlib import Path

from engine.errors import CoreError
from engine.kernel import Kernel, rebuilder_of
from engine.state.session_state import State
from journal.reader import Journal
from journal.record import Kind, Record
from replay import snapshots

SNAPSHOT_RECORDS = 20_000  # a fold longer than this is worth a snapshot


def rebuild(
    folder: Path, *, until: int | None = None, until_ns: int | None = None, use_snapshots: bool = True
) -> tuple[Kernel, State, Record]:
    """The kernel, the state after record `until` (or the last one at or before `until_ns`), and that record."""
    journal = Journal.open(folder)
    last = journal.last_seq if until is None else max(0, min(until, journal.last_seq))
    if until_ns is not None:
        last = max(0, min(last, journal.seq_at(until_ns)))
    first = journal.session_record()
    kernel = rebuilder_of(first)
    state = snapshots.nearest(journal, kernel, first, last) if use_snapshots else None
    if state is None:
        state = kernel.begin(first) if not last else snapshots.begun(journal, kernel, first)
    return kernel, state, _fold(journal, kernel, state, first, last, use_snapshots=use_snapshots)


def _fold(journal: Journal, kernel: Kernel, state: State, first: Record, last: int, *, use_snapshots: bool) -> Record:
    """Up to and with record `last`. Leaves a snapshot at a CHECKPOINT now and then."""
    kept = state.seq
    if state.seq >= last:
        return next(iter(journal.records(last, last)), first)
    record = first
    for record in journal.records(state.seq + 1, last):
        heard = state.input_hash if record.kind is Kind.CHECKPOINT else b""
        try:
            kernel.rebuild(state, record)
        except Exception as error:
            raise CoreError(
                f"record {record.seq} ({record.kind} of {record.source}) cannot be folded: {error}"
            ) from error
        if heard and use_snapshots and record.seq - kept >= SNAPSHOT_RECORDS:
            snapshots.keep(journal.folder, first, state, heard)
            kept = record.seq
    return record
