"""Progress is drawn on a terminal alone, on stderr, after a second; NO_COLOR and a pipe remove every style."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
import structlog
from calm_venue import CalmVenue
from click.testing import CliRunner

from engine.live.logs import configure
from verbatim.cli import main
from verbatim.progress_line import CLEAR_LINE, ProgressLine, duration, progress, progress_text
from verbatim.testing import VirtualSession, strategy_settings

ONCE = Path(__file__).parent / "strategies" / "once.py"
PROGRAM = """
import sys
from verbatim.progress_line import ProgressLine
line = ProgressLine("reading")
line.delay_s = 0
line.start()
sys.stdin.read()
line.stop()
print("result")
"""


class Terminal(io.StringIO):
    """A terminal that notes when something was drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.is_drawn = Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.is_drawn.set()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    once = strategy_settings(ONCE, "Once", name="once")
    folder = tmp_path_factory.mktemp("progress") / "20240808T235410Z-aaaaaaaa"
    running = VirtualSession(CalmVenue(), folder, strategies=[once])
    running.run(until=lambda session: bool(session.facts("order_filled"))).stop()
    return folder


def test_the_line_states_count_share_and_time_left() -> None:
    assert progress_text("replaying", "records", 0, 0, elapsed_s=3) == "replaying: 3 s"
    assert progress_text("comparing", "models", 7, 0, elapsed_s=70) == "comparing: 7 models, 1:10 min"
    assert progress_text("replaying", "records", 1_000, 4_000, elapsed_s=1) == "replaying: 1,000 of 4,000 records, 25 %"
    assert (
        progress_text("replaying", "records", 1, 4, elapsed_s=10, left_s=30)
        == "replaying: 1 of 4 records, 25 %, 30 s left"
    )
    assert progress_text("replaying", "records", 9, 4, elapsed_s=10) == "replaying: 9 of 4 records, 100 %"
    assert [duration(each) for each in (0.4, 59, 61, 3_661)] == ["0 s", "59 s", "1:01 min", "1:01:01 h"]


def test_the_time_left_follows_the_rate_and_counts_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow start does not count, and a step that takes long does not make the line wait."""
    clock = [100.0]
    monkeypatch.setattr("verbatim.progress_line.time.monotonic", lambda: clock[0])
    line = ProgressLine("replaying")
    clock[0] = 110
    line.report(10, 100)
    assert line.text(110) == "replaying: 10 of 100 records, 10 %, 1:30 min left"
    clock[0] = 112
    line.report(30, 100)
    assert line.text(112) == "replaying: 30 of 100 records, 30 %, 7 s left", "10 records a second"
    assert line.text(115) == "replaying: 30 of 100 records, 30 %, 4 s left"
    assert line.text(130) == "replaying: 30 of 100 records, 30 %, 0 s left"
    line.report(100, 100)
    assert line.text(131) == "replaying: 100 of 100 records, 100 %"


def test_it_is_drawn_and_cleared_on_a_terminal() -> None:
    terminal = Terminal()
    line = ProgressLine("replaying", stream=terminal)
    line.delay_s = 0
    line.report(1, 2)
    line.start()
    assert terminal.is_drawn.wait(60)
    line.stop()
    drawn = terminal.getvalue()
    assert drawn.startswith(CLEAR_LINE + "replaying: 1 of 2 records, 50 %")
    assert drawn.endswith(CLEAR_LINE)


def test_a_short_command_and_a_pipe_draw_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    line = ProgressLine("replaying", stream=terminal)
    line.start()
    line.stop()
    assert terminal.getvalue() == "", "it ended within its first second"
    with progress("replaying") as piped:
        piped.delay_s = 0
        piped.report(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_real_terminal_gets_it_on_stderr() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-P", "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        drawn = b""
        while b"reading: " not in drawn:
            drawn += os.read(ours, 1_000)
        assert process.stdin is not None
        process.stdin.close()
        assert process.stdout is not None
        assert process.stdout.read() == b"result\n"
    os.close(ours)
    os.close(theirs)


@pytest.mark.slow
def test_no_color_removes_the_styles_of_tables_and_of_numba(session: Path) -> None:
    """Numba's errors in colour made colorama reset every terminal at the end of the process."""
    typed = "from verbatim.cli import main\nimport sys\nmain(sys.argv[1:], standalone_mode=False)\n"
    typed += "from numba.core.errors import termcolor\nprint(termcolor().highlight('error'))"
    ours, theirs = pty.openpty()
    words = ["sql", str(session), "SELECT count(*) AS records FROM records"]
    environment = {**os.environ, "NO_COLOR": "1"}
    with subprocess.Popen([sys.executable, "-P", "-c", typed, *words], stdout=theirs, env=environment) as process:
        assert process.wait() == 0
    drawn = os.read(ours, 10_000)
    os.close(ours)
    os.close(theirs)
    assert (b"records" in drawn, drawn.endswith(b"error\r\n"), b"\x1b" in drawn) == (True, True, False), drawn


def test_no_color_removes_styles(
    session: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["why", str(session)]
    assert "\x1b[" not in CliRunner().invoke(main, words).output, "a pipe"
    assert "\x1b[" in CliRunner().invoke(main, words, color=True).output
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for value, is_styled in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        assert ("\x1b[" in CliRunner().invoke(main, words, color=True).output) is is_styled
        configure()
        structlog.get_logger().warning("the venue is silent")
        structlog.reset_defaults()
        assert ("\x1b[" in capsys.readouterr().err) is is_styled
