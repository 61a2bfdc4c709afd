"""CPU seconds of commands on a small session, warm, and of the cold compile, in turns with another checkout.

    python benchmarks/start_time.py SESSION [--against PATH] [--rounds 7] [--cold 1]

SESSION is the folder of a demo session of 20 s (`verbatim demo`). The caches of a checkout are in a temporary folder,
for bytecode too, as an installed package has it. A run that compiles comes first. Medians and minima.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from history import record

FLOOR = ["-c", "import numpy, pyarrow, duckdb, click, rich"]


def commands(session: str) -> dict[str, list[str]]:
    """Return the arguments of Python for each line of the table."""
    verbatim = ["-P", "-m", "verbatim"]
    return {
        "the packages alone": FLOOR,
        "verbatim --help": [*verbatim, "--help"],
        "verbatim sql SESSION": [*verbatim, "sql", session, "select count(*) from fills"],
        "verbatim why SESSION": [*verbatim, "why", session],
        "verbatim replay SESSION": [*verbatim, "replay", session],
    }


# what a demo compiles before its first message: the fold, the decoder and the venue's books
COLD = """
from verbatim.warmup import warm
from engine.sim.exchange.venue_books import VenueBooks
warm()
VenueBooks(1)
"""


def environment(checkout: Path, caches: Path) -> dict[str, str]:
    """Return the environment of a checkout's processes."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {
        "PYTHONPATH": str(checkout),
        "XDG_CACHE_HOME": str(caches / "cache"),
        "PYTHONPYCACHEPREFIX": str(caches / "bytecode"),
    }


def cpu_seconds(arguments: list[str], given: dict[str, str]) -> float:
    """Run Python and its children; return their CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], env=given, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("session")
    options.add_argument("--against", type=Path)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--cold", type=int, default=1, help="cold compiles of each checkout")
    options.add_argument("--record", action="store_true", help="add the figures to benchmarks/results/start_time.json")
    given = options.parse_args()
    checkouts = {"this": Path(__file__).resolve().parent.parent}
    checkouts |= {"against": given.against.resolve()} if given.against else {}
    session = str(Path(given.session).resolve())
    found: dict[str, dict[str, list[float]]] = {name: {} for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: Path(folder) / name for name in checkouts}
        for number in range(given.cold):
            for name, checkout in checkouts.items():
                fresh = environment(checkout, caches[name])
                cpu_seconds(["-c", "import verbatim.warmup"], fresh)  # bytecode
                fresh |= {"XDG_CACHE_HOME": str(caches[name] / f"cold{number}")}
                found[name].setdefault("cold compile", []).append(cpu_seconds(["-c", COLD], fresh))
        for number in range(given.rounds + 1):
            for line, arguments in commands(session).items():
                for name in list(checkouts) if number % 2 else reversed(list(checkouts)):
                    seconds = cpu_seconds(arguments, environment(checkouts[name], caches[name]))
                    if number:  # the first compiles
                        found[name].setdefault(line, []).append(seconds)
    print(f"{'CPU seconds':26}" + "".join(f"{name + ' median':>16}{'minimum':>9}" for name in checkouts) + "    ratio")
    for line in found["this"]:
        middles = [statistics.median(found[name][line]) for name in checkouts]
        cells = "".join(f"{statistics.median(t[line]):16.3f}{min(t[line]):9.3f}" for t in found.values())
        print(f"{line:26}{cells}{middles[0] / middles[-1]:9.2f}")
    if given.record:
        figures = {f"{line}, CPU s": statistics.median(spent) for line, spent in found["this"].items()}
        if given.against:
            ratios = {
                line: statistics.median(spent) / statistics.median(found["against"][line])
                for line, spent in found["this"].items()
            }
            figures |= {f"{line} over against": ratio for line, ratio in ratios.items()}
        record("start_time", figures)
    print(json.dumps({"loadavg": os.getloadavg(), "rounds": given.rounds}))


if __name__ == "__main__":
    main()
