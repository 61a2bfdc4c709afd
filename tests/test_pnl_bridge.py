"""S28: live P&L 55.89, replay of the day 58.64 (hftbacktest #67). The difference by cause, and it adds up exactly.

By hand, each cause alone with its right value; then a recorded day against the venue's model with other latency and
fees, where the sums are those of the two journals to the last digit.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from by_hand import BTC, ETH, ByHand, shown, trade
from click.testing import CliRunner
from msgspec.structs import replace
from replaying import session
from risk_desk import DESK
from test_pnl_reported import RISK

from engine.facts import PortfolioPnl
from engine.record_codec import read_fact
from engine.session_record import MILLISECOND_NS, read_session
from engine.sim.venue_model import VenueModel
from journal.reader import Journal
from journal.record import Kind, plain
from replay.overrides import apply_overrides
from replay.resim.resimulate import ResimOptions, resimulate
from replay.study.pnl import session_pnl
from replay.study.pnl_bridge import Cause, PnlBridge, bridge_lines, bridge_sessions
from verbatim.cli import main

D = Decimal
ORDERS = "BTCUSDT BUY LIMIT 2 90; BTCUSDT SELL LIMIT 2 110; BTCUSDT BUY LIMIT 4 100"


def lived(folder: Path, *fills: str, ask: str = "101.00") -> Path:
    """Live one day: the same three orders each time. A fill is `2 90 fee 0.1`, `4 101 taker`, or `none`.

    Before the last fill the quote may have moved.
    """
    hand = ByHand(
        source=DESK, cls="Desk", parameters={"orders": ORDERS}, instruments=(BTC, ETH), accounting=3, risk=RISK
    )  # fmt: skip
    for number, fill in enumerate(fills, start=1):
        hand.best(BTC, {"b": "99.00", "B": f"2.{number:05d}", "a": "101.00", "A": "1.0"})
        newest, venue_id = max(hand.orders, key=lambda order: order.request_seq), 100 + number
        terms = newest.order
        order = {"side": terms.side, "price": str(terms.price), "origQty": str(terms.quantity), "orderId": venue_id}
        hand.answer(hand.seq_of("place"), shown(newest.client_order_id, **order))
        if fill == "none":
            continue
        quantity, price, *rest = fill.split()
        if number == len(fills) and ask != "101.00":
            hand.run(0.5, quote=False).best(BTC, {"b": "99.00", "B": "1", "a": ask, "A": "1.0"})
        fee = rest[rest.index("fee") + 1] if "fee" in rest else "0"
        wire = {
            "S": terms.side, "p": str(terms.price), "q": str(terms.quantity), "i": venue_id, "L": price, "n": fee,
            "N": "USDT", "m": "taker" not in rest,
        }  # fmt: skip
        hand.private(trade(newest.client_order_id, number, quantity, quantity, **wire))
    hand.quote().run(11).prove(folder)
    return folder


def bridge(tmp_path: Path, one: tuple[str, ...], other: tuple[str, ...], **settings: Any) -> PnlBridge:
    folders = lived(tmp_path / "one", *one), lived(tmp_path / "other", *other, **settings)
    [found] = [each for each in bridge_sessions(*folders) if each.asset == "USDT"]
    totals = [session_pnl(folder).portfolio.total for folder in folders]
    assert [found.first, found.second] == totals, "of the journals themselves"
    assert sum(found.causes.values(), D(0)) == found.difference == totals[1] - totals[0], "to the last digit"
    assert found.causes[Cause.ROUNDING] == 0
    return found


def causes(found: PnlBridge) -> dict[str, Decimal]:
    return {name: amount for name, amount in found.causes.items() if amount}


DAY = ("2 90 fee 0.1", "2 110 fee 0.2", "4 100 fee 0.3")


def test_s28_two_equal_days_have_no_cause(tmp_path: Path) -> None:
    found = bridge(tmp_path, DAY, DAY)
    assert (found.is_equal, causes(found)) == (True, {})
    result = CliRunner().invoke(main, ["diff", "--pnl", str(tmp_path / "one"), str(tmp_path / "other")])
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("other", "cause", "amount"),
    [
        pytest.param(("2 89 fee 0.1", *DAY[1:]), Cause.PRICES, "2", id="2 bought 1 cheaper"),
        pytest.param((DAY[0], "2 109.5 fee 0.2", DAY[2]), Cause.PRICES, "-1", id="2 sold 0.5 cheaper"),
        pytest.param(("2 90 fee 0.15", *DAY[1:]), Cause.FEES, "-0.05", id="0.05 more of fees"),
        pytest.param((DAY[0], "1.5 110 fee 0.2", DAY[2]), Cause.QUANTITIES, "-5", id="0.5 less sold at 110, worth 100"),
        pytest.param((*DAY[:2], "none"), Cause.MISSED, "0.3", id="4 at 100, worth 100, cost their fee"),
    ],
)  # fmt: skip
def test_s28_each_cause_alone_has_its_amount(other: tuple[str, ...], cause: Cause, amount: str, tmp_path: Path) -> None:
    assert causes(bridge(tmp_path, DAY, other)) == {cause: D(amount)}


def test_s28_an_extra_fill_counts_at_the_mark_with_its_fee(tmp_path: Path) -> None:
    """4 bought at 98 and worth 100, for a fee of 0.3."""
    assert causes(bridge(tmp_path, (*DAY[:2], "none"), (*DAY[:2], "4 98 fee 0.3"))) == {Cause.EXTRA: D("7.7")}


def test_s28_an_order_that_arrives_later_pays_the_moved_market_as_latency_and_the_rest_as_price(
    tmp_path: Path,
) -> None:
    """4 bought at 101 while the ask was 101; half a second later the ask is 103, and 103.25 is paid."""
    found = bridge(tmp_path, (*DAY[:2], "4 101 taker"), (*DAY[:2], "4 103.25 taker"), ask="103.00")
    assert causes(found) == {Cause.LATENCY: -8, Cause.PRICES: -1}


def test_s28_an_order_that_rests_pays_no_latency(tmp_path: Path) -> None:
    """In the first it rests, in the second it takes later and dearer: a maker's price is its own."""
    found = bridge(tmp_path, (*DAY[:2], "4 98"), (*DAY[:2], "4 98.5 taker"), ask="103.00")
    assert causes(found) == {Cause.PRICES: -2}


def test_s28_all_causes_at_once_are_named_with_their_records(tmp_path: Path) -> None:
    found = bridge(
        tmp_path, ("2 90 fee 0.1", "2 110 fee 0.2", "4 98"), ("2 89 fee 0.2", "1 111 fee 0.15", "none")
    )  # fmt: skip
    assert causes(found) == {Cause.PRICES: 2 + 1, Cause.QUANTITIES: -10, Cause.FEES: D("-0.05"), Cause.MISSED: -8}
    [text] = [line for line in bridge_lines([found]) if "missed fills:" in line]
    records = [
        record for record in Journal.open(tmp_path / "one").records() if record.body and "order_filled" in record.body
    ]
    assert text.startswith("  -8 missed fills: desk binance_spot:BTCUSDT on market ")
    assert text.endswith(f", records {records[-1].seq} of the first")


# ---- a day and its replay -----------------------------------------------------------------------


def last_report(folder: Path) -> PortfolioPnl:
    facts = (read_fact(record.body or "") for record in Journal.open(folder).records(kinds=(Kind.FACT,)))
    return [fact for fact in facts if isinstance(fact, PortfolioPnl)][-1]


@pytest.mark.slow
def test_s28_a_day_and_its_replay_with_other_latency_and_fees_differ_by_named_causes(tmp_path: Path) -> None:
    """A quoter trades for eight seconds; the model then has ten times the latency, dearer takers, and twice the size."""
    one, other = tmp_path / "lived", tmp_path / "modelled"
    running = session(one, seconds=8)
    running.stop()
    body = apply_overrides(
        read_session(Journal.open(one).session_record().body or ""), {"strategy.quoter.size": "0.002"}
    )
    model = VenueModel(request_ns=20 * MILLISECOND_NS, answer_ns=20 * MILLISECOND_NS, fee_maker="0.0005")
    resimulate(one, other, ResimOptions(session=body, model=model, modelled=True))
    [found] = bridge_sessions(one, other)
    reports = [last_report(folder) for folder in (one, other)]
    assert [found.first, found.second] == [report.total for report in reports]
    assert sum(found.causes.values(), D(0)) == found.difference != 0
    assert abs(found.causes[Cause.ROUNDING]) < D("1e-12")
    assert {Cause.FEES, Cause.QUANTITIES, Cause.MISSED} <= set(causes(found)), causes(found)
    for cause in (Cause.FEES, Cause.QUANTITIES, Cause.MISSED, Cause.EXTRA, Cause.PRICES, Cause.LATENCY):
        parts = [each.amount for each in found.orders if each.cause is cause]
        assert sum(parts, D(0)) == found.causes[cause]
    result = CliRunner().invoke(main, ["diff", "--pnl", str(one), str(other), "--json"])
    assert (result.exit_code, json.loads(result.output)[0]["difference"]) == (1, plain(found.difference))


@pytest.mark.slow
def test_s28_orders_that_are_the_same_in_both_are_no_cause(tmp_path: Path) -> None:
    one, other = tmp_path / "lived", tmp_path / "again"
    session(one, seconds=5).stop()
    body = read_session(Journal.open(one).session_record().body or "")
    resimulate(one, other, ResimOptions(session=replace(body), model=VenueModel()))
    [found] = bridge_sessions(one, other)
    assert found.is_equal
    assert found.first == last_report(one).total
