"""How real engines lost orders, money or their users' trust (shared/scenarios.md), each against the simulated venue in
virtual time.

Every run goes through the disk; at its end the journal is replayed and must say the same again.
"""

import json
from collections import Counter
from decimal import Decimal

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, check_books, rebuilt
from tiers import first_is_quick

from engine.kernel import kernel_of
from engine.lifecycle import Status
from engine.session_record import SECOND_NS, EngineSettings, RiskSettings
from journal.reader import Journal
from journal.record import Kind
from journal.recover import recover
from verbatim.testing import VirtualSession, VirtualVenue

ORDER = {"method": "POST", "path": "/api/v3/order"}


def orders(session: VirtualSession) -> dict[str, int]:
    return Counter(order.status.value for order in session.state.account.orders.all())


def test_s1_an_answer_that_is_cut_off_leaves_one_order(begin: CheckedSessions) -> None:
    """The order is UNKNOWN, queried by our id and never sent again; in the end there is one order."""
    venue = CalmVenue()
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="drop_events", event="executionReport", times=0)
    session = begin(venue, "once", parameters={"below": "100"}).run(until=lambda s: bool(s.facts("order_unknown")))
    assert orders(session) == {"unknown": 1}
    session.run(5)
    assert orders(session) == {"open": 1}
    asked = [json.loads(record.body or "") for record in session.kinds(Kind.REQUEST)]
    assert Counter(request["purpose"] for request in asked if request["purpose"] in ("place", "query_order")) == {
        "place": 1,
        "query_order": 1,
    }
    check_books(session)


def test_s1_an_order_that_never_arrived_is_proved_absent_before_it_is_decided_anew(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="drop_request", **ORDER)
    session = begin(venue, "once", parameters={"orders": 2}).run(10)
    assert orders(session) == {"unknown": 1}, "a venue that does not know it yet proves nothing"
    blocked = [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)]
    assert sum(verdict["approved"] for verdict in blocked) == 1
    session.run(30)
    assert orders(session) == {"not_placed": 1, "filled": 1}
    first, second = (record for record in session.kinds(Kind.REQUEST) if '"place"' in (record.body or ""))
    proof = next(record for record in session.records if '"order_not_placed"' in (record.body or ""))
    assert first.seq < proof.seq < second.seq
    check_books(session)


@pytest.mark.slow
def test_s2_while_every_query_fails_orders_stay_known_and_nothing_is_sent(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "100"}).run(5)
    venue.fault(action="drop_request", method="GET", times=24)
    venue.fault(action="disconnect", target="private")
    session.run(60)
    assert session.state.account.modes.mode.value == "syncing"
    assert orders(session) == {"open": 1}
    session.run(200)
    assert session.state.account.modes.mode.value == "running"
    check_books(session)


def test_s3_an_order_thought_gone_fills_late_and_a_person_is_told(begin: CheckedSessions) -> None:
    """The fill moves the position and raises an alarm."""
    venue = CalmVenue()
    # the venue accepts it, but hides it for half a minute and sends no event of it
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="not_found_for", ms=40_000, **ORDER)
    venue.fault(action="delay_events", event="executionReport", ms=40_000, times=0)
    session = begin(venue, "once").run(30)
    assert orders(session) == {"not_placed": 1}
    session.run(60)
    assert orders(session) == {"filled": 1}
    assert session.state.account.positions.net("binance_spot:BTCUSDT") == Decimal("0.00999")
    alarms = [json.loads(record.body or "") for record in session.kinds(Kind.NOTE)]
    assert any(note["level"] == "alarm" for note in alarms)
    check_books(session)


def test_s4_not_found_right_after_placing_proves_nothing(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="not_found_for", ms=3_000, **ORDER)
    venue.fault(action="drop_events", event="executionReport", times=0)
    session = begin(venue, "once", parameters={"below": "100"}).run(2.5)
    assert orders(session) == {"unknown": 1}
    assert session.run(5).facts("order_not_placed") == []
    assert orders(session) == {"open": 1}
    check_books(session)


@pytest.mark.slow
def test_s5_when_queries_fail_no_rejection_is_invented(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="cut_answer", **ORDER)
    venue.fault(action="drop_events", event="executionReport", times=0)
    venue.fault(action="error_after", method="GET", path="/api/v3/order", status=502, times=0)
    session = begin(venue, "once", parameters={"orders": 5}).run(120)
    assert orders(session) == {"unknown": 1}
    assert any("asked about" in (note.body or "") for note in session.kinds(Kind.NOTE)), "a person is told"
    assert venue.unstruck_faults() == []
    venue.sim.faults.clear()
    session.run(60)
    assert orders(session)["filled"] == 5


@pytest.mark.slow
def test_s6_fills_during_a_disconnect_are_fetched(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "pair").run(10)
    venue.fault(action="drop_events", event="executionReport", times=0)
    venue.fault(action="disconnect", target="private")
    session.run(20)
    session.command("pause").run(120)
    check_books(session)


@pytest.mark.slow
def test_s7_heartbeats_healthy_and_fills_missing(begin: CheckedSessions) -> None:
    """Found by the scheduled pass."""
    venue = CalmVenue()
    venue.fault(action="drop_events", event="TRADE", nth=3, times=4)
    session = begin(venue, "pair").run(30)
    session.command("pause").run(130)
    check_books(session)


@pytest.mark.parametrize("target", ["market"])
def test_s8_silence_after_a_healthy_connect_forces_a_reconnect(begin: CheckedSessions, target: str) -> None:
    venue = CalmVenue()
    session = begin(venue, "once").run(3)
    venue.fault(action="silence", target=target, ms=12_000)
    session.run(11.5)
    assert session.state.account.modes.mode.value != "running"
    session.run(20)
    assert session.state.account.modes.mode.value == "running"
    assert any("silent for" in (note.body or "") for note in session.kinds(Kind.NOTE))


@pytest.mark.slow
def test_s8_a_private_stream_that_falls_silent_is_found_by_what_it_did_not_say(begin: CheckedSessions) -> None:
    """An account may be silent for ever; fills that only a question brought to light prove that it should not have
    been.
    """
    venue = CalmVenue()
    session = begin(venue, "pair").run(8)
    venue.fault(action="silence", target="private", ms=40_000)
    session.run(32)
    session.command("pause").run(90)
    assert any("were never streamed" in (note.body or "") for note in session.kinds(Kind.NOTE))
    assert session.state.account.links.by_source["binance_spot.private.0"].reconnects >= 1
    check_books(session)


def test_s10_a_cancel_of_an_order_that_is_gone_ends_by_asking(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once", parameters={"below": "100"}).run(3)
    venue.fault(action="reject", method="DELETE", status=400, code=-2011, msg="Unknown order sent.")
    session.command("cancel_all").run(3)
    asked = [json.loads(record.body or "")["purpose"] for record in session.kinds(Kind.REQUEST)]
    assert asked.count("cancel") == 2, "an unknown order sent is not a canceled one"
    assert "query_order" in asked
    assert orders(session) == {"canceled": 1}
    check_books(session)


def test_s11_a_rate_limit_is_waited_out_as_the_venue_says(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="rate_limit", retry_after_s=7, **ORDER)
    session = begin(venue, "once", parameters={"orders": 3}).run(20)
    [blocked] = session.facts("rate_blocked")
    at = next(record for record in session.records if '"rate_blocked"' in (record.body or ""))
    assert blocked["until_ns"] - at.time_ns == 7 * SECOND_NS
    after = [record for record in session.kinds(Kind.REQUEST) if record.seq > at.seq]
    assert all(record.time_ns >= blocked["until_ns"] for record in after)
    assert orders(session) == {"rejected": 1, "filled": 2}
    check_books(session)


def test_s12_seeing_everything_twice_changes_nothing(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="duplicate_events", event="executionReport", times=0)
    session = begin(venue, "pair").run(20)
    session.command("reconcile").run(5)
    session.command("pause").run(10)
    check_books(session)
    fills = Counter(fact["fill_id"] for fact in session.facts("order_filled"))
    assert fills
    assert set(fills.values()) == {1}


@pytest.mark.slow
def test_s15_a_fill_that_comes_while_a_query_is_on_its_way_is_not_undone(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="delay_answer", method="GET", path="/api/v3/account", ms=900, times=0)
    venue.fault(action="delay_answer", method="GET", path="/api/v3/openOrders", ms=900, times=0)
    session = begin(venue, "pair", engine=EngineSettings(reconcile_every_ns=2 * SECOND_NS)).run(40)
    session.command("pause").run(20)
    check_books(session)


def test_s16_resting_orders_survive_a_kill(begin: CheckedSessions) -> None:
    """14 open orders before, 14 after; none doubled, none lost."""
    venue = CalmVenue()
    first = begin(venue, "ladder").run(10)
    assert orders(first) == {"open": 14}
    folder = first.kill()
    recover(folder)
    second = begin(venue, "ladder", previous=first, opening=rebuilt(folder)).run(20)
    assert orders(second) == {"open": 14}
    check_books(second)


@pytest.mark.slow
@pytest.mark.parametrize("seed", first_is_quick(range(4)))
def test_s13_s17_a_restart_anywhere_books_nothing_twice(begin: CheckedSessions, seed: int) -> None:
    venue = CalmVenue(seed=seed)
    session = begin(venue, "pair").run(8 + seed / 7)
    for _ in range(3):
        folder = session.kill()
        venue.now_ns += 2 * SECOND_NS
        recover(folder)
        opening = rebuilt(folder)
        assert opening.digests() == session.state.digests()
        session = begin(venue, "pair", previous=session, opening=opening).run(6 + seed / 9)
    session.command("pause").run(30)
    check_books(session)


@pytest.mark.slow
def test_s18_a_cancel_races_a_fill_and_the_fill_wins(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="delay_events", event="executionReport", ms=400, times=0)
    session = begin(venue, "pair").run(30)
    session.command("pause").run(30)
    check_books(session)


def test_a_wrong_clock_is_measured_and_set_right(begin: CheckedSessions) -> None:
    """-1021 refuses the subscription; the offset is measured, and the next attempt is let in."""
    venue = CalmVenue()
    venue.fault(action="clock_skew", ms=-3000)
    session = begin(venue, "once").run(20)
    [measured, *_] = session.facts("clock_measured")
    assert abs(measured["offset_ns"] + 3 * SECOND_NS) < SECOND_NS // 10
    assert orders(session) == {"filled": 1}


def test_limits_hold(begin: CheckedSessions) -> None:
    """An order above order_size_max is refused with the numbers, and nothing is sent."""
    venue = CalmVenue(balances={"USDT": "1000", "BTC": "0"})
    risk = RiskSettings(order_size_max=Decimal("0.005"))
    session = begin(venue, "once", parameters={"orders": 3}, risk=risk).run(5)
    verdicts = [json.loads(record.body or "") for record in session.kinds(Kind.VERDICT)]
    assert verdicts
    assert all("order_size_max" in verdict["rules"]["order_size"] for verdict in verdicts)
    assert not [record for record in session.kinds(Kind.REQUEST) if '"place"' in (record.body or "")]


def test_an_ordered_stop_cancels_and_waits(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "ladder").run(10)
    venue.fault(action="delay_events", event="outboundAccountPosition", ms=5_000, times=0)
    session.command("stop").run(20)
    assert session.closing
    check_books(session)  # even in the balances released by the last cancels, which the stream reported late
    assert not session.state.account.orders.live
    assert venue.get("/sim/state")["open_orders"] == []


def test_a_strategy_that_fails_costs_only_its_own_step(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "faulty").run(10)
    assert (
        session.state.account.strategies.get("faulty").stopped_for
        == "ZeroDivisionError: integer division or modulo by zero"
    )
    assert session.state.account.strategies.get("faulty").state == {"asked": 2}, "the failing step left no trace"
    assert session.state.account.modes.mode.value == "running"


@pytest.mark.slow
def test_rebuilding_gives_the_state_of_every_checkpoint(begin: CheckedSessions) -> None:
    venue = VirtualVenue()
    session = begin(venue, "pair", engine=EngineSettings(checkpoint_every=300)).run(20)
    session.writer.wait_durable(session.records[-1].seq, 60)
    records = list(Journal.open(session.folder).records())
    kernel = kernel_of(records[0])
    state, compared = kernel.begin(records[0]), 0
    for record in records[1:]:
        if record.kind is Kind.CHECKPOINT:
            parts = {name: list(part) for name, part in state.digests().items()}
            assert json.loads(record.body or "")["parts"] == parts, record.seq
            compared += 1
        kernel.rebuild(state, record)
    assert compared > 5
    assert state.account.orders.all() == session.state.account.orders.all()
    assert all(order.status is not Status.PENDING for order in state.account.orders.closed.values())
