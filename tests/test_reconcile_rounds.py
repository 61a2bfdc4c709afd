"""Rounds of reconciliation: equity and positions against the venue, after errors, on demand, and as a report.

The real core in virtual time, against a venue that the test writes (by_hand.py). Every journal goes through the disk.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from by_hand import BTC, ByHand, row, shown, trade
from click.testing import CliRunner
from msgspec.structs import replace
from test_ledger import NONE, balances

from engine.mode_reasons import Mode, ReasonCode
from engine.money import ZERO
from engine.session_record import DriftAction, RiskSettings
from engine.state.positions import Positions
from engine.state.wallets import NetContract, Wallets
from replay.study.reconcile_report import read_rounds, round_report
from verbatim.cli import main

D = Decimal


def session(risk: RiskSettings | None = None, **settings: Any) -> ByHand:
    """A session of accounting 3 with 1 BTC at 100 and 1,000 USDT."""
    answers = {"account": balances(BTC="1", USDT="1000")}
    return ByHand(**({"parameters": NONE, "answers": answers, "accounting": 3, "risk": risk} | settings))


def codes(hand: ByHand) -> list[ReasonCode]:
    return [reason.code for reason in hand.state.account.modes.reasons]


def books(hand: ByHand) -> dict[str, Any]:
    return hand.facts("books_compared")[-1]


# ---- equity and positions -----------------------------------------------------------------------


def test_g9_each_round_states_equity_by_our_records_and_by_the_venue(tmp_path: Path) -> None:
    """1 BTC at 100 and 1,000 USDT."""
    hand = session().run(70)
    fact = books(hand)
    assert (fact["expected"], fact["reported"], fact["drift"], fact["currency"]) == ("1100", "1100", "0", "USDT")
    assert (fact["round"], hand.mode) == (2, Mode.RUNNING)
    hand.prove(tmp_path / "session")


@pytest.mark.slow
def test_g9_differences_that_each_balance_tolerates_reach_the_limit_of_equity_together(tmp_path: Path) -> None:
    """0.3 BTC and 25 USDT are missing: 55 USDT, and 50 is the limit. Each alone is tolerated."""
    tolerance = {"BTC": D("0.5"), "USDT": D(40)}
    risk = RiskSettings(balance_tolerance=tolerance, equity_drift_max=D(50))
    hand = session(risk).run(10)
    hand.answers["account"] = balances(BTC="0.8", USDT="975")
    hand.run(130)  # a report is compared at the end of the next round: by then its fills are recorded
    assert (books(hand)["drift"], hand.mode) == ("-45", Mode.RUNNING)
    hand.answers["account"] = balances(BTC="0.7", USDT="975")
    hand.run(120)
    assert (books(hand)["drift"], codes(hand)) == ("-55", [ReasonCode.EQUITY_DRIFT])
    assert hand.facts("balance_drift") == []
    [alarm] = [text for text in hand.notes() if "equity" in text]
    assert alarm == ("equity: the venue's 1045 USDT is off our 1100 by -55, and equity_drift_max is 50")
    hand.run(130)
    assert len([text for text in hand.notes() if "equity" in text]) == 1, "one alarm while it lasts"
    hand.prove(tmp_path / "session")


def test_g9_the_drift_of_the_equity_is_the_pnl_that_our_records_lack(tmp_path: Path) -> None:
    """1 BTC at 100 and 1,000 USDT; 2 BTC bought at 90: a P&L of 20, so 1,120. Then the venue took 7 USDT as a fee."""
    hand = bought("2", accounting=4, risk=RiskSettings(on_drift=DriftAction.NOTE, equity_drift_max=D(5)))
    hand.run(130)
    assert (books(hand)["expected"], books(hand)["drift"], "by_asset" in books(hand)) == ("1120", "0", False)
    assert hand.facts("portfolio_pnl")[-1]["unrealised"] == "20"
    hand.answers["account"] = balances(BTC="3", USDT="813")
    hand.run(130)
    assert (books(hand)["drift"], books(hand)["by_asset"]) == ("-7", {"USDT": "-7"})
    assert codes(hand) == [ReasonCode.EQUITY_DRIFT]
    hand.prove(tmp_path / "session")
    result = CliRunner().invoke(main, ["reconcile", str(tmp_path / "session")])
    assert (result.exit_code, "  USDT: -7 by the venue less ours" in result.output) == (1, True)


def test_an_equity_at_its_limit_is_no_drift() -> None:
    hand = session(RiskSettings(on_drift=DriftAction.NOTE, equity_drift_max=D(50))).run(10)
    hand.answers["account"] = balances(BTC="1", USDT="950")
    hand.run(130)
    assert (books(hand)["drift"], hand.mode) == ("-50", Mode.RUNNING)


def test_g13_a_position_that_is_not_the_sum_of_its_fills_halts(tmp_path: Path) -> None:
    """The state that a session carries over was damaged: its position says 3, and its lots say 2."""
    hand = bought("2")
    held = hand.state.account.positions.get("hand", BTC.id)
    wrong = Positions({f"hand {BTC.id}": replace(held, quantity=D(3))})
    hand.sequencer.state.account = replace(hand.state.account, positions=wrong)
    again = hand.restart(parameters=NONE, answers=hand.answers, accounting=3).run(5)
    assert codes(again) == [ReasonCode.POSITION_DRIFT]
    text = f"hand {BTC.id}: the position is 3, its fills sum up to 2"
    assert books(again)["wrong"] == [text]
    assert f"fills and positions differ: {text}" in again.notes()
    again.prove(tmp_path / "session")
    result = CliRunner().invoke(main, ["reconcile", str(tmp_path / "session")])
    assert (result.exit_code, text in result.output) == (1, True)


def test_g3_a_contract_position_that_the_venue_holds_and_our_fills_do_not_explain_halts() -> None:
    hand = session().run(10)
    there = Wallets(by_instrument={BTC.id: NetContract(reported=D("-1"), reported_ns=1)})
    hand.sequencer.state.account = replace(hand.state.account, wallets=there)
    again = hand.restart(parameters=NONE, answers=hand.answers, accounting=3).run(5)
    assert codes(again) == [ReasonCode.POSITION_DRIFT]
    assert books(again)["wrong"] == [f"{BTC.id}: the venue's position is -1, our fills sum up to 0"]


def test_equity_is_not_compared_while_fills_are_missing() -> None:
    hand = ordered()
    hand.private(trade(hand.order.client_order_id, 1, "1", "2", q="2"))  # the venue counts 2, and sends a fill of 1
    hand.answers["fills"] = []
    hand.run(70)
    assert books(hand).get("is_settled") is False
    assert books(hand)["expected"] == "0"


def ordered(quantity: str = "2", **settings: Any) -> ByHand:
    hand = session(parameters={"size": quantity}, **settings)
    return hand.answer(hand.seq_of("place"), shown(hand.order.client_order_id, origQty=quantity))


def bought(quantity: str, **settings: Any) -> ByHand:
    """It bought at 90, and the venue's balances say so too."""
    hand = ordered(quantity, **settings)
    name = hand.order.client_order_id
    hand.private(trade(name, 1, quantity, quantity, "FILLED", q=quantity, T=hand.now_ns // 1_000_000))
    hand.answers["account"] = balances(BTC=str(1 + D(quantity)), USDT=str(1000 - 90 * D(quantity)))
    hand.answers["fills"] = [row(1, quantity)]
    return hand


def test_balances_that_contracts_settle_in_are_not_compared() -> None:
    """A contract of 10 BTC was bought: of the balances only the fee moves, and no fill of spot explains that."""
    contract = replace(BTC, contract="PERPETUAL", contract_size=D(10), margin="USDT")
    hand = session(parameters={"size": "2"}, instruments=(contract,))
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name, origQty="2"))
    hand.private(trade(name, 1, "2", "2", "FILLED", q="2", n="0.4", N="USDT", T=hand.now_ns // 1_000_000))
    hand.answers |= {"account": balances(BTC="1", USDT="999.6"), "fills": [row(1, "2")]}
    hand.run(130)
    assert (hand.mode, hand.facts("balance_drift"), books(hand)["drift"]) == (Mode.RUNNING, [], "0")
    [line] = [fact for fact in hand.facts("pnl")[-1:] if fact["strategy"] == "hand"]
    assert (line["unrealised_pnl"], line["fees_quote"]) == ("200", "0.4"), "2 * 10 * (100 - 90)"


# ---- when a round begins -------------------------------------------------------------------------


def rounds_begun(hand: ByHand) -> int:
    return len(hand.asked("open_orders"))


@pytest.mark.parametrize(("errors", "limit", "begins"), [(3, 3, True), (2, 3, False), (3, 0, False)])
def test_g7_a_burst_of_errors_starts_a_round(errors: int, limit: int, begins: bool, tmp_path: Path) -> None:
    safeguards = replace(ByHand.__init__.__kwdefaults__["safeguards"], error_burst_max=limit)
    hand = session(parameters={"orders": errors}, safeguards=safeguards)
    before = rounds_begun(hand)
    for _ in range(errors):
        hand.answer(hand.seq_of("place"), (400, {"code": -2010, "msg": "insufficient balance"})).quote()
    hand.run(2)
    assert rounds_begun(hand) - before == begins
    texts = [text for text in hand.notes("warning") if "errors of orders" in text]
    assert texts == (["3 errors of orders in a short time: the account is reconciled"] if begins else [])
    hand.run(5)
    assert rounds_begun(hand) - before == begins, "the start of a round begins the count again"
    hand.prove(tmp_path / "session")


def test_errors_that_are_far_apart_are_no_burst() -> None:
    safeguards = replace(ByHand.__init__.__kwdefaults__["safeguards"], error_burst_max=2, window_ns=3_000_000_000)
    hand = session(parameters={"orders": 2}, safeguards=safeguards)
    before = rounds_begun(hand)
    hand.answer(hand.seq_of("place"), (400, {"code": -2010, "msg": "insufficient balance"})).run(10)
    hand.answer(hand.seq_of("place"), (400, {"code": -2010, "msg": "insufficient balance"})).run(2)
    assert rounds_begun(hand) == before


def test_g5_a_person_orders_a_round(tmp_path: Path) -> None:
    hand = session().run(10)
    before = rounds_begun(hand)
    hand.command("reconcile", "before the news").run(1)
    assert rounds_begun(hand) == before + 1
    hand.prove(tmp_path / "session")
    assert "reconcile by test before the news" in read_rounds(tmp_path / "session")[-1].why


# ---- the report ----------------------------------------------------------------------------------


def lost_fill(folder: Path) -> ByHand:
    """Let a fill get lost on the stream; a round that a person orders finds it, and the new balances."""
    hand = ordered()
    hand.answers["account"] = balances(BTC="3", USDT="820")
    hand.answers["open_orders"] = []
    hand.answers["query_order"] = shown(hand.order.client_order_id, "FILLED", "2", origQty="2")
    hand.answers["fills"] = [row(1, "2", time=hand.now_ns // 1_000_000)]
    hand.command("reconcile").run(1)
    assert hand.position() == 2
    hand.prove(folder)
    return hand


def test_a_round_states_its_queries_findings_and_changes(tmp_path: Path) -> None:
    hand = lost_fill(tmp_path / "session")
    found = read_rounds(tmp_path / "session")[-1]
    name = hand.order.client_order_id
    by_what = {each.what: each for each in found.queries}
    assert by_what["open_orders"].found == "0 open orders"
    assert by_what["account"].found == "2 balances"
    assert by_what[f"fills {BTC.id}"].found == "1 fills"
    assert by_what[f"query_order {name}"].found == "the order is filled, 2 filled"
    assert [text.partition(" [record")[0] for text in by_what[f"fills {BTC.id}"].changed][:1] == [
        "filled 2 at 90 as maker, no fee; fill 1"
    ]
    assert len(by_what["account"].changed) == 2, "both balances"
    assert found.outcome == "changed fills 1, balances 2"
    assert found.failed == ""
    assert found.ended_seq > found.began_seq


def test_verbatim_reconcile_prints_the_rounds_and_the_last_one_in_full(tmp_path: Path) -> None:
    lost_fill(tmp_path / "session")
    result = CliRunner().invoke(main, ["reconcile", str(tmp_path / "session")])
    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert [line.split()[:2] for line in lines[:2]] == [["round", "1"], ["round", "2"]]
    assert lines[0].endswith("changed balances 2")
    assert any(line.startswith("round 2, 2024-08-08T") and line.endswith("after: reconcile by test") for line in lines)
    assert sum(line.startswith("  queried  ") for line in lines) == sum(
        line.startswith("  found    ") for line in lines
    )
    assert any(line.startswith("  equity: ") and " drift 0" in line for line in lines)
    assert "  positions: 1 are the sums of their fills" in lines
    found = json.loads(CliRunner().invoke(main, ["reconcile", str(tmp_path / "session"), "--json"]).output)
    assert [each["number"] for each in found] == [1, 2]
    assert found[1]["books"]["drift"] == "0"


def test_a_round_that_failed_says_why_and_ends_with_1(tmp_path: Path) -> None:
    hand = session().run(10)
    hand.answers["open_orders"] = (500, {"code": -1000, "msg": "down"})
    hand.command("reconcile").run(1)
    hand.prove(tmp_path / "session")
    result = CliRunner().invoke(main, ["reconcile", str(tmp_path / "session"), "--round", "2"])
    assert result.exit_code == 1
    assert "failed: open_orders: " in result.output
    missing = CliRunner().invoke(main, ["reconcile", str(tmp_path / "session"), "--round", "9"])
    assert (missing.exit_code, "no round 9" in missing.output) == (3, True)


def test_a_session_that_does_not_run_cannot_be_ordered_to_reconcile(tmp_path: Path) -> None:
    lost_fill(tmp_path / "20240808T235413Z-aaaaaaaa")
    result = CliRunner().invoke(main, ["reconcile", "aaaaaaaa", "--now", "--journals", str(tmp_path)])
    assert result.exit_code != 0
    assert "queried" not in result.output


def test_sessions_before_accounting_3_have_rounds_without_books(tmp_path: Path) -> None:
    hand = session(accounting=2).run(70)
    hand.prove(tmp_path / "session")
    rounds = read_rounds(tmp_path / "session")
    assert [each.outcome for each in rounds] == ["changed balances 2", "nothing to change"]
    assert {bool(each.books) for each in rounds} == {False}
    assert not any("equity" in line for each in rounds for line in round_report(each))
    assert sum(len(each.changed) for each in rounds[1].queries) == ZERO
