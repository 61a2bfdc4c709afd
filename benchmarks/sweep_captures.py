"""200 variants of a strategy on all captures of Binance: the same table in two processes, and on two Dask workers, one of them killed.

    python benchmarks/sweep_captures.py FOLDER [--variants N] [--captures NAME,NAME]

FOLDER is made: the captures are imported into it once. Prints the processor time of a variant on a capture against that of one
backtest alone in a warm process.
"""

import argparse
import json
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
    swept(sessions[:1], 1, workers=1)  # compiles
    alone = [min(swept([session], 1, workers=1).cpu_seconds for _ in range(2)) for session in sessions]
    names = ", ".join(f"{session.name} {seconds:.2f}" for session, seconds in zip(sessions, alone, strict=True))
    print(f"one backtest alone: {sum(alone) / len(alone):.2f} CPU s ({names})", flush=True)
    first = swept(sessions, options.variants, workers=2)
    jobs = len(first.table.rows)
    mean = first.cpu_seconds / jobs
    print(
        f"two processes: {jobs} backtests, {first.seconds:.1f} s, {mean:.2f} CPU s each with the start of the processes, "
        f"{mean / (sum(alone) / len(alone)):.2f} of one alone",
        flush=True,
    )
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


if __name__ == "__main__":
    main()
