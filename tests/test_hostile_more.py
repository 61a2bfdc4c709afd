"""Hostile sessions, seeds 61 to 80: see test_hostile.py."""

from pathlib import Path

import pytest
from hostile_seeds import check_seeds

pytestmark = [pytest.mark.faults_may_miss("faults are drawn by seed"), pytest.mark.slow]


@pytest.mark.parametrize("first", range(61, 81, 10))
def test_hostile_sessions_keep_every_invariant(tmp_path: Path, first: int) -> None:
    check_seeds(tmp_path, range(first, first + 10))
