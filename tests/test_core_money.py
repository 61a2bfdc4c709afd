"""Positions and P&L from any fills: payments, holdings and fees must always add up."""

from decimal import Decimal, localcontext

from by_hand import BTC
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import examples

from engine.facts import OrderFilled
from engine.model import Side
from engine.money import MONEY
from engine.state.positions import Positions, after_fill, unrealised

FEES = st.sampled_from(["BTC", "USDT", "BNB", ""])


@st.composite
def fills(draw: st.DrawFn) -> OrderFilled:
    quantity = Decimal(draw(st.integers(1, 500_000))) / 100_000
    # a rebate is a fee below zero; a fee may be larger than the holding
    fee = Decimal(draw(st.integers(-1_000, 1_000_000))) / 10 ** draw(st.integers(5, 8))
    return OrderFilled(
        client_order_id="o", strategy="s", instrument=BTC.id, fill_id="1", venue_order_id="7",
        side=draw(st.sampled_from(Side)), price=Decimal(draw(st.integers(1, 10_000_000))) / 100, quantity=quantity,
        fee=draw(st.sampled_from([Decimal(0), fee, quantity, -quantity])), fee_asset=draw(FEES), maker=False, venue_ns=0, late=False,
    )  # fmt: skip


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(fills(), max_size=25), st.integers(1, 10_000_000))
def test_cash_and_position_and_fees_are_the_profit(made: list[OrderFilled], mark_cents: int) -> None:
    """Cash that moved plus what the position is worth = realised + unrealised - fees, at any mark, through any flip."""
    with localcontext(MONEY):
        held, cash, base = Positions().get("s", BTC.id), Decimal(0), Decimal(0)
        charged: dict[str, Decimal] = {}
        for fill in made:
            held = after_fill(held, fill, BTC)
            cash -= fill.price * fill.quantity * fill.side.sign
            base += fill.quantity * fill.side.sign
            if fill.fee:
                charged[fill.fee_asset] = charged.get(fill.fee_asset, Decimal(0)) + fill.fee
            if fill.fee_asset == "USDT":
                cash -= fill.fee
            if fill.fee_asset == "BTC":
                base -= fill.fee
        mark = Decimal(mark_cents) / 100
        assert held.quantity == base
        assert held.fees == charged
        assert (held.price_avg == 0) == (held.quantity == 0)
        profit = held.realised_pnl + unrealised(held, mark, BTC) - held.fees_quote
        assert abs(profit - (cash + base * mark)) < Decimal("1e-15")
