"""Contradictions and refusals that pass by: stale lists, a firewall's refusal, a market link that is down.

Nothing of this latches: the order is queried first, refusals must last, and an account reconciles by its own links.
Reasons to halt are a set, and a person's resume names the reasons that it lifts.
"""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from by_hand import MARKET, PRIVATE, ByHand, report, row, shown, trade

from engine.bodies import CommandBody
from engine.lifecycle import Status
from engine.record_codec import text_of
from engine.sequencer import Arrival
from engine.session_record import SECOND_NS, EngineSettings
from engine.state.session_state import State
from journal.record import Kind

D = Decimal
NONE = {"orders": 0}


@pytest.fixture(autouse=True)
def _proofs(tmp_path: Path) -> Iterator[None]:
    """Prove the journal of each session at the end of its test."""
    ByHand.begun = []
    yield
    begun, ByHand.begun = ByHand.begun, None
    for number, hand in enumerate(begun):
        hand.prove(tmp_path / f"journal{number}")


def opened(**settings: Any) -> tuple[ByHand, str]:
    hand = ByHand(**settings)
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name)).private(report(name, "NEW", "NEW"))
    return hand, name


def reasons(state: State) -> list[str]:
    return [reason.text for reason in state.account.modes.reasons]


# ---- answers that are older than the account -------------------------------------------------------


def test_stale_answer_a_lagging_list_is_asked_about_and_halts_nothing() -> None:
    hand, name = opened()
    hand.private(report("web_c", "CANCELED", "CANCELED", C=name, T=1000))
    hand.answers |= {
        "open_orders": [shown(name, updateTime=1)],
        "query_order": shown(name, "CANCELED", updateTime=1000),
    }
    hand.run(12).command("reconcile").run(2)
    assert (hand.order.status, hand.mode) == (Status.CANCELED, "running")
    assert len(hand.asked("query_order")) == 1, "it was asked about"
    assert hand.notes() == []


def test_stale_answer_a_lagging_list_without_dates_is_asked_about_before_anything_halts() -> None:
    hand, name = opened()
    hand.private(report("web_c", "CANCELED", "CANCELED", C=name, T=1000))
    hand.answers |= {"open_orders": [shown(name)], "query_order": shown(name, "CANCELED", updateTime=1000)}
    hand.run(12).command("reconcile").run(2)
    assert (hand.mode, len(hand.asked("query_order"))) == ("running", 1)
    assert any("open at the venue, says its list" in note for note in hand.notes("warning"))


def test_stale_answer_a_lagging_query_is_told_by_its_date() -> None:
    hand, name = opened()
    hand.private(report("web_c", "CANCELED", "CANCELED", C=name, T=1000))
    hand.answers |= {"open_orders": [shown(name, updateTime=1)], "query_order": shown(name, updateTime=1)}
    hand.run(30).command("reconcile").run(30)
    assert (hand.order.status, hand.mode) == (Status.CANCELED, "running")


def test_an_order_that_the_venue_keeps_calling_open_halts_after_it_was_asked_for_ten_seconds() -> None:
    hand, name = opened()
    hand.private(report("web_c", "CANCELED", "CANCELED", C=name, T=1000))
    hand.answers |= {"open_orders": [shown(name, updateTime=2000)], "query_order": shown(name, updateTime=2000)}
    hand.run(12).command("reconcile").run(5)
    assert (hand.mode, hand.state.account.orders.doubted) == ("syncing", (name,))
    hand.run(8)
    assert (hand.mode, reasons(hand.state)) == ("halted", [f"order {name} is canceled here, and open at the venue"])


def test_a_live_order_that_a_lagging_query_does_not_find_is_asked_about_again() -> None:
    hand, name = opened()
    hand.run(20).command("reconcile").run(2)  # neither list nor query has it
    assert (hand.mode, hand.state.account.orders.doubted) == ("syncing", (name,))
    hand.answers |= {"open_orders": [shown(name)], "query_order": shown(name)}
    hand.run(3)
    assert (hand.mode, hand.order.status, hand.state.account.orders.doubted) == ("running", Status.OPEN, ())


def test_a_live_order_that_the_venue_keeps_not_knowing_halts() -> None:
    hand, name = opened()
    hand.run(20).command("reconcile").run(13)
    assert (hand.mode, reasons(hand.state)) == (
        "halted",
        [f"order {name} is live here, and the venue does not know it"],
    )


def test_stale_answer_a_balance_from_before_the_known_one_changes_nothing() -> None:
    hand = ByHand(parameters=NONE).run(1)
    event = {"e": "outboundAccountPosition", "E": 1, "u": 5000, "B": [{"a": "USDT", "f": "900000.0", "l": "100000.0"}]}
    hand.private(event)
    held = [{"asset": "USDT", "free": "1000000.0", "locked": "0.0"}]
    hand.answers["account"] = {"canTrade": True, "balances": held, "updateTime": 4000}
    hand.run(2).command("reconcile")
    assert hand.state.account.balances.get("USDT").free == 900000
    hand.answers["account"] = {"canTrade": True, "balances": held, "updateTime": 6000}
    hand.run(2).command("reconcile")
    assert hand.state.account.balances.get("USDT").free == 1000000


# ---- refusals of access ----------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", ["depth", "account"])
def test_firewall_403_once_ends_trading_for_a_minute_and_latches_nothing(purpose: str) -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.answers[purpose] = lambda _: (403, None)
    hand.down(MARKET) if purpose == "depth" else hand.command("reconcile")
    hand.run(3)
    assert [fact["is_key"] for fact in hand.facts("access_refused") if "is_key" in fact] == []
    assert hand.facts("access_refused"), "the fault struck"
    assert (hand.mode, hand.state.account.modes.halts) == ("syncing", ())
    del hand.answers[purpose]
    asked = len(hand.asked(purpose))
    assert len(hand.run(50).asked(purpose)) == asked, "a firewall is not asked again at once"
    assert hand.run(70).mode == "running"
    assert hand.state.account.access.by_venue == {}


@pytest.mark.slow
def test_refusals_that_last_halt_and_the_waits_between_them_grow() -> None:
    hand = ByHand(parameters=NONE).run(1)
    # the other queries of the round are answered: a permission is missing for one endpoint
    hand.answers["account"] = 401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
    hand.command("reconcile").run(250)
    asked = [r.time_ns for r in hand.records if r.kind is Kind.REQUEST and '"account"' in (r.body or "")][1:]
    waits = [(later - first) // SECOND_NS for first, later in pairwise(asked)]
    assert len(waits) == 2
    assert 59 <= waits[0] <= 62
    assert 119 <= waits[1] <= 122
    assert hand.mode == "syncing"
    hand.run(240)
    assert hand.mode == "halted"
    assert (
        "refused our key: -2015 Invalid API-key, IP, or permissions for action. (4 refusals in"
        in reasons(hand.state)[0]
    )


def test_many_refusals_halt_before_their_time() -> None:
    hand = ByHand(parameters=NONE, engine=EngineSettings(access_halt_refusals=3)).run(1)
    for purpose in ("account", "open_orders", "fills"):
        hand.answers[purpose] = 401, {"code": -2015, "msg": "Invalid API-key."}
    hand.command("reconcile")
    assert (hand.mode, len(hand.facts("access_refused"))) == ("halted", 3)


@pytest.mark.slow
def test_two_refusals_with_health_between_them_do_not_count_as_lasting() -> None:
    hand = ByHand(parameters=NONE).run(1)
    for _ in range(2):
        hand.answers["server_time"] = lambda _: (403, None)
        hand.down(PRIVATE)
        assert hand.run(2).mode == "syncing"
        del hand.answers["server_time"]
        assert hand.run(400).mode == "running"
        assert hand.state.account.access.by_venue == {}
    assert len(hand.facts("access_refused")) == 4, "each was forgotten"


def test_an_order_of_unknown_status_is_queried_again_once_access_was_refused() -> None:
    hand = ByHand(engine=EngineSettings(access_wait_ns=20 * SECOND_NS))
    name = hand.order.client_order_id
    hand.answers["query_order"] = lambda _: (403, None)
    hand.answer(hand.seq_of("place"), outcome="timeout")
    hand.run(15)
    assert (len(hand.asked("query_order")), hand.state.account.modes.halts) == (1, ())
    hand.answers["query_order"] = shown(name)
    assert hand.run(15).order.status is Status.OPEN
    assert hand.mode == "running"


def test_a_private_link_that_access_was_refused_to_comes_back() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.answers["account"] = lambda _: (403, None)
    hand.command("reconcile").down(PRIVATE)
    del hand.answers["account"]
    hand.run(30)
    assert hand.state.account.links.by_source[PRIVATE].state == "down", "its subscription is a request"
    assert hand.run(40).mode == "running"


# ---- reconciliation by the account's own links -----------------------------------------------------


@pytest.mark.slow
def test_an_account_reconciles_while_the_market_is_down() -> None:
    """Fifteen minutes without the market: the account is reconciled, and a fill that no stream delivered is found."""
    hand, name = opened()
    hand.held.add("connect")
    hand.down(MARKET)
    hand.answers |= {"open_orders": [], "query_order": shown(name, "FILLED", "1.0"), "fills": [row(11, "1.0")]}
    before = len(hand.asked("open_orders"))
    hand.run(900, quote=False)
    assert hand.mode == "syncing"
    assert len(hand.asked("open_orders")) - before >= 14
    assert (hand.position(), [fact["fill_id"] for fact in hand.facts("order_filled")]) == (1, ["11"])


def test_a_market_link_that_keeps_failing_is_tried_ever_less_although_rounds_end_well() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.answers["connect"] = None
    attempts = []
    hand.held.add("connect")
    hand.down(MARKET)
    end_ns = hand.now_ns + 600 * SECOND_NS
    while hand.now_ns < end_ns:
        hand.run(1, quote=False)
        for seq in [seq for seq, request in hand.waiting.items() if request.purpose == "connect"]:
            del hand.waiting[seq]
            attempts.append(hand.now_ns)
            hand.down(MARKET)
    assert len(hand.facts("reconciled")) > 8
    assert 15 < len(attempts) < 45, "the wait stays long: half a minute at most"


@pytest.mark.slow
def test_an_ordered_reconciliation_that_cannot_start_says_why() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.held.add("connect")
    hand.down(PRIVATE).command("reconcile")
    assert hand.notes("warning")[-1] == "no reconciliation starts now: binance_spot.private.0 is down"
    hand = ByHand(parameters=NONE, held={"account"}).command("reconcile")
    assert hand.notes("warning")[-1] == "no reconciliation starts now: round 1 runs already"


def test_a_round_reports_what_it_changed() -> None:
    hand, name = opened()
    hand.run(1)
    hand.answers |= {
        "open_orders": [],
        "query_order": shown(name, "FILLED", "1.0"),
        "fills": [row(11, "1.0")],
        "account": {"canTrade": True, "balances": [{"asset": "BTC", "free": "1.0", "locked": "0.0"}], "updateTime": 0},
    }
    hand.command("reconcile").run(1)
    changed = [fact for fact in hand.facts("reconciled") if "fills" in fact]
    assert [(fact["fills"], fact["balances"]) for fact in changed] == [(1, 2)]
    assert "reconciliation 2 changed: fills 1, balances 2" in hand.notes("info")
    hand.command("reconcile")
    assert "fills" not in hand.facts("reconciled")[-1], "the same answers change nothing (S12)"


# ---- reasons to halt are a set ---------------------------------------------------------------------


def command(hand: ByHand, name: str, reason: str, by: str = "anna") -> None:
    hand.take(Arrival(Kind.COMMAND, "control", body=text_of(CommandBody(name, by, reason))))


def test_a_second_reason_to_halt_is_kept_and_resume_names_what_it_lifts() -> None:
    hand, name = opened()
    command(hand, "halt", "the fees look wrong", by="bert")
    hand.private(report("aaaaaaaa-hand-1-9999-0", "NEW", "NEW", i=9))
    hand.answers["query_order"] = shown("aaaaaaaa-hand-1-9999-0", orderId=9)
    hand.answers["open_orders"] = [shown(name), shown("aaaaaaaa-hand-1-9999-0", orderId=9)]
    hand.run(2).command("reconcile").run(1)
    lost = "order aaaaaaaa-hand-1-9999-0 at the venue bears our mark and is in no journal: records were lost"
    assert reasons(hand.state) == ["the fees look wrong", lost]
    for _ in range(2):
        command(hand, "halt", "and so does the clock", by="bert")
    assert reasons(hand.state) == ["the fees look wrong", lost, "and so does the clock"]
    command(hand, "resume", "checked")
    [lifted] = hand.facts("halts_lifted")
    assert (lifted["by"], [reason["text"] for reason in lifted["reasons"]]) == (
        "anna",
        ["the fees look wrong", lost, "and so does the clock"],
    )
    assert (
        f"anna resumed and lifted 3 reasons to halt: the fees look wrong; {lost}; and so does the clock"
        in hand.notes("warning")
    )
    assert hand.notes()[-1] == f"lifted, but it holds still: {lost} (the order is open)"
    assert hand.state.account.modes.halts == ()
    assert hand.run(2).mode == "running"


def test_every_reason_to_halt_survives_a_restart() -> None:
    hand = ByHand(parameters=NONE).run(1)
    command(hand, "halt", "one", by="a")
    command(hand, "halt", "two", by="b")
    later = hand.restart(parameters=NONE).run(2)
    assert reasons(later.state) == ["one", "two"]


def test_a_resume_without_a_halt_lifts_nothing() -> None:
    hand = ByHand(parameters=NONE).run(1).command("pause").command("resume").run(1)
    assert (hand.mode, hand.facts("halts_lifted")) == ("running", [])


def test_sessions_of_earlier_rules_keep_one_reason() -> None:
    hand = ByHand(parameters=NONE, newest=False).run(1)
    command(hand, "halt", "one", by="a")
    command(hand, "halt", "two", by="b")
    assert reasons(hand.state) == ["two"]
    command(hand, "resume", "")
    assert (hand.run(1).mode, hand.facts("halts_lifted")) == ("running", [])


# ---- scenarios -------------------------------------------------------------------------------------


def test_s5_a_person_is_told_each_minute_while_the_instrument_is_blocked() -> None:
    hand = ByHand(parameters={"orders": 3})
    hand.held.add("query_order")
    hand.answer(hand.seq_of("place"), outcome="timeout")
    hand.run(200)
    assert hand.orders[0].status is Status.UNKNOWN, "no rejection is invented"
    assert len(hand.asked("place")) == 1, "the instrument is blocked"
    assert any("is unknown for 2 min" in note for note in hand.notes())


def test_s17_the_cumulative_report_comes_again_after_a_restart() -> None:
    hand, name = opened()
    hand.private(trade(name, 11, "0.4", "0.4")).private(trade(name, 12, "0.3", "0.7"))
    later = hand.restart(answers={"open_orders": [shown(name, "PARTIALLY_FILLED", "0.7")]})
    later.answers["fills"] = [row(11, "0.4"), row(12, "0.3")]
    later.private(trade(name, 12, "0.3", "0.7")).private(trade(name, 11, "0.4", "0.4"))
    later.command("reconcile").run(3)
    assert (later.position(), later.facts("order_filled"), later.mode) == (D("0.7"), [], "running")


def test_s18_a_cancel_that_races_a_fill_loses_to_it_in_either_order() -> None:
    for is_fill_first in (True, False):
        hand, name = opened()
        hand.answers["cancel"] = 400, {"code": -2011, "msg": "Unknown order sent."}
        hand.answers["query_order"] = shown(name, "FILLED", "1.0")
        hand.held.add("cancel")
        hand.command("cancel_all")
        seq = hand.seq_of("cancel")
        if is_fill_first:
            hand.private(trade(name, 11, "1.0", "1.0", "FILLED")).answer(seq, hand.answers["cancel"])
        else:
            hand.answer(seq, hand.answers["cancel"]).private(trade(name, 11, "1.0", "1.0", "FILLED"))
        assert (hand.order.status, hand.position()) == (Status.FILLED, 1)
        assert hand.command("resume").run(5).mode == "running"
