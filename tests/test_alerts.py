"""`verbatim alerts` as a whole: the watcher on real journals with real receivers, its commands, and real processes."""

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from alert_receivers import Answer, HookServer, Mailbox, hook_server, mail_server
from calm_venue import CalmVenue
from checked_sessions import CheckedSessions
from click.testing import CliRunner, Result
from warm_processes import VERBATIM, WarmProcess

from journal.sessions import list_sessions
from verbatim.alerts.alert_config import AlertConfig
from verbatim.alerts.alert_log import AlertLog, read_state
from verbatim.alerts.channels import make_heartbeat, make_senders
from verbatim.alerts.watched_sessions import WatchedSessions
from verbatim.alerts.watcher import Watcher
from verbatim.cli import main
from verbatim.run_mark import RunMark, failed_runs, marked_run
from verbatim.testing import VirtualSession

FAST = {"poll_s": "0.1", "clear_s": 0}
DEATH_SECONDS = 10.0  # within which the death of the trader must be reported


def await_true(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until the watcher's thread has come so far, at most so long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the watcher did not come so far"
        time.sleep(0.01)


def config_of(server: HookServer, **more: Any) -> AlertConfig:
    hook = {"kind": "webhook", "url": server.address, "severity_min": "info"}
    still = {"journal_silent": {"enabled": False}}  # time of these sessions passes only when the test runs them
    return AlertConfig.model_validate({"watch": FAST, "rule": still, "channel": {"hook": hook}} | more)


@contextmanager
def watcher(config: AlertConfig, root: Path, log: Path, only: Path | None = None) -> Iterator[Watcher]:
    """A watcher in a thread; it ends as a signal ends it."""
    running = Watcher(config, WatchedSessions(root, only), AlertLog(log, is_watcher=True), make_senders(config, root))
    thread = Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        running.ended.set()
        thread.join(60)
        running._log.close()


def received(server: HookServer) -> list[tuple[str, str, str]]:
    """Wait for a message, and return rule, reason and text of each of its alerts."""
    body = json.loads(server.posts.get(timeout=60).body)
    return [(part["rule"], part["why"], part["text"]) for part in body["parts"]]


def await_all(server: HookServer, *expected: tuple[str, str]) -> None:
    """Wait until messages have named all of these: rule and reason. Several may come in one message."""
    awaited = {*expected}
    while awaited:
        awaited -= {each[:2] for each in received(server)}


def root_of(*sessions: VirtualSession) -> Path:
    """Return a folder of sessions whose names have times."""
    root = sessions[0].folder.parent / "root"
    root.mkdir(exist_ok=True)
    for place, session in enumerate(sessions):
        session.writer.wait_durable(session.records[-1].seq, 60)
        link = root / f"20260101T00000{place}Z-{session.folder.name}"
        if not link.exists():
            link.symlink_to(session.folder)
    return root


# ---- the watcher -----------------------------------------------------------------------------------


def test_a_death_and_the_next_start_are_reported_and_a_restart_of_the_watcher_repeats_nothing(
    begin: CheckedSessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.record_stream.LOCK_CHECK_S", 0.1)
    venue, log = CalmVenue(), tmp_path / "alerts.jsonl"
    first = begin(venue, "once").run(2)
    root = root_of(first)
    with hook_server() as server:
        config = config_of(server)
        with watcher(config, root, log):
            first.kill()
            [(rule, why, text)] = received(server)
        assert (rule, why, first.body.session in text) == ("process_gone", "new", True)
        with watcher(config, root, log) as again:
            second = begin(venue, "once", previous=first, opening=first.state).run(1)
            root_of(first, second)
            await_all(server, ("process_gone", "resolved"), ("session_began", "new"))
            assert {*again.book.state.targets.values()} == {second.body.session}
            second.stop()
            assert received(server)[0][:2] == ("session_ended", "new")
        with watcher(config, root, log) as third:
            await_true(lambda: third.book.state.now_ns > 0 and bool(third._sessions.by_target))
        assert server.posts.qsize() == 0


def test_a_halt_is_repeated_until_it_is_acknowledged_by_another_process(begin: CheckedSessions, tmp_path: Path) -> None:
    session = begin(CalmVenue(), "once").run(2)
    session.command("halt", "by a test").run(1)
    log = tmp_path / "alerts.jsonl"
    with hook_server() as server:
        config = config_of(server, watch=FAST | {"repeat_s": "0.2"})
        with watcher(config, root_of(session), log) as running:
            assert [received(server)[0][:2] for _ in range(2)] == [("halted", "new"), ("halted", "still")]
            assert invoke("ack", "all", "--log", log, "--note", "lunch").stdout == "acknowledged: 1\n"
            await_true(lambda: running.book.state.alerts[1].is_acknowledged)
            listed = invoke("list", "--log", log)
            assert "halted" in listed.stdout
            assert "acknowledged by" in listed.stdout
            assert "channel hook: works" in listed.stdout
            count = running.book.state.message_number
            session.command("resume").run(1)
            while received(server)[0][1] != "resolved":
                pass
            assert running.book.state.message_number <= count + 2
    session.stop()
    assert invoke("list", "--log", log).stdout.splitlines()[-1] == "no alert is open"


def test_a_channel_that_fails_stops_no_other_one(begin: CheckedSessions, tmp_path: Path) -> None:
    session = begin(CalmVenue(), "once").run(2)
    session.command("halt").run(1)
    with hook_server() as server, hook_server() as broken, mail_server(box := Mailbox()) as port:
        broken.answers = [Answer(404)] * 100
        mail = {
            "kind": "mail", "host": "localhost", "port": port, "tls": "none", "sender": "a@example.com",
            "recipients": ["b@example.com"],
        }  # fmt: skip
        other = {"kind": "webhook", "url": broken.address}
        config = config_of(server)
        config = AlertConfig.model_validate(
            config.model_dump(exclude_unset=True)
            | {"channel": {"good": config.channel["hook"].model_dump(), "bad": other, "mail": mail}}
        )
        with watcher(config, root_of(session), tmp_path / "alerts.jsonl") as running:
            assert received(server)[0][:2] == ("halted", "new")
            await_true(lambda: bool(box.mails) and running.book.state.channel("bad").failures > 0)
            assert "status 404" in running.book.state.channel("bad").reason
    assert "halted" in box.mails[0]["Subject"]
    session.stop()


def test_a_log_that_cannot_be_written_stops_no_alert_and_is_reported(begin: CheckedSessions, tmp_path: Path) -> None:
    """The limit on the size of files has the effect of a full disk: a write ends in the middle, the next one fails."""
    session = begin(CalmVenue(), "once").run(2)
    log = tmp_path / "alerts.jsonl"
    with hook_server() as server:
        running = Watcher(config_of(server), WatchedSessions(root_of(session)), AlertLog(log), {})
        while not running.book.state.targets:
            running.observe_once()
        kept = log.read_bytes()
        session.command("halt").run(1)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        session.writer.wait_durable(session.records[-1].seq, 60)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) + 20, before[1]))
        try:
            while not running.log_failure or not running.book.state.alerts:
                running.observe_once()
            assert log.read_bytes() == kept, "no half of a line remains"
            running.observe_once()
            assert [alert.finding.rule for alert in running.book.state.alerts.values()] == ["halted", "log_failing"]
            assert "the disk is full" in running.log_failure
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        running.observe_once()
        assert running.log_failure == ""
        assert [alert.finding.rule for alert in read_state(log).state.alerts.values()] == ["halted", "log_failing"]
        running._close()
    session.stop()


def test_a_heartbeat_is_sent_while_the_watcher_observes(begin: CheckedSessions, tmp_path: Path) -> None:
    session = begin(CalmVenue(), "once").run(1)
    with hook_server() as server, hook_server() as service:
        service.answers = [Answer(500), Answer()]
        config = config_of(server, heartbeat={"url": service.address, "every_s": "0.2"})
        beat = make_heartbeat(config, tmp_path)
        running = Watcher(config, WatchedSessions(root_of(session)), AlertLog(tmp_path / "log"), {}, heartbeat=beat)
        while service.posts.qsize() < 2:
            running.observe_once()
        running._close()
        bodies = [json.loads(service.posts.get().body) for _ in range(2)]
    assert [body["title"] for body in bodies] == ["[HEARTBEAT] Verbatim alerts"] * 2
    assert bodies[1]["at_ns"] - bodies[0]["at_ns"] >= 200_000_000
    session.stop()


# ---- commands --------------------------------------------------------------------------------------


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, ["alerts", *map(str, words)])


def write_config(folder: Path, server: HookServer, text: str = "") -> Path:
    path = folder / "alerts.toml"
    path.write_text(
        f'[watch]\npoll_s = 0.2\nclear_s = 1\n[channel.hook]\nkind = "webhook"\nurl = "{server.address}"\nseverity_min = "info"\n{text}'
    )
    return path


def test_a_trial_reaches_the_channel_and_a_failure_is_the_exit_code(tmp_path: Path) -> None:
    with hook_server() as server:
        config = write_config(tmp_path, server)
        assert (invoke("test", "--config", config).exit_code, json.loads(server.posts.get(timeout=30).body)["title"]) == (
            0, "[TEST] Verbatim alerts",
        )  # fmt: skip
        server.answers = [Answer(500)]
        failed = invoke("test", "--config", config, "--channel", "hook")
        assert (failed.exit_code, failed.stdout) == (4, "FAIL  hook: the answer has status 500\n")
        unknown = invoke("test", "--config", config, "--channel", "hok")
        assert (unknown.exit_code, "did you mean 'hook'" in unknown.stderr) == (3, True)
    lines = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("trial", ""),
        ("trial", "the answer has status 500"),
    ]
    assert invoke("test").exit_code == 3, "there is no channel without a configuration"


def test_a_watcher_waits_for_the_folder_of_the_first_session(
    begin: CheckedSessions, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Started at boot, before the first session, and its folder lost for a while: it prints that and continues."""
    session = begin(CalmVenue(), "once").run(2)
    root, away = root_of(session), tmp_path / "away"
    root.rename(away)
    with hook_server() as server, watcher(config_of(server), root, tmp_path / "alerts.jsonl") as running:
        await_true(lambda: running._sessions.failure != "")
        away.rename(root)
        assert received(server)[0][:2] == ("session_began", "new")
        assert running._sessions.failure == ""
        root.rename(away)
        await_true(lambda: running._sessions.failure != "")
    session.stop()
    lines = [line for line in "".join(capfd.readouterr()).splitlines() if f"{root}" in line and "ing" in line]
    assert ["there is no folder" in line for line in lines] == [True, False, True], lines


def test_a_run_that_fails_is_reported_until_a_session_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the configuration cannot be read, then the key is missing; another account's mark stays."""
    monkeypatch.delenv("VERBATIM_API_KEY", raising=False)
    journals, config = tmp_path / "journals", tmp_path / "trader.toml"
    config.write_text("[session\n")

    def run() -> str:
        ended = CliRunner().invoke(main, ["run", str(config), "--journals", str(journals)])
        assert ended.exit_code == 3, ended.output
        return ended.stderr.strip().removeprefix("verbatim: ").splitlines()[-1]

    def found() -> list[str]:
        return [f"{each.rule} {each.about}: {each.text}" for each in WatchedSessions(journals).folder_findings()]

    assert found() == []
    said = run()
    assert found() == [
        f"run_failed a trader of this folder: a trader of this folder does not run, verbatim run ended: {said}"
    ]
    other = RunMark(None)
    other.identify(journals, {"binance_spot": "other"})
    other.make("no venue\n\x1b[2J")
    assert found()[0].startswith("run_failed account other at binance_spot: account other")
    assert found()[0].endswith("verbatim run ended: no venue \\u001b[2J")
    config.write_text(Path("examples/demo.toml").read_text())
    said = run()
    assert "no credentials" in said
    [main_account, _] = found()
    assert main_account.endswith(f"verbatim run ended: {said}")
    listed = invoke(f"{journals}/", "--once")
    assert (listed.exit_code, listed.stdout.count("critical  run_failed account")) == (1, 2)
    [mark] = [each for each in failed_runs(journals) if each.account != "other"]
    begun = RunMark(None)
    begun.identify(journals, {mark.venue: mark.account})
    begun.remove()
    assert [each.account for each in failed_runs(journals)] == ["other"]
    (journals / ".locks/failed-torn").write_text("{")
    assert len(found()) == 1
    with pytest.raises(KeyError), marked_run(journals):
        raise KeyError("x")
    assert len(found()) == 2


def test_once_prints_what_the_rules_find(begin: CheckedSessions) -> None:
    session = begin(CalmVenue(), "once").run(2)
    root = root_of(session)
    assert (invoke(root, "--once").exit_code, invoke(session.folder, "--once").stdout) == (
        0,
        "no rule finds anything\n",
    )
    session.command("halt", "a test").run(1)
    session.stop()
    found = invoke("last", "--journals", root, "--once")
    assert found.exit_code == 1
    assert found.stdout.startswith("critical  halted  account main at binance_spot: trading is halted")
    as_json = json.loads(invoke("watch", root, "--once", "--json").stdout)
    assert (as_json["rule"], as_json["target"]) == ("halted", "account main at binance_spot")


def test_mistakes_end_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[rule.halt]\n")
    for words, code, text in (
        (("last", "--journals", tmp_path / "none", "--once"), 3, "is not a folder"),
        (("last", "--journals", tmp_path / "bad.toml"), 3, "is not a folder"),
        ((tmp_path / "none", "--once"), 3, "no session"),
        (("zzzz", "--journals", tmp_path), 3, "verbatim sessions"),
        ((tmp_path, "--config", tmp_path / "none.toml"), 3, "cannot read the configuration"),
        ((tmp_path, "--config", tmp_path / "bad.toml"), 3, "rule.halt: unknown name (did you mean 'halted'?)"),
        (("ack", "7", "--log", tmp_path / "none.jsonl"), 3, "there is no log"),
        (("list", "--log", tmp_path / "none.jsonl"), 3, "there is no log"),
        ((tmp_path, "--log", tmp_path), 4, "cannot be used"),
    ):
        ended = invoke(*words)
        assert (ended.exit_code, len(ended.stderr.strip().splitlines())) == (code, 1), ended.output
        assert text in ended.stderr
    (tmp_path / "torn.jsonl").write_text(
        '{"event":"trial","at_ns":1,"channel":"phone"}\n{"event":"of a later version"}\n'
    )
    for words in (("list",), ("list", "--json"), ("ack", "all")):
        listed = invoke(*words, "--log", tmp_path / "torn.jsonl")
        assert (listed.exit_code, listed.stderr.startswith("verbatim: 1 line of")) == (0, True), listed.output
    assert json.loads(invoke("list", "--json", "--log", tmp_path / "torn.jsonl").stdout)["unreadable"] == 1
    (tmp_path / "empty.jsonl").touch()
    assert "no alert 7 is open" in invoke("ack", "7", "--log", tmp_path / "empty.jsonl").stderr


# ---- processes -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kill_minus_9_of_a_live_demo_is_reported_within_ten_seconds_and_resolved_by_the_next(tmp_path: Path) -> None:
    """A second watcher is refused; the first one survives the trader, and SIGTERM ends it in order."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBATIM_")}
    journals = tmp_path / "journals"
    journals.mkdir()

    def start(*words: object, errors: str = "errors") -> subprocess.Popen[str]:
        with (tmp_path / errors).open("w") as file:
            return WarmProcess([*VERBATIM, *map(str, words)], stdout=file, stderr=file, env=environment, cwd=tmp_path)

    with hook_server() as server:
        config = write_config(tmp_path, server, "[rule.not_running]\nenabled = false\n")
        watching = start("alerts", journals, "--config", config, errors="watching")
        demo = start("demo", "--seconds", "300", "--no-status")
        try:
            assert received(server)[0][:2] == ("session_began", "new")
            demo.kill()
            killed_s = time.monotonic()
            [(rule, why, text)] = received(server)
            took_s = time.monotonic() - killed_s
            assert (rule, why) == ("process_gone", "new")
            assert list_sessions(journals)[0].session_id in text
            assert took_s < DEATH_SECONDS
            demo.wait(60)
            again = start("alerts", journals, "--config", config, errors="refused")
            assert again.wait(60) == 4
            assert "another watcher writes" in (tmp_path / "refused").read_text()
            demo = start("demo", "--seconds", "300", "--no-status")
            await_all(server, ("session_began", "new"), ("process_gone", "resolved"))
            watching.send_signal(signal.SIGTERM)
            assert watching.wait(60) == 0
        finally:
            for process in (demo, watching):
                process.kill()
                process.wait(60)
    lines = (tmp_path / "watching").read_text()
    assert "process_gone" in lines
    assert "Traceback" not in lines
