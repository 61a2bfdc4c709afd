"""A quote, an order and a fill pass no more functions and files than before, traced by benchmarks/call_paths.py."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "benchmarks" / "call_paths.py"


@pytest.fixture(scope="module")
def traced() -> dict[str, dict[str, int]]:
    """Trace in a child process, so that the profile function does not slow down other tests."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(PROGRAM), "--json", "--seconds", "5"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", ["quote", "decision", "decision-shell", "sending", "fill", "fill-shell"])
def test_a_path_is_no_longer_than_its_ceiling(traced: dict[str, dict[str, int]], path: str) -> None:
    """Lower a ceiling when a path gets shorter. Only a further risk rule raises it, by its own functions."""
    row = traced[path]
    functions, files = row["ceiling"]
    hint = "`python benchmarks/call_paths.py --list` names them"
    assert row["functions"] <= functions, f"{row['functions']} functions on the path of a {path}: {hint}"
    assert row["files"] <= files, f"{row['files']} files on the path of a {path}: {hint}"


def test_the_tracer_sees_both_ends(traced: dict[str, dict[str, int]]) -> None:
    """A tracer that misses a path would find it short."""
    assert all(row["seen"] >= 1 for row in traced.values())
    assert traced["decision"]["functions"] > traced["quote"]["functions"] > 5
    assert traced["sending"]["functions"] >= 3


def test_the_walk_of_a_quote_is_drawn_as_traced(traced: dict[str, dict[str, int]]) -> None:
    """The page may lag behind in the order's walk, whose calls vary; the quote's walk does not vary."""
    drawn = (ROOT / "docs" / "ARCHITECTURE.md").read_text().partition("--write -->")[2].partition("<!-- /walk -->")[0]
    assert len(re.findall(r"^ *\d+  ", drawn, re.MULTILINE)) == traced["quote"]["functions"], (
        "`python benchmarks/call_paths.py --write` draws the walks again"
    )
