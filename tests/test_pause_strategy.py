"""One strategy is paused, resumed, or replaced by another version in the next session."""

from calm_venue import CalmVenue
from checked_sessions import CheckedSessions, mode, notes

from engine.mode_reasons import Mode
from engine.session_record import StrategySettings
from verbatim.testing import VirtualSession, from_sources

COUNTER = """
from dataclasses import dataclass

from verbatim import Every


class Counter:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = Every(ms=500)

    @dataclass
    class Parameters:
        pass

    @dataclass
    class State:
        count: int = 0
        label: str = "a"

    @staticmethod
    def decide(view, state, parameters):
        state.count += 1
        state.label = "old"
"""
NEXT = COUNTER.replace('version = "1"', 'version = "2"')


def counter(source: str = COUNTER) -> StrategySettings:
    return from_sources({"counter": source}, "counter", "Counter")


def count(session: VirtualSession) -> int:
    return int(session.state.account.strategies.get("counter").state["count"])


def live_by_strategy(session: VirtualSession) -> set[str]:
    return {order.strategy for order in session.state.account.orders.live.values()}


def test_one_strategy_pauses_and_the_other_trades_on(begin: CheckedSessions) -> None:
    """Its resting orders are cancelled; a resume of the session leaves the pause, `resume-strategy` ends it."""
    session = begin(CalmVenue(), "requote", counter()).run(5)
    assert live_by_strategy(session) == {"requote"}
    session.command("pause_strategy", "too wide", about="requote").run(3)
    assert mode(session) is Mode.RUNNING
    assert live_by_strategy(session) == set()
    assert "strategy requote is paused by test: too wide" in notes(session, "warning")[-1]
    decided, counted = len(session.facts("strategy_changed")), count(session)
    session.command("resume").run(5)
    assert live_by_strategy(session) == set()
    assert count(session) >= counted + 9
    assert len(session.facts("strategy_changed")) - decided == count(session) - counted, "only the counter decides"
    session.command("resume_strategy", about="requote").run(3)
    assert live_by_strategy(session) == {"requote"}


def test_a_pause_keeps_the_order_that_protects_the_position(begin: CheckedSessions) -> None:
    venue = CalmVenue(fees=("0", "0"))  # so that the stop sells exactly what is held
    session = begin(venue, "protected", parameters={"distance": "1000"}).run(5)
    [stop] = session.state.account.orders.live
    session.command("pause_strategy", about="protected").run(3)
    assert list(session.state.account.orders.live) == [stop]


def test_a_pause_survives_a_restart(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    first = begin(venue, counter()).run(3).command("pause_strategy", about="counter").run(1)
    first.stop()
    second = begin(venue, counter(), previous=first, opening=first.state).run(3)
    assert count(second) == count(first)
    second.command("resume_strategy", about="counter").run(3)
    assert count(second) > count(first)


def test_a_pause_of_an_unknown_strategy_changes_nothing(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), counter()).run(2).command("pause_strategy", about="quoter").run(1)
    assert notes(session, "warning") == ["the session has no strategy quoter, so nothing pauses; strategies: counter"]
    assert session.state.account.breakers.pauses == {}


def test_another_version_continues_with_the_state_of_the_fields_it_kept(begin: CheckedSessions) -> None:
    """`count` continues, `seen` begins with its default, `label` is dropped."""
    source = NEXT.replace('label: str = "a"', "seen: int = 7").replace('state.label = "old"', "state.seen += 1")
    venue = CalmVenue()
    first = begin(venue, counter()).run(3)
    first.stop()
    second = begin(venue, counter(source), previous=first, opening=first.state).run(2)
    state = second.state.account.strategies.get("counter").state
    assert state["count"] > count(first) > 0
    assert state["seen"] - 7 == state["count"] - count(first)
    assert second.body.strategies[0].version == "2"


def test_a_field_whose_old_value_does_not_fit_stops_the_strategy(begin: CheckedSessions) -> None:
    source = NEXT.replace('label: str = "a"', "label: int = 0").replace('state.label = "old"', "state.label = 1")
    venue = CalmVenue()
    first = begin(venue, counter()).run(3)
    first.stop()
    second = begin(venue, counter(source), previous=first, opening=first.state).run(2)
    assert "label" in second.state.account.strategies.get("counter").stopped_for
    assert any("strategy counter is stopped" in text and "label" in text for text in notes(second, "alarm"))


def test_a_stopped_strategy_is_no_paused_one(begin: CheckedSessions) -> None:
    """`resume-strategy` leaves it stopped and names the command that starts it."""
    session = begin(CalmVenue(), "faulty").run(5)
    reason = session.state.account.strategies.get("faulty").stopped_for
    assert "ZeroDivisionError" in reason
    session.command("resume_strategy", about="faulty").run(1)
    assert session.state.account.strategies.get("faulty").stopped_for == reason
    assert notes(session, "warning")[-1] == (
        f"strategy faulty is stopped, not paused, so nothing resumes: {reason}. "
        "`verbatim control SESSION resume` starts it again"
    )
    session.command("resume").run(3)
    assert session.facts("strategy_stopped")[1:] != [], "it decided again, and failed again"
