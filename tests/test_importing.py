"""Captures of other tools imported as sessions: every message unchanged, in order and with its time; damage leaves
nothing.
"""

import gzip
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from journal.importing.formats import FORMATS
from journal.reader import Journal
from journal.record import Kind, Record
from journal.verify import verify
from verbatim.cli import main

BAD_INPUT = 3
START_NS = 1_723_161_253_937_085_768


def verbatim(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def imported(result: Result) -> Path:
    """Return the folder that the last line names."""
    assert result.exit_code == 0, result.output
    return Path(result.stdout.splitlines()[-1])


def records(folder: Path) -> list[Record]:
    found = list(Journal.open(folder).records())
    assert found[0].kind is Kind.SESSION
    assert [record.time_ns for record in found] == sorted(record.time_ns for record in found)
    return found[1:]


def opening(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(Journal.open(folder).session_record().body or "")
    return body


def received(folder: Path) -> list[tuple[int | None, bytes | None]]:
    """Return the messages, by column: a capture has hundreds of thousands."""
    journal = Journal.open(folder)
    assert journal.session_record().seq == 0
    times = [time_ns for batch in journal.batches(columns=["time_ns"]) for time_ns in batch.column(0).to_pylist()]
    assert times == sorted(times)
    batches = journal.batches(columns=["recv_ns", "payload"], kinds=[Kind.FEED])
    return [row for batch in batches for row in zip(*(each.to_pylist() for each in batch.columns), strict=True)]


def refused(result: Result, *snippets: str) -> None:
    assert result.exit_code == BAD_INPUT, result.output
    assert result.stderr.startswith("verbatim: ")
    assert result.stderr.count("\n") == 1
    assert [text for text in snippets if text not in result.stderr] == []


# ---- the captures ----------------------------------------------------------------------------------


def captures(shared_data: Path, folder: str) -> list[Path]:
    found = [path for path in sorted((shared_data / "captures" / folder).iterdir()) if path.name != "LICENSE"]
    assert found
    return found


def counts(shared_data: Path) -> dict[str, int]:
    """Return the number of messages of each file for which MANIFEST.md states it."""
    text = (shared_data / "MANIFEST.md").read_text()
    known = re.findall(r"- \*\*([^*]+)\*\*[^\n]*\n  - origin[^\n]*\n  - what[^\n]*\n  - known: ([^\n]*)\n", text)
    stated = {name: re.search(r"(\d+) (?:lines|frames|rows|REST)", snippets) for name, snippets in known}
    return {name: int(match[1]) for name, match in stated.items() if match}


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["binance", "hyperliquid"])
def test_hftbacktest_captures_come_out_byte_for_byte_with_their_receive_time(
    shared_data: Path, tmp_path: Path, folder: str
) -> None:
    known = counts(shared_data)
    for path in captures(shared_data, folder):
        lines = gzip.decompress(path.read_bytes()).split(b"\n")[:-1]
        in_file = [(int(line[: line.index(b" ")].ljust(19, b"0")), line[line.index(b" ") + 1 :]) for line in lines]
        session = imported(verbatim("import", path, "--journals", tmp_path))
        assert received(session) == in_file
        assert len(in_file) == known[path.name]
        assert opening(session)["import"]["files"][0]["unit"] == ("us" if "2023" in path.name else "ns")
        assert verify(session).ok
        assert verify(session).closed


def lines_of_cryptofeed(path: Path) -> list[tuple[Any, ...]]:
    """Return (kind, ns, URL, text) of each line, parsed by splitting."""
    found: list[tuple[Any, ...]] = []
    for line in path.read_text().split("\n"):
        words = line.split(" ")
        if line.startswith("configuration: "):
            found.append(("configuration", None, None, line.removeprefix("configuration: ")))
        elif len(words) > 1 and words[1] in ("<->", "<-", "->"):
            what = {"<->": "up", "<-": "sent", "->": "answer"}[words[1]]
            text = " ".join(words[3:]) if what != "up" else None
            found.append((what, int(Decimal(words[2].removesuffix(":")) * 10**9), words[0], text))
        elif line:
            found.append(("frame", int(Decimal(words[0].removesuffix(":")) * 10**9), None, " ".join(words[1:])))
    return found


def lines_of_session(folder: Path) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for record in records(folder):
        if record.kind is Kind.LINK:
            body = json.loads(record.body or "")
            found.append((body["state"], record.recv_ns, body.get("url"), body.get("text")))
        else:
            url = json.loads(record.meta or "{}").get("url")
            text = (record.payload or b"").decode()
            found.append(("answer" if url else "frame", record.recv_ns, url, text))
    return found


@pytest.mark.slow
def test_cryptofeed_captures_lose_nothing_of_what_is_in_the_file(shared_data: Path, tmp_path: Path) -> None:
    """Frames, HTTP answers, and LINK records of connections, messages sent and configuration."""
    known = counts(shared_data)
    counted = 0
    for path in captures(shared_data, "cryptofeed"):
        session = imported(verbatim("import", path, "--journals", tmp_path))
        in_file = lines_of_cryptofeed(path)
        assert lines_of_session(session) == in_file
        messages = [what for what, *_ in in_file if what in ("frame", "answer")]
        assert len(messages) == known.get(path.name, len(messages))
        counted += path.name in known
        assert verify(session).ok
    assert counted == 13


def test_a_frame_of_cryptofeed_names_the_link_that_opened_its_connection(shared_data: Path, tmp_path: Path) -> None:
    session = imported(
        verbatim("import", shared_data / "captures/cryptofeed/BINANCE.ws.1.0", "--into", tmp_path / "session")
    )
    link, *frames = records(session)
    assert json.loads(link.body or "")["url"].startswith("wss://stream.binance.com:9443/")
    assert {(record.cause, record.source) for record in frames} == {(link.seq, "import.BINANCE.ws.1.0")}


def test_connections_of_one_source_are_distinguished_by_their_links(shared_data: Path, tmp_path: Path) -> None:
    """Four connections subscribed the same channels of Bequant; we have two of them."""
    paths = [shared_data / "captures" / "cryptofeed" / f"BEQUANT.ws.{number}.0" for number in (1, 2)]
    found = records(imported(verbatim("import", *paths, "--source", "bequant", "--journals", tmp_path)))
    links = [record.seq for record in found if '"state":"up"' in (record.body or "")]
    causes = [record.cause for record in found if record.kind is Kind.FEED]
    assert [causes.count(link) for link in links] == [1362, 1362]


def test_a_capture_without_times_keeps_its_order(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "captures" / "kraken-v2" / "doge_usdt_book10.jsonl"
    refused(verbatim("import", path, "--journals", tmp_path), path.name, "--time-field", "--time-unit none")
    session = imported(verbatim("import", path, "--time-unit", "none", "--journals", tmp_path))
    assert received(session) == [(None, line) for line in path.read_bytes().splitlines()]
    assert len(received(session)) == 6


@pytest.mark.slow
def test_ticks_of_lean_have_new_yorks_clock(shared_data: Path, tmp_path: Path) -> None:
    known = counts(shared_data)
    for name in ("tick_ibm_20131007_trade.zip", "tick_ibm_20131007_quote.zip"):
        path = shared_data / "days" / "us-equity" / name
        with zipfile.ZipFile(path) as archive:
            lines = archive.read(archive.namelist()[0]).splitlines()
        found = records(imported(verbatim("import", path, "--journals", tmp_path)))
        texts = [(record.payload or b"").rpartition(b"\n")[2] for record in found]
        assert [
            b",".join(text.split(b",")[: line.count(b",") + 1]) for text, line in zip(texts, lines, strict=True)
        ] == lines
        assert len(lines) == known[name]
        midnight_ns = 1_381_118_400_000_000_000  # 2013-10-07T04:00Z: New York is four hours behind in October
        assert [record.time_ns for record in found] == [
            midnight_ns + int(line.split(b",")[0]) * 10**6 for line in lines
        ]
        assert {record.recv_ns for record in found} == {None}, "nobody received these"


@pytest.mark.slow
def test_every_reading_command_accepts_an_import(shared_data: Path, tmp_path: Path) -> None:
    """verify and sql answer, even for views that must be empty; sessions lists it; replay and ask name it as an import."""
    cryptofeed = shared_data / "captures" / "cryptofeed"
    binance = imported(
        verbatim("import", shared_data / "captures/binance/spot_ethusdt_20240808.gz", "--journals", tmp_path)
    )
    kraken = imported(verbatim("import", cryptofeed / "KRAKEN.ws.48.0", "--journals", tmp_path))
    assert verbatim("verify", binance).exit_code == 0
    kinds = "select kind, count(*) as n from records group by 1 order by 1"
    assert json.loads(verbatim("sql", kraken, kinds, "--json").stdout) == [
        {"kind": "FEED", "n": 49},
        {"kind": "LINK", "n": 2},
        {"kind": "SESSION", "n": 1},
    ]
    for view in json.loads(verbatim("sql", kraken, "--json").stdout):
        assert verbatim("sql", kraken, f"from {view['view']}", "--json").exit_code == 0, view["view"]
    assert json.loads(verbatim("sql", binance, "select count(*) as n from quotes", "--json").stdout) == [{"n": 24077}]
    assert json.loads(verbatim("sql", binance, "select count(*) as n from trades", "--json").stdout) == [{"n": 6106}]
    listed = json.loads(verbatim("sessions", "--journals", tmp_path, "--json").stdout)
    assert [(row["session"], row["ended"]) for row in listed] == [
        (kraken.name[-8:], "closed"),
        (binance.name[-8:], "closed"),
    ]
    refused(verbatim("replay", kraken), "is an import")
    refused(verbatim("ask", kraken), "is an import")


def test_files_of_one_capture_are_one_session_in_the_order_of_their_times(shared_data: Path, tmp_path: Path) -> None:
    """The depth snapshots of BINANCE.http are in their original place, after the first diff of their symbol."""
    paths = [shared_data / "captures" / "cryptofeed" / f"BINANCE.{name}" for name in ("0", "http.0.0", "ws.1.0")]
    found = records(imported(verbatim("import", *paths, "--journals", tmp_path)))
    assert [record.time_ns for record in found] == [record.recv_ns or record.time_ns for record in found]
    for path in paths:
        alone = [
            record.payload for record in records(imported(verbatim("import", path, "--journals", tmp_path / "alone")))
        ]
        assert [record.payload for record in found if record.source == f"import.{path.name}"] == alone
    first = next(record.seq for record in found if b"nknusdt@depth" in (record.payload or b""))
    snapshot = next(record.seq for record in found if "depth?symbol=NKNUSDT" in (record.meta or ""))
    assert 0 < first < snapshot


# ---- formats without a real file -------------------------------------------------------------------


def binance_zip(path: Path, *lines: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.with_suffix(".csv").name, "".join(f"{line}\n" for line in lines))
    return path


TRADE_HEADER = "id,price,qty,quote_qty,time,is_buyer_maker"
BINANCE = {  # rows as README.md of binance/binance-public-data shows them: table, unit, times in ns, lines
    "trades": ("trades", "us", [1735689600010866000], ["51175358,17.80180000,5.69000000,101.29224200,1735689600010866,True,True"]),
    "trades of before 2025": ("trades", "ms", [1583709433583000000] * 2, ["51175358,17.8,5.69,101.29,1583709433583,True,True"] * 2),
    "trades of futures": ("trades", "ms", [1583709433583000000] * 2, [TRADE_HEADER, "51175358,17.8,5.69,101.29,1583709433583,true"]),
    "aggTrades": ("aggTrades", "us", [1735689600010866000], ["0,0.20000000,50.00000000,0,0,1735689600010866,False,True"]),
    "aggTrades of futures": ("aggTrades", "ms", [1608872400000000000], ["0,0.20000000,50.00000000,0,0,1608872400000,False"]),
    "klines stand at their close": (
        "klines",
        "us",
        [1735693199999999000],
        ["1735689600000000,4.15,4.15,4.15,4.15,539.23,1735693199999999,2240.39860900,13,401.82,1669.98,0"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BINANCE)
@pytest.mark.parametrize("packed", [True, False], ids=["zip", "csv"])
def test_archives_of_binance_have_the_venues_time(tmp_path: Path, case: str, packed: bool) -> None:
    table, unit, times_ns, lines = BINANCE[case]
    path = tmp_path / "BTCUSDT-2025-01-01.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    if packed:
        path = binance_zip(tmp_path / "BTCUSDT-2025-01-01.zip", *lines)
    session = imported(verbatim("import", path, "--journals", tmp_path / "journals"))
    snippets = opening(session)["import"]["files"][0]
    assert (snippets["format"], snippets["table"], snippets["unit"], snippets["stamp"]) == (
        "binance-archive",
        table,
        unit,
        "venue",
    )
    assert len(snippets["columns"]) == lines[0].count(",") + 1
    found = records(session)
    texts = [
        record.payload.decode().partition("\n")[2] if record.payload else json.loads(record.body or "")["text"]
        for record in found
    ]
    assert texts == lines, "below its head each message is the line of the file"
    heads = {record.payload.partition(b"\n")[0].split()[2] for record in found if record.payload}
    assert heads == {b"BTCUSDT"}
    assert [record.time_ns for record in found] == times_ns
    assert {record.recv_ns for record in found} == {None}


@pytest.mark.parametrize(
    ("unit", "text", "ns"),
    [
        ("ns", "1625273776819812123", 1625273776819812123),
        ("us", "1625273776819812", 1625273776819812000),
        ("ms", '"1625273776819.812123"', 1625273776819812123),
        ("s", "1625273776.8198121", 1625273776819812100),  # a float would make ...812016
        ("s", "1625273776.819812123999", 1625273776819812123),
        ("iso", '"2021-07-03T00:56:16.819812123Z"', 1625273776819812123),
        ("iso", '"2021-07-02 20:56:16.819-04:00"', 1625273776819000000),
    ],
)
def test_the_stated_field_of_newline_json_is_read_without_floats(tmp_path: Path, unit: str, text: str, ns: int) -> None:
    lines = [f'{{"a": 1.50, "at": {{"ts": {text}}}}}', "", f'{{"at":{{"ts":{text}}},"b":"\u20bf"}}']
    path = tmp_path / "feed.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    options = ("--time-field", "at.ts", "--time-unit", unit, "--source", "mine")
    session = imported(verbatim("import", path, *options, "--journals", tmp_path / "journals"))
    assert received(session) == [(ns, lines[0].encode()), (ns, lines[2].encode())]
    assert {record.source for record in records(session)} == {"mine"}


def test_ticks_of_lean_keep_to_summer_and_winter_time(tmp_path: Path) -> None:
    for day, utc_ns in (("20131101", 1383312600_000000000), ("20131104", 1383575400_000000000)):  # 13:30Z, 14:30Z
        path = tmp_path / f"{day}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{day}_ibm_Trade_Tick.csv", "34200000,1815200,283,P,2000,0")
        [tick] = records(imported(verbatim("import", path, "--journals", tmp_path / "journals")))
        assert tick.time_ns == utc_ns, day


# ---- times, names and places -----------------------------------------------------------------------


def collected(path: Path, *stamps_ns: int, frame: str = '{"n":1}') -> Path:
    path.write_bytes(gzip.compress("".join(f"{stamp} {frame}\n" for stamp in stamps_ns).encode()))
    return path


def test_a_stamp_that_falls_is_kept_and_session_time_never_falls(tmp_path: Path) -> None:
    path = collected(tmp_path / "a.gz", START_NS, START_NS + 5, START_NS + 2, START_NS + 7)
    found = records(imported(verbatim("import", path, "--journals", tmp_path / "journals")))
    assert [record.recv_ns for record in found] == [START_NS, START_NS + 5, START_NS + 2, START_NS + 7]
    assert [record.time_ns for record in found] == [START_NS, START_NS + 5, START_NS + 5, START_NS + 7]
    assert [record.meta for record in found] == [None] * 4, "a record with meta is an answer, not a frame"


def test_a_second_import_is_refused_and_the_first_stays_unchanged(tmp_path: Path) -> None:
    path = collected(tmp_path / "a.gz", START_NS)
    session = imported(verbatim("import", path, "--journals", tmp_path / "journals"))
    before = {file.name: file.read_bytes() for file in session.iterdir()}
    refused(verbatim("import", path, "--journals", tmp_path / "journals"), str(session), "exists already")
    assert {file.name: file.read_bytes() for file in session.iterdir()} == before
    elsewhere = imported(verbatim("import", path, "--journals", tmp_path / "elsewhere"))
    assert elsewhere.name == session.name
    assert {file.name: file.read_bytes() for file in elsewhere.iterdir()} == before, "one file, one journal"
    other = imported(verbatim("import", path, "--source", "mine", "--journals", tmp_path / "journals"))
    assert other.name != session.name


def test_into_is_the_folder_of_the_session(tmp_path: Path) -> None:
    path = collected(tmp_path / "a.gz", START_NS)
    assert imported(verbatim("import", path, "--into", tmp_path / "deep" / "here")) == tmp_path / "deep" / "here"
    refused(verbatim("import", path, "--into", tmp_path), str(tmp_path), "exists already")
    (tmp_path / "there.importing").mkdir()
    refused(verbatim("import", path, "--into", tmp_path / "there"), "there.importing", "was killed")


def test_an_empty_file_is_reported_as_empty(tmp_path: Path) -> None:
    (tmp_path / "a.dat").touch()
    (tmp_path / "b.gz").write_bytes(gzip.compress(b""))
    for name in ("a.dat", "b.gz"):
        refused(
            verbatim("import", tmp_path / name, "--into", tmp_path / "s"),
            f"{name} is empty. What to do: name a file",
        )
    assert not (tmp_path / "s").exists()


def test_two_files_of_one_name_have_two_sources(tmp_path: Path) -> None:
    (tmp_path / "spot").mkdir()
    paths = [collected(tmp_path / "btc.gz", START_NS), collected(tmp_path / "spot" / "btc.gz", START_NS + 1)]
    found = records(imported(verbatim("import", *paths, "--journals", tmp_path / "journals")))
    assert [record.source for record in found] == ["import.btc", "import.btc#2"]


def test_an_import_lists_its_files(tmp_path: Path) -> None:
    path = collected(tmp_path / "a.gz", START_NS)
    session = imported(verbatim("import", path, "--journals", tmp_path / "journals"))
    body = opening(session)
    [snippets] = body["import"]["files"]
    assert (snippets["name"], snippets["format"], snippets["stamp"], snippets["unit"]) == (
        "a.gz",
        "hftbacktest",
        "receive",
        "ns",
    )
    assert (snippets["bytes"], len(snippets["sha256"])) == (path.stat().st_size, 64)
    assert body["session"] == session.name[-8:]
    assert body["started_ns"] == START_NS
    assert body["versions"]["verbatim-trading"]


# ---- what cannot be imported -----------------------------------------------------------------------

GOOD = b"".join(b'%d {"n":%d}\n' % (START_NS + n, n) for n in range(3))
TICK = "14430270,1815200,283,P,20002020,0"


def lean_zip(path: Path, *lines: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20131007_ibm_Trade_Tick.csv", "\n".join(lines))
    return path


def written(data: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "feed"
        path.write_bytes(data)
        return path

    return write


def incompressible(rows: int) -> bytes:
    return b"".join(
        b'%d ["%s"]\n' % (START_NS + n, hashlib.sha512(b"%d" % n).hexdigest().encode()) for n in range(rows)
    )


DAMAGE: dict[str, tuple[Callable[[Path], Path], int, str]] = {
    "gzip that ends in its middle": (written(gzip.compress(incompressible(2000))[:60_000]), 0, "is truncated"),
    "gzip with a flipped byte": (written(gzip.compress(GOOD)[:-6] + b"\x00" + gzip.compress(GOOD)[-5:]), 4, "CRC"),
    "no stamp": (written(GOOD + b'{"n":3}\n' + GOOD), 4, "receive time"),
    "a stamp of another unit": (written(GOOD + b'1723161253937085 {"n":3}\n'), 4, "19 digits"),
    "a time that no journal holds": (written(GOOD + b'9999999999999999999 {"n":3}\n'), 4, "2262"),
    "not UTF-8": (written(GOOD + b'1723161253937085768 {"n":"\xff"}\n'), 4, "UTF-8"),
    "a last line cut off": (written(GOOD + b'1723161253937085768 {"n":'), 4, "truncated"),
    "cryptofeed without stamp": (written(b'1618678132.36: {"a":1}\nand more of it\n'), 2, "receive time"),
    "cryptofeed cut off": (written(b"1618678132.36: {}\nhttps://a.b -> 1618678132.37: {"), 2, "truncated"),
    "a table of other columns": (lambda folder: binance_zip(folder / "b.zip", *BINANCE["trades"][3], "1,2,3"), 2, "7 columns"),
    "ticks without day's time": (lambda folder: lean_zip(folder / "l.zip", TICK, TICK.replace("14430270", "x")), 2, "midnight"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_named_with_its_line_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    make, line, snippets = DAMAGE[case]
    path = make(tmp_path)
    result = verbatim("import", path, "--journals", tmp_path / "journals")
    refused(result, str(path), f"line {line}" if line else "line ", snippets, "--partial")
    assert list(tmp_path.glob("journals/*")) == []


@pytest.mark.parametrize("case", DAMAGE)
def test_partial_keeps_the_lines_before_the_damage(tmp_path: Path, case: str) -> None:
    make, line, snippets = DAMAGE[case]
    path = make(tmp_path)
    result = verbatim("import", path, "--partial", "--journals", tmp_path / "journals")
    *kept, note = records(imported(result))
    assert note.kind is Kind.NOTE
    assert snippets in (note.body or "")
    assert snippets in result.stderr
    if line:
        assert len(kept) == line - 1
    else:
        assert 100 < len(kept) < 2000
        expected = [row.split(b" ", 1)[1] for row in incompressible(len(kept)).splitlines()]
        assert [record.payload for record in kept] == expected
    assert verify(Path(result.stdout.splitlines()[-1])).ok


def test_every_refused_import_is_one_line(tmp_path: Path) -> None:
    journals = ("--journals", tmp_path / "journals")
    prose = written(b"dear diary,\n")(tmp_path)
    refused(verbatim("import", prose, *journals), str(prose), *FORMATS)
    refused(verbatim("import", prose, "--format", "hftbacktest", *journals), "line 1", "16 or 19 digits")
    refused(verbatim("import", prose, "--format", "lean-tick", *journals), "does not state its day")
    refused(verbatim("import", tmp_path / "nothing", *journals), "there is no file")
    refused(verbatim("import", tmp_path, *journals), "is not a file")
    empty = written(b"")(tmp_path)
    for name in FORMATS:
        options = ("--time-field", "ts", "--time-unit", "ns") if name == "ndjson" else ()
        refused(verbatim("import", empty, "--format", name, *options, *journals), str(empty))
    undated = written(b'{"ts":1}\n{"at":1}\n')(tmp_path)
    ndjson = ("--time-field", "ts", "--time-unit")
    refused(verbatim("import", undated, *ndjson, "ns", *journals), "line 2", "no field 'ts'")
    refused(verbatim("import", undated, *ndjson, "iso", *journals), "line 1", "not an ISO time")
    refused(verbatim("import", collected(tmp_path / "a.gz", START_NS), *ndjson, "ns", *journals), "--time-field")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("b.csv", "1")
    refused(verbatim("import", tmp_path / "two.zip", *journals), "contains 2 files")
    assert list(tmp_path.glob("journals/*")) == []
    assert verbatim("import", prose, "--format", "morse").exit_code == 2


PEAK = """
import resource, sys
from verbatim.cli import main
main(["import", *sys.argv[1:]], standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """The longer file's records are 130 MB of Python objects, so keeping them would show."""

    def peak_mb(rows: int) -> int:
        path = tmp_path / f"{rows}.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.writelines(b'%d {"pad":"%s"}\n' % (START_NS + row, b"x" * 200) for row in range(rows))
        words = [sys.executable, "-P", "-c", PEAK, str(path), "--into", str(tmp_path / str(rows))]
        return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])

    assert peak_mb(200_000) - peak_mb(20_000) < 60
