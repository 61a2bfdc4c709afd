"""Orders that ended while their fills are still missing: nothing sells or buys that quantity a second time."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from beat_market import LOT
from checked_sessions import check_ordered_end
from test_native_terms import Desk, kinds, orders, position

from engine.model import Side

D = Decimal
BRACKET = 'Run(Bracket("BTCUSDT", Side.BUY, D("0.1"), stop_price=D(990), target_price=D(1100)))'


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk whose sessions end in order and replay."""
    desk = Desk(tmp_path)
    yield desk
    assert desk.venue.unstruck_faults() == []
    desk.begun[-1].stop()
    check_ordered_end(desk.begun[-1])


def test_a_bracket_sells_no_more_than_its_position_while_fills_of_its_stop_are_missing(desk: Desk) -> None:
    """The stop finds too few bids and expires; the messages with its fills are lost, and queried."""
    session = desk.start(BRACKET).run(4)
    desk.market.size = 100 * LOT  # 40 levels of 0.001
    desk.venue.fault(action="drop_events", event="TRADE", times=0)
    desk.market.price = "985"
    session.run(10)
    assert kinds(session)[:2] == [("MARKET", "filled"), ("STOP", "expired")]
    sales = [order.order.quantity for order in orders(session) if order.order.side is Side.SELL]
    assert sales[:2] == [D("0.1"), D("0.1")], "the stop and the target of the list"
    assert set(sales[2:]) == {D("0.06")}
    desk.market.size = 100_000 * LOT
    session.run(30)
    assert position(session) == 0


def test_a_flattening_closes_what_the_missing_fills_leave(desk: Desk) -> None:
    """A sale is filled in part; the message is lost and the venue lists the fill after 20 s."""
    desk.market.size = 4_000 * LOT
    desk.venue.fault(action="list_late", event="TRADE", ms=20_000, times=0, nth=2)
    buy = 'Place("BTCUSDT", Side.BUY, D("0.02"), type=OrderType.MARKET)'
    session = desk.start(buy, 'Place("BTCUSDT", Side.SELL, D("0.02"), D("1010"))').run(4)
    desk.market.size = 500 * LOT
    desk.venue.fault(action="drop_events", event="TRADE")
    desk.market.price = "1010.01"
    session.run(1)
    sale = orders(session)[1]
    assert (sale.filled_quantity, sale.filled_reported) == (D("0.00001"), D("0.00501"))
    desk.market.size = 4_000 * LOT
    session.command("flatten").run(10)
    assert orders(session)[2].order.quantity == D("0.01499")
    assert session.facts("safety_order_ended") == []
    session.run(60)
    assert (position(session), len(session.facts("safety_order_ended"))) == (0, 1)
