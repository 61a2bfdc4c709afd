"""The public cases of market data, each with the test that shows its right value, and the tests that no other file has.

| case | what was wrong | test |
|---|---|---|
| aggtrade_not_in_sql | aggregate trades were in no view | test_any_capture: aggregate_trades_of_spot |
| aggtrade_spot_unread | they filled no order | test_any_capture: aggregate_trades_of_spot |
| bare_frames | frames without an envelope were refused | test_any_capture: frames_without_an_envelope |
| cryptofeed_exchangeinfo_breaks_resim | the capture's metadata broke the core | here: a_capture_with_its_own_metadata |
| depth_alone | a capture of diffs had no scales | test_any_capture: a_capture_of_diffs_alone |
| duplicate_trade_fills_twice | a repeated trade id filled again | test_any_capture: a_trade_received_twice |
| floor_overflow_fills | sizes wrapped beyond 2^63 | test_any_capture: a_large_level_before, a_level_too_large |
| futures_join_edge | the diff that ends at the snapshot was dropped | here: a_diff_that_ends_at_its_snapshot |
| halt_not_told | a halted backtest ended as any other | test_mode_shares: halt_not_told |
| quiet_market_invented_disconnects | silence was a lost link | test_freshness: quiet_market_invented_disconnects |
| quote_asset_unknown | ten quote assets were known | here: a_quote_asset_beyond_the_first_ten |
| size_over_90_million | sizes above 2^53 of the eighth decimal were refused | test_any_capture: a_large_level_before |
| two_symbols_never_trade | one snapshot was that of both symbols | test_any_capture: each_symbol_of_two_files |
| unicode_symbol | a symbol of another script was not read | test_any_capture: a_symbol_of_another_script |
"""

import json
import re
from itertools import islice
from pathlib import Path

from bar_files import verbatim
from capture_lines import as_future, calm, depth, opening, quote, snapshot, trade, write

from engine.market.views import BookTop
from replay.rebuild import rebuild
from replay.replay import replay_session

TESTS = Path(__file__).resolve().parent
REST = f"{TESTS / 'strategies' / 'first_quote.py'}:Rests"


def test_every_case_names_a_test_that_exists() -> None:
    here = Path(__file__)
    rows = re.findall(r"^\| \w+ \| [^|]+ \| (\w+): ([\w, ]+) \|$", __doc__ or "", re.MULTILINE)
    assert len(rows) == 14
    for file, names in rows:
        text = (here if file == "here" else TESTS / f"{file}.py").read_text("utf-8")
        for name in names.split(", "):
            assert re.search(rf"def test_{name}\w*\(", text), (file, name)


def test_a_capture_with_its_own_metadata_is_traded_by_it(shared_data: Path, tmp_path: Path) -> None:
    """The answer to exchangeInfo is a record of the capture, and lists 1,691 symbols more than were captured."""
    files = [
        shared_data / "captures" / "cryptofeed" / name for name in ("BINANCE.0", "BINANCE.http.0.0", "BINANCE.ws.1.0")
    ]
    verbatim("import", *files, "--into", tmp_path / "s")
    text = (TESTS / "strategies" / "first_quote.py").read_text("utf-8")
    (tmp_path / "nkn.py").write_text(text.replace('("*",)', '("NKNUSDT",)'))
    words = [
        "--strategy",
        f"{tmp_path / 'nkn.py'}:Rests",
        "--set",
        "strategy.nkn.at_market=true",
        "--set",
        "strategy.nkn.size=283",
    ]
    verbatim("backtest", tmp_path / "s", *words, "--balance", "USDT=1000", "--into", tmp_path / "r")
    fills = json.loads(verbatim("sql", tmp_path / "r", "select instrument, quantity from fills", "--json"))
    assert [(fill["instrument"], float(fill["quantity"])) for fill in fills] == [("binance_spot:NKNUSDT", 283.0)]
    _, state, _ = rebuild(tmp_path / "r")
    grids = {of.symbol: (str(of.tick_size), str(of.lot_size), of.base, of.quote) for of in state.market.instruments}
    assert grids["NKNUSDT"] == ("0.0001", "1", "NKN", "USDT")
    assert len(grids) == 4
    assert replay_session(tmp_path / "r").identical


def test_a_diff_that_ends_at_its_snapshot_is_applied_as_the_futures_rule_says(tmp_path: Path) -> None:
    """The venue drops u < lastUpdateId: a diff up to 100 and a snapshot of 100 make one book."""
    first = as_future(depth("BTCUSDT", 100, "", "") | {"U": 95, "a": [["120.00", "7.000"]]}) | {"pu": 94}
    later = [as_future(event) for event in islice(calm(first_id=101), 20)]
    trades = [as_future(trade("BTCUSDT", number, "100.00", "0.001")) for number in range(1, 3)]
    capture = write(tmp_path / "c.gz", [first, as_future(snapshot(100, "100.00", "100.01")), *later, *trades])
    verbatim("import", capture, "--into", tmp_path / "s")
    verbatim("backtest", tmp_path / "s", "--strategy", REST, "--balance", "USDT=1000", "--into", tmp_path / "r")
    _, state, _ = rebuild(tmp_path / "r")
    top = state.market.book_top(0, 5)
    assert isinstance(top, BookTop)
    assert [str(price) for price, _ in top.asks] == ["100.01", "120"]
    counters = state.market.counters(0)
    assert (counters.diffs_dropped, counters.book_gaps) == (0, 0)


def test_a_quote_asset_beyond_the_first_ten_is_known(tmp_path: Path) -> None:
    capture = write(
        tmp_path / "c.gz", [*opening("BTCBRL"), *islice(calm("BTCBRL"), 10), quote("BTCBRL", 200, "100.00", "100.01")]
    )
    verbatim("import", capture, "--into", tmp_path / "s")
    words = ["--strategy", REST, "--set", "strategy.first_quote.at_market=true", "--no-journal", "--json"]
    summary = json.loads(verbatim("backtest", tmp_path / "s", *words, "--balance", "BRL=1000"))
    assert summary["resimulated"]["filled_quantity"] == "1"
    assert summary["inferred"][0].startswith("BTCBRL: no metadata in the capture; read off its messages: BTC/BRL,")
