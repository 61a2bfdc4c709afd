"""Fills on bars and on quotes beside NautilusTrader's: hand-made cases, and the quotes of a capture.

    python3.11 -m venv A && A/bin/pip install nautilus_trader==1.221.0
    python benchmarks/fills_beside_nautilus.py A/bin/python [--write]

Prints the fills of each case on both sides, and the reason of each difference. `--write` records NautilusTrader's fills and ours in
tests/vectors/nautilus_fills.json, which tests/test_nautilus_fills.py compares. docs/fidelity.md has the reasons.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
Fill = list[str]  # side, price, quantity
DATA = Path(os.environ.get("VERBATIM_DATA", ROOT.parent / "shared" / "data"))
CAPTURE = DATA / "captures" / "binance" / "spot_btcusdt_20240808.gz"
EVERY = 23  # quotes between two orders of the capture's case
SIZE = "0.00001"  # of each: the smallest, which every quote of the capture has
AT_ONCE = ("request_ms=0", "answer_ms=0", "feed_ms=0")  # NautilusTrader's default has no latency


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", help="a Python with NautilusTrader")
    parser.add_argument("--write", action="store_true", help="record the fills for the test")
    options = parser.parse_args()
    from nautilus_fills import VECTOR, our_fills

    recorded = json.loads(VECTOR.read_text("utf-8"))
    cases = recorded["cases"]
    theirs = peer_fills(options.peer, cases)
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, case) in enumerate(cases.items()):
            ours = our_fills(case, Path(folder) / str(number))
            case["nautilus"] = theirs[name]
            case.pop("ours", None)
            if ours != theirs[name]:
                case["ours"] = ours
            show(name, ours, theirs[name], case.get("why", ""))
        compare_capture(options.peer, Path(folder) / "capture")
    if options.write:
        VECTOR.write_text(json.dumps(recorded, indent=1) + "\n", "utf-8")


def peer_fills(peer: str, cases: dict[str, Any]) -> dict[str, list[Fill]]:
    """Run cases in NautilusTrader."""
    program = Path(__file__).parent / "clients" / "nautilus_cases.py"
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(cases, file)
        file.flush()
        ended = subprocess.run([peer, str(program), file.name], capture_output=True, text=True, check=True)
    found: dict[str, list[Fill]] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def show(name: str, ours: list[Fill], theirs: list[Fill], why: str) -> None:
    print(
        f"{'equal ' if ours == theirs else 'differ'} {name}: {text(ours)}"
        + ("" if ours == theirs else f" | NautilusTrader: {text(theirs)}")
    )
    if ours != theirs:
        print(f"       {why or 'NOT EXPLAINED'}")


def text(fills: Sequence[Sequence[str]]) -> str:
    return ", ".join(" ".join(fill) for fill in fills) or "none"


def compare_capture(peer: str, folder: Path) -> None:
    """Compare orders at the quotes of a capture, at the market and resting at the touch, one each EVERY quotes."""
    from nautilus_fills import our_fills

    rows, times, orders = [], [], []
    with gzip.open(CAPTURE, "rt", encoding="utf-8") as lines:
        for line in lines:
            stamp, _, message = line.partition(" ")
            if "@bookTicker" not in message:
                continue
            best = json.loads(message)["data"]
            row = [best["b"], best["B"], best["a"], best["A"]]
            if not rows or [row[0], row[2]] != [rows[-1][0], rows[-1][2]]:  # a strategy decides when a price changes
                rows.append(row)
                times.append(int(stamp))
    for number in range(2 + EVERY, len(rows), EVERY):
        side = "BUY" if number % 2 else "SELL"
        is_limit = number % 3 == 0
        price = rows[number - 1][0 if side == "BUY" else 2]
        orders.append([number, side, SIZE, "LIMIT" if is_limit else "MARKET", *([price] if is_limit else [])])
    case = {"kind": "quotes", "rows": rows, "times_ns": times, "orders": orders, "model": AT_ONCE}
    theirs = peer_fills(peer, {"capture": case})["capture"]
    ours = our_fills(case, folder)
    print(
        f"{len(rows):,} quotes of {CAPTURE.name}, {len(orders)} orders: {len(ours)} fills, NautilusTrader {len(theirs)}"
    )
    mine, others = Counter(map(tuple, ours)), Counter(map(tuple, theirs))
    print(f"       only ours: {text(list(mine - others))} | only NautilusTrader's: {text(list(others - mine))}")


if __name__ == "__main__":
    main()
