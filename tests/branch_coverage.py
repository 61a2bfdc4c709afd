"""Branch coverage of engine, journal and replay: `BRANCH_COVERAGE=1 pytest -n 3`, in the workers of pytest-xdist.

SlipCover puts a probe at each line and branch, and removes those that were reached. A tracer, which sees each line every
time, took more CPU time than all other work of the quick tier, so slow tests ran without it. This module must be imported
before the packages that it measures. SlipCover 1.1.0 cannot run pytest 9.2 itself: it wraps a function of its assertion
rewriting that has other parameters now.
"""

import json
import os
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["slipcover"]
IS_MEASURED = os.environ.get("BRANCH_COVERAGE") == "1"
NEVER = 1 << 30  # probes are removed between tests, never inside one
REMOVED_AFTER = {*range(1, 10), *range(10, 200, 10), *range(200, 10_000, 100)}  # so many tests of a worker


class WorkerCoverage:
    """Measures in a worker, and sends what was reached to the controller."""

    def __init__(self) -> None:
        import slipcover

        source, omit = ([str(ROOT / each) for each in SETTINGS[name]] for name in ("source", "omit"))
        self._tests = 0
        self._probes = slipcover.Slipcover(branch=True, source=source, omit=omit, d_miss_threshold=NEVER)
        matcher = slipcover.FileMatcher(sources=source, omit=omit)
        if sys.version_info >= (3, 12):  # it changes no code there
            slipcover.ImportManager(self._probes, matcher).__enter__()
            return
        import probed_code

        sources = (path for folder in source for path in Path(folder).rglob("*.py") if matcher.matches(path))
        for path in share_of(sources):
            probed_code.made(path)
        sys.meta_path.insert(0, probed_code.ProbedFinder(self._probes, matcher))

    def pytest_runtest_logfinish(self) -> None:
        """Remove the probes that were reached: most are after a few tests."""
        self._tests += 1
        if self._tests in REMOVED_AFTER:
            self._probes.deinstrument_seen()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send what was reached."""
        session.config.workeroutput["coverage"] = json.dumps(self._probes.get_coverage())  # type: ignore[attr-defined]  # of xdist


class ControllerCoverage:
    """Merges what the workers send, prints the files that have gaps, and fails below the floor."""

    def __init__(self) -> None:
        self._merged: dict[str, Any] | None = None

    def pytest_testnodedown(self, node: Any) -> None:
        """Merge what a worker reached."""
        import slipcover

        if text := getattr(node, "workeroutput", {}).get("coverage"):
            reached = json.loads(text)
            self._merged = reached if self._merged is None else slipcover.merge_coverage(self._merged, reached)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run below the floor."""
        if self._percent() < SETTINGS["fail-under"] and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the files that have gaps, and the share of lines and branches that were reached."""
        for path, found in sorted((self._merged or {"files": {}})["files"].items()):
            share = found["summary"]["percent_covered"]
            if share < 100:
                gaps = f"{len(found['missing_lines']):5d} lines {len(found['missing_branches']):5d} branches missing"
                terminalreporter.write_line(f"{path:60s} {gaps} {share:6.1f} %")
        reached = f"branch coverage {self._percent():.2f} %, floor {SETTINGS['fail-under']} %"
        terminalreporter.write_line(reached, red=self._percent() < SETTINGS["fail-under"])

    def _percent(self) -> float:
        return 0.0 if self._merged is None else float(self._merged["summary"]["percent_covered"])


def share_of(files: Iterable[Path]) -> list[Path]:
    """Return the files that this worker prepares first. The others prepare the rest meanwhile."""
    worker, workers = (int(os.environ[f"PYTEST_XDIST_WORKER{name}"].removeprefix("gw")) for name in ("", "_COUNT"))
    return sorted(files)[worker::workers]


def _plugin() -> WorkerCoverage | ControllerCoverage | None:
    if not IS_MEASURED:
        return None
    return WorkerCoverage() if "PYTEST_XDIST_WORKER" in os.environ else ControllerCoverage()


PLUGIN = _plugin()
