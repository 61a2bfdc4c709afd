"""Safety orders in virtual time: cancel all and flatten are pursued until the venue shows nothing of ours open.

Each run goes through the disk; its journal replays identically. Each fault must have struck.
"""

import json
from decimal import Decimal

import pytest
from by_hand import ByHand, row, shown, trade
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, check_books, mode, notes
from msgspec.structs import replace
from test_scenarios import orders

from engine.live.session_end import deadline_reason
from engine.mode_reasons import ReasonCode
from engine.session_record import SAFETY, SECOND_NS
from journal.record import Kind
from verbatim.testing import VirtualSession, VirtualVenue

PLACE = {"method": "POST", "path": "/api/v3/order"}
LEAVE = replace(SAFETY, blind_after_ns=0, cancels_on_failure=False)


def open_at(venue: VirtualVenue) -> list[str]:
    return sorted(order["client_order_id"] for order in venue.get("/sim/state")["open_orders"])


def nothing_is_open(session: VirtualSession) -> None:
    """Assert that neither we nor the venue have an open order, that the fault struck and that the books agree."""
    assert session.state.account.orders.live == {}
    assert open_at(session.venue) == []
    assert session.venue.unstruck_faults() == []
    check_books(session)


# ---- cancel all


def test_kill_switch_one_shot_during_a_weight_limit_is_done_afterwards(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "ladder").run(10)
    venue.fault(action="rate_limit", retry_after_s=7, method="GET", path="/api/v3/openOrders")
    session.command("reconcile").run(0.5)
    session.command("cancel_all").run(0.5)
    assert len(open_at(venue)) == 14, "the venue demands a wait"
    session.run(59)
    assert orders(session) == {"canceled": 14}
    assert mode(session) == "paused"
    nothing_is_open(session)


def test_kill_switch_one_shot_reaches_an_order_that_was_unknown(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="cut_answer", **PLACE)
    venue.fault(action="drop_events", event="NEW", times=1)
    session = begin(venue, "once", parameters={"below": "100"}).run(until=lambda s: bool(s.facts("order_unknown")))
    session.command("cancel_all").run(60)
    assert orders(session) == {"canceled": 1}
    nothing_is_open(session)


def test_kill_switch_one_shot_reaches_an_order_whose_placement_is_on_its_way(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="delay_answer", ms=2000, **PLACE)
    venue.fault(action="delay_events", event="NEW", ms=2000, times=1)
    session = begin(venue, "once", parameters={"below": "100"}).run(until=lambda s: bool(s.state.account.orders.live))
    assert orders(session) == {"pending": 1}
    session.command("cancel_all").run(60)
    assert orders(session) == {"canceled": 1}
    nothing_is_open(session)


def test_kill_switch_one_shot_repeats_a_cancel_whose_answer_proves_nothing(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "ladder").run(10)
    venue.fault(action="reject", method="DELETE", status=503, code=-1000, msg="x", times=14)
    session.command("halt").command("cancel_all").run(60)
    assert orders(session) == {"canceled": 14}
    assert mode(session) == "halted"
    nothing_is_open(session)


def test_kill_switch_one_shot_works_while_the_private_link_is_down(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "ladder").run(10)
    venue.fault(action="disconnect", target="private")
    session.run(0.05)
    assert mode(session) == "syncing"
    session.command("cancel_all").run(60)
    assert orders(session) == {"canceled": 14}
    nothing_is_open(session)


def test_cancel_all_is_not_undone_by_the_next_quote(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "requote").run(10)
    assert len(open_at(venue)) == 1
    session.command("cancel_all").run(30)
    assert mode(session) == "paused"
    [reason] = session.state.account.modes.reasons
    assert reason.code is ReasonCode.SAFETY_ORDER
    nothing_is_open(session)
    session.command("resume").run(5)
    assert mode(session) == "running"
    assert len(open_at(venue)) == 1
    check_books(session)


def test_resume_withdraws_a_safety_order_that_is_not_done(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "ladder").run(10)
    venue.fault(action="reject", method="DELETE", status=400, code=-2011, msg="no", times=0)
    session.command("cancel_all").run(5)
    assert len(session.state.account.safety.active) == 1
    session.command("resume").run(5)
    assert session.state.account.safety.active == ()
    [ended] = session.facts("safety_order_ended")
    assert ended["withdrawn"]
    assert len(open_at(venue)) == 14


@pytest.mark.slow
def test_s10_a_cancel_that_is_refused_for_ever_is_repeated_ever_more_seldom_with_an_alarm(
    begin: CheckedSessions,
) -> None:
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "100"}).run(10)
    venue.fault(action="reject", method="DELETE", status=400, code=-2011, msg="Unknown order sent.", times=0)
    session.command("cancel_all").run(120)
    cancels = [r for r in session.kinds(Kind.REQUEST) if '"purpose":"cancel"' in (r.body or "")]
    assert 10 <= len(cancels) <= 20, "every ten seconds in the end"
    named = [text for text in notes(session, "alarm") if "is not done after" in text]
    assert len(named) == 2, "after ten seconds, and a minute later"
    assert "aaaaaaaa-once-1-" in named[0]
    assert venue.unstruck_faults() == []
    check_books(session)


def test_s10_a_cancel_of_an_order_that_is_gone_ends_by_asking_once(begin: CheckedSessions) -> None:
    """The order ended at the venue and its event was lost."""
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "100"}).run(10)
    venue.fault(action="drop_events", event="executionReport", times=0)
    venue.fault(action="error_after", method="DELETE", status=504, code=-1007, msg="timeout")
    session.command("cancel_all").run(30)
    cancels = [r for r in session.kinds(Kind.REQUEST) if '"purpose":"cancel"' in (r.body or "")]
    assert len(cancels) == 1
    nothing_is_open(session)


@pytest.mark.parametrize("filled", ["0.4", "1.0"])
def test_s18_a_fill_races_the_cancel_of_a_safety_order_and_the_fill_wins(filled: str) -> None:
    """The fill is booked, also the one that comes after the cancel's answer, and the safety order ends."""
    hand = ByHand().run(1.5)
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name)).command("cancel_all")
    status = "FILLED" if filled == "1.0" else "CANCELED"
    hand.answers["query_order"] = shown(name, status, filled)
    hand.answers["fills"] = [row(1, filled)]
    if filled == "1.0":
        hand.answer(hand.seq_of("cancel"), {"code": -2011, "msg": "Unknown order sent."}, status=400)
    else:
        hand.answer(hand.seq_of("cancel"), shown(name, "CANCELED", filled))
    hand.private(trade(name, 1, filled, filled, "FILLED" if filled == "1.0" else "PARTIALLY_FILLED")).run(10)
    assert hand.position() == Decimal(filled)
    assert hand.status() == status.lower()
    assert hand.state.account.safety.active == ()
    assert hand.mode == "paused"


def test_a_safety_order_outlives_a_restart(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "requote").run(10)
    venue.fault(action="reject", method="DELETE", status=503, code=-1000, msg="x", times=3)
    session.command("cancel_all").run(1.5)
    session.kill()
    assert len(open_at(venue)) == 1
    following = begin(venue, "requote", opening=session.state, previous=session).run(60)
    nothing_is_open(following)
    assert mode(following) == "paused"
    assert following.command("resume").run(5).state.account.modes.mode.value == "running"


def test_orders_of_other_programs_are_spared(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    other = begin(venue, "once", parameters={"below": "200"}).run(10)
    other.kill()
    [foreign] = open_at(venue)
    session = begin(venue, "ladder").run(10)
    session.command("cancel_all").run(30)
    assert open_at(venue) == [foreign]
    assert session.state.account.safety.active == ()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stop", "cancel_all", "deadline"])
def test_a_stop_cancels_the_orders_of_the_session_before_even_if_this_journal_only_adopted_them(
    start: CheckedSessions, end: str
) -> None:
    """The session before left its orders, and its state was not carried over; an order of another program stays."""
    venue = CalmVenue()
    before = start(venue, "ladder").run(10)
    terms = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": "30000"}
    status, _ = venue.by_hand("POST", "/api/v3/order", symbol="BTCUSDT", newClientOrderId="another-bot-1", **terms)
    assert status == 200
    before.kill()
    assert len(open_at(venue)) == 15
    session = start(venue, previous=before).run(10)
    assert {order.strategy for order in session.state.account.orders.live.values()} == {"external"}
    if end == "stop":
        session.stop()
    elif end == "cancel_all":
        session.command("cancel_all").run(30)
    else:
        venue.fault(action="reject", method="DELETE", status=503, code=-1000, msg="x", times=0)
        session.command("stop").run(60)
        ours = deadline_reason(session.sequencer.kernel.session, session.state.account)
        assert "14 orders may still be open" in ours
        assert venue.unstruck_faults() == []
        return
    assert open_at(venue) == ["another-bot-1"]


@pytest.mark.parametrize("end", ["done", "given again", "restart"])
def test_a_kill_by_a_living_session_cancels_what_older_sessions_of_the_folder_left(
    begin: CheckedSessions, end: str
) -> None:
    """`verbatim kill` names them in the command: an order of theirs is ours then, also after a restart."""
    venue = CalmVenue()
    terms = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": "30000"}
    for name in ("jjjjjjjj-once-v1-5-0", "kkkkkkkk-once-v1-5-0", "another-bot-1"):
        status, _ = venue.by_hand("POST", "/api/v3/order", symbol="BTCUSDT", newClientOrderId=name, **terms)
        assert status == 200
    session = begin(venue, "ladder").run(10)
    session.command("halt").command("cancel_all").run(30)
    left = ["another-bot-1", "jjjjjjjj-once-v1-5-0", "kkkkkkkk-once-v1-5-0"]
    assert open_at(venue) == left, "a session of another folder may trade with this mark"
    if end == "restart":
        venue.fault(action="reject", method="DELETE", status=503, code=-1000, msg="x", times=3)
    session.command("cancel_all", about="jjjjjjjj,iiiiiiii")
    if end == "given again":
        session.command("cancel_all")
        assert session.state.account.safety.also == ("jjjjjjjj", "iiiiiiii")
    if end == "restart":
        session.run(1.5).kill()
        assert open_at(venue) == left
        session = begin(venue, "ladder", opening=session.state, previous=session)
    session.run(30)
    assert open_at(venue) == ["another-bot-1", "kkkkkkkk-once-v1-5-0"]
    account = session.state.account
    assert account.safety.active == ()
    assert (account.safety.also, mode(session)) == ((), "halted"), "they are ours only while the order lasts"
    assert [fact.get("also") for fact in begin.begun[0].facts("safety_ordered")][:2] == [None, ["jjjjjjjj", "iiiiiiii"]]


# ---- flatten


@pytest.mark.parametrize("lots", ["0.01", "0.5"])
def test_flatten_closes_the_position_and_no_more(begin: CheckedSessions, lots: str) -> None:
    venue = CalmVenue()
    session = begin(venue, "once", "ladder", parameters={"size": lots}).run(10)
    bought = session.state.account.positions.net("binance_spot:BTCUSDT")
    assert bought == Decimal(lots) * Decimal("0.999")
    before = Decimal(venue.get("/sim/state")["balances"]["test"]["BTC"]["free"])
    session.command("halt").command("flatten").run(30)
    nothing_is_open(session)
    left = session.state.account.positions.net("binance_spot:BTCUSDT")
    assert 0 <= left < Decimal("0.00001"), "less than a lot stays"
    assert Decimal(venue.get("/sim/state")["balances"]["test"]["BTC"]["free"]) == before - bought + left
    assert mode(session) == "halted"


def test_flatten_gives_up_after_some_refusals_and_names_what_stays(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once").run(10)
    venue.fault(action="reject", status=400, code=-2010, msg="closed", times=0, **PLACE)
    session.command("flatten").run(60)
    [ended] = session.facts("safety_order_ended")
    assert ended["left"] == [
        "0.00999 binance_spot:BTCUSDT of strategy once stays: 5 orders did not close it",
    ]
    assert any("5 orders did not close it" in text for text in notes(session, "alarm"))
    assert venue.unstruck_faults() == []
    check_books(session)


# ---- without a person


def test_a_strategy_that_stops_leaves_no_order(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "requote", "ladder", parameters={"fail_at": 40}).run(
        until=lambda s: bool(s.facts("strategy_stopped"))
    )
    session.run(10)
    assert [order["client_order_id"].split("-")[1] for order in venue.get("/sim/state")["open_orders"]] == (
        ["ladder"] * 14
    )
    assert mode(session) == "running", "the other strategy goes on"
    assert session.state.account.safety.active == ()
    check_books(session)


def test_the_cancel_for_a_stopped_strategy_ends_with_the_venues_own_list_while_others_trade(
    begin: CheckedSessions,
) -> None:
    venue = CalmVenue()
    venue.fault(action="reject", method="GET", path="/api/v3/openOrders", status=503, code=-1000, msg="x", nth=2)
    session = begin(venue, "requote", "each", parameters={"fail_at": 40}).run(
        until=lambda s: bool(s.facts("safety_order_ended"))
    )
    facts = [json.loads(r.body or "")["fact"] for r in session.kinds(Kind.FACT)]
    ordered = facts.index("safety_ordered")
    assert "reconcile_failed" in facts[ordered:], "the first list was refused"
    assert facts[ordered:].index("reconciled") < facts[ordered:].index("safety_order_ended")
    assert not [name for name in open_at(venue) if "-requote-" in name]
    assert venue.unstruck_faults() == []
    session.run(20)
    rounds = [r for r in session.kinds(Kind.REQUEST) if '"purpose":"open_orders"' in (r.body or "")]
    assert len(rounds) <= 6, "orders of the other strategy do not ask for more"
    check_books(session)


def test_a_stopped_strategys_orders_stay_if_the_configuration_says_leave(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "requote", parameters={"fail_at": 40}, safety=LEAVE).run(
        until=lambda s: bool(s.facts("strategy_stopped"))
    )
    session.run(30)
    assert len(open_at(venue)) == 1
    check_books(session)


def test_a_session_that_is_blind_for_too_long_cancels_its_orders(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "ladder", safety=replace(SAFETY, blind_after_ns=20 * SECOND_NS)).run(10)
    venue.fault(action="silence", target="market", ms=600_000)
    session.run(until=lambda s: mode(s) != "running")
    session.run(15)
    assert len(open_at(venue)) == 14
    session.run(30)
    assert mode(session) != "running"
    assert venue.unstruck_faults() == []
    assert open_at(venue) == []
    [ordered] = session.facts("safety_ordered")
    assert ordered["cause"] == "blind"


def test_a_blind_session_leaves_its_orders_if_the_configuration_says_so(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "ladder", safety=LEAVE).run(10)
    venue.fault(action="silence", target="market", ms=600_000)
    session.run(120)
    assert mode(session) != "running"
    assert len(open_at(venue)) == 14


@pytest.mark.slow
def test_a_session_that_sees_again_trades_again(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "requote", safety=replace(SAFETY, blind_after_ns=20 * SECOND_NS)).run(10)
    venue.fault(action="silence", target="market", ms=60_000)
    session.run(until=lambda s: bool(s.facts("safety_order_ended")) or s.venue.now_ns < 0)
    session.run(120)
    assert mode(session) == "running"
    assert len(open_at(venue)) == 1
    check_books(session)
