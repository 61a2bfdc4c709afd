"""Tables as Binance's archives have them, and backtests of them."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from journal.record import plain
from verbatim.cli import main

STRATEGIES = Path(__file__).resolve().parent / "strategies"
START_MS = 1_704_067_200_000  # 2024-01-01
MINUTE_MS = 60_000
BarValues = tuple[str, str, str, str, str]  # open, high, low, close, volume


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.stderr if code else ended.stdout


def kline(number: int, bar: BarValues) -> str:
    """Return the line of a minute."""
    start = START_MS + number * MINUTE_MS
    return f"{start},{','.join(bar)},{start + MINUTE_MS - 1},0,1,0,0,0"


def write_klines(path: Path, bars: dict[int, BarValues] | Sequence[BarValues]) -> Path:
    """Write minutes, by their number."""
    by_number = bars if isinstance(bars, dict) else dict(enumerate(bars))
    path.write_text("".join(f"{kline(number, bar)}\n" for number, bar in by_number.items()))
    return path


def imported(folder: Path, *words: object) -> Path:
    verbatim("import", *words, "--into", folder / "session")
    return folder / "session"


def backtest(session: Path, strategy: str, *options: object, **parameters: object) -> Path:
    """Backtest with money enough; return the folder of the journal."""
    into = session.with_name(f"tested-{len(list(session.parent.iterdir()))}")
    file, _, cls = strategy.partition(":")
    name = Path(file).stem
    sets = [word for key, value in parameters.items() for word in ("--set", f"strategy.{name}.{key}={value}")]
    words = ["--strategy", f"{STRATEGIES / file}:{cls}", "--balance", "USDT=1000000", *options, *sets]
    verbatim("backtest", session, *words, "--into", into)
    return into


def fills(session: Path) -> list[tuple[Any, ...]]:
    """Return minute (from the start), side, price and quantity of each fill."""
    query = "select venue_ns, side, price, quantity from fills order by seq"
    rows = json.loads(verbatim("sql", session, query, "--json"))
    start_ns = START_MS * 1_000_000
    return [
        (
            (int(row["venue_ns"]) - start_ns) / (MINUTE_MS * 1_000_000),
            row["side"],
            plain(Decimal(row["price"])),
            plain(Decimal(row["quantity"])),
        )
        for row in rows
    ]
