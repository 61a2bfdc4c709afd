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
