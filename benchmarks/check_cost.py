"""Cost of the checks against blind trading, in replay and resimulation: the same sessions with and without them, in turns.

    python benchmarks/check_cost.py [--tiles 4] [--rounds 7] [--strategy examples/quoter.py:Quoter]

Two sessions of the BTC capture are recorded in virtual time: one as new sessions are, one without freshness, bounds of age
and lag, probes, own lateness, decision budgets, the ledger of balances, breakers and safety orders. All other settings
are equal. Prints the processor time of each and the median of the ratios of the rounds: 1.05 is 5 % dearer.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import DATA
from msgspec.structs import replace
from tiling import read, tiled

from engine.session_record import (
    SAFEGUARDS,
    SAFETY,
    SafeguardSettings,
    SafetySettings,
    new_engine_settings,
    read_session,
)
from journal.reader import Journal
from replay.replay import replay_session
from replay.resim.measured_latency import measure_latency
from replay.resim.resimulate import ResimOptions, resimulate
from verbatim.strategy_files import read_strategy
from verbatim.testing import VirtualSession, VirtualVenue
from verbatim.warmup import warm

CAPTURE = DATA / "captures/binance/spot_btcusdt_20240808.gz"
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CHECKS = (
    "quote_age_max_ns", "venue_lag_max_ns", "stream_silence_max_ns", "stream_behind_max_ns", "private_probe_after_ns",
    "late_after_ns", "late_over_ns", "late_waiting_max", "decision_warn_ns", "decision_stop_ns",
)  # fmt: skip
LEDGER, NO_LEDGER = 2, 1  # `accounting`


def record(folder: Path, strategy: str, tiles: int, *, checked: bool) -> None:
    """Record a session over the tiled capture."""
    lines = list(tiled(read(CAPTURE), tiles))
    seconds = (int(lines[-1].split(b" ", 1)[0]) - int(lines[0].split(b" ", 1)[0])) / 1e9
    engine = new_engine_settings()
    settings: dict[str, Any] = {"engine": engine, "accounting": LEDGER, "safeguards": SAFEGUARDS, "safety": SAFETY}
    if not checked:
        without = replace(engine, block_instruments=False, halt_on_rival=False, **dict.fromkeys(CHECKS, 0))
        settings = {
            "engine": without, "accounting": NO_LEDGER, "safeguards": SafeguardSettings(), "safety": SafetySettings(),
        }  # fmt: skip
    session = VirtualSession(VirtualVenue(capture=lines), folder, strategies=[read_strategy(strategy)], **settings)
    for _ in range(tiles):
        session.run(seconds / tiles)
        session.records.clear()  # the journal has them
    session.run(3)
    session.stop()


def resimulate_it(folder: Path) -> None:
    """Resimulate a session on the modelled venue, with its journal."""
    journal = Journal.open(folder)
    options = ResimOptions(
        session=read_session(journal.session_record().body or ""), model=measure_latency(journal).model, modelled=True
    )
    with tempfile.TemporaryDirectory() as scratch:
        resimulate(folder, Path(scratch) / "result", options)


def cpu_of(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--strategy", default=f"{EXAMPLES}/quoter.py:Quoter", help="path.py:Class")
    options = parser.parse_args()
    warm()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {checked: Path(scratch) / f"checked_{checked}" for checked in (True, False)}
        for checked, folder in folders.items():
            record(folder, options.strategy, options.tiles, checked=checked)
        for name, work in (("replay", replay_session), ("resimulation", resimulate_it)):
            spent: dict[bool, list[float]] = {True: [], False: []}
            for turn in range(options.rounds):
                for checked in (True, False) if turn % 2 else (False, True):
                    spent[checked].append(cpu_of(lambda each=folders[checked], run=work: run(each)))
            ratios = [with_checks / without for with_checks, without in zip(spent[True], spent[False], strict=True)]
            print(
                f"{name}: {statistics.median(spent[True]):.2f} CPU s with the checks, "
                f"{statistics.median(spent[False]):.2f} without; ratio {statistics.median(ratios):.3f} "
                f"(from {min(ratios):.3f} to {max(ratios):.3f})"
            )


if __name__ == "__main__":
    main()
