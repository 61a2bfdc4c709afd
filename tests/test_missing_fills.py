"""Orders that ended while their fills are still missing: nothing sells or buys that quantity a second time."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from checked_sessions import check_ordered_end
from moved_market import LOT
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
    desk.market.move("985")
    session.run(10)
    assert kinds(session)[:2] == [("MARKET", "filled"), ("STOP", "expired")]
    sales = [order.order.quantity for order in orders(session) if order.order.side is Side.SELL]
    assert sales[0] == D("0.1")
    assert set(sales[1:]) == {D("0.06")}
    desk.market.size = 100_000 * LOT
    session.run(30)
    assert position(session) == 0
