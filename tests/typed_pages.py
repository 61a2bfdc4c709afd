"""Run the pages of the site as their reader would: files with a title are saved, and each `$ ` line is typed.

A page's commands run in order in one folder. Sample output is compared where it has no digits; `...` leaves out lines.
The word `demo` begins a session in virtual time with the strategy that the line names: the same session, without the
wait. `record` gets the address of a simulated venue, and the configurations too.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import chdir
from decimal import Decimal
from http.client import HTTPConnection
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from warm_processes import VERBATIM, WarmProcess

from engine.session_record import RiskSettings
from replay.replay import replay_session
from verbatim.demo import DEFAULTS
from verbatim.strategy_files import read_strategy
from verbatim.testing import VirtualSession, VirtualVenue

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
EXIT_CODE = re.compile(r"#\s*exit code (\d+)")
STAYS_OPEN = "first terminal"  # the title of a block whose command runs on while the next ones are typed
SERVERS = {"cockpit": "cockpit  http", "metrics": "metrics  http"}  # -> how the first line begins
DEMO_SECONDS = 25  # of session time
OWN_SECONDS = 60  # of a demo with the reader's strategy: its versions decide otherwise only after some trades
COMMAND_SECONDS_MAX = 120
IDS = "abcdefghijklmnopqrstuvwxyz"


class Typed(NamedTuple):
    """One command of a page."""

    line: str
    words: list[str]
    code: int
    sample: list[str]  # the output that the page shows
    stays_open: bool


class File(NamedTuple):
    """A file that the reader saves."""

    name: str
    text: str


class Page:
    """The fenced blocks of a page."""

    def __init__(self, path: Path) -> None:
        self.blocks = FENCE.findall(path.read_text())

    def steps(self) -> Iterator["File | Typed"]:
        """Yield what the reader saves and types, in order."""
        for kind, title, text in self.blocks:
            if kind == "console":
                yield from typed_lines(text, stays_open=title == STAYS_OPEN)
            elif title:
                yield File(title, text)

    def commands(self) -> list[Typed]:
        """Return what the reader types."""
        return [step for step in self.steps() if isinstance(step, Typed)]


def typed_lines(text: str, *, stays_open: bool) -> Iterator[Typed]:
    """Yield the commands of a block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *sample = part.rstrip("\n").split("\n")
        code = EXIT_CODE.search(line)
        yield Typed(line, shlex.split(line, comments=True), int(code[1]) if code else 0, sample, stays_open)


class Terminal:
    """A folder in which a page's commands are typed."""

    def __init__(
        self, folder: Path, venue: str, elsewhere: Collection[str] = (), fixture: Callable[[str], Any] = str
    ) -> None:
        self.folder, self.venue, self.elsewhere, self.fixture = folder, venue, elsewhere, fixture
        self.sessions = sum(1 for _ in folder.glob("journals/*"))
        self.open: list[WarmProcess] = []

    def save(self, file: File) -> None:
        """Save a file; a configuration for the real network gets the address of the simulated venue."""
        local = f'rest = "{self.venue}"\nstream = "{self.venue.replace("http", "ws")}"'
        (self.folder / file.name).write_text(re.sub(r'^network = "live".*$', local, file.text, flags=re.MULTILINE))

    def type(self, typed: Typed) -> str:
        """Run a command, and return what it printed."""
        program, *words = map(self.here, typed.words)
        if program == "pytest":
            self.run_tests(self.folder / words[-1])
            return ""
        assert program == "verbatim", typed.line
        if any(typed.line.startswith(each) for each in self.elsewhere):
            return ""
        if words[0] == "demo":
            return self.demo(words[words.index("--strategy") + 1] if "--strategy" in words else "")
        if words[0] in SERVERS:
            return self.serve([*words, "--port", "0"], SERVERS[words[0]])
        if words[0] == "record":
            words += ["--url", self.venue] if "--symbol" in words else []
            words += ["--duration", "2"] if "--duration" in words else []
        return self.run([*VERBATIM, *words], typed)

    def here(self, word: str) -> str:
        """Return a word with this folder's backup and newest session in place of the page's."""
        newest = max(path.name for path in (self.folder / "journals").iterdir()) if self.sessions else ""
        return re.sub(r"\d{8}T\d{6}Z-[a-z2-7]{8}", newest, word.replace("/mnt/backup", str(self.folder / "backup")))

    def demo(self, strategy: str) -> str:
        """Record a session as the demo does, in virtual time."""
        chosen = {"": strategy} if strategy else DEFAULTS["BTCUSDT"]
        base = self.folder if strategy else ROOT / "examples"
        session = VirtualSession(
            VirtualVenue(balances={"USDT": "100000", "BTC": "2"}),
            self.folder / "journals" / f"20240809T0000{self.sessions:02}Z-{IDS[self.sessions] * 8}",
            strategies=[read_strategy(code, name=name or None, base=base) for name, code in chosen.items()],
            risk=RiskSettings(order_notional_max=Decimal(500), position_max=Decimal(1), sell_holdings=True),
            session=IDS[self.sessions] * 8,
            is_trusted=True,
        )
        session.run(OWN_SECONDS if strategy else DEMO_SECONDS).stop()
        assert session.facts("strategy_stopped") == []
        self.sessions += 1
        return replay_session(session.folder).text()

    def run_tests(self, path: Path) -> None:
        """Run the tests of a file as pytest does, with the fixtures that they name."""
        specification = spec_from_file_location(path.stem, path)
        assert specification is not None
        assert specification.loader is not None
        module = module_from_spec(specification)
        specification.loader.exec_module(module)
        tests = [value for name, value in vars(module).items() if name.startswith("test_")]
        assert tests
        for test in tests:
            with chdir(self.folder):
                test(**{name: self.fixture(name) for name in signature(test).parameters})

    def run(self, command: list[str], typed: Typed) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBATIM_")}
        process = WarmProcess(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=self.folder
        )
        if typed.stays_open:
            self.open.append(process)
            self.wait_for_a_recording()
            return ""
        with process:
            try:
                stdout, stderr = process.communicate(timeout=COMMAND_SECONDS_MAX)
            except BaseException:
                process.kill()
                raise
        shown = f"{typed.line}\n{stdout}{stderr}"
        assert (process.returncode, "Traceback" in stderr) == (typed.code, False), shown
        return stdout + stderr

    def serve(self, words: list[str], begins: str) -> str:
        """Start a server, end it when it listens, and return its first line."""
        with WarmProcess([*VERBATIM, *words], stdout=subprocess.PIPE, text=True, cwd=self.folder) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(begins), line
            address = urlsplit(line.split()[1])
            connection = HTTPConnection(address.netloc, timeout=COMMAND_SECONDS_MAX)
            connection.request("GET", f"{address.path}?{address.query}")
            assert connection.getresponse().status < 400
            connection.close()
            process.send_signal(signal.SIGINT)
        assert process.returncode == 0
        return line

    def wait_for_a_recording(self) -> None:
        """Wait until the newest process that stays open writes a journal."""
        while not any(path.stat().st_size > 10_000 for path in self.folder.rglob("*.open")):
            try:
                self.open[-1].wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"it ended: {self.open[-1].communicate()}")

    def close(self) -> None:
        """End what still runs, in order."""
        for process in self.open:
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=COMMAND_SECONDS_MAX)
            assert process.returncode == 0, stdout + stderr


def missing_sample(typed: Typed, output: str) -> list[str]:
    """Return the lines of a page's sample output that a command did not print. Lines with digits differ each time."""
    printed = {line.strip() for line in output.splitlines()}
    fixed = [line.strip() for line in typed.sample if line.strip() not in ("", "...") and not re.search(r"\d", line)]
    return [line for line in fixed if line not in printed]


def copy_examples(folder: Path) -> None:
    """Copy the example strategies and configurations, as a reader has them."""
    for path in (ROOT / "examples").iterdir():
        if path.suffix in (".py", ".toml"):
            shutil.copy(path, folder)
