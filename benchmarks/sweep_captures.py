"""200 variants of a strategy on all captures of Binance: the same table in two processes, and on two Dask workers, one of them killed.

    python benchmarks/sweep_captures.py FOLDER [--variants N] [--captures NAME,NAME]

FOLDER is made: the captures are imported into it once. Prints the processor time of a variant on a capture against that of one
`verbatim backtest --no-journal`, without and with the start of its process.
"""

import argparse
import json
import resource
import time
from pathlib import Path

from regress_captures import BALANCES, CAPTURES, FIRST, imported
from spread_on_dask import two_workers

import verbatim
from analysis.sweep_report import SweepReport

SIZES, AWAYS, POSITIONS = (
    ("5", "10", "20", "30", "40"),
    ("0", "1", "2", "3", "5", "8", "12", "20"),
    ("10", "20", "50", "100", "200"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variants", type=int, default=200)
    parser.add_argument("--captures", default=",".join(CAPTURES))
    options = parser.parse_args()
    sessions = [imported(options.folder / "sessions", name, CAPTURES[name]) for name in options.captures.split(",")]
    for _ in range(2):  # the first compiles and decodes
        begun = cpu()
        folder = options.folder / f"one-{time.time_ns()}"
        verbatim.backtest(sessions[0], f"{FIRST}:Touch", balances=balances(), into=folder)
    print(f"one backtest with a journal: {cpu() - begun:.2f} CPU s")
    first = swept(sessions, options.variants, workers=2)
    jobs = len(first.table.rows)
    print(f"two processes: {jobs} backtests, {first.seconds:.1f} s, {first.cpu_seconds / jobs:.2f} CPU s each")
    alone = [swept(sessions[:1], 2, workers=1) for _ in range(3)]
    print(f"the first capture in this process: {min(each.cpu_seconds for each in alone) / 2:.2f} CPU s each")
    with two_workers() as (address, kill_one):
        second = swept(
            sessions, options.variants, on=address, on_progress=lambda done, _all: kill_one() if done == 3 else None
        )
    print(f"two Dask workers, one killed: {second.seconds:.1f} s")
    print("the same table:", first.table == second.table)
    failed = {error for result in first.table.results for error in result.errors}
    print(json.dumps({"variants": len(first.table.results), "errors": sorted(failed)[:3]}))
    print(first)


def balances() -> dict[str, str]:
    return dict(balance.split("=") for balance in BALANCES)


def swept(sessions: list[Path], variants: int, **where: object) -> SweepReport:
    axes = {"size": SIZES, "away": AWAYS, "position_max": POSITIONS}
    return verbatim.sweep(
        sessions,
        f"{FIRST}:Touch",
        axes,
        search="random",
        trials=variants,
        balances=balances(),
        model_draws=0,
        checks_winner=False,
        **where,  # type: ignore[arg-type]  # of all kinds
    )


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
