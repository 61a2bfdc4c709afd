"""Reducers of the account by hand, one change at a time: what each change sets, and what it leaves."""

from decimal import Decimal
from functools import partial

import pytest

from engine import facts
from engine.bodies import CommandBody, CommandName, LinkBody, LinkEvent, RequestBody, TimerBody
from engine.facts import SequencedStream
from engine.model import RateLimits
from engine.requests import LinkPhase, LinkPlan, LinkRole, Purpose, Transport, Unsigned
from engine.session_record import SECOND_NS, EngineSettings
from engine.state import (
    balances,
    links,
    market_gaps,
    pending_requests,
    rate_budgets,
    reconcile_rounds,
    strategy_states,
    timers,
)
from engine.state.changes import Answered, Commanded, LinkMoved, Requested, Stamp, TimerFired
from engine.state.fill_cursor import NUMBERED_FILLS

VENUE, LINK = "v", "v.market.0"
UP, DOWN = LinkMoved(LINK, LinkBody(LinkEvent.UP)), LinkMoved(LINK, LinkBody(LinkEvent.DOWN, "test"))
RESUME = Commanded(CommandBody(CommandName.RESUME))


def at(seq: int, seconds: float = 0) -> Stamp:
    return Stamp(seq, int(seconds * SECOND_NS))


def requested(purpose: Purpose, *, weight: int = 1, orders: int = 0, round_: int = 0, **fields: str) -> Requested:
    unsigned = Unsigned(Transport.REST, "GET", "/x", (), signed=True, weight=weight, orders=orders)
    return Requested(RequestBody(purpose, VENUE, False, 0, 0, unsigned, round=round_, **fields))  # type: ignore[arg-type]  # all are texts


def connect() -> Requested:
    return Requested(RequestBody(Purpose.CONNECT, VENUE, False, 0, 0, link=LinkPlan(LINK, LinkRole.MARKET, "/ws")))


# ---- balances -----------------------------------------------------------------------------------------


def test_a_balance_is_as_new_as_its_query_or_its_record() -> None:
    streamed = balances.reduce(balances.Balances(), facts.BalanceChanged("BTC", Decimal(3), Decimal(1)), at(7))
    assert (streamed.get("BTC").total, streamed.get("BTC").seq) == (4, 7)
    queried = balances.reduce(streamed, facts.BalanceChanged("BTC", Decimal(2), Decimal(0), query_seq=5), at(9))
    assert (queried.get("BTC").free, queried.get("BTC").seq) == (2, 5)
    assert (queried.get("ETH").total, queried.get("ETH").seq) == (0, -1)
    assert balances.reduce(queried, RESUME, at(10)) is queried


# ---- links --------------------------------------------------------------------------------------------


def test_a_link_opens_becomes_ready_and_counts_its_failures() -> None:
    state = links.reduce(links.LinkStates(), connect(), at(1))
    assert (state.by_source[LINK].state, state.all_ready(), state.has_account) == (LinkPhase.OPENING, False, False)
    state = links.reduce(state, facts.LinkReady(LINK), at(2))
    assert state.by_source[LINK].state is LinkPhase.OPENING, "only an open link becomes ready"
    for seq in (3, 4):
        state = links.reduce(state, DOWN, at(seq))
    assert (state.by_source[LINK].failures, state.by_source[LINK].up_seq) == (2, -1)
    state = links.reduce(state, UP, at(5))
    assert (state.by_source[LINK].up_seq, state.by_source[LINK].reconnects) == (5, 1)
    assert state.by_source[LINK].failures == 2, "a link that opens has not proved anything yet"
    state = links.reduce(state, facts.LinkReady(LINK), at(6))
    assert (state.all_ready(), state.by_source[LINK].failures) == (True, 0)


def test_a_link_that_was_never_requested_is_not_added() -> None:
    state = links.LinkStates()
    assert links.reduce(state, UP, at(1)) is state


# ---- pending requests ---------------------------------------------------------------------------------


def test_a_request_is_pending_until_its_answer() -> None:
    state = pending_requests.reduce(
        pending_requests.PendingRequests(), requested(Purpose.QUERY_ORDER, client_order_id="o"), at(3)
    )
    assert state.for_order("o") is state.find(Purpose.QUERY_ORDER)
    assert state.find(Purpose.QUERY_ORDER, client_order_id="other") is None
    assert pending_requests.reduce(state, Answered(2, VENUE, "answer"), at(4)) is state
    state = pending_requests.reduce(state, Answered(3, VENUE, "answer"), at(5))
    assert state.by_seq == {}


def test_a_lost_link_ends_the_subscriptions_sent_over_it_and_nothing_else() -> None:
    state = pending_requests.PendingRequests()
    for seq, change in enumerate((requested(Purpose.SUBSCRIBE, source=LINK), requested(Purpose.ACCOUNT), connect())):
        state = pending_requests.reduce(state, change, at(seq))
    assert set(state.by_seq) == {0, 1}, "a connect ends in a LINK record"
    assert set(pending_requests.reduce(state, DOWN, at(9)).by_seq) == {1}


# ---- strategies ---------------------------------------------------------------------------------------


def test_a_strategy_that_stopped_keeps_its_state_and_a_person_resumes_it() -> None:
    state = strategy_states.StrategyStatuses()
    state = strategy_states.reduce(state, facts.StrategyChanged("s", {"a": 1, "b": 2}), at(1))
    state = strategy_states.reduce(state, facts.StrategyChanged("s", {"b": 3}), at(2))
    state = strategy_states.reduce(state, facts.StrategyStopped("s", "ZeroDivisionError"), at(3))
    assert state.get("s") == strategy_states.StrategyStatus({"a": 1, "b": 3}, "ZeroDivisionError")
    assert strategy_states.reduce(state, Commanded(CommandBody(CommandName.PAUSE)), at(4)) is state
    assert strategy_states.reduce(state, RESUME, at(5)).get("s").stopped_for == ""


# ---- gaps ---------------------------------------------------------------------------------------------


def test_a_gap_of_a_link_lasts_and_one_in_ids_does_not() -> None:
    lost = facts.MarketGap(LINK, "lost", 5, 2)
    state = market_gaps.reduce(market_gaps.OpenGaps(), lost, at(3))
    assert state.open[LINK] == market_gaps.OpenGap(3, lost)
    in_ids = facts.MarketGap(LINK, "trade ids are missing", 5, 2, 6, 4, "i", SequencedStream.TRADE, 1, 3)
    assert market_gaps.reduce(state, in_ids, at(4)) is state
    other = market_gaps.gap_ended(facts.MarketGap("v.market.1", "lost", 5, 2), time_ns=8, seq=6)
    assert market_gaps.reduce(state, other, at(5)).open == state.open
    ended = market_gaps.gap_ended(lost, time_ns=8, seq=6)
    assert (ended.to_ns, ended.to_seq) == (8, 6)
    assert market_gaps.reduce(state, ended, at(6)).open == {}


# ---- rounds of reconciliation -------------------------------------------------------------------------


def test_a_round_counts_from_its_start_and_a_failed_one_confirms_nothing() -> None:
    rounds = reconcile_rounds.ReconcileRounds()
    for seq in (10, 11):  # a round has several queries
        rounds = reconcile_rounds.reduce(rounds, requested(Purpose.FILLS, round_=1, instrument="i"), at(seq, seq))
    assert (rounds.running, rounds.started_seq, rounds.fills_queried_ns) == (True, 10, {"i": 11 * SECOND_NS})
    done = reconcile_rounds.reduce(rounds, facts.Reconciled(1, 0), at(15, 15))
    assert (done.running, done.done_started_seq, done.done_ns) == (False, 10, 15 * SECOND_NS)
    failed = reconcile_rounds.reduce(rounds, facts.ReconcileFailed(1, "r"), at(15))
    assert (failed.running, failed.done_started_seq, failed.failures) == (False, -1, 1)
    assert reconcile_rounds.reduce(failed, UP, at(16)).failures == 0


def test_the_confirmed_cursor_is_text_in_either_form() -> None:
    rounds = reconcile_rounds.ReconcileRounds()
    assert rounds.confirmed_cursor("i") is None
    for recorded, cursor in ((42, "42"), ("TX1", "TX1")):
        assert (
            reconcile_rounds.reduce(rounds, facts.FillsConfirmed("i", recorded), at(1)).confirmed_cursor("i") == cursor
        )


def test_numbered_fills_sort_by_number() -> None:
    assert sorted(["10", "9", NUMBERED_FILLS.start], key=NUMBERED_FILLS.key) == ["-1", "9", "10"]
    assert NUMBERED_FILLS.before("10") == "9"


# ---- rate budgets -------------------------------------------------------------------------------------

spend = partial(rate_budgets.reduce, rates={})


def test_a_budget_counts_weight_by_the_minute_and_orders_by_ten_seconds() -> None:
    budgets = rate_budgets.allowed(rate_budgets.RateBudgets(), VENUE, RateLimits(100, 2))
    for second in (1, 2):
        budgets = spend(budgets, requested(Purpose.PLACE, weight=40, orders=1), at(second, second))
    budget, model = budgets.get(VENUE), rate_budgets.FIXED_WINDOWS
    assert (budget.weight, budget.orders) == (80, 2)
    assert not model.is_exhausted(budget, 3 * SECOND_NS), "four fifths are for queries"
    assert model.reject_reason(budget, 3 * SECOND_NS) == "2 orders within 10 s"
    assert model.reject_reason(budget, 10 * SECOND_NS) == ""
    more = spend(budgets, Answered(2, VENUE, "answer", weight_used=81), at(3, 3)).get(VENUE)
    assert model.is_exhausted(more, 4 * SECOND_NS)
    assert model.reject_reason(more, 4 * SECOND_NS).startswith("request weight 81 of 100")
    assert not model.is_exhausted(more, 60 * SECOND_NS), "the next minute begins with nothing used"
    less = spend(budgets, Answered(2, VENUE, "answer", weight_used=3), at(3, 3)).get(VENUE)
    assert less.weight == 80, "the venue's count may be older than ours"


def test_a_block_is_never_shortened() -> None:
    budgets = spend(rate_budgets.RateBudgets(), facts.RateBlocked(VENUE, 50, "banned"), at(1))
    assert spend(budgets, facts.RateBlocked(VENUE, 40, "wait"), at(2)) is budgets
    assert spend(budgets, facts.RateBlocked(VENUE, 60, "wait"), at(2)).get(VENUE).blocked_until_ns == 60
    assert spend(budgets, facts.ClockMeasured(VENUE, -7), at(3)).get(VENUE).clock_offset_ns == -7


# ---- timers -------------------------------------------------------------------------------------------

SETTINGS = EngineSettings()
tick = partial(timers.reduce, settings=SETTINGS, recurring={"check": SECOND_NS}, seed=1)


def test_a_recurring_timer_is_set_again_beyond_the_periods_that_it_missed() -> None:
    state = tick(timers.Timers(), TimerFired(TimerBody("check", 5 * SECOND_NS, missed=2)), at(1, 7.5))
    assert state.next() == (8 * SECOND_NS, "check")
    assert tick(state, TimerFired(TimerBody("stop", 1)), at(2)).due_ns == state.due_ns


def test_each_loss_of_a_link_doubles_the_wait_until_the_link_is_steady() -> None:
    state, waits = timers.Timers(), []
    for seq in range(4):
        state = tick(state, DOWN, at(seq))
        waits.append(state.due_ns[f"connect.{LINK}"])
    first = SETTINGS.backoff_first_ns
    assert all(first * 2**n // 2 <= wait <= first * 2**n for n, wait in enumerate(waits)), waits
    steady = tick(state, facts.LinkSteady(LINK), at(9))
    assert tick(steady, DOWN, at(10)).due_ns[f"connect.{LINK}"] == waits[0], "the same seed waits as long"


@pytest.mark.parametrize(
    ("change", "name", "wait_ns"),
    [
        (facts.OrderUnknown("o", "cut", 0), "query.o", SETTINGS.order_query_interval_ns // 2),
        (requested(Purpose.QUERY_ORDER, client_order_id="o"), "query.o", SETTINGS.order_query_interval_ns),
        (requested(Purpose.DEPTH, instrument="i"), "depth.i", SETTINGS.order_query_interval_ns),
        (Commanded(CommandBody(CommandName.STOP)), "stop", SETTINGS.stop_timeout_ns),
        (facts.Reconciled(1, 0), "reconcile", SETTINGS.reconcile_every_ns),
        (facts.ReconcileFailed(1, "r"), "reconcile", SETTINGS.order_query_interval_ns),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_change_sets_its_timer(change: object, name: str, wait_ns: int) -> None:
    state = tick(timers.Timers(), change, at(1, 10))  # type: ignore[arg-type]  # each is a change
    assert state.next() == (10 * SECOND_NS + wait_ns, name)


def test_a_second_stop_does_not_extend_the_first() -> None:
    stop = Commanded(CommandBody(CommandName.STOP))
    state = tick(timers.Timers(), stop, at(1, 10))
    assert tick(state, stop, at(2, 11)) is state


def test_timers_that_are_due_together_fire_by_kind() -> None:
    state = timers.Timers({"stop": 5, "query.o": 5, "check": 9}, {}, 5)
    assert state.next() == (5, "query.o")
