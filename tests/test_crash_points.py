"""Crash points: a session of 200 orders is killed between append, sync, send, answer and apply, and restarted.

Here are every hundredth point and broken engines that must be found; benchmarks/crash_points.py tries all. It forks, so
it runs in its own process.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = str(ROOT / "benchmarks" / "crash_points.py")
# an engine that does not doubt the orders whose answers never came
FORGETFUL = f"""
import runpy, sys
import engine.kernel
engine.kernel.Status = type("Status", (), {{"PENDING": None}})
sys.argv = [{PROGRAM!r}, *sys.argv[1:]]
runpy.run_path({PROGRAM!r}, run_name="__main__")
"""


def crash(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", *(["-c", code] if code else [PROGRAM]), *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=550)


@pytest.mark.slow
def test_no_crash_loses_or_doubles_an_order_or_a_fill() -> None:
    """At least 200 orders, with cancels, fills and reconciliations. Nothing of ours is open after the kill."""
    done = crash("--every", "100")
    assert done.returncode == 0, done.stdout + done.stderr
    session, points, tried = done.stdout.splitlines()[-3:]
    assert int(session.split()[2]) >= 200, session
    assert int(points.split()[1].replace(",", "")) > 2_000, points
    assert "broken: 0" in tried, tried


@pytest.mark.slow
def test_an_engine_that_forgets_unanswered_orders_is_found() -> None:
    done = crash("--every", "60", "--orders", "20", code=FORGETFUL)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not open at the venue" in done.stdout
    assert "--point" in done.stdout.splitlines()[-1]
