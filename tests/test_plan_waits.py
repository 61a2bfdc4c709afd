"""Exits that the venue refuses or cannot fill: the next one waits longer each time, whatever its type."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from checked_sessions import check_ordered_end
from moved_market import LOT
from test_native_terms import Desk, kinds, orders, position

D = Decimal
BRACKET = 'Run(Bracket("BTCUSDT", Side.BUY, D("0.1"), stop_price=D(990), target_price=D(1010)))'


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk whose session ends in order and replays."""
    desk = Desk(tmp_path)
    yield desk
    desk.begun[-1].stop()
    check_ordered_end(desk.begun[-1])


@pytest.mark.parametrize(
    ("price", "kind"),
    [("985", ("MARKET", "expired")), ("985", ("STOP", "rejected")), ("1010.01", ("LIMIT", "expired"))],
)
def test_an_exit_that_finds_no_bid_waits_longer_each_time(desk: Desk, price: str, kind: tuple[str, str]) -> None:
    """Below the stop, a new stop would trigger at once and the market order finds no bid; at the target, no bid is left."""
    session = desk.start(BRACKET).run(4)
    desk.market.size = 10 * LOT
    desk.market.move(price)
    session.run(12)
    assert 1 <= kinds(session).count(kind) <= 12
    assert len(orders(session)) <= 30
    desk.market.size = 100_000 * LOT
    session.run(40)
    assert position(session) == 0
