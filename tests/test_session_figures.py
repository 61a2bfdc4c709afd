"""The figures of a session in short, computed another way."""

from decimal import Decimal
from pathlib import Path

from cockpit_session import NAME, begin_session

import verbatim

D = Decimal


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
    assert (figures.sharpe, figures.sharpe_step) == (None, None)
    assert "fewer than 20 minutes" in figures.lacks["sharpe"]
