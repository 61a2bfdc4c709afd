"""SIGKILL of a process at full load: at a few moments what benchmarks/journal_kill.py does at hundreds."""

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from journal_kill import kill_and_look

SEED = os.environ.get("VERBATIM_CRASH_SEED", "1")


@pytest.mark.slow
def test_a_killed_writer_keeps_whatever_it_said_was_durable(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # noqa: S311 - it chooses moments, not keys
    found = kill_and_look(tmp_path, 10, chance, seconds_max=0.2)
    assert found["broken"] == []
    assert found["amid_a_seal"] > 0
