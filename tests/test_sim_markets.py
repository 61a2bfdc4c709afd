"""The markets the venue plays: captures byte for byte, and a synthetic one from its seed."""

import gzip
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from engine.model import Side
from engine.sim.feeds.capture_feed import CaptureMarket, DamagedCaptureError
from engine.sim.feeds.sim_market import DepthDiff, DepthSnapshot, SimQuote, TradePrint, decode
from engine.sim.feeds.synthetic_feed import SyntheticMarket
from engine.sim.sim_venue import SimVenue
from engine.sim.units import text, units
from engine.sim.venue_config import AccountConfig, VenueConfig
from engine.sim.wire import HttpRequest

STAMP = re.compile(rb'"[ET]":\d+')
ACCOUNT = AccountConfig(api_key="k", secret="s", balances={"USDT": "1000"})  # opens nothing
DEPTH = HttpRequest(method="GET", path="/api/v3/depth", query=b"symbol=BTCUSDT&limit=5000", headers={})


def capture_lines(shared_data: Path, symbol: str) -> list[bytes]:
    path = shared_data / "captures" / "binance" / f"spot_{symbol}_20240808.gz"
    return gzip.decompress(path.read_bytes()).splitlines()


def stream_target(market: CaptureMarket) -> str:
    return "/stream?streams=" + "/".join(sorted(market.streams))


@pytest.mark.slow
@pytest.mark.parametrize("symbol", ["btcusdt", "ethusdt"])
def test_a_capture_is_played_byte_for_byte_and_in_order(shared_data: Path, symbol: str) -> None:
    lines = capture_lines(shared_data, symbol)
    market = CaptureMarket(lines)
    venue = SimVenue(VenueConfig(accounts=(ACCOUNT,), hold_until_subscribed=True), market)
    now_ns = market.first_ns - 10**9
    assert venue.connect(1, stream_target(market), now_ns)
    venue.http(
        2,
        HttpRequest(method="GET", path="/api/v3/depth", query=f"symbol={symbol.upper()}".encode(), headers={}),
        now_ns,
    )
    sent = []
    while (due_ns := venue.next_due_ns) is not None:
        sent += venue.advance(due_ns)
    assert [item.frame or item.answer.body for item in sent] == [line.partition(b" ")[2] for line in lines]
    assert [item.due_ns for item in sent] == [int(line.partition(b" ")[0]) for line in lines]
    played = venue.exchange.markets[symbol.upper()]
    assert (played.gaps, venue.feed.status.late_ns_max, venue.feed.finished) == (0, 0, True)


@pytest.mark.slow
def test_the_book_at_the_end_of_the_capture_is_the_known_one(shared_data: Path) -> None:
    market = CaptureMarket(capture_lines(shared_data, "btcusdt"))
    venue = SimVenue(VenueConfig(accounts=(ACCOUNT,)), market)
    venue.advance(market.last_ns)
    venue.http(1, DEPTH, market.last_ns)
    depth = json.loads(venue.advance(market.last_ns)[-1].answer.body)
    assert depth["lastUpdateId"] == 50093421584  # from MANIFEST.md
    assert depth["bids"][0] == ["61685.99000000", "1.00870000"]
    assert depth["asks"][0] == ["61686.00000000", "2.29327000"]


def test_the_feed_waits_for_listeners_and_then_for_somebody_to_ask_for_the_snapshot(shared_data: Path) -> None:
    market = CaptureMarket(capture_lines(shared_data, "btcusdt"))
    config = VenueConfig(accounts=(ACCOUNT,), hold_until_subscribed=True, settle_ns=1_000_000)
    venue = SimVenue(config, market)
    late_ns = market.first_ns + 7 * 10**9
    assert venue.next_due_ns is None
    assert venue.advance(late_ns) == []
    venue.connect(1, stream_target(market), late_ns)
    before = []
    while (due_ns := venue.next_due_ns) is not None and due_ns <= late_ns + 2 * 10**9:
        before += venue.advance(due_ns)
    assert len(before) == 7  # the lines before the snapshot
    asked_ns = late_ns + 3 * 10**9
    venue.http(2, DEPTH, asked_ns)
    assert venue.advance(asked_ns) == []  # the frames before it are still on their way
    [snapshot] = venue.advance(asked_ns + 1_000_000)
    assert snapshot.answer.body.startswith(b'{"lastUpdateId":50093239218,')
    first_after = venue.next_due_ns
    assert first_after > asked_ns + 2_000_000
    venue.advance(first_after)
    status = venue.feed.status
    assert status.held_ns > 9 * 10**9
    assert status.late_ns_max == 0


def test_a_feed_nobody_asks_does_not_wait_for_ever(shared_data: Path) -> None:
    market = CaptureMarket(capture_lines(shared_data, "btcusdt"))
    venue = SimVenue(VenueConfig(accounts=(ACCOUNT,), hold_until_subscribed=True), market)
    venue.connect(1, stream_target(market), market.first_ns)
    sent = 0
    for _ in range(100):
        sent += len(venue.advance(venue.next_due_ns))
    assert sent > 50


def test_our_orders_meet_the_captures_book(shared_data: Path) -> None:
    market = CaptureMarket(capture_lines(shared_data, "btcusdt"))
    venue = SimVenue(VenueConfig(accounts=(ACCOUNT,)), market)
    venue.advance(market.first_ns + 10 * 10**9)
    played = venue.exchange.markets["BTCUSDT"]
    quote = played.quote
    assert played.best(Side.BUY) == quote.bid
    assert played.best(Side.SELL) == quote.ask
    assert played.quantity(Side.SELL, quote.ask) == quote.ask_quantity


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "no lines"),
        ([b"abc"], "line 1 is not"),
        ([b'1 {"a":1}'], "line 1 is neither"),
        ([b'2 {"stream":"xusdt@trade","data":{}}', b'1 {"stream":"xusdt@trade","data":{}}'], "line 2: its time 1"),
        ([b'2 {"lastUpdateId":1}'], "symbol is unknown"),
    ],
)
def test_a_damaged_capture_says_where(lines: list[bytes], told: str) -> None:
    with pytest.raises(DamagedCaptureError, match=told):
        CaptureMarket(lines)


def play(seed: int, seconds: int) -> list:
    market = SyntheticMarket(("BTCUSDT", "ETHUSDT"), seed=seed, start_ns=10**18)
    lines = []
    while market.next_due_ns < 10**18 + seconds * 10**9:
        lines.append(market.next_line())
    return lines


def test_a_synthetic_market_comes_from_its_seed() -> None:
    assert play(3, 2) == play(3, 2)
    assert play(3, 2) != play(4, 2)


@pytest.mark.slow
def test_a_synthetic_market_is_a_sound_one() -> None:
    lines = play(11, 60)
    assert [line.due_ns for line in lines] == sorted(line.due_ns for line in lines)
    per_symbol = Counter(line.symbol for line in lines)
    assert all(60 <= count / 60 <= 300 for count in per_symbol.values()), per_symbol
    bursts = Counter((line.due_ns - 10**18) // 10**8 for line in lines)
    assert max(bursts.values()) > 2 * sum(bursts.values()) / len(bursts)  # it comes in bursts
    for symbol in ("BTCUSDT", "ETHUSDT"):
        messages = [decode(line) for line in lines if line.symbol == symbol]
        snapshot = messages[0]
        assert isinstance(snapshot, DepthSnapshot)
        diffs = [message for message in messages if isinstance(message, DepthDiff)]
        assert diffs[0].update_id_first <= snapshot.update_id + 1 <= diffs[0].update_id  # it joins
        assert all(after.update_id_first == before.update_id + 1 for before, after in pairwise(diffs))
        trades = [message for message in messages if isinstance(message, TradePrint)]
        assert all(after.trade_id == before.trade_id + 1 for before, after in pairwise(trades))
        bids, asks = dict(snapshot.bids), dict(snapshot.asks)
        for message in messages:
            if isinstance(message, SimQuote):
                assert message.bid < message.ask
            if isinstance(message, DepthDiff):
                for levels, changes in ((bids, message.bids), (asks, message.asks)):
                    levels.update(changes)
                    for price in [price for price, quantity in changes if not quantity]:
                        del levels[price]
                assert max(bids) < min(asks)
                assert all(20 <= len(levels) <= 200 for levels in (bids, asks))


@pytest.mark.slow
def test_a_feed_too_far_behind_goes_on_from_now() -> None:
    """A soak at 60 times ran late on a busy machine, and each answer waited behind minutes of lines."""
    second_ns, start_ns = 10**9, 10**18
    lines = [line.payload for line in play(3, 60)]

    def venue_of(behind_ns_max: int | None) -> SimVenue:
        config = VenueConfig(accounts=(ACCOUNT,), behind_ns_max=behind_ns_max)
        return SimVenue(config, SyntheticMarket(("BTCUSDT", "ETHUSDT"), seed=3, start_ns=start_ns))

    patient, brisk = venue_of(None), venue_of(2 * second_ns)
    target = "/stream?streams=" + "/".join(sorted(brisk.feed.market.streams))
    for venue in (patient, brisk):
        assert venue.connect(1, target, start_ns - 1)
    late_ns = start_ns + 60 * second_ns
    assert len(patient.advance(late_ns)) > 60 * 100
    assert patient.feed.status.held_ns == 0
    sent = brisk.advance(late_ns)
    assert (len(sent), brisk.feed.status.held_ns) == (0, 60 * second_ns)  # the first line was due at the start
    sent += brisk.advance(late_ns + second_ns)
    expected = [line for line in lines[: len(sent) + 2] if b'"stream"' in line]
    assert [STAMP.sub(b"", item.frame) for item in sent] == [STAMP.sub(b"", line) for line in expected]
    assert all(late_ns <= item.due_ns <= late_ns + second_ns for item in sent)


@pytest.mark.parametrize("amount", ["0.00000000", "61837.63000000", "0.00001000", "12345678.12345678"])
def test_amounts_keep_their_text(amount: str) -> None:
    assert text(units(amount)) == amount


def test_the_stamps_of_a_market_that_waited_move_with_its_lines() -> None:
    """A venue that stalled once must not stay behind its own clock: the engine would never trade on it."""
    start_ns, pause_ns = 1_723_161_250_000_000_000, 8_000_000_000
    market = SyntheticMarket(("BTCUSDT",), seed=1, start_ns=start_ns)
    market.shift(pause_ns)
    stamps = {}
    while len(stamps) < 2:
        line = market.next_line()
        if line.stream.endswith(("@trade", "@depth@100ms")):
            stamps[line.stream] = line.due_ns - json.loads(line.payload)["data"]["E"] * 1_000_000
    assert all(0 <= age_ns < 1_000_000 for age_ns in stamps.values()), stamps
