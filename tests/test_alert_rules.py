"""Rules of alerts: each at its edge, and on sessions in virtual time that run into the trouble."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from msgspec.structs import replace

from analysis.metrics.values import MetricValues
from engine.mode_reasons import Mode
from engine.session_record import new_engine_settings
from journal.recover import recover
from verbatim.alerts.alert_config import AlertConfig, read_alert_config
from verbatim.alerts.alert_events import DayFigures, Finding
from verbatim.alerts.alert_rules import RULES, evaluate, rules_table
from verbatim.alerts.loss_day import day_events
from verbatim.alerts.observation import CounterHistory, DayLoss, Observation, PnlPoint, RecordEvents, SessionEvent
from verbatim.alerts.watched_sessions import WatchedName, WatchedSession, WatchedSessions
from verbatim.testing import SAFEGUARDS, VirtualSession

BTC = "binance_spot:BTCUSDT"
ORDER = {"method": "POST", "path": "/api/v3/order"}
MARKET = "binance_spot.market.0"
Series = tuple[str, float, tuple[str, ...]]


def seen(*series: Series, before: tuple[Series, ...] = (), after_s: float = 60, **fields: Any) -> Observation:
    """An observation of a session that runs, with these metrics. `before` are metrics of a minute ago."""
    values, history = MetricValues(), CounterHistory()
    history.add(0.0, measured(before))
    for name, value, labels in series:
        values.put(name, value, *labels)
    given: dict[str, Any] = {
        "session": "aaaaaaaa", "values": values, "mode": Mode.RUNNING, "reasons": (), "is_up": True,
        "is_closed": False, "failure": "", "last_seq": 100, "events": (), "day": None,
        "history": history, "counters": history.add(after_s, values), "now_s": after_s,
    }  # fmt: skip
    return Observation(**given | fields)


def measured(series: tuple[Series, ...]) -> MetricValues:
    values = MetricValues()
    for name, value, labels in series:
        values.put(name, value, *labels)
    return values


def one(name: str, value: float, *labels: str) -> Observation:
    return seen((name, value, labels))


def orders(rejected: float, sent: float) -> Observation:
    return seen(("orders_rejected_total", rejected, ("s", BTC, "-1")), ("orders_submitted_total", sent, ("s", BTC)))


def slow(late: int, orders: int) -> Observation:
    values = MetricValues()
    for number in range(orders):
        values.observe("request_send_seconds", 0.3 if number < late else 0.001, "place")
    return seen(values=values, counters=CounterHistory().add(60, values))


def event(rule: str) -> Observation:
    return seen(events=(SessionEvent(rule, "about", "a text", 7),))


def day(loss: int, drawdown: int) -> Observation:
    return seen(day=DayLoss("USDT", Decimal(loss), Decimal(drawdown)))


LIMITS = {
    "loss": {"loss_max": 100, "drawdown_max": 50},
    "equity_low": {"equity_min": 1000},
    "fill": {"enabled": True},
    "no_session": {"enabled": True},
}
# rule -> an observation that it reports, one just short of that, and the object of the alert
CASES: dict[str, tuple[Observation, Observation, str]] = {
    "process_gone": (seen(is_up=False), seen(is_up=False, is_closed=True), seen().session),
    "journal_silent": (one("reader_idle_seconds", 10.1), one("reader_idle_seconds", 10), ""),
    "journal_unreadable": (seen(failure="page 3 differs"), seen(), ""),
    "halted": (seen(mode=Mode.HALTED, reasons=("drift",)), seen(mode=Mode.PAUSED), ""),
    "not_running": (seen(mode=Mode.SYNCING), seen(mode=Mode.SYNCING, is_up=False), ""),
    "alarm": (event("alarm"), event("fill"), "about"),
    "strategy_stopped": (event("strategy_stopped"), seen(), "about"),
    "safety_order": (event("safety_order"), seen(), "about"),
    "loss_limit": (event("loss_limit"), seen(), "about"),
    "fill": (event("fill"), event("alarm"), "about"),
    "breaker_open": (one("breaker_open", 1, "instrument", BTC), one("breaker_open", 0, "instrument", BTC), f"instrument {BTC}"),
    "instrument_blocked": (one("instrument_blocked", 1, BTC, "no_quote"), seen(), BTC),
    "loss": (day(100, 49), day(99, 49), "loss"),
    "equity_low": (one("equity", 999, "USDT"), one("equity", 1000, "USDT"), "USDT"),
    "equity_drift": (
        seen(("books_equity_drift", -6, ("USDT",)), ("books_equity_drift_limit", 5, ("USDT",))),
        seen(("books_equity_drift", -5, ("USDT",)), ("books_equity_drift_limit", 5, ("USDT",))), "USDT",
    ),
    "balance_drift": (one("balance_drift", 0.001, "BTC"), one("balance_drift", 0, "BTC"), "BTC"),
    "positions_differ": (one("books_wrong_positions", 1), one("books_wrong_positions", 0), ""),
    "unknown_orders": (one("unknown_orders", 1), one("unknown_orders", 0), ""),
    "rejections": (orders(4, 19), orders(4, 20), ""),
    "slow_orders": (slow(2, 100), slow(1, 100), ""),
    "stream_silent": (one("stream_silence_seconds", 31, MARKET), one("stream_silence_seconds", 30, MARKET), MARKET),
    "link_down": (one("link_up", 0, MARKET), one("link_up", 1, MARKET), MARKET),
    "reconnects": (one("link_reconnects_total", 4, MARKET), one("link_reconnects_total", 3, MARKET), ""),
    "engine_late": (one("engine_late", 1), one("engine_late", 0), ""),
    "clock_offset": (one("clock_offset_seconds", -1.1, "x"), one("clock_offset_seconds", -1, "x"), "x"),
    "disk": (one("disk_free_bytes", 2047 * 2**20), one("disk_free_bytes", 2048 * 2**20), ""),
    "no_session": (seen(is_up=False, is_closed=True), seen(), ""),
    "session_ended": (seen(is_closed=True), seen(), "aaaaaaaa"),
}  # fmt: skip


def findings(observation: Observation, name: str, **options: Any) -> list[Finding]:
    config = AlertConfig.model_validate({"rule": {name: LIMITS.get(name, {}) | options}})
    return [finding for finding in evaluate(observation, config.rule_options()) if finding.rule == name]


@pytest.mark.parametrize("name", RULES)
def test_each_rule_reports_at_its_edge_and_not_before(name: str) -> None:
    if name == "session_began":  # the book knows whether that is news
        assert [finding.seq for finding in findings(seen(), name)] == [0]
        return
    yes, no, about = CASES[name]
    [finding] = findings(yes, name)
    assert (finding.about, finding.severity) == (about, RULES[name].options().severity)
    assert finding.text
    assert findings(no, name) == []
    assert findings(yes, name, enabled=False) == []


@pytest.mark.parametrize(
    "name", ["journal_silent", "not_running", "breaker_open", "stream_silent", "link_down", "rejections"]
)
def test_a_session_that_ended_is_not_reported_as_silent_or_paused(name: str) -> None:
    yes, _, _ = CASES[name]
    assert findings(yes._replace(is_up=False, is_closed=True), name) == []


def test_own_limits_override_those_of_the_session() -> None:
    drift = one("books_equity_drift", 3, "USDT")
    assert findings(drift, "equity_drift") == [], "the session has no limit"
    assert len(findings(drift, "equity_drift", drift_max="2.5")) == 1
    assert findings(day(1000, 1000), "loss", loss_max=0, drawdown_max=0) == [], "0 is no limit"
    assert [finding.about for finding in findings(day(1, 50), "loss")] == ["drawdown"]


def test_a_rule_that_fails_is_reported_and_stops_no_other_one() -> None:
    found = evaluate(seen(values=None, mode=Mode.HALTED), AlertConfig().rule_options())
    texts = {finding.rule: finding.text for finding in found}
    assert "this rule failed" in texts["disk"]
    assert "trading is halted" in texts["halted"]


def test_counters_count_within_the_window() -> None:
    """Five rejections were before the window, or before the watcher began."""
    history, now_s, found = CounterHistory(), 0.0, []
    counters: dict[str, float] = {}
    for rejected in (5, 5, 5, 8, 8, 9, 9):
        counters = history.add(now_s, measured((("orders_rejected_total", rejected, ("s", BTC, "-1")),)))
        found.append(seen(history=history, counters=counters, now_s=now_s).increase("orders_rejected_total", 100))
        now_s += 50
    assert found == [0, 0, 0, 3, 3, 1, 1]


def test_the_loss_of_the_day_survives_restarts() -> None:
    """Day 1 begins at 10 and rises to 60; the watcher starts again; then a new day begins."""
    figures: DayFigures | None = None
    losses = []
    for points in ([(1, 10), (1, 60)], [(1, 55)], [(1, 10), (1, 5)], [], [(0, 99), (2, 5)], [(2, 1)]):
        given = [PnlPoint(number, "USDT", Decimal(pnl)) for number, pnl in points]
        recorded, loss = day_events(figures, "x", given, 10**18, step=Decimal(1))
        figures = recorded or figures
        losses.append(None if loss is None else (int(loss.loss), int(loss.drawdown)))
    assert losses == [(-50, 0), (-45, 5), (5, 55), None, (0, 0), (4, 4)]
    assert figures is not None
    assert (figures.day, figures.opening, figures.peak) == (2, 5, 5)


# ---- on sessions -----------------------------------------------------------------------------------


@contextmanager
def watching(session: VirtualSession) -> Iterator[WatchedSession]:
    watched = WatchedSession(WatchedName(session.folder, "account test", session.body.session, is_new=True))
    try:
        yield watched
    finally:
        watched.close()


def observed(watched: WatchedSession, session: VirtualSession, *, ended: bool = False) -> Observation:
    """Return what the watcher sees once it has read every record, or the end."""
    session.writer.wait_durable(session.records[-1].seq, 60)
    pause = Event()
    while (
        (found := watched.observe(0.0)) is None
        or found[0].last_seq < session.records[-1].seq
        or (ended and watched._reader.ending == "")
    ):
        pause.wait(0.02)
        events = () if found is None else found[0].events
        watched._records._events.extendleft(reversed(events))  # they are for the last observation
    return found[0]


def names(seen: Observation, **rules: Any) -> set[str]:
    config = AlertConfig.model_validate({"rule": rules})
    return {finding.rule for finding in evaluate(seen, config.rule_options())} - {"session_began"}


def test_a_session_in_health_has_no_finding_and_its_orderly_end_is_news(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(20)
    with watching(session) as watched:
        assert names(observed(watched, session)) == set()
        assert names(observed(watched, session), fill={"enabled": True}) <= {"fill"}
        session.stop()
        assert names(observed(watched, session, ended=True)) == {"session_ended"}


def test_rejected_orders_a_breaker_and_its_alarm(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(
        venue, "once", parameters={"orders": 1000, "below": "100"}, safeguards=replace(SAFEGUARDS, rejections_max=5)
    )
    with watching(session) as watched:
        observed(watched, session)
        venue.fault(action="reject", times=0, status=400, code=-2010, msg="This action is disabled", **ORDER)
        session.run(20)
        seen = observed(watched, session)
        assert {"rejections", "breaker_open", "alarm"} <= names(seen)
        alarm, *_ = [finding for finding in evaluate(seen, AlertConfig().rule_options()) if finding.rule == "alarm"]
        assert "This action is disabled" in alarm.text
        assert alarm.is_event


def test_a_halt_names_its_reason_and_ends_by_resume(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(2)
    with watching(session) as watched:
        session.command("halt", "lunch\x1b[2J\n<!channel>").run(1)
        seen = observed(watched, session)
        [halt] = [finding for finding in evaluate(seen, AlertConfig().rule_options()) if finding.rule == "halted"]
        assert "lunch" in halt.text
        assert not {"\x1b", "\n"} & {*halt.text}
        session.command("resume").run(1)
        assert "halted" not in names(observed(watched, session))


def test_a_stopped_strategy_and_a_balance_that_drifts(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "faulty", engine=replace(new_engine_settings(), reconcile_every_ns=5 * 10**9)).run(5)
    venue.move_balance("USDT", "-5000", streamed=False)
    session.run(30)
    with watching(session) as watched:
        found = names(observed(watched, session))
    assert {"strategy_stopped", "balance_drift", "halted"} <= found


def test_silent_streams_are_reported_while_the_private_one_may_be_silent(begin: CheckedSessions) -> None:
    venue = CalmVenue()
    session = begin(venue, "once").run(2)
    venue.fault(action="silence", target="market", ms=60_000)
    session.run(8)
    with watching(session) as watched:
        seen = observed(watched, session)
        assert "stream_silent" in names(seen, stream_silent={"silent_s": 5})
        abouts = [finding.about for finding in findings(seen, "stream_silent", silent_s=5)]
        assert abouts == [MARKET]


def test_a_process_that_ends_is_reported_although_its_journal_is_recovered(
    begin: CheckedSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.record_stream.LOCK_CHECK_S", 0.05)
    session = begin(CalmVenue(), "once").run(3)
    with watching(session) as watched:
        assert names(observed(watched, session)) == set()
        session.kill()
        assert names(observed(watched, session, ended=True)) == {"process_gone"}
        recover(session.folder)
        found = watched.observe(100.0)
        assert found is not None
        assert names(found[0]) == {"process_gone"}, "its orders may still be open"


def test_a_damaged_journal_is_reported(start: CheckedSessions) -> None:
    session = start(CalmVenue(), "once").run(1)
    with watching(session) as watched:
        observed(watched, session)
        [path] = session.folder.glob("*.open")
        size = path.stat().st_size
        watched._reader._stream._lock.acquire()  # the reader waits until the damage is there
        for _ in range(2):  # two frames: the second states that the first, which is damaged below, was durable
            session.run(1)
            session.writer.wait_durable(session.records[-1].seq, 60)
        whole = path.read_bytes()
        path.write_bytes(whole[: size + 60] + bytes([whole[size + 60] ^ 1]) + whole[size + 61 :])
        watched._reader._stream._lock.release()
        watched._thread.join(30)
        found = watched.observe(0.0)
        assert found is not None
        assert "journal_unreadable" in names(found[0])
        path.write_bytes(whole)
    session.stop()


def test_the_pnl_of_the_day_is_that_of_the_records(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once", engine=replace(new_engine_settings(), report_every_ns=10**9)).run(10)
    events = RecordEvents()
    for record in session.records:
        events.add(record)
    _, points = events.drain()
    reports = session.facts("portfolio_pnl")
    assert len(points) == len(reports) > 3
    last = reports[-1]
    total = sum(Decimal(last[name]) for name in ("realised", "unrealised", "funding")) - Decimal(last["fees"])
    assert points[-1].pnl == total < 0
    _, loss = day_events(None, "x", points, 10**18, step=Decimal(0))
    assert loss is not None
    assert loss.loss == points[0].pnl - total


def test_a_folder_is_watched_for_the_newest_session_of_each_account(begin: CheckedSessions) -> None:
    """Sessions of the tests have no time in their names, so links give them some."""
    first = begin(CalmVenue(), "once").run(1)
    first.stop()
    root = first.folder.parent / "root"
    root.mkdir()
    (root / "20260101T000000Z-aaaaaaaa").symlink_to(first.folder)
    (root / "20260101T000005Z-cccccccc").mkdir()  # without a record yet
    sessions = WatchedSessions(root)
    assert list(sessions.refresh()) == []
    [(target, watched)] = sessions.by_target.items()
    assert (target, watched.name.is_new) == ("account main at binance_spot", False)
    second = begin(CalmVenue(), "once").run(1)
    second.writer.wait_durable(second.records[-1].seq, 60)
    (root / "20260101T000010Z-bbbbbbbb").symlink_to(second.folder)
    assert [each.name.session for each in sessions.refresh()] == ["aaaaaaaa"], "it is observed once more"
    [(target, watched)] = sessions.by_target.items()
    assert (watched.name.session, watched.name.is_new) == ("bbbbbbbb", True)
    assert list(sessions.refresh()) == []
    sessions.close()
    second.stop()


def test_the_page_has_the_table_of_the_code() -> None:
    text = (Path(__file__).parent.parent / "docs" / "alerts.md").read_text()
    drawn = text.split("differs from the code -->")[1].split("<!-- /rules -->")[0]
    assert drawn.strip() == rules_table()


def test_the_example_has_every_kind_of_channel_and_names_no_secret() -> None:
    path = Path(__file__).parent.parent / "examples" / "monitoring" / "alerts.toml"
    config = read_alert_config(path)
    kinds = {section.kind for section in config.channel.values()}
    assert kinds == {"command", "webhook", "slack", "discord", "telegram", "mail"}
    assert config.quiet is not None
    assert json.dumps(config.model_dump(mode="json"))
