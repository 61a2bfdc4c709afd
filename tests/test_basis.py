"""One session with Spot and USD-M: the example basis.py buys spot and sells the perpetual, through crashes and faults."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, check_journal, mode, notes
from msgspec.structs import replace
from steered_market import FuturesVenue

from analysis.why import UnknownOrderError, order_story
from engine.mode_reasons import Mode
from engine.session_record import new_engine_settings
from engine.venue_choices import VenueTrouble
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

EXAMPLE = Path(__file__).parent.parent / "examples" / "basis.py"
SPOT, PERP = "spot:BTCUSDT", "perp:BTCUSDT"
D = Decimal


def venues() -> dict[str, VirtualVenue]:
    return {"spot": CalmVenue(seed=1), "perp": FuturesVenue()}


@pytest.fixture
def basis(tmp_path: Path) -> Iterator[CheckedSessions]:
    """Return a function that begins a session. At the end journals and the books of both venues are checked."""
    sessions = CheckedSessions(tmp_path)
    yield sessions
    for session in sessions.begun:
        check_journal(session)
    check_both(sessions.begun[-1])


def begin(basis: CheckedSessions, of: dict[str, VirtualVenue], **settings: object) -> VirtualSession:
    strategy = strategy_settings(EXAMPLE, "Basis", parameters={"size": "0.01", "step": "0.002"})
    return basis(of, strategy, **settings)


def held(session: VirtualSession) -> tuple[Decimal, Decimal]:
    """Return the positions in spot and in the perpetual."""
    positions = session.state.account.positions
    return positions.get("basis", SPOT).quantity, positions.get("basis", PERP).quantity


def check_both(session: VirtualSession) -> None:
    """Compare balances, position, open orders and fills with each venue's."""
    account, spot, perp = session.state.account, session.venues["spot"], session.venues["perp"]
    theirs = spot.get("/sim/state")["balances"]["test"]
    for asset in ("BTC", "USDT"):
        ours = account.balances.get(asset, "spot")
        assert (ours.free, ours.locked) == (D(theirs[asset]["free"]), D(theirs[asset]["locked"])), asset
    assert isinstance(perp, FuturesVenue)
    assert account.positions.net(PERP) == perp.contract()
    assert account.ledger.by_asset["perp/USDT"].expected == perp.wallet()
    assert account.orders.live == {}
    fills = sum(len(venue.get("/sim/state")["fills"]) for venue in session.venues.values())
    assert fills >= sum(len(order.fill_ids) for order in account.orders.all()) > 0, "closed orders leave the state"


def test_a_basis_is_opened_at_both_venues(basis: CheckedSessions) -> None:
    session = begin(basis, venues()).run(20)
    bought, sold = held(session)
    assert sold == D("-0.01")
    assert D("0.0099") < bought <= D("0.01"), "the fee of spot is in BTC"
    assert (mode(session), notes(session, "alarm")) == (Mode.RUNNING, [])
    session.stop()
    one, other = session.facts("order_accepted")[:2]
    assert one["venue_order_id"] == other["venue_order_id"], "each venue numbers its own orders"
    with pytest.raises(UnknownOrderError, match=f"{one['client_order_id']}, {other['client_order_id']}. What to do"):
        order_story(session.folder, one["venue_order_id"])


def test_a_killed_session_goes_on_with_both_legs(basis: CheckedSessions) -> None:
    both = venues()
    first = begin(basis, both).run(4)
    assert D(0) < -held(first)[1] < D("0.01"), "killed in the middle"
    first.kill()
    again = begin(basis, both, previous=first, opening=first.state).run(60)
    assert held(again)[1] == D("-0.01")
    assert again.state.account.ledger.drifted == []
    again.stop()


@pytest.mark.parametrize("lost", ["spot", "perp"])
def test_a_venue_is_lost_for_five_minutes(basis: CheckedSessions, lost: str) -> None:
    """No leg is opened alone meanwhile; afterwards the basis is completed."""
    session = begin(basis, venues(), engine=replace(new_engine_settings(), on_venue_trouble=VenueTrouble.OWN)).run(3)
    before = held(session)
    session.cut(lost).run(300)
    assert abs(sum(held(session))) < D("0.0021"), f"from {before}: one step at most"
    session.restore(lost).run(60)
    assert held(session)[1] == D("-0.01")
    session.stop()


def test_a_refused_leg_is_made_good(basis: CheckedSessions) -> None:
    both = venues()
    both["perp"].fault(
        action="reject",
        method="POST",
        path="/fapi/v1/order",
        status=400,
        code=-2019,
        msg="Margin is insufficient.",
        times=1,
    )
    session = begin(basis, both)
    session.run(until=lambda s: any(body["status"] == "rejected" for body in s.facts("order_closed")))
    session.run(20)
    bought, sold = held(session)
    assert (sold, abs(bought + sold) < D("0.0001")) == (D("-0.01"), True)
    session.stop()
