"""The spelling of the public streams and depth snapshots of Binance Spot.

binance_common/market.py does the rest of the reading.
"""

from functools import partial

import msgspec

from engine.market import rows as r
from engine.market.rows import Rows
from engine.venues.binance_common.market import (
    AGGREGATE,
    SINGLE,
    TICKER,
    BinanceMarket,
    Id,
    Named,
    Spelling,
    Time,
    aggregate_trade,
    nanoseconds,
)
from engine.venues.binance_spot.scan import scan_frame, scan_frames, scan_snapshot
from engine.venues.row_builders import Level, RowOrigin, book_rows, quote_rows, trade_rows


class _SpotTicker(msgspec.Struct):
    u: Id
    s: str
    b: str
    B: str
    a: str
    A: str


class _SpotTrade(msgspec.Struct):
    s: str
    t: Id
    p: str
    q: str
    T: Time
    m: bool


class _SpotDepth(msgspec.Struct):
    s: str
    E: Time
    U: Id
    u: Id
    b: list[Level]
    a: list[Level]


class _SpotSnapshot(msgspec.Struct, rename="camel"):
    last_update_id: Id
    bids: list[Level]
    asks: list[Level]


_BOOK_TICKER = msgspec.json.Decoder(_SpotTicker)
_TRADE = msgspec.json.Decoder(_SpotTrade)
_DEPTH = msgspec.json.Decoder(_SpotDepth)
_SNAPSHOT = msgspec.json.Decoder(_SpotSnapshot)


def _ticker(data: bytes | msgspec.Raw, named: Named, _stream: str) -> Rows:
    quote = _BOOK_TICKER.decode(data)
    return quote_rows(named(quote.s, 0), quote.b, quote.B, quote.a, quote.A, update_id=quote.u)


def _trade(data: bytes | msgspec.Raw, named: Named, _stream: str) -> Rows:
    trade = _TRADE.decode(data)
    return trade_rows(
        named(trade.s, nanoseconds(trade.T)), trade.p, trade.q, trade.t, buyer_is_maker=trade.m, stream=SINGLE
    )


def _depth(data: bytes | msgspec.Raw, named: Named, _stream: str) -> Rows:
    diff = _DEPTH.decode(data)
    return book_rows(r.DIFF, named(diff.s, nanoseconds(diff.E)), (diff.U, diff.u, 0), diff.b, diff.a)


def _snapshot(payload: bytes, at: RowOrigin) -> Rows:
    book = _SNAPSHOT.decode(payload)
    return book_rows(r.SNAPSHOT, at, (book.last_update_id, 0, 0), book.bids, book.asks)


_READERS = {TICKER: _ticker, SINGLE: _trade, AGGREGATE: aggregate_trade, "depthUpdate": _depth}
SPELLING = Spelling(scan_frame, scan_frames, scan_snapshot, _READERS, _snapshot)
BinanceSpotMarket = partial(BinanceMarket, SPELLING)
