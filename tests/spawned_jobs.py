"""Jobs of tests for processes that are spawned. Each of them imports this file, so it imports little."""

import os
import signal
from pathlib import Path


def kill_once(path: Path) -> int:
    """Act as a worker that is killed: it leaves a mark, so that the next attempt succeeds."""
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


def kill_always(_path: Path) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def fetched(address: str) -> str:
    """Return the folder of this machine's copy of an archive."""
    from journal.archive_cache import cached_copy

    return str(cached_copy(address))
