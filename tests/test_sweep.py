"""A sweep: the same table on any number of processes, kept rows, and the guards on its winner."""

import json
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import verbatim
from analysis.sweep_report import SweepReport
from replay.resim.sim_setup import CannotResimulateError
from replay.study import sweep as sweeping
from replay.study.sweep_space import SweepError, Variant
from replay.study.sweep_store import SweepStore
from replay.study.sweep_table import Objective, SweepTable, neighbourhood, sensitivity_maps, sweep_table
from replay.study.winner_checks import resample_returns
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

FIRST, SECOND = "20260101T000000Z-aaaaaaab", "20260102T000000Z-aaaaaaac"
SOURCE = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import Every, Indicator, OrderType, Place, Side


class Pulse:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)
    indicators = (Indicator("long", "ema", {"length": 400}), Indicator("short", "sma", {"length": 5}))

    @dataclass
    class Parameters:
        size: Decimal = Decimal("0.001")
        period: int = 2

        def __post_init__(self):
            if self.period > 9:
                raise ValueError("the period is at most 9")

    @dataclass
    class State:
        count: int = 0

    @staticmethod
    def decide(view, state, parameters):
        state.count += 1
        if view.quote("BTCUSDT") is None or state.count % parameters.period:
            return []
        side = Side.BUY if view.position("BTCUSDT").quantity <= 0 else Side.SELL
        return [Place("BTCUSDT", side, parameters.size, type=OrderType.MARKET)]
"""
SETTINGS = {"engine.report_every_ns": 1_000_000_000}


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two sessions with a market."""
    root = tmp_path_factory.mktemp("swept") / "journals"
    for seed, (name, seconds) in enumerate(((FIRST, 13), (SECOND, 16)), 1):
        pulse = from_sources({"pulse": SOURCE}, "pulse", "Pulse")
        VirtualSession(VirtualVenue(seed=seed), root / name, session=name[-8:], strategies=[pulse]).run(seconds).stop()
    return root


@pytest.fixture(scope="module")
def strategy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("strategy") / "pulse.py"
    path.write_text(SOURCE)
    return path


def sweep(journals: Path, strategy: Path, **changes: Any) -> SweepReport:
    given = {"parameters": {"period": [1, 2, 4], "size": ["0.001", "0.002"]}, "settings": SETTINGS, "step_s": 1}
    given |= {"workers": 1, "model_draws": 0, "checks_winner": False}
    return verbatim.sweep(journals, strategy, **(given | changes))  # type: ignore[arg-type]  # a dict of all kinds


@pytest.fixture(scope="module")
def report(journals: Path, strategy: Path) -> SweepReport:
    return sweep(journals, strategy, model_draws=2, checks_winner=True)


def test_a_variant_has_the_figures_of_its_own_backtests(
    journals: Path, strategy: Path, report: SweepReport, tmp_path: Path
) -> None:
    found = next(each for each in report.table.results if each.variant.values == {"period": "4", "size": "0.002"})
    sheets = [
        verbatim.backtest(
            journals / name,
            strategy,
            parameters={"period": 4, "size": "0.002"},
            settings=SETTINGS,
            into=tmp_path / name,
        )
        .tear_sheet(with_prices=False)
        .sheet
        for name in (FIRST, SECOND)
    ]
    assert found.pnl == {"USDT": sum(sheet.total for sheet in sheets)}
    assert found.fills == sum(sheet.performance.fills for sheet in sheets) > 3
    assert (found.trades, found.wins) == (sum(len(s.trades) for s in sheets), sum(s.trade_sums.wins for s in sheets))
    rows = [row for row in report.table.rows if row.variant == found.number]
    assert [len(row.returns) for row in rows] == [13, 16]
    whole = sum(rows[0].returns)
    assert whole == pytest.approx(float(sheets[0].total / (sheets[0].points[0].equity or 1)), rel=1e-3)


def test_the_best_variant_trades_least_where_every_trade_costs(report: SweepReport) -> None:
    assert report.table.sessions == (FIRST, SECOND)
    assert len(report.table.results) == 6
    best = report.table.winner
    assert best is not None
    pnl = sweep_table(
        [each.variant for each in report.table.results], report.table.sessions, report.table.rows, Objective.PNL
    )
    assert pnl.winner is not None
    assert pnl.winner.variant.values == {"period": "4", "size": "0.001"}
    text = str(report)
    for name in (
        "deflated Sharpe",
        "probability of overfitting",
        "walk-forward, anchored",
        "drawn venue models",
        "lookahead",
    ):
        assert name in text, name


def test_the_winner_is_checked(report: SweepReport) -> None:
    winner = report.winner
    assert winner is not None
    assert [each.session for each in winner.checked] == [SECOND, FIRST], "the longest first"
    for each in winner.checked:
        assert each.lookahead is not None
        assert each.lookahead.decisions > 2
        assert each.lookahead.found == []
        assert each.recursion is not None
        by_kind = {one.name.split()[0]: one for one in each.recursion}
        assert not by_kind["sma"].is_recursive
        assert by_kind["ema"].is_recursive, "400 quotes are not over in 16 s"
    assert winner.draws is not None
    assert len(winner.draws.scores) == 2
    assert "recursive indicators" in str(report)


def test_the_number_of_processes_changes_no_row(journals: Path, strategy: Path, report: SweepReport) -> None:
    again = sweep(journals, strategy, parameters={"period": [1, 2, 4], "size": ["0.001", "0.002"]}, workers=1)
    assert again.table == report.table
    part = sweep([journals / FIRST], strategy, parameters={"period": [4], "size": ["0.001"]})  # type: ignore[arg-type]
    assert part.table.rows[0].returns == next(
        row.returns for row in report.table.rows if (row.session, row.variant) == (FIRST, 4)
    )


@pytest.mark.slow
def test_two_processes_make_the_rows_of_one(journals: Path, strategy: Path, report: SweepReport) -> None:
    found = sweep(journals / FIRST, strategy, parameters={"period": [1, 2], "size": ["0.001"]}, workers=2)
    expected = [report.table.row(number, FIRST) for number in (0, 2)]
    assert [(row.key, row.returns, row.pnl) for row in found.table.rows] == [
        (row.key, row.returns, row.pnl) for row in expected
    ]


def test_an_interrupted_sweep_continues_with_its_kept_rows(
    journals: Path, strategy: Path, report: SweepReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    whole = sweeping.trial_sheet

    def stops_after_five(job: Any, *words: Any) -> Any:
        if not any(words):  # not a part of a session
            ran.append(job.version)
        if len(ran) == 6:
            raise KeyboardInterrupt
        return whole(job, *words)

    monkeypatch.setattr(sweeping, "trial_sheet", stops_after_five)
    with pytest.raises(KeyboardInterrupt):
        sweep(journals, strategy, into=tmp_path / "kept")
    assert len(SweepStore(tmp_path / "kept").load()) == 5
    again = sweep(journals, strategy, into=tmp_path / "kept")
    assert (again.kept, len(ran)) == (5, 6 + 7)
    assert again.table == report.table
    assert list((tmp_path / "kept" / "parts").iterdir()) == []
    assert sweep(journals, strategy, into=tmp_path / "kept").kept == 12
    stored = pq.read_table(tmp_path / "kept" / "results.parquet")
    assert stored.column("param.period").to_pylist() == ["1"] * 4 + ["2"] * 4 + ["4"] * 4
    assert stored.column("pnl").to_pylist()[0] == report.table.rows[0].pnl
    with pytest.raises(SweepError, match="results of another sweep"):
        sweep(journals, strategy, parameters={"period": [3]}, into=tmp_path / "kept")
    assert sweep(journals, strategy, parameters={"period": [3]}, into=tmp_path / "kept", fresh=True).kept == 0


def test_a_file_that_was_cut_off_costs_its_own_rows(report: SweepReport, tmp_path: Path) -> None:
    store = SweepStore(tmp_path)
    store.add(report.table.rows[0])
    store.flush()
    store.add(report.table.rows[1])
    store.flush()
    first, _ = sorted((tmp_path / "parts").iterdir())
    first.write_bytes(first.read_bytes()[:-20])
    assert list(store.load().values()) == [report.table.rows[1]]


def test_a_variant_that_does_not_fit_is_named_and_the_others_run(journals: Path, strategy: Path) -> None:
    found = sweep(journals, strategy, parameters={"period": [4, 10, "x"]})
    assert [bool(each.errors) for each in found.table.results] == [False, True, True]
    assert "the period is at most 9" in found.table.results[1].errors[0]
    assert "could not be run everywhere" in str(found)
    nothing = sweep(journals, strategy, parameters={"period": [10, 11]})
    assert nothing.winner is None
    assert nothing.deflated is None
    assert "needs 2 variants" in nothing.overfitting.lack
    assert "Could not be run" in nothing.html()


def test_random_and_bayesian_search(journals: Path, strategy: Path, tmp_path: Path) -> None:
    space = {"period": "1:6", "size": "0.001:0.004:log"}
    drawn = sweep(journals / FIRST, strategy, parameters=space, search="random", trials=3)
    assert len(drawn.table.results) == 3
    if find_spec("optuna") is None:
        with pytest.raises(SweepError, match=r"pip install 'verbatim-trading\[bayes\]'"):
            sweep(journals / FIRST, strategy, parameters=space, search="bayes", trials=3)
        return
    first = sweep(journals / FIRST, strategy, parameters=space, search="bayes", trials=9, into=tmp_path / "b")
    assert len(first.table.results) == 9
    assert first.walk is not None
    assert "has seen the tests" in first.walk.lack
    again = sweep(journals / FIRST, strategy, parameters=space, search="bayes", trials=9, into=tmp_path / "b")
    assert (again.table, again.kept) == (first.table, 9)


def test_what_does_not_fit_is_refused(journals: Path, strategy: Path) -> None:
    with pytest.raises(SweepError, match="is no search"):
        sweep(journals, strategy, search="guess")
    with pytest.raises(SweepError, match="is not one of sharpe"):
        sweep(journals, strategy, objective="luck")
    with pytest.raises(SweepError, match="at least a second"):
        sweep(journals, strategy, step_s=0.1)
    with pytest.raises(SweepError, match="two sessions have the name"):
        sweep([journals / FIRST, journals / FIRST], strategy)  # type: ignore[arg-type]


def test_a_job_that_failed_is_tried_again_and_a_check_that_fails_is_said(
    journals: Path, strategy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"parameters": {"period": [4]}, "into": tmp_path / "kept"}

    def full(*_words: Any) -> Any:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(sweeping, "trial_sheet", full)
        failed = sweep(journals / FIRST, strategy, **given)
    assert "no space left" in failed.table.results[0].errors[0]
    assert failed.winner is None

    def refuses(*_words: Any) -> Any:
        raise CannotResimulateError("the session cannot be cut")

    monkeypatch.setattr("replay.study.winner_checks.check_lookahead", refuses)
    again = sweep(journals / FIRST, strategy, **given, checks_winner=True)
    assert (again.kept, again.table.results[0].errors) == (0, ())
    assert "the session cannot be cut" in str(again)


def test_a_bundle_is_swept_as_its_session(journals: Path, strategy: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "day.vbundle"
    assert CliRunner().invoke(main, ["bundle", str(journals / FIRST), str(bundle)]).exit_code == 0
    packed = sweep(bundle, strategy, parameters={"period": [4]})
    plain = sweep(journals / FIRST, strategy, parameters={"period": [4]})
    assert packed.table.rows[0].returns == plain.table.rows[0].returns


def rows_of(scores: dict[tuple[str, str], list[float]], currency: str = "USDT") -> SweepTable:
    variants = [Variant({"a": a, "b": b}) for a, b in scores]
    rows = [
        sweeping.SweepRow(str(number), number, "s", currency=currency, returns=tuple(values), step_ns=1)
        for number, values in enumerate(scores.values())
    ]
    return sweep_table(variants, ["s"], rows, Objective.RETURN)


def test_maps_average_the_score_and_neighbours_differ_by_one_value() -> None:
    table = rows_of({(a, b): [float(a) * 0.01 + float(b) * 0.001] for a in ("1", "2", "10") for b in ("1", "3")})
    [found] = sensitivity_maps(table)
    assert (found.rows_name, found.rows, found.columns) == ("a", ("1", "2", "10"), ("1", "3"))
    assert found.cell(2, 1) == pytest.approx(0.103)
    near = neighbourhood(table)
    assert near is not None
    assert (near.neighbours, near.worst) == (2, pytest.approx(0.023))
    many = rows_of({(str(place), "1"): [place * 0.001] for place in range(40)})
    [binned] = sensitivity_maps(many)
    assert (binned.columns_name, len(binned.rows), binned.rows[0]) == ("", 8, "0 to 4")
    assert binned.cell(0, 0) == pytest.approx(0.002)
    assert sensitivity_maps(rows_of({})) == []
    assert neighbourhood(rows_of({})) is None


def test_pnl_of_several_currencies_has_no_sum() -> None:
    rows = [
        sweeping.SweepRow(name, 0, name, currency=currency, pnl=Decimal(1))
        for name, currency in (("one", "USDT"), ("two", "BTC"))
    ]
    with pytest.raises(SweepError, match="report in BTC, USDT"):
        sweep_table([Variant({})], ["one", "two"], rows, Objective.PNL)
    found = sweep_table([Variant({})], ["one", "two"], rows, Objective.RETURN)
    assert found.results[0].pnl == {"USDT": 1, "BTC": 1}


def test_resampled_returns_keep_their_blocks() -> None:
    assert resample_returns([0.01] * 5, 1).samples == 0
    sure = resample_returns([0.01] * 40, 1)
    assert (sure.return_low, sure.return_high) == pytest.approx((1.01**40 - 1, 1.01**40 - 1))
    assert (sure.loss_share, sure.drawdown_high) == (0, 0)
    wild = resample_returns([0.05, -0.05] * 30, 1)
    assert wild.return_low < wild.return_middle < wild.return_high
    assert resample_returns([0.05, -0.05] * 30, 1) == wild


def test_the_page_has_maps_and_no_script(report: SweepReport, tmp_path: Path) -> None:
    size = report.write(tmp_path / "sweep.html")
    page = (tmp_path / "sweep.html").read_text()
    assert size == len(page.encode())
    assert "<script" not in page
    for title in (
        "Guards",
        "period (down) and size (across)",
        "Walk-forward, anchored",
        "Rank in the other half",
        "Drawn venue models",
    ):
        assert title in page, title
    assert page.count("variants in a cell") == 1


def test_the_command_prints_a_table_and_json(journals: Path, strategy: Path, tmp_path: Path) -> None:
    words = [
        "sweep",
        str(journals / FIRST),
        "--strategy",
        str(strategy),
        "--param",
        "period=2,4",
        "--workers",
        "1",
        "--step",
        "1",
    ]
    words += [
        "--set",
        "engine.report_every_ns=1000000000",
        "--draws",
        "0",
        "--no-checks",
        "--journals",
        str(journals),
    ]
    ended = CliRunner().invoke(main, [*words, "--html", str(tmp_path / "s.html")])
    assert ended.exit_code == 0, ended.output
    assert "2 variants by grid, 1 session, best sharpe" in ended.output
    kept = journals.parent / "sweeps"
    assert [path.name.partition("-")[0] for path in kept.iterdir()] == ["pulse"]
    said = CliRunner().invoke(main, [*words, "--objective", "pnl", "--walk-forward", "none", "--json"])
    found = json.loads(said.stdout)
    assert (found["kept"], found["objective"], found["walk"]) == (2, "pnl", None)
    assert {each["rank"] for each in found["variants"]} == {1, 2}
    assert all(isinstance(amount, str) for each in found["variants"] for amount in each["pnl"].values())
    wrong = CliRunner().invoke(main, [*words, "--html", str(tmp_path / "no" / "s.html")])
    assert wrong.exit_code == 2
    bad = CliRunner().invoke(main, ["sweep", str(journals / FIRST), "--param", "period"])
    assert (bad.exit_code, "is no parameter" in bad.output) == (3, True)


def test_the_recorded_strategy_and_settings_vary_too(journals: Path) -> None:
    found = verbatim.sweep(
        journals / FIRST, None, {"period": [2, 4], "risk.order_size_max": [1, 2]}, step_s=1, workers=1, model_draws=0,
        checks_winner=False, trust_code=True, walk_forward="",
    )  # fmt: skip
    assert found.table.results[0].variant.label == "period=2 risk.order_size_max=1"
    assert all(not each.errors for each in found.table.results)
