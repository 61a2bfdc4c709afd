"""Kill and the emergency cancel on native order lists, in virtual time: ours end, those of other programs stay."""

from pathlib import Path
from typing import Any

import pytest
from checked_sessions import check_books, check_journal
from msgspec.structs import replace
from test_emergency_lists import Emergency
from test_order_lists import LIMIT_BRACKET, OCO, Desk, rest
from test_plans import BTCUSDT, orders, position

from engine.lifecycle import Status
from engine.plan_terms import StopChoice
from engine.session_record import SAFETY, SECOND_NS, new_engine_settings
from engine.state.session_state import Account
from journal.record import Kind
from replay.rebuild import rebuild
from verbatim.testing import VirtualSession

MOMENTS = ["pair", "pending", "part"]
HERS = ["hers-oco", "hers-opo"]


def resting(folder: Path, moment: str) -> Desk:
    """Return a desk with a list of ours at a moment of its life, beside two lists of another program.

    The moments: both exits of a position rest; an entry waits with its exits behind it; a part of the entry is filled.
    """
    desk = Desk(folder, OCO if moment == "pair" else LIMIT_BRACKET, balances={"USDT": "100000", "BTC": "1"})
    if moment == "pair":
        desk.until(rest)
    else:
        desk.until(lambda s: len(orders(s)) == 3 and {order.status for order in orders(s)} == {Status.OPEN})
    if moment == "part":
        desk.market.trade("59989", "0.004")
        desk.until(lambda s: position(s) > 0)
    place(desk, "oco", side="SELL", quantity="0.5", aboveType="LIMIT_MAKER", abovePrice="61000",
          belowType="STOP_LOSS", belowStopPrice="59000")  # fmt: skip
    place(desk, "opo", workingType="LIMIT", workingSide="BUY", workingPrice="59000", workingQuantity="0.5",
          workingTimeInForce="GTC", pendingType="LIMIT_MAKER", pendingSide="SELL", pendingPrice="61000")  # fmt: skip
    desk.session.run(1)
    assert len(desk.open_lists) == 3
    return desk


def place(desk: Desk, kind: str, **terms: str) -> None:
    path = f"/api/v3/orderList/{kind}"
    status, answer = desk.venue.by_hand("POST", path, symbol="BTCUSDT", listClientOrderId=f"hers-{kind}", **terms)
    assert status == 200, answer


def names_at_venue(desk: Desk) -> list[str]:
    return sorted(each["listClientOrderId"] for each in desk.open_lists)


def assert_hers_alone(desk: Desk) -> None:
    """Assert that the lists of the other program are whole, and that nothing of ours is open at the venue."""
    assert names_at_venue(desk) == HERS
    hers = {each["clientOrderId"] for order_list in desk.open_lists for each in order_list["orders"]}
    assert len(hers) == 4
    assert {order["client_order_id"] for order in desk.venue.get("/sim/state")["open_orders"]} <= hers
    assert desk.venue.unstruck_faults() == []


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("knows", [True, False], ids=["known", "unread"])
def test_the_emergency_cancel_ends_our_lists_alone(tmp_path: Path, moment: str, knows: bool) -> None:
    """The first answer ends the whole list; the cancels of its other orders find none, and their queries prove it."""
    desk = resting(tmp_path, moment)
    desk.session.kill()
    ended = Emergency(desk.session, None if knows else Account()).run()
    assert_hers_alone(desk)
    assert ended.cancel.left() == ""
    assert ended.sent[-1][0] < 10
    check_journal(desk.session)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_by_the_session_ends_our_lists_and_flattens(tmp_path: Path, moment: str) -> None:
    desk = resting(tmp_path, moment)
    desk.session.command("halt").command("flatten").run(20)
    assert_hers_alone(desk)
    assert position(desk.session) < desk.instrument.lot_size
    assert not desk.session.state.account.safety.active
    cancels = [r for r in desk.session.kinds(Kind.REQUEST) if '"purpose":"cancel"' in (r.body or "")]
    assert len(cancels) == 1, "the cancel of one order ends its list"
    desk.session.stop()
    assert_hers_alone(desk)
    check_journal(desk.session)
    check_books(desk.session, all_fills=False)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("knows", [True, False], ids=["known", "unread"])
def test_a_kill_after_the_death_of_the_session_ends_its_lists(tmp_path: Path, moment: str, knows: bool) -> None:
    """A session without strategies does it, as `verbatim kill` begins one. Without the journal it knows our mark alone."""
    desk = resting(tmp_path, moment)
    desk.session.kill()
    first, carried = desk.session, dict[str, Any]()
    if knows:
        _, state, _ = rebuild(first.folder)
        carried = {"previous": first, "opening": state}
    desk.venue.now_ns += 5 * SECOND_NS
    safety = replace(SAFETY, blind_after_ns=0, also_ours=(first.body.session,))
    engine = replace(new_engine_settings(), protection_on_stop=StopChoice.CANCEL)
    desk.session = VirtualSession(
        desk.venue, tmp_path / "t", strategies=[], session="bbbbbbbb", safety=safety, engine=engine, **carried
    )
    desk.session.command("halt").command("flatten").run(30)
    assert_hers_alone(desk)
    assert not desk.session.state.account.safety.active
    if knows:
        assert desk.session.state.account.positions.get("planner", BTCUSDT).quantity < desk.instrument.lot_size
    desk.session.stop()
    assert_hers_alone(desk)
    check_journal(desk.session)
