"""Fleets: the catalogue of archived sessions, patterns, and SQL over many sessions where they are."""

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from capture_lines import calm, opening
from capture_lines import write as write_capture
from click.testing import CliRunner
from moved_sessions import move_session, read_records
from replaying import killed_in_second_frame, session
from s3_server import s3_server

from analysis import catalogue
from analysis.catalogue import read_catalogue, read_row, update_catalogue
from analysis.fleet import Fleet, open_journal
from analysis.fleet_damage import journal_problem
from analysis.fleet_plan import plan_fleet
from analysis.fleet_selection import Selection
from analysis.sql_session import QueryError
from journal import seal
from journal.archive_location import ArchiveLocation, open_location
from journal.archive_patterns import expand
from journal.archived_journal import ArchivedJournal
from journal.arrow_codec import SCHEMA
from journal.errors import ArchiveRefusedError, DamagedCatalogueError, DamagedJournalError
from journal.reader import Journal
from journal.session_names import is_pattern
from replay.moments import nanoseconds
from verbatim.archiving import archive_session
from verbatim.cli import main
from verbatim.session_opening import open as open_sessions
from verbatim.session_opening import open_fleet

pytestmark = pytest.mark.slow
DAY_NS = 86_400 * 1_000_000_000
MONTHS = ("2026-01", "2026-02", "2026-03")
MONTH_NS = [nanoseconds(datetime(2026, month, 1, tzinfo=UTC)) for month in (1, 2, 3)]
PER_MONTH = 8
LETTERS = "abcdefghijklmnop"


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.output


def table(text: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 24 sessions in three months: every third trades another symbol. The groups of rows are small."""
    root = tmp_path_factory.mktemp("fleet")
    small = session(root / "source", seconds=3)
    small.stop()
    records = read_records(root / "source")
    patch = pytest.MonkeyPatch()
    patch.setattr(seal, "GROUP_ROWS", 256)
    for number, month in enumerate(MONTHS):
        for day in range(PER_MONTH):
            at = number * PER_MONTH + day
            name = f"{month.replace('-', '')}{day + 1:02d}T000000Z-aaaaa{LETTERS[number]}{LETTERS[day]}b"
            symbol = ("BTCUSDT", "ETHUSDT") if at % 3 == 2 else None
            begin_ns = MONTH_NS[number] + day * DAY_NS
            shift_ns = begin_ns - records[0].time_ns
            move_session(records, root / "journals" / month / name, shift_ns=shift_ns, symbol=symbol)
    patch.undo()
    return root / "journals"


@pytest.fixture(scope="module")
def months(made: Path) -> Path:
    """Return a local archive of all sessions, by month."""
    root = made.parent / "archives"
    for folder in sorted(made.glob("*/*")):
        assert not archive_session(folder, open_location(str(root / folder.parent.name))).problem
    return root


@pytest.fixture(scope="module")
def bucket(months: Path) -> Iterator[str]:
    """Return the address of the same archive on an S3 server, with %s for the path in the bucket."""
    with s3_server() as query:
        root = open_location(f"s3://bucket?{query}")
        for file in sorted(path for path in months.rglob("*") if path.is_file()):
            place = ArchiveLocation(root.filesystem, f"bucket/{file.relative_to(months)}", "s3://bucket")
            place.replace(file.read_bytes())
        yield f"s3://bucket/%s?{query}"


@pytest.fixture
def archived(months: Path, tmp_path: Path) -> Path:
    """Return a copy of the first month's archive."""
    return Path(shutil.copytree(months / MONTHS[0], tmp_path / "there"))


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VERBATIM_COPIES", str(tmp_path / "copies"))
    return tmp_path / "copies"


def problem_of(archived: Path) -> tuple[str, object]:
    try:
        return "", read_catalogue(open_location(str(archived)))
    except DamagedCatalogueError as error:
        return str(error), None


# ---- the catalogue


def test_archive_keeps_a_catalogue_that_duckdb_reads_alone(archived: Path) -> None:
    found = (
        duckdb.connect()
        .execute(
            f'SELECT session, folder, instruments, strategies, records, bytes, fills, "start", gaps, lag_ms_p99, '
            f"mode_ns['running'], len(segments), ended FROM '{archived}/catalogue.parquet' ORDER BY folder"
        )
        .fetchall()
    )
    assert len(found) == PER_MONTH
    first = open_sessions(archived / str(found[0][1]))
    assert found[0][:3] == (first.id, first.folder.name, ["binance_spot:BTCUSDT"])
    assert found[2][2] == ["binance_spot:ETHUSDT"]
    assert found[0][3] == ["quoter 1"]
    assert found[0][4] == first.journal.last_seq + 1
    assert found[0][5] == sum(path.stat().st_size for path in first.folder.glob("*.parquet"))
    assert found[0][6] == len(first.fills) > 0
    assert found[0][7] == first.started.replace(tzinfo=None)
    quality = first.quality()
    assert found[0][8] == sum(gap.count for gap in quality.gaps) + sum(each.gaps for each in quality.streams)
    assert found[0][9] == max(each.lag_ms[1] for each in quality.streams if each.lag_ms is not None)
    assert found[0][10] > 0
    assert found[0][11:] == (1, "closed")


def test_two_archivers_at_a_time_lose_no_session(made: Path, tmp_path: Path) -> None:
    """Each archives half of the sessions, and the table has all when both are done."""
    root = open_location(str(tmp_path / "there"))
    halves = [sorted(made.glob("*/*"))[:8][half::2] for half in (0, 1)]
    problems: list[str] = []

    def archive_all(folders: list[Path]) -> None:
        problems.extend(archive_session(folder, root).problem for folder in folders)

    threads = [threading.Thread(target=archive_all, args=(half,)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [""] * 8
    assert sorted(read_catalogue(root) or {}) == sorted(folder.name for half in halves for folder in half)
    assert not list((tmp_path / "there").glob(".catalogue*")), "no temporary file stays"


def test_a_row_of_another_archiver_is_not_lost(archived: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one adds its session between our reading and our writing: we look again, and both are there."""
    root, other = open_location(str(archived)), min((made / MONTHS[1]).iterdir())
    (archived / "catalogue.parquet").unlink()
    write = ArchiveLocation.replace
    struck: list[Path] = []

    def replaces(place: ArchiveLocation, data: bytes) -> None:
        if place.path.endswith("catalogue.parquet") and not struck:
            struck.append(other)
            assert not archive_session(other, root).problem
        write(place, data)

    monkeypatch.setattr(ArchiveLocation, "replace", replaces)
    assert other.name in update_catalogue(root).rows
    assert struck
    assert other.name in (read_catalogue(root) or {})


def test_a_damaged_catalogue_is_refused_and_made_again(archived: Path, tmp_path: Path) -> None:
    path = archived / "catalogue.parquet"
    whole = path.read_bytes()
    before = read_catalogue(open_location(str(archived)))
    for at in range(0, len(whole), max(len(whole) // 40, 1)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        problem, read = problem_of(archived)
        assert "What to do: verbatim catalogue" in problem or read == before, at
    path.write_bytes(whole[:-30])
    for words in (("sessions",), ("sql",)):
        assert "is not a catalogue" in verbatim(*words, f"{archived}*/", code=1)
    told = verbatim("archive", next(iter(sorted(archived.glob("2026*")))), tmp_path / "there", code=3)
    assert "contains the session itself" in told
    assert json.loads(verbatim("catalogue", archived, "--json"))["sessions"] == PER_MONTH
    assert read_catalogue(open_location(str(archived))) == before
    pq.write_table(pq.read_table(path).select(["session"]), path)
    assert "it has other columns" in verbatim("sessions", f"{archived}*/", code=1)


def test_a_session_is_archived_though_the_catalogue_is_damaged(archived: Path, made: Path) -> None:
    (archived / "catalogue.parquet").write_bytes(b"no table")
    other = min((made / MONTHS[1]).iterdir())
    told = verbatim("archive", other, archived, code=1)
    assert "the session is archived, but it is not in the catalogue" in told
    assert (archived / other.name / "manifest.json").exists()
    verbatim("catalogue", archived)
    assert other.name in (read_catalogue(open_location(str(archived))) or {})


def test_a_session_without_a_row_is_read_and_a_gone_one_is_named(archived: Path) -> None:
    """An older version archived it: it counts, and `catalogue` adds it. A deleted one is named, and drops out."""
    first, second = sorted(archived.glob("2026*"))[:2]
    (first / "catalogue.json").write_text("{}")
    shutil.rmtree(second)
    rows = read_catalogue(open_location(str(archived))) or {}
    (archived / "catalogue.parquet").write_bytes(catalogue._encode([rows[name] for name in rows if name != first.name]))
    query = "SELECT count(DISTINCT session) AS n FROM fills"
    found = CliRunner().invoke(main, ["sql", f"{archived}*", query, "--json"])
    assert (found.exit_code, table(found.stdout)[0]["n"]) == (1, PER_MONTH - 1)
    assert f"{second} was left out: its folder was removed" in found.stderr
    assert "not in the catalogue" in verbatim("sessions", f"{archived}/2026*", code=1)
    verbatim("catalogue", archived)
    assert sorted(read_catalogue(open_location(str(archived))) or {}) == sorted(p.name for p in archived.glob("2026*"))
    assert read_row(open_location(str(first))) == rows[first.name]


def test_a_session_that_was_merged_since_gets_its_row_from_the_archive(archived: Path, made: Path) -> None:
    """The archive has the old files; the row must name those. `catalogue` reads them there."""
    folder = min((made / MONTHS[0]).iterdir())
    copy = Path(shutil.copytree(folder, archived.parent / folder.name))
    (archived / folder.name / "catalogue.json").unlink()
    segment = next(copy.glob("*.parquet"))
    records, footer = pq.read_table(segment), pq.read_metadata(segment).metadata
    with pq.ParquetWriter(segment, SCHEMA, compression="none", write_page_checksum=True) as writer:
        writer.write_table(records.cast(SCHEMA))  # as a merge does: the same records in another file
        writer.add_key_value_metadata({key: text for key, text in footer.items() if key.startswith(b"journal.")})
    (copy / "SHA256SUMS").unlink(missing_ok=True)
    problem = archive_session(copy, open_location(str(archived))).problem
    assert "was merged after it was archived" in problem
    assert read_row(open_location(str(archived / folder.name))) is None
    verbatim("catalogue", archived)
    row = read_row(open_location(str(archived / folder.name)))
    assert row is not None
    assert row.segments[0].bytes == next((archived / folder.name).glob("*.parquet")).stat().st_size


def test_a_capture_has_instruments_and_no_decisions(tmp_path: Path) -> None:
    source = tmp_path / "btcusdt_20260101.gz"
    write_capture(source, [*opening(), *islice(calm(), 40)])
    verbatim("import", source, "--into", tmp_path / "capture")
    assert not archive_session(tmp_path / "capture", open_location(str(tmp_path / "there"))).problem
    row = (read_catalogue(open_location(str(tmp_path / "there"))) or {})["capture"]
    assert (row.is_import, row.strategies, row.orders, row.mode_ns) == (True, (), 0, {})
    assert row.instruments == ("binance_spot:BTCUSDT",)
    fleet = Fleet(plan_fleet(f"{tmp_path}/ther*"))
    assert fleet.result("SELECT count(*) > 10 FROM quotes").rows == [(True,)]


def test_sessions_of_a_bucket_are_listed_from_the_catalogue(bucket: str, made: Path) -> None:
    listed = verbatim("sessions", bucket % "2026-*/")
    assert listed.count("s3://bucket/2026-") == len(MONTHS) * PER_MONTH
    assert "24 of 24 sessions" in listed
    some = table(verbatim("sessions", bucket % "2026-*/", "--instrument", "ETHUSDT", "--from", "2026-01-05", "--json"))
    assert {tuple(row["instruments"]) for row in some} == {("binance_spot:ETHUSDT",)}  # type: ignore[arg-type]  # JSON
    assert len(some) == 7
    names = table(verbatim("sessions", bucket % "2026-02/20260203*", "--json"))
    assert [str(row["address"]).rpartition("/")[2] for row in names] == [sorted((made / MONTHS[1]).iterdir())[2].name]


# ---- SQL


def test_a_query_over_a_bucket_is_that_over_the_local_sessions(bucket: str, made: Path, copies: Path) -> None:
    """Every view but the decoded ones; nothing is copied to this machine."""
    fleet = Fleet(plan_fleet(bucket % "2026-*/"))
    local = open_sessions(sorted(made.glob("*/*")))
    for view in ("orders", "fills", "modes", "instruments"):
        query = f"SELECT * FROM {view} ORDER BY ALL"
        assert fleet.result(query).rows == local.sql(query).result().rows, view
    joined = "SELECT count(*) FROM fills JOIN catalogue USING (session) WHERE list_contains(instruments, 'binance_spot:ETHUSDT')"
    assert fleet.result(joined).rows[0][0] == len(local.fills.where("instrument LIKE '%ETHUSDT'"))
    assert fleet.left_out == ()
    assert not list(copies.rglob("*.parquet"))
    for statement in (f"COPY (SELECT 1) TO '{copies}/x.csv'", "SELECT * FROM read_csv('/etc/passwd')", "ATTACH 'x.db'"):
        with pytest.raises(QueryError):
            fleet.result(statement)


def test_quotes_are_decoded_from_the_objects_that_hold_them(bucket: str, made: Path, copies: Path) -> None:
    fleet = Fleet(plan_fleet(bucket % "2026-01/", Selection(instrument="ETHUSDT")), Selection(instrument="ETHUSDT"))
    assert len(fleet.sessions) == 2
    local = open_sessions([made / MONTHS[0] / each.name for each in fleet.sessions])
    query = "SELECT session, instrument, count(*), max(bid), min(ask) FROM quotes GROUP BY ALL ORDER BY ALL"
    assert fleet.result(query).rows == local.sql(query).result().rows
    assert len(list(copies.rglob("rows-*.cache"))) == 2, "decoded once, and kept"
    assert not list(copies.rglob("*.parquet"))


def test_a_query_opens_only_the_objects_that_it_needs(archived: Path) -> None:
    """All other objects are destroyed: a condition on time or session never opens them, nor does a selection."""
    rows = [row for _, row in sorted((read_catalogue(open_location(str(archived))) or {}).items())]
    wanted = rows[4]
    for row in rows:
        if row is not wanted:
            (archived / row.folder / row.segments[0].name).write_bytes(b"x" * row.segments[0].bytes)
    fleet = Fleet(plan_fleet(f"{archived}*"))
    counted = "SELECT count(*) FROM records WHERE "
    assert fleet.result(f"{counted} time_ns BETWEEN {wanted.start_ns} AND {wanted.end_ns}").rows == [(wanted.records,)]
    assert fleet.result(f"{counted} session = '{wanted.session}'").rows == [(wanted.records,)]
    day = "2026-01-05"
    answer = verbatim("sql", f"{archived}*", f"{counted} true", "--from", day, "--to", day, "--csv")
    assert answer.splitlines()[-1] == str(wanted.records)
    assert fleet.left_out == ()


def test_a_time_reads_only_the_row_groups_that_it_needs(bucket: str, made: Path, tmp_path: Path) -> None:
    """The pages of all other groups of the object are destroyed, and the records of one group are read."""
    source = min((made / MONTHS[0]).iterdir())
    archive_session(source, open_location(str(tmp_path / "one")))
    segment = next((tmp_path / "one" / source.name).glob("*.parquet"))
    metadata = pq.read_metadata(segment)
    assert metadata.num_row_groups > 3
    times = [metadata.row_group(group).column(1).statistics for group in range(metadata.num_row_groups)]
    kept, data = 2, bytearray(segment.read_bytes())
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            if group != kept and chunk.statistics is not None and column != 1:
                data[chunk.data_page_offset + 40] ^= 0xFF
    segment.write_bytes(data)
    inside = f"time_ns > {times[kept - 1].max} AND time_ns < {times[kept + 1].min}"
    fleet = Fleet(plan_fleet(f"{tmp_path}/one*"))
    assert fleet.result(f"SELECT count(*) > 100 FROM records WHERE {inside}").rows == [(True,)]
    place = plan_fleet(bucket % f"2026-01/{source.name}").sessions[0]
    journal, local = open_journal(place), Journal.open(source)
    assert isinstance(journal, ArchivedJournal)
    first, last = journal.seq_at(times[kept].min), journal.seq_at(times[kept].max)
    assert list(journal.records(first, last)) == list(local.records(first, last))
    assert journal.chain == local.chain


def test_a_damaged_session_costs_itself_and_is_named(archived: Path) -> None:
    rows = [row for _, row in sorted((read_catalogue(open_location(str(archived))) or {}).items())]
    pattern, query = f"{archived}*", "SELECT session, max(hash(r)) AS read_whole FROM journal r GROUP BY session"
    flipped, gone, cut = (archived / row.folder / row.segments[0].name for row in rows[:3])
    data = bytearray(flipped.read_bytes())
    data[len(data) // 3] ^= 1
    flipped.write_bytes(data)
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-100])
    ended = CliRunner().invoke(main, ["sql", pattern, query, "--json"])
    assert ended.exit_code == 1
    assert {row["session"] for row in table(ended.stdout)} == {row.session for row in rows[3:]}
    for row in rows[:3]:
        assert f"{archived / row.folder} was left out: " in ended.stderr
    assert "SQL: " in verbatim("sql", pattern, "SELECT nothing FROM records", code=3), "another error is that error"
    for row in rows[3:]:
        (archived / row.folder / row.segments[0].name).write_bytes(b"")
    assert "SQL: " in verbatim("sql", pattern, query, code=3)


@pytest.mark.parametrize("where", ["archive", "bucket"])
def test_a_segment_of_another_session_counts_for_neither(archived: Path, bucket: str, where: str) -> None:
    """A file of another size is found when planning; one of the same size when a query fails."""
    rows = [row for _, row in sorted((read_catalogue(open_location(str(archived))) or {}).items())]
    replaced, other, cut = rows[0], rows[1], rows[3]
    assert replaced.segments[0].name == other.segments[0].name
    assert replaced.segments[0].bytes != other.segments[0].bytes, "the files differ in size"
    data = (archived / other.folder / other.segments[0].name).read_bytes()
    pattern, query = f"{archived}*", "SELECT session, count(*) AS n FROM records GROUP BY session"
    place = str(archived)
    if where == "bucket":
        place = pattern = bucket % "copied"
        for file in sorted(path for path in archived.rglob("*") if path.is_file()):
            open_location(bucket % f"copied/{file.relative_to(archived)}").replace(file.read_bytes())
    target = open_location(place).child(replaced.folder).child(replaced.segments[0].name)
    target.replace(data)
    ended = CliRunner().invoke(main, ["sql", pattern, query, "--json"])
    assert ended.exit_code == 1, ended.output
    assert {row["session"]: row["n"] for row in table(ended.stdout)} == {row.session: row.records for row in rows[1:]}
    assert f"{replaced.folder} was left out: {replaced.segments[0].name} has " in ended.stderr
    session = next(each for each in plan_fleet(pattern).sessions if each.name == cut.folder)
    stolen = next(each for each in plan_fleet(pattern).sessions if each.name == other.folder)
    problem = journal_problem(session, open_journal(stolen))
    assert problem == f"its files are those of session {other.session}, and the catalogue has {cut.session}"
    assert journal_problem(stolen, open_journal(stolen)) == ""


def test_a_pattern_that_matches_nothing_says_what_is_there(bucket: str, archived: Path) -> None:
    assert "the folders there are 2026-01, 2026-02, 2026-03" in verbatim("sql", bucket % "2027-*/", "SELECT 1", code=3)
    assert "the bucket itself is a pattern" in verbatim("sql", bucket.replace("bucket", "b*") % "x", "SELECT 1", code=3)
    told = verbatim("sessions", bucket % "2026-*/", "--instrument", "XRPUSDT", code=3)
    assert "none of the 24 sessions has instrument XRPUSDT" in told
    (archived.parent / "empty-1").mkdir()
    told = verbatim("sql", f"{archived.parent}/empty-1/x*", "SELECT 1", code=3)
    assert "change the pattern; there are no folders." in told
    assert "no folder there is a session" in verbatim("sql", f"{archived.parent}/empty-*", "SELECT 1", code=3)
    assert "is no time" in verbatim("sessions", bucket % "2026-*/", "--from", "noon", code=2)
    assert "is before the start" in verbatim(
        "sessions", bucket % "x*", "--from", "2026-02-01", "--to", "2026-01-01", code=2
    )
    assert "choose sessions of an address" in verbatim("sql", archived, "SELECT 1", "--from", "2026-01-01", code=2)


def test_patterns_name_folders_level_by_level(bucket: str, made: Path) -> None:
    both = expand(bucket % "2026-0[12]/2026*0[1-3]T*")
    assert [(len(group.names), group.parent.name) for group in both] == [(3, "2026-01"), (3, "2026-02")]
    assert [group.parent.address for group in expand(f"{made}/*/20260101*")] == [str(made / MONTHS[0])]
    assert is_pattern("a?b")
    assert not is_pattern("s3://bucket/a?region=x*")
    with pytest.raises(ArchiveRefusedError, match="fits '2026-9"):
        expand(f"{made}/2026-9*")


def test_journals_of_this_machine_are_a_fleet_too(made: Path, tmp_path: Path) -> None:
    """Folders that were never archived, one of a session that was killed: its unsealed records count."""
    shutil.copytree(made / MONTHS[0], tmp_path / "m1" / "j")
    killed_in_second_frame(tmp_path / "m1" / "j" / "20260201T000000Z-bbbbbbbb")
    query = "SELECT count(DISTINCT session) AS n, count(*) AS records FROM records"
    found = table(verbatim("sql", f"{tmp_path}/m*/j", query, "--json"))[0]
    assert found["n"] == PER_MONTH + 1
    assert found["records"] == sum(Journal.open(path).last_seq + 1 for path in (tmp_path / "m1" / "j").iterdir())
    assert list((tmp_path / "m1" / "j").glob("*/*.open"))


def test_a_fleet_opens_in_python(bucket: str, months: Path) -> None:
    fleet = open_fleet(
        bucket % "2026-*/", start="2026-02-03", end=datetime(2026, 2, 4, tzinfo=UTC), instrument="BTCUSDT"
    )
    names = [each.row.folder[:8] for each in fleet.sessions if each.row is not None]
    assert names == ["20260203"]
    table = fleet.sql("SELECT session, count(*) AS n FROM fills WHERE price > ? GROUP BY ALL", 0).arrow()
    assert table.num_rows == 1
    assert "fills" in {view.name for view in fleet.views}
    with pytest.raises(ValueError, match="is before the start"):
        open_fleet(bucket % "2026-*/", start="2026-02-03", end="2026-02-01")
    opened = open_sessions(f"{months}/2026-0[12]")
    assert len(opened.places) == 2 * PER_MONTH


def test_an_archived_journal_says_what_is_missing(bucket: str) -> None:
    place = open_location(bucket % "2026-01/nothing")
    with pytest.raises(DamagedJournalError, match="cannot be opened"):
        ArchivedJournal(place, ["000000000000.parquet"], Path("nowhere"))
    with pytest.raises(DamagedJournalError, match="names no segment"):
        ArchivedJournal(place, [], Path("nowhere"))
