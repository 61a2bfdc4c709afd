"""Rebuilding: recorded inputs and outputs are folded. Nothing is decided, and no strategy's code is run.

So the engine's state at any moment can be read from any journal, including one from another machine.
"""

from collections.abc import Sequence
from pathlib import Path

from engine.errors import CoreError
from engine.kernel import Kernel, rebuilder_of
from engine.state.session_state import State
from journal.frame_runs import group_frames
from journal.progress import Progress
from journal.reader import Journal
from journal.record import Kind, Record
from replay import snapshots

PROGRESS_RECORDS = 1_000
SNAPSHOT_RECORDS = 20_000  # a longer fold costs more than writing a snapshot


def rebuild(
    folder: Path,
    *,
    until: int | None = None,
    until_ns: int | None = None,
    use_snapshots: bool = True,
    from_start: bool = False,
    snapshot_records: int | None = None,
    on_progress: Progress | None = None,
) -> tuple[Kernel, State, Record]:
    """Return the kernel, the state after a record, and that record.

    Args:
        folder: The session.
        until: The last record to fold; the session's last one by default.
        until_ns: Fold up to the last record at or before this time.
        use_snapshots: Begin at a snapshot and write new ones.
        from_start: Begin at the first record although there are snapshots.
        snapshot_records: The records between two new snapshots, SNAPSHOT_RECORDS by default.
        on_progress: Called with the records folded and to fold.

    Raises:
        CoreError: A record cannot be folded. The message names it.
    """
    journal = Journal.open(folder)
    last = journal.last_seq if until is None else max(0, min(until, journal.last_seq))
    if until_ns is not None:
        last = max(0, min(last, journal.seq_at(until_ns)))
    first = journal.session_record()
    kernel = rebuilder_of(first)
    state = snapshots.nearest_state(journal, kernel, first, last) if use_snapshots and not from_start else None
    if state is None:
        state = kernel.begin(first) if not last else snapshots.initial_state(journal, kernel, first)
    every = (snapshot_records or SNAPSHOT_RECORDS) if use_snapshots else None
    return kernel, state, _fold(journal, kernel, state, last=last, every=every, on_progress=on_progress)


def _fold(
    journal: Journal, kernel: Kernel, state: State, *, last: int, every: int | None, on_progress: Progress | None
) -> Record:
    """Fold the records up to and including `last`, and write a snapshot at a CHECKPOINT each `every` records."""
    first, written_seq = journal.session_record(), state.seq
    if state.seq >= last:
        return next(iter(journal.records(last, last)), first)
    record = first
    progress_seq = state.seq
    for run in group_frames(journal.records(state.seq + 1, last)):
        record = run[-1]
        input_hash = state.input_hash if record.kind is Kind.CHECKPOINT else b""
        try:
            fold_run(kernel, state, run)
        except Exception as error:
            which = f"record {record.seq}" if len(run) == 1 else f"one of records {run[0].seq} to {record.seq}"
            raise CoreError(f"{which} ({record.kind} of {record.source}) cannot be folded: {error}") from error
        if input_hash and every is not None and record.seq - written_seq >= every:
            snapshots.write_snapshot(journal.folder, first, state, input_hash)
            written_seq = record.seq
        if on_progress is not None and record.seq - progress_seq >= PROGRESS_RECORDS:
            progress_seq = record.seq
            on_progress(record.seq, last)
    return record


def fold_run(kernel: Kernel, state: State, run: Sequence[Record]) -> None:
    """Fold a run of `group_frames`."""
    if len(run) == 1:
        kernel.rebuild(state, run[0])
    else:
        kernel.rebuild_frames(state, run)
