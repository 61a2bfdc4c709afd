"""Any capture trades: metadata over the whole file, one reading of a trade, exact numbers of any size, or one line why not."""

import json
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from capture_lines import Event, aggregate, as_future, calm, depth, opening, quote, snapshot, trade, write
from click.testing import CliRunner

from analysis.market_rows import SessionRows
from engine.live.venue_main import VenueStartError, read_capture
from engine.market.rows import TRADE
from journal.reader import Journal
from journal.record import Kind, Record
from journal.segments import SealedSegment
from journal.writer import JournalWriter
from replay.rebuild import rebuild
from replay.replay import replay_session
from verbatim.cli import main

STRATEGY = Path(__file__).resolve().parent / "strategies" / "first_quote.py"
BAD_INPUT = 3


def verbatim(*words: object, code: int = 0) -> str:
    ended = CliRunner().invoke(main, [str(word) for word in words])
    assert ended.exit_code == code, ended.output
    return ended.stderr if code else ended.stdout


def imported(folder: Path, *files: Path) -> Path:
    verbatim("import", *files, "--into", folder / "session")
    return folder / "session"


def captured(folder: Path, events: Iterable[Event], **form: Any) -> Path:
    return imported(folder, write(folder / "capture.gz", events, **form))


def traded(session: Path, *options: str, strategy: str = "Rests") -> dict[str, Any]:
    """Return the summary of a backtest with money enough."""
    words = ["--no-journal", "--json", "--balance", "USDT=1000000", *options]
    summary: dict[str, Any] = json.loads(verbatim("backtest", session, "--strategy", f"{STRATEGY}:{strategy}", *words))
    return summary


def filled(summary: dict[str, Any]) -> str:
    return str(summary["resimulated"]["filled_quantity"])


def refused(session: Path, *options: str, strategy: str = "Rests") -> str:
    words = ["--no-journal", "--balance", "USDT=1000000", *options]
    said = verbatim("backtest", session, "--strategy", f"{STRATEGY}:{strategy}", *words, code=BAD_INPUT)
    assert said.count("\n") == 1
    return said


def count_trades(session: Path) -> int:
    rows = json.loads(verbatim("sql", session, "select count(*) as n, sum(quantity) as q from trades", "--json"))
    return int(rows[0]["n"])


# ---- one reading of a trade ----------------------------------------------------------------------------


def test_aggregate_trades_of_spot_fill_a_resting_order_and_are_in_sql(tmp_path: Path) -> None:
    sold = [aggregate("BTCUSDT", number, "100.00", "0.60000000") for number in range(1, 4)]
    session = captured(tmp_path, [*opening(), *islice(calm(), 10), *sold, *islice(calm(first_id=200), 4)])
    assert filled(traded(session)) == "0.8"  # 1.8 were sold, 1 was before it
    assert count_trades(session) == len(sold)


def test_a_trade_told_by_both_streams_counts_once(tmp_path: Path) -> None:
    told = []
    for number in range(1, 4):
        told.append(trade("BTCUSDT", 7_000 + number, "100.00", "0.60000000"))
        told.append(aggregate("BTCUSDT", number, "100.00", "0.60000000", first=7_000 + number))
    session = captured(tmp_path, [*opening(), *islice(calm(), 10), *told, *islice(calm(first_id=200), 4)])
    assert filled(traded(session)) == "0.8"
    assert count_trades(session) == len(told) / 2


def test_where_the_stream_of_single_trades_is_a_part_the_aggregates_count(tmp_path: Path) -> None:
    sold = [aggregate("BTCUSDT", number, "100.00", "0.60000000") for number in range(1, 4)]
    session = captured(
        tmp_path,
        [
            *opening(),
            *islice(calm(), 10),
            trade("BTCUSDT", 9, "100.00", "0.60000000"),
            *sold,
            *islice(calm(first_id=200), 4),
        ],
    )
    assert filled(traded(session)) == "0.8"
    assert count_trades(session) == len(sold)


def test_a_trade_received_twice_fills_nothing_twice(tmp_path: Path) -> None:
    sold = trade("BTCUSDT", 7, "100.00", "0.60000000")
    session = captured(tmp_path, [*opening(), *islice(calm(), 10), sold, sold, *islice(calm(first_id=200), 4)])
    assert filled(traded(session)) == "0"  # 0.6 were sold, 1 was before it
    assert count_trades(session) == 1


class CountedReads(Journal):
    reads = 0

    def segment_at(self, seq: int) -> tuple[int, int, SealedSegment | None]:
        self.reads += 1
        return super().segment_at(seq)


def test_trades_are_found_from_the_middle_of_a_journal_that_is_being_written(tmp_path: Path) -> None:
    """A segment that is open is read once, although an instrument without a trade makes the search go back."""
    events = [*opening(), *opening("ETHUSDT", 900_101), *(trade("BTCUSDT", n, "100.00", "1.0") for n in range(1, 41))]
    writer = JournalWriter.create(tmp_path / "open", sync=False, segment_bytes=2**40)
    writer.append_step([Record(0, 0, Kind.SESSION, "shell", body='{"session":"opened12"}')])
    for seq, event in enumerate(events, 1):
        writer.append_step(
            [Record(seq, seq, Kind.FEED, "binance_spot.market.0", cause=0, payload=json.dumps(event).encode())]
        )
    writer.wait_durable(len(events), 60)
    journal = CountedReads(tmp_path / "open")
    rows = SessionRows(journal)
    later, all_trades = np.arange(30, len(events) + 1), np.arange(1, len(events) + 1)
    assert len(rows.rows_of(later, TRADE)[0]) == len(later)
    assert len(rows.rows_of(all_trades, TRADE)[0]) == 40
    assert journal.reads == 1
    writer.abandon()


# ---- the whole file is read --------------------------------------------------------------------------------


def test_the_finest_price_may_be_the_last_one(tmp_path: Path) -> None:
    late = [depth("BTCUSDT", 4_603, "99.98765432", "100.01", "0.00000001")]
    session = captured(tmp_path, [*opening(), *islice(calm(), 9_000), *late], every_ns=1_000_000)
    summary = traded(session, "--set", "strategy.first_quote.at_market=true")
    assert filled(summary) == "1"
    assert summary["resimulated"]["shares"]["last"] == "running"
    assert summary["inferred"] == [
        "BTCUSDT: no metadata in the capture; read off its messages: BTC/USDT, tick 0.00000001, lot 0.00000001"
    ]


def test_a_snapshot_may_be_finer_than_every_stream_message(tmp_path: Path) -> None:
    first, _, *rest = opening()
    fine = {"lastUpdateId": 101, "bids": [["100.00", "1.0"], ["99.12345", "3.00007"]], "asks": [["100.01", "1.00001"]]}
    session = captured(tmp_path, [first, fine, *rest, *islice(calm(), 10)])
    assert filled(traded(session, "--set", "strategy.first_quote.at_market=true")) == "1"


def test_frames_without_an_envelope(tmp_path: Path) -> None:
    session = captured(tmp_path, [*opening(), *islice(calm(), 10)], bare=True)
    assert filled(traded(session, "--set", "strategy.first_quote.at_market=true")) == "1"


def test_a_symbol_of_another_script(tmp_path: Path) -> None:
    name = "币安人生USDT"
    session = captured(tmp_path, [*opening(name), *islice(calm(name), 10)])
    assert filled(traded(session, "--set", "strategy.first_quote.at_market=true")) == "1"
    found = json.loads(verbatim("sql", session, "select distinct instrument from quotes", "--json"))
    assert found == [{"instrument": f"binance_spot:{name}"}]


def test_an_unknown_quote_asset_is_asked_for(tmp_path: Path) -> None:
    session = captured(tmp_path, [*opening("BTCQQQ"), *islice(calm("BTCQQQ"), 10)])
    assert "--quote-asset BTCQQQ=USDT" in refused(session)
    named = ("--quote-asset", "BTCQQQ=QQQ", "--balance", "QQQ=1000", "--set", "strategy.first_quote.at_market=true")
    assert filled(traded(session, *named)) == "1"


def test_the_capture_s_own_metadata_counts(tmp_path: Path) -> None:
    symbol = {
        "symbol": "BTCQQQ", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "QQQ",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.50", "maxQty": "9000.00", "stepSize": "0.50"},
        ],
    }  # fmt: skip
    info = {"timezone": "UTC", "serverTime": 1, "rateLimits": [], "exchangeFilters": [], "symbols": [symbol]}
    session = captured(tmp_path, [info, *opening("BTCQQQ"), *islice(calm("BTCQQQ"), 10)])
    money = ("--balance", "QQQ=1000", "--set", "strategy.first_quote.at_market=true")
    summary = traded(session, *money)
    assert filled(summary) == "1"
    assert summary["inferred"] == []
    off_lot = traded(session, *money, "--set", "strategy.first_quote.size=0.7")
    assert off_lot["resimulated"]["refused"] == 1


def test_a_capture_of_diffs_alone_has_the_best_levels_as_quotes(tmp_path: Path) -> None:
    events = [event for event in [*opening(), *islice(calm(), 10)] if "B" not in event]
    dearer = [depth("BTCUSDT", 110, "100.00", "100.02"), depth("BTCUSDT", 111, "100.00", "100.02")]
    later = ("--set", "strategy.first_quote.at_market=true", "--set", "strategy.first_quote.below=100.015")
    session = captured(tmp_path, [*events, *dearer])
    summary = traded(session, *later)
    assert filled(summary) == "1"
    assert "BTCUSDT: no quotes; its book's best levels count" in summary["inferred"]
    words = ["backtest", session, "--strategy", f"{STRATEGY}:Rests", "--balance", "USDT=1000000", *later]
    verbatim(*words, "--into", tmp_path / "r")
    assert replay_session(tmp_path / "r").identical
    _, state, _ = rebuild(tmp_path / "r")
    last = state.market.quote(0)
    assert last is not None
    assert (str(last.bid), str(last.ask), str(last.bid_size)) == ("100", "100.01", "1")


def test_lost_messages_of_a_capture_are_in_the_report(tmp_path: Path) -> None:
    """Diffs 110 to 119 and trades 2 to 4 were not captured."""
    sold = [trade("BTCUSDT", number, "100.00", "0.10000000") for number in (1, 5, 6)]
    events = [*opening(), *islice(calm(), 8), *sold, *islice(calm(first_id=120), 8)]
    session = captured(tmp_path, events)
    assert traded(session)["resimulated"]["gaps"] == {"binance_spot:BTCUSDT depth": 1, "binance_spot:BTCUSDT trade": 1}
    words = ["backtest", session, "--strategy", f"{STRATEGY}:Rests", "--no-journal", "--balance", "USDT=1000000"]
    line = "messages of the market are missing: binance_spot:BTCUSDT depth 1 time, binance_spot:BTCUSDT trade 1 time"
    assert line in verbatim(*words)


# ---- several symbols -----------------------------------------------------------------------------------


def two_symbols() -> list[Event]:
    btc = [*opening("BTCUSDT"), *islice(calm("BTCUSDT"), 12)]
    eth = [*opening("ETHUSDT", 900_101, "99.90", "99.91"), *islice(calm("ETHUSDT", 900_103, "99.90", "99.91"), 12)]
    return [event for pair in zip(btc, eth, strict=True) for event in pair]


def test_each_symbol_of_one_file_has_its_own_snapshot(tmp_path: Path) -> None:
    """Prices as near as these do not show the symbol of a snapshot: its update id does."""
    session = captured(tmp_path, two_symbols())
    summary = traded(session, "--set", "strategy.first_quote.at_market=true", strategy="RestsEth")
    assert filled(summary) == "1"


def test_each_symbol_of_two_files_has_its_own_snapshot(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{name}.gz", [event for event in two_symbols() if keep(event)])
        for name, keep in (
            ("btc", lambda event: event.get("s", "BTCUSDT") == "BTCUSDT" and event.get("lastUpdateId", 0) < 900_000),
            (
                "eth",
                lambda event: event.get("s", "ETHUSDT") == "ETHUSDT" and event.get("lastUpdateId", 900_000) >= 900_000,
            ),
        )
    ]
    session = imported(tmp_path, *files)
    assert filled(traded(session, "--set", "strategy.first_quote.at_market=true", strategy="RestsEth")) == "1"


def test_files_of_two_markets_are_refused_by_name(tmp_path: Path) -> None:
    future = depth("BTCUSDT", 101, "100.00", "100.01") | {"pu": 100, "T": 1}
    files = write(tmp_path / "spot.gz", opening()), write(tmp_path / "perpetual.gz", [future])
    said = refused(imported(tmp_path, *files))
    assert re.search(r"several markets.*binance_spot in import\.spot.*paper_usdm in import\.perpetual", said)


def test_a_snapshot_of_futures_whose_ids_are_shared_belongs_to_the_symbol_with_its_price(tmp_path: Path) -> None:
    """USD-M numbers the updates of all symbols in one sequence."""
    btc = [*opening("BTCUSDT", 101, "60000.0", "60000.1"), *islice(calm("BTCUSDT", 103, "60000.0", "60000.1"), 12)]
    eth = [*opening("ETHUSDT", 100, "99.90", "99.91"), *islice(calm("ETHUSDT", 102, "99.90", "99.91"), 12)]
    both = [as_future(event) for pair in zip(btc, eth, strict=True) for event in pair]
    summary = traded(captured(tmp_path, both), "--set", "strategy.first_quote.at_market=true", strategy="RestsEth")
    assert filled(summary) == "1"


def test_the_snapshot_of_a_symbol_with_another_grid_is_its_own(tmp_path: Path) -> None:
    coarse = [*opening("BTCUSDT", 3_000_101), *islice(calm("BTCUSDT", 3_000_103), 12)]
    at = ("0.00000060", "0.00000061")
    fine = [*opening("ETHUSDT", 5_000_101, *at), *islice(calm("ETHUSDT", 5_000_103, *at), 12)]
    both = [event for pair in zip(coarse, fine, strict=True) for event in pair]
    summary = traded(captured(tmp_path, both), "--set", "strategy.first_quote.at_market=true", strategy="RestsEth")
    assert filled(summary) == "1"


def test_a_file_of_aggregate_trades_belongs_to_the_market_of_its_symbol(tmp_path: Path) -> None:
    book = [as_future(event) for event in [*opening(), *islice(calm(), 10)]]
    sold = [as_future(aggregate("BTCUSDT", number, "100.00", "0.60000000")) for number in range(1, 4)]
    late = [as_future(depth("BTCUSDT", 90, "", "")) for _ in range(14)]  # old diffs, which take the times of the book
    files = write(tmp_path / "book.gz", book), write(tmp_path / "trades.gz", [*late, *sold])
    assert filled(traded(imported(tmp_path, *files))) == "0.8"


def test_two_markets_in_one_file_are_refused(tmp_path: Path) -> None:
    future = as_future(depth("ETHUSDT", 101, "100.00", "100.01"))
    assert "several markets" in refused(captured(tmp_path, [*opening(), future]))


def test_contracts_without_their_margin_asset_are_refused(tmp_path: Path) -> None:
    session = captured(tmp_path, [as_future(event) for event in [*opening(), *islice(calm(), 10)]])
    words = ["backtest", session, "--strategy", f"{STRATEGY}:Rests", "--no-journal", "--balance", "BTC=1"]
    assert "needs USDT, in which its contracts settle" in verbatim(*words, code=BAD_INPUT)


# ---- a numbering that begins again ---------------------------------------------------------------------


def test_after_a_restart_of_ids_nothing_is_filled_from_the_old_book(tmp_path: Path) -> None:
    before = [*opening(), *islice(calm(), 6)]
    after = list(islice(calm("BTCUSDT", 2, "90.00", "90.01"), 20))
    again = [snapshot(11, "90.00", "90.01"), *islice(calm("BTCUSDT", 12, "90.00", "90.01"), 20)]
    session = captured(tmp_path, [*before, *after, *again], every_ns=1_500_000_000)
    later = ("--set", "strategy.first_quote.at_market=true", "--set", "strategy.first_quote.below=95")
    words = ["backtest", session, "--strategy", f"{STRATEGY}:Rests", "--balance", "USDT=1000000", *later]
    verbatim(*words, "--into", tmp_path / "r")
    bought = json.loads(verbatim("sql", tmp_path / "r", "select price, quantity from fills", "--json"))
    assert [row["price"] for row in bought] == ["90.01"]


# ---- spellings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    ['{"stream": "STREAM", "data": DATA}', '{"data":DATA,"stream":"STREAM"}', '{"stream":"STREAM","data":DATA} '],
)
def test_envelopes_of_another_spelling(tmp_path: Path, spelling: str) -> None:
    session = captured(tmp_path, [*opening(), *islice(calm(), 10)], spelling=spelling)
    assert filled(traded(session, "--set", "strategy.first_quote.at_market=true")) == "1"


# ---- numbers of any size -------------------------------------------------------------------------------


def large(size: str) -> list[Event]:
    """Return a market with one large level at the bid, and trades of 3,000,000 at it."""
    at = ("0.00000060", "0.00000061")
    events = [
        depth("PEPEUSDT", 101, "", ""), snapshot(101, *at, size), depth("PEPEUSDT", 102, *at, size),
        quote("PEPEUSDT", 102, *at, size),
    ]  # fmt: skip
    for index in range(103, 110):
        events += [depth("PEPEUSDT", index, *at, size), quote("PEPEUSDT", index, *at, size)]
    return [*events, *(trade("PEPEUSDT", index, at[0], "3000000.00000000") for index in range(1, 6))]


@pytest.mark.parametrize("size", ["31234567890.00000000", "46116860185.00000000", "92233720367.00000000"])
def test_a_large_level_before_an_order_is_counted_exactly(tmp_path: Path, size: str) -> None:
    summary = traded(captured(tmp_path, large(size)), "--set", "strategy.first_quote.size=3000000")
    assert summary["resimulated"]["placed"] == 1
    assert filled(summary) == "0"


@pytest.mark.parametrize("size", ["92233720369.00000000", "150000000000.00000000", "1000000000000000.00"])
def test_a_level_too_large_to_count_is_refused_by_name(tmp_path: Path, size: str) -> None:
    assert re.search(r"cannot be traded: PEPEUSDT: .*counts exactly", refused(captured(tmp_path, large(size))))


def test_more_decimals_than_the_venue_counts_are_refused_by_name(tmp_path: Path) -> None:
    fine = [*opening(bid="100.000000001"), *islice(calm(bid="100.000000001"), 10)]
    assert "BTCUSDT: more than 8 decimal places" in refused(captured(tmp_path, fine))


def test_a_large_symbol_beside_others_is_left_out_and_said(tmp_path: Path) -> None:
    both = [*large("150000000000.00000000"), *opening("ETHUSDT", 900_101), *islice(calm("ETHUSDT", 900_103), 12)]
    session = captured(tmp_path, both)
    summary = traded(session, "--set", "strategy.first_quote.at_market=true", strategy="RestsEth")
    assert filled(summary) == "1"
    [line] = summary["resimulated"]["lines"].values()
    assert abs(float(line["unrealised_pnl"])) < 1  # bought at its own ask, not at the left-out symbol's
    assert [note for note in summary["inferred"] if note.startswith("left out: PEPEUSDT: ")]


def test_the_simulated_venue_refuses_to_play_numbers_that_it_cannot_count(tmp_path: Path) -> None:
    """Before it serves: a process that ends in the middle of a capture leaves its clients without a reason."""
    fits = write(tmp_path / "fits.gz", large("92233720367.00000000"))
    assert read_capture(fits).symbols == ("PEPEUSDT",)
    for name, events, reason in (
        (
            "size",
            large("150000000000.00000000"),
            r"PEPEUSDT: .* a size up to 150,000,000,000 is more than the simulated",
        ),
        ("places", opening(bid="100.000000001"), "BTCUSDT: more than 8 decimal places"),
    ):
        with pytest.raises(VenueStartError, match=f"{name}.gz cannot be played: {reason}"):
            read_capture(write(tmp_path / f"{name}.gz", events))
