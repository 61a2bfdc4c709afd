"""Settings of Python's garbage collector for a session.

Most objects of a session live from its start, and its records form no cycles. With Python's defaults the collector
visits all objects every few hundred allocations, which took two fifths of a step. Knows nothing of trading.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG_MAX = 100_000  # objects between two collections; a burst of garbage in cycles of this size is some 10 MB
YOUNG_IDLE_MIN = 10_000  # visited in less than a millisecond while nothing waits, and not in the middle of an order


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect rarely, and never visit the objects that exist at the start."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def freeze_started() -> None:
    """Leave the objects of today out of all collections until the end: those of a start live as long as the session."""
    gc.freeze()


def collect_while_idle() -> None:
    """Collect the young objects if there are enough, at a moment when nothing waits."""
    if gc.get_count()[0] >= YOUNG_IDLE_MIN:
        gc.collect(0)
