"""Settings of Python's garbage collector for a session.

Most objects of a session live from its start, and its records form no cycles. With Python's defaults the collector
visits all objects every few hundred allocations, which took two fifths of a step. Knows nothing of trading.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG_MAX = 100_000  # objects between two collections; a burst of garbage in cycles of this size is some 10 MB


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
