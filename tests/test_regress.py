"""Versions on recorded sessions: changed decisions and figures, wherever and however often the work is done."""

import json
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from replaying import QUOTER, git, reseal, session
from spawned_jobs import kill_always, kill_once

from engine.session_record import read_session
from journal.disk import FileReader
from journal.frames import FrameWalk
from journal.reader import Journal
from replay.code_digest import RESULT_PACKAGES, digest_packages, study_code_digest
from replay.study.performance import session_performance
from replay.study.regress import Job, job_key, regress_rows, run_job
from replay.study.workers import WorkFailedError, run_jobs
from verbatim.cli import main
from verbatim.strategy_files import read_strategy
from verbatim.sweeping import sweep
from verbatim.testing import VirtualSession, VirtualVenue

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two sessions that traded."""
    root = tmp_path_factory.mktemp("days") / "journals"
    root.mkdir()
    for at, seconds in enumerate((2, 3)):
        running = session(root / f"2026010{at + 1}T000000Z-aaaaaaa{'bc'[at]}", seconds=seconds)
        running.stop()
    return root


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.output


def regress(journals: Path, *words: object, code: int = 0) -> str:
    return verbatim(
        "regress", "aaaaaaab", "aaaaaaac", "--journals", journals, "--trust-code", "--workers", 1, *words, code=code
    )


@pytest.mark.slow
def test_performance_counts_fills_and_no_fill_queries(journals: Path) -> None:
    for folder in journals.iterdir():
        found = session_performance(folder)
        assert found.fills == len(json.loads(verbatim("sql", folder, "SELECT * FROM fills", "--json")))
        assert found.placed > found.fills > 0
        assert found.maker_fills <= found.fills


def test_a_version_that_decides_the_same_changes_nothing(journals: Path, tmp_path: Path) -> None:
    same = tmp_path / "quoter.py"
    same.write_text(QUOTER.replace('version = "1"', 'version = "1"  # tidied'))
    told = regress(journals, "--version", same)
    assert told.splitlines()[-1] == "regress: no version changed a decision"


@pytest.mark.slow
def test_versions_are_compared_with_the_record(journals: Path, tmp_path: Path) -> None:
    shy = tmp_path / "shy.py"
    shy.write_text(QUOTER.replace("quote.bid,", 'quote.bid - Decimal("5"),'))
    broken = tmp_path / "broken.py"
    broken.write_text(QUOTER.replace("quote = view.quote", "quote = view.quotes"))
    report = tmp_path / "report.html"
    words = ("--version", shy, "--version", broken, "--variant", "strategy.quoter.size=0.002", "--report", report)
    told = json.loads(regress(journals, *words, "--json", code=1))["rows"]
    assert [row["version"] for row in told] == ["recorded", "strategy.quoter.size=0.002", str(shy), str(broken)] * 2
    assert [row["changed"] > 0 for row in told] == [False, True, True, True] * 2
    doubled = told[1]
    assert abs(float(doubled["pnl_change"]) - float(doubled["trading_change"]) - float(doubled["fees_change"])) < 1e-9
    assert float(doubled["fees_change"]) < 0
    page = report.read_text()
    assert page.count("<tr>") == 1 + len(told)
    assert "- BUY 0.001 BTCUSDT at" in page
    assert "+ BUY 0.002 BTCUSDT at" in page


@pytest.mark.slow
def test_a_version_may_be_a_git_revision(journals: Path, tmp_path: Path) -> None:
    path = tmp_path / "quoter.py"
    path.write_text(QUOTER)

    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    git(tmp_path, "tag", "v1")
    path.write_text(QUOTER.replace("quote.bid,", 'quote.bid - Decimal("5"),'))
    assert read_strategy(f"{path}@v1").sources["quoter"] == QUOTER
    told = json.loads(regress(journals, "--version", f"{path}@v1", "--version", path, "--json", code=1))["rows"]
    assert [row["changed"] > 0 for row in told] == [False, False, True] * 2
    assert "git has no strategy at 'v9'" in regress(journals, "--version", f"{path}@v9", code=3)


@pytest.mark.slow
def test_bisect_finds_the_commit_that_changed_decisions(journals: Path, tmp_path: Path) -> None:
    path = tmp_path / "quoter.py"

    git(tmp_path, "init", "-q")
    for number in range(6):
        shy = QUOTER.replace("quote.bid,", 'quote.bid - Decimal("5"),') if number >= 4 else QUOTER
        path.write_text(f"{shy}# {number}\n")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", f"change {number}")
        git(tmp_path, "tag", f"v{number}")
    words = ("bisect", "aaaaaaab", path, "--journals", journals, "--trust-code", "--good", "v0")
    told = verbatim(*words, code=1).splitlines()
    assert told[0].endswith("change 4")
    assert "decisions changed" in told[1]
    assert "none decides otherwise" in verbatim(*words, "--bad", "v3")
    assert "bad revision" in verbatim(*words, "--bad", "v9", code=3)


@pytest.mark.slow
def test_results_are_cached_by_all_their_inputs(journals: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    body = read_session(Journal.open(journals / "20260101T000000Z-aaaaaaab").session_record().body or "")
    job = Job(version="a", folder=journals / "20260101T000000Z-aaaaaaab", body=body, modelled=True, cache_folder=kept)
    first = run_job(job)
    (path,) = kept.iterdir()
    assert run_job(job) == first
    path.write_bytes(path.read_bytes()[:100])  # cut short, as by a crash
    assert run_job(job) == first
    other = Job(version="a", folder=job.folder, body=body, modelled=True, cache_folder=kept, balances={"USDT": "1"})
    run_job(other)
    assert len(list(kept.iterdir())) == 2


@pytest.mark.parametrize(
    "changed",
    ["engine/kernel.py", "journal/reader.py", "replay/resim/resimulate.py", "replay/projections.py"],
)
def test_kept_results_end_with_the_code_that_made_them(
    journals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """A changed line of any file between a journal and a result is another key, so the work is done again."""
    for package in RESULT_PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.pyc"))
    assert digest_packages(RESULT_PACKAGES, tmp_path) == study_code_digest()
    job = Job(version="", folder=next(journals.iterdir()), body=None)
    before = job_key(job)
    with (tmp_path / changed).open("a") as file:
        file.write("# another line\n")
    monkeypatch.setattr("replay.study.regress.study_code_digest", lambda: digest_packages(RESULT_PACKAGES, tmp_path))
    assert job_key(job) != before


@pytest.mark.slow
def test_the_job_of_a_killed_worker_runs_again(tmp_path: Path) -> None:
    jobs = [tmp_path / name for name in ("a", "b", "c")]
    for path in jobs[1:]:
        path.touch()
    assert run_jobs(kill_once, jobs, workers=2) == [7, 7, 7]
    with pytest.raises(WorkFailedError, match="jobs ended with their worker killed"):
        run_jobs(kill_always, jobs, workers=2)


@pytest.mark.slow
def test_the_number_of_workers_changes_no_result(journals: Path) -> None:
    folders = sorted(journals.iterdir())
    jobs = []
    for folder in folders:
        body = read_session(Journal.open(folder).session_record().body or "")
        jobs += [
            Job(version="lived", folder=folder, body=None),
            Job(version="modelled", folder=folder, body=body, modelled=True),
        ]
    alone, together = (regress_rows(jobs, run_jobs(run_job, jobs, workers=count)) for count in (1, 2))
    assert alone == together
    assert [len(row.changed) for row in alone if row.version == "lived"] == [0, 0]


@pytest.mark.parametrize("on", ["ray://here:1", "dask://127.0.0.1:1"])
def test_an_unreachable_cluster_is_one_clear_line(journals: Path, on: str) -> None:
    told = regress(journals, "--on", on, "--variant", "strategy.quoter.size=0.002", code=4)
    assert len(told.splitlines()) == 1


# ---- a cluster -----------------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and two workers in their own processes."""
    where = tmp_path / "scheduler.json"

    def start(module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)

    scheduler = start(
        "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(where)
    )
    worker = ("--scheduler-file", str(where), "--nthreads", "1", "--no-dashboard", "--no-nanny")
    workers = [start("dask_worker", *worker, "--local-directory", str(tmp_path / name)) for name in ("one", "two")]
    try:
        until = time.monotonic() + 60
        while not where.exists() or not where.read_text():
            assert time.monotonic() < until, "no scheduler within a minute"
            time.sleep(0.05)
        yield json.loads(where.read_text())["address"].replace("tcp://", "dask://"), workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_cluster_with_a_killed_worker_gives_the_results_of_one_process(
    journals: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    jobs = []
    for folder in sorted(journals.iterdir()):
        body = read_session(Journal.open(folder).session_record().body or "")
        jobs += [Job(version=f"{number}", folder=folder, body=body, modelled=True) for number in range(3)]
    killed: list[int] = []

    def kill_one(done: int, _total: int) -> None:
        if not killed:
            workers[0].kill()
            killed.append(done)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own, on a connection that was cut
        assert run_jobs(run_job, jobs, on=address, on_job_done=kill_one) == run_jobs(run_job, jobs, workers=1)
    assert killed
    assert killed[0] < len(jobs)


@pytest.mark.slow
def test_a_sweep_on_a_cluster_with_a_killed_worker_gives_the_table_of_one_process(
    journals: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    given = {"trust_code": True, "step_s": 1, "model_draws": 0, "checks_winner": False}
    killed: list[int] = []

    def kill_one(done: int, _total: int) -> None:
        if not killed:
            workers[0].kill()
            killed.append(done)

    sizes = {"size": ["0.001", "0.002", "0.003"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dask's own, on a connection that was cut
        found = sweep(journals, None, sizes, on=address, on_progress=kill_one, **given)  # type: ignore[arg-type]  # of all kinds
    assert killed
    assert killed[0] < len(found.table.rows)
    assert found.table == sweep(journals, None, sizes, workers=1, **given).table  # type: ignore[arg-type]  # as above


def test_sessions_without_a_baseline_are_refused(journals: Path, tmp_path: Path) -> None:
    assert "--version FILE or --variant" in regress(journals, code=2)
    assert "there is no folder" in regress(
        journals, "--variant", "strategy.quoter.size=1", "--report", tmp_path / "no" / "r.html", code=2
    )
    recording = tmp_path / "days" / "20260103T000000Z-rrrrrrrr"
    recording.parent.mkdir()
    VirtualSession(VirtualVenue(seed=3), recording, session="rrrrrrrr").run(1).stop()
    words = ("regress", "rrrrrrrr", "--journals", recording.parent, "--trust-code", "--workers", 1)
    assert "ran no strategy, so it has no settings to vary" in verbatim(
        *words, "--variant", "strategy.quoter.size=3", code=3
    )


def test_cached_results_depend_on_unsealed_records(tmp_path: Path) -> None:
    session(tmp_path / "one", seconds=2).kill()
    other = reseal(tmp_path / "one", tmp_path / "sealed")
    assert job_key(Job(version="", folder=tmp_path / "one", body=None)) != job_key(
        Job(version="", folder=other, body=None)
    )
    opened = next((tmp_path / "one").glob("*.open"))
    before = job_key(Job(version="", folder=tmp_path / "one", body=None))
    with FileReader(opened) as reading:
        *_, last, _ = [frame.end for frame in FrameWalk(reading, 0)]
    opened.write_bytes(opened.read_bytes()[:last])
    assert job_key(Job(version="", folder=tmp_path / "one", body=None)) != before
