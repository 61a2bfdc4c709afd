"""Cost of an update of each indicator, and of a message that none follows: nanoseconds in the compiled fold.

    python benchmarks/indicator_cost.py [--lengths 20 200] [--rounds 5]

Each figure is the difference between a fold with 32 equal indicators and one without, over the same rows, divided by the
updates: the least of the rounds, which alternate between both. Fold times are CPU time of this process. `own` is the
exponential average as a user's class.
"""

import argparse
import time
from decimal import Decimal
from typing import Any

import numpy as np

from engine.market import rows as r
from engine.market.indicators.indicator import IndicatorSpec
from engine.market.indicators.registry import SPECS, indicator_spec
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.market.user_update import UserSpec, compile_update
from engine.market.views import BarSpec
from engine.model import Instrument

ID = "v:BTC"
BTC = Instrument(ID, "v", "BTC", "BTC", "USDT", 2, 5, Decimal("0.01"), Decimal("0.00001"))
COPIES = 32
ROWS = 20_000
SECOND_NS = 1_000_000_000


def rows_of(source: str) -> Rows:
    """Return a random walk of quotes, of trades, or of trades that close a bar each."""
    draw = np.random.default_rng(1)
    price = 6_000_000 + np.cumsum(draw.integers(-200, 201, ROWS))
    table: Rows = np.zeros((ROWS, r.COLUMNS), np.int64)
    number = np.arange(ROWS)
    table[:, r.SEQ] = number
    table[:, r.TIME_NS] = (number + 1) * SECOND_NS
    table[:, r.LAST] = 1
    if source == "mid":
        table[:, r.TYPE] = r.QUOTE
        table[:, r.QUOTE_BID], table[:, r.QUOTE_ASK] = price, price + 1
        table[:, r.QUOTE_BID_SIZE], table[:, r.QUOTE_ASK_SIZE] = draw.integers(1, 10**6, (2, ROWS))
        table[:, r.QUOTE_ID] = number
    else:
        table[:, r.TYPE] = r.TRADE
        table[:, r.VENUE_NS] = table[:, r.TIME_NS]
        table[:, r.TRADE_PRICE], table[:, r.TRADE_ID] = price, number
        table[:, r.TRADE_SIZE] = draw.integers(1, 10**6, ROWS)
    return table


def average(now: Any, own: Any, parameters: Any) -> float:
    """Return the exponential average of the input, as a user writes it."""
    own[0] = own[0] + 1.0
    if now.updates == 0:
        return float(now.value)
    return float(now.last + 2.0 / (parameters.length + 1.0) * (now.value - now.last))


def fold_ns(spec: IndicatorSpec, rows: Rows, *, copies: int) -> float:
    """Return the CPU time of folding all rows, in nanoseconds a row."""
    bars = [BarSpec(ID, SECOND_NS)] if spec.interval_ns else []
    code = {spec: compile_update(average, {"length": 20}, 1)} if isinstance(spec, UserSpec) else {}  # type: ignore[arg-type]  # a function is one
    market = Market.empty([BTC], bars, [spec] * copies, user_updates=code)
    market.fold(rows[:1])
    begun = time.process_time_ns()
    market.fold(rows[1:])
    return (time.process_time_ns() - begun) / (len(rows) - 1)


def measure(spec: IndicatorSpec, rows: Rows, rounds: int) -> tuple[float, float]:
    """Return the nanoseconds of an update, and of a message without indicators."""
    bare, with_copies = [], []
    for _ in range(rounds):
        for copies, found in ((0, bare), (COPIES, with_copies)):
            found.append(fold_ns(spec, rows, copies=copies))
    return (min(with_copies) - min(bare)) / COPIES, min(bare)


def main() -> None:
    """Print a table of figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print("| indicator | source | length | ns an update |\n|---|---|---|---|")
    for source in ("mid", "trade", "bars.1"):
        rows = rows_of(source)
        for kind in sorted(SPECS):
            for length in options.lengths:
                parameters: dict[str, object] = {"length": length, "source": source}
                if kind == "macd":
                    parameters = {"source": source}
                elif kind in ("microprice", "imbalance"):
                    parameters = {}
                try:
                    indicator_spec(kind, ID, {**parameters})
                except ValueError:
                    continue
                if (kind in ("macd", "microprice", "imbalance") and length != options.lengths[0]) or (
                    kind in ("microprice", "imbalance") and source != "mid"
                ):
                    continue
                cost, _ = measure(indicator_spec(kind, ID, parameters), rows, options.rounds)
                shown = parameters.get("length", "-")
                print(f"| {kind} | {source} | {shown} | {cost:.1f} |", flush=True)
        cost, bare_ns = measure(UserSpec(ID, "own.x.Average", source, 1), rows, options.rounds)
        print(f"| own | {source} | 20 | {cost:.1f} |", flush=True)
        print(f"| none | {source} | | {bare_ns:.1f} a message |", flush=True)


if __name__ == "__main__":
    main()
