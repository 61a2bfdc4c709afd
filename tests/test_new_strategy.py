"""`verbatim new strategy NAME`: the files work as they are written, and no file is overwritten."""

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from verbatim.cli import main
from verbatim.config import read_config
from verbatim.exit_codes import BAD_INPUT
from verbatim.new_strategy import NewStrategyError, write_strategy


@pytest.mark.slow
def test_the_written_test_passes(tmp_path: Path) -> None:
    """It runs the written strategy in virtual time, which trades, and replays the session."""
    _, _, test = write_strategy("my_cross", tmp_path)
    spec = importlib.util.spec_from_file_location("test_my_cross", test)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.test_my_cross_trades_and_replays(tmp_path)


def test_the_written_configuration_is_valid(tmp_path: Path) -> None:
    _, configuration, _ = write_strategy("my_cross", tmp_path)
    config = read_config(configuration, {})
    assert list(config.strategy) == ["my_cross"]


def test_the_command_says_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(main, ["new", "strategy", "fade"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines() == [
        "wrote fade.py",
        "wrote fade.toml",
        "wrote test_fade.py",
        "try it:  verbatim demo --strategy fade.py:Fade",
        "test it: pytest test_fade.py",
    ]


@pytest.mark.parametrize("file", ["fade.py", "fade.toml", "test_fade.py"])
def test_no_file_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text("mine")
    refused = CliRunner().invoke(main, ["new", "strategy", "fade"])
    assert refused.exit_code == BAD_INPUT
    assert f"{file} exists, and no file is overwritten" in refused.output
    assert [path.name for path in tmp_path.iterdir()] == [file]
    assert (tmp_path / file).read_text() == "mine"


@pytest.mark.parametrize("name", ["", "Fade", "a-b", "../x", "1st", "a" * 21, "a.b"])
def test_a_name_that_does_not_fit_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NewStrategyError, match="is no name of a strategy"):
        write_strategy(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
