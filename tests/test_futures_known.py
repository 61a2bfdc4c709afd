"""The USD-M and COIN-M captures, through the decoder and the fold, against books, totals and bars computed with exact
decimals.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from compiled_and_plain import both_ways
from tiers import first_is_quick

from engine.events import Unrecognised
from engine.market import rows as r
from engine.market.layout import BOOK_JOINED, BOOK_NEEDS_SNAPSHOT, MISSED
from engine.market.market_state import Market
from engine.market.views import BarSpec, BookState, BookTop, Mark, Quote, SequenceBreak
from engine.model import Instrument
from engine.venues.binance_coinm import BinanceCoinm
from engine.venues.binance_futures import BinanceFutures
from engine.venues.binance_futures.metadata import read_exchange_info
from engine.venues.binance_usdm import BinanceUsdm

MINUTE_NS = 60_000_000_000
NAMES = ("usdm_btcusdt_2023", "usdm_btcusdt_jul", "usdm_btcusdt_aug", "cm_btcusd_perp")
SOURCE = "market.0"


def instrument(name: str) -> Instrument:
    """Of that day; no test here depends on a scale being just so."""
    if name.startswith("cm"):
        dialect, symbol, quote, scales, steps = "binance_coinm", "BTCUSD_PERP", "USD", (1, 0), ("0.1", "1")
    else:
        dialect, symbol, quote, scales, steps = "binance_usdm", "BTCUSDT", "USDT", (2, 3), ("0.1", "0.001")
    tick, lot = map(Decimal, steps)
    return Instrument(f"{dialect}:{symbol}", dialect, symbol, "BTC", quote, *scales, tick, lot)


def venue_of(of: Instrument) -> BinanceFutures:
    return BinanceCoinm([of]) if of.venue == BinanceCoinm.name else BinanceUsdm([of])


@cache
def known(data: Path, name: str) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((data / "known" / "binance_books_and_trades.json").read_text())["captures"][name]
    return whole


@cache
def lines(data: Path, name: str) -> list[tuple[int, bytes]]:
    """Return the lines of all its files in order: the later ones have no snapshot, and continue the book of the first."""
    found = []
    for file in known(data, name)["files"]:
        with gzip.open(data / "captures" / "binance" / file) as capture:
            for line in capture:
                stamp, _, frame = line.partition(b" ")
                found.append(
                    (int(stamp) * 1000 ** (len(stamp) == 16), frame.strip())
                )  # those of 2023 are in microseconds
    return found


def is_snapshot(frame: bytes) -> bool:
    return frame.startswith(b'{"lastUpdateId"')


def is_diff(frame: bytes) -> bool:
    return b'"e":"depthUpdate"' in frame


class Session:
    """A capture played into a market, line by line."""

    def __init__(self, of: Instrument) -> None:
        self.of = of
        self.dialect = venue_of(of).market
        self.market = Market.empty([of], [BarSpec(of.id, MINUTE_NS)])
        self.wakes: list[tuple[int, int]] = []

    def take(self, seq: int, time_ns: int, frame: bytes) -> None:
        if is_snapshot(frame):
            rows = self.dialect.decode_snapshot(frame, self.of.id, seq, time_ns)
        else:
            rows = self.dialect.decode(frame, SOURCE, seq, time_ns)
        assert not isinstance(rows, tuple), rows
        assert self.market.fold(rows) == len(rows)
        if self.market.flags:
            self.wakes.append((seq, self.market.flags))

    def told(self) -> dict[str, Any]:
        """The book in the words of `known`."""
        top = self.market.book_top(0, 1)
        assert top is not None
        bid, bid_qty, ask, ask_qty = (f"{number:f}" for level in (*top.bids, *top.asks) for number in level)
        return {
            "u": top.update_id,
            "best_bid": bid,
            "best_bid_qty": bid_qty,
            "best_ask": ask,
            "best_ask_qty": ask_qty,
            "bid_levels": self.market.book_levels(0)[0],
            "ask_levels": self.market.book_levels(0)[1],
            "top20_sha256": sha(self.market.book_text(0, 20)),
            "full_sha256": sha(self.market.book_text(0)),
        }


class UpdateIds(msgspec.Struct):
    u: int
    U: int = 0


class Message(msgspec.Struct):
    data: UpdateIds


class Played(NamedTuple):
    """The values collected on the way through a capture."""

    session: Session
    books: dict[int, dict[str, Any]]  # at the known points, by update id
    tops: list[tuple[int, BookTop]]  # (U of the diff, the book behind it); with the snapshot first alone
    quotes: list[tuple[int, Quote]]  # (update id, the quote); as above
    ends: list[tuple[str, str]]  # volume and notional at the end of each file


@cache
def played(data: Path, name: str, *, snapshot_first: bool = False) -> Played:
    """As captured; or with the snapshot before all else: so no diff waits for it, and the book is seen behind each."""
    expected = known(data, name)
    points = {point["u"] for point in expected["depth"]["checkpoints"]}
    last_lines = [sum(count["lines"] for count in expected["counts"][: n + 1]) for n in range(len(expected["counts"]))]
    session = Session(instrument(name))
    seen = Played(session, {}, [], [], [])
    market = session.market
    captured, snapshot = list(lines(data, name)), expected["depth"]["snapshot"]["line"]
    if snapshot_first:
        captured.insert(0, captured.pop(snapshot))
    for seq, (time_ns, frame) in enumerate(captured):
        session.take(seq, time_ns, frame)
        synced = market.book_state(0) is BookState.SYNCED
        if synced and market.book_id(0) in points and market.book_id(0) not in seen.books:
            seen.books[market.book_id(0)] = session.told()
        if snapshot_first:
            note_top(seen, frame, synced=synced)
        if seq + 1 in last_lines:
            counters = market.counters(0)
            seen.ends.append((f"{counters.volume:f}", f"{counters.notional:f}"))
    return seen


def note_top(seen: Played, frame: bytes, *, synced: bool) -> None:
    """Note the book behind a diff that moved it, or a quote."""
    market = seen.session.market
    if synced and is_diff(frame):
        ids = msgspec.json.decode(frame, type=Message).data
        if ids.u == market.book_id(0):
            top = market.book_top(0, 1)
            assert top is not None
            seen.tops.append((ids.U, top))
    elif b'"e":"bookTicker"' in frame:
        quote = market.quote(0)
        assert quote is not None
        seen.quotes.append((msgspec.json.decode(frame, type=Message).data.u, quote))


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("name", first_is_quick(NAMES))
def test_the_books_are_the_known_ones_at_every_checkpoint(shared_data: Path, name: str) -> None:
    """Also behind the file that holds the snapshot: on 1.08 s of silence between the files of July nothing is lost."""
    expected = known(shared_data, name)["depth"]
    points = {point["u"]: point for point in expected["checkpoints"]}
    seen, snapshot = played(shared_data, name), expected["snapshot"]["line"]
    each_alone = played(shared_data, name, snapshot_first=True)
    assert sorted(each_alone.books) == sorted(points)
    assert set(points) - set(seen.books) <= {
        expected["join"]["u"]
    }  # applied at the snapshot, with the diffs kept behind it
    for u, book in [*each_alone.books.items(), *seen.books.items()]:
        assert book == {key: points[u][key] for key in book}
    assert each_alone.session.told() == seen.session.told()
    market = seen.session.market
    counters = market.counters(0)
    diffs = sum(is_diff(frame) for _, frame in lines(shared_data, name))
    assert counters.diffs_applied == max(point["applied"] for point in points.values())
    assert counters.diffs_dropped == expected.get("dropped_as_older", 0) == diffs - counters.diffs_applied
    assert (counters.book_gaps, counters.snapshots_refused, market.conditions(0)) == (0, 0, 0)
    assert market.messages == sum(count["lines"] for count in known(shared_data, name)["counts"])
    # at most one request for a snapshot, one join at the snapshot's own line; no break, no crossed book ever
    first = next(seq for seq, (_, frame) in enumerate(lines(shared_data, name)) if is_diff(frame))
    asked = [(first, BOOK_NEEDS_SNAPSHOT)] if first < snapshot else []
    assert seen.session.wakes == [*asked, (snapshot, BOOK_JOINED)]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_trades_and_minute_bars_are_the_known_ones(shared_data: Path, name: str) -> None:
    of_capture = known(shared_data, name)
    expected = of_capture.get("trades_all") or of_capture["trades"]
    seen = played(shared_data, name)
    market = seen.session.market
    counters = market.counters(0)
    assert counters.trades == expected["count"]
    assert counters.trades_buyer_is_maker == expected["buyer_is_maker"]
    assert (counters.trade_id_gaps, counters.trades_repeated) == (expected["id_gaps"], 0) == (0, 0)
    assert (f"{counters.volume:f}", f"{counters.notional:f}") == (expected["base_volume"], expected["quote_volume"])
    for key, total in (("base_volume", 0), ("quote_volume", 1)):
        sums = [
            sum(Decimal(each[key]) for each in of_capture.get("trades_per_file", [expected])[: n + 1])
            for n in range(len(seen.ends))
        ]
        assert [Decimal(end[total]) for end in seen.ends] == sums
    last = market.last_trade(0)
    assert last is not None
    assert (last.trade_id, last.venue_ns) == (expected["last_id"], expected["last_T"] * 1_000_000)
    bars = market.bars(0, MINUTE_NS)
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


COMPARABLE = {"usdm_btcusdt_aug": 5703, "cm_btcusd_perp": 6556}  # MANIFEST.md; it gives the others by file
FIRST_FILE = {"usdm_btcusdt_2023": 2002, "usdm_btcusdt_jul": 1713}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_top_equals_the_ticker_wherever_they_can_be_compared(shared_data: Path, name: str) -> None:
    """The ticker with the largest u not above the diff's u, where it is not below the diff's U (MANIFEST.md)."""
    seen = played(shared_data, name, snapshot_first=True)
    first_file = known(shared_data, name)["counts"][0]["lines"]
    compared, in_first, at = 0, 0, 0
    quotes = sorted(seen.quotes, key=lambda quote: quote[0])  # some come behind the diff that covers them
    for first_id, top in seen.tops:
        while at + 1 < len(quotes) and quotes[at + 1][0] <= top.update_id:
            at += 1
        update_id, quote = quotes[at]
        if first_id <= update_id <= top.update_id:
            compared += 1
            in_first += top.seq < first_file
            assert top.bids[0] == (quote.bid, quote.bid_size)
            assert top.asks[0] == (quote.ask, quote.ask_size)
    if name in COMPARABLE:
        assert compared == COMPARABLE[name]
    else:
        assert in_first == FIRST_FILE[name]
        assert compared > in_first


@pytest.mark.slow
def test_what_the_venue_computes_is_kept_apart(shared_data: Path) -> None:
    """markPrice@1s of 2023: eight decimals, on no tick."""
    seen = played(shared_data, "usdm_btcusdt_2023").session
    assert seen.market.mark(0) == Mark(
        price=Decimal("28140.1"),
        index=Decimal("28151.52166667"),
        settle=Decimal("28136.70231409"),
        funding_rate=Decimal("0.00002846"),
        next_funding_ns=1680681600000000000,
        seq=73730,
        time_ns=1680653214088260000,
        venue_ns=1680653214000000000,
    )
    assert "marks" in seen.market.digests()
    assert "marks" not in played(shared_data, "cm_btcusd_perp").session.market.digests()
    again = Market.load(seen.market.dump(), [seen.of], [BarSpec(seen.of.id, MINUTE_NS)])
    assert again.digests() == seen.market.digests()
    assert again.mark(0) == seen.market.mark(0)


def test_a_trade_of_the_insurance_fund_is_told_from_one_of_the_book(shared_data: Path) -> None:
    """Count it in the totals. It is at 28722.5 and the book at 28140: it may fill no resting order."""
    dialect = Session(instrument("usdm_btcusdt_2023")).dialect
    off_book = []
    for _, frame in lines(shared_data, "usdm_btcusdt_2023"):
        if b'"e":"trade"' in frame:
            (row,) = dialect.decode(frame, SOURCE, 0, 0)
            if row[r.TRADE_OFF_BOOK]:
                off_book.append((int(row[r.TRADE_ID]), int(row[r.TRADE_PRICE])))
    assert off_book == [(3535191080, 2872250)]


@pytest.mark.parametrize("name", first_is_quick(NAMES))
def test_scan_and_exact_way_agree_and_so_do_one_and_many(shared_data: Path, name: str) -> None:
    dialect = Session(instrument(name)).dialect
    frames = [frame for _, frame in lines(shared_data, name) if not is_snapshot(frame)]
    chosen = [*frames[:1500], *frames[1500::25]]
    one_by_one = [dialect.decode(frame, SOURCE, seq, 10 * seq) for seq, frame in enumerate(chosen)]
    for seq, frame in enumerate(chosen):
        assert one_by_one[seq].tolist() == dialect._exact(frame, SOURCE, seq, 10 * seq).tolist(), frame
    seqs = np.arange(len(chosen), dtype=np.int64)
    at, many = 0, []
    while at < len(chosen):
        rows, ends = dialect.decode_many(chosen[at:], seqs[at:], 10 * seqs[at:])
        many.append(rows)
        at += len(ends)
    assert np.array_equal(np.concatenate(many), np.concatenate(one_by_one))
    plain = sum(not frame.startswith(b'{"stream":"btcusdt@markPrice') for frame in chosen)
    assert len(many) <= 1 + 2 * (len(chosen) - plain), "only mark prices are read one by one"


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_diff_is_found_by_the_id_before_the_next(shared_data: Path, name: str) -> None:
    """U is no evidence: it is behind the last u even if nothing is lost."""
    session = Session(instrument(name))
    after = known(shared_data, name)["depth"]["snapshot"]["line"] + 500
    part = lines(shared_data, name)[: after + 300]
    lost = next(seq for seq in range(after, len(part)) if is_diff(part[seq][1]))
    found = next(seq for seq in range(lost + 1, len(part)) if is_diff(part[seq][1]))
    last = max(seq for seq in range(lost) if is_diff(part[seq][1]))
    for seq, (time_ns, frame) in enumerate(part[: found + 1]):
        if seq != lost:
            session.take(seq, time_ns, frame)
    market = session.market
    assert session.wakes[-1] == (found, BOOK_NEEDS_SNAPSHOT | MISSED)
    assert market.book_state(0) is BookState.BROKEN
    ids = [json.loads(part[seq][1])["data"] for seq in (last, lost, found)]
    assert ids[0]["u"] < ids[1]["u"] == ids[2]["pu"]
    assert market.last_break(0) == SequenceBreak("depth", ids[0]["u"], last, part[last][0], ids[2]["U"])


_PLAIN = """
import hashlib, importlib.util, json, sys
from itertools import islice
from pathlib import Path
spec = importlib.util.spec_from_file_location("known", sys.argv[1])
known = importlib.util.module_from_spec(spec)
spec.loader.exec_module(known)
from engine.market.jit import JIT
told = []
for name in known.NAMES:
    session = known.Session(known.instrument(name))
    digest = hashlib.sha256()
    for seq, (time_ns, frame) in enumerate(islice(known.lines(Path(sys.argv[2]), name), int(sys.argv[3]))):
        session.take(seq, time_ns, frame)
        if not known.is_snapshot(frame):
            digest.update(session.dialect.decode(frame, known.SOURCE, seq, time_ns).tobytes())
        digest.update(repr(sorted(session.market.digests().items())).encode())
    told.append([name, digest.hexdigest(), session.wakes])
print(json.dumps([JIT, told]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("count", [150])
def test_compiled_and_plain_agree_at_every_record(shared_data: Path, count: int) -> None:
    compiled, plain = both_ways(_PLAIN, __file__, str(shared_data), str(count), strict=False)
    assert compiled == plain


# ---- four symbols, metadata and snapshots of one recording of 2021


def cryptofeed(data: Path, name: str) -> Iterator[tuple[int, str, bytes]]:
    """Yield (receive time in ns, requested address or "", body) of the answers and frames in a capture of cryptofeed."""
    for line in (data / "captures" / "cryptofeed" / name).read_bytes().splitlines():
        if found := re.fullmatch(rb"(?:(\S+) -> )?([0-9.]+): (.*)", line):
            address, seconds, body = found.groups()
            yield int(Decimal(seconds.decode()) * 1_000_000_000), (address or b"").decode(), body


def test_a_recording_with_its_own_metadata_joins_wherever_the_snapshot_lies(shared_data: Path) -> None:
    """SUSHI's snapshot is at U of its first diff, the others' at u; sizes are whole, prices have five decimals."""
    (info,) = (
        body for _, address, body in cryptofeed(shared_data, "BINANCE_FUTURES.0") if address.endswith("exchangeInfo")
    )
    listed = {of.symbol: of for of in read_exchange_info(info, "binance_usdm", inverse=False)}
    assert len(listed) == 122
    chosen = [listed[f"{base}USDT"] for base in ("SUSHI", "AKRO", "KEEP", "CTK")]
    venue, market = BinanceUsdm(chosen), Market.empty(chosen)
    messages = sorted(
        [*cryptofeed(shared_data, "BINANCE_FUTURES.http.0.0"), *cryptofeed(shared_data, "BINANCE_FUTURES.ws.1.0")],
        key=lambda message: message[0],
    )
    quotes: list[list[tuple[int, Quote | None]]] = [[] for _ in chosen]
    tops: list[list[tuple[int, BookTop | None]]] = [[] for _ in chosen]
    joined, unused = [], 0
    for seq, (time_ns, address, body) in enumerate(messages):
        if address:
            (symbol,) = re.findall(r"symbol=(\w+)", address)
            rows = venue.market.decode_snapshot(body, f"binance_usdm:{symbol}", seq, time_ns)
        else:
            rows = venue.market.decode(body, SOURCE, seq, time_ns)
        if isinstance(rows, tuple):
            assert rows == (Unrecognised(SOURCE, "no use for the event 'kline'"),)
            unused += 1
            continue
        assert market.fold(rows) == len(rows)
        i = int(rows[0, r.INSTRUMENT])
        joined += [chosen[i].base] if market.flags & BOOK_JOINED else []
        assert not market.flags & MISSED
        if rows[0, r.TYPE] == r.QUOTE:
            quotes[i].append((int(rows[0, r.QUOTE_ID]), market.quote(i)))
        elif market.book_state(i) is BookState.SYNCED and rows[0, r.TYPE] in (r.DIFF, r.SNAPSHOT):
            tops[i].append((int(rows[0, r.SNAPSHOT_ID]), market.book_top(i, 1)))
    assert joined == ["SUSHI", "AKRO", "KEEP", "CTK"]
    assert unused == sum(b'"e":"kline"' in body for _, _, body in messages)
    compared = 0
    for i, of in enumerate(chosen):
        assert (market.book_state(i), market.counters(i).book_gaps, market.counters(i).trade_id_gaps) == (
            BookState.SYNCED,
            0,
            0,
        ), of.id
        for first_id, top in tops[i]:
            assert top is not None
            update_id, quote = max(
                (each for each in quotes[i] if each[0] <= top.update_id), key=lambda each: each[0], default=(0, None)
            )
            if quote is not None and first_id <= update_id:
                compared += 1
                assert (top.bids[0], top.asks[0]) == ((quote.bid, quote.bid_size), (quote.ask, quote.ask_size))
    assert compared >= 230  # MANIFEST.md: 237 of 237, some of them before the snapshot was there
    trades = sum(b'"e":"aggTrade"' in body for _, _, body in messages)
    assert sum(market.counters(i).trades for i in range(len(chosen))) == trades > 0


def test_captures_are_where_they_are_looked_for(shared_data: Path) -> None:
    """Every file of futures that was captured is in one of these tests."""
    names = {
        path.name for path in (shared_data / "captures" / "binance").iterdir() if path.name.startswith(("usdm", "cm"))
    }
    assert names == {file for name in NAMES for file in known(shared_data, name)["files"]}
    assert [len(list(islice(lines(shared_data, name), 1))) for name in NAMES] == [1] * 4
