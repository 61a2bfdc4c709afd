"""What makes a strategy decide: the market's triggers from the compiled fold, the account's by TIMERs."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from by_hand import ByHand
from calm_venue import CalmVenue
from checked_sessions import STRATEGIES, CheckedSessions, mode, notes, of_tests, rebuilt

from analysis.why import order_story
from engine.mode_reasons import Mode
from engine.record_codec import read_timer
from engine.session_record import Declared, new_engine_settings, read_session
from engine.state.strategy_events import StrategyEvents
from engine.strategy.cadences import Every, OnFill, OnQuote, OnTrade, declared_cadences, read_cadences
from engine.strategy.loading import declared_only
from engine.strategy.source_guard import StrategyError
from journal.record import Kind, canonical
from verbatim.testing import VirtualSession, VirtualVenue, from_sources


def declared_state(session: VirtualSession) -> dict[str, Any]:
    return session.state.account.strategies.get("listener").state


def timers(session: VirtualSession) -> Counter[str]:
    return Counter(read_timer(record.body or "").timer for record in session.kinds(Kind.TIMER))


@pytest.mark.slow
def test_a_strategy_learns_what_fired(begin: CheckedSessions) -> None:
    """All kinds at once: it trades on `mode`, is run for the fill and the order's end, and then only for the market."""
    session = begin(VirtualVenue(), "listener").run(20)
    runs = declared_state(session)["runs"]
    assert runs.keys() == {"quote", "trade", "book", "bar", "timer", "fill", "order_end", "mode"}
    assert (runs["mode"], runs["fill"], runs["order_end"]) == (1, 1, 1)
    assert 30 <= runs["timer"] <= 40
    assert 7 <= runs["bar"] <= 11
    assert 20 < runs["quote"] <= 100
    assert 5 < runs["trade"] <= 66
    assert declared_state(session)["order"] == ["mode", "fill+order_end"]
    fired = timers(session)
    assert fired["event.listener"] == 2
    assert fired["throttle.listener"] > 0
    assert fired["throttle.listener/trade"] > 0
    assert session.state.account.events.waiting == {}


@pytest.mark.slow
def test_an_event_of_the_account_is_decided_at_once_and_sees_the_whole_step(begin: CheckedSessions) -> None:
    """The TIMER follows the record of the fill at the same session time; the position is known by then."""
    session = begin(VirtualVenue(), "listener").run(20)
    [fill] = session.facts("order_filled")
    [note] = [each for each in session.kinds(Kind.NOTE) if each.source == "strategy.listener"]
    filled_at = next(each for each in session.records if '"fact":"order_filled"' in (each.body or ""))
    assert note.time_ns == filled_at.time_ns
    text = json.loads(note.body or "")["text"]
    assert text == f"BUY 0.01 at {fill['price']}, 0 ns ago; BUY from {fill['price']}; 1 ended\\x1b[31m"
    assert [order.order.side for order in session.state.account.orders.live.values()] == ["SELL"]


def test_a_refusal_asks_once_and_gives_its_reason(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "listener", parameters={"bad_size": "0.0000001"}).run(5)
    runs = declared_state(session)
    assert runs["order"] == ["mode", "refusal"]
    [refusal] = session.state.account.events.refusals["listener"]
    assert notes(session, "warning") == [f"risk: {refusal.reason}"]
    assert "quantity 1E-7 is not a multiple of the lot 0.00001" in refusal.reason
    assert (refusal.by, refusal.instrument) == ("risk", "binance_spot:BTCUSDT")
    assert refusal.rules


def test_a_rejection_by_the_venue_is_a_refusal_and_an_end(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    venue.fault(action="reject", method="POST", path="/api/v3/order", status=400, code=-2010, msg="no room")
    session = begin(venue, "listener").run(5)
    assert declared_state(session)["order"] == ["mode", "refusal+order_end"]
    assert notes(session, "warning") == ["venue: -2010 no room"]


def test_an_event_outside_running_waits_until_the_session_runs_again(begin: CheckedSessions) -> None:
    """A person pauses between the order and its fill: the strategy is run for the fill when the session runs again."""
    session = begin(CalmVenue(), "listener").run(30, until=lambda s: '"purpose":"place"' in str(s.records[-1].body))
    session.command("pause").run(5)
    assert mode(session) is Mode.PAUSED
    assert session.facts("order_filled"), "the fill came during the pause"
    assert declared_state(session)["order"] == ["mode"]
    session.command("resume").run(5)
    assert declared_state(session)["order"] == ["mode", "fill+order_end+mode"]


def test_the_events_are_carried_to_the_next_session(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    first = begin(venue, "listener").run(10)
    first.stop()
    second = begin(venue, "listener", previous=first, opening=first.state).run(5)
    assert [fill.price for fill in second.state.account.events.fills["listener"]] == [
        fill.price for fill in first.state.account.events.fills["listener"]
    ]


def test_a_rebuild_comes_to_the_same_triggers(begin: CheckedSessions) -> None:
    """A journal whose strategies cannot run gives the same state, throttles of several triggers among it."""
    session = begin(CalmVenue(), "listener").run(8)
    session.stop()
    assert rebuilt(session.folder).digests() == session.state.digests()


def test_a_strategy_with_the_old_cadence_is_recorded_as_before(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(3)
    declared = json.loads(session.records[0].body or "")["strategies"][0]["declared"]
    assert "triggers" not in declared
    assert declared_only(read_session(session.records[0].body or "").strategies[0]).cadences == (OnQuote(),)
    assert not any(name.startswith("event.") for name in timers(session))


def test_a_recorded_declaration_gives_its_cadences() -> None:
    settings = of_tests("listener")
    assert settings.declared is not None
    assert settings.declared.triggers[:2] == (("quote", 200), ("trade", 300))
    again = msgspec.json.decode(canonical(settings.declared), type=Declared)
    assert declared_cadences(again)[:2] == (OnQuote(200), OnTrade(300))
    assert declared_cadences(Declared(("BTCUSDT",), every_ms=100)) == (Every(100),)


@pytest.mark.parametrize(
    ("cadence", "fault"),
    [
        ((), "`cadence` is empty"),
        (OnFill, "cadence is OnQuote, OnBar, OnTrade"),
        ((OnFill(), OnFill()), "`cadence` has OnFill twice"),
        ((OnQuote(), Every(ms=0)), "Every takes a whole number of milliseconds above 0, not 0"),
        (OnTrade(throttle_ms=-1), "throttle_ms is a whole number of milliseconds, not -1"),
    ],
)
def test_a_wrong_cadence_is_refused_at_load(cadence: Any, fault: str) -> None:
    with pytest.raises(StrategyError, match=fault.replace("(", r"\(")):
        read_cadences("x.py:X", cadence)


def test_sessions_recorded_before_keep_no_events() -> None:
    """With `events_kept` 0 nothing is folded, and neither SESSION nor CHECKPOINT states the part."""
    settings = msgspec.structs.replace(new_engine_settings(), events_kept=0)
    assert "events_kept" not in json.loads(canonical(settings))
    hand = ByHand(newest=False).run(2)
    assert hand.orders
    assert hand.state.account.events == StrategyEvents()
    assert not any(part == "account.events" for part in hand.state.digests())


@pytest.mark.slow
def test_why_leads_from_an_order_back_to_the_fill_that_it_followed(tmp_path: Path) -> None:
    session = VirtualSession(CalmVenue(), tmp_path / "s", strategies=[of_tests("listener")]).run(10)
    [sale] = [order.client_order_id for order in session.state.account.orders.live.values()]
    session.stop()
    chain = [link.record for link in order_story(session.folder, sale).chain]
    kinds = [record.kind for record in reversed(chain)]
    assert kinds.index(Kind.FACT) < kinds.index(Kind.TIMER) < kinds.index(Kind.INTENT)
    [fill] = [record for record in chain if '"fact":"order_filled"' in (record.body or "")]
    assert fill.key != sale, "the order that was bought before"


@pytest.mark.slow
def test_a_compiled_predicate_may_be_one_of_several_triggers(begin: CheckedSessions) -> None:
    """The predicate's plain form is compared only where it fired; a rebuild has the same triggers."""
    text = (STRATEGIES / "compiled.py").read_text()
    text = text.replace(
        "cadence = OnQuote(when=Predicate())", "cadence = (OnQuote(when=Predicate()), Every(ms=700), OnFill())"
    )
    text = (
        text.replace("import Average, ", "import Average, Every, OnFill, ")
        .replace(
            "        quote = view.quote(",
            '        if view.trigger != "quote":\n            state.others += 1\n            return\n        quote = view.quote(',
            1,
        )
        .replace("seq: int = 0  #", "others: int = 0\n        seq: int = 0  #")
    )
    session = begin(VirtualVenue(), from_sources({"compiled": text}, "compiled", "Wide", parameters={"ticks": 1})).run(
        12
    )
    session.stop()
    assert session.facts("strategy_stopped") == []
    assert session.facts("strategy_triggered")
    assert session.facts("order_filled")
    state = session.state.account.strategies.get("wide").state
    assert state["others"] == timers(session)["decide.wide"] + timers(session)["event.wide"]
    assert rebuilt(session.folder).digests() == session.state.digests()
