"""Writes the sample market of the package, verbatim/sample: three made minutes of one instrument, as a recorder keeps them.

    python benchmarks/make_sample.py

The lines come from the synthetic feed of the simulated venue (engine/sim/feeds/synthetic_feed.py), so they belong to
this project, and the same code writes the same bytes.
"""

import lzma
from pathlib import Path

from engine.sim.feeds.synthetic_feed import SyntheticMarket

TARGET = Path(__file__).resolve().parent.parent / "verbatim" / "sample" / "spot_btcusdt_sample.xz"
START_NS = 1_767_225_600_000_000_000
LENGTH_NS = 180 * 1_000_000_000
SEED = 20


def lines() -> bytes:
    market = SyntheticMarket(("BTCUSDT",), seed=SEED, start_ns=START_NS)
    found = []
    while (market.next_due_ns or 0) < START_NS + LENGTH_NS:
        line = market.next_line()
        found.append(b"%d %s\n" % (line.due_ns, line.payload))
    return b"".join(found)


if __name__ == "__main__":
    TARGET.write_bytes(lzma.compress(lines(), preset=9))
    print(TARGET, TARGET.stat().st_size, "bytes")
