"""The command line as a user types it: its entry points, its table of commands, and the old spellings."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

import verbatim
from verbatim.cli import COMMANDS, OLD_NAMES, main

HEAVY = ("numpy", "numba", "pyarrow", "duckdb", "pydantic", "trio", "httpx")


def run_python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=False)


def test_python_m_verbatim_is_the_command(tmp_path: Path) -> None:
    shown = run_python("-P", "-m", "verbatim", "--version", cwd=tmp_path)
    assert (shown.returncode, shown.stdout.split()[-1]) == (0, version("verbatim-trading"))
    assert verbatim.__version__ == version("verbatim-trading")


def test_help_loads_no_heavy_package(tmp_path: Path) -> None:
    program = f"import sys\nfrom verbatim.cli import main\nmain(['--help'], standalone_mode=False)\nassert not {HEAVY} & sys.modules.keys()"
    program = program.replace(str(HEAVY), str(set(HEAVY)))
    shown = run_python("-P", "-c", program, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert all(name in shown.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert f"{name} [OPTIONS]" in shown.output


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_an_old_command_name_works_and_is_not_listed(old: str, new: str) -> None:
    runner = CliRunner()
    now, then = runner.invoke(main, [new, "--help"]), runner.invoke(main, [old, "--help"])
    assert then.output.replace(f" {old} ", f" {new} ") == now.output
    assert f"  {old} " not in runner.invoke(main, ["--help"]).output


@pytest.mark.parametrize(
    ("command", "old", "new"), [("record", "--for", "--duration"), ("shadow", "--for", "--duration")]
)
def test_an_old_option_works_and_is_not_listed(command: str, old: str, new: str, tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(main, [command, "--help"]).output
    assert new in listed
    assert old not in listed
    for spelling in (old, new):
        refused = runner.invoke(main, [command, spelling, "0", str(tmp_path / "none")])
        assert refused.exit_code == 2
        assert spelling in refused.output, "the message names the option as it was typed"


def test_the_old_option_modelled_works_and_is_not_listed() -> None:
    runner = CliRunner()
    assert "--modelled" not in runner.invoke(main, ["resim", "--help"]).output
    refused = runner.invoke(main, ["resim", "no-such-session", "--modelled"])
    assert "no session" in refused.output


@pytest.mark.slow
def test_a_folder_called_engine_ends_the_command_with_one_line_and_leaves_pytest_alone(tmp_path: Path) -> None:
    """The plugin is loaded in every repository of the environment, and most have nothing to do with Verbatim."""
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("PISTONS = 8\n")
    (tmp_path / "test_engine.py").write_text(
        "import sys\nfrom engine import PISTONS\n\ndef test_pistons():\n    assert PISTONS == 8\n"
        "    assert not {'journal', 'replay', 'analysis', 'verbatim.cli'} & sys.modules.keys()\n"
    )
    tests = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), cwd=tmp_path)
    assert "1 passed" in tests.stdout, tests.stdout + tests.stderr
    command = run_python("-m", "verbatim", "sessions", cwd=tmp_path)
    assert command.returncode == 4
    assert "another distribution or folder has that name" in command.stderr
    assert "Traceback" not in command.stderr
