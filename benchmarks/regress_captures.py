"""Five versions of a strategy against all captures of Binance: the table, the report, the exit code; again on two Dask workers, one of them killed.

    python benchmarks/regress_captures.py FOLDER [--report FILE]

FOLDER is made: the captures are imported into it once. The versions differ from the first by a size, a limit, a place behind the top,
and in one case by nothing but a comment.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from spread_on_dask import two_workers

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("VERBATIM_DATA", HERE.parent.parent / "shared" / "data")) / "captures" / "binance"
FIRST = HERE / "strategies" / "touch.py"
CHANGES = {
    "same": ('version = "1"', 'version = "1"  # tidied'),
    "large": ("size: int = 10", "size: int = 20"),
    "narrow": ("position_max: int = 50", "position_max: int = 20"),
    "behind": ("away: int = 0", "away: int = 1"),
}
CAPTURES = {  # only the first of two files contains a snapshot, so they are one session
    "spot_btcusdt": ("spot_btcusdt_20240808.gz",),
    "spot_ethusdt": ("spot_ethusdt_20240808.gz",),
    "cm_btcusd_perp": ("cm_btcusd_perp_20240808.gz",),
    "usdm_btcusdt_aug": ("usdm_btcusdt_20240808.gz",),
    "usdm_btcusdt_jul": ("usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"),
    "usdm_btcusdt_2023": ("usdm_btcusdt_20230404.dat.gz", "usdm_btcusdt_20230405.dat.gz"),
}
KILLED_AFTER_SECONDS = 12
BALANCES = ("USDT=1000000", "BTC=100", "ETH=1000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    sessions = [imported(folder / "sessions", name, files) for name, files in CAPTURES.items()]
    versions = [FIRST, *(changed(folder, name, *change) for name, change in CHANGES.items())]
    words = [*map(str, sessions), "--journals", str(folder / "sessions")]
    for version in versions:
        words += ["--version", f"{version}:Touch"]
    for balance in BALANCES:
        words += ["--balance", balance]
    report = ["--report", str(options.report)] if options.report else []
    first = timed("in two processes", [*words, "--workers", "2", *report])
    again = timed("kept results", [*words, "--workers", "2"])
    third = on_dask(words)
    print("the same table each time:", first == again == third)


def imported(folder: Path, name: str, files: tuple[str, ...]) -> Path:
    target = folder / name
    if not target.exists():
        subprocess.run(
            [*VERBATIM, "import", *(str(DATA / file) for file in files), "--into", str(target)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return target


def changed(folder: Path, name: str, old: str, new: str) -> Path:
    text = FIRST.read_text()
    assert old in text, old
    path = folder / f"{name}.py"
    path.write_text(text.replace(old, new))
    return path


VERBATIM = (str(Path(sys.executable).parent / "verbatim"),)


def timed(what: str, words: list[str]) -> str:
    begun = time.monotonic()
    ended = subprocess.run([*VERBATIM, "regress", *words], capture_output=True, text=True, check=False)
    print(f"== {what}: exit code {ended.returncode}, {time.monotonic() - begun:.1f} s", flush=True)
    print(ended.stdout if what.startswith("in two") else "", ended.stderr, sep="", flush=True)
    return "\n".join(line for line in ended.stdout.splitlines() if not line.startswith("report:"))


def on_dask(words: list[str]) -> str:
    """Run on two workers, and kill one of them a few seconds into the work."""
    with two_workers() as (address, kill_one):
        killer = threading.Timer(KILLED_AFTER_SECONDS, kill_one)
        killer.start()
        try:
            return timed("on two Dask workers", [*words, "--fresh", "--on", address])
        finally:
            killer.cancel()


if __name__ == "__main__":
    main()
