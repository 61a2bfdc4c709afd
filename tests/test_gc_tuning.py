"""When a session's garbage is collected: at moments when nothing waits, and never what the start made."""

import gc

from engine.gc_tuning import (
    OLDER_EVERY,
    YOUNG_IDLE_MIN,
    YOUNG_MAX,
    collect_while_idle,
    freeze_started,
    rare_collections,
)
from verbatim.late_collections import OBJECTS_MAX, late_collections


def test_young_objects_are_collected_while_idle_and_those_of_the_start_never() -> None:
    before = gc.get_threshold()
    with rare_collections():
        gc.collect()
        collect_while_idle()
        few = gc.get_count()[0]
        assert few < YOUNG_IDLE_MIN
        kept = [[number] for number in range(2 * YOUNG_IDLE_MIN)]
        assert YOUNG_IDLE_MIN <= gc.get_count()[0] < YOUNG_MAX, "no collection came by itself"
        collect_while_idle()
        assert gc.get_count()[0] < YOUNG_IDLE_MIN
        frozen = gc.get_freeze_count()
        freeze_started()
        assert gc.get_freeze_count() >= frozen + len(kept)
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before


def test_a_command_collects_for_the_first_time_after_its_packages_are_loaded() -> None:
    """Hold as many objects as a start makes, then more; a part with rare collections keeps its own rule."""
    before = gc.get_threshold()
    gc.collect()
    with late_collections():
        held = [[number] for number in range(OBJECTS_MAX // 2)]
        assert gc.get_count()[0] >= len(held), "no collection came"
        with rare_collections():
            within = gc.get_threshold()
            gc.collect()
            assert gc.get_threshold() == within != before
        held += [[number] for number in range(OBJECTS_MAX)]
        assert gc.get_threshold() == before, "the first one came"
        assert gc.get_count()[0] < OBJECTS_MAX // 2
    assert gc.get_threshold() == before


def test_older_garbage_is_collected_while_idle_too() -> None:
    """Cycles that were alive at one idle moment and ended before the next."""
    with rare_collections():
        gc.collect()
        before = [each["collections"] for each in gc.get_stats()]
        for _ in range((OLDER_EVERY + 1) * (OLDER_EVERY + 2)):
            kept = [[number] for number in range(2 * YOUNG_IDLE_MIN)]
            collect_while_idle()
            del kept
        after = [each["collections"] for each in gc.get_stats()]
    assert after[1] - before[1] >= OLDER_EVERY
    assert after[2] - before[2] == 1
