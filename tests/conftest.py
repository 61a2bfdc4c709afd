"""Shared fixtures: the folder of real captures, which are never part of the project, two small journals, and struck
faults.
"""

import gc
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import branch_coverage  # before the packages that it measures
import pytest
from _pytest.assertion import rewrite
from checked_sessions import begin, start
from power_cuts import record
from tiers import Tier

from engine.sim.faults import Faults, Rule, ScriptedFault
from journal.writer import JournalWriter

__all__ = ["begin", "start"]  # fixtures
GARBAGE_BYTES_MAX = 100_000_000
ROOT = Path(__file__).resolve().parent.parent

if sys.dont_write_bytecode:  # compiling test files takes 7 s of each worker: keep them apart from the sources
    sys.dont_write_bytecode = False
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(Path.home() / ".cache/verbatim/bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # also of the processes that tests start


def pytest_configure(config: pytest.Config) -> None:
    """Note whether this run is the quick tier, before test files are imported, and measure coverage if ordered."""
    Tier.is_quick = config.option.markexpr == "not slow"
    if branch_coverage.PLUGIN is not None:
        config.pluginmanager.register(branch_coverage.PLUGIN)
    if isinstance(branch_coverage.PLUGIN, branch_coverage.WorkerCoverage):
        rewrite_share(config)


def rewrite_share(config: pytest.Config) -> None:
    """Rewrite the assertions of this worker's share of the test files: all of them take 8 s of CPU time."""
    for path in branch_coverage.share_of(Path(__file__).parent.glob("test_*.py")):
        kept = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
        if rewrite._read_pyc(path, kept) is None:
            stat, code = rewrite._rewrite_test(path, config)
            kept.parent.mkdir(parents=True, exist_ok=True)
            rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, stat, kept)


class Resident:
    """The resident memory of this process after the last collection of garbage."""

    bytes = 0


def pytest_runtest_logfinish() -> None:
    """Collect garbage once it may hold much memory.

    An ended session is in cycles: few objects, which Python collects late, and 5 MB of arrays for each instrument.
    """
    if resident_bytes() - Resident.bytes > GARBAGE_BYTES_MAX:
        gc.collect()
        Resident.bytes = resident_bytes()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data: VERBATIM_DATA, or ../shared/data beside the checkout. CI must have it."""
    folder = Path(os.environ.get("VERBATIM_DATA", ROOT.parent / "shared" / "data"))
    if folder.is_dir():
        return folder
    if os.environ.get("CI") == "true":
        pytest.fail(f"no real data at {folder}: set VERBATIM_DATA")
    pytest.skip(f"no real data at {folder}: set VERBATIM_DATA")


@pytest.fixture(autouse=True, scope="session")
def _own_trust_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's key (journal/trust_key.py) out of tests, also of the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(autouse=True)
def _faults_strike(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test with a scripted fault that no client could notice. Tests check venues of other processes themselves.

    A test with random faults is exempt: `@pytest.mark.faults_may_miss("reason")`.
    """
    scripted: list[ScriptedFault] = []
    add = Faults.add

    def noted(self: Faults, rule: Rule, now_ns: int) -> ScriptedFault:
        scripted.append(add(self, rule, now_ns))
        return scripted[-1]

    monkeypatch.setattr(Faults, "add", noted)
    yield
    if request.node.get_closest_marker("faults_may_miss") is None:
        missed = [fault.rule for fault in scripted if not fault.struck]
        assert not missed, f"these faults never struck: {missed}"


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """Write nine records in three frames, each synced, and abandon the writer. The last frame proves that six are
    durable.
    """
    writer = JournalWriter.create(tmp_path / "crashed")
    for at in range(0, 9, 3):
        writer.append_step([record(seq) for seq in range(at, at + 3)], urgent=True)
        writer.wait_durable(at + 2, 60)
    writer.abandon()
    return tmp_path / "crashed"


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """Write the same records and seal them."""
    writer = JournalWriter.create(tmp_path / "closed")
    writer.append_step([record(seq) for seq in range(9)])
    writer.close()
    return tmp_path / "closed"
