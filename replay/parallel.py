"""One long session repeated in pieces, each in a process of its own. What is found is what one replay from the beginning finds.

Cut at snapshots: a piece begins with a state that has the digests which its CHECKPOINT states, and the piece before it ends by
comparing that very CHECKPOINT with the one it comes to itself. So no record is left out, and no state is taken on trust.
A session without usable snapshots is repeated in one piece, which leaves them for the next time.
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from engine.kernel import rebuilder_of
from engine.record_codec import read_checkpoint
from engine.state.session_state import State
from journal.reader import Journal
from journal.record import Record
from replay import rebuild, snapshots
from replay.network_guard import SocketOpenedError
from replay.replay import AtCheckpoint, Progress, Verdict, last_of, replay_session
from replay.study.workers import spread


class Piece(msgspec.Struct, frozen=True):
    """The records after `begin_seq`, a CHECKPOINT (0: from the beginning), up to and with `until`."""

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
) -> Verdict:
    """As replay_session: the same verdict, and the same exceptions. Recorded source runs: the caller has asked whether it may. WorkFailedError."""
    begun = time.perf_counter()
    journal = Journal.open(folder)
    last = last_of(journal, until, until_ns)
    found = cuts(journal, last, workers)
    if found:
        pieces = [Piece(folder, begin, end, command) for begin, end in pairwise([0, *found, last])]

        def told(done: int, total: int) -> None:
            if on_progress is not None:
                on_progress((last + 1) * done // total, last + 1)

        verdict = _joined(spread(work, pieces, workers=workers, told=told))
        if verdict is not None:
            return msgspec.structs.replace(verdict, seconds=time.perf_counter() - begun - verdict.start_seconds)
    return replay_session(folder, until=last, on_progress=on_progress, command=command, at_checkpoint=_keeping(journal))


def cuts(journal: Journal, last: int, pieces: int) -> list[int]:
    """The CHECKPOINTs with usable snapshots at which a session falls into pieces of about one length: so many at most."""
    first = journal.session_record()
    kernel = rebuilder_of(first)
    left = [seq for seq in snapshots.seqs(journal) if journal.left_out.stop < seq < last]
    found: list[int] = []
    for number in range(1, pieces):
        wanted = last * number // pieces
        for seq in sorted(left, key=lambda seq: abs(seq - wanted)):
            left.remove(seq)
            if snapshots.at(seq, journal, kernel, first) is not None:
                found.append(seq)
                break
    return sorted(found)


def work(piece: Piece) -> Verdict | None:
    """None where it ends in an exception: whoever repeats the session in one piece meets it too, and can tell of it."""
    try:
        return replay_session(piece.folder, until=piece.until, begin_seq=piece.begin_seq, command=piece.command)
    except (Exception, SocketOpenedError):  # noqa: BLE001 - see above
        return None


def _joined(ends: Sequence[Verdict | None]) -> Verdict | None:
    """Up to the first piece that differs. None where one before it, or that one itself, has no verdict."""
    so_far: Verdict | None = None
    for end in ends:
        if end is None:
            return None
        so_far = end if so_far is None else _after(so_far, end)
        if not end.identical:
            break
    assert so_far is not None, "there is a piece"
    return msgspec.structs.replace(so_far, pieces=len(ends))


def _after(before: Verdict, end: Verdict) -> Verdict:
    return msgspec.structs.replace(
        end,
        records=before.records + end.records - 1,  # every piece counts the SESSION record
        inputs=before.inputs + end.inputs - 1,
        outputs=before.outputs + end.outputs,
        checkpoints=before.checkpoints + end.checkpoints,
        start_seconds=max(before.start_seconds, end.start_seconds),
        not_compared=tuple(sorted({*before.not_compared, *end.not_compared})),
    )


def _keeping(journal: Journal) -> AtCheckpoint:
    """Leaves a snapshot now and then."""
    first, kept = journal.session_record(), 0

    def keep(state: State, checkpoint: Record) -> None:
        nonlocal kept
        if state.seq - kept >= rebuild.SNAPSHOT_RECORDS:
            kept = state.seq
            snapshots.keep(
                journal.folder,
                first,
                state,
                bytes.fromhex(read_checkpoint(checkpoint.body or "").parts["inputs"][1]),
            )

    return keep
