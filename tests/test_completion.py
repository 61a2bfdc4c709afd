"""The shell completes commands, options, choices and session ids, without loading a heavy package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from verbatim.cli import COMMANDS, main

IDS = ("aaaaaaaa", "aabbbbbb", "cccccccc")
PROGRAM = f"""
import sys
from click.shell_completion import ShellComplete
from verbatim.cli import main
shell = ShellComplete(main, {{}}, "verbatim", "_VERBATIM_COMPLETE")
for words in ([""], ["why", "a"], ["why", "--j"], ["control", "last", ""]):
    print(*[item.value for item in shell.get_completions(words[:-1], words[-1])])
assert not set({("numpy", "numba", "pyarrow", "duckdb", "pydantic", "trio", "httpx")}) & sys.modules.keys()
"""


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    for second, name in enumerate(IDS):
        (tmp_path / "journals" / f"20240808T23541{second}Z-{name}").mkdir(parents=True)
    return tmp_path / "journals"


def completed(*words: str) -> list[str]:
    shell = ShellComplete(main, {}, "verbatim", "_VERBATIM_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_commands_options_choices_and_sessions(journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("") == list(COMMANDS)
    assert completed("re") == [name for name in COMMANDS if name.startswith("re")]
    assert completed("--v") == ["--version"]
    assert completed("why", "--j") == ["--journals", "--json"]
    assert completed("pnl", "last", "--by", "p") == ["portfolio"]
    assert completed("completion", "") == ["bash", "zsh", "fish"]
    assert completed("why", "--journals", str(journals), "") == ["last", *reversed(IDS)]
    monkeypatch.chdir(journals.parent)
    for name in ("why", "diff", "replay", "backtest", "sessions", "cockpit", "regress"):
        assert completed(name, "a") == ["aabbbbbb", "aaaaaaaa"], name
    assert completed("diff", "aaaaaaaa", "c") == ["cccccccc"]
    assert completed("why", "journals/") == ["journals/"], "a path is the shell's own"
    for words in (
        ["replay", "x", "--strategy"],
        ["resim", "x", "--warm-up"],
        ["regress", "x", "--version"],
        ["bisect", "x"],
    ):
        assert completed(*words, "quoter") == ["quoter"], "a file is the shell's own"
    monkeypatch.chdir(journals)
    assert completed("why", "") == [], "no sessions are here"


def test_completing_loads_no_heavy_package(journals: Path) -> None:
    command = [sys.executable, "-P", "-c", PROGRAM]
    ended = subprocess.run(command, cwd=journals.parent, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[1:3] == ["aabbbbbb aaaaaaaa", "--journals --json"]


def test_bash_completes_with_the_printed_script(journals: Path, tmp_path: Path) -> None:
    """A real bash loads it and completes `verbatim why a`."""
    program = tmp_path / "bin" / "verbatim"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable} -P\nfrom verbatim.cli import main\nmain()\n")  # as pip writes it
    program.chmod(0o700)
    script = """
    eval "$(verbatim completion bash)"
    COMP_WORDS=(verbatim why a) COMP_CWORD=2
    _verbatim_completion verbatim
    echo "${COMPREPLY[@]}"
    complete -p verbatim
    """
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=journals.parent,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert ended.stdout.splitlines() == [
        "aabbbbbb aaaaaaaa",
        "complete -o nosort -F _verbatim_completion verbatim",
    ], ended.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_calls_verbatim(shell: str) -> None:
    shown = CliRunner().invoke(main, ["completion", shell])
    assert shown.exit_code == 0
    assert f"_VERBATIM_COMPLETE={shell}_complete" in shown.stdout


def test_a_misspelt_session_command_or_option_is_named(journals: Path) -> None:
    where = ["--journals", str(journals)]
    assert "Did you mean 'aabbbbbb'? What to do: " in CliRunner().invoke(main, ["why", "aabbbbbc", *where]).stderr
    assert "Did you mean" not in CliRunner().invoke(main, ["why", "zzz", *where]).stderr
    assert "did you mean 'replay'?" in CliRunner().invoke(main, ["repaly"]).stderr
    assert "Did you mean one of: '--journals'" in CliRunner().invoke(main, ["why", "a", "--journal", "x"]).stderr
