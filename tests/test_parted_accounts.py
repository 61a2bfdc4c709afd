"""Accounts that different sessions traded last: a kill takes the state of each, and a run refuses to join them."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from checked_sessions import check_books, check_journal, mode, of_tests
from msgspec.structs import replace
from test_several_venues import ONE, TWO, signed_at, two_venues

from engine.facts import Position
from engine.live.clock import SessionClock
from engine.live.previous_session import newest_sessions, restore_previous
from engine.live.session_config import SessionConfig, StartError
from engine.live.venue_access import VenueAccess
from engine.mode_reasons import Mode
from engine.state.session_state import Account, restore_opening
from engine.venue_choices import AccountUse
from journal.sessions import new_session_folder
from verbatim.kill_session import replace_safety
from verbatim.local_checks import CheckStatus, check_settings
from verbatim.testing import VirtualSession, VirtualVenue

FIRST, SECOND, THIRD = "aaaaaaaa", "bbbbbbbb", "cccccccc"
ONE_ALONE = {"two": AccountUse.NONE}


def begin(
    journals: Path, venues: Mapping[str, VirtualVenue], name: str, *strategies: str, **settings: Any
) -> VirtualSession:
    """Begin a session whose folder is found as those of the command are."""
    folder = new_session_folder(journals, max(each.now_ns for each in venues.values()), name)
    return VirtualSession(venues, folder, strategies=[of_tests(each) for each in strategies], session=name, **settings)


def killed(session: VirtualSession) -> VirtualSession:
    session.kill()
    check_journal(session)
    return session


def wanted_after(session: VirtualSession) -> SessionConfig:
    """Return the settings of a session that has both accounts."""
    venues = tuple(
        VenueAccess(settings=replace(each, use=AccountUse.TRADES), symbols=("BTCUSDT",)) for each in session.body.venues
    )
    return SessionConfig(journals=session.folder.parent, clock=SessionClock.wall(), venues=venues)


@pytest.mark.parametrize("continues", [True, False])
def test_a_kill_ends_the_orders_of_each_account(continues: bool, tmp_path: Path) -> None:
    """Both accounts have resting orders; then a session of one account alone begins, and is killed as well."""
    venues = two_venues()
    first = killed(begin(tmp_path, venues, FIRST, "both").run(10))
    assert {each.order.instrument for each in first.state.account.orders.live.values()} >= {ONE, TWO}
    before: dict[str, Any] = {"previous": first, "opening": first.state} if continues else {}
    second = begin(tmp_path, venues, SECOND, uses=ONE_ALONE, **before).run(10)
    assert mode(second) is (Mode.RUNNING if continues else Mode.HALTED), "the orders at one are not of its books"
    second = killed(second)
    assert signed_at(second, "two") == [], "without an account there is no key"

    wanted = wanted_after(second)
    with pytest.raises(StartError, match=f"'main' at two was last traded by session {FIRST}, .* by session {SECOND}"):
        restore_previous(wanted)
    [line] = [each for each in check_settings(wanted) if each.name == "journals"]
    assert (line.status, f"by session {FIRST}" in line.text) == (CheckStatus.FAIL, True), "`check` knows it as well"
    assert newest_sessions(wanted, wanted.accounts) == (SECOND, FIRST)
    wanted = replace_safety(wanted, newest_sessions(wanted, wanted.accounts))
    found = restore_previous(wanted)
    assert (found.broken, found.previous and found.previous.session) == ("", SECOND)
    assert found.opening is not None
    account, left = restore_opening(found.opening), first.state.account
    assert rests_at(account, TWO) == rests_at(left, TWO) != set()
    assert at_two(account.positions.by_key) == at_two(left.positions.by_key)
    assert account.ledger.by_asset["two/BTC"].opening == left.ledger.by_asset["two/BTC"].opening

    first.state.account = account
    third = VirtualSession(
        venues,
        new_session_folder(tmp_path, venues["one"].now_ns + 2_000_000_000, THIRD),
        session=THIRD,
        safety=wanted.safety,
        previous=found.previous,
        opening=first.state,
    )
    third.command("halt", "a test").command("cancel_all", "a test").run(30)
    assert (third.state.account.orders.live, third.state.account.safety.active) == ({}, ())
    assert [venue.get("/sim/state")["open_orders"] for venue in venues.values()] == [[], []]
    assert mode(third) is Mode.HALTED
    killed(third)
    if continues:
        check_books(third, all_fills=False)


def rests_at(account: Account, instrument: str) -> set[str]:
    """Return the live orders in an instrument."""
    return {name for name, each in account.orders.live.items() if each.order.instrument == instrument}


def at_two(by_key: Mapping[str, Position]) -> dict[str, Decimal]:
    """Return the positions at the second venue."""
    return {key: each.quantity for key, each in by_key.items() if each.instrument == TWO}


def test_a_session_of_one_account_stops_though_the_other_has_orders(tmp_path: Path) -> None:
    """It can neither query nor cancel them, and leaves them to the next session of their account."""
    venues = two_venues()
    first = killed(begin(tmp_path, venues, FIRST, "both").run(10))
    second = begin(tmp_path, venues, SECOND, uses=ONE_ALONE, previous=first, opening=first.state).run(10)
    second.command("cancel_all", "a test").run(20)
    assert second.state.account.safety.active == ()
    second.stop()
    live = second.state.account.orders.live
    assert {each.order.instrument for each in live.values()} == {TWO}
    assert live.keys() == rests_at(first.state.account, TWO)
    assert second.facts("session_closing")[-1]["reason"] == "stopped"
    assert signed_at(second, "two") == []
