"""A pause of a strategy by a breaker leaves its exits alone, in virtual time.

The strategy buys, protects its position by a stop, and then places orders that risk refuses until it is paused.
"""

from decimal import Decimal

import pytest
from checked_sessions import CheckedSessions, check_books
from msgspec.structs import replace
from test_safety_orders import open_at

from engine.facts import BreakerScope
from engine.lifecycle import LIVE
from engine.model import OrderType, Side
from engine.session_record import SAFEGUARDS, RiskSettings
from engine.state.orders import Order
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue

BTC = "binance_spot:BTCUSDT"
RISK = RiskSettings(position_max=Decimal("0.02"), sell_holdings=True)


def paused(session: VirtualSession) -> bool:
    breakers = session.state.account.breakers
    return breakers.active(BreakerScope.STRATEGY, "exiting", session.state.time_ns) is not None


def live(session: VirtualSession) -> dict[OrderType, Order]:
    return {order.order.type: order for order in session.state.account.orders.live.values() if order.status in LIVE}


@pytest.mark.parametrize("is_flagged", [True, False])
def test_a_paused_strategy_keeps_its_protection_and_may_close(start: CheckedSessions, is_flagged: bool) -> None:
    venue = VirtualVenue()
    session = start(venue, "exiting", parameters={"is_flagged": is_flagged}, risk=RISK).run(until=paused)
    assert live(session).keys() == {OrderType.STOP, OrderType.LIMIT}
    since = len(session.records)
    session.run(1.5)
    assert paused(session)
    assert live(session).keys() == {OrderType.STOP}, "the order that would enlarge the position is cancelled"
    assert not [record for record in session.records[since:] if record.kind is Kind.INTENT], "and no new one leaves"
    session.run(6)
    assert paused(session)
    assert live(session) == {}
    assert open_at(venue) == []
    assert session.state.account.positions.get("exiting", BTC).quantity < Decimal("0.0001")
    check_books(session)


def test_without_paused_exits_a_pause_cancels_everything_and_the_strategy_does_not_run(start: CheckedSessions) -> None:
    venue = VirtualVenue()
    safeguards = replace(SAFEGUARDS, paused_exits=False)
    session = start(venue, "exiting", risk=RISK, safeguards=safeguards).run(until=paused)
    session.run(8)
    assert paused(session)
    assert open_at(venue) == []
    assert session.state.account.positions.get("exiting", BTC).quantity > Decimal("0.009")


@pytest.mark.slow
def test_exits_that_are_refused_again_and_again_wait_ever_longer(start: CheckedSessions) -> None:
    venue = VirtualVenue()
    session = start(venue, "exiting", parameters={"hold_s": 2}, risk=RISK).run(until=paused)
    venue.fault(action="reject", method="POST", status=400, code=-1013, msg="no", times=0)
    since_ns = session.state.time_ns
    session.run(9)
    exits = [
        record
        for record in session.kinds(Kind.REQUEST)
        if record.time_ns > since_ns and '"purpose":"place"' in (record.body or "")
    ]
    assert 2 <= len(exits) <= 5, "after 0, 1, 3 and 7 seconds"
    assert all(f'"side":"{Side.SELL}"' in (record.body or "") for record in exits)
    assert session.state.account.positions.get("exiting", BTC).quantity > Decimal("0.009")
    assert venue.unstruck_faults() == []
