"""Both real spot captures, through the decoder and the fold, against books, totals and bars computed with exact
decimals.
"""

import gzip
import hashlib
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from compiled_and_plain import both_ways

from engine.market.indicators.ema import EmaSpec
from engine.market.layout import BOOK_CROSSED, BOOK_JOINED, BOOK_NEEDS_SNAPSHOT
from engine.market.market_state import Market
from engine.market.views import BarSpec, BookState, TriggerSpec
from engine.model import Instrument
from engine.venues.binance_spot.market import BinanceSpotMarket

MINUTE_NS = 60_000_000_000
CAPTURES = {"spot_btcusdt": ("BTCUSDT", "0.00001"), "spot_ethusdt": ("ETHUSDT", "0.0001")}


def instrument(name: str) -> Instrument:
    symbol, lot = CAPTURES[name]
    return Instrument(
        id=f"binance_spot:{symbol}",
        venue="binance_spot",
        symbol=symbol,
        base=symbol[:3],
        quote="USDT",
        price_scale=2,
        size_scale=8,
        tick_size=Decimal("0.01"),
        lot_size=Decimal(lot),
    )


@cache
def lines(data: Path, name: str) -> list[tuple[int, bytes]]:
    with gzip.open(data / "captures" / "binance" / f"{name}_20240808.gz") as capture:
        return [(int(line[:19]), line[20:].strip()) for line in capture]


def known(data: Path, name: str) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((data / "known" / "binance_books_and_trades.json").read_text())["captures"][name]
    return whole


class Session:
    """A capture played into a market, line by line."""

    def __init__(self, name: str) -> None:
        of = instrument(name)
        self.id = of.id
        self.venue = BinanceSpotMarket([of])
        self.market = Market.empty(
            [of], [BarSpec(of.id, MINUTE_NS)], [EmaSpec(of.id, 20)], [TriggerSpec("w", (of.id,), 100_000_000)]
        )
        self.wakes: list[tuple[int, int]] = []

    def take(self, seq: int, time_ns: int, frame: bytes) -> None:
        if frame.startswith(b'{"lastUpdateId"'):
            rows = self.venue.decode_snapshot(frame, self.id, seq, time_ns)
        else:
            rows = self.venue.decode(frame, "binance_spot.market.0", seq, time_ns)
        assert not isinstance(rows, tuple), rows
        assert self.market.fold(rows) == len(rows)
        if self.market.flags & ~1:
            self.wakes.append((seq, self.market.flags & ~1))
        if self.market.flags & 1:
            self.market.note_evaluated(0, time_ns)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_the_books_are_the_known_ones_at_every_checkpoint(shared_data: Path, name: str) -> None:
    expected = known(shared_data, name)["depth"]
    checkpoints = {point["u"]: point for point in expected["checkpoints"]}
    session = Session(name)
    market = session.market
    seen = []
    for seq, (time_ns, frame) in enumerate(lines(shared_data, name)):
        session.take(seq, time_ns, frame)
        point = checkpoints.get(market.book_id(0))
        if point is None or market.book_state(0) is not BookState.SYNCED or point["u"] in seen:
            continue
        seen.append(point["u"])
        top = market.book_top(0, 1)
        assert top is not None
        assert [f"{n:f}" for level in (*top.bids, *top.asks) for n in level] == [
            point["best_bid"],
            point["best_bid_qty"],
            point["best_ask"],
            point["best_ask_qty"],
        ]
        assert market.book_levels(0) == (point["bid_levels"], point["ask_levels"])
        assert sha(market.book_text(0, 20)) == point["top20_sha256"]
        assert sha(market.book_text(0)) == point["full_sha256"]
    assert seen == sorted(checkpoints)
    counters = market.counters(0)
    assert (counters.diffs_applied, counters.diffs_dropped) == (
        checkpoints[seen[-1]]["applied"],
        expected["dropped_as_older"],
    )
    # one request for a snapshot, one join at the snapshot's own line, and no crossed book ever
    first_diff = next(seq for seq, (_, frame) in enumerate(lines(shared_data, name)) if b'"e":"depthUpdate"' in frame)
    assert session.wakes == [(first_diff, BOOK_NEEDS_SNAPSHOT), (expected["snapshot"]["line"], BOOK_JOINED)]
    assert market.messages == known(shared_data, name)["counts"][0]["lines"]


@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_trades_and_minute_bars_are_the_known_ones(shared_data: Path, name: str) -> None:
    expected = known(shared_data, name)["trades"]
    session = Session(name)
    for seq, (time_ns, frame) in enumerate(lines(shared_data, name)):
        if b'"e":"trade"' in frame:
            session.take(seq, time_ns, frame)
    counters = session.market.counters(0)
    assert counters.trades == expected["count"]
    assert counters.trades_buyer_is_maker == expected["buyer_is_maker"]
    assert counters.trade_id_gaps == expected["id_gaps"]
    assert f"{counters.volume:f}" == expected["base_volume"]
    assert f"{counters.notional:f}" == expected["quote_volume"]
    last = session.market.last_trade(0)
    assert last is not None
    assert (last.trade_id, last.venue_ns) == (expected["last_id"], expected["last_T"] * 1_000_000)
    bars = session.market.bars(0, MINUTE_NS)
    assert bars.forming is not None
    assert [
        {
            "minute_ms": bar.start_ns // 1_000_000,
            "open": f"{bar.open:f}",
            "high": f"{bar.high:f}",
            "low": f"{bar.low:f}",
            "close": f"{bar.close:f}",
            "volume": f"{bar.volume:f}",
            "trades": bar.trades,
        }
        for bar in (*bars.closed, bars.forming)
    ] == expected["minute_bars_by_T"]


@pytest.mark.parametrize(("name", "comparable"), [("spot_btcusdt", 2894), ("spot_ethusdt", 2671)])
def test_the_top_equals_the_ticker_wherever_they_can_be_compared(shared_data: Path, name: str, comparable: int) -> None:
    """The ticker with the largest u not above the diff's u, where it is not below the diff's U (MANIFEST.md)."""
    session = Session(name)
    market = session.market
    tops = []
    tickers = []
    for seq, (time_ns, frame) in enumerate(lines(shared_data, name)):
        session.take(seq, time_ns, frame)
        if b'"e":"depthUpdate"' in frame and market.book_state(0) is BookState.SYNCED:
            tops.append((json.loads(frame)["data"]["U"], market.book_id(0), market.book_top(0, 1)))
        elif b"@bookTicker" in frame:
            quote = market.quote(0)
            assert quote is not None
            tickers.append((json.loads(frame)["data"]["u"], quote))
        elif frame.startswith(b'{"lastUpdateId"') and market.book_id(0) > json.loads(frame)["lastUpdateId"]:
            tops.append(
                (50093239208, market.book_id(0), market.book_top(0, 1))
            )  # the joining diff came two lines before
    compared = 0
    at = 0
    for first_id, last_id, top in tops:
        while at + 1 < len(tickers) and tickers[at + 1][0] <= last_id:
            at += 1
        update_id, quote = tickers[at]
        if first_id <= update_id <= last_id:
            compared += 1
            assert top is not None
            assert top.bids[0] == (quote.bid, quote.bid_size)
            assert top.asks[0] == (quote.ask, quote.ask_size)
    assert compared == comparable


def test_a_book_that_drops_the_diffs_before_its_snapshot_is_found_out(shared_data: Path) -> None:
    """On this capture the joining diff is two lines before the snapshot. Without it there is a gap, and no wrong book."""
    whole = Session("spot_btcusdt")
    without = Session("spot_btcusdt")
    for seq, (time_ns, frame) in enumerate(lines(shared_data, "spot_btcusdt")[:20]):
        whole.take(seq, time_ns, frame)
        if seq >= 7 or b'"e":"depthUpdate"' not in frame:
            without.take(seq, time_ns, frame)
    point = known(shared_data, "spot_btcusdt")["depth"]["join"]
    assert whole.market.book_state(0) is BookState.SYNCED
    assert whole.market.counters(0).diffs_applied == 1 + sum(
        b'"e":"depthUpdate"' in frame for _, frame in lines(shared_data, "spot_btcusdt")[7:20]
    )
    assert whole.market.book_id(0) >= point["u"]
    assert without.market.book_state(0) is BookState.BROKEN
    assert [wake for _, wake in without.wakes] == [BOOK_JOINED, BOOK_NEEDS_SNAPSHOT]


def test_digests_cost_little_enough_for_every_record(shared_data: Path) -> None:
    """Not a benchmark: only that no digest grows with capacity or history."""
    session = Session("spot_btcusdt")
    for seq, (time_ns, frame) in enumerate(lines(shared_data, "spot_btcusdt")[:3000]):
        session.take(seq, time_ns, frame)
    before = session.market.digests()
    session.market.make_room(levels=100_000, pending=10_000)
    assert session.market.digests() == before
    assert not any(wake & BOOK_CROSSED for _, wake in session.wakes)


_PLAIN = """
import importlib.util, json, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("known", sys.argv[1])
known = importlib.util.module_from_spec(spec)
spec.loader.exec_module(known)
from engine.market.jit import JIT
session = known.Session("spot_btcusdt")
digests = []
for seq, (time_ns, frame) in enumerate(known.lines(Path(sys.argv[2]), "spot_btcusdt")[: int(sys.argv[3])]):
    session.take(seq, time_ns, frame)
    digests.append(sorted(session.market.digests().items()))
import hashlib
print(json.dumps([JIT, hashlib.sha256(repr(digests).encode()).hexdigest(), session.market.indicator(0), session.wakes]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [300])
def test_compiled_and_plain_agree_at_every_record(shared_data: Path, count: int) -> None:
    compiled, plain = both_ways(_PLAIN, __file__, str(shared_data), str(count), strict=False)
    assert compiled == plain
