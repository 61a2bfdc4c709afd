"""Both real spot captures, played to a live session at 60 times their pace, checked from the sealed journal alone.

The checks are benchmarks/capture_check.py, which also runs the strict replay to its end.
"""

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.market.market_state import Market
from engine.model import Instrument
from engine.venues.binance_spot.market import BinanceSpotMarket

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
BTCUSDT = Instrument(
    id="binance_spot:BTCUSDT",
    venue="binance_spot",
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    price_scale=2,
    size_scale=8,
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
)


def program(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def checks() -> Any:
    return program("capture_check")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "public_messages"), [("spot_btcusdt", 41_248 + 1), ("spot_ethusdt", 33_617 + 1)])
def test_a_capture_is_in_the_journal_and_its_books_are_the_known_ones(
    shared_data: Path, tmp_path: Path, checks: Any, name: str, public_messages: int
) -> None:
    found = checks.check(shared_data, name, tmp_path, speed=60, strict_until="2500")
    assert found["wrong"] == []
    assert found["public_messages"] == public_messages
    clock_answers = found["other_public"].pop("server_time")
    assert clock_answers >= 1, "asked again where a slow machine makes the venue lag"
    assert found["other_public"] == {"exchange_info at the start": 1}
    assert found["book_points"] == 7
    assert found["verify"]["ok"]
    assert found["replay"] == "identical"
    assert found["strict"]["identical"]
    assert found["strict"]["compared"] > 2_000
    assert found["orders"] >= 20
    assert found["fills"] > 0


def test_a_message_that_is_missing_or_altered_is_named(checks: Any) -> None:
    expected = [b"one", b"two", b"three"]
    assert checks.messages_differ(expected, expected) == []
    assert checks.messages_differ([b"one", b"three"], expected) == [
        "2 public messages of 3; the first that differs is line 1"
    ]
    assert checks.messages_differ([b"one", b"two"], expected) == [
        "2 public messages of 3; the first that differs is line 2"
    ]


@pytest.mark.slow
def test_a_capture_made_longer_is_one_valid_stream(shared_data: Path, checks: Any) -> None:
    """The benchmarks play it: no gap and nothing stale at the seam, and the last book is the known last one again."""
    tiling = program("tiling")
    lines = tiling.read(shared_data / "captures" / "binance" / "spot_btcusdt_20240808.gz")
    known = json.loads((shared_data / "known" / "binance_books_and_trades.json").read_text())["captures"][
        "spot_btcusdt"
    ]
    venue, market, last_ns = BinanceSpotMarket([BTCUSDT]), Market.empty([BTCUSDT], [], [], []), 0
    for seq, line in enumerate(tiling.tiled(lines, 2)):
        stamp, _, frame = line.partition(b" ")
        assert int(stamp) >= last_ns
        last_ns = int(stamp)
        if frame.startswith(b'{"lastUpdateId"'):
            rows = venue.decode_snapshot(frame, BTCUSDT.id, seq, last_ns)
        else:
            rows = venue.decode(frame, "binance_spot.market.0", seq, last_ns)
        assert not isinstance(rows, tuple), rows
        market.fold(rows)
    counters = market.counters(0)
    assert (counters.book_gaps, counters.trade_id_gaps, counters.quotes_stale) == (0, 0, 0)
    assert checks._sha(market.book_text(0)) == known["depth"]["checkpoints"][-1]["full_sha256"]


def test_the_quotes_and_trades_of_a_capture_made_longer_have_no_gap() -> None:
    """Ids of quotes jump and ids of trades do not, so they move on by their own distances."""
    quote = b'{"stream":"btcusdt@bookTicker","data":{"u":%d,"s":"BTCUSDT","b":"10","B":"1","a":"11","A":"1"}}'
    trade = b'{"stream":"t@trade","data":{"e":"trade","E":5,"s":"BTCUSDT","t":%d,"p":"10","q":"1","T":5,"m":true}}'
    lines = [(1_000_000, quote % 900), (2_000_000, trade % 41), (3_000_000, trade % 42), (4_000_000, quote % 950)]
    venue, market = BinanceSpotMarket([BTCUSDT]), Market.empty([BTCUSDT], [], [], [])
    for seq, line in enumerate(program("tiling").tiled_quotes(lines, 3)):
        stamp, _, frame = line.partition(b" ")
        rows = venue.decode(frame, "binance_spot.market.0", seq, int(stamp))
        assert not isinstance(rows, tuple), rows
        market.fold(rows)
    counters = market.counters(0)
    assert (counters.quotes, counters.trades) == (6, 6)
    assert (counters.trade_id_gaps, counters.quotes_stale) == (0, 0)
