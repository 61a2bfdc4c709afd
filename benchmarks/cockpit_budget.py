"""Times of the cockpit's answers on one session: first and second opening, plots at several zooms, scrubbing.

    python benchmarks/cockpit_budget.py FOLDER [--json]

The first opening is one only without caches: delete *.cache in FOLDER, and name an empty VERBATIM_COCKPIT_CACHE.
Each line has the median and the worst of some calls, in milliseconds of wall time, and of processor time in brackets.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verbatim.cockpit.at_cursor import cursor_facts, ladder, state
from verbatim.cockpit.plots import plot_acts, rail, series
from verbatim.cockpit.session_view import NotAnswerableError, SessionView

CALLS = 15


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    found = measure(given.folder)
    if given.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        print(f"{name:34} {figures['median']:9.1f} {figures['worst']:9.1f} ms   ({figures['processor']:.1f})")


def measure(folder: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}

    def note(name: str, calls: int, call: Callable[[], Any]) -> Any:
        walls, processor = [], time.process_time()
        result = None
        for _ in range(calls):
            begun = time.perf_counter()
            try:
                result = call()
            except NotAnswerableError:
                return None
            walls.append((time.perf_counter() - begun) * 1e3)
        spent = (time.process_time() - processor) * 1e3 / calls
        found[name] = {"median": statistics.median(walls), "worst": max(walls), "processor": spent}
        return result

    def opened() -> SessionView:
        view = SessionView(folder)
        view.open()
        view.head()
        return view

    view = note("open, the first time", 1, opened)
    note("read its market, the first time", 1, view.load)
    view = note("open, with caches", 3, opened)
    view.load()
    end, draw = view.last_ns - view.origin_ns, random.Random(1)
    note("rail", CALLS, lambda: rail(view, 1_200))
    for name, share in (("whole session", 1.0), ("a tenth", 0.1), ("a hundredth", 0.01), ("a ten-thousandth", 0.0001)):

        def zoomed(share: float = share) -> Any:
            begin = int(draw.random() * end * (1 - share))
            return series(view, 0, begin, begin + max(int(end * share), 1), 1_000)

        note(f"series, {name}", CALLS, zoomed)
    instruments = view.context.body.instruments
    note("own acts, whole session", CALLS, lambda: plot_acts(view, instruments[0].id, 0, end))
    note("scrub, anywhere", CALLS, lambda: cursor_facts(view, None, int(draw.random() * end)))
    middle = view.last_seq // 2
    note("state, first in a region", 1, lambda: state(view, middle))
    note("state, scrubbing near it", CALLS, lambda: state(view, middle + draw.randrange(-1_000, 1_000)))
    note("ladder, scrubbing near it", CALLS, lambda: ladder(view, 0, middle + draw.randrange(-1_000, 1_000), 20))
    return found


if __name__ == "__main__":
    main()
