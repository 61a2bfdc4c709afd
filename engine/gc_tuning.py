"""Python's garbage collector, told what a session is: much that stays from the start, and records that hold no cycles.

Left alone it walked over everything every few hundred objects: two fifths of a step. Knows nothing of trading.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG_MAX = 100_000  # objects between two looks; a burst of garbage in cycles of this size is some 10 MB


@contextmanager
def rare_collections() -> Iterator[None]:
    """Looks seldom, and not at what stood before."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
