"""Klines and tickers of the simulated venue: intervals, time zones, paging, a history before the market (rest-api.md)."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sim_transcript import START_NS, Client

from engine.sim.binance.candles import Interval
from engine.sim.units import text
from engine.sim.wire import HttpRequest
from verbatim.testing import VirtualVenue

MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
FIRST_MS = START_NS // 1_000_000 // MINUTE_MS * MINUTE_MS - 40 * DAY_MS


def candle(start_ms: int, price: int) -> list:
    shown = [f"{price}.00000000", f"{price + 2}.00000000", f"{price - 1}.00000000", f"{price + 1}.00000000"]
    return [start_ms, *shown, "2.00000000", start_ms + MINUTE_MS - 1, f"{2 * price}.00000000", 3, "1.00000000",
            f"{price}.00000000", "0"]  # fmt: skip


def hours(count: int = 40 * 24) -> list[list]:
    """One minute with trades each hour."""
    return [candle(FIRST_MS + 60 * MINUTE_MS * number, 100 + number % 7) for number in range(count)]


def venue() -> Client:
    return Client(history={"BTCUSDT": hours()})


def date(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("interval", "zone", "starts"),
    [
        ("1d", "0", ["2023-11-14 00:00"]),
        ("1d", "8", ["2023-11-13 16:00", "2023-11-14 16:00"]),
        ("1d", "-1:00", ["2023-11-14 01:00"]),
        ("1d", "05:45", ["2023-11-13 18:15", "2023-11-14 18:15"]),
        ("1w", "0", ["2023-11-06 00:00", "2023-11-13 00:00"]),
        ("1M", "0", ["2023-10-01 00:00", "2023-11-01 00:00"]),
        ("3d", "0", ["2023-11-10 00:00", "2023-11-13 00:00"]),
        ("12h", "0", ["2023-11-14 00:00", "2023-11-14 12:00"]),
    ],
)
def test_intervals_begin_where_their_zone_says(interval: str, zone: str, starts: list[str]) -> None:
    client = venue()  # it is 2023-11-14 22:13
    rows = client.get("klines", f"symbol=BTCUSDT&interval={interval}&timeZone={zone}&limit={len(starts)}")
    assert [date(row[0]) for row in rows] == starts
    assert all(row[6] == following[0] - 1 for row, following in pairwise(rows))


def test_months_are_those_of_the_calendar() -> None:
    month = Interval("1M", 0)
    first = datetime(1999, 12, 1, tzinfo=UTC)
    start_ns = int(first.timestamp()) * 10**9
    for _ in range(2_000):
        assert month.start_ns(start_ns + 10**9) == start_ns
        first = (first + timedelta(days=32)).replace(day=1)
        assert month.end_ns(start_ns) == int(first.timestamp()) * 10**9
        start_ns = month.end_ns(start_ns)


@pytest.mark.slow
def test_a_walk_over_pages_gives_each_minute_once_and_minutes_without_trades_too() -> None:
    client = venue()
    seen, start = [], FIRST_MS
    while page := client.get("klines", f"symbol=BTCUSDT&interval=1m&startTime={start}&limit=1000"):
        seen += page
        start = page[-1][0] + 1
    now_ms = client.now_ns // 1_000_000
    assert [row[0] for row in seen] == list(range(FIRST_MS, now_ms + 1, MINUTE_MS))
    assert seen[0] == candle(FIRST_MS, 100)
    assert seen[1] == [FIRST_MS + MINUTE_MS, *["101.00000000"] * 4, "0.00000000", FIRST_MS + 2 * MINUTE_MS - 1,
                       "0.00000000", 0, "0.00000000", "0.00000000", "0"]  # fmt: skip


def test_bounds_and_the_forming_candle() -> None:
    client = venue()
    hour = client.get("klines", f"symbol=BTCUSDT&interval=1h&startTime={FIRST_MS}&endTime={FIRST_MS + 3_600_000}")
    # the hour of the first minute began before startTime
    assert len(hour) == 1
    newest = client.get("klines", f"symbol=BTCUSDT&interval=1m&endTime={FIRST_MS + 5 * MINUTE_MS}&limit=2")
    assert [row[0] for row in newest] == [FIRST_MS + 4 * MINUTE_MS, FIRST_MS + 5 * MINUTE_MS]
    client.market_trade("150", "2", sells=False)
    forming = client.get("klines", "symbol=BTCUSDT&interval=1m&limit=1")[0]
    assert (forming[1], forming[4], forming[9]) == ("150.00000000", "150.00000000", "2.00000000")
    assert client.get("uiKlines", "symbol=BTCUSDT&interval=1m&limit=1") == [forming]


def test_candles_add_up() -> None:
    client = venue()
    minutes = client.get("klines", f"symbol=BTCUSDT&interval=1m&startTime={FIRST_MS}&limit=1000")
    [row] = client.get("klines", f"symbol=BTCUSDT&interval=6h&startTime={FIRST_MS}&limit=1")
    inside = [minute for minute in minutes if row[0] <= minute[0] <= row[6]]
    assert (row[1], row[4]) == (inside[0][1], inside[-1][4])
    assert row[2] == max(minute[2] for minute in inside)
    assert row[8] == sum(minute[8] for minute in inside) > 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("interval=7m", -1120),
        ("interval=1m&timeZone=15", -1130),
        ("interval=1m&timeZone=1:99", -1130),
        ("interval=1m&limit=0", -1130),
        ("", -1102),
    ],
)
def test_klines_refuse_what_they_do_not_have(query: str, code: int) -> None:
    assert venue().get("klines", f"symbol=BTCUSDT&{query}")["code"] == code


def test_seconds_are_of_the_trades_that_the_venue_keeps() -> None:
    """They are those of the tape, with flat ones between them."""
    traded = VirtualVenue()
    traded.now_ns += 15 * 1_000_000_000
    traded.sim.advance(traded.now_ns)
    market = traded.sim.exchange.market("BTCUSDT")
    query = b"symbol=BTCUSDT&interval=1s&limit=1000"
    asked = HttpRequest(method="GET", path="/api/v3/klines", query=query, headers={})
    rows = traded.sim.api.rest(asked, traded.now_ns).body
    assert [row[0] for row in rows] == list(range(rows[0][0], rows[-1][0] + 1_000, 1_000))
    assert sum(row[8] for row in rows) == len(market.prints) > 0
    assert rows[-1][4] == text(market.prints[-1].price)


def test_rolling_windows_and_trading_days() -> None:
    client = venue()
    hour = client.get("ticker", "symbol=BTCUSDT&windowSize=2h")
    assert (hour["closeTime"], hour["openTime"] % MINUTE_MS) == (client.now_ns // 1_000_000, 0)
    assert (hour["count"], hour["volume"]) == (6, "4.00000000")
    assert client.get("ticker", "symbol=BTCUSDT")["count"] == 3 * 24
    mini = client.get("ticker", 'symbols=["BTCUSDT"]&type=MINI')
    assert set(mini[0]) < set(hour)
    assert "weightedAvgPrice" not in mini[0]
    day = client.get("ticker/tradingDay", "symbol=BTCUSDT&timeZone=8")
    assert (date(day["openTime"]), day["closeTime"] - day["openTime"]) == ("2023-11-14 16:00", DAY_MS - 1)
    assert client.get("ticker/24hr", "symbol=BTCUSDT")["count"] == 3 * 23  # to the second
    for page, query, code in [
        ("ticker", "", -1102),
        ("ticker", "symbol=BTCUSDT&windowSize=60m", -1130),
        ("ticker", "symbol=BTCUSDT&type=WIDE", -1139),
        ("ticker/price", 'symbols=["BTCUSDT","BTCUSDT"]', -1151),
        ("ticker/price", "symbol=BTCUSDT&symbolStatus=HALT", -1220),
        ("ticker/price", "symbol=BTCUSDT&symbolStatus=SLEEPING", -1122),
        ("depth", "symbol=BTCUSDT&symbolStatus=BREAK", -1220),
    ]:
        assert client.get(page, query)["code"] == code, (page, query)
    assert client.get("ticker/price", "symbolStatus=HALT") == []


def test_historical_trades_page_by_id_and_the_average_names_the_last_trade() -> None:
    client = Client()
    for _ in range(5):
        client.market_trade("100", "0.1", sells=False)
        client.wait(10)
    every = client.get("historicalTrades", "symbol=BTCUSDT")
    ids = [trade["id"] for trade in every]
    assert [trade["id"] for trade in client.get("historicalTrades", f"symbol=BTCUSDT&fromId={ids[1]}&limit=2")] == ids[
        1:3
    ]
    assert client.get("historicalTrades", "symbol=BTCUSDT&limit=2") == every[-2:]
    assert client.get("avgPrice", "symbol=BTCUSDT")["closeTime"] == every[-1]["time"]


def test_candle_streams_of_any_interval_close_with_the_next_trade() -> None:
    client = Client()
    assert client.venue.connect(1, "/stream?streams=btcusdt@kline_1m/btcusdt@kline_5m", client.now_ns)
    for price, later in [("100", 0), ("102", 60_000), ("101", 300_000)]:
        client.wait(later)
        client.market_trade(price, "1", sells=False)
    told = [(frame["stream"][-2:], frame["data"]["k"]["c"][:3], frame["data"]["k"]["x"]) for frame in client.frames(1)]
    assert [entry[1:] for entry in told if entry[0] == "1m"] == [
        ("100", False), ("100", True), ("102", False), ("102", True), ("101", False),
    ]  # fmt: skip
    assert [entry[1:] for entry in told if entry[0] == "5m"] == [
        ("100", False), ("102", False), ("102", True), ("101", False),
    ]  # fmt: skip


def test_streams_that_the_venue_does_not_have_are_refused() -> None:
    client = Client()
    for target in ("/ws/btcusdt@avgPrice", "/stream?streams=!miniTicker@arr", "/ws-api/v3?timeUnit=MICROSECOND"):
        assert not client.venue.connect(1, target, client.now_ns)
    assert client.venue.connect(2, "/ws", client.now_ns)
    client.venue.frame(2, b'{"method":"SUBSCRIBE","params":["btcusdt@kline_1s"],"id":7}', client.now_ns)
    client.wait(0)
    [answer] = client.frames(2)
    text = "Invalid request: btcusdt@kline_1s is not implemented by this simulated venue"
    assert answer == {"code": 2, "msg": text, "id": 7}
