"""The front door's live commands as a person meets them: processes, signals, exit codes, and one clear line for bad
input.
"""

import gzip
import inspect
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from warm_processes import CALM_EVENT_MS, VENUE, VERBATIM, WarmProcess, run

from engine.live.logs import configure
from journal.errors import JournalError
from journal.reader import Journal
from journal.sessions import list_sessions
from journal.verify import verify
from replay.replay import replay_session
from replay.study.pnl import session_pnl
from verbatim.run_mark import RunMark, failed_runs

ROOT = Path(__file__).resolve().parent.parent
STRATEGIES = ROOT / "tests/strategies"
Ready = dict[str, Any]
Ended = subprocess.CompletedProcess[str]
HEAVY = ("duckdb", "pyarrow", "numpy", "numba", "trio", "pydantic")


def environment(**more: Any) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VERBATIM_")}
    return kept | {"VERBATIM_API_KEY": "verbatim-demo-key", "VERBATIM_API_SECRET": "verbatim-demo-secret"} | more


def verbatim(*arguments: object, seconds: float = 60, **more: Any) -> Ended:
    return run([*VERBATIM, *map(str, arguments)], timeout=seconds, env=environment(**more))


def one_line(ended: Ended, code: int) -> str:
    """The line on stderr, which must be alone there."""
    assert ended.returncode == code, ended.stderr
    (line,) = ended.stderr.strip().splitlines()
    return line


@contextmanager
def venue(*symbols: str) -> Iterator[Ready]:
    """Run the simulated venue with a calm market: the tests wait for orders and answers."""
    options = {"symbols": symbols, "event_ms": CALM_EVENT_MS}
    command = [*VENUE, json.dumps(options)]
    with WarmProcess(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:  # a test that failed does not wait for it
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def started(command: list[str], kind: type[subprocess.Popen[str]] = WarmProcess) -> subprocess.Popen[str]:
    """Start a command in its own process group, as a shell does."""
    return kind(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    )


def config_for(folder: Path, address: str) -> Path:
    path = folder / "session.toml"
    text = (
        (ROOT / "examples/demo.toml")
        .read_text(encoding="utf-8")
        .replace("127.0.0.1:9090", address.removeprefix("http://"))
    )
    text = text.replace('"quoter.py', f'"{ROOT}/examples/quoter.py').replace(
        '"ma_cross.py', f'"{ROOT}/examples/ma_cross.py'
    )
    path.write_text(text.replace('"journals"', f'"{folder}/journals"'), encoding="utf-8")
    return path


def state_of(ready: Ready) -> dict[str, Any]:
    with urllib.request.urlopen(f"{ready['listening']}/sim/state") as answer:
        return json.load(answer)


def struck(ready: Ready) -> list[int]:
    """Return how often each scripted fault has struck."""
    with urllib.request.urlopen(f"{ready['listening']}/sim/faults") as answer:
        return [fault["struck"] for fault in json.load(answer)]


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {inspect.getsource(holds).strip()}"
        time.sleep(0.02)


def test_help_is_light_and_fast() -> None:
    loaded = "import sys; from verbatim.cli import main; main(['--help'], standalone_mode=False); "
    told = subprocess.run(
        [sys.executable, "-P", "-c", f"{loaded} print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stderr.strip() == "[]"
    assert "demo" in told.stdout
    spent = []  # CPU time, because the machine may be busy
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*VERBATIM, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.2


@pytest.mark.slow
def test_sigterm_stops_in_order_and_seals(tmp_path: Path) -> None:
    failed = RunMark(None)
    failed.identify(tmp_path / "journals", {"binance_spot": "demo"})
    failed.make("an earlier start")
    assert len(failed_runs(tmp_path / "journals")) == 1
    with venue() as ready:
        command = [*VERBATIM, "run", str(config_for(tmp_path, ready["listening"])), "--json"]
        with WarmProcess(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as process:
            until(lambda: len(state_of(ready)["orders"]) >= 2)
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert state_of(ready)["open_orders"] == []
    told = json.loads(out)
    folder = Path(told["folder"])
    assert told["ended"] == "closed"
    assert failed_runs(tmp_path / "journals") == []
    assert Journal.open(folder).closed
    assert verify(folder).ok
    assert replay_session(folder).identical
    assert "verbatim-demo-secret" not in errors + out


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_the_next_session_goes_on(tmp_path: Path) -> None:
    with venue() as ready:
        path = config_for(tmp_path, ready["listening"])
        fault = json.dumps(
            {"action": "delay_answer", "method": "DELETE", "path": "/api/v3/order", "ms": 60_000, "times": 0}
        )
        urllib.request.urlopen(f"{ready['listening']}/sim/faults", data=fault.encode()).close()
        with WarmProcess(
            [*VERBATIM, "run", str(path)], stdout=subprocess.PIPE, text=True, env=environment()
        ) as process:
            until(lambda: len(state_of(ready)["open_orders"]) >= 1)
            process.send_signal(signal.SIGINT)
            until(lambda: sum(struck(ready)) > 0)
            assert process.poll() is None  # it waits for the cancel's answer
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 4
            assert "interrupted: a second signal (SIGINT)" in process.stdout.read()
    (found,) = list_sessions(tmp_path / "journals")
    assert verify(found.path).ok
    assert not Journal.open(found.path).closed
    assert replay_session(found.path).identical


@pytest.mark.slow
def test_a_stop_without_a_venue_is_not_in_order(tmp_path: Path) -> None:
    """The venue never returns: the report names the unanswered requests, with few records and no traceback."""
    patience = environment(VERBATIM_ENGINE__STOP_TIMEOUT_S="3")
    calm = json.dumps({"symbols": ["BTCUSDT"], "event_ms": CALM_EVENT_MS})  # else the order may fill before the kill
    with WarmProcess([*VENUE, calm], stdout=subprocess.PIPE, text=True) as gone:
        ready = json.loads(gone.stdout.readline())
        command = [*VERBATIM, "run", str(config_for(tmp_path, ready["listening"]))]
        with WarmProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=patience) as process:
            until(lambda: len(state_of(ready)["open_orders"]) >= 1)
            gone.kill()
            (found,) = list_sessions(tmp_path / "journals")
            before = sum(1 for _ in Journal.open(found.path).records())
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=60)
    assert process.returncode == 4, out + errors
    assert "Traceback" not in errors
    assert "stopped without the venue's answer: " in out
    assert "may still be open there" in out
    assert Journal.open(found.path).closed
    assert replay_session(found.path).identical
    after = sum(1 for _ in Journal.open(found.path).records())
    assert after - before < 400, after - before


@pytest.mark.slow
def test_no_secret_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure(level="info")
    log = structlog.get_logger()
    log.info(
        "GET /api/v3/order?symbol=X&signature=abcdef0123&timestamp=1",
        api_key="k-e-y",
        headers={"X-MBX-APIKEY": "k-e-y"},
    )
    try:
        raise ValueError("api_secret=plugh")  # as some library might
    except ValueError:
        log.exception("failed")
    told = capsys.readouterr().err
    assert "symbol=X" in told
    assert not [secret for secret in ("abcdef0123", "k-e-y", "plugh") if secret in told]


def test_logs_outlive_a_stderr_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    configure(level="info")
    structlog.get_logger().info("one")
    monkeypatch.setattr(sys, "stderr", second)
    first.close()
    structlog.get_logger().info("two")
    assert "two" in second.getvalue()


def test_packages_of_the_same_name_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine/__init__.py").write_text("", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", "from verbatim import Place"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        check=False,
    )
    assert "verbatim's package 'engine' should be" in ended.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_journal_that_fails_stops_trading_and_cancels(tmp_path: Path) -> None:
    """The disk is full: open orders are cancelled, with the one request that is allowed without a record."""
    with venue() as ready:
        path = config_for(tmp_path, ready["listening"])
        limited = ["sh", "-c", 'ulimit -f 700; exec "$@"', "sh", *VERBATIM, "run", str(path)]  # blocks of 512 bytes
        ended = subprocess.run(limited, capture_output=True, text=True, timeout=60, env=environment(), check=False)
        assert ended.returncode == 4, ended.stderr
        assert ended.stderr.count("trading stopped") == 1
        assert "Traceback" not in ended.stderr
        assert "emergency cancel" in ended.stderr
        assert state_of(ready)["open_orders"] == []


@pytest.mark.slow
def test_demo_says_identical_and_what_to_try(tmp_path: Path) -> None:
    ended = verbatim("demo", "--seconds", "5", "--journals", tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "replay: identical" in ended.stdout.splitlines()
    (found,) = list_sessions(tmp_path)
    assert f"verbatim verify {found.session_id} --journals {tmp_path}" in ended.stdout
    total = session_pnl(found.path).portfolio.total
    assert f"P&L      {total:+.4f} USDT: realised " in ended.stdout, "the summary and `verbatim pnl` agree"


@pytest.mark.slow
def test_a_strategy_that_was_stopped_is_said_and_the_next_command_can_be_pasted(tmp_path: Path) -> None:
    script = tmp_path / "verbatim"  # as pip writes it, in a folder that PATH does not have
    script.write_text(f"#!{sys.executable} -P\nfrom verbatim.cli import main\nmain()\n", encoding="utf-8")
    script.chmod(0o755)
    command = [
        script,
        "demo",
        "--seconds",
        "3",
        "--strategy",
        f"{STRATEGIES}/faulty.py",
        "--journals",
        tmp_path / "my journals",
    ]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environment(PATH="/usr/bin:/bin")
    )
    assert told.returncode == 0, told.stderr
    assert "strategy faulty  stopped: ZeroDivisionError: " in told.stdout
    pasted = next(line for line in told.stdout.splitlines() if " verify " in line)
    assert pasted.startswith(f"  {script} verify ")
    again = subprocess.run(["sh", "-c", pasted], capture_output=True, text=True, check=False, env=environment())
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_wishes_that_were_all_refused_are_said(tmp_path: Path) -> None:
    ended = verbatim("demo", "--seconds", "3", "--strategy", f"{STRATEGIES}/once.py", "--journals", tmp_path)
    assert "orders   0" in ended.stdout
    assert "refused  1 intent, and no order was placed; the first: order_size: notional " in ended.stdout


@pytest.mark.slow
def test_g5_reconcile_now_orders_a_round_of_a_running_session_and_prints_it(tmp_path: Path) -> None:
    with started([*VERBATIM, "demo", "--seconds", "60", "--journals", str(tmp_path)]) as process:
        until(lambda: any(last_seq(found.path) >= 300 for found in list_sessions(tmp_path)), 30)
        (found,) = list_sessions(tmp_path)
        ended = verbatim("reconcile", found.session_id, "--now", "--journals", tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert "after: reconcile by " in ended.stdout
        assert "  queried  open_orders [record " in ended.stdout
        assert " drift 0" in ended.stdout
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)


@pytest.mark.slow
def test_ctrl_c_in_a_demo_stops_in_order(tmp_path: Path) -> None:
    """As a terminal sends it: to every process of the group."""
    command = [*VERBATIM, "demo", "--seconds", "60", "--journals", str(tmp_path)]
    with started(command) as process:
        until(lambda: any(last_seq(found.path) >= 100 for found in list_sessions(tmp_path)))
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, out + errors
    assert "(closed: stopped in order)" in out
    assert "replay: identical" in out.splitlines()


def last_seq(folder: Path) -> int:
    """Return the journal's newest seq; -1 while its folder has no segment yet."""
    try:
        return Journal.open(folder).last_seq
    except JournalError:
        return -1


@pytest.mark.slow
@pytest.mark.parametrize("library", ["msgspec", "pyarrow", "numba"])
def test_ctrl_c_before_the_session_is_one_clear_line(tmp_path: Path, library: str) -> None:
    with started([*VERBATIM, "demo", "--journals", str(tmp_path)], subprocess.Popen) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        until(lambda: f"/{library}/" in maps.read_text(encoding="utf-8"))  # its imports have come this far
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    if not list_sessions(tmp_path):
        (line,) = errors.strip().splitlines()
        assert line.startswith("verbatim: interrupted")
        assert process.returncode == 4, out


@pytest.mark.slow
def test_the_venue_of_a_demo_that_was_killed_ends_too(tmp_path: Path) -> None:
    with started([*VERBATIM, "demo", "--seconds", "60", "--journals", str(tmp_path)]) as process:
        until(lambda: bool(list_sessions(tmp_path)))
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = " ".join(path.read_text(encoding="ascii") for path in tasks).split()
        process.kill()
        assert children, "the venue is a process, and the guard of stuck decisions may be another"
        until(lambda: all(has_ended(child) for child in children))


def has_ended(process: str) -> bool:
    cmdline = Path(f"/proc/{process}/cmdline")
    try:
        return not cmdline.read_bytes()
    except OSError:
        return True


@pytest.mark.slow
def test_journals_that_cannot_be_written_are_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    for folder in (file, file / "journals"):
        line = one_line(verbatim("demo", "--journals", folder), 3)
        assert f"cannot write journals in {folder}: " in line
        assert "--journals" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.toml"], "cannot read the configuration nowhere.toml: No such file or directory"),
        (["demo", "--capture", "nowhere.gz"], "cannot read the capture"),
        (["demo", "--strategy", "nowhere.py:Quoter"], "cannot read the strategy nowhere.py: No such file or directory"),
        (["demo", "--strategy", f"{ROOT}/examples/quoter.py:Quotter"], "quoter.py has no class Quotter"),
        (["tell", "abcd2345", "pause"], "no session 'abcd2345'"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    journals = [] if arguments[0] == "run" else ["--journals", tmp_path]
    line = one_line(verbatim(*arguments, *journals), 3)
    assert line.startswith("verbatim: ")
    assert said in line
    assert list_sessions(tmp_path) == []


@pytest.mark.slow
def test_a_damaged_capture_is_one_clear_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.gz"
    whole.write_bytes(gzip.compress(b'1 {"stream":"btcusdt@trade","data":{}}\nnonsense\n'))
    assert "line 2 is not" in one_line(verbatim("demo", "--capture", whole, "--journals", tmp_path), 3)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole.read_bytes()[:-9])
    assert "is cut off" in one_line(verbatim("venue", "--port", "0", "--capture", cut), 3)


DIFF = b'{"stream":"btcusdt@depth@%s","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,%s"b":[],"a":[]}}\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (DIFF % (b"0ms", b""), "it is of Binance futures (depth@0ms streams)"),
        (DIFF % (b"100ms", b'"pu":0,'), "it is of Binance futures (`pu` in its depth diffs)"),
        (DIFF % (b"100ms", b""), "it has no depth snapshot"),
    ],
)
def test_a_capture_that_is_not_of_spot_is_refused(tmp_path: Path, line: bytes, said: str) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(b"1 " + line)
    assert said in one_line(verbatim("demo", "--capture", capture, "--journals", tmp_path), 3)


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line(verbatim("venue", "--port", port), 3)
    assert f"cannot listen on 127.0.0.1:{port}" in line


@pytest.mark.slow
def test_a_wrong_key_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    with venue() as ready:
        ended = verbatim(
            "run", config_for(tmp_path, ready["listening"]), "--log-level", "error", VERBATIM_API_KEY="another"
        )
        assert ended.returncode == 4
        assert "refused our key: -2015" in ended.stderr.strip().splitlines()[-1]
        (found,) = list_sessions(tmp_path / "journals")
        assert verify(found.path).ok
        wrong = {"VERBATIM_API_SECRET": "wrong"}
        ended = verbatim("run", config_for(tmp_path, ready["listening"]), "--log-level", "error", **wrong)
        assert "refused our key: -1022" in ended.stderr.strip().splitlines()[-1]
        command = [*VERBATIM, "run", str(config_for(tmp_path, ready["listening"]))]  # the right one trades
        with WarmProcess(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as process:
            until(lambda: len(state_of(ready)["orders"]) >= 1)
            process.send_signal(signal.SIGTERM)
            out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, out + errors


@pytest.mark.slow
def test_kill_at_random_moments() -> None:
    """benchmarks/kill_test.py says what is compared after each kill, and prints the seed that repeats the moments."""
    ended = subprocess.run(
        [sys.executable, "-P", str(ROOT / "benchmarks/kill_test.py"), "--moments", "10"],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(),
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(ended.stdout)["broken"] == []


@pytest.mark.slow
def test_brackets_survive_kills_at_random_moments() -> None:
    """benchmarks/bracket_kills.py says what is checked after each kill; 20 moments and more are for a person to run."""
    ended = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/bracket_kills.py"), "--moments", "3"],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(),
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert (found["broken"], sum(found["at_kill"].values())) == ([], 3)
