"""Trading on the simulated Hyperliquid in virtual time: real kernel, gateway, codec, signatures and journal.

Each session is checked at its end (checked_sessions.py): journal, replay, and our books beside the venue's own.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("eth_account", reason="eth-account is not installed: pip install verbatim-trading[hyperliquid]")

from checked_sessions import CheckedSessions, check_journal, mode, rebuilt
from perp_venue import COIN, PerpVenue

from engine.mode_reasons import Mode
from engine.model import MarginMode
from engine.risk_settings import MarginSettings
from engine.session_record import SECOND_NS, RiskSettings
from journal.record import Kind
from verbatim.testing import START_NS, VirtualSession

D = Decimal
BTC = f"hyperliquid:{COIN}"


def check_account(session: VirtualSession) -> None:
    """Compare our account with the venue's: position, open orders, fills, wallet. Each client id was sent once."""
    venue, account = session.venue, session.state.account
    assert isinstance(venue, PerpVenue)
    assert account.positions.net(BTC) == venue.position()
    assert venue.wallet() == account.ledger.by_asset["USDC"].expected
    opened = {row["oid"]: row["cloid"] for row in venue.ask("frontendOpenOrders")}
    live = account.orders.live.values()
    assert {int(each.venue_order_id) for each in live} == set(opened)
    assert all(opened[int(each.venue_order_id)] == each.client_order_id for each in live if not each.adopted)
    booked = sorted(fill for order in account.orders.all() for fill in order.fill_ids)
    assert set(booked) <= {str(row["tid"]) for row in venue.ask("userFills")}
    placed = [record.key for record in session.kinds(Kind.REQUEST) if '"purpose":"place"' in (record.body or "")]
    assert len(set(placed)) == len(placed)


@pytest.fixture
def perps(tmp_path: Path) -> Iterator[CheckedSessions]:
    """Return a function that begins a session. At the end journals are checked, and the account of the last one."""
    sessions = CheckedSessions(tmp_path)
    yield sessions
    for session in sessions.begun:
        check_journal(session)
    check_account(sessions.begun[-1])


def trade(perps: CheckedSessions, venue: PerpVenue, steps: str, **settings: object) -> VirtualSession:
    return perps(venue, "script", parameters={"steps": steps}, **settings)


def own(session: VirtualSession) -> tuple[Decimal, Decimal]:
    """Return position and realised P&L of the strategy."""
    position = session.state.account.positions.get("script", BTC)
    return position.quantity, position.realised_pnl


def test_long_short_and_back_settle_to_the_wallet_of_the_venue(perps: CheckedSessions) -> None:
    """Bought at 60,000 and sold at 60,600: 0.02 * 600 = 12; sold at 60,600, bought back at 60,000: 12 again."""
    venue = PerpVenue()
    session = trade(perps, venue, "buy 0.02; wait; wait; close; sell 0.02; wait; wait; close")
    session.run(until=lambda s: own(s)[0] == D("0.02"))
    venue.move("60601")  # the bid is a dollar lower
    session.run(until=lambda s: own(s)[0] == D("-0.02"))
    assert own(session) == (D("-0.02"), 12)
    venue.move("60000")
    session.run(until=lambda s: own(s)[0] == 0 and s.state.account.orders.live == {}).run(2)
    assert own(session) == (0, 24)
    session.run(70)
    assert session.facts("balance_drift") == []
    assert mode(session) is Mode.RUNNING
    books = session.facts("books_compared")[-1]
    assert (books["drift"], books.get("wrong", [])) == ("0", [])


def test_orders_rest_are_canceled_and_found_again_after_a_kill(perps: CheckedSessions) -> None:
    """Killed with two orders in the book; one fills while no session runs, and the next session continues."""
    venue = PerpVenue()
    first = trade(perps, venue, "buy 0.02; buy 0.01 limit -1; sell 0.01 limit 2").run(6)
    assert len(first.state.account.orders.live) == 2
    first.kill()
    venue.move("59000")
    venue.begin(3)
    assert venue.position() == D("0.03")
    second = trade(perps, venue, "", previous=first, opening=rebuilt(first.folder)).run(10)
    assert second.state.account.positions.net(BTC) == D("0.03")
    assert mode(second) is Mode.RUNNING
    assert len(second.state.account.orders.live) == 1
    second.stop()
    assert venue.ask("frontendOpenOrders") == []  # its predecessor's order is its own


def test_a_stop_waits_at_the_venue_and_fires_on_the_mark_price(perps: CheckedSessions) -> None:
    venue = PerpVenue()
    session = trade(perps, venue, "buy 0.02; wait; stop 0.02 -1").run(6)
    [row] = venue.ask("frontendOpenOrders")
    assert (row["orderType"], row["triggerPx"], row["reduceOnly"], row["isTrigger"]) == (
        "Stop Market",
        "59399.0",
        True,
        True,
    )
    venue.move("59000")
    session.run(4)
    assert own(session)[0] == 0
    [order] = [each for each in session.state.account.orders.all() if each.order.stop_price]
    assert (order.status, order.venue_order_id) == ("filled", str(row["oid"]))


def test_an_answer_that_is_lost_is_found_by_the_cloid(perps: CheckedSessions) -> None:
    """The order was placed and its answer cut: it is UNKNOWN, queried, and never sent again."""
    venue = PerpVenue()
    venue.fault(action="cut_answer", path="/exchange")
    venue.fault(action="drop_events", event="orderUpdates", times=1)
    session = trade(perps, venue, "buy 0.01 limit -1").run(8)
    [order] = session.state.account.orders.live.values()
    assert order.status == "open"
    assert session.facts("order_unknown")


def test_fills_that_the_stream_lost_come_from_the_list(perps: CheckedSessions) -> None:
    venue = PerpVenue()
    venue.fault(action="drop_events", event="userFills", times=0)
    session = trade(perps, venue, "buy 0.02").run(10)
    assert own(session)[0] == D("0.02")
    [fill] = session.facts("order_filled")
    assert fill["fill_id"] == str(venue.ask("userFills")[0]["tid"])


def test_a_funding_is_booked_once_though_three_sources_state_it(perps: CheckedSessions) -> None:
    """Each full hour: the stream states it, the snapshot of a new connection again, and the list with each round."""
    venue = PerpVenue(start_ns=START_NS + 330 * SECOND_NS)  # 20 seconds before the hour
    session = trade(perps, venue, "buy 0.02").run(30)
    venue.fault(action="disconnect", target="private")
    session.run(70)
    [paid] = session.facts("funding_paid")
    [listed] = venue.ask("userFunding", startTime=0)
    assert D(paid["amount"]) == D(listed["delta"]["usdc"]) < 0
    assert listed["time"] % 3_600_000 < 1_000


def test_a_liquidation_closes_the_position_of_its_strategy(perps: CheckedSessions) -> None:
    """18,000 dollars on an account of 2,000: at 53,000 the venue closes the position with its own order."""
    venue = PerpVenue(balances={"USDC": "2000"})
    session = trade(perps, venue, "buy 0.3; buy 0.001 limit -20").run(5)
    venue.move("53000")
    session.run(10)
    assert venue.position() == 0
    assert own(session)[0] == 0
    [forced] = session.facts("position_forced")
    assert (forced["kind"], forced["strategy"]) == ("liquidation", "script")
    [rested] = [each for each in session.state.account.orders.all() if each.order.price == 47_999]
    assert (rested.status, rested.reason) == ("canceled", "liquidatedCanceled")


def test_leverage_and_margin_mode_are_set_with_one_request(perps: CheckedSessions) -> None:
    venue = PerpVenue()
    margin = MarginSettings(leverage_max=D(3), mode=MarginMode.ISOLATED, sets=True)
    session = trade(perps, venue, "wait; wait; buy 0.02", risk=RiskSettings(margin=margin)).run(8)
    actions = [
        json.loads(dict(json.loads(r.body or "")["unsigned"]["params"])["action"])
        for r in session.kinds(Kind.REQUEST)
        if '"purpose":"set_' in (r.body or "")
    ]
    assert actions == [{"type": "updateLeverage", "asset": 1, "isCross": False, "leverage": 3}]
    assert venue.ask("activeAssetData", coin=COIN)["leverage"] == {"type": "isolated", "value": 3}
    assert own(session)[0] == D("0.02")


def test_a_stop_of_the_session_flattens_with_a_bounded_order(perps: CheckedSessions) -> None:
    """The venue has no market order: ours is IOC within 5 % of the touch, on the grid of five digits."""
    venue = PerpVenue()
    session = trade(perps, venue, "buy 0.02").run(5)
    session.command("flatten", "test").run(5)
    assert own(session)[0] == 0
    sent = [
        json.loads(dict(json.loads(r.body or "")["unsigned"]["params"])["action"])["orders"][0]
        for r in session.kinds(Kind.REQUEST)
        if '"purpose":"place"' in (r.body or "")
    ]
    assert [(each["p"], each["t"]) for each in sent] == [
        ("63000", {"limit": {"tif": "Ioc"}}),
        ("57000", {"limit": {"tif": "Ioc"}}),
    ]  # 60,000 * 1.05; 59,999 * 0.95 = 56,999.05, up to a whole dollar
