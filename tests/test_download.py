"""`verbatim download` against a local server in the layout of data.binance.vision: checksums, resuming, gaps, refusals."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from archive_server import Archive, serving
from bar_files import kline, verbatim

from engine.venues.binance_common.archive_layout import SPOT, USDM
from engine.venues.public_archive import ArchiveFile
from journal.reader import Journal
from journal.record import Kind
from verbatim.downloading import PART, Downloaded, DownloadError, download
from verbatim.exit_codes import FAILED

BAR = ("100.01", "101.00", "99.00", "100.00", "50.01")
FOLDER = "data/spot/daily/klines/BTCUSDT/1m"
DAYS = [f"{FOLDER}/BTCUSDT-1m-2024-01-0{day}.zip" for day in (2, 3)]
DATES = ["2024-01-02", "2024-01-03"]


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    for day, path in enumerate(DAYS):
        made.add(path, "".join(f"{kline(day * 1440 + minute, BAR)}\n" for minute in range(60)))
    with serving(made):
        yield made


def fetched(archive: Archive, into: Path) -> Downloaded:
    return download(SPOT, list(SPOT.files("BTCUSDT", "klines", "1m", DATES)), into, base=archive.base, wait_s=0)


def test_files_are_downloaded_proved_and_imported_as_one_session(archive: Archive, tmp_path: Path) -> None:
    words = ["download", "binance_spot", "btcusdt", "2024-01-02", "2024-01-03", "--base", archive.base]
    answered = json.loads(verbatim(*words, "--into", tmp_path / "a", "--json"))
    assert [Path(name).name for name in answered["files"]] == [path.rpartition("/")[2] for path in DAYS]
    assert answered["missing"] == []
    verbatim("import", *answered["files"], "--into", tmp_path / "session")
    assert len(list(Journal.open(tmp_path / "session").records(kinds=(Kind.FEED,)))) == 120


def test_what_is_there_and_whole_is_kept_and_the_rest_is_fetched_again(archive: Archive, tmp_path: Path) -> None:
    first = fetched(archive, tmp_path)
    damaged = first.files[1]
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    archive.asked.clear()
    again = fetched(archive, tmp_path)
    assert (first.kept, again.kept) == (0, 1)
    assert [path for path, _ in archive.asked if path.endswith(".zip")] == [DAYS[1]]
    assert damaged.read_bytes() == archive.files[DAYS[1]]


def test_a_cut_file_is_continued_where_it_ended(archive: Archive, tmp_path: Path) -> None:
    archive.cut[DAYS[0]] = 100
    archive.busy[DAYS[1]] = 2
    done = fetched(archive, tmp_path)
    assert [path.read_bytes() for path in done.files] == [archive.files[path] for path in DAYS]
    assert not archive.cut, "the fault struck"
    assert (DAYS[0], "bytes=100-") in archive.asked
    assert list(tmp_path.glob(f"*{PART}")) == []


def test_a_new_command_continues_the_part_of_the_last_one(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / f"BTCUSDT-1m-2024-01-02.zip{PART}").write_bytes(archive.files[DAYS[0]][:50])
    (tmp_path / f"BTCUSDT-1m-2024-01-03.zip{PART}").write_bytes(archive.files[DAYS[1]])
    done = fetched(archive, tmp_path)
    assert (DAYS[0], "bytes=50-") in archive.asked
    assert [path.read_bytes() for path in done.files] == [archive.files[path] for path in DAYS]


def test_a_part_of_an_older_publication_is_dropped(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / f"BTCUSDT-1m-2024-01-02.zip{PART}").write_bytes(b"\0" * 50)
    assert fetched(archive, tmp_path).files[0].read_bytes() == archive.files[DAYS[0]]


def test_bytes_that_differ_from_their_checksum_never_get_the_file_name(archive: Archive, tmp_path: Path) -> None:
    archive.files[DAYS[0]] = archive.files[DAYS[0]][:-1] + b"?"
    with pytest.raises(DownloadError, match="differs from its checksum, twice"):
        fetched(archive, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_days_that_the_archive_lacks_are_named_and_the_others_are_there(archive: Archive, tmp_path: Path) -> None:
    words = ["download", "binance_spot", "BTCUSDT", "2024-01-02", "2024-01-04", "--base", archive.base]
    said = verbatim(*words, "--into", tmp_path, code=FAILED)
    assert "BTCUSDT-1m-2024-01-04.zip" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.rpartition("/")[2] for path in DAYS]


def test_a_server_that_stays_busy_is_an_error_and_the_part_remains(archive: Archive, tmp_path: Path) -> None:
    archive.busy[DAYS[0]] = 9
    with pytest.raises(DownloadError, match="HTTP 503, 4 times"):
        fetched(archive, tmp_path)


def test_a_file_of_an_archive_is_written_in_the_folder_alone(tmp_path: Path) -> None:
    """A venue of another author may name its files by any text."""
    outside = ArchiveFile("a.zip", "../a.zip")
    with pytest.raises(DownloadError, match="is no name of a file"):
        download(USDM, [outside], tmp_path / "into", base="http://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["neutral", "A", "2024-01-01", "2024-01-02"], "publishes no archive"),
        (["binance_spot", "A", "2024-01-01", "2024-01-02", "--table", "metrics"], "has no table 'metrics'"),
        (["binance_spot", "A", "2024-01-01", "2024-01-02", "--interval", "7m"], "no candles of '7m'"),
        (["binance_spott", "A", "2024-01-01", "2024-01-02"], "no venue"),
        (["binance_spot", "../../etc", "2024-01-01", "2024-01-02"], "is no symbol"),
        (["binance_spot", "", "2024-01-01", "2024-01-02"], "is no symbol"),
        (["binance_spot", "A?x=1#", "2024-01-01", "2024-01-02"], "is no symbol"),
    ],
)
def test_a_download_that_cannot_be_is_refused_in_one_line(words: list[str], said: str) -> None:
    assert said in verbatim("download", *words, code=3)


def days(first: int, count: int) -> list[str]:
    """Return so many dates from a day of January 2024 on."""
    return [(date(2024, 1, first) + timedelta(days=number)).isoformat() for number in range(count)]


def test_whole_months_are_one_file_and_the_days_around_them_are_their_own() -> None:
    files = [file.path for file in USDM.files("BTCUSDT", "trades", "", days(30, 32))]
    assert files == [
        *(f"data/futures/um/daily/trades/BTCUSDT/BTCUSDT-trades-2024-01-{day}.zip" for day in (30, 31)),
        "data/futures/um/monthly/trades/BTCUSDT/BTCUSDT-trades-2024-02.zip",
        "data/futures/um/daily/trades/BTCUSDT/BTCUSDT-trades-2024-03-01.zip",
    ]
    funding = [file.name for file in USDM.files("BTCUSDT", "fundingRate", "", days(5, 28))]
    assert funding == ["BTCUSDT-fundingRate-2024-01.zip", "BTCUSDT-fundingRate-2024-02.zip"]
