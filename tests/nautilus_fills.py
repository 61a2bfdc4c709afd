"""Cases of fills on bars and quotes alone, which NautilusTrader and Verbatim both run, and our side of them.

`tests/vectors/nautilus_fills.json` has the cases with NautilusTrader's fills, as benchmarks/fills_beside_nautilus.py
recorded them, and for each difference its reason and our fills.
"""

import json
from pathlib import Path
from typing import Any

from bar_files import START_MS, backtest, imported, kline

from journal.record import plain
from verbatim import open as open_session

VECTOR = Path(__file__).resolve().parent / "vectors" / "nautilus_fills.json"
QUOTES = "time=0:ns,bid=1,bid_size=2,ask=3,ask_size=4"
FREE = ("fee_maker=0", "fee_taker=0")
Fill = list[str]  # side, price, quantity


def read_cases() -> dict[str, Any]:
    """Return the recorded cases by name."""
    found: dict[str, Any] = json.loads(VECTOR.read_text("utf-8"))["cases"]
    return found


def our_fills(case: dict[str, Any], folder: Path) -> list[Fill]:
    """Import the rows of a case, trade its orders, and return the fills."""
    folder.mkdir(parents=True, exist_ok=True)
    is_bars = case["kind"] == "bars"
    file = folder / "BTCUSDT-1m.csv"
    if is_bars:
        lines = [kline(number, tuple(row)) for number, row in enumerate(case["rows"])]
        words: list[str] = []
        numbers = list(range(len(lines)))  # nothing decides at the first bar, which begins the market
    else:
        begin_ns = START_MS * 1_000_000
        numbers = case.get("times_ns") or [begin_ns + 1_000_000_000 * number for number in range(len(case["rows"]))]
        lines = [f"{time_ns},{','.join(row)}" for time_ns, row in zip(numbers, case["rows"], strict=True)]
        words = ["--format", "table", "--columns", QUOTES, "--symbol", "BTCUSDT"]
    file.write_text("\n".join([*lines, ""]))
    session = imported(folder, file, *words)
    orders = "; ".join(" ".join([str(numbers[number - 1]), *rest]) for number, *rest in case["orders"])
    model = [word for setting in (*FREE, *case.get("model", ())) for word in ("--model", setting)]
    cls = "AtBars" if is_bars else "AtQuotes"
    tested = backtest(session, f"at_bars.py:{cls}", "--balance", "BTC=100", *model, orders=orders)
    rows = open_session(tested).fills.rows()
    return [[row["side"], plain(row["price"]), plain(row["quantity"])] for row in rows]
