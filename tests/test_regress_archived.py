"""Sessions on object storage: each is fetched once, whole or not at all, and gives the results of the local session."""

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from replaying import QUOTER, session
from s3_server import s3_server
from spawned_jobs import fetched

from journal import archive as archiving
from journal.archive_cache import cache_folder, cached_copy
from journal.archive_location import open_location
from journal.errors import DamagedArchiveError
from replay.study.regress import Job, job_key, regress_rows
from replay.study.versions import ArchivedJob, Version, VersionRequest, jobs_for_session, run_any_job
from replay.study.workers import run_jobs
from verbatim.cli import main
from verbatim.session_opening import open as open_sessions
from verbatim.sweeping import sweep
from verbatim.testing import VirtualSession, VirtualVenue

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return two sessions that traded, and one that only recorded."""
    root = tmp_path_factory.mktemp("days") / "journals"
    root.mkdir()
    folders = [root / f"2026010{at + 1}T000000Z-aaaaaaa{'bcd'[at]}" for at in range(3)]
    for at in range(2):
        session(folders[at], seconds=1.5 + at / 2, session=folders[at].name[-8:]).stop()
    VirtualSession(VirtualVenue(seed=3), folders[2], session="aaaaaaad").run(1).stop()
    return folders


@pytest.fixture(scope="module")
def bucket(days: list[Path]) -> Iterator[str]:
    """Return the address of the archive, with %s for the folder of a session."""
    with s3_server() as query:
        for folder in days:
            archiving.archive(folder, open_location(f"s3://bucket/days?{query}"))
        yield f"s3://bucket/days/%s?{query}"


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the empty folder of local copies."""
    monkeypatch.setenv("VERBATIM_COPIES", str(tmp_path / "copies"))
    return cache_folder()


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.output


def whole(copies: Path) -> list[str]:
    return sorted(path.name for path in copies.glob("*/*") if path.is_dir())


def test_a_bucket_of_sessions_is_one_table(days: list[Path], bucket: str) -> None:
    """`verbatim.open` with the address of their folder: each is fetched once, and each row names its session."""
    archived, local = open_sessions(bucket.replace("/%s", "")), open_sessions(days)
    assert [folder.name for folder in archived.folders] == [day.name for day in days]
    query = "SELECT * FROM records ORDER BY ALL"
    assert archived.sql(query).arrow() == local.sql(query).arrow()
    assert open_sessions(bucket % days[1].name).folders == archived.folders[1:2]


def test_a_sweep_of_archived_sessions_is_that_of_local_ones(
    days: list[Path], bucket: str, tmp_path: Path, copies: Path
) -> None:
    strategy = tmp_path / "quoter.py"
    strategy.write_text(QUOTER)
    given = {"balances": {"USDT": 1_000_000, "BTC": 20}, "objective": "pnl", "workers": 1, "model_draws": 0}
    sizes = {"size": ["0.001", "0.002"]}
    there = sweep(bucket.replace("/%s", ""), strategy, sizes, **given)  # type: ignore[arg-type]  # of all kinds
    assert whole(copies) == [day.name for day in days]
    here = sweep(days, strategy, sizes, **given)  # type: ignore[arg-type]  # as above
    assert [result.errors for result in here.table.results] == [(), ()]
    keyless = [[msgspec.structs.replace(row, key="") for row in report.table.rows] for report in (there, here)]
    assert keyless[0] == keyless[1]
    assert there.winner is not None


def test_archived_sessions_give_the_rows_of_local_ones(
    days: list[Path], bucket: str, tmp_path: Path, copies: Path
) -> None:
    shy = tmp_path / "shy.py"
    shy.write_text(QUOTER.replace("quote.bid,", 'quote.bid - Decimal("5"),'))
    balances = ("--balance", "USDT=1000000", "--balance", "BTC=20")
    words = ("--version", shy, *balances, "--trust-code", "--journals", tmp_path / "journals", "--fresh", "--json")
    there = verbatim("regress", *(bucket % day.name for day in days), *words, "--workers", 2, code=1)
    here = verbatim("regress", *days, *words, "--workers", 1, code=1)
    assert there == here
    found = json.loads(here)["rows"]
    assert [row["version"] for row in found] == ["recorded", str(shy), "recorded", str(shy), str(shy)], (
        "the third day ran no strategy"
    )
    assert not any(row["error"] for row in found)
    assert whole(copies) == [day.name for day in days]


def test_a_pattern_is_the_sessions_that_it_names(days: list[Path], bucket: str, tmp_path: Path) -> None:
    """Two of the three days by their names, without a catalogue; a damaged archive is a row with the reason."""
    words = ("--variant", "strategy.quoter.size=0.002", "--trust-code", "--journals", tmp_path / "journals", "--fresh")
    by_name = verbatim("regress", *(bucket % day.name for day in days[:2]), *words, "--workers", 1, "--json", code=1)
    pattern = bucket.replace("/%s", "/2026010[12]*").replace("bucket/days", "bucket/day*")
    assert verbatim("regress", pattern, *words, "--workers", 1, "--json", code=1) == by_name
    there = tmp_path / "there"
    for day in days[:2]:
        archiving.archive(day, open_location(str(there)))
    segment = next((there / days[0].name).glob("*.parquet"))
    segment.write_bytes(segment.read_bytes()[:-200])
    strategy = tmp_path / "quoter.py"
    strategy.write_text(QUOTER)
    given = {"balances": {"USDT": 1_000_000, "BTC": 20}, "objective": "pnl", "workers": 1, "model_draws": 0}
    found = sweep(f"file://{tmp_path}/ther*", strategy, {"size": ["0.001", "0.002"]}, **given)  # type: ignore[arg-type]  # of all kinds
    assert found.table.sessions == (days[1].name,)
    assert [Path(each.name).name for each in found.left_out] == [days[0].name]
    told = verbatim("regress", f"{there}*", *words, "--workers", 1, code=1)
    assert f"{days[0].name} was left out: " in told


def test_a_missing_address_stops_no_other_job(days: list[Path], bucket: str, tmp_path: Path) -> None:
    versions = [Version("recorded"), Version("strategy.quoter.size=0.002", settings={"strategy.quoter.size": "0.002"})]
    addresses = [
        bucket % days[0].name,
        bucket % "20260109T000000Z-zzzzzzzz",
        "s3://no-such-bucket/x/y?" + bucket.partition("?")[2],
    ]
    jobs = [
        ArchivedJob(version, address, VersionRequest(trust_code=True)) for address in addresses for version in versions
    ]
    found = regress_rows(jobs, run_jobs(run_any_job, jobs, workers=2))
    assert [bool(row.outcome.error) for row in found] == [False, False, True, True, True, True]
    assert "20260109T000000Z-zzzzzzzz has no manifest.json" in found[2].outcome.error
    assert (found[2].session, found[2].version) == ("20260109T000000Z-zzzzzzzz", "recorded")
    assert "no-such-bucket" in found[4].outcome.error
    told = verbatim(
        "regress",
        *addresses[:2],
        "--variant",
        "strategy.quoter.size=0.002",
        "--workers",
        1,
        "--trust-code",
        "--journals",
        tmp_path,
        code=1,
    )
    assert "could not be run to the end everywhere" in told.splitlines()[-1]


def test_code_of_an_archive_needs_trust_code(days: list[Path], bucket: str) -> None:
    job = ArchivedJob(Version("recorded"), bucket % days[0].name, VersionRequest(modelled=True))
    assert "--trust-code" in run_any_job(job).error


def test_concurrent_jobs_fetch_a_session_once(days: list[Path], bucket: str, copies: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        (folder,) = set(pool.map(fetched, [bucket % days[0].name] * 4, chunksize=1))
    assert job_key(Job(version="", folder=Path(folder), body=None)) == job_key(
        Job(version="", folder=days[0], body=None)
    )
    first = sorted(Path(folder).glob("*.parquet"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in sorted(days[0].glob("*.parquet"))]
    inodes = [path.stat().st_ino for path in first]
    cached_copy(bucket % days[0].name)
    assert [path.stat().st_ino for path in sorted(Path(folder).glob("*.parquet"))] == inodes, "the next job finds it"
    assert whole(copies) == [days[0].name]


def test_an_incomplete_copy_never_has_the_name_of_its_session(days: list[Path], tmp_path: Path, copies: Path) -> None:
    """Fetch an incomplete copy again; a damaged archive leaves no copy."""
    archiving.archive(days[0], open_location(str(tmp_path / "there")))
    address = f"file://{tmp_path}/there/{days[0].name}"
    segment = next(cached_copy(address).glob("*.parquet"))
    data = segment.read_bytes()
    segment.write_bytes(data[:1000])
    assert cached_copy(address) == segment.parent
    assert segment.read_bytes() == data
    shutil.rmtree(copies)
    damaged = tmp_path / "there" / days[0].name / segment.name
    damaged.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(DamagedArchiveError, match="differs from the manifest"):
        cached_copy(address)
    assert whole(copies) == []
    damaged.write_bytes(data)
    half = segment.parent.with_name(f"{days[0].name}{archiving.UNFINISHED}")
    half.mkdir()
    (half / segment.name).write_bytes(data[:10])  # of a worker that was killed
    assert cached_copy(address) == segment.parent
    assert whole(copies) == [days[0].name]


def test_results_are_cached_by_session_and_not_by_address(days: list[Path], bucket: str, tmp_path: Path) -> None:
    request = VersionRequest(trust_code=True, cache_folder=tmp_path / "kept")
    version = Version("strategy.quoter.size=0.002", settings={"strategy.quoter.size": "0.002"})
    first = run_any_job(ArchivedJob(version, bucket % days[0].name, request))
    assert first.result
    assert [first] == [run_any_job(job) for job in jobs_for_session(days[0], [version], request, trust_key=b"")]
    assert len(list((tmp_path / "kept").iterdir())) == 1
    (tmp_path / "file").touch()
    nowhere = VersionRequest(trust_code=True, cache_folder=tmp_path / "file" / "kept")
    assert run_any_job(ArchivedJob(version, bucket % days[0].name, nowhere)) == first, (
        "a machine without that folder keeps nothing"
    )


def test_resim_accepts_an_address(days: list[Path], bucket: str, tmp_path: Path) -> None:
    words = ("--set", "strategy.quoter.size=0.002", "--no-journal", "--trust-code", "--journals", tmp_path)
    told = verbatim("resim", bucket % days[0].name, *words)
    assert told == verbatim("resim", days[0], *words)
    assert "--trust-code" in verbatim("resim", bucket % days[0].name, *words[:3], *words[4:], code=3)
    assert "has no manifest.json" in verbatim("resim", bucket % "nothing", *words, code=3)
