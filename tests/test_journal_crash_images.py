"""Ten thousand power cuts anywhere: recovery keeps all acknowledged records, invents none, and never calls a crash
damage.

`VERBATIM_CRASH_SEED=7 pytest -s tests/test_journal_crash_images.py` tries others; benchmarks/crash_images.py tries many
more.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from power_cuts import Tally
from tiers import first_is_quick

SEED = os.environ.get("VERBATIM_CRASH_SEED", "1")


@pytest.mark.parametrize(("images_min", "sessions_min"), first_is_quick([(500, 2), (10_000, 50)]))
def test_a_power_cut_anywhere_loses_nothing_acknowledged(
    tmp_path: Path, record_property: Callable[[str, object], None], images_min: int, sessions_min: int
) -> None:
    """A failure names the image that shows it, and the same seed repeats it."""
    tally = Tally(tmp_path)
    while tally.images < images_min:
        for _ in tally.try_session(SEED, tally.sessions):
            pass
    summary = f"{tally.images} crash images ({tally.nested} of recoveries) of {tally.sessions} sessions, seed {SEED}"
    print(f"\n{summary}, 0 promises broken. Again: VERBATIM_CRASH_SEED={SEED}")
    record_property("crash_images", summary)
    assert tally.nested > images_min // 5
    assert tally.sessions > sessions_min
