"""Ratios of returns equal those of empyrical-reloaded and quantstats; a short span is not annualised."""

import json
import math
import statistics
from decimal import Decimal
from importlib.util import find_spec
from itertools import pairwise

import pytest
from write_return_figures import TARGET, figures, series

from replay.study.return_figures import (
    ANNUAL,
    DAY_NS,
    SECOND_NS,
    EquityPoint,
    StepReturns,
    compare_returns,
    return_figures,
    rolling,
    sharpe_error,
    step_returns,
)

D = Decimal
MINUTE_NS = 60 * SECOND_NS
RECORDED = json.loads(TARGET.read_text())


def reports(*totals: int, step_ns: int = MINUTE_NS) -> list[EquityPoint]:
    """Return reports of P&L, one each step, of an account with 1000."""
    return [EquityPoint(at * step_ns, D(total), D(1_000)) for at, total in enumerate(totals)]


def ours(own: list[float], held: list[float]) -> dict[str, float | None]:
    returns = StepReturns(DAY_NS, 0, tuple(own))
    found = return_figures(returns)
    prices = [100.0]
    for value in held:
        prices.append(prices[-1] * (1 + value))
    beside = compare_returns(returns, "BTC", prices)
    assert beside is not None
    names = ("total_return", "drawdown_ratio", *ANNUAL)
    return {name: getattr(found, name) for name in names} | {"beta": beside.beta, "alpha": beside.alpha}


@pytest.mark.parametrize("name", RECORDED["figures"])
def test_figures_equal_those_of_empyrical_and_quantstats(name: str) -> None:
    own, held = series()[name]
    found = ours(own, held)
    for library, expected in RECORDED["figures"][name].items():
        assert len(expected) >= 8, library
        for figure, value in expected.items():
            assert found[figure] == pytest.approx(value, rel=1e-9), (library, figure)


@pytest.mark.skipif(not (find_spec("empyrical") and find_spec("quantstats")), reason="the libraries are not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_recorded_figures_are_still_those_of_the_libraries() -> None:
    for name, (own, held) in series().items():
        for library, expected in figures(own, held).items():
            assert RECORDED["figures"][name][library] == pytest.approx(expected), (name, library)


def test_a_return_is_the_change_of_pnl_as_a_share_of_the_equity_before() -> None:
    totals = [(at * at) % 7 for at in range(25)]
    found = step_returns(reports(*totals))
    assert found.step_ns == MINUTE_NS
    assert found.values == pytest.approx([(later - sooner) / 1_000 for sooner, later in pairwise(totals)])
    assert found.times_ns == [at * MINUTE_NS for at in range(25)]


def test_the_longest_step_with_twenty_returns_is_chosen() -> None:
    short = step_returns(reports(*range(20)))
    assert (short.step_ns, short.values) == (0, ()), "19 minutes are too short for a ratio"
    assert "fewer than 20 minutes" in short.lack
    hours = 3_600 * SECOND_NS
    assert step_returns(reports(*range(60 * 21))).step_ns == hours
    assert step_returns(reports(*range(24 * 21), step_ns=hours)).step_ns == DAY_NS
    found = step_returns(reports(0, 5, 5, 9, step_ns=10 * MINUTE_NS))
    assert (found.step_ns, len(found.values), sum(bool(value) for value in found.values)) == (MINUTE_NS, 30, 2)
    no_equity = step_returns([EquityPoint(0, D(1), None), EquityPoint(MINUTE_NS * 30, D(2), None)])
    assert "equity is not known" in no_equity.lack


def test_a_short_span_is_not_annualised_and_says_what_it_needs() -> None:
    found = return_figures(step_returns(reports(*((at * at) % 7 for at in range(60)))))
    assert all(getattr(found, name) is None for name in ANNUAL)
    assert {found.lacks[name] for name in ANNUAL} == {"needs 30 days; these returns cover 0.041"}
    assert found.sharpe_step is not None
    assert found.sharpe_step_error == pytest.approx(1 / math.sqrt(58), rel=0.2)
    month = return_figures(step_returns(reports(*((at * at) % 7 for at in range(31)), step_ns=DAY_NS)))
    assert month.sharpe is not None
    assert month.lacks == {}


def test_a_figure_without_a_base_is_missing_with_its_reason() -> None:
    rising = return_figures(StepReturns(DAY_NS, 0, (0.01,) * 40))
    assert (rising.sharpe, rising.sortino, rising.calmar) == (None, None, None)
    assert rising.lacks["sortino"] == "no return is below 0"
    assert rising.lacks["calmar"] == "there is no drawdown"
    assert rising.lacks["sharpe"] == rising.lacks["skewness"] == "the returns do not vary"
    ruined = return_figures(StepReturns(DAY_NS, 0, (*(0.01, -0.01) * 20, -1.0)))
    assert (ruined.annual_return, ruined.lacks["annual_return"]) == (None, "everything was lost")
    assert ruined.drawdown_ratio == 1
    nothing = return_figures(StepReturns(lack="no P&L was reported"))
    assert set(nothing.lacks.values()) == {"no P&L was reported"}


def test_a_benchmark_needs_its_prices_and_must_vary() -> None:
    returns = StepReturns(DAY_NS, 0, (0.01, -0.01, 0.02))
    assert compare_returns(StepReturns(), "BTC", [1, 2]) is None
    assert compare_returns(returns, "BTC", [1, 2]) is None
    flat = compare_returns(returns, "BTC", [5.0] * 4)
    assert flat is not None
    assert (flat.total_return, flat.beta, flat.correlation, flat.alpha) == (0, None, None, None)
    same = compare_returns(returns, "BTC", [1, 1.01, 1.01 * 0.99, 1.01 * 0.99 * 1.02])
    assert same is not None
    assert (same.beta, same.correlation, same.excess_return) == pytest.approx((1, 1, 0))


def test_rolling_figures_are_those_of_each_window() -> None:
    values = [0.01, -0.02, 0.03, 0.0]
    found = rolling(values, 3)
    assert [end for end, _, _ in found] == [3, 4]
    assert found[0][1] == pytest.approx(statistics.mean(values[:3]) / statistics.stdev(values[:3]))
    assert sharpe_error([0.01]) is None
