"""Tables of Tardis, hftbacktest and LEAN: their books, trades, quotes and bars are the market."""

import gzip
import json
import zipfile
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from bar_files import START_MS, STRATEGIES, backtest, fills, imported, verbatim
from capture_lines import calm, opening
from test_tables import instruments, market_rows

from engine.market import rows as r
from engine.market.layout import B_STATE, BOOK_SYNCED
from engine.market.market_state import Market
from journal.reader import Journal
from journal.record import Kind
from replay.captured_market import read_markets

US = START_MS * 1000
FIRST = "exchange,symbol,timestamp,local_timestamp"


def folded(session: Path) -> Market:
    """Return the market after all rows of an import."""
    (market,) = read_markets(Journal.open(session))
    state = Market.empty(market.instruments)
    rows = market_rows(session)
    at = 0
    while at < len(rows):
        at = state.fold(rows, at)
    return state


# ---- Tardis --------------------------------------------------------------------------------------------


def tardis(folder: Path, name: str, columns: str, *rows: str) -> Path:
    path = folder / f"binance_{name}_2024-01-01_BTCUSDT.csv.gz"
    lines = [
        f"binance,BTCUSDT,{US + n * 1000 - 5},{US + int(row.split(':')[0]) * 1000},{row.split(':')[1]}"
        for n, row in enumerate(rows)
    ]
    path.write_bytes(gzip.compress("\n".join([f"{FIRST},{columns}", *lines, ""]).encode()))
    return path


def test_a_book_of_tardis_is_snapshot_and_diffs(tmp_path: Path) -> None:
    path = tardis(
        tmp_path, "incremental_book_L2", "is_snapshot,side,price,amount",
        "0:true,bid,100.0,1.5", "0:true,bid,99.5,2", "0:true,ask,100.5,3", "0:true,ask,101.0,1",
        "1:false,ask,100.5,0", "1:false,bid,100.2,0.25", "2:false,bid,99.5,4",
    )  # fmt: skip
    session = imported(tmp_path, path)
    kinds = market_rows(session)[:, r.TYPE].tolist()
    assert (kinds.count(r.SNAPSHOT), kinds.count(r.DIFF), kinds.count(r.LEVEL)) == (1, 2, 7)
    state = folded(session)
    assert state.t[0, B_STATE] == BOOK_SYNCED
    scaled = 10 ** instruments(session)["BTCUSDT"].price_scale
    tops = [state.levels(0, side)[0][0] for side in (r.BID, r.ASK)]
    assert [int(price) for price in tops] == [int(100.2 * scaled), 101 * scaled]
    found = json.loads(verbatim("sql", session, "select count(*) as n from records where kind = 'FEED'", "--json"))
    assert found == [{"n": 3}], "one message for each receive time"


def test_trades_and_quotes_of_tardis_trade(tmp_path: Path) -> None:
    quotes = tardis(tmp_path, "quotes", "ask_amount,ask_price,bid_price,bid_amount",
                    *[f"{n * 1000}:0.5,100.{n + 1},99.9,0.{n + 1}" for n in range(8)])  # fmt: skip
    trades = tardis(tmp_path, "trades", "id,side,price,amount",
                    *[f"{n * 1000 + 1}:{7 + n},{'sell' if n % 2 else 'buy'},100.0,0.1" for n in range(8)])  # fmt: skip
    session = imported(tmp_path, quotes, trades)
    rows = market_rows(session)
    printed = rows[rows[:, r.TYPE] == r.TRADE]
    assert printed[:, r.TRADE_ID].tolist() == list(range(7, 15))
    assert printed[:, r.TRADE_BUYER_IS_MAKER].tolist() == [0, 1] * 4
    ((_, side, price, _),) = fills(backtest(session, "first_quote.py:Rests", at_market="true", size="0.4"))
    assert (side, price[:4]) == ("BUY", "100.")


def test_orders_fill_by_the_book_of_tardis(tmp_path: Path) -> None:
    book = tardis(tmp_path, "incremental_book_L2", "is_snapshot,side,price,amount",
                  "0:true,bid,100.0,1.5", "0:true,ask,100.5,0.3", "0:true,ask,101.0,1",
                  *[f"{n * 1000}:false,bid,99.{n},1" for n in range(1, 9)])  # fmt: skip
    quotes = tardis(tmp_path, "quotes", "ask_amount,ask_price,bid_price,bid_amount",
                    *[f"{n * 1000}:0.3,100.5,100.0,1.{n}" for n in range(9)])  # fmt: skip
    session = imported(tmp_path, book, quotes)
    tested = backtest(session, "first_quote.py:Rests", "--model", "quotes=ignored", at_market="true", size="0.5")
    assert [(price, quantity) for _, _, price, quantity in fills(tested)] == [("100.5", "0.3"), ("101", "0.2")]


def test_ids_of_tardis_that_are_no_numbers_are_left_out(tmp_path: Path) -> None:
    path = tardis(tmp_path, "trades", "id,side,price,amount", *[f"{n}:a-{n},buy,100.0,0.1" for n in range(3)])
    rows = market_rows(imported(tmp_path, path))
    assert rows[rows[:, r.TYPE] == r.TRADE][:, r.TRADE_ID].tolist() == [-1] * 3


# ---- hftbacktest ---------------------------------------------------------------------------------------

EVENT = np.dtype([("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"), ("order_id", "u8"),
                  ("ival", "i8"), ("fval", "f8")])  # fmt: skip
LOCAL, BUY, SELL = 1 << 30, 1 << 29, 1 << 28


def test_arrays_of_hftbacktest_are_books_and_trades(tmp_path: Path) -> None:
    ns = START_MS * 1_000_000
    events = [
        (4 | LOCAL | BUY, 100.1, 2.0, 0), (4 | LOCAL | SELL, 100.2, 3.0, 0),
        (1 | LOCAL | SELL, 100.2, 1.5, 5), (2 | LOCAL | SELL, 100.1, 0.5, 6), (2 | BUY, 9.0, 9.0, 7),
    ]  # fmt: skip
    array = np.array([(ev, ns + at, ns + at, px, qty, 0, 0, 0.0) for ev, px, qty, at in events], EVENT)
    np.savez_compressed(tmp_path / "btcusdt.npz", data=array)
    session = imported(tmp_path, tmp_path / "btcusdt.npz", "--symbol", "BTCUSDT")
    rows = market_rows(session)
    assert [int(kind) for kind in rows[:, r.TYPE]] == [r.SNAPSHOT, r.LEVEL, r.LEVEL, r.DIFF, r.LEVEL, r.TRADE]
    assert rows[rows[:, r.TYPE] == r.TRADE][0, r.TRADE_BUYER_IS_MAKER] == 1
    assert instruments(session)["BTCUSDT"].price_scale == 1
    assert folded(session).t[0, B_STATE] == BOOK_SYNCED


def test_derivative_tickers_of_tardis_are_kept_beside_the_market(tmp_path: Path) -> None:
    columns = "funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price"
    row = f"binance-futures,BTCUSDT,{US},{US + 1},{US + 9},-0.0001,,80512.5,42000.1,42001.5,42000.9"
    (tmp_path / "t.csv").write_text(f"{FIRST},{columns}\n{row}\n")
    session = imported(tmp_path, tmp_path / "t.csv")
    (record,) = Journal.open(session).records(kinds=(Kind.FEED,))
    assert (record.payload, record.recv_ns) == (row.encode(), (US + 1) * 1000)
    assert read_markets(Journal.open(session)) == []


def test_raw_feeds_of_tardis_are_the_exchange_s_messages_and_trade(tmp_path: Path) -> None:
    """A generated snapshot is the book; an empty line is a lost connection."""
    first, deep, *rest = [*opening(), *islice(calm(), 20)]
    lines = []
    for number, event in enumerate([first, deep, *rest]):
        stream = "btcusdt@depth@100ms" if event.get("e") else "btcusdt@bookTicker"
        text = {"stream": stream, "data": event}
        if event is deep:
            text = {"stream": "btcusdt@depthSnapshot", "generated": True, "data": event}
        lines.append(f"2024-01-01T00:00:{number:02}.1234567Z {json.dumps(text, separators=(',', ':'))}")
    lines[12:12] = ["", ""]
    (tmp_path / "raw.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    session = imported(tmp_path, tmp_path / "raw.gz")
    records = list(Journal.open(session).records())[1:]
    assert [record.kind for record in records].count(Kind.LINK) == 1
    assert records[0].recv_ns == START_MS * 1_000_000 + 123_456_700
    assert json.loads(records[1].payload or b"") == deep
    assert json.loads(records[1].meta or "")["stream"] == "btcusdt@depthSnapshot"
    tested = backtest(session, "first_quote.py:Rests", at_market="true")
    assert [(side, price) for _, side, price, _ in fills(tested)] == [("BUY", "100.01")]


# ---- LEAN ----------------------------------------------------------------------------------------------


def lean(folder: Path, name: str, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as packed:
        packed.writestr(f"{name}.csv", "\n".join(lines))
    return folder / f"{name}.zip"


def test_minutes_of_lean_equities_have_new_yorks_clock_and_exact_prices(shared_data: Path, tmp_path: Path) -> None:
    session = imported(tmp_path, shared_data / "days" / "us-equity" / "minute_ibm_20131007_trade.zip")
    rows = market_rows(session)
    bars = rows[rows[:, r.TYPE] == r.BAR]
    ibm = instruments(session)["IBM"]
    assert (ibm.quote, ibm.price_scale) == ("USD", 4)
    assert (int(bars[-1, r.VENUE_NS]) - int(bars[0, r.VENUE_NS])) // 60_000_000_000 >= 389, "a day of 390 minutes"
    assert (bars[:, r.BAR_HIGH] >= bars[:, r.BAR_LOW]).all()


@pytest.mark.parametrize(
    ("path", "line", "kind", "start_ms"),
    [
        ("crypto/gdax/minute/btcusd/20180404_btcusd_minute_trade", "60000,7400.1,7401,7399,7400.5,1.25", r.BAR, 1522800060000),
        ("forex/oanda/minute/eurusd/20140501_eurusd_minute_quote", "60000,1.38,1.39,1.37,1.385,0,1.381,1.391,1.371,1.386,0", r.QUOTE, 0),
        ("equity/usa/daily/ibm", "20131007 00:00,1815200,1820000,1810000,1819000,3960352", r.BAR, 1381118400000),
    ],
)  # fmt: skip
def test_bars_of_lean_by_asset_class(tmp_path: Path, path: str, line: str, kind: int, start_ms: int) -> None:
    folder, _, name = path.rpartition("/")
    rows = market_rows(imported(tmp_path, lean(tmp_path / folder, name, line)))
    assert rows[0, r.TYPE] == kind
    if start_ms:
        assert rows[0, r.VENUE_NS] == start_ms * 1_000_000


def test_a_future_of_lean_is_its_contract_and_trades_on_margin(tmp_path: Path) -> None:
    """Files of several contracts differ in the month alone."""
    lines = [f"{60_000 * minute},1700.25,1701,1700,17{minute:02}.5,900" for minute in range(1, 6)]
    folder = tmp_path / "future/cme/minute/es"
    files = [lean(folder, f"20131007_es_minute_trade_{month}", *lines) for month in ("201312", "201403")]
    session = imported(tmp_path, *files)
    found = instruments(session)
    assert sorted(found) == ["ES_201312", "ES_201403"]
    future = found["ES_201312"]
    assert (future.quote, future.margin, future.contract, str(future.tick_size)) == ("USD", "USD", "PERPETUAL", "0.01")
    rows = market_rows(session)
    midnight_ns = 1_381_118_400_000_000_000  # by New York's clock
    assert rows[rows[:, r.TYPE] == r.BAR][0, r.VENUE_NS] == midnight_ns + 60_000_000_000
    (tmp_path / "es.py").write_text((STRATEGIES / "first_quote.py").read_text().replace('("*",)', '("ES_201312",)'))
    tested = backtest(
        session, f"{tmp_path / 'es.py'}:Rests", "--balance", "USD=100000", "--model", "half_spread=0", at_market="true"
    )
    assert [(side, price) for _, side, price, _ in fills(tested)] == [("BUY", "1700.25")]


def test_a_tick_of_lean_changes_one_side_and_the_other_stands(tmp_path: Path) -> None:
    """LEAN writes 0,0 for the side that a line does not change: an order would divide by it, or fill at 0."""
    path = tmp_path / "20131007_ibm_quote_tick.zip"
    lines = ["34200000,0,0,1836300,100,Q,1,0", "34200241,1800100,300,0,0,P,1,0", "34200300,0,0,1818000,3000,P,1,0"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("20131007_ibm_Quote_Tick.csv", "\n".join([*lines, ""]))
    session = imported(tmp_path, path)
    payloads = [record.payload for record in Journal.open(session).records(kinds=(Kind.FEED,))]
    assert payloads[0] == lines[0].encode(), "no quote stands: a line without a head is no part of the market"
    assert (payloads[1] or b"").endswith(f"\n{lines[1]},1800100,300,1836300,100".encode())
    found = json.loads(verbatim("sql", session, "select bid, bid_size, ask, ask_size from quotes", "--json"))
    assert [tuple(map(float, row.values())) for row in found] == [
        (180.01, 300, 183.63, 100),
        (180.01, 300, 181.8, 3000),
    ]
