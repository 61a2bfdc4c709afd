"""A process that ends while its journal is being written: killed, at a few moments of the hundreds that benchmarks/journal_kill.py
tries, or by forgetting its writer.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from journal.recover import recover

BENCHMARKS = str(Path(__file__).resolve().parent.parent / "benchmarks")
sys.path.insert(0, BENCHMARKS)

from journal_kill import kill_and_look  # noqa: E402 - found by the path above

SEED = os.environ.get("VERBATIM_CRASH_SEED", "1")


@pytest.mark.slow
def test_a_killed_writer_keeps_whatever_it_said_was_durable(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - it chooses moments, not keys
    found = kill_and_look(tmp_path, 10, chance, seconds_max=0.2)
    assert found["broken"] == []
    assert found["amid_a_seal"] > 0


FORGETS = """
import sys
from pathlib import Path
from journal.writer import JournalWriter
from journal_kill import record

writer = JournalWriter.create(Path(sys.argv[1]), segment_bytes=100_000)
for seq in range(0, 20_000, 10):
    writer.append_step([record(at) for at in range(seq, seq + 10)], urgent=seq % 1000 == 0)
print(writer.wait_durable(9_000, 20).seq, flush=True)
sys.exit(3)
"""


def test_a_process_that_forgets_its_writer_ends_all_the_same(tmp_path: Path) -> None:
    """Its sealer is at work in Arrow then, which aborted or waited for ever where the interpreter went away beneath it."""
    for attempt in range(4):
        told = subprocess.run(
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
        assert (told.returncode, told.stderr) == (3, "")
        assert recover(tmp_path / f"{attempt}").last_seq >= int(told.stdout)
