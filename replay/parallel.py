"""One long session repeated in pieces, each in its own process. The result equals that of one whole replay.

Cut at snapshots: a piece begins with a state whose digests are those of its CHECKPOINT, and the piece before it ends by
comparing the same CHECKPOINT with its own state. So no record is left out, and no state is trusted without a check.
A session without usable snapshots is repeated in one piece, which leaves snapshots for the next replay.
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from engine.kernel import rebuilder_of
from engine.record_codec import read_checkpoint
from engine.state.session_state import State
from journal.progress import Progress
from journal.reader import Journal
from journal.record import Record
from replay import rebuild, snapshots
from replay.network_guard import SocketOpenedError
from replay.replay import AtCheckpoint, ReplayResult, last_replayed_seq, replay_session
from replay.study.workers import run_jobs


class SessionPiece(msgspec.Struct, frozen=True):
    """The records after `begin_seq`, a CHECKPOINT (0: from the beginning), up to and including `until`."""

    folder: Path
    begin_seq: int
    until: int
    command: str


def replay_in_pieces(
    folder: Path,
    *,
    workers: int,
    until: int | None = None,
    until_ns: int | None = None,
    on_progress: Progress | None = None,
    command: str = "",
) -> ReplayResult:
    """Replay a session in parallel and return what `replay_session` would return.

    Runs recorded source: the caller has checked that it may.

    Raises:
        WorkFailedError: The worker processes were killed repeatedly.
    """
    begun = time.perf_counter()
    journal = Journal.open(folder)
    last = last_replayed_seq(journal, until, until_ns)
    seqs = snapshot_cuts(journal, last, workers)
    if seqs:
        pieces = [SessionPiece(folder, begin, end, command) for begin, end in pairwise([0, *seqs, last])]

        def report_progress(done: int, total: int) -> None:
            if on_progress is not None:
                on_progress((last + 1) * done // total, last + 1)

        verdict = _join_results(run_jobs(replay_piece, pieces, workers=workers, on_job_done=report_progress))
        if verdict is not None:
            return msgspec.structs.replace(verdict, seconds=time.perf_counter() - begun - verdict.start_seconds)
    return replay_session(
        folder, until=last, on_progress=on_progress, command=command, at_checkpoint=_snapshot_keeper(journal)
    )


def snapshot_cuts(journal: Journal, last: int, pieces: int) -> list[int]:
    """Return at most `pieces - 1` CHECKPOINTs with usable snapshots that cut the session into equal lengths."""
    first = journal.session_record()
    kernel = rebuilder_of(first)
    candidates = [seq for seq in snapshots.snapshot_seqs(journal) if journal.left_out.stop < seq < last]
    chosen: list[int] = []
    for number in range(1, pieces):
        target = last * number // pieces
        for seq in sorted(candidates, key=lambda seq: abs(seq - target)):
            candidates.remove(seq)
            if snapshots.load_snapshot(seq, journal, kernel, first) is not None:
                chosen.append(seq)
                break
    return sorted(chosen)


def replay_piece(piece: SessionPiece) -> ReplayResult | None:
    """Replay one piece. Return None if it ends in an exception.

    The caller then repeats the session in one piece and raises the same exception with its full context.
    """
    try:
        return replay_session(piece.folder, until=piece.until, begin_seq=piece.begin_seq, command=piece.command)
    except (Exception, SocketOpenedError):  # noqa: BLE001 - the replay in one piece raises it again
        return None


def _join_results(ends: Sequence[ReplayResult | None]) -> ReplayResult | None:
    """Add up the results up to the first piece that differs.

    Return None if that piece or one before it has no result.
    """
    so_far: ReplayResult | None = None
    for end in ends:
        if end is None:
            return None
        so_far = end if so_far is None else _add_result(so_far, end)
        if not end.identical:
            break
    assert so_far is not None, "there is a piece"
    return msgspec.structs.replace(so_far, pieces=len(ends))


def _add_result(before: ReplayResult, end: ReplayResult) -> ReplayResult:
    """Return the sum of two results; the state is that of the later one."""
    return msgspec.structs.replace(
        end,
        records=before.records + end.records - 1,  # every piece counts the SESSION record
        inputs=before.inputs + end.inputs - 1,
        outputs=before.outputs + end.outputs,
        checkpoints=before.checkpoints + end.checkpoints,
        start_seconds=max(before.start_seconds, end.start_seconds),
        not_compared=tuple(sorted({*before.not_compared, *end.not_compared})),
    )


def _snapshot_keeper(journal: Journal) -> AtCheckpoint:
    """Return a callback that writes a snapshot every SNAPSHOT_RECORDS records."""
    first, written_seq = journal.session_record(), 0

    def write_now_and_then(state: State, checkpoint: Record) -> None:
        nonlocal written_seq
        if state.seq - written_seq >= rebuild.SNAPSHOT_RECORDS:
            written_seq = state.seq
            snapshots.write_snapshot(
                journal.folder,
                first,
                state,
                bytes.fromhex(read_checkpoint(checkpoint.body or "").parts["inputs"][1]),
            )

    return write_now_and_then
