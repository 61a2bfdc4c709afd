"""The README's commands work as typed: its demo, and each of its five tasks on the session that the demo left."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
VERBATIM = ".venv/bin/verbatim "
ANSWERS = {  # the word after `verbatim` -> (exit code, a text that its answer has)
    "demo": (0, "replay: identical"),
    "why": (0, "latest first"),
    "sql": (0, "quantity"),
    "replay": (1, "first difference, at seq"),
    "backtest": (0, "P&L after fees"),
    "regress": (1, "regress: strategy.quoter.value=120 decided otherwise"),
}


def commands() -> list[str]:
    """Return the README's commands that call verbatim, in order."""
    blocks = re.findall(r"```\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(VERBATIM)]


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as typed, but with this environment's `verbatim`."""
    words = shlex.split(command.removeprefix(VERBATIM))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBATIM_")}
    program = [sys.executable, "-P", "-m", "verbatim", *words]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_commands_work_as_typed(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    typed = commands()
    assert [shlex.split(command)[1] for command in typed] == list(ANSWERS)
    for command in typed:
        code, answer = ANSWERS[shlex.split(command)[1]]
        done = run(tmp_path, command)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), f"{command}\n{done.stdout}{done.stderr}"
        assert answer in done.stdout, f"{command}\n{done.stdout}"


def test_the_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    [command] = re.findall(r"&& (\.venv/bin/python -P -m pytest [^\n`]*)", README)
    assert command in (ROOT / ".ci" / "run").read_text()
