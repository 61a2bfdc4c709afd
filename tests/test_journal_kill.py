"""Processes that end while their journal is being written: killed, or after losing the last reference to the writer.

benchmarks/journal_kill.py kills at hundreds of moments, these tests at a few.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from journal.recover import recover

BENCHMARKS = str(Path(__file__).resolve().parent.parent / "benchmarks")
SEED = os.environ.get("VERBATIM_CRASH_SEED", "1")


@pytest.mark.slow
def test_a_killed_writer_keeps_every_record_it_reported_as_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from journal_kill import kill_and_check

    chance = random.Random(SEED)
    outcome = kill_and_check(tmp_path, 10, chance, seconds_max=0.2)
    assert outcome["broken"] == []
    assert outcome["amid_a_seal"] > 0


FORGETS = """
import sys
from pathlib import Path
from journal.writer import JournalWriter
from journal_kill import record

writer = JournalWriter.create(Path(sys.argv[1]), segment_bytes=100_000)
for seq in range(0, 20_000, 10):
    writer.append_step([record(at) for at in range(seq, seq + 10)], urgent=seq % 1000 == 0)
print(writer.wait_durable(9_000, 60).seq, flush=True)
sys.exit(3)
"""


@pytest.mark.slow
def test_a_process_that_forgets_its_writer_still_ends(tmp_path: Path) -> None:
    """The sealer is inside Arrow at that time, which once aborted or hung while the interpreter ended."""
    for attempt in range(4):
        ended = subprocess.run(
            [sys.executable, "-c", FORGETS, str(tmp_path / f"{attempt}")],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([BENCHMARKS, str(Path(__file__).resolve().parent.parent)]),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (3, "")
        assert recover(tmp_path / f"{attempt}").last_seq >= int(ended.stdout)
