"""Timed and Scale place an order again that the venue refused for a reason that passes (order_rules 4), and no other."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from calm_venue import CalmVenue
from msgspec.structs import replace
from test_plans import ended, finish, orders, planner, running, start
from test_refused_exits import PASSING, STAYING

import verbatim.testing
from engine.lifecycle import Status
from engine.session_record import SECOND_NS, new_engine_settings
from verbatim.testing import VirtualSession

POST = {"method": "POST", "path": "/api/v3/order"}
FOR_EVER: dict[str, Any] = {**PASSING["funds"], "times": 0}
TIMED = 'Timed("BTCUSDT", Side.BUY, D("0.01"), quote.bid - 1000, lasts_ms=LASTS)'
SCALE = (
    'Scale("BTCUSDT", Side.BUY, D("0.006"), '
    "tuple(Level(quote.bid - D(1000) - D(n), D('0.001') * (n + 1)) for n in range(3)))"
)


def timed(lasts_s: int) -> str:
    return TIMED.replace("LASTS", str(lasts_s * 1000))


def statuses(session: VirtualSession) -> list[Status]:
    return [order.status for order in orders(session)]


def waits(session: VirtualSession) -> list[int]:
    times = [order.created_ns for order in orders(session)]
    return [round((later - time) / SECOND_NS) for time, later in pairwise(times)]


@pytest.mark.parametrize("reason", ["funds", "rate limit", "too many orders", "timestamp"])
def test_a_timed_order_that_is_refused_for_a_reason_that_passes_is_placed_again(tmp_path: Path, reason: str) -> None:
    venue = CalmVenue()
    venue.fault(**POST, **PASSING[reason], times=2)
    session = start(tmp_path, timed(60), venue=venue).run(90, until=lambda s: Status.OPEN in statuses(s))
    assert statuses(session) == [Status.REJECTED, Status.REJECTED, Status.OPEN]
    assert {order.order.price for order in orders(session)} == {orders(session)[0].order.price}
    session.run(60)
    assert statuses(session)[-1] is Status.CANCELED, "its time ends as it was ordered"
    assert ended(session)[0].reason == "0.01 is not filled"
    finish(session)


def test_a_scale_places_the_refused_levels_again_and_no_other(tmp_path: Path) -> None:
    venue = CalmVenue()
    venue.fault(**POST, **PASSING["funds"], times=4)
    session = start(tmp_path, SCALE, venue=venue)
    session.run(90, until=lambda s: statuses(s).count(Status.OPEN) == 3)
    placed = orders(session)
    assert len(placed) == 7
    resting = sorted((order.order.price, order.order.quantity) for order in placed if order.status is Status.OPEN)
    assert [quantity for _, quantity in resting] == [Decimal("0.003"), Decimal("0.002"), Decimal("0.001")]
    assert len({price for price, _ in resting}) == 3
    session.run(60)
    assert len(orders(session)) == 7
    assert len(running(session)) == 1
    finish(session)


def test_an_order_that_is_refused_again_and_again_waits_longer_and_is_given_up(tmp_path: Path) -> None:
    venue = CalmVenue()
    venue.fault(**POST, **FOR_EVER)
    session = start(tmp_path, timed(3600), venue=venue).run(900, until=lambda s: bool(ended(s)))
    assert set(statuses(session)) == {Status.REJECTED}
    assert waits(session)[:6] == [1, 2, 4, 8, 16, 30]
    assert len(orders(session)) == 1 + 20, "placed once, and 20 times again"
    assert ended(session)[0].reason == "0.01 is not filled"
    finish(session)


def test_a_timed_order_that_waits_ends_in_time(tmp_path: Path) -> None:
    venue = CalmVenue()
    venue.fault(**POST, **FOR_EVER)
    session = start(tmp_path, timed(20), venue=venue).run(60, until=lambda s: bool(ended(s)))
    started_ns = orders(session)[0].created_ns
    assert len(orders(session)) == 5
    assert round((ended(session)[0].ended_ns - started_ns) / SECOND_NS) == 20
    finish(session)


def test_an_order_that_the_venue_will_never_take_is_not_placed_again(tmp_path: Path) -> None:
    venue = CalmVenue()
    venue.fault(**POST, **STAYING["trigger"])
    session = start(tmp_path, timed(60), venue=venue).run(30, until=lambda s: bool(ended(s)))
    assert statuses(session) == [Status.REJECTED]
    finish(session)


def test_a_wait_continues_after_a_restart(tmp_path: Path) -> None:
    venue = CalmVenue()
    venue.fault(**POST, **PASSING["funds"], times=3)
    first = start(tmp_path, timed(60), venue=venue).run(30, until=lambda s: len(orders(s)) == 2).run(0.5)
    first.kill()
    venue.now_ns += SECOND_NS
    second = VirtualSession(
        venue, tmp_path / "t", strategies=[planner(timed(60))], session="bbbbbbbb", previous=first, opening=first.state
    )
    second.run(60, until=lambda s: Status.OPEN in statuses(s))
    assert statuses(second) == [Status.REJECTED] * 3 + [Status.OPEN]
    second.run(60)
    assert statuses(second)[-1] is Status.CANCELED
    finish(second)


def test_a_session_of_order_rules_3_gives_up_at_once_as_it_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbatim.testing, "newest_rules", lambda settings: replace(settings, order_rules=3))
    venue = CalmVenue()
    venue.fault(**POST, **PASSING["funds"])
    engine = replace(new_engine_settings(), order_rules=3)
    session = start(tmp_path, timed(60), venue=venue, engine=engine).run(30, until=lambda s: bool(ended(s)))
    assert statuses(session) == [Status.REJECTED]
    finish(session)
