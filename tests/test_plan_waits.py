"""Exits that the venue refuses or cannot fill: the next one waits longer each time, also after one of another type."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from beat_market import LOT
from checked_sessions import check_ordered_end
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


REFUSAL = {
    "action": "reject",
    "method": "POST",
    "path": "/api/v3/orderList/oco",
    "status": 400,
    "code": -2010,
    "times": 0,
}


@pytest.mark.parametrize(
    ("price", "kind", "has_lists"),
    [
        ("985", ("MARKET", "expired"), True),
        ("985", ("STOP", "rejected"), True),
        ("985", ("MARKET", "expired"), False),
        ("1010.01", ("LIMIT", "expired"), False),
    ],
)
def test_an_exit_that_finds_no_bid_waits_longer_each_time(
    desk: Desk, price: str, kind: tuple[str, str], *, has_lists: bool
) -> None:
    """Below the stop a new one would trigger at once, and no bid is left; without a list the engine sells at the target."""
    if not has_lists:
        desk.venue.fault(**REFUSAL, msg="refused")
    session = desk.start(BRACKET).run(4)
    desk.market.size = 10 * LOT
    desk.market.price = price
    session.run(12)
    assert 1 <= kinds(session).count(kind) <= 12
    assert len(orders(session)) <= 30
    desk.market.size = 100_000 * LOT
    session.run(40)
    assert position(session) == 0
