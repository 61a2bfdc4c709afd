"""Our own lateness: a backlog is not decided on as if it were now, a slow strategy is named and stopped, and no feed is
blamed for messages that we did not read.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from by_hand import BTC, MARKET, ByHand, shown
from calm_venue import CalmVenue

from engine.bodies import LinkBody, LinkEvent
from engine.errors import DecisionCutError
from engine.live.decision_watch import DecisionWatch
from engine.live.lag_meter import LagMeter
from engine.mode_reasons import Mode
from engine.record_codec import read_link, text_of
from engine.sequencer import Arrival
from engine.session_record import SECOND_NS, EngineSettings, new_engine_settings
from journal.reader import Journal
from journal.record import Kind
from replay.record_text import describe
from replay.replay import replay_session
from verbatim.testing import VirtualSession, from_sources

NONE = {"orders": 0}
SLOW = """
from dataclasses import dataclass
from decimal import Decimal

from verbatim import OnQuote, Place, Side


class Slow:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=1000)

    @dataclass
    class Parameters:
        endless_at: int = 3

    @dataclass
    class State:
        decisions: int = 0

    @staticmethod
    def decide(view, state, parameters):
        state.decisions += 1
        while state.decisions == parameters.endless_at:
            pass
        quote = view.quote("BTCUSDT")
        return [Place("BTCUSDT", Side.BUY, Decimal("0.001"), (quote.bid * Decimal("0.9")).quantize(Decimal("0.01")))]
"""


def lag(hand: ByHand, state: str, **measured: Any) -> ByHand:
    return hand.take(Arrival(Kind.LINK, "ingress", body=text_of(LinkBody(LinkEvent(state), **measured))))


def overrun(hand: ByHand, seconds: float) -> ByHand:
    body = LinkBody(LinkEvent.OVERRUN, strategy="hand", spent_ns=int(seconds * SECOND_NS))
    return hand.take(Arrival(Kind.LINK, "decisions", body=text_of(body)))


# ---- lateness is an input ----------------------------------------------------------------------------


def test_slow_consumer_while_late_no_order_leaves_and_trading_resumes_by_itself() -> None:
    hand = ByHand(parameters=NONE, engine=new_engine_settings()).run(1)
    lag(hand, "late", age_ns=3 * SECOND_NS, waiting=1200)
    assert hand.mode == Mode.PAUSED
    assert [str(reason) for reason in hand.state.account.modes.reasons] == [
        "late: the engine processes messages 3.0 s old, 1,200 messages wait"
    ]
    hand.quote().quote()
    assert hand.asked("place") == []
    [late] = hand.notes("warning")
    assert late.startswith("the engine is late: it processes messages 3.0 s old and 1,200 messages wait; no new order ")

    lag(hand, "caught_up", age_ns=4 * SECOND_NS)
    assert hand.mode == Mode.RUNNING
    assert hand.notes("info")[-1] == "the engine caught up after being late for 4.0 s"


def test_a_strategy_that_wants_to_trade_waits_while_the_engine_is_late() -> None:
    hand = ByHand(parameters={"orders": 1}, engine=new_engine_settings(), held={"depth"})
    lag(hand, "late", age_ns=3 * SECOND_NS)
    depth = hand.seq_of("depth")
    hand.answer(depth, hand._quiet(hand.waiting[depth])).quote()
    assert (hand.mode, hand.asked("place")) == (Mode.PAUSED, [])
    lag(hand, "caught_up").quote()
    assert (hand.mode, len(hand.asked("place"))) == (Mode.RUNNING, 1)


def test_the_busiest_strategy_is_named() -> None:
    hand = ByHand(parameters=NONE, engine=new_engine_settings()).run(1)
    lag(hand, "late", age_ns=3 * SECOND_NS, strategy="hand", spent_ns=2 * SECOND_NS)
    assert hand.notes("warning")[-1].endswith("; strategy hand decided for 2.0 s of that")


def test_an_engine_that_stays_late_counts_as_blind() -> None:
    hand = ByHand(engine=new_engine_settings()).run(0.5)
    hand.answer(hand.seq_of("place"), shown(hand.order.client_order_id))
    lag(hand, "late", age_ns=3 * SECOND_NS).run(61)
    assert [fact["cause"] for fact in hand.facts("safety_ordered")] == ["blind"]
    assert hand.asked("cancel")


# ---- feeds are not blamed ----------------------------------------------------------------------------


def test_no_link_is_silent_while_we_do_not_read_it() -> None:
    hand = ByHand(parameters=NONE, engine=new_engine_settings()).run(1)
    lag(hand, "late", age_ns=3 * SECOND_NS).run(30, quote=False)
    assert hand.asked("disconnect") == []
    assert hand.state.account.blocks.reasons(BTC.id) == ()
    lag(hand, "caught_up").run(9, quote=False)
    assert hand.asked("disconnect") == []
    hand.run(3, quote=False)  # now the silence is the feed's own
    assert [request.source for request in hand.asked("disconnect")][:1] == [MARKET]


# ---- the time budget of decisions --------------------------------------------------------------------


def test_a_strategy_that_exceeds_its_budget_is_named_and_then_stopped() -> None:
    hand = ByHand(parameters=NONE, engine=new_engine_settings()).run(1)
    overrun(hand, 1.5)
    assert hand.notes() == ["strategy hand is slow: a decision took 1.5 s, at most 1.0 s"]
    overrun(hand.run(61), 1.6)
    overrun(hand, 1.7)
    assert not hand.state.account.strategies.get("hand").stopped_for
    overrun(hand, 1.8)
    reason = "a decision took 1.8 s, at most 1.0 s, 3 times within 60 s"
    assert hand.state.account.strategies.get("hand").stopped_for == reason
    assert hand.notes()[-1] == f"strategy hand is stopped: {reason}"
    hand.command("resume")
    overrun(hand, 1.9)
    assert not hand.state.account.strategies.get("hand").stopped_for


class CutAt:
    """A guard as the shell's: it interrupts one decision and counts all."""

    is_slow = False
    slow_ns = 0

    def __init__(self, number: int) -> None:
        self.begun = 0
        self.clock = lambda: 1
        self._number = number

    @property
    def began_ns(self) -> int:
        return 0

    @began_ns.setter
    def began_ns(self, began_ns: int) -> None:
        self.begun += began_ns
        if began_ns and self.begun == self._number:
            raise DecisionCutError("its decision did not return within 5.0 s")

    def end_slow(self, strategy: str, began_ns: int, spent_ns: int) -> str:
        return ""


def test_an_interrupted_decision_stops_its_strategy_and_the_replay_does_not_run_it_again(tmp_path: Path) -> None:
    venue = CalmVenue()
    slow = from_sources({"slow": SLOW}, "slow", "Slow")
    session = VirtualSession(venue, tmp_path / "s", strategies=[slow])
    guard = session.sequencer.kernel.session.runner.guard = CutAt(3)
    session.run(20, until=lambda s: bool(s.facts("strategy_stopped")))
    assert guard.begun == 3
    [stopped] = session.facts("strategy_stopped")
    assert (stopped["cut_off"], stopped["reason"]) == (True, "its decision did not return within 5.0 s")
    session.run(10)
    assert (guard.begun, len(session.facts("order_accepted"))) == (3, 2)
    assert session.state.account.orders.live == {}  # a safety order cancelled those of the stopped strategy
    session.stop()
    assert not [order for order in venue.sim.exchange.orders.values() if order.is_open]
    verdict = replay_session(tmp_path / "s")  # would not end if it ran the decision
    assert verdict.identical, verdict.text()
    [fact] = [r for r in session.records if '"cut_off":true' in (r.body or "")]
    assert replay_session(tmp_path / "s", until=fact.cause).identical  # the mark is behind the last replayed record


def test_a_journal_that_claims_an_interruption_differs_from_one_that_does_not(tmp_path: Path) -> None:
    """The mark is compared like all outputs: a replay without it would run the decision."""
    session = VirtualSession(CalmVenue(), tmp_path / "s", strategies=[from_sources({"slow": SLOW}, "slow", "Slow")])
    session.sequencer.kernel.session.runner.guard = CutAt(2)
    session.run(8)
    session.stop()
    [fact] = [r for r in Journal.open(tmp_path / "s").records() if '"cut_off":true' in (r.body or "")]
    assert fact.kind is Kind.FACT
    assert replay_session(tmp_path / "s").identical


# ---- the meter ---------------------------------------------------------------------------------------


def measured(settings: EngineSettings, ages: Sequence[tuple[float, int]]) -> list[str]:
    meter = LagMeter(settings)
    found = [
        meter.measure(n * SECOND_NS, int(age_s * SECOND_NS), waiting) for n, (age_s, waiting) in enumerate(ages, 1)
    ]
    return ["" if body is None else body.state.value for body in found]


def test_each_bound_is_reported_once_in_each_direction() -> None:
    settings = new_engine_settings()
    ages = [(0.1, 5), (2.0, 5), (2.1, 5), (9.0, 5), (1.5, 5), (1.0, 5), (0.0, 0)]
    assert measured(settings, ages) == ["", "", "late", "", "", "caught_up", ""]
    assert measured(settings, [(0.1, 50_001), (0.1, 30_000), (0.1, 25_000)]) == ["late", "", "caught_up"]
    assert measured(EngineSettings(), [(99.0, 99_999)]) == [""]  # sessions that configure none, as older ones


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (LinkBody(LinkEvent.LATE, age_ns=3 * SECOND_NS, waiting=1200), "ingress late: 3.000 s, 1,200 messages wait"),
        (
            LinkBody(LinkEvent.OVERRUN, strategy="hand", spent_ns=2 * SECOND_NS),
            "ingress overrun: a decision of strategy hand took 2.000 s",
        ),
    ],
)
def test_people_read_what_was_measured(body: LinkBody, text: str) -> None:
    hand = ByHand(parameters=NONE)
    hand.take(Arrival(Kind.LINK, "ingress", body=text_of(body)))
    [record] = [record for record in hand.records if record.kind is Kind.LINK and record.source == "ingress"]
    assert read_link(record.body or "") == body
    assert describe(record) == text


# ---- the watch ---------------------------------------------------------------------------------------


def watch(**settings: int) -> DecisionWatch:
    return DecisionWatch(EngineSettings(**settings), 1)


def begin(watched: DecisionWatch) -> int:
    watched.began_ns = began_ns = watched.clock()
    return began_ns


def sleep_through_exceptions() -> None:
    while True:
        try:
            time.sleep(60)
        except Exception:
            continue  # as a careless strategy does


def test_an_endless_decision_is_interrupted_though_it_catches_exceptions() -> None:
    watched = watch(decision_stop_ns=SECOND_NS // 5)
    with watched.run():
        begin(watched)
        with pytest.raises(DecisionCutError, match=r"did not return within 0\.2 s"):
            sleep_through_exceptions()


def test_a_decision_that_swallows_the_first_interruption_gets_another() -> None:
    watched = watch(decision_stop_ns=SECOND_NS // 5)
    swallowed = 0
    with watched.run():
        began_ns = begin(watched)
        while swallowed < 2:
            try:
                time.sleep(60)
            except DecisionCutError:
                swallowed += 1
        watched.began_ns = 0
        assert watched.end_slow("stubborn", began_ns, SECOND_NS // 2) == "its decision did not return within 0.2 s"


def test_a_signal_that_waits_interrupts_the_decision_at_hand() -> None:
    watched = watch()
    with watched.run():
        begin(watched)
        watched.note_signal()
        with pytest.raises(DecisionCutError, match="while a signal to stop waited"):
            time.sleep(60)


def test_no_interruption_reaches_code_outside_a_decision() -> None:
    watched = watch(decision_stop_ns=SECOND_NS // 20)
    with watched.run():
        watched.note_signal()
        begin(watched)
        watched.began_ns = 0
        time.sleep(1.5)


def test_a_decision_within_its_budget_is_left_alone_and_a_longer_one_is_reported() -> None:
    watched = watch(decision_warn_ns=SECOND_NS // 20, decision_stop_ns=SECOND_NS)
    assert (watched.end_slow("slow", 7, SECOND_NS // 50), watched.overruns) == ("", [])
    assert (watched.end_slow("slow", 7, SECOND_NS // 10), watched.is_slow) == ("", True)
    assert [(overrun.strategy, overrun.spent_ns) for overrun in watched.overruns] == [("slow", SECOND_NS // 10)]
    assert watched.end_slow("slow", 7, 2 * SECOND_NS) == "its decision did not return within 1.0 s"
    assert (busiest := watched.busiest()) is not None
    assert (busiest.strategy, busiest.spent_ns) == ("slow", SECOND_NS // 50 + SECOND_NS // 10 + 2 * SECOND_NS)
    assert watched.busiest() is None
