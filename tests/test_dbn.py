"""Databento's DBN: files made by Databento's encoder are the market, and trade."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import databento_dbn as dbn
import pyarrow as pa
import pytest
from bar_files import START_MS, backtest, imported, verbatim
from click.testing import CliRunner
from test_foreign_tables import folded
from test_tables import instruments, market_rows

from engine.market import rows as r
from journal.reader import Journal
from journal.record import plain
from replay.replay import replay_session
from verbatim import open as open_session
from verbatim.cli import main

START_NS = START_MS * 1_000_000
SECOND_NS = 1_000_000_000
ES = 5602


def units(price: str) -> int:
    return int(float(price) * 100) * 10_000_000


def metadata(schema: dbn.Schema, dataset: str = "GLBX.MDP3") -> bytes:
    spans = [SimpleNamespace(start_date=dt.date(2024, 1, 1), end_date=dt.date(2024, 2, 1), symbol=str(ES))]
    mappings: Any = [SimpleNamespace(raw_symbol="ESH4", intervals=spans)]
    return bytes(
        dbn.Metadata(
            dataset, START_NS, dbn.SType.RAW_SYMBOL, dbn.SType.INSTRUMENT_ID, schema, symbols=["ESH4"],
            mappings=mappings,
        )
    )  # fmt: skip


def write(path: Path, schema: dbn.Schema, records: Iterable[Any], dataset: str = "GLBX.MDP3") -> Path:
    data = metadata(schema, dataset) + b"".join(map(bytes, records))
    path.write_bytes(pa.compress(data, "zstd", asbytes=True) if path.suffix == ".zst" else data)
    return path


def fields(second: float, *, action: dbn.Action = dbn.Action.ADD, side: dbn.Side = dbn.Side.NONE, price: str = "0",
           size: int = 0) -> dict[str, Any]:  # fmt: skip
    ns = START_NS + int(second * SECOND_NS)
    return {
        "publisher_id": 1, "instrument_id": ES, "ts_event": ns - 1_000, "price": units(price), "size": size,
        "action": action, "side": side, "depth": 0, "ts_recv": ns, "flags": dbn.F_LAST,
    }  # fmt: skip


def sold(second: float, price: str, size: int) -> dict[str, Any]:
    return fields(second, action=dbn.Action.TRADE, side=dbn.Side.ASK, price=price, size=size)


def pair(bid: str, bid_size: int, ask: str, ask_size: int) -> dbn.BidAskPair:
    return dbn.BidAskPair(units(bid), units(ask), bid_size, ask_size, 1, 1)


def top(bid: str, ask: str, **record: Any) -> dbn.MBP1Msg:
    return dbn.MBP1Msg(**record, levels=pair(bid, 5, ask, 5))  # type: ignore[arg-type]  # its own stub is wrong


def bought(session: Path, *options: str, **parameters: object) -> list[tuple[str, str, str]]:
    tested = backtest(session, "first_quote.py:Rests", "--balance", "USD=1000000", *options, **parameters)
    assert replay_session(tested).identical
    return [(row["side"], plain(row["price"]), plain(row["quantity"])) for row in open_session(tested).fills.rows()]


def test_trades_are_trades_with_the_side_of_the_taker(tmp_path: Path) -> None:
    records = [dbn.TradeMsg(**sold(1, "4800.25", 2)), dbn.TradeMsg(**sold(2, "4800.50", 3) | {"side": dbn.Side.BID})]
    session = imported(tmp_path, write(tmp_path / "t.dbn.zst", dbn.Schema.TRADES, records))
    found = market_rows(session)
    trades = found[found[:, r.TYPE] == r.TRADE]
    assert trades[:, [r.TIME_NS, r.TRADE_PRICE, r.TRADE_SIZE, r.TRADE_BUYER_IS_MAKER]].tolist() == [
        [START_NS + SECOND_NS, 480025, 2, 1],
        [START_NS + 2 * SECOND_NS, 480050, 3, 0],
    ]
    future = instruments(session)["ESH4"]
    assert (future.contract, future.margin, str(future.tick_size), str(future.lot_size)) == (
        "PERPETUAL",
        "USD",
        "0.01",
        "1",
    )


def test_mbp_1_is_quotes_and_trades_and_an_order_fills(tmp_path: Path) -> None:
    records = [top(f"4800.{n:02}", "4801.00", **fields(n)) for n in range(1, 5)]
    records += [top("4800.04", "4801.00", **sold(5, "4800.00", 4)), top("4800.03", "4801.00", **fields(6))]
    session = imported(tmp_path, write(tmp_path / "q.dbn", dbn.Schema.MBP_1, records))
    assert market_rows(session)[:, r.TYPE].tolist() == [r.QUOTE] * 4 + [r.TRADE, r.QUOTE, r.QUOTE]
    assert instruments(session)["ESH4"].half_spread_ppm == -1
    assert bought(session, at_market="true", size="1") == [("BUY", "4801", "1")]
    assert bought(session, size="3") == [("BUY", "4800.02", "3")], "a trade below it"


def test_tbbo_states_the_quote_before_its_trade(tmp_path: Path) -> None:
    session = imported(
        tmp_path, write(tmp_path / "t.dbn", dbn.Schema.TBBO, [top("99.99", "100.01", **sold(1, "99.99", 1))])
    )
    assert market_rows(session)[:, r.TYPE].tolist() == [r.QUOTE, r.TRADE]


def test_mbp_10_is_a_book_whose_levels_come_and_go(tmp_path: Path) -> None:
    def ten(best: int, **record: Any) -> dbn.MBP10Msg:
        ladder = [pair(f"{best - n}.00", 10 + n, f"{best + 1 + n}.00", 20 + n) for n in range(10)]
        return dbn.MBP10Msg(**record, levels=ladder)

    records = [
        ten(100, **fields(1)),
        ten(101, **fields(2) | {"flags": 0}),
        ten(102, **fields(3)),
        ten(102, **fields(4)),
    ]
    session = imported(tmp_path, write(tmp_path / "b.dbn", dbn.Schema.MBP_10, records, "XNAS.ITCH"))
    market = folded(session)
    top_of_book = market.book_top(0, 20)
    assert top_of_book is not None
    assert [(int(price), int(size)) for price, size in top_of_book.bids] == [(102 - n, 10 + n) for n in range(10)]
    assert [(int(price), int(size)) for price, size in top_of_book.asks] == [(103 + n, 20 + n) for n in range(10)]
    assert len(list(Journal.open(session).records())) == 3, (
        "the middle of an event and an unchanged book are no message"
    )
    assert (instruments(session)["ESH4"].contract, instruments(session)["ESH4"].quote) == ("", "USD")


def test_bars_are_known_at_their_end(tmp_path: Path) -> None:
    bars = [
        dbn.OHLCVMsg(dbn.RType.OHLCV_1M, 1, ES, START_NS + n * 60 * SECOND_NS, *map(units, prices), 90)
        for n, prices in enumerate(
            [("100", "102", "99", "101"), ("101", "103", "100", "102"), ("103", "104", "101", "102")]
        )
    ]
    session = imported(tmp_path, write(tmp_path / "o.dbn", dbn.Schema.OHLCV_1M, bars))
    found = market_rows(session)
    ends = found[found[:, r.TYPE] == r.BAR_END]
    assert ends[:, r.BAR_END_NS].tolist() == [START_NS + n * 60 * SECOND_NS for n in (1, 2, 3)]
    assert bought(session, "--model", "half_spread=0", at_market="true", size="2") == [("BUY", "103", "2")]


@pytest.mark.parametrize("cut", [0, 7])
def test_other_files_are_refused_and_cut_ones_named(tmp_path: Path, cut: int) -> None:
    path = write(
        tmp_path / "t.dbn", dbn.Schema.TRADES if cut else dbn.Schema.MBO, [dbn.TradeMsg(**sold(1, "1.00", 1))] * 2
    )
    path.write_bytes(path.read_bytes()[: -cut or None])
    ended = CliRunner().invoke(main, ["import", str(path), "--into", str(tmp_path / "s")])
    assert ended.exit_code != 0
    assert (
        "line 2: the last record is truncated" if cut else "has the schema mbo, which holds no market"
    ) in ended.stderr
    if cut:
        verbatim("import", path, "--partial", "--into", tmp_path / "s")
        assert len(market_rows(tmp_path / "s")) == 2
