"""The ratios of a session: from tables made by hand, and from a session whose figures are computed another way."""

import math
import statistics
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from cockpit_session import NAME, begin_session

import verbatim
from analysis import session_figures as of

D = Decimal
MINUTE_NS = 60 * of.SECOND_NS
KEY = {"session": "s", "strategy": "one", "instrument": "x"}


def reports(*totals: int, step_ns: int = MINUTE_NS) -> list[tuple[int, Decimal, Decimal | None]]:
    """Return reports of P&L, one each step, of an account with 1000."""
    return [(at * step_ns, D(total), D(1_000)) for at, total in enumerate(totals)]


def test_returns_are_changes_of_pnl_as_shares_of_the_equity() -> None:
    totals = [(at * at) % 7 for at in range(25)]
    step_ns, returns = of._returns(reports(*totals))
    assert step_ns == MINUTE_NS
    expected = [(later - sooner) / 1_000 for sooner, later in pairwise(totals)]
    assert returns == pytest.approx(expected)
    yearly = math.sqrt(365 * 24 * 60)
    sharpe = statistics.mean(expected) / statistics.stdev(expected) * yearly
    assert of._annual(returns, step_ns, of._deviation(returns)) == pytest.approx(sharpe)
    falls = math.sqrt(sum(value**2 for value in expected if value < 0) / len(expected))
    assert of._annual(returns, step_ns, of._downside(returns)) == pytest.approx(
        statistics.mean(expected) / falls * yearly
    )


def test_the_longest_step_with_twenty_returns_is_taken() -> None:
    assert of._returns(reports(*range(20))) == (0, []), "19 minutes are too short for a ratio"
    hours, days = 3_600 * of.SECOND_NS, 86_400 * of.SECOND_NS
    assert of._returns(reports(*range(60 * 21)))[0] == hours
    assert of._returns(reports(*range(24 * 21), step_ns=hours))[0] == days
    step_ns, returns = of._returns(reports(0, 5, 5, 9, step_ns=10 * MINUTE_NS))
    assert (step_ns, len(returns), sum(bool(value) for value in returns)) == (MINUTE_NS, 30, 2), "values last"
    assert of._returns([(0, D(1), None), (MINUTE_NS * 30, D(2), None)]) == (0, []), "no equity, no return"


def test_a_ratio_needs_a_deviation() -> None:
    _, returns = of._returns(reports(*range(30)))
    assert of._annual(returns, MINUTE_NS, of._downside(returns)) is None, "nothing fell"
    assert of._annual([], 0, 0.0) is None


def test_a_closing_fill_wins_if_it_realises_more_than_its_own_fee() -> None:
    rows = [
        {"quantity": D(quantity), "realised_pnl": D(realised), "fees_quote": D(fees), **KEY}
        for quantity, realised, fees in (
            (2, 0, 1),  # opens
            (3, 0, 2),  # adds
            (1, 5, 3),  # closes 2: 5 for a fee of 1
            (-1, 6, 4),  # turns: 1 for a fee of 1 is no win
            (0, 4, 5),  # closes at a loss
        )
    ]
    assert of._closing_fills(rows) == (3, 1)


def test_the_largest_drawdown_is_exact() -> None:
    assert of._drawdown(map(D, ("1", "3.1", "2.9", "3", "1.05", "9"))) == D("2.05")
    assert of._drawdown([]) == 0


def test_figures_of_a_session(tmp_path: Path) -> None:
    begin_session(tmp_path / NAME).run(8).stop()
    session = verbatim.open(tmp_path / NAME)
    figures, fills = session.figures(), session.fills.rows()
    assert figures.fills == len(fills) > 3
    assert figures.maker_fills == sum(row["maker"] for row in fills)
    assert figures.turnover == {"USDT": sum(row["notional"] for row in fills)}
    assert figures.pnl == session.pnl_report().portfolio.total
    assert 0 < (figures.exposed_ratio or 0) < 1

    quotes = session.quotes().rows()
    placed = {row["client_order_id"]: row["request_seq"] for row in session.orders.rows()}
    cost = D(0)
    for fill in fills:
        quote = [row for row in quotes if row["seq"] < placed[fill["client_order_id"]]][-1]
        distance = fill["price"] - (quote["bid"] + quote["ask"]) / 2
        cost += distance * fill["quantity"] * (1 if fill["side"] == "BUY" else -1)
    [slippage] = figures.slippage
    assert (slippage.asset, slippage.cost, slippage.fills) == ("USDT", cost, len(fills))
    assert session.figures(with_slippage=False).slippage == ()
    assert "hit rate" in str(figures)
