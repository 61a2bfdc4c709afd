"""When the garbage of a command is collected first. It imports no package, since it runs before they are checked."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OBJECTS_MAX: Final = 100_000  # some 10 MB; a start makes 60,000 that live as long as the process, and no garbage


@contextmanager
def late_collections() -> Iterator[None]:
    """Collect for the first time after OBJECTS_MAX new objects, and as before from then on."""
    before = gc.get_threshold()
    late = (OBJECTS_MAX, *before[1:])

    def collect_as_before(_phase: str, _info: dict[str, int]) -> None:
        if gc.get_threshold() == late:  # not within `rare_collections` of engine/gc_tuning.py
            gc.set_threshold(*before)

    gc.set_threshold(*late)
    gc.callbacks.append(collect_as_before)
    try:
        yield
    finally:
        gc.callbacks.remove(collect_as_before)
        gc.set_threshold(*before)
