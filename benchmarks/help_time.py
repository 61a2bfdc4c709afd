"""`verbatim --help`, beside Python alone: medians of alternating runs, wall and CPU.

python benchmarks/help_time.py [--runs 20]
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HELP = "from verbatim.cli import main; main(['--help'])"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=20)
    runs = options.parse_args().runs
    script = Path(sys.executable).parent / "verbatim"
    commands = {
        "verbatim --help": [str(script), "--help"] if script.exists() else [sys.executable, "-c", HELP],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(runs + 1):  # the first warms the disk's cache
        for name, command in commands.items():
            found[name].append(timed(command))
    told = {
        name: {
            "wall_ms": round(statistics.median(wall for wall, _ in times[1:]), 1),
            "cpu_ms": round(statistics.median(cpu for _, cpu in times[1:]), 1),
        }
        for name, times in found.items()
    }
    print(json.dumps({"runs": runs, **told, "loadavg": os.getloadavg()}))


def timed(command: list[str]) -> tuple[float, float]:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall_s, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s * 1e3, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


if __name__ == "__main__":
    main()
