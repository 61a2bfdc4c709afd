"""Real system calls of a real process that fail, are cut short or are its last, by strace and a file size limit."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
from power_cuts import record
from tiers import first_is_quick

from journal.reader import Journal
from journal.recover import recover
from journal.verify import verify

OPEN = "000000000000.open"
RECORDS = 60
PROGRAM = f"""
import sys
from pathlib import Path
from journal.errors import JournalFailedError
from journal.recover import recover
from journal.writer import JournalWriter
from power_cuts import record

folder = Path(sys.argv[1])
try:
    if folder.exists():
        print(recover(folder).last_seq, flush=True)
        sys.exit(0)
    writer = JournalWriter.create(folder, segment_bytes=6_000)
    for at in range(0, {RECORDS}, 3):
        writer.append_step([record(seq) for seq in range(at, at + 3)], urgent=True)
        print(writer.wait_durable(at + 2, 60).seq, flush=True)
    writer.close()
except JournalFailedError as error:
    sys.exit(str(error))
"""


@cache
def no_strace() -> str:
    """Return why strace cannot be used, or ""."""
    if shutil.which("strace") is None:
        return "strace is not installed: apt-get install strace"
    attempt = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {attempt.stderr.strip()}" if attempt.returncode else ""


def run(folder: Path, *inject: str, before: Callable[[], None] | None = None) -> tuple[int, str, int]:
    """Run the program, and return its exit code, its message and the last record that it reported as durable."""
    if inject and (reason := no_strace()):
        pytest.skip(reason)
    command = [sys.executable, "-P", "-c", PROGRAM, str(folder)]
    if inject:
        command = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", *inject, *command]
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        preexec_fn=before,
    )
    return ended.returncode, ended.stderr, int((ended.stdout.split() or ["-1"])[-1])


def check_recovered(folder: Path, durable_seq: int) -> None:
    last_seq = recover(folder).last_seq
    assert last_seq >= durable_seq
    assert list(Journal.open(folder).records()) == [record(seq) for seq in range(last_seq + 1)]
    report = verify(folder)
    assert (report.problems, report.notes) == ([], [])


def test_without_a_fault_it_ends_well(tmp_path: Path) -> None:
    assert run(tmp_path / "s") == (0, "", RECORDS - 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "on", "message"),
    first_is_quick(
        [
            ("fdatasync:error=EIO:when=9", "", "Input/output error"),
            ("fdatasync:error=EIO:when=9+", "", "Input/output error"),
            ("fdatasync:error=ENOSPC:when=1", "000000000000.tmp", "No space left on device"),
            ("fsync:error=EIO:when=3", "", "Input/output error"),
            ("write:error=ENOSPC:when=3", OPEN, "No space left on device"),
            ("write:error=EIO:when=20", "000000000000.tmp", "Input/output error"),
            ("/^rename:error=EIO:when=1", "", "Input/output error"),
            ("/^unlink:error=EROFS:when=1", "", "Read-only file system"),
            ("/^open:error=ENOSPC:when=1", "SHA256SUMS.tmp", "No space left on device"),
        ]
    ),
)
def test_a_call_that_fails_is_reported_and_nothing_durable_is_lost(
    tmp_path: Path, call: str, on: str, message: str
) -> None:
    folder = tmp_path / "s"
    narrowed = ("-P", str(folder / on)) if on else ()
    code, error, durable_seq = run(folder, *narrowed, "-e", f"inject={call}")
    assert code == 1, error
    assert message in error
    assert f"Durable up to record {durable_seq}" in error
    check_recovered(folder, durable_seq)


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        "fdatasync:signal=KILL:when=7",
        "fsync:signal=KILL:when=4",
        "/^rename:signal=KILL:when=2",
        "/^unlink:signal=KILL:when=1",
    ],
)
def test_a_process_killed_at_a_call_loses_nothing_durable(tmp_path: Path, call: str) -> None:
    """Its recovery is killed at a call too."""
    folder = tmp_path / "s"
    code, _, durable_seq = run(folder, "-e", f"inject={call}")
    assert code == -9
    again = call.replace("when=7", "when=2").replace("when=4", "when=1").replace("when=2", "when=1")
    assert run(folder, "-e", f"inject={again}")[0] == -9
    check_recovered(folder, durable_seq)


@pytest.mark.slow
@pytest.mark.parametrize("size_max", [2_000, 5_000])
def test_a_short_write_is_reported_and_nothing_durable_is_lost(tmp_path: Path, size_max: int) -> None:
    """At the limit on the size of files, one write is short and the next is refused."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size_max, size_max))
    code, error, durable_seq = run(tmp_path / "s", before=limit)
    assert code == 1, error
    assert "File too large" in error
    assert f"Durable up to record {durable_seq}" in error
    check_recovered(tmp_path / "s", durable_seq)
