"""Binance's futures: frames as rows, the join by pu in small, metadata, what contracts are worth, and a recording over
loopback.
"""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http import HTTPStatus
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tiers import examples
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from analysis.sql_session import connect
from analysis.sql_session import query_rows as asked_for
from engine import contracts
from engine.events import Answer, Event, InstrumentsReport, Outcome, ServerTime, Subscribed, Unrecognised
from engine.market import rows as r
from engine.market.layout import BOOK_JOINED, BOOK_NEEDS_SNAPSHOT, MISSED
from engine.market.market_state import Market
from engine.market.rows import Rows
from engine.market.views import BookState, Stream
from engine.model import Instrument, RateLimits
from engine.record_codec import read_link, read_request
from engine.requests import LinkRole
from engine.session_record import SessionBody, VenueSettings, read_session
from engine.venues.binance_coinm import BinanceCoinm
from engine.venues.binance_common.public import DepthSnapshots
from engine.venues.binance_futures import DEPTH_WEIGHTS, BinanceFutures
from engine.venues.binance_futures.metadata import read_exchange_info, read_rate_limits
from engine.venues.binance_usdm import BinanceUsdm
from engine.venues.packed_payloads import PackedPayloads
from engine.venues.venue import Venue
from engine.venues.venue_lookup import make_venue
from journal.reader import Journal
from journal.record import Kind, Record, canonical
from journal.sessions import list_sessions
from journal.verify import verify
from replay.rebuild import rebuild
from replay.replay import replay_session
from verbatim.commands.record import command
from verbatim.config import make_config, session_config
from verbatim.config_sections import ConfigError

BTC = Instrument(
    "binance_usdm:BTCUSDT", "binance_usdm", "BTCUSDT", "BTC", "USDT", 2, 3, Decimal("0.1"), Decimal("0.001")
)
COIN = Instrument(
    id="binance_coinm:BTCUSD_PERP",
    venue="binance_coinm",
    symbol="BTCUSD_PERP",
    base="BTC",
    quote="USD",
    price_scale=1,
    size_scale=0,
    tick_size=Decimal("0.1"),
    lot_size=Decimal(1),
    contract="PERPETUAL",
    contract_size=Decimal(100),
    inverse=True,
    margin="BTC",
)
USDM, COINM = BinanceUsdm([BTC]), BinanceCoinm([COIN])
BOTH = BinanceUsdm([BTC, COIN]).market  # what the names say decides, not the venue: one spelling reads both

TICKER = b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}}'
COIN_TICKER = b'{"stream":"btcusd_perp@bookTicker","data":{"u":1007198632021,"e":"bookTicker","s":"BTCUSD_PERP","ps":"BTCUSD","b":"61804.7","B":"35","a":"61804.8","A":"1645","T":1723161257465,"E":1723161257476}}'
TRADE = b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256323,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
AGGREGATE = b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1626992742291,"a":14888302,"s":"BTCUSDT","p":"61800.30","q":"0.312","f":27931348,"l":27931350,"T":1626992742134,"m":true}}'
DIFF = b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"],["61496.50","0.000"]],"a":[["61800.30","3.330"]]}}'
COIN_DIFF = b'{"stream":"btcusd_perp@depth","data":{"e":"depthUpdate","E":1723161257440,"T":1723161257432,"s":"BTCUSD_PERP","ps":"BTCUSD","U":1007198631260,"u":1007198631565,"pu":1007198631198,"b":[],"a":[["61806.0","7"]]}}'
MARK = b'{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1680652801000,"s":"BTCUSDT","p":"28155.10000000","P":"28141.47600845","i":"28165.04857143","r":"-0.00002760","T":1680681600000}}'
SNAPSHOT = b'{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],"asks":[["61800.30","1.072"],["61801.00","2.000"]]}'
COIN_SNAPSHOT = b'{"lastUpdateId":1007198635033,"E":1723161257835,"T":1723161257823,"symbol":"BTCUSD_PERP","pair":"BTCUSD","bids":[["61804.7","35"]],"asks":[]}'
FRAMES = (TICKER, COIN_TICKER, TRADE, AGGREGATE, DIFF, COIN_DIFF, MARK)


def decode(frame: bytes) -> Rows:
    rows = BOTH.decode(frame, "m.market.0", 7, 1000)
    assert not isinstance(rows, tuple), rows
    assert same(rows, exact(frame))
    return rows


def exact(frame: bytes) -> Rows | tuple[Event, ...]:
    """The slow way alone."""
    try:
        return BOTH._exact(frame, "m.market.0", 7, 1000)
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        return (Unrecognised("m.market.0", f"{type(error).__name__}: {error}"[:200]),)


def same(one: Rows | tuple[Event, ...], other: Rows | tuple[Event, ...]) -> bool:
    if isinstance(one, tuple) or isinstance(other, tuple):
        return isinstance(one, tuple) and isinstance(other, tuple) and one == other
    return bool(one.tolist() == other.tolist())


# ---- frames as rows


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (TICKER, [r.QUOTE, 0, 7, 1000, 1723161256313000000, 1, 6180020, 2507, 6180030, 2510, 5123107839020]),
        (COIN_TICKER, [r.QUOTE, 1, 7, 1000, 1723161257465000000, 1, 618047, 35, 618048, 1645, 1007198632021]),
        (TRADE, [r.TRADE, 0, 7, 1000, 1723161256322000000, 1, 6180030, 6, 5266583935, 0, 0]),
        (
            TRADE.replace(b'"MARKET"', b'"INSURANCE_FUND"'),
            [r.TRADE, 0, 7, 1000, 1723161256322000000, 1, 6180030, 6, 5266583935, 0, 1],
        ),
        (AGGREGATE, [r.TRADE, 0, 7, 1000, 1626992742134000000, 1, 6180030, 312, 14888302, 1, 0]),
        (
            MARK,
            [
                r.MARK,
                0,
                7,
                1000,
                1680652801000000000,
                1,
                2815510000000,
                2816504857143,
                2814147600845,
                -2760,
                1680681600000000000,
            ],
        ),
    ],
)
def test_a_message_of_one_row_is_stamped_with_the_time_it_happened(frame: bytes, expected: list[int]) -> None:
    assert decode(frame).tolist() == [expected]
    assert decode(json.dumps(json.loads(frame)["data"]).encode()).tolist() == [expected]  # bare, and with spaces
    assert decode(json.dumps(json.loads(frame), indent=1, sort_keys=True).encode()).tolist() == [expected]


def test_a_diff_tells_the_id_before_it() -> None:
    stamp = [0, 7, 1000, 1723161256298000000]
    assert decode(DIFF).tolist() == [
        [r.DIFF, *stamp, 0, 5123107832006, 5123107837557, 3, 5123107831937, 0],
        [r.LEVEL, *stamp, 0, r.BID, 5871020, 14, 0, 0],
        [r.LEVEL, *stamp, 0, r.BID, 6149650, 0, 0, 0],
        [r.LEVEL, *stamp, 1, r.ASK, 6180030, 3330, 0, 0],
    ]
    assert decode(COIN_DIFF)[:, r.FIELDS : r.FIELDS + 4].tolist() == [
        [1007198631260, 1007198631565, 1, 1007198631198],
        [r.ASK, 618060, 7, 0],
    ]


def test_a_contract_with_delivery_has_no_funding() -> None:
    frame = b'{"e":"markPriceUpdate","E":1,"s":"BTCUSD_PERP","p":"62000.1","P":"62000.2","i":"","r":"","T":0}'
    assert decode(frame)[0, r.FIELDS :].tolist() == [6200010000000, 0, 6200020000000, 0, 0]


@pytest.mark.parametrize("stream", ["btcusdt@depth5", "btcusdt@depth20@100ms", "btcusdt@rpiDepth@500ms", "depth", ""])
def test_a_partial_book_looks_like_a_diff_and_is_none(stream: str) -> None:
    told = BOTH.decode(DIFF.replace(b"btcusdt@depth@0ms", stream.encode()), "m.market.0", 7, 1000)
    if not stream:
        assert not isinstance(told, tuple)  # no name: as bare
    else:
        assert told == (Unrecognised("m.market.0", f"ValueError: the books of stream {stream!r} are not diffs"),)
        assert same(told, exact(DIFF.replace(b"btcusdt@depth@0ms", stream.encode())))
    for name in (b"btcusdt@depth", b"btcusdt@depth@500ms", b"btcusdt@depth@100ms"):
        assert len(decode(DIFF.replace(b"btcusdt@depth@0ms", name))) == 4


def test_a_snapshot_of_coin_m_says_whose_it_is() -> None:
    rows = BOTH.decode_snapshot(SNAPSHOT, BTC.id, 7, 1000)
    assert not isinstance(rows, tuple)
    assert rows[0].tolist() == [r.SNAPSHOT, 0, 7, 1000, 1723161256493000000, 0, 5123107852948, 0, 3, 0, 0]
    assert rows[1:, r.LEVEL_SIDE : r.LEVEL_SIZE + 1].tolist() == [
        [0, 6180020, 2909],
        [1, 6180030, 1072],
        [1, 6180100, 2000],
    ]
    assert same(rows, BOTH.decode_snapshot(SNAPSHOT.replace(b":", b": "), BTC.id, 7, 1000))
    assert len(BOTH.decode_snapshot(COIN_SNAPSHOT, COIN.id, 7, 1000)) == 2
    for payload in (COIN_SNAPSHOT, COIN_SNAPSHOT.replace(b":", b": ")):
        (event,) = BOTH.decode_snapshot(payload, BTC.id, 7, 1000)
        assert event == Unrecognised(
            f"depth snapshot of {BTC.id}", "ValueError: asked for the book of BTCUSDT, told that of 'BTCUSD_PERP'"
        )


def test_values_that_may_not_enter_are_flags_but_for_what_is_computed() -> None:
    for frame, kind, value in (
        (TICKER, r.QUOTE, b"61800.20"),
        (TRADE, r.TRADE, b"61800.30"),
        (DIFF, r.DIFF, b"58710.20"),
    ):
        for bad in (b"61800.205", b"-1", b"NaN", b"", b"9007199254740993"):
            rows = decode(frame.replace(value, bad))
            assert rows[:, [r.TYPE, r.LAST, r.BAD_VALUE_TYPE]].tolist() == [[r.BAD_VALUE, 1, kind]]
    for bad in (b"28155.123456789", b"-1", b""):
        (event,) = BOTH.decode(MARK.replace(b"28155.10000000", bad), "m.market.0", 7, 1000)
        assert isinstance(event, Unrecognised)
        assert "cannot be kept" in event.error


def test_answers_and_other_streams_are_events() -> None:
    assert BOTH.decode(b'{"result":null,"id":2}', "m", 7, 1000) == (Subscribed("2"),)
    refused = b'{"error":{"code":2,"msg":"Invalid request"},"id":1}'
    assert BOTH.decode(refused, "m", 7, 1000) == (Answer(Outcome.REFUSED, code=2, text="Invalid request"),)
    spot = b'{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"1","A":"1"}'
    for frame in (b'{"e":"forceOrder","E":1,"o":{}}', b'{"e":"kline","s":"BTCUSDT"}', b"[]", b"", spot):
        (event,) = BOTH.decode(frame, "m", 7, 1000)
        assert isinstance(event, Unrecognised)


@pytest.mark.slow
@settings(max_examples=examples(1500), deadline=None)
@given(st.data())
def test_mutated_frames_never_raise_and_both_ways_agree(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([*FRAMES, SNAPSHOT, COIN_SNAPSHOT])))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        match data.draw(st.sampled_from(["set", "delete", "insert", "swap", "cut"])):
            case "set":
                frame[at] = data.draw(st.integers(0, 255))
            case "delete":
                del frame[at : at + data.draw(st.integers(1, 12))]
            case "insert":
                frame[at:at] = data.draw(
                    st.sampled_from(
                        [b'"', b"\\", b"{", b"[", b",", b"0", b"-", b"@", b"9" * 30, b" ", b"\x00", b"\xc3"]
                    )
                )
            case "swap":
                other = data.draw(st.integers(0, len(frame) - 1))
                frame[at], frame[other] = frame[other], frame[at]
            case _:
                del frame[at + 1 :]
        if not frame:
            return
    payload = bytes(frame)
    told = BOTH.decode(payload, "m.market.0", 7, 1000)
    assert same(told, exact(payload)), payload
    many = BOTH.decode_many([payload, TICKER], np.array([7, 8]), np.array([1000, 1001]))
    assert (many is None) == isinstance(told, tuple)
    if many is not None:
        assert same(many[0][: many[1][0]], told)
    packed = PackedPayloads.pack([payload, b"of another link", TICKER])
    apart = PackedPayloads(packed.text, packed.begins[[0, 2]], packed.ends[[0, 2]])
    assert str(BOTH.decode_many(apart, np.array([7, 8]), np.array([1000, 1001]))) == str(many)
    snapshot = BOTH.decode_snapshot(payload, COIN.id, 7, 1000)
    for rows in (told, snapshot):
        if not isinstance(rows, tuple):
            assert rows[-1, r.LAST] == 1
            assert int(rows[:, r.LAST].sum()) == 1
            assert (rows[:, r.TYPE] > 0).all()
            Market.empty([BTC, COIN]).fold(rows)


# ---- the join, in small


class Tape:
    """Diffs and snapshots of one book: (U, u, pu) and an id."""

    def __init__(self) -> None:
        self.market = Market.empty([BTC])
        self.seq = 0

    def diff(self, first: int, last: int, before: int, price: int = 100) -> int:
        return self._fold([r.DIFF, first, last, 1, before], [r.LEVEL, r.BID, price, 1])

    def snapshot(self, last: int) -> int:
        return self._fold([r.SNAPSHOT, last, 0, 1], [r.LEVEL, r.BID, 1, 1])

    def _fold(self, *table: list[int]) -> int:
        self.seq += 1
        rows = np.zeros((len(table), r.COLUMNS), np.int64)
        for row, (kind, *values) in zip(rows, table, strict=True):
            row[[r.TYPE, r.SEQ, r.TIME_NS]] = kind, self.seq, self.seq
            row[r.FIELDS : r.FIELDS + len(values)] = values
        rows[-1, r.LAST] = 1
        assert self.market.fold(rows) == len(rows)
        return self.market.flags

    @property
    def counts(self) -> tuple[int, int, int]:
        counters = self.market.counters(0)
        return counters.diffs_applied, counters.diffs_dropped, counters.book_gaps


def test_ids_with_holes_are_continuous_by_the_one_before() -> None:
    tape = Tape()
    assert tape.diff(100, 110, 90) == BOOK_NEEDS_SNAPSHOT
    assert tape.diff(150, 160, 110) == 0
    assert tape.snapshot(155) == BOOK_JOINED
    assert tape.diff(190, 200, 160) == 0
    assert (tape.counts, tape.market.book_id(0)) == ((2, 1, 0), 200)
    assert tape.diff(230, 240, 220) == BOOK_NEEDS_SNAPSHOT | MISSED  # something ended at 220
    assert tape.market.book_state(0) is BookState.BROKEN
    assert (tape.market.last_break(0).last_id, tape.market.last_break(0).first_id) == (200, 230)


def test_the_first_diff_behind_a_snapshot_may_reach_back_and_no_other() -> None:
    tape = Tape()
    assert tape.snapshot(105) == BOOK_JOINED
    assert tape.diff(100, 105, 90) == 0  # u = lastUpdateId: it is applied, the venue drops only u < lastUpdateId
    assert tape.diff(107, 120, 105) == 0
    assert tape.counts == (2, 0, 0)
    assert tape.diff(115, 130, 110) == BOOK_NEEDS_SNAPSHOT  # it overlaps, which no stream does; nothing is missing
    assert tape.market.book_state(0) is BookState.BROKEN
    again = Tape()
    again.snapshot(105)
    assert again.diff(100, 110, 90) == 0
    assert again.counts == (1, 0, 0)
    late = Tape()
    late.snapshot(105)
    assert late.diff(120, 130, 110) == BOOK_NEEDS_SNAPSHOT  # between 105 and 110 there was one


def test_a_snapshot_older_than_what_was_kept_is_refused_and_asked_for_again() -> None:
    tape = Tape()
    tape.diff(100, 110, 90)
    assert tape.snapshot(89) == BOOK_NEEDS_SNAPSHOT
    assert tape.market.counters(0).snapshots_refused == 1
    assert tape.snapshot(95) == BOOK_JOINED  # U = 100 is above it, pu = 90 is not: no change of this book is between
    assert tape.counts == (1, 0, 0)


def test_a_gap_among_the_diffs_kept_leaves_only_what_follows() -> None:
    tape = Tape()
    tape.diff(100, 110, 90)
    assert tape.diff(150, 160, 140) == MISSED
    assert tape.snapshot(145) == BOOK_JOINED
    assert tape.counts == (1, 1, 1)


def test_a_reconnect_in_which_nothing_was_lost_tells_of_no_gap() -> None:
    tape = Tape()
    tape.snapshot(105)
    tape.diff(107, 120, 105)
    tape.market.reset_books(0)
    assert tape.diff(118, 140, 115) == BOOK_NEEDS_SNAPSHOT  # another server may cut the ids elsewhere
    tape.market.reset_books(0)
    assert tape.diff(160, 170, 150) == BOOK_NEEDS_SNAPSHOT | MISSED


# ---- metadata


def exchange_info(data: Path, path: str) -> bytes:
    routes = json.loads((data / "rest" / "binance" / "gct-http-mock.json").read_text())["routes"]
    return json.dumps(routes[path]["GET"][0]["data"]).encode()


def test_contracts_are_instruments(shared_data: Path) -> None:
    """exchangeInfo of August 2025."""
    body = exchange_info(shared_data, "/dapi/v1/exchangeInfo")
    coins = {of.symbol: of for of in read_exchange_info(body, "binance_coinm", inverse=True)}
    assert len(coins) == 25
    assert coins["BTCUSD_PERP"] == Instrument(
        id="binance_coinm:BTCUSD_PERP",
        venue="binance_coinm",
        symbol="BTCUSD_PERP",
        base="BTC",
        quote="USD",
        price_scale=1,
        size_scale=0,
        tick_size=Decimal("0.1"),
        lot_size=Decimal(1),
        price_min=Decimal(1000),
        price_max=Decimal(4520958),
        quantity_min=Decimal(1),
        quantity_max=Decimal(1000000),
        market_quantity_max=Decimal(60000),
        contract="PERPETUAL",
        contract_size=Decimal(100),
        inverse=True,
        margin="BTC",
    )
    assert not coins["GALAUSD_PERP"].trading  # DELIVERING
    body = exchange_info(shared_data, "/fapi/v1/exchangeInfo")
    dollars = {of.symbol: of for of in read_exchange_info(body, "binance_usdm", inverse=False)}
    btc = dollars["BTCUSDT"]
    assert (btc.price_scale, btc.tick_size, btc.size_scale, btc.lot_size) == (2, Decimal("0.1"), 3, Decimal("0.001"))
    assert (btc.notional_min, btc.margin, btc.inverse, btc.contract_size, btc.delivery_ns) == (
        Decimal(100),
        "USDT",
        False,
        Decimal(1),
        0,
    )
    assert read_rate_limits(body) == RateLimits(2_400, 300)
    assert read_rate_limits(b'{"symbols":[]}') == RateLimits(2_400, 300)
    excerpt = json.loads((shared_data / "rest" / "binance" / "exchangeinfo-2023-excerpt.json").read_text())
    (quoted,) = read_exchange_info(json.dumps({"symbols": excerpt["cm"]}).encode(), "binance_coinm", inverse=True)
    assert quoted.contract_size == Decimal(100)


def test_every_contract_of_a_real_exchange_has_scales_that_fit(shared_data: Path) -> None:
    """122 of July 2021, when BTCUSDT's tick was 0.01."""
    real = (shared_data / "captures" / "cryptofeed" / "BINANCE_FUTURES.0").read_bytes().splitlines()
    line = next(line for line in real if b"exchangeInfo -> " in line)
    found = {of.symbol: of for of in read_exchange_info(line[line.index(b"{") :], "binance_usdm", inverse=False)}
    assert len(found) == 122
    assert found["BTCUSDT"].tick_size == Decimal("0.01")
    for of in found.values():
        assert of.tick_size % Decimal(1).scaleb(-of.price_scale) == 0
        assert of.lot_size % Decimal(1).scaleb(-of.size_scale) == 0
        assert of.price_max * 10**of.price_scale <= r.VALUE_MAX
        assert of.quantity_max * 10**of.size_scale <= r.VALUE_MAX
    delivered = [of for of in found.values() if of.delivery_ns]
    assert {of.contract for of in delivered} == {"CURRENT_QUARTER"}
    assert {of.symbol for of in delivered} == {"BTCUSDT_210924", "ETHUSDT_210924"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"symbols":[{}]}',
        b'{"symbols":[{"symbol":"A","baseAsset":"A","quoteAsset":"B","marginAsset":"A","filters":[{"filterType":"LOT_SIZE","stepSize":"x"}]}]}',
    ],
)
def test_a_broken_answer_says_what_is_wrong(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        read_exchange_info(body, "binance_usdm", inverse=False)


def test_a_session_of_before_there_were_contracts_reads_as_it_did(shared_data: Path) -> None:
    """The new fields have defaults, and they pass through canonical JSON."""
    golden = Path(__file__).parent / "golden" / "v1"
    body = Journal.open(golden).session_record().body or ""
    assert "contract" not in body
    (of,) = read_session(body).instruments
    assert (of.contract, of.contract_size, of.inverse, of.margin, of.delivery_ns) == ("", Decimal(1), False, "", 0)
    quarter = read_exchange_info(exchange_info(shared_data, "/dapi/v1/exchangeInfo"), "binance_coinm", inverse=True)
    session = read_session(body)
    changed = SessionBody(
        **{**{name: getattr(session, name) for name in session.__struct_fields__}, "instruments": quarter}
    )
    assert read_session(canonical(changed)) == changed


# ---- what a contract is worth


def test_an_inverse_contract_is_paid_in_its_base() -> None:
    """50 contracts of 100 USD, bought at 50,000 and sold at 62,500: 5000 * (1/50000 - 1/62500) BTC."""
    n, entry, out = Decimal(50), Decimal(50_000), Decimal(62_500)
    assert contracts.asset_of(COIN) == "BTC"
    assert contracts.worth(COIN, n, entry) == Decimal("0.1")
    assert contracts.worth(COIN, n, out) == Decimal("0.08")
    assert contracts.gain(COIN, n, entry, out) == Decimal("0.02")
    assert contracts.gain(COIN, -n, entry, out) == Decimal("-0.02")
    assert contracts.gain(COIN, n, out, entry) == Decimal("-0.02")
    assert contracts.funding(COIN, n, entry, Decimal("0.0001")) == Decimal("-0.00001")
    assert contracts.funding(COIN, -n, entry, Decimal("0.0001")) == Decimal("0.00001")


def test_a_linear_contract_is_paid_in_its_quote() -> None:
    assert contracts.asset_of(BTC) == "USDT"
    assert contracts.worth(BTC, Decimal(2), Decimal(100)) == Decimal(200)
    assert contracts.gain(BTC, Decimal(-2), Decimal(100), Decimal(90)) == Decimal(20)
    assert contracts.gain(BTC, Decimal(0), Decimal(100), Decimal(90)) == 0
    assert contracts.funding(BTC, Decimal(2), Decimal(100), Decimal("-0.01")) == Decimal(2)


@given(*(st.integers(1, 10_000) for _ in range(5)))
def test_an_average_entry_neither_makes_nor_loses_a_gain(
    first: int, more: int, entry: int, price: int, out: int
) -> None:
    for of in (BTC, COIN):
        n, m, at, then, exit_price = map(Decimal, (first, more, entry, price, out))
        average = contracts.entry_of(of, n, at, m, then)
        apart = contracts.gain(of, n, at, exit_price) + contracts.gain(of, m, then, exit_price)
        assert abs(contracts.gain(of, n + m, average, exit_price) - apart) < Decimal("1e-18")


# ---- the dialect


def test_links_go_by_route_and_a_route_says_what_comes_over_it() -> None:
    venue: Venue = USDM
    assert [(plan.source, plan.role, plan.path) for plan in venue.links()] == [
        ("binance_usdm.market.0", "market", "/public/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker"),
        ("binance_usdm.market.1", "market", "/market/stream?streams=btcusdt@aggTrade/btcusdt@markPrice@1s"),
        ("binance_usdm.private.0", "private", "/private/ws/{token}"),
    ]
    assert USDM.streams_of("binance_usdm.market.0") == (Stream.BOOK, Stream.QUOTE)
    assert USDM.streams_of("binance_usdm.market.1") == (Stream.TRADE, Stream.MARK)
    (plan,) = COINM.links()
    assert (
        plan.path
        == "/stream?streams=btcusd_perp@depth@100ms/btcusd_perp@bookTicker/btcusd_perp@aggTrade/btcusd_perp@markPrice@1s"
    )
    assert set(COINM.streams_of(plan.source)) == set(Stream)


def test_many_instruments_take_many_links_and_none_is_left_out() -> None:
    many = [Instrument(f"v:{n}", "v", f"S{n}", "B", "Q", 2, 3, Decimal(1), Decimal(1)) for n in range(600)]
    for cls, count in ((BinanceUsdm, 4), (BinanceCoinm, 3)):
        venue: BinanceFutures = cls(many)
        plans = [plan for plan in venue.links() if plan.role is LinkRole.MARKET]
        assert len(plans) == count
        asked = [re.findall(r"(\w+)@(depth@100ms|bookTicker|aggTrade|markPrice@1s)", plan.path) for plan in plans]
        assert max(map(len, asked)) <= 1024
        assert sorted(stream for each in asked for stream in each) == sorted(
            (of.symbol.lower(), stream)
            for of in many
            for stream in ("depth@100ms", "bookTicker", "aggTrade", "markPrice@1s")
        )
        for plan, streams in zip(plans, asked, strict=True):
            assert {of.symbol.lower() for of in venue.instruments_of(plan.source)} == {symbol for symbol, _ in streams}


def test_questions_and_what_their_answers_prove(shared_data: Path) -> None:
    asked = USDM.snapshots.request(BTC)
    assert (asked.path, asked.params, asked.signed, asked.weight) == (
        "/fapi/v1/depth",
        (("symbol", "BTCUSDT"), ("limit", "1000")),
        False,
        20,
    )
    assert [DepthSnapshots("/dapi/v1", DEPTH_WEIGHTS).request(COIN, limit).weight for limit in (5, 50, 100, 500)] == [
        2,
        2,
        5,
        10,
    ]
    assert USDM.signer.sign_http(asked, None, 0).path_and_query == "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    assert USDM.decode_answer(asked, BTC.id, 200, {"X-MBX-USED-WEIGHT-1M": "20"}, SNAPSHOT) == (
        Answer(Outcome.DONE, weight_used=20),
    )
    assert USDM.decode_answer(USDM.server_time(), "", 200, {}, b'{"serverTime":5}') == (
        Answer(Outcome.DONE),
        ServerTime(5_000_000),
    )
    body = exchange_info(shared_data, COINM.metadata.request().path)
    answer, report = COINM.decode_answer(COINM.metadata.request(), "", 200, {}, body)
    assert isinstance(report, InstrumentsReport)
    assert (answer, len(report.instruments), report.rate_limits) == (Answer(Outcome.DONE), 25, RateLimits(2_400, 300))
    (refused,) = USDM.decode_answer(asked, BTC.id, 400, {}, b'{"code":-1121,"msg":"Invalid symbol."}')
    assert (refused.outcome, refused.code, refused.text) == (Outcome.REFUSED, -1121, "Invalid symbol.")
    for body in (b"", b"[]", b"\xff", b'{"serverTime":"x"}'):
        (answer, error) = USDM.decode_answer(USDM.server_time(), "", 200, {}, body)
        assert (answer, type(error)) == (Answer(Outcome.UNKNOWN), Unrecognised)


def test_a_session_that_trades_coin_m_is_refused_in_one_line() -> None:
    values = {
        "instruments": ("BTCUSD_PERP",),
        "venue": {
            "name": "binance_coinm",
            "rest": "https://dapi.binance.com",
            "stream": "wss://dstream.binance.com",
            "private": "wss://x",
        },
        "strategy": {"q": {"file": "q.py:Quoter"}},
    }
    with pytest.raises(ConfigError, match=r"binance_coinm supports market data only"):
        session_config(make_config(values, "test", {}), key=None)
    assert isinstance(make_venue(VenueSettings(name="binance_coinm"), [COIN]), BinanceCoinm)


# ---- a recording, against a server of ours that plays a capture


class Server:
    """Answers GET exchangeInfo and depth, and plays a capture's frames on the routes; the connection of trades it loses
    once.
    """

    def __init__(self, data: Path) -> None:
        self.info = exchange_info(data, "/fapi/v1/exchangeInfo")
        self.asked: list[str] = []
        self.keys: list[str] = []
        self.sent: dict[str, list[bytes]] = {"/public": [], "/market": []}
        self._lost = False
        self._frames: dict[str, list[bytes]] = {"/public": [], "/market": []}
        with gzip.open(data / "captures" / "binance" / "usdm_btcusdt_20230404.dat.gz") as capture:
            for line in capture.read().splitlines()[:4000]:
                frame = line[17:].strip()
                if frame.startswith(b'{"lastUpdateId"'):
                    self.snapshot = frame
                elif b"@depth" in frame or b"@bookTicker" in frame:
                    self._frames["/public"].append(frame)
                else:
                    self._frames["/market"].append(as_aggregate(frame))
        first = next(n for n, frame in enumerate(self._frames["/public"]) if b"@depth" in frame)
        del self._frames["/public"][:first]  # a ticker before it would be older than the snapshot that it requests

    def answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        self.keys += request.headers.get_all("X-MBX-APIKEY")
        self.asked.append(request.path)
        bodies = {"/fapi/v1/exchangeInfo": self.info, "/fapi/v1/depth": self.snapshot}
        body = bodies.get(request.path.partition("?")[0])
        if body is None:
            return None
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
        return Response(HTTPStatus.OK, "OK", headers, body)

    def play(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        route = connection.request.path.partition("/stream")[0]
        whole = self._frames[route][len(self.sent[route]) :]
        part = whole[: len(whole) // 2] if route == "/market" and not self._lost else whole
        try:
            for frame in part:
                connection.send(frame.decode())
                self.sent[route].append(frame)
            if part is not whole:
                self._lost = True
                connection.close()
            connection.recv()
        except ConnectionClosed:
            pass


def as_aggregate(frame: bytes) -> bytes:
    """Return a trade as the documented stream would send it if that were the only stream."""
    trade = json.loads(frame)
    if not trade["stream"].endswith("@trade"):
        return frame
    of = trade["data"]
    ids = {"a": of["t"] - 1_000_000_000, "s": of["s"], "p": of["p"], "q": of["q"], "f": of["t"], "l": of["t"]}
    told = {"e": "aggTrade", "E": of["E"], **ids, "T": of["T"], "m": of["m"]}
    return json.dumps({"stream": "btcusdt@aggTrade", "data": told}, separators=(",", ":")).encode()


@contextmanager
def serving(server: Server) -> Iterator[str]:
    with serve(server.play, "127.0.0.1", 0, process_request=server.answer, compression=None) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.socket.getsockname()[1]}"
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.slow
def test_a_recording_takes_down_both_routes_and_can_be_repeated(shared_data: Path, tmp_path: Path) -> None:
    server = Server(shared_data)
    with serving(server) as address:
        arguments = [
            "--venue",
            "binance_usdm",
            "--url",
            f"http://{address}",
            "--symbol",
            "BTCUSDT",
            "--journals",
            str(tmp_path),
            "--for",
            "6",
        ]
        ended = CliRunner().invoke(command, arguments)
    assert ended.exit_code == 0, ended.output + ended.stderr
    (found,) = list_sessions(tmp_path)
    records = list(Journal.open(found.path).records())
    assert verify(found.path).problems == []
    assert replay_session(found.path).identical

    # every frame of both routes, in order, and no request needed a key
    taken = {source: [record.payload for record in frames] for source, frames in by_source(records)}
    assert taken == {"binance_usdm.market.0": server.sent["/public"], "binance_usdm.market.1": server.sent["/market"]}
    assert len(taken["binance_usdm.market.0"]) > 3000
    asked = [read_request(record.body or "") for record in records if record.kind is Kind.REQUEST]
    assert [request.purpose for request in asked] == ["connect", "connect", "depth", "connect"]
    assert server.keys == []
    assert sorted(path for path in server.asked if "stream" not in path) == [
        "/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
        "/fapi/v1/exchangeInfo",
    ]
    assert {path.partition("?")[0] for path in server.asked if "stream" in path} == {"/public/stream", "/market/stream"}

    # the loss of the trades' connection made no book stale, and is recorded as a gap of that connection alone
    down = next(
        record for record in records if record.kind is Kind.LINK and read_link(record.body or "").state == "down"
    )
    last = max(
        record.seq
        for record in records
        if record.source == "binance_usdm.market.1" and record.kind is Kind.FEED and record.seq < down.seq
    )
    told = set(asked_for(connect(found.path), "SELECT source, from_seq FROM gaps"))
    assert told == {("binance_usdm.market.1", last)}

    market = rebuild(found.path)[1].market
    expected = Market.empty(market.instruments)
    dialect = BinanceUsdm(market.instruments).market
    for seq, payload in enumerate(
        [*server.sent["/public"][:1], server.snapshot, *server.sent["/public"][1:], *server.sent["/market"]]
    ):
        rows = (
            dialect.decode_snapshot(payload, BTC.id, seq, seq)
            if payload is server.snapshot
            else dialect.decode(payload, "m", seq, seq)
        )
        assert not isinstance(rows, tuple)
        expected.fold(rows)
    assert market.book_state(0) is BookState.SYNCED
    assert market.book_text(0) == expected.book_text(0)
    assert market.counters(0).volume == expected.counters(0).volume > 0
    mark, other = market.mark(0), expected.mark(0)
    assert mark is not None
    assert other is not None
    assert (mark.price, mark.funding_rate, mark.next_funding_ns) == (
        other.price,
        other.funding_rate,
        other.next_funding_ns,
    )


def by_source(records: list[Record]) -> list[tuple[str, list[Record]]]:
    frames = sorted(
        (record for record in records if record.kind is Kind.FEED and record.meta is None),
        key=lambda record: (record.source, record.seq),
    )
    return [(source, list(each)) for source, each in groupby(frames, key=lambda record: record.source)]
