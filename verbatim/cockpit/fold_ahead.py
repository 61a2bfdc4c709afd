"""Folds long finished sessions in a process of its own: any record is then near a snapshot of the state.

A jump to a record folds on from the last snapshot before it (replay/snapshots.py). Replays and earlier jumps write some
of them; this process writes the others, one session after the other, at low priority. It ends with the cockpit.
"""

import os
import subprocess
import sys
from collections import deque
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from threading import Lock, Thread

from engine.errors import CoreError
from journal.errors import JournalError
from journal.reader import Journal
from replay.rebuild import rebuild
from replay.snapshots import snapshot_seqs

RECORDS_MIN = 60_000  # of a session that is worth a process
SNAPSHOT_RECORDS = 10_000  # between two snapshots, some 20 bytes a record; a jump then folds 0.1 s at most


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
        self._process: subprocess.Popen[bytes] | None = None

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
                command = [sys.executable, "-P", "-m", "verbatim.cockpit.fold_ahead", str(self._waiting.popleft())]
                self._process = subprocess.Popen(  # noqa: S603 - this module, with a folder of ours
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            self._process.wait()
            assert self._process.stdin is not None, "it is a pipe"
            self._process.stdin.close()


def fold(folder: Path, *, every: int = SNAPSHOT_RECORDS) -> None:
    """Fold a session from its beginning, and write a snapshot each `every` records."""
    with suppress(CoreError, JournalError):  # the page states the problem when it is asked for a state there
        rebuild(folder, from_start=True, snapshot_records=every)


def _end_with_parent() -> None:
    os.read(0, 1)  # nothing is written: this returns when the cockpit's end of the pipe closes
    os._exit(0)


if __name__ == "__main__":
    os.nice(10)
    Thread(target=_end_with_parent, daemon=True).start()
    fold(Path(sys.argv[1]))
