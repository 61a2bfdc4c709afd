"""When a session's garbage is collected: at moments when nothing waits, and never what the start made."""

import gc

from engine.gc_tuning import YOUNG_IDLE_MIN, YOUNG_MAX, collect_while_idle, freeze_started, rare_collections


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
