"""Strategies that do not come back, in real processes: SIGTERM, commands and the time budget end them safely."""

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli_live import STRATEGIES, environment, started, state_of, until, venue, verbatim
from warm_processes import VERBATIM, WarmProcess

from engine.live.control_socket import send_command, socket_path
from engine.live.ingress import Ingress
from engine.live.waiting_commands import WaitingCommands
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import recover
from journal.sessions import list_sessions
from journal.verify import verify
from replay.replay import replay_session

Session = tuple[subprocess.Popen[str], Path]


def config_for(folder: Path, address: str, cls: str, extra: str = "") -> Path:
    path = folder / "session.toml"
    path.write_text(
        f"""
instruments = ["BTCUSDT"]

[venue]
rest = "{address}"
stream = "{address.replace("http", "ws")}"
private = "{address.replace("http", "ws")}"

[session]
journals = "{folder}/journals"

[risk]
order_notional_max = 1000

[strategy.stuck]
file = "{STRATEGIES}/stuck.py:{cls}"

[engine]
{extra}
""",
        encoding="utf-8",
    )
    return path


def records(folder: Path) -> list[Record]:
    found = list_sessions(folder / "journals")
    if not found:
        return []
    try:
        return list(Journal.open(found[0].path).records())
    except JournalError:
        return []


def has(folder: Path, text: str) -> bool:
    return any(text in (record.body or "") for record in records(folder))


def until_stuck(folder: Path) -> None:
    """Wait until the order rests and the strategy does not return: the journal has not grown for a second."""
    until(lambda: has(folder, '"fact":"order_accepted"') and has(folder, '"decisions":3'), 60)

    def is_quiet() -> bool:
        before = len(records(folder))
        time.sleep(1)
        return len(records(folder)) == before

    until(is_quiet, 60)


def ended_well(folder: Path) -> Path:
    [found] = list_sessions(folder / "journals")
    assert verify(found.path).ok
    verdict = replay_session(found.path)
    assert verdict.identical, verdict.text()
    return found.path


def end_by(folder: Path, act: Callable[[subprocess.Popen[str]], None], extra: str = "") -> tuple[int, str, str, float]:
    """Act on a session whose decision does not return. Return its exit code, its words and how long its end took."""
    with venue() as ready:
        command = [*VERBATIM, "run", str(config_for(folder, ready["listening"], "Endless", extra))]
        with started(command) as process:
            until_stuck(folder)
            assert len(state_of(ready)["open_orders"]) == 1
            began_at = time.monotonic()
            act(process)
            out, errors = process.communicate(timeout=60)
            seconds = time.monotonic() - began_at
        assert state_of(ready)["open_orders"] == []
    return process.returncode, out, errors, seconds


@pytest.mark.slow
@pytest.mark.parametrize("budget_s", [60, 0])
def test_sigterm_during_a_decision_of_60_s_ends_the_session_in_order(tmp_path: Path, budget_s: int) -> None:
    code, out, errors, seconds = end_by(
        tmp_path, lambda process: process.send_signal(signal.SIGTERM), f"decision_stop_s = {budget_s}"
    )
    assert code == 0, out + errors
    assert seconds < 45, "long before the decision's end"
    assert "strategy stuck  stopped: its decision did not return while a signal to stop waited" in out
    folder = ended_well(tmp_path)
    assert Journal.open(folder).closed
    [stopped] = [r for r in records(tmp_path) if '"fact":"strategy_stopped"' in (r.body or "")]
    assert stopped.kind is Kind.FACT
    assert json.loads(stopped.body or "")["cut_off"] is True


@pytest.mark.slow
@pytest.mark.parametrize("budget_s", [0, 60])
def test_a_command_to_stop_during_a_decision_that_does_not_return_is_obeyed_whatever_its_budget(
    tmp_path: Path, budget_s: int
) -> None:
    def stop(process: subprocess.Popen[str]) -> None:
        [found] = list_sessions(tmp_path / "journals")
        assert send_command(socket_path(tmp_path / "journals", found.session_id), command="stop", by="test")["seq"] > 0

    code, out, errors, seconds = end_by(tmp_path, stop, f"decision_stop_s = {budget_s}")
    assert code == 0, out + errors
    assert seconds < 15
    assert "strategy stuck  stopped: its decision did not return while a command waited" in out
    ended_well(tmp_path)


@pytest.mark.slow
def test_kill_during_a_decision_without_a_budget_is_done_by_the_session_itself(tmp_path: Path) -> None:
    def kill(process: subprocess.Popen[str]) -> None:
        ended = verbatim("kill", "--config", tmp_path / "session.toml", seconds=60)
        assert ended.returncode == 0, ended.stderr
        assert "by the running session" in ended.stdout
        process.send_signal(signal.SIGTERM)

    code, out, errors, _ = end_by(tmp_path, kill, "decision_stop_s = 0")
    assert code == 6, out + errors  # halted
    ended_well(tmp_path)


def test_a_command_that_limits_the_session_is_seen_while_its_tasks_wait(tmp_path: Path) -> None:
    """The line stays in the socket for the session; questions and commands of other kinds do not count."""
    waiting = WaitingCommands(Ingress())
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.setblocking(False)
        handed: list[bool] = []
        waiting.listen(listening, lambda: handed.append(True))
        assert not waiting.is_urgent()
        clients: list[socket.socket] = []
        lines = [b'{"command":"status"}\n', b'{"command":"resume"}\n', b'{"command":"halt"', b"}\n"]
        for place, line in enumerate(lines):
            if place < 3:
                clients.append(socket.socket(socket.AF_UNIX))
                clients[-1].connect(str(tmp_path / "s"))
            clients[-1].sendall(line)
            assert waiting.is_urgent() is (place == 3)
        accepted = waiting.accepted()
        assert len(handed) == len(accepted) == 3
        assert accepted[-1].recv(100) == b'{"command":"halt"}\n'
        assert not waiting.is_urgent()
        for each in (*accepted, *clients):
            each.close()


@pytest.mark.slow
def test_a_decision_stuck_in_c_code_ends_by_another_process_that_cancels_its_orders(tmp_path: Path) -> None:
    with venue() as ready:
        path = config_for(tmp_path, ready["listening"], "EndlessInC", "decision_stop_s = 1")
        with WarmProcess(
            [*VERBATIM, "run", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as process:
            until_stuck(tmp_path)
            assert len(state_of(ready)["open_orders"]) == 1
            out, errors = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, out + errors
        assert state_of(ready)["open_orders"] == []
    assert "gave no sign of life for 16 s: it is ended, its orders cancelled" in errors
    assert re.search(r'File ".*stuck.*", line \d+ in decide', errors)  # whose code it was
    assert "the venue shows no open order of ours" in errors
    assert "verbatim-demo-secret" not in errors
    [found] = list_sessions(tmp_path / "journals")
    recover(found.path)
    ended_well(tmp_path)


@pytest.mark.slow
def test_slow_consumer_no_order_is_decided_on_a_quote_received_long_before(tmp_path: Path) -> None:
    with venue() as ready:
        with started([*VERBATIM, "run", str(config_for(tmp_path, ready["listening"], "Slow"))]) as process:
            until(lambda: has(tmp_path, '"state":"late"'), 90)
            until(lambda: has(tmp_path, '"state":"caught_up"'), 60)
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, out + errors
        assert state_of(ready)["open_orders"] == []
    ended_well(tmp_path)
    received: dict[int, int] = {}
    ages = []
    found = records(tmp_path)
    for record in found:
        received[record.seq] = record.recv_ns or 0
        if record.kind is Kind.INTENT:
            quote_seq = json.loads(record.body or "")["rationale"]["quote_seq"]
            ages.append((record.time_ns - received[quote_seq]) / 1e9)
    assert max(ages, default=0) < 3, ages
    notes = [json.loads(record.body or "")["text"] for record in found if record.kind is Kind.NOTE]
    assert any("the engine is late" in text and "strategy stuck decided for" in text for text in notes), notes
    assert any("caught up" in text for text in notes)
    assert not has(tmp_path, '"purpose":"disconnect"')  # no feed is blamed
