"""Binance Spot's public messages as rows: real frames, the exact decoder against the compiled scan, and malformed frames."""

import gzip
import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import examples

from engine.events import Answer, Event, Outcome, StreamEnded, Subscribed, Unrecognised
from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Instrument, OrderTerm, RateLimits
from engine.venues.binance_spot.market import BinanceSpotMarket
from engine.venues.binance_spot.metadata import read_exchange_info, read_rate_limits


def instrument(symbol: str, price_scale: int, size_scale: int) -> Instrument:
    tick, lot = Decimal(1).scaleb(-price_scale), Decimal(1).scaleb(-size_scale)
    return Instrument(
        f"binance_spot:{symbol}", "binance_spot", symbol, symbol, "USDT", price_scale, size_scale, tick, lot
    )


VENUE = BinanceSpotMarket([instrument("ETHUSDT", 2, 8), instrument("BTCUSDT", 2, 8), instrument("BTCUSDC", 4, 2)])
QUOTE = b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}'
TRADE = b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
DIFF = b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,"b":[["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"],["61844.30000000","0.40163000"]]}}'
SNAPSHOT = b'{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.54698000"],["61837.65000000","2.00000000"]]}'


def decode(frame: bytes) -> Rows:
    rows = VENUE.decode(frame, "binance_spot.market.0", 7, 1000)
    assert not isinstance(rows, tuple), rows
    assert rows.flags.c_contiguous
    assert rows.dtype == np.int64
    return rows


def events(frame: bytes) -> tuple[Event, ...]:
    told = VENUE.decode(frame, "binance_spot.market.0", 7, 1000)
    assert isinstance(told, tuple), told
    return told


def exact(frame: bytes) -> Rows | tuple[Event, ...]:
    """The slow way alone."""
    try:
        return VENUE._exact(frame, "binance_spot.market.0", 7, 1000)
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        return (Unrecognised("binance_spot.market.0", f"{type(error).__name__}: {error}"[:200]),)


def same(one: Rows | tuple[Event, ...], other: Rows | tuple[Event, ...]) -> bool:
    if isinstance(one, tuple) or isinstance(other, tuple):
        return isinstance(one, tuple) and isinstance(other, tuple) and one == other
    return bool(one.tolist() == other.tolist())


# ---- real frames


def test_a_ticker_is_a_quote() -> None:
    expected = [r.QUOTE, 1, 7, 1000, 0, 1, 6183763, 378826000, 6183764, 154698000, 50093239212]
    assert decode(QUOTE).tolist() == [expected]
    assert decode(json.dumps(json.loads(QUOTE)["data"]).encode()).tolist() == [expected]  # bare, and with spaces
    assert decode(json.dumps(json.loads(QUOTE), indent=1, sort_keys=True).encode()).tolist() == [expected]


def test_a_trade_is_stamped_with_the_time_it_happened() -> None:
    expected = [r.TRADE, 1, 7, 1000, 1723161255342000000, 1, 6183763, 2000000, 3735683259, 1, 0]
    assert decode(TRADE).tolist() == [expected]
    in_microseconds = TRADE.replace(b'"T":1723161255342', b'"T":1723161255342123')
    assert decode(in_microseconds)[0, r.VENUE_NS] == 1723161255342123000


def test_a_diff_is_a_header_and_its_levels() -> None:
    stamp = [1, 7, 1000, 1723161255308000000]
    assert decode(DIFF).tolist() == [
        [r.DIFF, *stamp, 0, 50093239203, 50093239207, 3, 0, 0],
        [r.LEVEL, *stamp, 0, r.BID, 5565387, 0, 0, 0],
        [r.LEVEL, *stamp, 0, r.ASK, 6183804, 32332000, 0, 0],
        [r.LEVEL, *stamp, 1, r.ASK, 6184430, 40163000, 0, 0],
    ]
    empty = b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":3,"u":4,"b":[],"a":[]}'
    assert decode(empty).tolist() == [[r.DIFF, 1, 7, 1000, 1000000, 1, 3, 4, 0, 0, 0]]


def test_a_snapshot_needs_to_be_told_whose_it_is() -> None:
    rows = VENUE.decode_snapshot(SNAPSHOT, "binance_spot:BTCUSDT", 7, 1000)
    assert not isinstance(rows, tuple)
    assert rows[:, r.FIELDS : r.FIELDS + 3].tolist() == [
        [50093239218, 0, 3],
        [0, 6183763, 378826000],
        [1, 6183764, 154698000],
        [1, 6183765, 200000000],
    ]
    assert rows[:, r.LAST].tolist() == [0, 0, 0, 1]
    assert same(rows, VENUE.decode_snapshot(SNAPSHOT.replace(b":", b": "), "binance_spot:BTCUSDT", 7, 1000))
    assert isinstance(VENUE.decode_snapshot(SNAPSHOT, "binance_spot:DOGE", 7, 1000), tuple)
    assert isinstance(VENUE.decode_snapshot(b'{"code":-1003,"msg":"x"}', "binance_spot:BTCUSDT", 7, 1000), tuple)


@pytest.mark.parametrize("name", ["spot_btcusdt", "spot_ethusdt"])
def test_scan_and_exact_way_agree_on_whole_captures(shared_data: Path, name: str) -> None:
    for k, frame in enumerate(capture(shared_data, name)):
        if k % (1 if k < 2000 else 20) == 0 and not frame.startswith(b'{"last'):
            assert same(decode(frame), exact(frame)), frame


@cache
def capture(data: Path, name: str) -> list[bytes]:
    with gzip.open(data / "captures" / "binance" / f"{name}_20240808.gz") as lines:
        return [line[20:].strip() for line in lines]


def test_frames_of_other_streams_and_years_end_in_something(shared_data: Path) -> None:
    """35 frames kept in a unit test by strangers: most are streams we do not use."""
    for line in (shared_data / "private" / "binance-frames" / "unicorn-fy.jsonl").read_text().splitlines():
        frame = json.loads(line)["raw"].encode()
        assert same(VENUE.decode(frame, "binance_spot.market.0", 7, 1000), exact(frame))


# ---- values that may not enter


@pytest.mark.parametrize(
    "bad", ["61837.635", "-1", "9007199254740993", "1e3000", "NaN", "", "abc", "1_0", " 1", "\uff11"]
)
def test_what_does_not_fit_the_grid_is_a_flag(bad: str) -> None:
    for frame, kind, value in (
        (QUOTE, r.QUOTE, "61837.63000000"),
        (TRADE, r.TRADE, "61837.63000000"),
        (DIFF, r.DIFF, "61838.04000000"),
    ):
        rows = decode(frame.replace(value.encode(), bad.encode()))
        assert len(rows) == 1
        assert rows[0, [r.TYPE, r.INSTRUMENT, r.SEQ, r.LAST, r.BAD_VALUE_TYPE]].tolist() == [r.BAD_VALUE, 1, 7, 1, kind]


@pytest.mark.parametrize(
    ("text", "value"), [("61838", 6183800), ("0.10", 10), ("1e2", 10000), ("1.5E1", 1500), ("00.1", 10), ("+1", 100)]
)
def test_unusual_spellings_of_good_values_are_taken(text: str, value: int) -> None:
    assert decode(QUOTE.replace(b"61837.63000000", text.encode()))[0, r.QUOTE_BID] == value


_DIGITS = st.text("0123456789", max_size=20)


@settings(max_examples=examples(400), deadline=None)
@given(
    st.one_of(st.text("0123456789.+-eE", max_size=24), st.builds(lambda a, b: f"{a}.{b}", _DIGITS, _DIGITS), _DIGITS),
    st.sampled_from([0, 2]),
)
def test_the_scan_reads_numbers_as_exact_decimals_do(text: str, bid: int) -> None:
    frame = QUOTE.replace((b"3.78826000", b"", b"61837.64000000")[bid], text.encode())
    assert same(decode(frame), exact(frame))
    value = r.scaled(text, 8 if bid == 0 else 2)
    if value >= 0:
        assert Decimal(value) == Decimal(text).scaleb(8 if bid == 0 else 2)
        assert decode(frame)[0, r.QUOTE_BID_SIZE + bid // 2] == value


# ---- everything else


def test_answers_and_ends_are_events() -> None:
    assert events(b'{"result":null,"id":2}') == (Subscribed("2"),)
    assert events(b'{"code":2,"msg":"Invalid request: unknown variant","id":3}') == (
        Answer(Outcome.REFUSED, code=2, text="Invalid request: unknown variant"),
    )
    assert events(b'{"error":{"code":3,"msg":"Invalid JSON"},"id":null}') == (
        Answer(Outcome.REFUSED, code=3, text="Invalid JSON"),
    )
    assert events(b'{"error":"blahblah"}') == (Answer(Outcome.REFUSED, text="blahblah"),)
    assert events(b'{"e":"serverShutdown","E":1770000000000}') == (StreamEnded("serverShutdown"),)
    assert events(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}') == (
        StreamEnded("serverShutdown"),
    )


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"stream":"x"}',
        b'{"stream":"x","data":null}',
        QUOTE[:-1],
        QUOTE + b"}",
        QUOTE.replace(b"BTCUSDT", b"DOGEUSDT"),
        QUOTE.replace(b'"u":50093239212', b'"u":1e400'),
        QUOTE.replace(b'"u":50093239212', b'"u":99999999999999999999999999'),
        TRADE.replace(b'"t":3735683259', b'"t":-3'),
        TRADE.replace(b'"T":1723161255342', b'"T":9223372036854775807'),
        TRADE.replace(b'"p":"61837.63000000"', b'"p":61837.63'),
        DIFF.replace(b'["61838.04000000","0.32332000"]', b'["61838.04000000"]'),
    ],
)
def test_whatever_comes_is_at_least_unrecognised(frame: bytes) -> None:
    (event,) = events(frame)
    assert isinstance(event, Unrecognised)
    assert event.error


@pytest.mark.slow
@settings(max_examples=examples(1500), deadline=None)
@given(st.data())
def test_mutated_frames_never_raise_and_both_ways_agree(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([QUOTE, TRADE, DIFF])))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        match data.draw(st.sampled_from(["set", "delete", "insert", "swap", "cut"])):
            case "set":
                frame[at] = data.draw(st.integers(0, 255))
            case "delete":
                del frame[at : at + data.draw(st.integers(1, 12))]
            case "insert":
                frame[at:at] = data.draw(
                    st.sampled_from([b'"', b"\\", b"{", b"[", b",", b"0", b"-", b"9" * 30, b" ", b"\x00", b"\xc3"])
                )
            case "swap":
                other = data.draw(st.integers(0, len(frame) - 1))
                frame[at], frame[other] = frame[other], frame[at]
            case _:
                del frame[at + 1 :]
        if not frame:
            return
    payload = bytes(frame)
    told = VENUE.decode(payload, "binance_spot.market.0", 7, 1000)
    assert same(told, exact(payload)), payload
    VENUE.decode_snapshot(payload, "binance_spot:BTCUSDT", 7, 1000)
    if not isinstance(told, tuple):
        assert told[-1, r.LAST] == 1
        assert int(told[:, r.LAST].sum()) == 1
        assert (told[:, r.TYPE] > 0).all()


# ---- instruments


def test_filters_become_scales_and_bounds(shared_data: Path) -> None:
    """exchangeInfo as another project kept it in 2023 (its integers are quoted)."""
    symbols = json.loads((shared_data / "rest" / "binance" / "exchangeinfo-2023-excerpt.json").read_text())["spot"]
    btc, eth = read_exchange_info(json.dumps({"symbols": symbols}).encode())[:2]
    assert btc == Instrument(
        id="binance_spot:BTCUSDT",
        venue="binance_spot",
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        price_scale=2,
        size_scale=8,
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.00001"),
        price_min=Decimal("0.01"),
        price_max=Decimal(1000000),
        quantity_min=Decimal("0.00001"),
        quantity_max=Decimal(9000),
        market_quantity_max=Decimal("128.52621715"),
        notional_min=Decimal(5),
        notional_min_applies_to_market=True,
        trading=True,
        buy_price_low=Decimal("0.2"),
        buy_price_high=Decimal(5),
        sell_price_low=Decimal("0.2"),
        sell_price_high=Decimal(5),
        iceberg_parts_max=10,
        trailing_delta_min=10,
        trailing_delta_max=2000,
    )
    assert (eth.symbol, eth.lot_size, eth.size_scale) == ("ETHUSDT", Decimal("0.0001"), 8)


def test_terms_that_a_symbol_forbids_are_read() -> None:
    """Binance states permissions by symbol, and bounds of the trailing delta on each side of the market."""
    filters = [
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 0,
         "minTrailingBelowDelta": 20, "maxTrailingBelowDelta": 500},
    ]  # fmt: skip
    symbol = {
        "symbol": "AB", "status": "TRADING", "baseAsset": "A", "quoteAsset": "B", "filters": filters,
        "icebergAllowed": False, "allowTrailingStop": False, "quoteOrderQtyMarketAllowed": True,
    }  # fmt: skip
    [found] = read_exchange_info(json.dumps({"symbols": [symbol]}).encode())
    assert (found.iceberg_parts_max, found.trailing_delta_min, found.trailing_delta_max) == (100, 20, 500)
    assert found.forbids == (OrderTerm.TRAILING, OrderTerm.ICEBERG)


def test_every_symbol_of_a_real_exchange_has_scales_that_fit(shared_data: Path) -> None:
    """1695 symbols of 2021; the largest order times a thousand stays an exact integer, or the lot's own decimals are
    kept.
    """
    line = next(
        line
        for line in (shared_data / "captures" / "cryptofeed" / "BINANCE.0").read_bytes().splitlines()
        if b"exchangeInfo -> " in line
    )
    body = line[line.index(b"{") :]
    found = read_exchange_info(body)
    assert len(found) == 1695
    for of in found:
        assert Decimal(1).scaleb(-of.price_scale) <= of.tick_size
        assert Decimal(1).scaleb(-of.size_scale) <= of.lot_size
        assert of.lot_size % Decimal(1).scaleb(-of.size_scale) == 0
        assert of.quantity_max * 10**of.size_scale <= r.VALUE_MAX or of.size_scale <= -_exponent(of.lot_size), of
    assert sum(of.trading for of in found) > 1000


def test_rates_are_those_that_the_venue_tells(shared_data: Path) -> None:
    def row(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
        return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}

    told = [
        row("REQUEST_WEIGHT", "MINUTE", 1, 12_000),
        row("ORDERS", "DAY", 1, 200_000),
        row("ORDERS", "SECOND", 10, 50),
    ]
    assert read_rate_limits(json.dumps({"symbols": [], "rateLimits": told}).encode()) == RateLimits(12_000, 50, 200_000)
    assert read_rate_limits(b'{"symbols":[]}') == RateLimits(6_000, 100)
    real = (shared_data / "captures" / "cryptofeed" / "BINANCE.0").read_bytes().splitlines()
    line = next(line for line in real if b"exchangeInfo -> " in line)
    assert read_rate_limits(line[line.index(b"{") :]) == RateLimits(1_200, 50, 160_000)


def _exponent(number: Decimal) -> int:
    exponent: Any = number.normalize().as_tuple().exponent
    return int(exponent)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"symbols":[{}]}',
        b'{"symbols":[{"symbol":"A","status":"TRADING","baseAsset":"A","quoteAsset":"B","filters":[{"filterType":"LOT_SIZE","stepSize":"x"}]}]}',
    ],
)
def test_a_broken_answer_says_what_is_wrong(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        read_exchange_info(body)
