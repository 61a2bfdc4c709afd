"""Replay's speed, and resimulation's, on the BTC capture, tiled in time and ids, recorded through the real sequencer
and journal.

    python benchmarks/replay_speed.py CAPTURE [--tiles 12] [--strategy examples/quoter.py:Quoter] [--keep FOLDER] [--record]

Prints start-up, compile and steady records/s apart; decode, fold, strategy and comparison are all on, on one core.
`--keep` leaves the journal there, and replays the one that is there already.
"""

import argparse
import tempfile
import time
from pathlib import Path

from history import record
from tiling import read, tiled

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "ma_cross.py"


def record_session(folder: Path, capture: Path, tiles: int, strategy: str) -> None:
    """Record a session over all tiles in virtual time."""
    from verbatim.strategy_files import read_strategy
    from verbatim.testing import VirtualSession, VirtualVenue

    lines = list(tiled(read(capture), tiles))
    seconds = (int(lines[-1].split(b" ", 1)[0]) - int(lines[0].split(b" ", 1)[0])) / 1e9
    session = VirtualSession(VirtualVenue(capture=lines), folder, strategies=[read_strategy(strategy)])
    for _ in range(tiles):
        session.run(seconds / tiles)
        session.records.clear()  # the journal has them
    session.run(3)
    session.stop()


def resimulate_it(folder: Path, into: Path, *, modelled: bool) -> str:
    """Resimulate without a change, exactly or by the simulated venue, and write the journal."""
    from engine.session_record import read_session
    from journal.reader import Journal
    from replay.resim.measured_latency import measure_latency
    from replay.resim.resimulate import ResimOptions, resimulate

    journal = Journal.open(folder)
    body = read_session(journal.session_record().body or "")
    cpu = time.process_time()
    outcome = resimulate(
        folder, into, ResimOptions(session=body, model=measure_latency(journal).model, modelled=modelled)
    )
    cpu = time.process_time() - cpu
    extent = outcome.exactness.split(":")[0]
    return f"resimulated, {extent}: {outcome.records:,} records, {outcome.records / cpu:,.0f} a CPU second"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--tiles", type=int, default=12)
    parser.add_argument("--strategy", default=f"{EXAMPLE}:MovingAverageCross", help="path.py:Class")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--record", action="store_true", help="add the rate to benchmarks/results/replay_speed.json")
    options = parser.parse_args()
    begun = time.perf_counter()
    from replay.replay import replay_session
    from verbatim.warmup import warm

    imported = time.perf_counter()
    warm()
    warmed = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "journal"
        if not folder.exists():
            record_session(folder, options.capture, options.tiles, options.strategy)
        cpu = time.process_time()
        verdict = replay_session(folder)
        cpu = time.process_time() - cpu
        resimulated = [
            resimulate_it(folder, Path(scratch) / name, modelled=name == "modelled") for name in ("exact", "modelled")
        ]
    print(verdict.text())
    print(f"imports {imported - begun:.2f} s, compiling or loading the compiled fold {warmed - imported:.2f} s")
    print(f"start-up of the session {verdict.start_seconds:.2f} s")
    rate, of_cpu = verdict.records / verdict.seconds, verdict.records / cpu
    print(
        f"steady: {verdict.records:,} records in {verdict.seconds:.2f} s: {rate:,.0f} records/s "
        f"({of_cpu:,.0f} a CPU second)"
    )
    for line in resimulated:
        print(line)
    if options.record:
        record("replay_speed", {f"records a CPU second, {options.capture.stem} x{options.tiles}": of_cpu})


if __name__ == "__main__":
    main()
