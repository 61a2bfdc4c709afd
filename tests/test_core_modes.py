"""Each reason for not trading: its fault strikes, the mode is left, and the reason says what it concerns.

One test a reason, named in REASONS with the words that people read; tests/test_core_mutants.py takes each reason away
in turn.
"""

from collections.abc import Callable
from decimal import Decimal
from inspect import signature
from pathlib import Path

import pytest
import test_futures_account as futures
import test_reconcile_rounds as rounds
from by_hand import BTC, ETH, PRIVATE, ByHand, report, shown, trade

from engine.bodies import CommandBody, CommandName, LinkBody, LinkEvent
from engine.errors import CoreError
from engine.mode_reasons import Mode, ReasonCode, key_refused
from engine.record_codec import text_of
from engine.risk_settings import LossAction
from engine.sequencer import Arrival
from engine.session_record import EngineSettings, RiskSettings, new_engine_settings, newest_risk
from engine.state.mode import right_mode
from journal.record import Kind

NONE = {"orders": 0}
STUMBLING = """
from engine.venues.binance_spot import BinanceSpot
from engine.venues.binance_spot.account import SpotAccount


class StumblingAccount(SpotAccount):
    def place(self, *order):
        raise RuntimeError("no words for an order")


class Stumbling(BinanceSpot):
    def __init__(self, instruments, recv_window_ms=5000):
        super().__init__(instruments, recv_window_ms)
        self.account = StumblingAccount(recv_window_ms)
"""


def reasons(hand: ByHand) -> list[str]:
    return [str(reason) for reason in hand.state.account.modes.reasons]


def reasons_so_far(hand: ByHand) -> set[str]:
    return {reason["text"] for fact in hand.facts("mode") for reason in fact["reasons"]}


def test_a_link_that_is_down_ends_trading() -> None:
    hand = ByHand(parameters=NONE).run(1)
    assert hand.mode == Mode.RUNNING
    hand.held.add("connect")
    hand.down(PRIVATE)
    assert (hand.mode, reasons(hand)[0]) == (Mode.SYNCING, "binance_spot.private.0 is down")


def test_a_wait_that_the_venue_demands_ends_trading_for_as_long() -> None:
    hand = ByHand().run(0.5)
    hand.answer(hand.seq_of("place"), {"code": -1003, "msg": "Too many requests"}, status=429, Retry_After="30")
    assert (hand.mode, reasons(hand)) == (Mode.SYNCING, ["binance_spot asked us to wait: -1003 Too many requests"])
    assert hand.run(31).mode == Mode.RUNNING


def test_a_clock_that_jumped_ends_trading_until_a_reconciliation() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.held.add("open_orders")
    hand.clock(300)
    assert (hand.mode, reasons(hand)) == (Mode.SYNCING, ["not reconciled"])
    hand.answer(hand.seq_of("open_orders"), [])
    assert hand.mode == Mode.RUNNING


def test_a_fill_that_stays_missing_ends_trading() -> None:
    hand = ByHand().run(0.5)
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name, "PARTIALLY_FILLED", "0.4"))
    assert hand.mode == Mode.RUNNING, "a fill may come a little after the report that counts it"
    hand.run(3)
    assert (hand.mode, reasons(hand)) == (Mode.SYNCING, [f"order {name} filled more than the fills we have say"])


def test_a_session_waits_for_its_books() -> None:
    hand = ByHand(parameters=NONE, held={"depth"}).run(1)
    assert (hand.mode, reasons(hand)) == (Mode.SYNCING, [f"{BTC.id} has no synchronised book"])


def test_a_session_without_books_waits_for_quotes() -> None:
    hand = ByHand(parameters=NONE, engine=EngineSettings(books=False))
    assert f"{BTC.id} has no quote" in reasons_so_far(hand)
    assert hand.run(1).mode == Mode.RUNNING


def test_a_person_pauses_and_resumes() -> None:
    hand = ByHand(parameters=NONE).run(1).command("pause")
    assert (hand.mode, reasons(hand)) == (Mode.PAUSED, ["paused by test"])
    assert hand.command("resume").run(1).mode == Mode.RUNNING


def test_a_safety_order_pauses_until_a_person_resumes() -> None:
    hand = ByHand(parameters=NONE).run(1).command("cancel_all").run(1)
    assert (hand.mode, reasons(hand)) == (Mode.PAUSED, ["all orders were cancelled for test: resume places again"])
    assert hand.command("resume").run(1).mode == Mode.RUNNING


def test_a_person_halts_and_only_a_person_resumes() -> None:
    hand = ByHand(parameters=NONE).run(1).command("halt").run(5)
    assert (hand.mode, reasons(hand)) == (Mode.HALTED, ["ordered by test"])
    assert hand.command("resume").run(1).mode == Mode.RUNNING


def test_a_key_that_the_venue_refuses_halts() -> None:
    hand = ByHand(parameters=NONE).run(1)
    reason = key_refused("binance_spot", "-2015 Invalid API-key")
    hand.take(Arrival(Kind.COMMAND, "control", body=text_of(CommandBody(CommandName.HALT, "shell", str(reason)))))
    assert (hand.mode, reasons(hand)) == (Mode.HALTED, ["binance_spot refused our key: -2015 Invalid API-key"])


def test_a_quote_off_the_grid_halts() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.best(BTC, {"b": "99.005", "B": "1.0", "a": "101.00", "A": "1.0"})
    assert hand.mode == Mode.HALTED
    assert "a price or size is off the instrument's grid" in reasons(hand)[0]


def test_an_order_about_which_the_venue_contradicts_us_ends_trading_until_it_agrees() -> None:
    hand = ByHand().run(0.5)
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name)).private(report(name, "CANCELED", "CANCELED"))
    hand.answers |= {"open_orders": [shown(name)], "query_order": shown(name)}
    hand.run(15).command("reconcile")
    text = f"order {name} is canceled here, and open at the venue: it is queried"
    assert hand.mode == Mode.SYNCING
    assert text in reasons(hand)
    hand.answers |= {"open_orders": [], "query_order": shown(name, "CANCELED")}
    assert hand.run(3).mode == Mode.RUNNING


def test_one_refusal_of_access_ends_trading_for_a_minute() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.answers["account"] = lambda _: (403, None)
    hand.command("reconcile")
    assert hand.mode == Mode.SYNCING
    assert "binance_spot refused access: a refusal without text" in reasons(hand)
    del hand.answers["account"]
    assert hand.run(62).mode == Mode.RUNNING


def test_an_order_of_ours_that_no_journal_has_halts() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.answers["query_order"] = shown("aaaaaaaa-hand-1-9999-0")
    hand.private(report("aaaaaaaa-hand-1-9999-0", "NEW", "NEW"))
    assert hand.mode == Mode.HALTED
    assert "bears our mark and is in no journal" in reasons(hand)[0]


def test_an_order_that_ended_here_and_stays_open_at_the_venue_halts() -> None:
    hand = ByHand().run(0.5)
    name = hand.order.client_order_id
    hand.answer(hand.seq_of("place"), shown(name)).private(report(name, "CANCELED", "CANCELED"))
    hand.answers |= {"open_orders": [shown(name)], "query_order": shown(name)}
    hand.run(15).command("reconcile").run(12)
    assert (hand.mode, reasons(hand)) == (Mode.HALTED, [f"order {name} is canceled here, and open at the venue"])


def test_a_balance_that_contradicts_our_records_halts() -> None:
    def answer(usdt: str) -> dict[str, object]:
        return {"canTrade": True, "balances": [{"asset": "USDT", "free": usdt, "locked": "0"}], "updateTime": 0}

    hand = ByHand(parameters=NONE, answers={"account": answer("1000")}, accounting=2).run(10)
    hand.answers["account"] = answer("0")
    hand.run(130)
    assert hand.mode == Mode.HALTED
    assert "USDT: the venue reports 0 in record" in reasons(hand)[0]


def test_an_error_of_the_core_halts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stumbling_venue.py").write_text(STUMBLING)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CoreError, match="no words for an order") as error:
        ByHand(dialect="stumbling_venue:Stumbling").run(1)
    assert any('"mode":"halted"' in (record.body or "") for record in error.value.outputs)


def test_one_blocked_instrument_is_a_reason_beside_running() -> None:
    session = ByHand(instruments=(BTC, ETH), engine=new_engine_settings(), held={"depth"})
    first = session.seq_of("depth")
    session.answer(first, session._quiet(session.waiting[first])).quote()
    assert (session.mode, reasons(session)) == (Mode.RUNNING, [f"{BTC.id} is blocked: no synchronised book"])


def test_an_account_that_may_not_trade_is_not_running() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.answers["account"] = {"canTrade": False, "balances": [], "updateTime": 0}
    hand.command("reconcile").run(1)
    assert (hand.mode, reasons(hand)) == (Mode.SYNCING, ["binance_spot says that the account may not trade"])
    del hand.answers["account"]
    assert hand.run(70).mode == Mode.RUNNING, "the venue allows it again"


def test_an_order_with_the_mark_of_another_engine_of_ours_halts() -> None:
    hand = ByHand(parameters=NONE, engine=new_engine_settings()).run(1.5)
    hand.private(report("zzzzzzzz-quoter-1-871-0", "NEW", "NEW"))
    assert hand.mode == Mode.HALTED
    [reason] = reasons(hand)
    assert "bears the mark of session zzzzzzzz" in reason


def test_an_engine_that_is_late_pauses_and_resumes_by_itself() -> None:
    hand = ByHand(parameters=NONE).run(1)
    hand.take(Arrival(Kind.LINK, "ingress", body=text_of(LinkBody(LinkEvent.LATE, age_ns=3_000_000_000, waiting=7))))
    assert (hand.mode, reasons(hand)) == (
        Mode.PAUSED,
        ["late: the engine processes messages 3.0 s old, 7 messages wait"],
    )
    hand.take(Arrival(Kind.LINK, "ingress", body=text_of(LinkBody(LinkEvent.CAUGHT_UP))))
    assert hand.mode == Mode.RUNNING


# reason -> what people read, and the test that shows it
def test_a_loss_at_its_limit_halts() -> None:
    """tests/test_loss_limits.py has the record at which it does."""
    risk = newest_risk(RiskSettings(daily_loss_max=Decimal(10), on_loss=LossAction.HALT))
    session = ByHand(risk=risk).run(2)
    session.answer(session.seq_of("place"), shown(session.order.client_order_id))
    session.private(trade(session.order.client_order_id, 1, "1", "1", "FILLED"))
    session.best(BTC, {"b": "79.00", "B": "1.0", "a": "81.00", "A": "1.0"})
    assert session.mode == "halted"
    session.run(5)
    assert session.mode == "halted"
    assert session.command("resume").run(5).mode == "running"


REASONS: dict[ReasonCode, tuple[str, Callable[..., None]]] = {
    ReasonCode.LINK_NOT_READY: (r" is (down|connecting|up)$", test_a_link_that_is_down_ends_trading),
    ReasonCode.VENUE_BLOCKED: (r" asked us to wait: ", test_a_wait_that_the_venue_demands_ends_trading_for_as_long),
    ReasonCode.NOT_RECONCILED: (r"^not reconciled$", test_a_clock_that_jumped_ends_trading_until_a_reconciliation),
    ReasonCode.FILLS_MISSING: (r" filled more than the fills ", test_a_fill_that_stays_missing_ends_trading),
    ReasonCode.TRADING_FORBIDDEN: (
        r" says that the account may not trade$",
        test_an_account_that_may_not_trade_is_not_running,
    ),
    ReasonCode.NO_BOOK: (r" has no synchronised book$", test_a_session_waits_for_its_books),
    ReasonCode.NO_QUOTE: (r" has no quote$", test_a_session_without_books_waits_for_quotes),
    ReasonCode.INSTRUMENT_BLOCKED: (
        r" is blocked: no synchronised book$",
        test_one_blocked_instrument_is_a_reason_beside_running,
    ),
    ReasonCode.PAUSED: (r"^paused by ", test_a_person_pauses_and_resumes),
    ReasonCode.LATE: (r"^late: ", test_an_engine_that_is_late_pauses_and_resumes_by_itself),
    ReasonCode.SAFETY_ORDER: (
        r"^(all orders were cancelled for|cancel all orders)",
        test_a_safety_order_pauses_until_a_person_resumes,
    ),
    ReasonCode.HALT_ORDERED: (r"^ordered by ", test_a_person_halts_and_only_a_person_resumes),
    ReasonCode.ORDER_DOUBTED: (
        r": it is queried$",
        test_an_order_about_which_the_venue_contradicts_us_ends_trading_until_it_agrees,
    ),
    ReasonCode.ACCESS_REFUSED: (r" refused access: ", test_one_refusal_of_access_ends_trading_for_a_minute),
    ReasonCode.KEY_REFUSED: (r" refused our key: ", test_a_key_that_the_venue_refuses_halts),
    ReasonCode.LOSS_LIMIT: (r"^the loss of this UTC day is ", test_a_loss_at_its_limit_halts),
    ReasonCode.MARKET_DATA_INVALID: (r" is off the instrument's grid ", test_a_quote_off_the_grid_halts),
    ReasonCode.RECORDS_LOST: (r" is in no journal", test_an_order_of_ours_that_no_journal_has_halts),
    ReasonCode.ORDER_CONTRADICTED: (
        r" is \w+ here, and ",
        test_an_order_that_ended_here_and_stays_open_at_the_venue_halts,
    ),
    ReasonCode.BALANCE_DRIFT: (r"^USDT: the venue reports ", test_a_balance_that_contradicts_our_records_halts),
    ReasonCode.EQUITY_DRIFT: (
        r"^equity: the venue's ",
        rounds.test_g9_differences_that_each_balance_tolerates_reach_the_limit_of_equity_together,
    ),
    ReasonCode.POSITION_DRIFT: (
        r"^fills and positions differ: ",
        rounds.test_g13_a_position_that_is_not_the_sum_of_its_fills_halts,
    ),
    ReasonCode.RIVAL_ENGINE: (
        r" bears the mark of session ",
        test_an_order_with_the_mark_of_another_engine_of_ours_halts,
    ),
    ReasonCode.POSITION_FORCED: (
        r"^liquidation: the venue closes ",
        futures.test_a_liquidation_closes_the_holders_position_and_halts,
    ),
    ReasonCode.CORE_FAILED: (r" broke the core: ", test_an_error_of_the_core_halts),
}


def test_every_reason_has_its_test() -> None:
    assert REASONS.keys() == set(ReasonCode) - {ReasonCode.UNCLASSIFIED}


def test_the_policy_knows_every_input_of_the_mode() -> None:
    # a step skips the policy while these stay as they are: a new input must also enter handlers/policy.py
    compared = {"modes", "links", "reconciling", "access", "safety", "blocks", "forbidden", "late"}  # _quiet_parts
    compared |= {"accounts"}  # the reasons of account_modes
    looked_into = {"orders", "limits", "market_reasons", "is_all_blocked", "time_ns"}  # _is_quiet
    assert set(signature(right_mode).parameters) == compared | looked_into
