"""The plugin as a team uses it: their own test, their own pytest, a session that was recorded."""

import subprocess
import sys
from pathlib import Path

import pytest
from replaying import QUOTER, session

TEAM = """
def test_quoter(captured_day, assert_same_intents):
    assert_same_intents(captured_day(r"{day}"), r"{strategy}"{more})
"""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("journals") / "day"
    session(folder, seconds=3).stop()
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def team(folder: Path, day: Path, source: str, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "quoter.py").write_text(source)
    (folder / "test_team.py").write_text(TEAM.format(day=day, strategy=folder / "quoter.py", more=more))
    return folder


@pytest.mark.slow
def test_a_version_that_decides_as_it_did_passes_and_another_is_a_diff(day: Path, tmp_path: Path) -> None:
    assert "1 passed" in run(team(tmp_path / "t", day, QUOTER + "\n# tidied\n")).stdout
    failed = run(team(tmp_path / "t", day, QUOTER.replace("quote.bid,", 'quote.bid - Decimal("5"),'))).stdout
    assert "1 failed" in failed
    assert "decisions changed" in failed
    assert "- BUY 0.001 BTCUSDT at 60000 LIMIT GTC" in failed
    assert "+ BUY 0.001 BTCUSDT at 59995 LIMIT GTC" in failed
    assert "Traceback" not in failed


@pytest.mark.slow
def test_golden_runs_are_written_by_the_flag_and_held_to_without(day: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden" / "quoter.jsonl"
    shy = QUOTER.replace("quote.bid,", 'quote.bid - Decimal("5"),')
    folder = team(tmp_path / "t", day, shy, f', golden=r"{golden}"')
    assert "there is no golden run" in run(folder).stdout
    assert "1 passed" in run(folder, "--verbatim-update").stdout
    assert '"what":"BUY 0.001 BTCUSDT at 59995 LIMIT GTC"' in golden.read_text()
    assert "1 passed" in run(folder).stdout
    again = run(team(tmp_path / "t", day, QUOTER, f', golden=r"{golden}"')).stdout
    assert "If this is intended: pytest --verbatim-update" in again
