"""Settings of Python's garbage collector for a session.

Most objects of a session live from its start, and its records form no cycles. With Python's defaults the collector
visits all objects every few hundred allocations, which took two fifths of a step. Knows nothing of trading.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG_MAX = 100_000  # objects between two collections; a burst of garbage in cycles of this size is some 10 MB
YOUNG_IDLE_MIN = 10_000  # visited in less than a millisecond while nothing waits, and not in the middle of an order
OLDER_EVERY = 20  # collections of a generation between two of the next older one, as in Python's own thresholds below


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect rarely, and never visit the objects that exist at the start."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, OLDER_EVERY, OLDER_EVERY)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def freeze_started() -> None:
    """Leave the objects of today out of all collections until the end: those of a start live as long as the session."""
    gc.freeze()


def is_collection_due() -> bool:
    """Return True if `collect_while_idle` would collect."""
    return gc.get_count()[0] >= YOUNG_IDLE_MIN


def collect_while_idle() -> None:
    """Collect the young objects if there are enough, at a moment when nothing waits, and at times the older ones."""
    young, younger_collections, older_collections = gc.get_count()
    if young >= YOUNG_IDLE_MIN:
        is_older_due = younger_collections >= OLDER_EVERY
        gc.collect(2 if is_older_due and older_collections >= OLDER_EVERY else int(is_older_due))
