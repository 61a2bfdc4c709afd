"""Folds long finished sessions in another process: any record is then near a snapshot of the state.

A jump to a record folds on from the last snapshot before it (replay/snapshots.py). Replays and earlier jumps write some
of them; this process writes the others, one session after the other, at low priority. It ends with the cockpit.
"""

import multiprocessing
import os
from collections import deque
from contextlib import suppress
from itertools import pairwise
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Lock, Thread

from engine.errors import CoreError
from journal.errors import JournalError
from journal.reader import Journal
from replay.rebuild import rebuild
from replay.snapshots import snapshot_seqs

RECORDS_MIN = 60_000  # of a session that is worth a process
SNAPSHOT_RECORDS = 5_000  # between two snapshots, some 40 bytes a record; a jump then folds 0.03 s at most


def lacks_snapshots(journal: Journal) -> bool:
    """Return True if a jump may have to fold much more than the records between two snapshots."""
    seqs = [0, *sorted(snapshot_seqs(journal)), journal.last_seq]
    widest = max(later - sooner for sooner, later in pairwise(seqs))
    return journal.last_seq >= RECORDS_MIN and widest > 2 * SNAPSHOT_RECORDS


class FoldAhead:
    """Folds sessions one after the other."""

    def __init__(self) -> None:
        self._waiting: deque[Path] = deque()
        self._known: set[Path] = set()
        self._lock = Lock()
        self._is_running = False
        self._process: SpawnProcess | None = None

    def request(self, folder: Path) -> None:
        """Fold a finished session when the earlier ones are done. Each is folded once."""
        with self._lock:
            if folder in self._known:
                return
            self._known.add(folder)
            self._waiting.append(folder)
            if not self._is_running:
                self._is_running = True
                Thread(target=self._run, name="cockpit-fold-ahead", daemon=True).start()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._waiting.clear()
            if self._process is not None:
                self._process.kill()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_running = False
                    return
                folder = self._waiting.popleft()
                process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder,), daemon=True)
                self._process = process
                process.start()
            process.join()


def fold(folder: Path, *, every: int = SNAPSHOT_RECORDS) -> None:
    """Fold a session from its beginning, and write a snapshot each `every` records."""
    with suppress(CoreError, JournalError):  # the page states the problem if a state is requested there
        rebuild(folder, from_start=True, snapshot_records=every)


def _serve(folder: Path) -> None:
    """Fold in this process, which ends with its parent."""
    os.nice(10)
    Thread(target=_end_with_parent, daemon=True).start()
    fold(folder)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "this process was spawned"
    parent.join()
    os._exit(0)
