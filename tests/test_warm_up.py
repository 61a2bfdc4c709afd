"""A strategy with a WarmUp does not run before its bars and indicators are ready, live as in replay."""

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions

from engine.session_record import SECOND_NS, StrategySettings
from engine.strategy.source_guard import StrategyError
from verbatim.testing import VirtualSession, from_sources

PATIENT = """
from dataclasses import dataclass

from verbatim import Indicator, OnQuote, WarmUp


class Patient:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote(throttle_ms=100)
    indicators = (Indicator("mean", "sma", {"length": 3}, bars_s=1),)
    bars_s = (1,)
    warm_up = WarmUp(bars=5)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        first_ns: int = 0
        bars: int = 0

    @staticmethod
    def decide(view, state, parameters):
        if not state.first_ns:
            state.first_ns = view.time_ns
            state.bars = len(view.bars("BTCUSDT", 1).closed)
            assert view.indicator("mean", "BTCUSDT") is not None
"""


def patient(source: str = PATIENT, name: str = "") -> StrategySettings:
    return from_sources({"patient": source}, "patient", "Patient", name=name)


def first_ns(session: VirtualSession, name: str = "patient") -> int:
    return int(session.state.account.strategies.get(name).state.get("first_ns", 0))


def test_a_strategy_waits_until_its_bars_and_indicators_are_ready(begin: CheckedSessions) -> None:
    """The same strategy without a WarmUp would fail at its first decision."""
    session = begin(CalmVenue(), patient()).run(15)
    assert session.facts("strategy_stopped") == []
    assert session.state.account.strategies.get("patient").state["bars"] == 5
    assert first_ns(session) - session.body.started_ns > 5 * SECOND_NS
    hasty = begin(CalmVenue(), patient(PATIENT.replace("    warm_up = WarmUp(bars=5)\n", ""))).run(15)
    assert [fact["reason"] for fact in hasty.facts("strategy_stopped")] == ["AssertionError: "]


def test_a_session_that_continues_is_ready_at_once(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    first = begin(venue, patient()).run(15)
    first.stop()
    second = begin(venue, patient(name="other"), previous=first, opening=first.state).run(3)
    assert 0 < first_ns(second, "other") - second.body.started_ns < 3 * SECOND_NS


@pytest.mark.parametrize(
    ("warm_up", "fault"),
    [
        ("WarmUp(bars=-1)", "a number of bars from 0 to 512, not -1"),
        ("WarmUp(bars=1000)", "a number of bars from 0 to 512, not 1000"),
        ("5", r"`warm_up` is WarmUp\(...\), not 5"),
        ("WarmUp(bars=5); bars_s = ()", "`bars_s` declares none"),
    ],
)
def test_a_wrong_warm_up_is_refused_at_load(warm_up: str, fault: str) -> None:
    with pytest.raises(StrategyError, match=fault):
        patient(PATIENT.replace("WarmUp(bars=5)", warm_up))


def test_a_summary_says_what_a_strategy_waits_for(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), patient()).run(2)
    runner, state = session.sequencer.kernel.session.runner, session.state
    assert runner.missing(state.account, state.market, "patient") == "2 of 3 values of mean of BTCUSDT"
    session.run(15)
    assert runner.missing(session.state.account, session.state.market, "patient") == ""
