"""`verbatim kill` against real processes: through a living session, after its process died, and while it hangs.

Each test reads the venue's own books, and replays the journals of both sessions.
"""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from test_cli_live import ROOT, Ready, environment, state_of, struck, until, venue, verbatim
from test_emergency_cancel import add_fault, configured, open_at, place_foreign, running
from warm_processes import VERBATIM, WarmProcess

from journal.reader import Journal
from journal.recover import recover
from journal.sessions import list_sessions
from replay.replay import replay_session


def held_btc(ready: Ready) -> Decimal:
    balance = state_of(ready)["balances"]["demo"]["BTC"]
    return Decimal(balance["free"]) + Decimal(balance["locked"])


def with_position(config: Path) -> Path:
    """Add a strategy that buys at the market, once."""
    config.write_text(
        config.read_text().replace(
            "[risk]", f'[strategy.once]\nfile = "{ROOT}/tests/strategies/once.py:Once"\n[risk]', 1
        )
    )
    return config


def replays(folder: Path) -> None:
    for session in list_sessions(folder / "journals"):
        recover(session.path)
        assert replay_session(session.path).identical


def kill(config: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return verbatim("kill", "--config", config, *options, seconds=120)


@pytest.mark.slow
def test_kill_orders_a_living_session_and_spares_other_programs(tmp_path: Path) -> None:
    """An order that an older session of the folder left is ours, though this session does not know it."""
    older = tmp_path / "journals" / "20200101T000000Z-aaaaaaaa"
    with venue("BTCUSDT") as ready:
        place_foreign(ready, "another-bot-1")
        before = held_btc(ready)
        config = with_position(configured(tmp_path, ready))
        with running(config) as process:
            until(lambda: len(open_at(ready)) == 15 and held_btc(ready) > before, 60)
            place_foreign(ready, "aaaaaaaa-gone-v1-7-0")
            older.mkdir()
            ended = kill(config, "--flatten", "--json")
            older.rmdir()
            assert ended.returncode == 0, ended.stderr
            result = json.loads(ended.stdout)
            assert (result["way"], result["mode"], result["orders"], result["positions"]) == (
                "session",
                "halted",
                [],
                [],
            )
            assert open_at(ready) == ["another-bot-1"]
            assert held_btc(ready) == before
            assert process.poll() is None, "it watches on, halted"
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    replays(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "hangs"])
def test_kill_works_at_the_venue_when_the_session_cannot(tmp_path: Path, end: str) -> None:
    with venue("BTCUSDT") as ready:
        place_foreign(ready, "another-bot-1")
        before = held_btc(ready)
        config = with_position(configured(tmp_path, ready))
        with running(config) as process:
            until(lambda: len(open_at(ready)) == 15 and held_btc(ready) > before, 60)
            os.kill(process.pid, signal.SIGKILL if end == "killed" else signal.SIGSTOP)
            if end == "killed":
                process.wait(60)
            add_fault(ready, action="reject", method="DELETE", status=503, code=-1000, msg="x", times=3)
            ended = kill(config, "--flatten")
            assert open_at(ready) == ["another-bot-1"], ended.stderr
            assert held_btc(ready) == before, ended.stdout
            assert "own orders that may be open: none" in ended.stdout
            assert "positions: none" in ended.stdout
            assert min(struck(ready)) == 3
            if end == "killed":
                assert ended.returncode == 0, ended.stderr
            else:
                assert ended.returncode == 4
                assert "lives but does not answer" in ended.stderr
        assert len(list_sessions(tmp_path / "journals")) == 2, "the one that cancels has a journal of its own"
    replays(tmp_path)


@pytest.mark.slow
def test_kill_says_what_stays_open_and_fails(tmp_path: Path) -> None:
    with venue("BTCUSDT") as ready:
        config = configured(tmp_path, ready)
        with running(config) as process:
            until(lambda: len(open_at(ready)) == 14, 60)
            process.kill()
            process.wait(60)
        add_fault(ready, action="reject", method="DELETE", status=503, code=-1000, msg="x", times=0)
        ended = kill(config, "--timeout", "10")  # on a busy machine 14 cancels take seconds
        assert ended.returncode == 4
        assert "run it again" in ended.stderr
        [line] = [line for line in ended.stdout.splitlines() if line.startswith("own orders")]
        assert line.count("-ladder-") == 14
        assert min(struck(ready)) >= 14
        assert len(open_at(ready)) == 14
        replays(tmp_path)
        forget_faults(ready)
        damage(tmp_path / "journals")
        assert kill(config.parent / "no.toml").returncode == 3
        ended = kill(config)
        assert ended.returncode == 4, ended.stderr
        assert open_at(ready) == [], "without the journal they are cancelled by our mark"
        assert "its positions are not in this report" in ended.stderr
        assert "positions: not known" in ended.stdout


@pytest.mark.slow
def test_a_kill_by_a_configuration_without_the_instrument_ends_its_orders(tmp_path: Path) -> None:
    """The configuration was changed to another instrument and another folder meanwhile; --journals names the old one."""
    with venue("BTCUSDT", "ETHUSDT") as ready:
        config = configured(tmp_path, ready)
        with running(config) as process:
            until(lambda: len(open_at(ready)) == 14, 60)
            process.kill()
            process.wait(60)
        text = config.read_text().replace('["BTCUSDT"]', '["ETHUSDT"]')
        strategies = text.index("[strategy")
        config.write_text(text[:strategies] + text[text.index("[risk]") :])
        assert '"BTCUSDT"' not in config.read_text()
        config.write_text(config.read_text().replace(f"{tmp_path}/journals", f"{tmp_path}/elsewhere"))
        ended = kill(config, "--journals", tmp_path / "journals")
        assert ended.returncode == 0, ended.stderr
        assert open_at(ready) == []
        assert not (tmp_path / "elsewhere").exists()
        assert len(list_sessions(tmp_path / "journals")) == 2
    replays(tmp_path)


def damage(journals: Path) -> None:
    """Make all sessions unreadable."""
    for session in list_sessions(journals):
        for path in session.path.glob("*.parquet"):
            path.write_bytes(path.read_bytes()[:100])


def forget_faults(ready: Ready) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{ready['listening']}/sim/faults", method="DELETE")).close()


def test_kill_without_a_key_or_a_session_is_one_line(tmp_path: Path) -> None:
    ended = verbatim("kill", "--journals", tmp_path)
    assert ended.returncode == 3
    assert len(ended.stderr.strip().splitlines()) == 1


# ---- the guard


@contextmanager
def guarding(config: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a guard; at the end it stops at once at SIGTERM."""
    command = [*VERBATIM, "guard", str(config), "--json", *options]
    with WarmProcess(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stderr is not None
        try:
            assert json.loads(process.stderr.readline())["event"] == "guarding"
            yield process
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["killed", "hangs"])
def test_a_guard_cancels_when_the_trader_is_killed_or_hangs(tmp_path: Path, end: str) -> None:
    with venue("BTCUSDT") as ready:
        place_foreign(ready, "another-bot-1")
        config = configured(tmp_path, ready)
        with guarding(config, "--after", "3"), running(config) as process:
            until(lambda: len(open_at(ready)) == 15, 60)
            os.kill(process.pid, signal.SIGKILL if end == "killed" else signal.SIGSTOP)
            until(lambda: open_at(ready) == ["another-bot-1"], 60)
            until(lambda: len(list_sessions(tmp_path / "journals")) == 2)
            following = list_sessions(tmp_path / "journals")[-1].path
            until(lambda: Journal.open(following).closed, 30)
    replays(tmp_path)


@pytest.mark.slow
def test_a_guard_leaves_a_session_alone_that_trades_or_ended_in_order(tmp_path: Path) -> None:
    with venue("BTCUSDT") as ready:
        config = configured(tmp_path, ready)
        config.write_text(config.read_text() + "[engine]\ncancel_on_stop = false\n")
        with guarding(config, "--after", "6") as guard:
            with running(config) as process:
                until(lambda: len(open_at(ready)) == 14, 60)
                beat = time.monotonic()
                until(lambda: time.monotonic() > beat + 8)
                assert len(open_at(ready)) == 14
                status = verbatim("status", tmp_path / "journals", "--running", "--guarded", "--json")
                found = json.loads(status.stdout)
                assert status.returncode == 0, found["findings"]
                [row] = found["sessions"]
                assert (row["mode"], len(row["orders"]), row["is_answered"]) == ("running", 14, True)
                assert (row["guard"]["is_alive"], row["guard"]["checked_s"] < 5, row["age_s"] < 10) == (
                    True,
                    True,
                    True,
                )
                process.send_signal(signal.SIGHUP)  # its terminal closes: an ordered end
                process.communicate(timeout=60)
            ended = time.monotonic()
            until(lambda: time.monotonic() > ended + 8)
            assert guard.poll() is None
            assert len(open_at(ready)) == 14, "it left them on purpose"
        assert len(list_sessions(tmp_path / "journals")) == 1
    replays(tmp_path)
