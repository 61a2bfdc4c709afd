"""A backtest of a table says what its figures hide: missing sizes, a wide spread, an idle clock, a stopped strategy."""

import json
import re
from pathlib import Path

import pytest
from bar_files import MINUTE_MS, START_MS, STRATEGIES, backtest, fills, imported, kline, verbatim, write_klines
from click.testing import CliRunner

from journal.reader import Journal
from journal.record import Kind
from replay.replay import replay_session
from verbatim.cli import main

BAR = ("100.01", "101.00", "99.00", "100.00", "50.01")
QUOTES = "time=0:ms,bid=1,ask=2"
RESTS = f"{STRATEGIES / 'first_quote.py'}:Rests"
EVERY = """
from dataclasses import dataclass

from verbatim import Every


class Clock:
    version = "1"
    instruments = ("*",)
    cadence = Every(ms={ms})

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        pass

    @staticmethod
    def decide(view, state, parameters):
        return 1 / {divisor} and []
"""


def quotes(folder: Path) -> Path:
    lines = [f"{START_MS + 1000 * second},99.9{second},100.10" for second in range(9)]
    (folder / "quotes.csv").write_text("\n".join([*lines, ""]))
    return imported(folder, folder / "quotes.csv", "--format", "table", "--columns", QUOTES, "--symbol", "XUSDT")


def test_quotes_without_sizes_say_that_nothing_fills_and_how_it_does(tmp_path: Path) -> None:
    session = quotes(tmp_path)
    words = ["backtest", session, "--strategy", RESTS, "--balance", "USDT=1000", "--no-journal"]
    words += ["--set", "strategy.first_quote.at_market=true"]
    assert "XUSDT: its source states no sizes, so no order fills. What to do: --model volume_share=0" in verbatim(
        *words
    )
    unlimited = backtest(session, "first_quote.py:Rests", "--model", "volume_share=0", at_market="true")
    assert [(side, price, size) for _, side, price, size in fills(unlimited)] == [("BUY", "100.1", "1")]
    assert "no sizes" not in verbatim(*words, "--model", "volume_share=0")


def test_bars_without_volume_say_that_nothing_fills(tmp_path: Path) -> None:
    lines = [f"{START_MS + MINUTE_MS * minute},{','.join(BAR[:4])}" for minute in range(5)]
    (tmp_path / "bars.csv").write_text("\n".join([*lines, ""]))
    columns = "start=0:ms,open=1,high=2,low=3,close=4,seconds=60"
    session = imported(tmp_path, tmp_path / "bars.csv", "--format", "table", "--columns", columns, "--symbol", "XUSDT")
    words = ["backtest", session, "--strategy", RESTS, "--balance", "USDT=1000", "--no-journal"]
    assert "its source states no sizes" in verbatim(*words)


def test_a_spread_that_the_tick_widens_is_printed(tmp_path: Path) -> None:
    """Whole prices show no finer tick than 1."""
    session = imported(tmp_path, write_klines(tmp_path / "XUSDT-1m.csv", [("100", "101", "99", "100", "50")] * 5))
    words = ["backtest", session, "--strategy", RESTS, "--balance", "USDT=1000", "--no-journal"]
    found = verbatim(*words)
    assert "XUSDT: made quotes are up to a tick of 1 from the price, 0.98 % of it, because half_spread=0.0001" in found
    assert "made quotes are up to a tick" not in verbatim(*words, "--model", "half_spread=0.01")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("start=0:sec,open=1,high=2,low=3,close=4,seconds=60", "the unit of 0 is sec, and must be one of s, ms"),
        ("start=0,open=1,high=2,low=3,close=4,seconds=60", "the unit of 0 is missing"),
        ("start=0:s,open=1,high=2,low=3,close=4,seconds=60", "which is no time in s: state its unit as ms"),
    ],
)
def test_a_unit_that_is_unknown_or_cannot_be_is_refused(tmp_path: Path, columns: str, said: str) -> None:
    (tmp_path / "bars.csv").write_text(f"{START_MS},1,2,0.5,1\n")
    words = ["import", str(tmp_path / "bars.csv"), "--format", "table", "--columns", columns, "--symbol", "XUSDT"]
    ended = CliRunner().invoke(main, [*words, "--into", str(tmp_path / "s")])
    assert ended.exit_code != 0
    assert said in ended.stderr


def test_a_clock_that_ticks_millions_of_times_between_bars_is_refused_with_the_way_out(tmp_path: Path) -> None:
    lines = [kline(0, BAR), kline(60 * 24 * 14, BAR)]  # two weeks
    (tmp_path / "XUSDT-1m.csv").write_text("\n".join([*lines, ""]))
    session = imported(tmp_path, tmp_path / "XUSDT-1m.csv")
    (tmp_path / "clock.py").write_text(EVERY.format(ms=500, divisor=1))
    words = ["backtest", session, "--strategy", tmp_path / "clock.py", "--balance", "USDT=1", "--no-journal"]
    found = verbatim(*words, code=3)
    assert "has bars of 60 s, and strategy clock decides every 500 ms, 2,419,200 times on the same prices" in found
    assert "What to do: declare OnBar(60), or Every(ms=60000)." in found
    (tmp_path / "clock.py").write_text(EVERY.format(ms=3_600_000, divisor=1))
    assert "backtest: " in verbatim(*words)


def test_a_strategy_that_stops_ends_its_backtest_with_its_own_code(tmp_path: Path) -> None:
    session = imported(tmp_path, write_klines(tmp_path / "XUSDT-1m.csv", [BAR] * 5))
    (tmp_path / "clock.py").write_text(EVERY.format(ms=60_000, divisor=0))
    words = ["backtest", session, "--strategy", tmp_path / "clock.py", "--balance", "USDT=1", "--no-journal"]
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == 7
    assert "strategy clock was stopped: ZeroDivisionError" in ended.stdout


def test_figures_of_one_and_of_none_are_written_as_people_write_them(tmp_path: Path) -> None:
    session = imported(
        tmp_path, write_klines(tmp_path / "XUSDT-1m.csv", [BAR, ("100.02", *BAR[1:3], "100.50", "50.01")] * 75)
    )
    words = ["backtest", session, "--strategy", RESTS, "--balance", "USDT=1000", "--no-journal"]
    found = verbatim(*words, "--set", "strategy.first_quote.at_market=true")
    assert "0 of 1 fill\n" in found
    assert "1 fill\n" in found
    assert "1 fills" not in found
    assert "Sharpe a " not in found
    assert re.search(r"best, worst trade +-  no fill reduced a position", found)


def test_a_quote_with_one_side_is_kept_and_is_no_quote(tmp_path: Path) -> None:
    """A strategy would divide by its 0."""
    rows = ["0,5,100.10,5", "99.90,5,100.10,5", "99.91,5,0,0", "99.92,5,100.12,5", "99.93,5,100.12,5"]
    lines = [f"{START_MS + 1000 * second},{row}" for second, row in enumerate(rows)]
    (tmp_path / "q.csv").write_text("\n".join([*lines, ""]))
    columns = "time=0:ms,bid=1,bid_size=2,ask=3,ask_size=4"
    session = imported(tmp_path, tmp_path / "q.csv", "--format", "table", "--columns", columns, "--symbol", "XUSDT")
    records = Journal.open(session).records(kinds=(Kind.FEED,))
    assert [(record.payload or b"").rpartition(b"\n")[2].decode() for record in records] == lines
    found = json.loads(verbatim("sql", session, "select bid, ask from quotes", "--json"))
    assert [tuple(map(float, row.values())) for row in found] == [(99.9, 100.1), (99.92, 100.12), (99.93, 100.12)]
    tested = backtest(session, "first_quote.py:Rests", at_market="true")
    assert [price for _, _, price, _ in fills(tested)] == ["100.12"]
    assert replay_session(tested).identical
