"""A year of minute bars with the cross strategy: times of import and backtest, and the fills beside a plain calculation.

    PYTHONPATH=. python benchmarks/bar_year.py [minutes]

The bars are made, and the plain calculation is that of tests/test_bars.py.
"""

import resource
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]
bar_files, test_bars = import_module("bar_files"), import_module("test_bars")

YEAR = 525_600
FAST, SLOW = 60, 600


def timed(*words: object) -> None:
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-P", "-m", "verbatim", *map(str, words)], check=True, capture_output=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - used
    print(f"{words[0]}: {time.monotonic() - began:.1f} s, {used:.1f} s of a core", flush=True)


def main(minutes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bars = test_bars.walk(minutes)
        archive = bar_files.write_klines(folder / "BTCUSDT-1m-2024.csv", bars)
        timed("import", archive, "--into", folder / "session")
        size = sum(path.stat().st_size for path in (folder / "session").iterdir())
        print(f"{minutes:,} bars: csv {archive.stat().st_size / 1e6:.0f} MB, journal {size / 1e6:.1f} MB")
        options = ["--strategy", f"{ROOT / 'examples/bar_cross.py'}:BarCross", "--balance", "USDT=1000000"]
        timed("backtest", folder / "session", *options, "--into", folder / "tested")
        timed("backtest", folder / "session", *options, "--no-journal")
        found, expected = bar_files.fills(folder / "tested"), test_bars.plain_cross(bars, FAST, SLOW)
        print(f"{len(found):,} fills, {'equal to' if found == expected else 'DIFFERENT FROM'} the plain calculation")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else YEAR)
