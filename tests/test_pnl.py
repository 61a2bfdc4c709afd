"""The P&L that the engine reports, against right values by hand arithmetic: realised, unrealised, mark, fees.

Fills come as the venue's messages, and the figures are those of the recorded facts. tests/test_core_mutants.py puts a
fault into each formula: a test of this file must notice.
"""

import json
from decimal import Decimal
from typing import Any, NamedTuple

from by_hand import BTC, ETH, ByHand, instrument, shown, trade
from risk_desk import DESK

from engine.kernel import kernel_of
from engine.mode_reasons import Mode
from engine.model import Instrument
from engine.session_record import DriftAction, RiskSettings
from journal.record import Kind
from replay import state_report

D = Decimal
BNB, EUR = instrument("BNB", "USDT"), instrument("USDT", "EUR")


class Made(NamedTuple):
    """A fill of an order of ours, with its fee."""

    side: str
    quantity: str
    price: str
    fee: str = "0"
    asset: str = "USDT"


def traded(*fills: Made, instruments: tuple[Instrument, ...] = (BTC, ETH), accounting: int = 2) -> ByHand:
    """A session in which a strategy made these fills on BTCUSDT, quoted 99 to 101. Its P&L was reported since."""
    orders = "; ".join(f"BTCUSDT {fill.side} LIMIT {fill.quantity} {fill.price}" for fill in fills)
    hand = ByHand(
        source=DESK, cls="Desk", parameters={"orders": orders or "none"}, instruments=instruments, accounting=accounting,
        risk=risk(),
    )  # fmt: skip
    for number, fill in enumerate(fills, start=1):
        hand.best(BTC, {"b": "99.00", "B": f"2.{number:05d}", "a": "101.00", "A": "1.0"})
        newest = max(hand.orders, key=lambda order: order.request_seq)
        name, venue_id = newest.client_order_id, 100 + number
        told = {"side": fill.side, "price": fill.price, "origQty": fill.quantity, "orderId": venue_id}
        hand.answer(hand.seq_of("place"), shown(name, **told))
        wire = {"S": fill.side, "p": fill.price, "q": fill.quantity, "i": venue_id, "n": fill.fee, "N": fill.asset}
        hand.private(trade(name, number, fill.quantity, fill.quantity, "FILLED", **{**wire, "L": fill.price}))
    return hand.quote().run(11)


def risk() -> RiskSettings:
    # the quiet venue's balances never move
    return RiskSettings(orders_per_second_max=0, sell_holdings=True, on_drift=DriftAction.NOTE)


def reported(hand: ByHand) -> dict[str, Any]:
    """Return the newest P&L fact of the strategy."""
    return [fact for fact in hand.facts("pnl") if fact["instrument"] == BTC.id][-1]


def figures(hand: ByHand) -> tuple[Decimal, ...]:
    """Return quantity, mark, realised, unrealised, fees as the newest fact reports them."""
    fact = reported(hand)
    return tuple(D(fact[name]) for name in ("quantity", "mark", "realised_pnl", "unrealised_pnl", "fees_quote"))


def test_a_held_position_is_worth_its_mark_less_its_price() -> None:
    """2 bought at 90, marked at (99 + 101) / 2 = 100: 2 * (100 - 90) = 20."""
    assert figures(traded(Made("BUY", "2", "90"))) == (2, 100, 0, 20, 0)


def test_the_average_price_is_weighted_by_quantity() -> None:
    """(2 * 90 + 1 * 96) / 3 = 92, so 3 * (100 - 92) = 24."""
    hand = traded(Made("BUY", "2", "90"), Made("BUY", "1", "96"))
    assert figures(hand) == (3, 100, 0, 24, 0)
    assert hand.state.account.positions.get("desk", BTC.id).price_avg == 92


def test_a_sale_realises_its_gain_and_leaves_the_average_price() -> None:
    """1.5 of 3 at 92 are sold at 110: 1.5 * 18 = 27 realised; 1.5 * (100 - 92) = 12 open; fees 0.18 + 0.096 + 0.165."""
    hand = traded(
        Made("BUY", "2", "90", "0.18"), Made("BUY", "1", "96", "0.096"), Made("SELL", "1.5", "110", "0.165")
    )  # fmt: skip
    assert figures(hand) == (D("1.5"), 100, 27, 12, D("0.441"))


def test_a_sale_through_zero_opens_the_other_side_at_its_own_price() -> None:
    """3 at 92; 1.5 sold at 110: 27; 3 sold at 95: 1.5 * 3 = 4.5 more, and 1.5 short at 95: 1.5 * (95 - 100) = -7.5."""
    hand = traded(
        Made("BUY", "2", "90"), Made("BUY", "1", "96"), Made("SELL", "1.5", "110"), Made("SELL", "3", "95")
    )  # fmt: skip
    assert figures(hand) == (D("-1.5"), 100, D("31.5"), D("-7.5"), 0)


def test_a_short_loses_what_its_purchase_costs_more() -> None:
    """2 sold at 105, 1 bought back at 111: -6 realised; 1 short at 105, marked at 100: 5 open."""
    assert figures(traded(Made("SELL", "2", "105"), Made("BUY", "1", "111"))) == (-1, 100, -6, 5, 0)


def test_a_closed_position_has_no_open_profit() -> None:
    assert figures(traded(Made("BUY", "1", "90", "0.09"), Made("SELL", "1", "94", "0.094"))) == (
        0, 100, 4, 0, D("0.184"),
    )  # fmt: skip


def test_a_fee_in_base_lowers_the_quantity_and_counts_at_the_fill_price() -> None:
    """1 bought at 90 less 0.01 BTC: 0.99 * (100 - 90) = 9.9 open, 0.01 * 90 = 0.9 fees; cash -90 + 0.99 * 100 = 9."""
    quantity, mark, realised, unrealised, fees = figures(traded(Made("BUY", "1", "90", "0.01", "BTC")))
    assert (quantity, mark, realised, unrealised, fees) == (D("0.99"), 100, 0, D("9.9"), D("0.9"))
    assert realised + unrealised - fees == 9


def test_a_fee_in_a_third_asset_counts_at_a_recorded_rate() -> None:
    """0.05 BNB at (99 + 101) / 2 USDT = 5. The fill records the rate, so a later quote changes nothing."""
    hand = traded(Made("BUY", "2", "90", "0.05", "BNB"), instruments=(BTC, ETH, BNB))
    assert figures(hand) == (2, 100, 0, 20, 5)
    [fill] = hand.facts("order_filled")
    assert fill["fee_rate"] == "100"
    hand.best(BNB, {"b": "599.00", "B": "1", "a": "601.00", "A": "1"}).run(11)
    assert figures(hand)[-1] == 5
    assert "fees_unvalued" not in reported(hand)


def test_a_fee_in_an_asset_that_prices_the_quote_counts_at_the_inverse_rate() -> None:
    """USDTEUR is quoted 100, so 7 EUR are 0.07 USDT."""
    hand = traded(Made("BUY", "2", "90", "7", "EUR"), instruments=(BTC, ETH, EUR))
    assert figures(hand) == (2, 100, 0, 20, D("0.07"))


def test_pnl_bnb_fee_without_a_rate_is_named_beside_the_sum() -> None:
    """No market of the session prices BNB: the sum leaves the fee out, and every line says "and 0.5 BNB"."""
    hand = traded(
        Made("BUY", "2", "90", "0.3", "BNB"), Made("BUY", "1", "90", "0.2", "BNB"), Made("BUY", "1", "90", "0.4")
    )
    assert figures(hand) == (4, 100, 0, 40, D("0.4"))
    assert reported(hand)["fees_unvalued"] == {"BNB": "0.5"}
    report = state_report.describe_state(kernel_of(hand.records[0]), hand.state, hand.records[-1])
    assert any("realised 0, fees 0.4 and 0.5 BNB" in line for line in state_report.state_lines(report))


def test_a_position_without_a_quote_stays_in_the_sums() -> None:
    """Its instrument is no longer listed: realised P&L and fees stay, and the open part counts as 0 and is marked so."""
    hand = traded(Made("BUY", "2", "90", "0.2"), Made("SELL", "1", "97", "0.1"))
    again = hand.restart(
        parameters={"orders": "none"}, source=DESK, cls="Desk", instruments=(ETH,), accounting=2, risk=risk()
    ).run(11)
    assert again.mode == Mode.RUNNING
    fact = reported(again)
    assert fact["is_marked"] is False
    assert figures(again) == (1, 90, 7, 0, D("0.3"))
    assert again.state.account.positions.net(BTC.id) == 1


def test_before_accounting_2_facts_are_as_they_were() -> None:
    hand = traded(Made("BUY", "2", "90", "0.5", "BNB"), instruments=(BTC, ETH, BNB), accounting=1)
    assert figures(hand) == (2, 100, 0, 20, 0)
    texts = [record.body or "" for record in hand.records if record.kind is Kind.FACT]
    assert not [text for text in texts if "fee_rate" in text or "fees_unvalued" in text or "is_marked" in text]
    assert json.loads(texts[-1])
