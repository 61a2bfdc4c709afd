"""Readers race the writer and its sealer over tiny segments, in threads and another process: each sees every record
once.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from power_cuts import record

from journal.disk import is_locked
from journal.errors import JournalLockedError, NotAJournalError
from journal.reader import Journal
from journal.record import Record
from journal.recover import recover
from journal.tail import Follower
from journal.verify import verify
from journal.writer import JournalWriter

RECORDS = 5_000
READERS = 3
PATIENCE_S = 60.0
TRUTH = [record(seq) for seq in range(RECORDS)]


def write(folder: Path) -> None:
    """Write a segment for every few steps, so rolling and sealing happen all the time."""
    writer = JournalWriter.create(folder, segment_bytes=4_000, group_delay_s=0.0005)
    for at in range(0, RECORDS, 5):
        writer.append_step(TRUTH[at : at + 5], urgent=at % 3 == 0)
        if at % 50 == 0:
            writer.wait_durable(at + 4, 60)
    writer.close()


@contextmanager
def writing(where: str, folder: Path) -> Iterator[None]:
    if where == "thread":
        thread = threading.Thread(target=write, args=(folder,))
        thread.start()
        yield
        thread.join()
        return
    ours = "import sys; sys.path.insert(0, sys.argv[1]); from test_journal_racing import Path, write; write(Path(sys.argv[2]))"
    with subprocess.Popen([sys.executable, "-c", ours, str(Path(__file__).parent), str(folder)]) as process:
        yield
        assert process.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("where", ["thread", "process"])
def test_readers_and_a_follower_race_the_writer_and_its_sealer(tmp_path: Path, where: str) -> None:
    folder, views, problems = tmp_path / "s", list[int](), list[str]()

    def look() -> None:
        """Every view is a true prefix, never shorter than one before."""
        seen = 0
        while seen < RECORDS and time.monotonic() < until_s:
            try:
                found = list(Journal.open(folder).records())
            except NotAJournalError:  # not begun yet
                continue
            except Exception as error:
                problems.append(repr(error))
                return
            if found != TRUTH[: len(found)] or len(found) < seen:
                problems.append(f"{len(found)} records after {seen}")
                return
            seen = len(found)
            views.append(seen)

    until_s = time.monotonic() + PATIENCE_S
    readers = [threading.Thread(target=look) for _ in range(READERS)]
    with writing(where, folder):
        for reader in readers:
            reader.start()
        followed, follower = list[Record](), None
        while len(followed) < RECORDS and not problems and time.monotonic() < until_s:
            if follower is None and (folder / "000000000000.open").exists():
                follower = Follower(folder)
            if follower is not None:
                followed += follower.poll()
        for reader in readers:
            reader.join()
    assert problems == []
    assert followed == TRUTH
    assert len(set(views)) > 3
    assert follower is not None
    assert follower.ended
    report = verify(folder)
    assert (report.ok, report.records) == (True, RECORDS)
    assert report.segments > 20


def test_a_second_writer_is_refused_while_another_process_writes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from journal.writer import JournalWriter; "
        f"writer = JournalWriter.create(Path({str(tmp_path / 's')!r})); print('begun', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert is_locked(tmp_path / "s")
        with pytest.raises(JournalLockedError, match="written by another process"):
            recover(tmp_path / "s")
        process.kill()
    assert not is_locked(tmp_path / "s")
    assert recover(tmp_path / "s").last_seq == -1
