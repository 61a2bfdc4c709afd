"""Alerts in virtual time: when which channel gets which message. Each test's log is a file, so a restart reads it back."""

import random
from collections import Counter
from datetime import UTC, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tiers import first_is_quick

from verbatim.alerts.alert_book import (
    ATTEMPTS_MAX,
    CHANNEL_FAILING,
    FOLDER_MISSING,
    OPEN_MAX,
    AlertBook,
    AlertPolicy,
    ChannelPolicy,
    RulePolicy,
)
from verbatim.alerts.alert_events import (
    WATCHER,
    AlertEvent,
    AlertMessage,
    AlertOpened,
    Finding,
    MessageSending,
    Severity,
    Why,
)
from verbatim.alerts.alert_log import AlertLog, AlertLogError, read_state
from verbatim.alerts.alert_messages import PARTS_MAX, TEXT_MAX
from verbatim.alerts.alert_state import AlertState
from verbatim.alerts.quiet_hours import SECOND_NS, QuietHours

ACCOUNT = "account main at x"
NOON = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp())  # a Monday
MINUTE = 60
HALTED = Finding("halted", "", Severity.CRITICAL, "balance drift")
LINK = Finding("link_down", "x.market.0", Severity.WARNING, "the connection is down")
RULES = {
    "link_down": RulePolicy(hold_ns=30 * SECOND_NS, repeat_ns=0),
    "halted": RulePolicy(repeat_ns=600 * SECOND_NS),
    "process_gone": RulePolicy(ends_together=True),
    FOLDER_MISSING: RulePolicy(hold_ns=60 * SECOND_NS),
}


def alarm(seq: int, text: str = "look here", about: str = "") -> Finding:
    return Finding("alarm", about, Severity.WARNING, text, seq)


class Desk:
    """A book on a log, with channels that record what they get. Time is what the test states."""

    def __init__(self, path: Path, policy: AlertPolicy) -> None:
        self.path, self.policy, self.now_s = path, policy, float(NOON)
        self.received: list[tuple[str, AlertMessage]] = []
        self.failing: dict[str, str] = {}  # by channel: the reason
        self.open()

    def open(self) -> None:
        """Begin, or begin again after a crash: only the log survives."""
        self.log, state = AlertLog(self.path), AlertState()
        for event in self.log.read():
            state.fold(event)
        self.book = AlertBook(self.policy, state)
        self.do(self.book.recover(self.now_ns))

    def crash(self) -> "Desk":
        self.log.close()
        self.open()
        return self

    @property
    def now_ns(self) -> int:
        return int(self.now_s * SECOND_NS)

    def do(self, events: list[AlertEvent]) -> None:
        self.log.append(events)
        for event in events:
            if isinstance(event, MessageSending):
                reason = self.failing.get(event.channel, "")
                if not reason:
                    self.received.append((event.channel, event.message))
                if reason != "lost":  # the watcher ends before it knows
                    self.do(self.book.finish(event.channel, event.message.number, self.now_ns, reason=reason))

    def see(self, *findings: Finding, seconds: float = 0, session: str = "s1", seq: int = -1) -> "Desk":
        """Observe these findings now and each second for so long."""
        for _ in range(max(int(seconds), 1)):
            self.do(self.book.observe(ACCOUNT, session, findings, self.now_ns, seq=seq))
            self.do(self.book.observe_watcher(self.now_ns))
            self.do(self.book.plan(self.now_ns))
            self.now_s += 1
        return self

    def whys(self, channel: str = "phone") -> list[tuple[str, str]]:
        """Return rule and reason of each alert that a channel was sent, and forget them."""
        found = [(p.rule, p.why.value) for name, message in self.received if name == channel for p in message.parts]
        self.received = [each for each in self.received if each[0] != channel]
        return found


def desk(tmp_path: Path, *, quiet: QuietHours | None = None, **channels: ChannelPolicy) -> Desk:
    policy = AlertPolicy(RULES, channels or {"phone": ChannelPolicy()}, quiet=quiet)
    return Desk(tmp_path / "alerts.jsonl", policy)


# ---- open, repeat, resolve -------------------------------------------------------------------------


def test_an_alert_is_reported_repeated_and_resolved(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(HALTED, seconds=599)
    assert d.whys() == [("halted", "new")]
    d.see(HALTED, seconds=2)
    assert d.whys() == [("halted", "still")]
    d.see(seconds=9)
    assert d.whys() == [], "it may be back within clear_s"
    d.see(seconds=3)
    assert d.whys() == [("halted", "resolved")]
    assert d.see(seconds=2000).whys() == []
    assert d.book.state.alerts == {}


def test_the_death_of_an_older_session_lasts_until_the_trader_is_back(tmp_path: Path) -> None:
    """A trader that starts again and dies at once is not back, so no message says that it is."""
    gone = {name: Finding("process_gone", name, Severity.CRITICAL, f"{name} is gone") for name in ("s1", "s2")}
    d = desk(tmp_path)
    d.see(gone["s1"], seconds=5).see(session="s2", seconds=4)
    d.see(gone["s2"], session="s2", seconds=100)
    assert d.whys() == [("process_gone", "new"), ("process_gone", "new")]
    d.crash().see(gone["s2"], session="s2", seconds=100)
    assert d.whys() == []
    d.see(session="s3", seconds=12)
    assert d.whys() == [("process_gone", "resolved"), ("process_gone", "resolved")]


def test_a_folder_that_stays_away_is_reported(tmp_path: Path) -> None:
    d = desk(tmp_path)
    for failure in [""] + ["there is no folder"] * 59 + [""] * 20 + ["there is no folder"] * 62 + [""] * 20:
        found = [Finding(FOLDER_MISSING, "", Severity.WARNING, failure)] if failure else []
        d.do(d.book.observe_watcher(d.now_ns, folder_findings=found))
        d.do(d.book.plan(d.now_ns))
        d.now_s += 1
    assert d.whys() == [(FOLDER_MISSING, "new"), (FOLDER_MISSING, "resolved")]


def test_a_condition_must_hold_for_its_time(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(LINK, seconds=29).see(seconds=2).see(LINK, seconds=29).see(seconds=2)
    assert d.whys() == []
    d.see(LINK, seconds=32)
    assert d.whys() == [("link_down", "new")]
    d.see(seconds=5).see(LINK, seconds=100)
    assert d.whys() == [], "no end, no second message: it was absent for less than clear_s"


def test_an_event_is_reported_once_and_again_only_with_news(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.policy.rules["alarm"] = RulePolicy(repeat_ns=60 * SECOND_NS)
    try:
        d.see(alarm(5), alarm(6, "and here"))
        assert d.whys() == [("alarm", "new")]
        d.see(alarm(5), alarm(6), seconds=200)  # the same records, read again
        assert d.whys() == []
        d.see(alarm(9, "third"))
        [(_, message)] = d.received
        assert (message.parts[0].why, message.parts[0].count) == (Why.AGAIN, 3)
        assert "third" in message.text
        d.see(seconds=400)
        assert d.whys() == [("alarm", "again")], "an event has no end to report"
        d.see(alarm(20))
        assert d.whys() == [("alarm", "new")]
    finally:
        del d.policy.rules["alarm"]


def test_a_severity_that_rises_is_reported_at_once_and_needs_a_new_acknowledgement(tmp_path: Path) -> None:
    d = desk(tmp_path)
    disk = Finding("disk", "", Severity.WARNING, "2 GiB")
    d.see(disk)
    d.do(d.book.acknowledge([1], d.now_ns, by="me", note=""))
    d.see(disk, seconds=5).see(Finding("disk", "", Severity.CRITICAL, "none"), seconds=5)
    assert d.whys() == [("disk", "new"), ("disk", "worse")]
    assert not d.book.state.alerts[1].is_acknowledged


def test_an_acknowledged_alert_is_quiet_until_its_end(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(HALTED)
    d.do(d.book.acknowledge([1], d.now_ns, by="me", note="on it"))
    d.see(HALTED, seconds=2000)
    assert d.whys() == [("halted", "new")]
    d.see(seconds=12)
    assert d.whys() == [("halted", "resolved")]


def test_a_channel_gets_its_severities_and_its_rules(tmp_path: Path) -> None:
    d = desk(
        tmp_path,
        pager=ChannelPolicy(severity_min=Severity.CRITICAL, sends_resolved=False),
        chat=ChannelPolicy(severity_min=Severity.INFO, rules=frozenset({"alarm"})),
    )
    d.see(HALTED, alarm(1)).see(seconds=20)
    assert (d.whys("pager"), d.whys("chat")) == ([("halted", "new")], [("alarm", "new")])


def test_so_many_alerts_at_most_are_open(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(*(Finding("breaker_open", str(number), Severity.WARNING, "") for number in range(OPEN_MAX + 50)))
    assert len(d.book.state.alerts) == OPEN_MAX


# ---- storms, rate limit, quiet hours ---------------------------------------------------------------


def test_alerts_of_one_moment_are_one_message_with_the_worst_first(tmp_path: Path) -> None:
    d = desk(tmp_path)
    many = [Finding("breaker_open", f"n{number}", Severity.WARNING, "paused") for number in range(PARTS_MAX + 5)]
    d.see(*many, HALTED)
    [(_, first)] = d.received
    assert (len(first.parts), first.parts[0].rule, first.severity) == (PARTS_MAX, "halted", Severity.CRITICAL)
    assert first.title == f"[CRITICAL] {PARTS_MAX} alerts: halted, breaker open"
    assert "6 more alerts follow" in first.text
    d.see(*many, HALTED)
    assert len({part.number for _, message in d.received for part in message.parts}) == PARTS_MAX + 6


def test_the_rate_limit_delays_and_a_summary_names_the_rest(tmp_path: Path) -> None:
    d = desk(tmp_path, phone=ChannelPolicy(messages_max=3, window_ns=600 * SECOND_NS))
    for number in range(8):
        d.see(alarm(number, f"alarm {number}", about=str(number)), seconds=10)
    assert d.whys() == [("alarm", "new")] * 3
    d.see(HALTED, seconds=5)
    assert d.whys() == [("halted", "new")], "a critical alert has a reserve"
    d.see(HALTED, seconds=580)
    texts = [message.text for _, message in d.received]
    assert "Began and ended without a message" in texts[0]
    assert [f"alarm {number}" in texts[0] for number in range(8)] == [False] * 3 + [True] * 5
    assert all("without a message" not in text for text in texts[1:]), "it is sent once"


def test_the_reserve_of_critical_alerts_ends_too(tmp_path: Path) -> None:
    d = desk(tmp_path, phone=ChannelPolicy(messages_max=3, window_ns=600 * SECOND_NS))
    halts = [Finding("halted", str(number), Severity.CRITICAL, "") for number in range(20)]
    for number in range(20):
        d.see(*halts[: number + 1])
    assert len(d.received) == 6
    d.see(*halts, seconds=590)
    assert {p.number for _, message in d.received for p in message.parts} == {*range(1, 21)}, "none is lost"


def test_in_quiet_hours_only_critical_alerts_are_sent(tmp_path: Path) -> None:
    """From 22:00 to 07:00 in Berlin, which is 06:00 UTC in winter."""
    quiet = QuietHours(ZoneInfo("Europe/Berlin"), time(22), time(7))
    d = desk(tmp_path, quiet=quiet, phone=ChannelPolicy(), log=ChannelPolicy(is_quiet=False))
    d.now_s = datetime(2026, 3, 3, 5, 50, tzinfo=UTC).timestamp()
    d.see(alarm(1)).see(LINK, seconds=60).see(LINK, HALTED, seconds=5).see(LINK, seconds=60)
    assert d.whys() == [("halted", "new"), ("halted", "resolved")]
    assert d.whys("log") == [("alarm", "new"), ("link_down", "new"), ("halted", "new"), ("halted", "resolved")]
    d.see(LINK, seconds=8 * MINUTE)
    [(_, morning)] = [each for each in d.received if each[0] == "phone"]
    assert [part.rule for part in morning.parts] == ["link_down"]
    assert "look here" in morning.text, "the alarm of the night is over, and the summary names it"
    assert datetime.fromtimestamp(morning.at_ns / 1e9, UTC).hour == 6


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-03-27T20:59", False),  # Friday, 21:59 in Berlin
        ("2026-03-27T21:00", True),
        ("2026-03-28T05:59", True),  # Saturday, 06:59
        ("2026-03-28T06:00", False),
        ("2026-03-28T23:00", False),  # Saturday night is not among the days
        ("2026-03-29T03:00", False),
        ("2026-04-03T19:59", False),  # summer time: 21:59
        ("2026-04-03T20:00", True),
        ("2026-04-04T05:00", False),
    ],
)
def test_quiet_hours_follow_the_zone_and_its_days(at: str, expected: bool) -> None:
    quiet = QuietHours(ZoneInfo("Europe/Berlin"), time(22), time(7), ("mon", "tue", "wed", "thu", "fri"))
    moment = datetime.fromisoformat(f"{at}+00:00")
    assert quiet.is_quiet(int(moment.timestamp()) * SECOND_NS) is expected


def test_quiet_hours_within_a_day() -> None:
    quiet = QuietHours(ZoneInfo("UTC"), time(12), time(13, 30))
    assert [quiet.is_quiet((NOON + m * MINUTE) * SECOND_NS) for m in (-1, 0, 89, 90)] == [False, True, True, False]


# ---- failures --------------------------------------------------------------------------------------


def test_a_failed_delivery_is_repeated_later_and_later_and_other_channels_are_informed(tmp_path: Path) -> None:
    d = desk(tmp_path, phone=ChannelPolicy(), mail=ChannelPolicy())
    d.failing["phone"] = "no connection"
    d.see(HALTED, seconds=40)
    assert d.whys("mail") == [("halted", "new"), (CHANNEL_FAILING, "new")]
    channel = d.book.state.channels["phone"]
    assert (channel.failures, channel.reason) == (5, "no connection"), "after 0, 2, 6, 14 and 30 s"
    del d.failing["phone"]
    d.see(HALTED, seconds=40)
    assert d.whys() == [("halted", "new")]
    assert d.whys("mail") == [(CHANNEL_FAILING, "resolved")]


def test_after_so_many_attempts_an_alert_waits_for_its_next_repeat(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.failing["phone"] = "no connection"
    d.see(HALTED, seconds=1100)
    failures = d.book.state.channels["phone"].failures
    assert failures == ATTEMPTS_MAX, "0 + 2 + 4 + ... + 512 s"
    d.see(HALTED, seconds=500)
    assert d.book.state.channels["phone"].failures == failures
    d.see(HALTED, seconds=3600)
    assert d.book.state.channels["phone"].failures - failures <= 6, "one attempt for each repeat"
    del d.failing["phone"]
    d.see(HALTED, seconds=1200)
    assert d.whys()[:1] == [("halted", "still")]


def test_news_join_the_next_attempt(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.failing["phone"] = "no connection"
    d.see(HALTED, seconds=3)
    del d.failing["phone"]
    d.see(HALTED, alarm(3), seconds=10)
    [(_, message)] = d.received
    assert [part.rule for part in message.parts] == ["halted", "alarm"]


def test_the_wait_that_a_receiver_states_is_kept_within_a_bound(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.failing["phone"] = "lost"
    d.see(HALTED)
    d.do(d.book.finish("phone", 1, d.now_ns, reason="status 429", wait_s=90))
    assert d.book.state.channels["phone"].next_ns == d.now_ns + 90 * SECOND_NS
    d.see(HALTED, seconds=100)
    d.do(d.book.finish("phone", 2, d.now_ns, reason="status 429", wait_s=1e9))
    assert d.book.state.channels["phone"].next_ns == d.now_ns + 1200 * SECOND_NS


# ---- restarts --------------------------------------------------------------------------------------


def test_after_a_restart_nothing_is_sent_twice_and_open_alerts_continue(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(HALTED, alarm(4), seconds=100)
    assert d.whys() == [("halted", "new"), ("alarm", "new")]
    d.crash().see(HALTED, alarm(4), seconds=400)  # the watcher reads all records of the session again
    assert d.whys() == []
    d.see(HALTED, alarm(4), seconds=200)
    assert d.whys() == [("halted", "still")]
    d.crash().see(alarm(4), seconds=20)
    assert d.whys() == [("halted", "resolved")]
    d.crash().see(alarm(4), alarm(7), seconds=20)
    assert d.whys() == [("alarm", "new")], "what happened while no watcher ran is reported"


def test_a_crash_while_a_message_is_sent_repeats_it_and_says_so(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.failing["phone"] = "lost"
    d.see(HALTED, seconds=5)
    assert d.received == []
    d.failing.clear()
    d.crash().see(HALTED, seconds=5)
    [(_, message)] = d.received
    assert message.may_repeat
    assert "This may repeat a message" in message.text
    d.crash().see(HALTED, seconds=30)
    assert len(d.received) == 1


def test_a_crash_at_any_event_loses_no_alert(tmp_path: Path) -> None:
    """The log is cut after each of its lines, as a crash there leaves it; then the watcher runs on."""
    d = desk(tmp_path, phone=ChannelPolicy(messages_max=500))
    d.see(HALTED, seconds=3).see(HALTED, alarm(3), seconds=3).see(alarm(3), seconds=15).see(LINK, seconds=35)
    lines = (tmp_path / "alerts.jsonl").read_bytes().splitlines(keepends=True)
    sent = set(d.whys())
    assert len(lines) > 10
    for count in range(len(lines) + 1):
        for torn in (b"", b'{"event":"open')[count % 2 :]:
            path = tmp_path / f"cut{count}{len(torn)}.jsonl"
            path.write_bytes(b"".join(lines[:count]) + torn)
            before = {
                (part.rule, part.why.value)
                for name, message in received_in(path)
                if name == "phone"
                for part in message.parts
            }
            again = Desk(path, d.policy)
            again.see(HALTED, alarm(3), seconds=3).see(alarm(3), seconds=15).see(LINK, seconds=35)
            assert before | set(again.whys()) >= {("halted", "new"), ("alarm", "new"), ("link_down", "new")}, count
    assert sent == {("halted", "new"), ("halted", "resolved"), ("alarm", "new"), ("link_down", "new")}


@pytest.mark.parametrize("seed", first_is_quick(range(6), quick=2))
def test_in_any_order_of_troubles_each_alert_is_named_and_no_message_is_sent_twice(tmp_path: Path, seed: int) -> None:
    """Conditions come and go, a channel fails, hours are quiet, the watcher crashes between and during messages."""
    draw = random.Random(seed)
    quiet = QuietHours(ZoneInfo("UTC"), time(12, 10), time(12, 30))
    d = desk(tmp_path, quiet=quiet, phone=ChannelPolicy(messages_max=6, window_ns=300 * SECOND_NS))
    conditions = [Finding("halted", str(n), draw.choice([*Severity][1:]), f"<halted {n}>") for n in range(4)]
    present, seq, crashes = set(), 0, 0
    for _ in range(150):
        present ^= {draw.randrange(4)} if draw.random() < 0.2 else set()
        events = [alarm(seq := seq + 1, f"<alarm {seq}>", about=str(seq))] if draw.random() < 0.1 else []
        d.failing = {"phone": draw.choice(["", "", "no connection", "lost"])}
        d.see(*(conditions[n] for n in present), *events)
        d.now_s += draw.randrange(20)
        if d.failing["phone"] == "lost" or draw.random() < 0.05:
            crashes += 1
            d.crash()
    d.failing = {}
    d.see(seconds=5).crash().see(seconds=4000)
    events = AlertLog(d.path).read()
    opened = {event.number: event for event in events if isinstance(event, AlertOpened) and event.target == ACCOUNT}
    sent = [message for _, message in d.received]
    numbers = {part.number for message in sent for part in message.parts}
    texts = "".join(message.text for message in sent)
    assert {number for number, event in opened.items() if event.finding.text not in texts} - numbers == set()
    news = Counter((p.number, p.why) for message in sent if not message.may_repeat for p in message.parts)
    once = {key: count for key, count in news.items() if key[1] in (Why.NEW, Why.RESOLVED)}
    assert max(once.values()) == 1
    assert d.book.state.alerts == {}
    assert (crashes > 5, len(opened) > 10, "without a message" in texts) == (True, True, True)


def received_in(path: Path) -> list[tuple[str, AlertMessage]]:
    """Return the messages that a log shows as sent."""
    log, sending, found = AlertLog(path), {}, []
    for event in log.read():
        match event.__struct_config__.tag:
            case "sending":
                sending[event.channel] = event.message
            case "sent":
                found.append((event.channel, sending[event.channel]))
    log.close()
    return found


def test_a_new_session_of_a_known_account_has_all_its_events_reported(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(alarm(10), seq=50)
    assert d.whys() == [], "it was recorded before anybody watched this account"
    d.see(alarm(51))
    assert d.whys() == [("alarm", "new")]
    d.see(seconds=400).see(alarm(2), session="s2", seq=90)
    assert d.whys() == [("alarm", "new")], "the trader started again between two observations"


def test_alerts_of_accounts_that_are_not_watched_any_more_are_closed_without_a_message(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(HALTED)
    d.whys()
    d.do(d.book.retire(["account other at x"], d.now_ns))
    d.now_s += 10_000
    d.do(d.book.plan(d.now_ns))
    assert (d.whys(), d.book.state.alerts) == ([], {})


def test_a_clock_that_falls_stops_no_repeat(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(HALTED)
    d.now_s -= 3600
    d.see(HALTED, seconds=3600)
    d.see(HALTED, seconds=602)
    assert d.whys() == [("halted", "new"), ("halted", "still")]


def test_a_log_of_a_clock_that_was_a_year_ahead_delays_nothing(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.now_s += 365 * 86_400
    d.failing["phone"] = "no connection"
    d.see(HALTED, alarm(1), seconds=5)
    d.now_s -= 365 * 86_400
    d.failing.clear()
    d.crash().see(HALTED, alarm(1), seconds=3)
    assert "look here" in d.received[-1][1].text, "the alarm seems to be long over, so the summary names it"
    assert d.whys() == [("halted", "new")]
    d.see(HALTED, alarm(1), seconds=600)
    assert d.whys() == [("halted", "still")]


# ---- the log ---------------------------------------------------------------------------------------


def test_one_watcher_writes_a_log_and_others_may_append(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(HALTED)
    d.log.close()
    d.log = AlertLog(d.path, is_watcher=True)
    d.log.read()
    with pytest.raises(AlertLogError, match="another watcher writes"):
        AlertLog(d.path, is_watcher=True)
    other = AlertLog(d.path)
    other.append(AlertBook(d.policy, read_state(d.path).state).acknowledge([1], d.now_ns, by="me", note=""))
    [acknowledged] = d.log.append([])
    d.book.state.fold(acknowledged)
    assert d.book.state.alerts[1].acknowledged_by == "me"
    assert read_state(d.path).state.alerts[1].is_acknowledged


def test_lines_that_are_no_events_are_counted_and_ignored(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(HALTED)
    with d.path.open("ab") as file:
        file.write(b'{"event":"of a later version","at_ns":1}\n\xff\xfe\n{"event":"resolved"}\n{"ev')
    d.crash()
    assert d.log.unreadable == 3
    d.see(HALTED, seconds=20)
    assert [event.__struct_config__.tag for event in AlertLog(d.path).read()][:3] == ["watching", "opened", "sending"]
    logged = read_state(d.path)
    assert (list(logged.state.alerts), logged.unreadable) == ([1], 3)
    assert d.path.stat().st_mode & 0o077 == 0


def test_a_disk_that_refuses_is_an_error_and_not_a_loss(tmp_path: Path) -> None:
    with pytest.raises(AlertLogError, match="cannot be used"):
        AlertLog(Path("/proc/version/alerts.jsonl"))
    with pytest.raises(AlertLogError, match="there is no log"):
        read_state(tmp_path / "missing.jsonl")
    assert not (tmp_path / "missing.jsonl").exists()


def test_texts_are_bounded(tmp_path: Path) -> None:
    d = desk(tmp_path)
    d.see(*(Finding("alarm", f"a{n}", Severity.WARNING, "x" * TEXT_MAX, n) for n in range(100)))
    assert all(len(message.text) < PARTS_MAX * (TEXT_MAX + 400) for _, message in d.received)
    assert d.book.state.alerts[1].target != WATCHER
