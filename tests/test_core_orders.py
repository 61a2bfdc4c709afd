"""Orders against everything that can come between: each message of the account written by hand (by_hand.py), in any
order.

After every step the rebuilding twin must agree; each test covers an error that would cost money.
"""

from decimal import Decimal

import pytest
from by_hand import BTC, ETH, PRIVATE, ByHand, report, row, shown, trade

from engine.lifecycle import Status
from engine.model import RateLimits
from engine.session_record import SECOND_NS, EngineSettings


def placed(**settings: object) -> tuple[ByHand, str, int]:
    """Return a session that has just requested its one order, the order's id, and the REQUEST's seq."""
    hand = ByHand(**settings).run(1.5)  # type: ignore[arg-type]  # ByHand checks them
    assert hand.mode == "running", hand.state.account.modes.reasons
    return hand, hand.order.client_order_id, hand.seq_of("place")


def opened(**settings: object) -> tuple[ByHand, str]:
    hand, name, seq = placed(**settings)
    hand.answer(seq, shown(name))
    assert hand.status() is Status.OPEN
    return hand, name


def test_an_answer_that_tells_no_status_leaves_no_order_unasked() -> None:
    """Query an order after the shortest answer (ACK), which has no status: otherwise it would be PENDING for ever."""
    hand, name, seq = placed()
    hand.answers["query_order"] = shown(name)
    hand.answer(seq, {"symbol": "BTCUSDT", "orderId": 7, "clientOrderId": name, "transactTime": 1, "orderListId": -1})
    assert hand.status() is Status.UNKNOWN
    assert hand.run(2).status() is Status.OPEN


def test_an_answer_about_another_order_proves_nothing_of_ours() -> None:
    hand, name, seq = placed()
    hand.answer(seq, shown("somebody-else", orderId=99))
    ours = hand.state.account.orders.get(name)
    assert ours is not None
    assert ours.status is Status.UNKNOWN


def test_a_cancel_answered_with_another_order_is_settled_and_asked_about() -> None:
    hand, name = opened()
    hand.command("cancel_all")
    hand.answers["query_order"] = shown(name, "CANCELED")
    hand.answer(hand.seq_of("cancel"), shown("x", "CANCELED", orderId=99, origClientOrderId="y"))
    ours = hand.state.account.orders.get(name)
    assert ours is not None
    assert (ours.status, ours.cancel_seq) == (Status.CANCELED, 0)


def test_a_late_not_found_proves_only_what_was_so_when_it_was_asked() -> None:
    """The answer to an early question may be on its way for long: the order may have been placed since."""
    hand, _name, seq = placed()
    hand.held.add("query_order")
    hand.answer(seq, outcome="timeout")
    hand.run(1)
    early = hand.seq_of("query_order")
    hand.run(20)
    hand.answer(early, (400, {"code": -2013, "msg": "Order does not exist."}))
    assert hand.status() is Status.UNKNOWN, "asked within the grace window"
    hand.run(2)
    hand.answer(hand.seq_of("query_order"), (400, {"code": -2013, "msg": "Order does not exist."}))
    assert hand.status() is Status.NOT_PLACED


def test_a_rejected_order_that_the_venue_lists_as_open_is_open() -> None:
    hand, name, seq = placed()
    hand.answer(seq, {"code": -1013, "msg": "Filter failure"}, status=400)
    assert hand.status() is Status.REJECTED
    hand.answers["open_orders"] = [shown(name)]
    hand.command("reconcile")
    assert hand.status() is Status.OPEN
    assert any("the venue has it" in note for note in hand.notes())


def test_an_order_that_ended_here_and_stays_open_there_halts() -> None:
    hand, name = opened()
    hand.private(report(name, "CANCELED", "CANCELED"))
    hand.answers["open_orders"] = [shown(name)]
    hand.command("reconcile")
    assert hand.mode == "running", "the venue's list may lag behind for a moment"
    hand.answers["query_order"] = shown(name)
    hand.run(15).command("reconcile")
    assert hand.mode == "syncing", "it is queried before anything halts"
    assert hand.run(12).mode == "halted"


def test_an_order_of_ours_that_is_in_no_journal_halts_also_when_the_stream_tells_of_it() -> None:
    hand = ByHand(parameters={"orders": 0}).run(2)
    hand.answers["query_order"] = shown("aaaaaaaa-hand-1-9999-0")
    hand.private(report("aaaaaaaa-hand-1-9999-0", "NEW", "NEW"))
    assert hand.mode == "halted"
    assert "records were lost" in hand.state.account.modes.reasons[0].text


# ---- others on the account ---------------------------------------------------------------------


def test_others_may_use_an_id_again() -> None:
    """Client ids are unique among open orders only: the second order is not the first one's late fill."""
    hand = ByHand(parameters={"orders": 0}).run(2)
    for number in (1, 2, 3):
        hand.private(report("web", "NEW", "NEW", i=number))
        hand.private(trade("web", number, "1.0", "1.0", "FILLED", i=number))
    assert hand.position("external") == 3
    assert [order.status.value for order in hand.orders] == ["filled"] * 3
    assert hand.notes() == []


def test_one_id_on_two_instruments_is_two_orders() -> None:
    hand = ByHand(parameters={"orders": 0}, instruments=(BTC, ETH)).run(2)
    hand.private(report("web", "NEW", "NEW", i=1))
    hand.private(trade("web", 5, "0.4", "0.4", s="ETHBTC", i=1))
    assert hand.position("external", ETH.id) == Decimal("0.4")
    assert hand.position("external", BTC.id) == 0
    assert len(hand.orders) == 2


def test_what_an_order_of_others_filled_before_we_came_is_not_booked() -> None:
    theirs = shown("web", "PARTIALLY_FILLED", "0.3", orderId=50)
    hand = ByHand(
        parameters={"orders": 0}, answers={"open_orders": [theirs], "fills": [row(9, "0.3", orderId=50)]}
    ).run(2)
    assert hand.position("external") == 0
    hand.answers["fills"] = []
    hand.private(trade("web", 10, "0.2", "0.5", i=50))
    assert hand.position("external") == Decimal("0.2")
    assert hand.run(70).mode == "running"


def test_many_fills_of_unknown_orders_are_asked_about_a_few_at_a_time() -> None:
    hand = ByHand(parameters={"orders": 0}).run(2)
    rows = [row(number, "0.1", orderId=1000 + number) for number in range(1, 101)]

    def page(request: object) -> list[dict[str, object]]:
        since = int(dict(request.unsigned.params).get("fromId", "0"))  # type: ignore[attr-defined]  # a RequestBody
        return [each for each in rows if int(each["id"]) >= since]

    hand.answers["fills"] = page
    hand.answers["query_order"] = lambda request: shown(
        "web" + dict(request.unsigned.params)["orderId"],
        "FILLED",
        "0.1",
        orderId=int(dict(request.unsigned.params)["orderId"]),
    )
    before = len(hand.records)
    hand.command("reconcile").run(2)
    assert hand.position("external") == 10
    assert len(hand.asked("query_order", before)) == 100
    assert len(hand.asked("fills", before)) <= 8


# ---- no storms ---------------------------------------------------------------------------------


def test_a_stop_whose_cancels_are_refused_asks_once_a_second() -> None:
    """Guard against a query per answer: it once made thousands of requests within the stop's 15 seconds."""
    hand, name = opened()
    hand.answers["cancel"] = (400, {"code": -2011, "msg": "Unknown order sent."})
    hand.answers["query_order"] = shown(name)
    before = len(hand.records)
    hand.command("stop").run(20)
    assert hand.state.account.modes.closing
    assert 2 <= len(hand.asked("cancel", before)) <= 16


def test_a_person_who_orders_all_cancelled_is_not_throttled_and_is_told_of_what_cannot_be() -> None:
    hand, name = opened(parameters={"orders": 1})
    hand.answers["query_order"] = shown(name)
    for _ in range(2):  # the first is refused, the second comes at once
        hand.command("cancel_all")
        hand.answer(hand.seq_of("cancel"), {"code": -2011, "msg": "Unknown order sent."}, status=400)
    assert len(hand.asked("cancel")) == 2
    hand.command("cancel_all").command("cancel_all")
    assert len(hand.asked("cancel")) == 3
    assert any("is not cancelled now: another request" in note for note in hand.notes("warning"))


def test_fills_that_the_list_does_not_have_yet_are_asked_for_once_a_second() -> None:
    """The list of trades may lag behind the order. The engine once queried it again after every answer, without end."""
    hand, name = opened()
    before = len(hand.records)
    hand.private(report(name, "CANCELED", "CANCELED", z="0.5", i=7))  # a TRADE report was lost
    hand.run(10)
    assert len(hand.asked("fills", before)) <= 13
    assert hand.mode == "syncing", "what we hold is known to be wrong"
    hand.answers["fills"] = [row(1, "0.5")]
    hand.run(40)
    assert hand.position() == Decimal("0.5")
    assert hand.mode == "running"


def test_a_query_that_fails_for_good_is_repeated_later_and_later() -> None:
    hand = ByHand(parameters={"orders": 0}).run(2)
    hand.answers["open_orders"] = [{"a stranger": "shape"}]
    before = len(hand.records)
    hand.command("reconcile").run(120)
    assert 4 <= len(hand.asked("open_orders", before)) <= 12
    hand.answers.clear()
    hand.run(35)
    assert hand.state.account.reconciling.failures == 0


def test_a_book_that_never_joins_does_not_spend_the_request_budget() -> None:
    hand = ByHand(parameters={"orders": 0}, answers={"depth": (500, {"code": -1000, "msg": "no"})}).run(49)
    weight = sum(request.unsigned.weight for request in hand.asked("depth") if request.unsigned is not None)
    assert 3000 < weight <= 5100


def test_the_request_budget_is_the_venues_own() -> None:
    """Found by the kill test: twenty sessions within a minute, and a venue that allows more than the documentation
    says.
    """
    hand = ByHand(
        parameters={"orders": 0},
        answers={"depth": (500, {"code": -1000, "msg": "no"})},
        rate_limits=RateLimits(weight_minute_max=100_000),
    ).run(49)
    weight = sum(request.unsigned.weight for request in hand.asked("depth") if request.unsigned is not None)
    assert weight > 6000
    budget = hand.state.account.limits.get("binance_spot")
    assert budget.rate_limits.weight_minute_max == 100_000
    again = ByHand(
        opening=hand.state, session="bbbbbbbb", now_ns=hand.now_ns
    )  # the used weight is carried over; the limit is today's
    budget = again.state.account.limits.get("binance_spot")
    assert budget.rate_limits.weight_minute_max == 6000
    assert budget.weight > 6000


def test_a_ban_is_respected_by_every_question_and_is_never_shortened() -> None:
    hand, name = opened()
    hand.command("cancel_all")
    hand.answer(hand.seq_of("cancel"), {"code": -1003, "msg": "banned"}, status=418, retry_after="60")
    banned = hand.state.account.limits.get("binance_spot").blocked_until_ns
    before = len(hand.records)
    hand.command("reconcile").command("cancel_all").private(report(name, "CANCELED", "CANCELED", z="0.5"))
    hand.down(PRIVATE).run(50)
    sent = [
        r for r in hand.records[before:] if r.kind.value == "REQUEST" and '"purpose":"connect"' not in (r.body or "")
    ]
    assert sent == []
    assert hand.state.account.limits.get("binance_spot").blocked_until_ns == banned
    hand.answers["fills"] = [row(1, "0.5")]
    hand.run(40)
    assert hand.mode == "paused", "all orders were cancelled for a person"
    assert hand.position() == Decimal("0.5")


@pytest.mark.slow
def test_a_shorter_wait_that_is_answered_later_does_not_end_a_ban() -> None:
    hand = ByHand(parameters={"orders": 0})
    hand.held |= {"open_orders", "account"}
    hand.run(1).command("reconcile")
    first, second = hand.seq_of("open_orders"), hand.seq_of("account")
    hand.answer(first, {"code": -1003, "msg": "banned"}, status=418, retry_after="600")
    until_ns = hand.state.account.limits.get("binance_spot").blocked_until_ns
    hand.answer(second, {"code": -1003, "msg": "slow down"}, status=429, retry_after="1")
    assert hand.state.account.limits.get("binance_spot").blocked_until_ns == until_ns
    hand.held.clear()
    assert hand.run(590).mode != "running"
    assert hand.run(60).mode == "running"


# ---- strange data ------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [row(1, "0.0"), row(1, "0.0", price="0.0"), row(0, "0.5")])
def test_a_fill_that_cannot_be_one_stops_nothing(told: dict[str, object]) -> None:
    hand, _name = opened()
    hand.answers["fills"] = [told]
    hand.command("reconcile").run(2)
    assert hand.mode == "running"


def test_a_private_frame_that_cannot_be_read_is_followed_by_a_question() -> None:
    """It may have been a fill. A flood of them is one question."""
    hand, name = opened()
    hand.run(15)
    hand.answers["fills"] = [row(1, "0.5")]
    before = len(hand.records)
    for _ in range(20):
        hand.private(report(name, "TRADE", "PARTIALLY_FILLED", l="a half"))
    assert hand.position() == Decimal("0.5")
    assert len(hand.asked("open_orders", before)) == 1


# ---- restarts, memory, balances ----------------------------------------------------------------


def test_a_closed_order_is_remembered_until_its_fills_are_confirmed() -> None:
    """Dropped before, the next page would book its fills a second time, as those of another program."""
    hand, name = opened(engine=EngineSettings(keep_closed_ns=5 * SECOND_NS, reconcile_every_ns=120 * SECOND_NS))
    hand.private(trade(name, 1, "1.0", "1.0", "FILLED"))
    hand.run(60)
    assert name in hand.state.account.orders.closed
    hand.answers["fills"] = [row(1, "1.0")]
    hand.answers["query_order"] = shown(name, "FILLED", "1.0")
    hand.run(150)
    assert name not in hand.state.account.orders.closed
    assert hand.position() == 1
    assert hand.position("external") == 0
    hand.private(trade(name, 1, "1.0", "1.0", "FILLED"))  # once more, long after
    assert hand.run(130).position("external") == 0
    assert hand.mode == "running"


def test_a_tombstone_is_kept_for_a_day_and_not_for_ever() -> None:
    hand, _name, seq = placed()
    hand.answer(seq, outcome="not_sent")
    assert hand.run(400).status() is Status.NOT_PLACED
    hand.now_ns += 24 * 3600 * SECOND_NS
    assert hand.run(2, quote=False).orders == []


def test_after_a_restart_locked_funds_are_not_counted_twice() -> None:
    hand, name = opened(parameters={"price": "90", "size": "6000"})  # 540,000 of 1,000,000
    account = {
        "canTrade": True,
        "updateTime": 0,
        "balances": [{"asset": "USDT", "free": "460000", "locked": "540000"}],
    }
    hand.answers["account"] = account
    hand.command("reconcile")
    again = hand.restart(
        parameters={"price": "90", "size": "5000", "orders": 2},
        answers={"account": account, "open_orders": [shown(name)]},
    ).run(3)
    assert [order.client_order_id[:8] for order in again.orders] == ["aaaaaaaa", "bbbbbbbb"]


def test_a_balance_that_was_on_its_way_while_we_asked_does_not_undo_the_answer() -> None:
    hand = ByHand(parameters={"orders": 0}).run(2)
    free = {"asset": "USDT", "free": "500", "locked": "0"}
    hand.answers["account"] = {"canTrade": True, "updateTime": 5_000, "balances": [free]}
    hand.command("reconcile")
    hand.private({"e": "outboundAccountPosition", "E": 1, "u": 4_000, "B": [{"a": "USDT", "f": "900", "l": "0"}]})
    assert hand.state.account.balances.get("USDT").free == 500
    hand.private({"e": "outboundAccountPosition", "E": 1, "u": 6_000, "B": [{"a": "USDT", "f": "700", "l": "0"}]})
    assert hand.state.account.balances.get("USDT").free == 700


def test_a_pause_outlives_a_restart_whoever_ordered_it() -> None:
    hand = ByHand().run(0.01)
    hand.command("pause").run(2)
    assert hand.mode == "paused"
    assert hand.restart().run(3).mode == "paused"


def test_a_clock_that_jumped_once_does_not_stop_trading_every_minute() -> None:
    hand = ByHand(parameters={"orders": 0}).run(2)
    rounds = []
    for drift_ms in (0, 400, 400, 410, 400, -100):
        hand.clock(drift_ms).run(2)
        rounds.append(hand.state.account.reconciling.round)
        assert hand.mode == "running"
    assert rounds == [1, 2, 2, 2, 2, 3]


def test_a_subscription_that_is_never_answered_is_requested_on_a_new_connection() -> None:
    hand = ByHand(parameters={"orders": 0}, held={"subscribe"}).run(15)
    assert hand.mode == "starting"
    assert len(hand.asked("subscribe")) == 2
    hand.held.clear()
    assert hand.run(25).mode == "running"


@pytest.mark.parametrize("order", ["fill first", "answer first"])
def test_a_fill_before_or_after_its_acknowledgement_is_one_fill(order: str) -> None:
    hand, name, seq = placed()
    fill = trade(name, 1, "1.0", "1.0", "FILLED")
    answer = shown(
        name,
        "FILLED",
        "1.0",
        fills=[{"price": "90", "qty": "1.0", "commission": "0", "commissionAsset": "BNB", "tradeId": 1}],
    )
    if order == "fill first":
        hand.private(fill).answer(seq, answer)
    else:
        hand.answer(seq, answer).private(fill)
    hand.private(fill)
    hand.answers["fills"] = [row(1, "1.0")]
    hand.command("reconcile")
    assert hand.position() == 1
    assert hand.status() is Status.FILLED
    assert hand.notes() == []


def test_a_market_order_that_runs_dry_keeps_what_it_filled() -> None:
    hand, name, seq = placed()
    hand.private(report(name, "NEW", "NEW")).private(trade(name, 1, "0.3", "0.3"))
    hand.private(report(name, "EXPIRED", "EXPIRED", z="0.3"))
    hand.answer(seq, shown(name, "EXPIRED", "0.3"))
    assert (hand.status(), hand.position()) == (Status.EXPIRED, Decimal("0.3"))
    assert hand.state.account.orders.missing_fills == ()


def test_two_pages_of_fills_are_walked_to_their_end() -> None:
    hand, name, _ = placed(parameters={"size": "2"})
    hand.answer(hand.seq_of("place"), shown(name, origQty="2.0"))
    rows = [row(number, "0.001") for number in range(1, 1501)]

    def page(request: object) -> list[dict[str, object]]:
        since = int(dict(request.unsigned.params).get("fromId", "0"))  # type: ignore[attr-defined]  # a RequestBody
        return [each for each in rows if int(each["id"]) >= since][:1000]

    hand.answers["fills"] = page
    hand.answers["open_orders"] = [shown(name, "PARTIALLY_FILLED", "1.5", origQty="2.0")]
    hand.command("reconcile").run(3)
    assert hand.position() == Decimal("1.5")
    assert hand.mode == "running"
