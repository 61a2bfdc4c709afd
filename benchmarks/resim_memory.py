"""Memory of a resimulation against the length of its data, read from disk: the USD-M capture, tiled in time.

    python benchmarks/resim_memory.py FOLDER [--tiles 10 93]

93 tiles are 50 million rows. Each length is resimulated in its own process with a strategy that decides each second.
Its decisions are not kept. Prints rows, seconds, rows per CPU second and the peak of resident memory.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

from resim_peers import STRATEGIES, session


def one(folder: Path) -> None:
    from engine.session_context import SessionContext
    from engine.sim.venue_model import VenueModel
    from journal.reader import Journal
    from replay.overrides import with_strategy
    from replay.resim.capture_session import session_from_capture
    from replay.resim.resimulate import ResimOptions, resimulate_decisions
    from replay.resim.timeline import RowSpan, Timeline
    from verbatim.strategy_files import read_strategy

    journal = Journal.open(folder)
    body = with_strategy(session_from_capture(journal), read_strategy(f"{STRATEGIES / 'idle.py'}:EachSecond"))
    begun = time.process_time()
    wanted = ResimOptions(session=body, model=VenueModel(), balances={"USDT": "1000000"})
    resimulate_decisions(folder, wanted, lambda _records: None)
    cpu_s = time.process_time() - begun
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tape = Timeline(journal, SessionContext(body, {}), journal.last_seq, frozenset())
    rows = sum(len(piece.rows) for piece in tape.items() if isinstance(piece, RowSpan))
    print(
        f"{folder.name}: {rows:,} rows in {cpu_s:.1f} CPU s, {rows / cpu_s:,.0f} a second; peak {peak_mib:,.0f} MiB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiles", type=int, nargs="+", default=[10, 93])
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        one(options.one)
        return
    for tiles in options.tiles:
        place = session(options.folder, "usdm", tiles)
        for _ in range(2):  # the first makes the projections
            subprocess.run([sys.executable, __file__, str(options.folder), "--one", str(place)], check=True)


if __name__ == "__main__":
    main()
