"""The spelling of the public streams and depth snapshots of Binance's futures.

binance_common/market.py does the rest of the reading. USD-M and COIN-M share one spelling: COIN-M only adds names
(ps, symbol, pair). A row's time is T, the time of the event, if the message has it; E is the time of sending.
"""

import re
from typing import Final

import msgspec
import numpy as np

from engine.market import rows as r
from engine.market.rows import COLUMNS, MARK_SCALE, Rows
from engine.venues.binance_common.market import (
    AGGREGATE,
    SINGLE,
    Id,
    Named,
    Spelling,
    Time,
    aggregate_trade,
    nanoseconds,
)
from engine.venues.binance_futures.scan import scan_frame, scan_frames, scan_snapshot
from engine.venues.row_builders import Level, RowOrigin, book_rows, quote_rows, trade_rows

# Partial books (@depth5, @depth20@500ms) and those with retail orders (@rpiDepth) have a diff's shape, and are none
DIFF_STREAM: Final = re.compile(r"[^@]*@depth(@.*)?", re.DOTALL)


class _FuturesTicker(msgspec.Struct):
    u: Id
    s: str
    b: str
    B: str
    a: str
    A: str
    T: Time = 0


class _FuturesTrade(msgspec.Struct):
    s: str
    t: Id
    p: str
    q: str
    T: Time
    m: bool
    X: str = "MARKET"


class _FuturesDepth(msgspec.Struct):
    s: str
    T: Time
    U: Id
    u: Id
    pu: Id
    b: list[Level]
    a: list[Level]


class _MarkPrice(msgspec.Struct):
    s: str
    E: Time
    p: str
    i: str = "0"
    P: str = "0"
    r: str = ""  # "" and T 0 where there is no funding: a contract with delivery
    T: Time = 0


class _FuturesSnapshot(msgspec.Struct):
    last_update_id: Id = msgspec.field(name="lastUpdateId")
    bids: list[Level]
    asks: list[Level]
    T: Time = 0
    symbol: str = ""  # of COIN-M


_BOOK_TICKER = msgspec.json.Decoder(_FuturesTicker)
_TRADE = msgspec.json.Decoder(_FuturesTrade)
_DEPTH = msgspec.json.Decoder(_FuturesDepth)
_MARK_PRICE = msgspec.json.Decoder(_MarkPrice)
_SNAPSHOT = msgspec.json.Decoder(_FuturesSnapshot)


def _ticker(data: bytes | msgspec.Raw, named: Named, _stream: str) -> Rows:
    quote = _BOOK_TICKER.decode(data)
    return quote_rows(named(quote.s, nanoseconds(quote.T)), quote.b, quote.B, quote.a, quote.A, update_id=quote.u)


def _trade(data: bytes | msgspec.Raw, named: Named, _stream: str) -> Rows:
    """Return the row of a trade.

    X states its origin: MARKET, or INSURANCE_FUND and ADL, which no order of the book took part in, at prices far from
    it.
    """
    trade = _TRADE.decode(data)
    at = named(trade.s, nanoseconds(trade.T))
    return trade_rows(
        at, trade.p, trade.q, trade.t, buyer_is_maker=trade.m, off_book=trade.X != "MARKET", stream=SINGLE
    )


def _depth(data: bytes | msgspec.Raw, named: Named, stream: str) -> Rows:
    if stream and not DIFF_STREAM.fullmatch(stream):
        raise ValueError(f"the books of stream {stream[:40]!r} are not diffs")
    diff = _DEPTH.decode(data)
    return book_rows(r.DIFF, named(diff.s, nanoseconds(diff.T)), (diff.U, diff.u, diff.pu), diff.b, diff.a)


def _mark_price(data: bytes | msgspec.Raw, named: Named, _stream: str) -> Rows:
    """Return the row of computed prices. One that does not fit is an error and no flag: the book is not in doubt."""
    told = _MARK_PRICE.decode(data)
    at = named(told.s, nanoseconds(told.E))
    prices = [r.scaled(text, MARK_SCALE) for text in (told.p, told.i or "0", told.P or "0")]
    if min(prices) < 0:
        raise ValueError(
            f"a mark price of {told.p[:40]!r}, index {told.i[:40]!r} and settlement {told.P[:40]!r} cannot be kept"
        )
    rate = r.scaled(told.r.removeprefix("-") or "0", MARK_SCALE)
    if rate < 0:
        raise ValueError(f"a funding rate of {told.r[:40]!r} cannot be kept")
    signed = -rate if told.r.startswith("-") else rate
    row = np.zeros((1, COLUMNS), np.int64)
    row[0] = r.MARK, at.i, at.seq, at.time_ns, at.venue_ns, 1, *prices, signed, nanoseconds(told.T)
    return row


def _snapshot(payload: bytes, at: RowOrigin) -> Rows:
    book = _SNAPSHOT.decode(payload)
    if book.symbol and book.symbol != at.of.symbol:
        raise ValueError(f"asked for the book of {at.of.symbol}, told that of {book.symbol[:40]!r}")
    at = at._replace(venue_ns=nanoseconds(book.T))
    rows = book_rows(r.SNAPSHOT, at, (book.last_update_id, 0, 0), book.bids, book.asks)
    if rows[0, r.TYPE] == r.SNAPSHOT:
        rows[-1, r.SNAPSHOT_EDGE] = 1
    return rows


_READERS = {
    "bookTicker": _ticker,
    SINGLE: _trade,
    AGGREGATE: aggregate_trade,
    "depthUpdate": _depth,
    "markPriceUpdate": _mark_price,
}
SPELLING = Spelling(scan_frame, scan_frames, scan_snapshot, _READERS, _snapshot)
