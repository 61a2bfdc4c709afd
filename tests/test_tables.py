"""Tables of archives and files: their rows are the market, dirt costs only itself, and trades or quotes alone trade."""

import json
import lzma
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bar_files import MINUTE_MS, START_MS, backtest, fills, imported, kline, verbatim, write_klines
from click.testing import CliRunner

from engine.market import rows as r
from engine.model import Instrument
from engine.venues.neutral.market import NeutralMarket
from journal.reader import Journal
from journal.record import Kind
from replay.captured_market import read_markets
from verbatim.cli import main

BAR = ("100.01", "101.00", "99.00", "100.00", "50.01")


def instruments(session: Path) -> dict[str, Instrument]:
    return {one.symbol: one for market in read_markets(Journal.open(session)) for one in market.instruments}


def market_rows(session: Path) -> r.Rows:
    """Return the decoded rows of an import, read the compiled way and the exact way."""
    (market,) = read_markets(Journal.open(session))
    codec = NeutralMarket(market.instruments)
    records = list(Journal.open(session).records(kinds=(Kind.FEED,)))
    found = []
    for record in records:
        rows = codec.decode(record.payload or b"", record.source, record.seq, record.time_ns)
        assert not isinstance(rows, tuple), rows
        exact = codec._exact(record.payload or b"", record.seq, record.time_ns)
        assert np.array_equal(rows, exact), record.payload
        found.append(rows)
    return np.concatenate(found)


# ---- stated columns ------------------------------------------------------------------------------------

COLUMNS = "start=when:ms,open=o,high=h,low=l,close=c,volume=v,seconds=60"
HEADER = "when,o,h,l,c,v,note"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["1704067200000,1,2,0.5,1,9,", "1704067260000,1,2,0.5,abc,9,"], "line 3: has no number as its close"),
        (["1704067200000,1,2,0.5,1,9,", "1704067260000,1,2"], "line 3"),
        (["1704067200000,1,2,0.5,-1,9,"], "line 2: has no number as its close"),
        (["1704067200000,1,0.9,0.5,1,9,"], "line 2: has prices outside its low and high"),
        (["1704067260000,1,2,0.5,1,9,", "1704067200000,1,2,0.5,1,9,"], "line 3: is earlier than the line before"),
    ],
)
def test_a_line_that_no_backtest_could_read_is_an_error_that_names_it(
    tmp_path: Path, rows: list[str], said: str
) -> None:
    file = tmp_path / "bars.csv"
    file.write_text("\n".join([HEADER, *rows]) + "\n")
    words = ["import", str(file), "--format", "table", "--columns", COLUMNS, "--symbol", "XUSDT"]
    result = CliRunner().invoke(main, [*words, "--into", str(tmp_path / "session")])
    assert (result.exit_code != 0, said in result.output) == (True, True), result.output


def test_one_column_for_two_fields_is_refused(tmp_path: Path) -> None:
    """The last field would win, and orders would trade at the other's 0."""
    file = tmp_path / "nav.csv"
    file.write_text("when,nav\n1704067200000,100\n")
    columns = "start=when:ms,open=nav,high=nav,low=nav,close=nav,seconds=60"
    words = ["import", str(file), "--format", "table", "--columns", columns, "--symbol", "XUSDT"]
    result = CliRunner().invoke(main, [*words, "--into", str(tmp_path / "session")])
    assert (result.exit_code, "one column to two fields" in result.output) == (3, True), result.output


def test_a_csv_with_stated_columns_has_the_rows_of_the_archive(tmp_path: Path) -> None:
    archive = imported(tmp_path, write_klines(tmp_path / "BTCUSDT-1m.csv", [BAR, BAR]))
    lines = [f"{START_MS + number * MINUTE_MS},{','.join(BAR)},x" for number in range(2)]
    (tmp_path / "mine.csv").write_text("\n".join([HEADER, *lines, ""]))
    (tmp_path / "b").mkdir()
    words = ["--format", "table", "--columns", COLUMNS, "--symbol", "BTCUSDT"]
    stated = imported(tmp_path / "b", tmp_path / "mine.csv", *words)
    mine, theirs = market_rows(stated), market_rows(archive)
    ignored = [r.SEQ, r.TIME_NS]  # an archive states the last millisecond of a bar
    assert np.array_equal(np.delete(mine, ignored, axis=1), np.delete(theirs, ignored, axis=1))


def test_parquet_with_stated_columns_is_read_exactly(tmp_path: Path) -> None:
    times = pa.array([START_MS, START_MS + MINUTE_MS], pa.timestamp("ms", "UTC"))
    columns = {"o": [100.01, 0.1], "h": [101.0, 0.3], "l": [99.0, 1e-05], "c": [100.0, 0.2], "v": [50, 7]}
    pq.write_table(pa.table({"when": times, **columns}), tmp_path / "mine.parquet")
    session = imported(tmp_path, tmp_path / "mine.parquet", "--columns", COLUMNS, "--symbol", "BTCUSDT")
    bars = market_rows(session)
    bars = bars[bars[:, r.TYPE] == r.BAR]
    assert instruments(session)["BTCUSDT"].price_scale == 5
    assert bars[:, r.BAR_OPEN :].tolist() == [[10001000, 10100000, 9900000, 10000000, 50], [10000, 30000, 1, 20000, 7]]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("", "the columns of a table are not known"),
        ("start=when:ms,open=o,high=h,low=l,close=c", "seconds=60"),
        ("time=when:ms,price=gone", "no column 'gone'"),
        ("time=when:ms,price=o,shoe=h", "no field 'shoe'"),
        ("price=o", "needs a time"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, columns: str, said: str) -> None:
    (tmp_path / "mine.csv").write_text(f"{HEADER}\n1,2,3,4,5,6,7\n")
    words = ["import", tmp_path / "mine.csv", "--format", "table", "--columns", columns, "--symbol", "A"]
    answered = verbatim(*words, "--journals", tmp_path, code=3)
    assert said in answered
    assert "What to do" in answered


# ---- one market of several tables ----------------------------------------------------------------------


def test_trades_count_before_bars_and_short_bars_before_long_ones(tmp_path: Path) -> None:
    write_klines(tmp_path / "BTCUSDT-1m.csv", [BAR, BAR])
    hour = f"{START_MS},{','.join(BAR)},{START_MS + 3_600_000 - 1},0,1,0,0,0"
    (tmp_path / "BTCUSDT-1h.csv").write_text(f"{hour}\n")
    session = imported(tmp_path, tmp_path / "BTCUSDT-1m.csv", tmp_path / "BTCUSDT-1h.csv")
    assert instruments(session)["BTCUSDT"].trade_stream == "klines.60"
    assert market_rows(session)[:, r.TYPE].tolist().count(r.RETOLD) == 1


def test_two_symbols_of_bars_are_one_market_and_each_fills_at_its_own_open(tmp_path: Path) -> None:
    write_klines(tmp_path / "AUSDT-1m.csv", [BAR] * 3 + [("7.00", "7.50", "6.50", "7.10", "50.0")] * 3)
    write_klines(tmp_path / "BUSDT-1m.csv", [BAR] * 6)
    session = imported(tmp_path, tmp_path / "AUSDT-1m.csv", tmp_path / "BUSDT-1m.csv")
    tested = backtest(session, "at_bars.py:FirstAtBars", "--model", "half_spread=0", orders="2 BUY 1 MARKET")
    assert fills(tested) == [(3.0, "BUY", "7", "1")]


# ---- trades alone, quotes alone ------------------------------------------------------------------------


def trades(path: Path, *prices: str, size: str = "0.50") -> Path:
    """Write a trade a second, with the header that futures' archives have."""
    rows = [f"{n + 1},{price},{size},1,{START_MS + n * 1000},true" for n, price in enumerate(prices)]
    path.write_text("\n".join(["id,price,qty,quote_qty,time,is_buyer_maker", *rows, ""]))
    return path


def test_trades_alone_trade_at_their_price_and_half_a_spread(tmp_path: Path) -> None:
    session = imported(tmp_path, trades(tmp_path / "XUSDT-trades.csv", *["100.00"] * 5, *["100.05"] * 5))
    assert instruments(session)["XUSDT"].contract == "PERPETUAL", "a table of futures has a header"
    model = ("--model", "half_spread=0.001")
    tested = backtest(session, "first_quote.py:Rests", *model, at_market="true", size="0.20")
    ((_, side, price, quantity),) = fills(tested)
    assert (side, price, quantity) == ("BUY", "100.16", "0.2"), "100.05 * 1.001 = 100.15005, up to a tick"
    resting = (*model, "--set", "strategy.first_quote.size=0.80")
    assert fills(backtest(session, "first_quote.py:Rests", *resting)) == [], "no trade was below its bid"


def test_a_limit_order_on_trades_alone_fills_by_trades_beyond_it(tmp_path: Path) -> None:
    prices = [*["100.00"] * 5, "100.05", "100.03", "100.02", "100.02", "100.00"]
    session = imported(tmp_path, trades(tmp_path / "XUSDT-trades.csv", *prices))
    tested = backtest(session, "first_quote.py:Rests", "--model", "half_spread=0.0001", size="0.80")
    found = fills(tested)  # it rests at 100.03, which the next trade touches
    assert [(price, quantity) for _, _, price, quantity in found] == [("100.03", "0.5"), ("100.03", "0.3")]


def test_quotes_alone_trade_at_the_quote(tmp_path: Path) -> None:
    quotes = [f"{n},99.90,0.5{n},100.10,0.50,{START_MS + n * 1000},{START_MS + n * 1000}" for n in range(1, 9)]
    header = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time"
    (tmp_path / "XUSDT-bookTicker-2024.csv").write_text("\n".join([header, *quotes, ""]))
    session = imported(tmp_path, tmp_path / "XUSDT-bookTicker-2024.csv")
    assert instruments(session)["XUSDT"].half_spread_ppm == -1, "the quotes are the source's own"
    tested = backtest(session, "first_quote.py:Rests", at_market="true", size="0.40")
    assert [(price, quantity) for _, _, price, quantity in fills(tested)] == [("100.1", "0.4")]


def test_ticks_of_lean_trade(shared_data: Path, tmp_path: Path) -> None:
    ticks = shared_data / "days" / "us-equity"
    session = imported(tmp_path, ticks / "tick_ibm_20131007_trade.zip")
    ibm = instruments(session)["IBM"]
    assert (ibm.quote, ibm.price_scale, ibm.lot_size) == ("USD", 4, 1)
    words = ["backtest", session, "--strategy", f"{Path(__file__).parent / 'strategies/first_quote.py'}:Rests"]
    summary = json.loads(verbatim(*words, "--set", "strategy.first_quote.at_market=true", "--set", "strategy.first_quote.size=10",
                                  "--balance", "USD=100000", "--no-journal", "--json"))  # fmt: skip
    assert summary["resimulated"]["filled_quantity"] == "10"


# ---- dirt ----------------------------------------------------------------------------------------------


def test_dirt_costs_only_itself_and_is_recorded_at_its_place(tmp_path: Path) -> None:
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
    lines = [b"\xef\xbb\xbf" + header.encode(), kline(0, BAR).encode(), b"", b"\0" * 512 + kline(1, BAR).encode()]
    lines += [b"\0" * 64, header.encode(), kline(2, BAR).encode(), b""]
    (tmp_path / "BTCUSDT-1m.csv.xz").write_bytes(lzma.compress(b"\n".join(lines)))
    ended = CliRunner().invoke(main, ["import", str(tmp_path / "BTCUSDT-1m.csv.xz"), "--into", str(tmp_path / "s")])
    assert ended.exit_code == 0, ended.output
    assert "left out: 5 lines" in ended.stderr
    records = list(Journal.open(tmp_path / "s").records())
    assert [record.kind for record in records].count(Kind.FEED) == 3
    gaps = [json.loads(record.body or "") for record in records if record.kind is Kind.LINK]
    assert [gap["text"] for gap in gaps if gap["state"] == "gap"] == [
        "line 1: a byte order mark",
        "line 3: an empty line, and 1 more before the next row",
        "line 5: a block of NUL bytes, and 1 more before the next row",
    ]
    assert len(market_rows(tmp_path / "s")) == 9


def test_tables_that_are_no_market_are_kept(tmp_path: Path) -> None:
    for name, header, row in (
        ("BTCUSDT-metrics-2024.csv", "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio", "2024-01-01 00:05:00,BTCUSDT,81000.1,3.4e9,1.1,,1.2,0.9"),
        ("BTCUSDT-fundingRate-2024.csv", "calc_time,funding_interval_hours,last_funding_rate", "1704067200000,8,0.00037409"),
        ("BTCUSDT-bookDepth-2024.csv", "timestamp,percentage,depth,notional", "2024-01-01 00:00:09,-5,5765.7,238934.1"),
    ):  # fmt: skip
        (tmp_path / name).write_text(f"{header}\n{row}\n")
        session = imported(tmp_path / name.partition(".")[0], tmp_path / name)
        (record,) = Journal.open(session).records(kinds=(Kind.FEED,))
        assert record.payload == row.encode()
        assert read_markets(Journal.open(session)) == []
