"""A new user wrote an RSI and a pairs strategy from the docs alone: no obstacle of that day is left."""

import gzip
from pathlib import Path

import pytest
from click.testing import CliRunner

import verbatim
from engine.market.views import BookState
from engine.strategy.source_guard import StrategyError
from replay.rebuild import rebuild
from replay.study.decisions import session_decisions
from verbatim.cli import main
from verbatim.demo import DemoOptions, demo_symbols, refuse_strategy
from verbatim.pytest_plugin import CapturedDay
from verbatim.strategy_files import check_instruments, read_strategy
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

BREAKOUT = Path(__file__).resolve().parent.parent / "examples" / "breakout.py"
CAPTURES = ("spot_btcusdt_20240808", "spot_ethusdt_20240808")
LINES = 700  # of each capture: two seconds, with the snapshot of its book
TWO = """
from dataclasses import dataclass

from verbatim import OnFill, OnQuote, OrderType, Place, Side


class Two:
    version = "1"
    instruments = ("BTCUSDT", "ETHUSDT")
    cadence = (OnQuote(throttle_ms=500), OnFill())

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        bought: bool = False

    @staticmethod
    def decide(view, state, parameters):
        if not state.bought:
            state.bought = True
            return [Place("ETHUSDT", Side.BUY, 10 * view.instrument("ETHUSDT").lot_size * 100, type=OrderType.MARKET)]
        if view.trigger == "fill":
            view.log("filled")
        return []
"""


@pytest.fixture
def both(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the session of two captures, in the working directory with a strategy that trades both."""
    monkeypatch.chdir(tmp_path)
    for name in CAPTURES:
        lines = gzip.decompress((shared_data / f"captures/binance/{name}.gz").read_bytes()).splitlines(keepends=True)
        Path(f"{name}.txt").write_bytes(b"".join(lines[:LINES]))
    Path("two.py").write_text(TWO)
    run("import", *(f"{name}.txt" for name in CAPTURES), "--into", "both")
    return tmp_path / "both"


def run(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_two_captures_are_one_market(both: Path) -> None:
    """Each snapshot belongs to the instrument of its file, though it names none; events of the account trigger."""
    output = run("backtest", "both", "--strategy", "two.py:Two", "--balance", "USDT=1000", "--into", "made")
    assert "refused" in output
    _, state, _ = rebuild(Path("made"))
    assert [state.market.book_state(index) for index in (0, 1)] == [BookState.SYNCED] * 2
    [position] = state.account.positions.by_key.values()
    assert position.instrument == "binance_spot:ETHUSDT"
    assert "filled" in run("sql", "made", "SELECT body FROM records WHERE kind = 'NOTE' AND source LIKE 'strategy%'")


def test_a_capture_is_a_regression_test(both: Path) -> None:
    """The fixture `captured_day` of the pytest plugin opens it as it opens a session."""
    decisions = CapturedDay(verbatim.open(both)).decisions("two.py:Two", modelled=True, balances={"USDT": "1000"})
    assert len(decisions) == 1


def test_the_demo_trades_what_the_strategy_names(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO)
    options = DemoOptions(journals=tmp_path, strategy=f"{tmp_path / 'two.py'}:Two")
    assert demo_symbols(options) == ("BTCUSDT", "ETHUSDT")
    refuse_strategy(options)
    assert demo_symbols(DemoOptions(journals=tmp_path)) == ("BTCUSDT",)
    (tmp_path / "any.py").write_text(TWO.replace('("BTCUSDT", "ETHUSDT")', '("*",)'))
    anything = read_strategy(f"{tmp_path / 'any.py'}:Two")
    check_instruments([anything], ("SOLUSDT",), listed="it")
    with pytest.raises(StrategyError, match=r'trades "\*", the only instrument of a session, and it has A, B'):
        check_instruments([anything], ("A", "B"), listed="it")
    (tmp_path / "else.py").write_text(TWO.replace("ETHUSDT", "SOLUSDT"))
    with pytest.raises(StrategyError, match="trades SOLUSDT, which the demo's market does not list"):
        refuse_strategy(DemoOptions(journals=tmp_path, strategy=f"{tmp_path / 'else.py'}:Two"))


def test_a_plan_is_a_decision_with_its_terms(tmp_path: Path) -> None:
    """Before, each intent that is no order was `cancel`, so another stop of a bracket was no difference."""
    decided = []
    for risk in ("0.001", "0.002"):
        parameters = {"bar_s": 1, "length": 2, "risk": risk}
        session = VirtualSession(
            VirtualVenue(), tmp_path / risk, strategies=[strategy_settings(BREAKOUT, "Breakout", parameters=parameters)]
        )
        session.run(until=lambda session: bool(session.facts("plan_started"))).stop()
        decided.append(session_decisions(session.folder)[0])
    assert [each.what.partition(",")[0] for each in decided] == ["run bracket: instrument BTCUSDT"] * 2
    assert not decided[0].same_as(decided[1])
