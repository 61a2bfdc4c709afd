"""`verbatim.open` and its tables: one session and several, finished and running, as Arrow, pandas and polars."""

import gc
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

import verbatim
from analysis.session_identity import SeveralSessionsError
from analysis.session_tables import SessionCopyWarning, UnreadableSessionWarning
from analysis.sql_session import QueryError
from analysis.table import MissingLibraryError
from analysis.user_frames import UnknownFrameError
from analysis.why import UnknownOrderError
from engine.strategy.source_guard import StrategyError
from journal.errors import ArchiveRefusedError, JournalError, UnknownSessionError
from journal.record import Kind
from replay.code_trust import UntrustedSourceError
from replay.moments import UnknownMomentError
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, from_sources, strategy_settings

QUOTER = Path(__file__).resolve().parent.parent / "examples" / "quoter.py"
BTC = "binance_spot:BTCUSDT"
FIRST, SECOND = "20240808T235410Z-aaaaaaaa", "20240808T235411Z-bbbbbbbb"


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with a closed session and one that is being written."""
    root = tmp_path_factory.mktemp("api") / "journals"
    quoter = strategy_settings(QUOTER, "Quoter", name="quoter")
    closed = VirtualSession(VirtualVenue(), root / FIRST, strategies=[quoter])
    closed.run(15).stop()
    running = VirtualSession(VirtualVenue(seed=2), root / SECOND, strategies=[quoter], session="bbbbbbbb").run(10)
    running.writer.wait_durable(running.records[-1].seq, 60)
    yield root
    running.writer.abandon()


@pytest.fixture(scope="module")
def closed(journals: Path) -> verbatim.Session:
    return verbatim.open("aaaaaaaa", journals=journals)


@pytest.mark.slow
def test_a_session_is_opened_by_id_path_folder_and_list(journals: Path, tmp_path: Path) -> None:
    by_id = verbatim.open("aaaa", journals=journals)
    by_path = verbatim.open(journals / FIRST)
    assert by_id.folder == by_path.folder == journals / FIRST
    assert (by_id.id, by_id.is_closed, by_id.is_running) == ("aaaaaaaa", True, False)
    assert by_id.ended - by_id.started > timedelta(seconds=14)
    newest = verbatim.open("last", journals=journals)
    assert (newest.id, newest.is_closed, newest.is_running) == ("bbbbbbbb", False, True)
    both = verbatim.open(journals)
    assert [each.id for each in both.sessions] == ["aaaaaaaa", "bbbbbbbb"]
    assert verbatim.open([by_id, journals / SECOND]).folders == both.folders
    assert repr(by_id) == f"<session aaaaaaaa, {by_id.journal.last_seq + 1:,} records, closed>"
    assert repr(both) == f"<2 sessions, {FIRST} to {SECOND}>"
    with pytest.raises(UnknownSessionError, match="no session 'zzzz'"):
        verbatim.open("zzzz", journals=journals)
    for name in ("", "x" * 5_000, "\0"):
        with pytest.raises(JournalError):
            verbatim.open(name, journals=journals)
    with pytest.raises(UnknownSessionError, match="no session was named"):
        verbatim.open([])
    with pytest.raises(JournalError, match="holds no journal"):
        verbatim.open(tmp_path)


def test_a_folder_opens_without_the_sessions_that_cannot_be_read(journals: Path, tmp_path: Path) -> None:
    """Each that is left out is named with its reason; a session that was named is never left out."""
    torn, begun = "20240808T235412Z-cccccccc", "20240808T235413Z-dddddddd"
    shutil.copytree(journals / FIRST, tmp_path / FIRST)
    shutil.copytree(journals / FIRST, tmp_path / torn)
    (tmp_path / begun).mkdir()
    segment = next((tmp_path / torn).glob("*.parquet"))
    segment.write_bytes(segment.read_bytes()[:-100])
    with pytest.warns(UnreadableSessionWarning) as warned:
        opened = verbatim.open(tmp_path)
    assert [folder.name for folder in opened.folders] == [FIRST]
    assert [Path(left_out.name).name for left_out in opened.unreadable] == [torn, begun]
    assert str(segment) in opened.unreadable[0].reason
    assert "has just begun" in opened.unreadable[1].reason
    assert [str(each.message) for each in warned] == [str(left_out) for left_out in opened.unreadable]
    assert len(opened.fills) == len(opened.refresh().fills) > 0
    for named in ([tmp_path / FIRST, tmp_path / torn], tmp_path / torn):
        with pytest.raises(JournalError, match=torn):
            verbatim.open(named)
    shutil.rmtree(tmp_path / FIRST)
    with pytest.raises(JournalError, match=torn):
        verbatim.open(tmp_path)
    shown = CliRunner().invoke(main, ["sql", f"{tmp_path},{journals / FIRST}", "SELECT count(*) FROM fills"])
    assert (shown.exit_code, torn in shown.stderr) == (1, True), "no session of that folder can be read"
    shutil.copytree(journals / FIRST, tmp_path / FIRST)
    shown = CliRunner().invoke(main, ["sql", str(tmp_path), "--json", "SELECT count(*) AS fills FROM fills"])
    assert json.loads(shown.stdout) == [{"fills": len(opened.fills)}]
    assert f"verbatim: {opened.unreadable[1]}" in shown.stderr


def test_a_copy_in_a_folder_does_not_count_twice(journals: Path, closed: verbatim.Session, tmp_path: Path) -> None:
    """A backup beside the original, a shorter one under another name, and the same session twice in a list."""
    shutil.copytree(journals / FIRST, tmp_path / FIRST)
    shutil.copytree(journals / FIRST, tmp_path / "20240809T000000Z-backupaa")
    with pytest.warns(SessionCopyWarning) as warned:
        opened = verbatim.open(tmp_path)
    assert [folder.name for folder in opened.folders] == [FIRST]
    assert len(opened.fills) == len(closed.fills) > 0
    assert [str(each.message) for each in warned] == [
        f"{tmp_path}/20240809T000000Z-backupaa was left out: session aaaaaaaa counts once, as {tmp_path / FIRST}"
    ]
    with pytest.warns(SessionCopyWarning):
        assert len(verbatim.open([tmp_path / FIRST, journals / FIRST]).refresh().copies) == 1
    with pytest.warns(SessionCopyWarning):
        both = verbatim.open([journals / FIRST, journals / SECOND, tmp_path / FIRST])
    assert ([folder.name for folder in both.folders], "1 left out as copies" in repr(both)) == ([FIRST, SECOND], True)
    shown = CliRunner().invoke(main, ["sql", str(tmp_path), "--json", "SELECT count(*) AS fills FROM fills"])
    assert (json.loads(shown.stdout), "was left out" in shown.stderr) == ([{"fills": len(closed.fills)}], True)


def test_the_tables_are_the_views(closed: verbatim.Session) -> None:
    for view in closed.views:
        assert closed.table(view.name).columns == tuple(name for name, _ in view.columns)
    assert closed.orders.columns == closed.table("orders").columns
    for table in (closed.intents, closed.verdicts, closed.requests, closed.balances, closed.pnl, closed.modes):
        assert len(table) > 0
    assert {row["session"] for row in closed.positions} == {"aaaaaaaa"}
    with pytest.raises(LookupError, match="no view 'order'"):
        closed.table("order")


def test_money_and_whole_numbers_stay_exact(closed: verbatim.Session) -> None:
    fills = closed.fills
    money = pa.decimal128(38, 18)
    assert fills.schema.field("price").type == money
    arrow = fills.arrow()
    assert arrow["price"].to_pylist() == [row["price"] for row in fills.rows()]
    assert pa.table(fills) == arrow  # by the Arrow C stream interface
    assert fills.as_floats().schema.field("price").type == pa.float64()
    assert fills.as_floats().arrow()["price"].to_pylist() == [float(price) for price in arrow["price"].to_pylist()]
    rows = list(fills)
    assert len(fills) == len(rows) == arrow.num_rows > 5
    assert rows[0]["notional"] == rows[0]["price"] * rows[0]["quantity"]
    assert fills.head(2).rows() == rows[:2]
    assert fills.order_by("seq DESC").rows(2) == rows[:-3:-1]
    assert fills.where("side = ?", "SELL").select("side").rows(1) == [{"side": "SELL"}]
    assert sum(batch.num_rows for batch in fills.reader(batch_rows=2)) == len(rows)


def test_pandas_and_polars_have_the_same_values(closed: verbatim.Session) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    rows = closed.fills.rows()
    for frame in (closed.fills.pandas(), pandas.DataFrame.from_arrow(closed.fills)):
        assert list(frame["price"]) == [row["price"] for row in rows]
    assert str(closed.requests.pandas()["sent_ns"].dtype) == "int64[pyarrow]"  # with nulls, but without floats
    for table in (closed.fills.polars(), polars.DataFrame(closed.fills)):
        assert table["price"].to_list() == [row["price"] for row in rows]
        assert table["time"].to_list() == [row["time"] for row in rows]


def test_frames_of_the_caller_join_the_views(closed: verbatim.Session) -> None:
    sides = {"side": ["BUY", "SELL"], "sign": [1, -1]}
    query = "SELECT sum(sign * quantity) AS position FROM fills JOIN sides USING (side) WHERE price > ?"
    expected = sum(row["quantity"] * (1 if row["side"] == "BUY" else -1) for row in closed.fills)
    frames: list[Any] = [sides, [dict(zip(sides, row, strict=True)) for row in zip(*sides.values(), strict=True)]]
    frames += [pa.table(sides), pa.table(sides).to_batches()[0], pa.table(sides).to_reader()]
    if pandas := pytest.importorskip("pandas"):
        frames.append(pandas.DataFrame(sides))
        frames.append(pandas.DataFrame(sides).set_index("side"))
    if polars := pytest.importorskip("polars"):
        frames += [polars.DataFrame(sides), polars.LazyFrame(sides)]
    for frame in frames:
        assert closed.sql(query, 0, sides=frame).rows() == [{"position": expected}], type(frame)
    nested = closed.sql("FROM fills -- all of them")
    assert closed.sql("SELECT count(*) AS n FROM mine", mine=nested).rows() == [{"n": len(nested)}]
    with pytest.raises(QueryError, match="'fills' is a view of the session"):
        closed.sql("FROM fills", fills=sides).rows()
    with pytest.raises(UnknownFrameError, match=r"sides: builtins\.int is no table"):
        closed.sql("FROM sides", sides=1)
    with pytest.raises(QueryError, match="does not exist"):  # a frame is known to its own query alone
        closed.sql("FROM sides").arrow()


def test_a_session_is_only_read(closed: verbatim.Session, tmp_path: Path) -> None:
    for query in ("DROP VIEW orders", f"COPY fills TO '{tmp_path}/x.csv'", "FROM read_csv('/etc/passwd')", "SELEC"):
        for read in (verbatim.Table.arrow, verbatim.Table.rows, len):
            with pytest.raises(QueryError):
                read(closed.sql(query))
    with pytest.raises(QueryError, match="Conversion"):
        closed.sql("SELECT CAST(source AS INTEGER) FROM records").arrow()


def test_the_market_between_two_moments(closed: verbatim.Session) -> None:
    quotes = closed.quotes()
    assert {row["instrument"] for row in quotes.select("instrument")} == {BTC}
    assert closed.quotes("BTCUSDT").arrow() == closed.quotes(BTC).arrow() == quotes.arrow()
    begin, end = closed.started + timedelta(seconds=3), closed.started + timedelta(seconds=5)
    inside = [row["seq"] for row in quotes if begin <= row["time"].replace(tzinfo=UTC) <= end]
    assert [row["seq"] for row in closed.quotes(start=begin, end=end)] == inside != []
    assert [row["seq"] for row in closed.quotes(start=inside[0], end=inside[-1])] == inside
    assert len(closed.trades(start=begin.isoformat(), end=f"{end:%H:%M:%S.%f}")) > 0
    facts = closed.records(kinds=[Kind.FACT, "note"], end=inside[0])
    assert {row["kind"] for row in facts} <= {"FACT", "NOTE"}
    halves = [closed.records(kinds=[kind], end=inside[0]) for kind in ("FACT", "NOTE")]
    assert len(facts) == sum(len(half) for half in halves)
    assert {row["source"] for row in closed.records(sources=["engine"])} == {"engine"}
    with pytest.raises(UnknownMomentError):
        closed.quotes(start="yesterday")


def test_a_mistake_in_a_choice_is_an_error_and_no_empty_table(closed: verbatim.Session) -> None:
    """Each names what was wrong; a choice that is right in another spelling is accepted."""
    mistakes: dict[str, Callable[[], object]] = {
        "length of a bar in seconds is -1": lambda: closed.bars(-1),
        "length of a bar in seconds is 0": lambda: closed.bars(0),
        "length of a bar in seconds is 1.5": lambda: closed.bars(1.5),  # type: ignore[arg-type]  # the mistake
        "length of a bar in seconds is '60'": lambda: closed.bars("60"),  # type: ignore[arg-type]  # the mistake
        "too long": lambda: closed.bars(10**12),
        "no instrument 'BTCUSD' (did you mean 'BTCUSDT'?); there are BTCUSDT": lambda: closed.quotes("BTCUSD"),
        "no instrument 'btcusdt'": lambda: closed.trades("btcusdt"),
        "no instrument 'XYZ'": lambda: closed.bars(60, "XYZ"),
        "the end 5 is before the start 100": lambda: closed.quotes(start=100, end=5),
        "before the start": lambda: closed.records(start="2026-01-02T00:00:00Z", end="2026-01-01T00:00:00Z"),
        "'-1' is neither": lambda: closed.trades(start=-1),
        "no kind 'FEEDS' (did you mean 'FEED'?)": lambda: closed.records(kinds=["feeds"]),
        "no kind 'X'": lambda: closed.follow(kinds="X"),
        "no kind 'Y'": lambda: closed.export("y.jsonl", kinds=["Y"]),
        "timeout_s is -1": lambda: closed.follow(timeout_s=-1),
        "workers is 0": lambda: closed.replay(workers=0, trust_code=True),
        "no method 'fif' (did you mean 'fifo'?)": lambda: closed.pnl_report("fif"),
        "number of rows is -1": lambda: closed.fills.head(-1),
        "no order ''": lambda: closed.why(""),
        "no order 'x'": lambda: closed.why("x"),
        "after its last record": lambda: closed.state(10**9),
    }
    for text, mistake in mistakes.items():
        with pytest.raises((ValueError, LookupError, UnknownMomentError, UnknownOrderError), match=re.escape(text)):
            mistake()
    feed = closed.records(kinds="feed", sources="binance_spot.market.0").rows()
    assert {(row["kind"], row["source"]) for row in feed} == {("FEED", "binance_spot.market.0")}
    assert closed.quotes("binance_spot:BTCUSDT").rows() == closed.quotes("*").rows() == closed.quotes().rows()


def test_bars_add_the_trades_up(closed: verbatim.Session) -> None:
    trades = closed.trades().rows()
    bars = closed.bars(5, "BTCUSDT").rows()
    assert sum(bar["volume"] for bar in bars) == sum(trade["quantity"] for trade in trades)
    assert (bars[0]["open"], bars[-1]["close"]) == (trades[0]["price"], trades[-1]["price"])
    for bar in bars:
        assert bar["start_ns"] % 5_000_000_000 == 0
        prices = [trade["price"] for trade in trades if 0 <= trade["venue_ns"] - bar["start_ns"] < 5_000_000_000]
        assert (bar["high"], bar["low"], bar["trades"]) == (max(prices), min(prices), len(prices))
    [week] = closed.bars(7 * 86_400).rows()
    assert week["start"].replace(tzinfo=UTC) == datetime(2024, 8, 5, tzinfo=UTC)  # a Monday


@pytest.mark.slow
def test_several_sessions_are_one_table(journals: Path) -> None:
    both = verbatim.open(journals)
    counts = both.sql("SELECT session, count(*) AS n FROM fills GROUP BY ALL ORDER BY ALL").rows()
    query = "SELECT session, count(*) AS n FROM fills GROUP BY ALL ORDER BY ALL"
    by_command = CliRunner().invoke(main, ["sql", str(journals), query, "--json"])
    assert json.loads(by_command.stdout) == counts
    one_only = CliRunner().invoke(main, ["ask", str(journals)])
    assert (one_only.exit_code, "2 are open" in one_only.output) == (3, True)
    assert counts == [{"session": each.id, "n": len(each.fills)} for each in both.sessions]
    assert len(both.trades()) == sum(len(each.trades()) for each in both.sessions)
    for question in (both.state, both.why, both.replay, lambda: both.id, lambda: both.diff(both)):
        with pytest.raises(SeveralSessionsError, match="choose one of `sessions`"):
            question()


def test_a_running_session_grows_when_it_is_opened_again(tmp_path: Path) -> None:
    session = VirtualSession(VirtualVenue(), tmp_path / FIRST).run(1)
    session.writer.wait_durable(session.records[-1].seq, 60)
    opened = verbatim.open(session.folder)
    before = len(opened.records())
    session.run(1)
    session.writer.wait_durable(session.records[-1].seq, 60)
    assert len(opened.records()) == before == opened.journal.last_seq + 1
    assert len(opened.refresh().records()) == len(session.records) > before
    session.writer.abandon()


@pytest.mark.slow
def test_state_replay_and_diff_of_a_session(closed: verbatim.Session, journals: Path) -> None:
    end = closed.state()
    assert (end.seq, end.time) == (closed.journal.last_seq, closed.ended)
    [position] = end.positions
    [last] = closed.positions.where("is_last").rows()
    assert Decimal(position["quantity"]) == last["quantity"]
    fill = closed.fills.rows()[3]
    assert closed.state(at=fill["seq"]).record.body == closed.records(start=fill["seq"]).rows(1)[0]["body"]
    middle = closed.state(at=fill["time"].replace(tzinfo=UTC))
    assert (middle.mode, middle.reasons) == ("running", [])
    assert str(middle).startswith("session aaaaaaaa after record ")
    with pytest.raises(UnknownMomentError):
        closed.state(at="2030-01-01")
    with pytest.raises(UntrustedSourceError):
        closed.replay()
    result = closed.replay(trust_code=True)
    assert result.identical
    by_command = CliRunner().invoke(main, ["replay", str(closed.folder), "--trust-code", "--json"])
    assert json.loads(by_command.stdout)["digest_final"] == result.digest_final
    limit = {"risk.order_notional_max": "1"}
    difference = closed.replay(trust_code=True, overrides=limit).difference
    assert difference is not None
    assert difference.seq == closed.verdicts.select("min(seq) AS seq").rows()[0]["seq"]
    assert closed.diff(closed).same
    assert closed.diff(verbatim.open(journals / SECOND)).cause == "data"


@pytest.mark.slow
def test_an_order_leads_back_to_its_quote(closed: verbatim.Session) -> None:
    story = closed.why()
    assert str(story).startswith(f"{story.client_order_id} (the venue's order ")
    assert story.as_json()["client_order_id"] == story.client_order_id
    last = closed.fills.rows()[-1]
    assert story.client_order_id == last["client_order_id"]
    assert closed.why(last["venue_order_id"]).chain == story.chain
    assert [link.record.kind for link in story.chain][-1] == Kind.LINK


def test_a_missing_library_is_named_with_its_extra(closed: verbatim.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, read in (("pandas", closed.fills.pandas), ("polars", closed.fills.polars)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingLibraryError, match=rf"pip install 'verbatim-trading\[{name}\]'"):
            read()


def test_importing_verbatim_loads_no_heavy_package() -> None:
    code = (
        "import sys, verbatim; verbatim.__all__; heavy = {'duckdb', 'pyarrow', 'numpy', 'pandas', 'polars', 'numba', "
        "'engine', 'analysis'}; print(heavy & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("line", ["from verbatim import open", "import verbatim\nverbatim.Session"])
def test_a_strategy_cannot_open_sessions(line: str) -> None:
    with pytest.raises(StrategyError, match=r"may (import from verbatim only|not use 'open')"):
        from_sources({"s": f"{line}\nclass S:\n    pass\n"}, "s", "S")


def test_a_strategy_that_imports_all_names_gets_those_of_strategies() -> None:
    """Recorded strategies may import with a star: `open` stays out of their reach."""
    text = (
        QUOTER.read_text()
        + "\nfrom verbatim import *\nNAMES = tuple(sorted(name for name in dir() if name[0] != '_'))\n"
    )
    assert from_sources({"quoter": text}, "quoter", "Quoter").version
    leak = "from verbatim import *\nclass S(Session):\n    pass\n"
    with pytest.raises(StrategyError, match="name 'Session' is not defined"):
        from_sources({"s": leak}, "s", "S")


def test_the_summary_counts_what_the_tables_hold(closed: verbatim.Session, journals: Path) -> None:
    summary = closed.summary()
    assert (summary.row.orders, summary.row.fills) == (len(closed.orders), len(closed.fills))
    assert summary.row.seconds == round((closed.ended - closed.started).total_seconds(), 3)
    assert summary.row.ended == "closed"
    assert summary.performance is not None
    assert summary.performance.intents == len(closed.intents)
    assert summary.time is not None
    assert not summary.time.is_halted
    assert summary.pnl == closed.pnl_report()
    lines = str(summary).splitlines()
    assert lines[0].startswith("session aaaaaaaa, 2024-08-08T23:54:10Z, ")
    assert lines[1].startswith("strategies quoter 1; ")
    assert "by line" in lines[3]
    assert verbatim.open(journals / SECOND).summary().row.ended == "open"


@pytest.mark.slow
def test_a_bundle_lasts_as_long_as_its_session(closed: verbatim.Session, tmp_path: Path) -> None:
    bundle = tmp_path / "s.vbundle"
    done = CliRunner().invoke(main, ["bundle", str(closed.folder), str(bundle)])
    assert done.exit_code == 0, done.output
    opened = verbatim.open(bundle)
    scratch = opened.folder
    assert opened.fills.arrow() == closed.fills.arrow()
    assert opened.diff(closed).same
    with pytest.raises(UntrustedSourceError, match="comes as a bundle"):
        opened.replay()
    del opened
    gc.collect()
    assert not scratch.parent.exists()


def test_archives_are_opened_by_address_one_or_a_folder_of_them(
    closed: verbatim.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERBATIM_COPIES", str(tmp_path / "copies"))
    root = f"file://{tmp_path}/archive"
    done = CliRunner().invoke(main, ["archive", str(closed.folder), root])
    assert done.exit_code == 0, done.output
    (tmp_path / "archive" / "unfinished").mkdir()
    for address in (root, f"{root}/{FIRST}"):
        opened = verbatim.open(address)
        assert opened.fills.arrow() == closed.fills.arrow()
        assert opened.folder.is_relative_to(tmp_path / "copies")
        with pytest.raises(UntrustedSourceError, match="is an archive"):
            opened.replay()
    with pytest.raises(ArchiveRefusedError):
        verbatim.open(f"{root}/unfinished")


def test_an_instrument_is_named_as_its_user_does(tmp_path: Path) -> None:
    session = VirtualSession(VirtualVenue(), tmp_path / FIRST, own_symbols={"BTCUSDT": "BTC/USD"}).run(1)
    session.stop()
    opened = verbatim.open(session.folder)
    assert [row["own_symbol"] for row in opened.instruments] == ["BTC/USD"]
    for name in ("BTC/USD", "BTCUSDT", BTC):
        assert opened.quotes(name).arrow() == opened.quotes().arrow()
        assert opened.bars(1, name).rows() == opened.bars(1).rows() != []


@pytest.mark.slow
def test_a_result_that_is_not_read_to_its_end_leaves_no_words_at_exit(closed: verbatim.Session) -> None:
    code = (
        "import sys; from analysis.sql_session import connect, query_arrow; from pathlib import Path\n"
        "reader = query_arrow(connect(Path(sys.argv[1])), 'FROM records', batch_rows=100); next(reader)"
    )
    command = [sys.executable, "-P", "-c", code, str(closed.folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_export_replay_and_fidelity_are_those_of_the_commands(closed: verbatim.Session, tmp_path: Path) -> None:
    rows = closed.export(tmp_path / "api.jsonl", kinds=["FACT", Kind.REQUEST], start=10)
    words = ["export", str(closed.folder), str(tmp_path / "cli.jsonl"), "--kinds", "fact,request", "--from", "10"]
    assert json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)["rows"] == rows > 0
    assert (tmp_path / "api.jsonl").read_bytes() == (tmp_path / "cli.jsonl").read_bytes()
    assert closed.export(tmp_path / "views") > rows
    assert {path.stem for path in (tmp_path / "views").iterdir()} == {view.name for view in closed.views}
    with pytest.raises(ValueError, match="gets the views whole"):
        closed.export(tmp_path / "others", kinds=["FACT"])
    found = json.loads(CliRunner().invoke(main, ["fidelity", str(closed.folder), "--json"]).stdout)
    assert found["tried"] == closed.fidelity().tried
    edited = QUOTER.read_text().replace('version = "', 'version = "edited')
    assert edited != QUOTER.read_text()
    (tmp_path / "quoter.py").write_text(edited)
    same = closed.replay(strategy=strategy_settings(tmp_path / "quoter.py", "Quoter", name="quoter"), trust_code=True)
    assert same.difference is not None, "the version is in the ids of orders"
    with pytest.raises(ValueError, match="runs in one piece"):
        closed.replay(workers=2, overrides={"risk.order_notional_max": "50"}, trust_code=True)
