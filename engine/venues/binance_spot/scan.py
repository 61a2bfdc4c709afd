"""Digits of a frame straight into rows, for frames spelled exactly as Binance Spot spells them.

Compiled; total; decides nothing. A frame that is anything else gives no row, and the caller goes the exact way, which
alone says what such a frame means. The futures' spelling is in binance_futures/scan.py: a session
compiles only the one that it reads.
"""

from typing import Final

from engine.market import rows as r
from engine.market.jit import compiled
from engine.market.rows import Rows
from engine.market.text import (
    AGGREGATE_TRADES,
    CLOSE,
    CODE_PRICE_SCALE,
    CODE_SIZE_SCALE,
    SINGLE_TRADES,
    Text,
    book,
    envelope,
    flag,
    literal,
    nanoseconds,
    number,
    skip,
    stamp,
    symbol,
    trade_type,
    whole,
)

_TICKER: Final = literal(b'{"u":')
_TRADE: Final = literal(b'{"e":"trade","E":')
_AGGREGATE: Final = literal(b'{"e":"aggTrade","E":')
_DEPTH: Final = literal(b'{"e":"depthUpdate","E":')
_SNAPSHOT: Final = literal(b'{"lastUpdateId":')
_SYMBOL: Final = literal(b',"s":"')
_BID: Final = literal(b'","b":"')
_BID_SIZE: Final = literal(b'","B":"')
_ASK: Final = literal(b'","a":"')
_ASK_SIZE: Final = literal(b'","A":"')
_QUOTE_END: Final = literal(b'"}')
_TRADE_ID: Final = literal(b'","t":')
_AGGREGATE_ID: Final = literal(b'","a":')
_TRADE_IDS: Final = literal(b'","f":')
_TRADE_IDS_END: Final = literal(b',"l":')
_HAPPENED: Final = literal(b',"T":')
_PRICE: Final = literal(b',"p":"')
_SIZE: Final = literal(b'","q":"')
_TIME: Final = literal(b'","T":')
_MAKER: Final = literal(b',"m":')
_IGNORED: Final = literal(b',"M":')
_FIRST_ID: Final = literal(b'","U":')
_LAST_ID: Final = literal(b',"u":')
_BIDS: Final = literal(b',"b":[')
_ASKS: Final = literal(b'],"a":[')
_SNAPSHOT_BIDS: Final = literal(b',"bids":[')
_SNAPSHOT_ASKS: Final = literal(b'],"asks":[')


@compiled
def ticker(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:
    """Read a bookTicker behind its {"u": ... into the first row; the place after."""
    row = table[0]
    update_id, at = whole(text, at)
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    stamp(row, r.QUOTE, i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.QUOTE_ID] = update_id
    price_scale = codes[i, CODE_PRICE_SCALE]
    size_scale = codes[i, CODE_SIZE_SCALE]
    row[r.QUOTE_BID], at = number(text, skip(text, at, _BID), price_scale)
    row[r.QUOTE_BID_SIZE], at = number(text, skip(text, at, _BID_SIZE), size_scale)
    row[r.QUOTE_ASK], at = number(text, skip(text, at, _ASK), price_scale)
    row[r.QUOTE_ASK_SIZE], at = number(text, skip(text, at, _ASK_SIZE), size_scale)
    return skip(text, at, _QUOTE_END)


@compiled
def trade(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:
    """Read a trade behind its {"e":"trade","E": ... into the first row; the place after."""
    row = table[0]
    _, at = whole(text, at)  # E, when it was sent; T is when it happened
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    stamp(row, trade_type(codes, i, AGGREGATE_TRADES), i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.TRADE_ID], at = whole(text, skip(text, at, _TRADE_ID))
    row[r.TRADE_PRICE], at = number(text, skip(text, at, _PRICE), codes[i, CODE_PRICE_SCALE])
    row[r.TRADE_SIZE], at = number(text, skip(text, at, _SIZE), codes[i, CODE_SIZE_SCALE])
    time, at = whole(text, skip(text, at, _TIME))
    row[r.TRADE_BUYER_IS_MAKER], at = flag(text, skip(text, at, _MAKER))
    _, at = flag(text, skip(text, at, _IGNORED))
    row[r.VENUE_NS] = nanoseconds(time)
    return skip(text, at, CLOSE) if row[r.VENUE_NS] >= 0 else -1


@compiled
def aggregate(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:
    """Read an aggregate trade behind its {"e":"aggTrade","E": ... into the first row; the place after."""
    row = table[0]
    _, at = whole(text, at)
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    stamp(row, trade_type(codes, i, SINGLE_TRADES), i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.TRADE_ID], at = whole(text, skip(text, at, _AGGREGATE_ID))
    row[r.TRADE_PRICE], at = number(text, skip(text, at, _PRICE), codes[i, CODE_PRICE_SCALE])
    row[r.TRADE_SIZE], at = number(text, skip(text, at, _SIZE), codes[i, CODE_SIZE_SCALE])
    _, at = whole(text, skip(text, at, _TRADE_IDS))
    _, at = whole(text, skip(text, at, _TRADE_IDS_END))
    time, at = whole(text, skip(text, at, _HAPPENED))
    row[r.TRADE_BUYER_IS_MAKER], at = flag(text, skip(text, at, _MAKER))
    _, at = flag(text, skip(text, at, _IGNORED))
    row[r.VENUE_NS] = nanoseconds(time)
    return skip(text, at, CLOSE) if row[r.VENUE_NS] >= 0 else -1


@compiled
def depth(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> tuple[int, int]:
    """Read a depth diff behind its {"e":"depthUpdate","E": ...: (rows, place after)."""
    time, at = whole(text, at)
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    venue_ns = nanoseconds(time)
    if venue_ns < 0:
        return 0, -1
    stamp(table[0], r.DIFF, i, seq, time_ns, venue_ns)
    table[0, r.DIFF_FIRST_ID], at = whole(text, skip(text, at, _FIRST_ID))
    table[0, r.DIFF_LAST_ID], at = whole(text, skip(text, at, _LAST_ID))
    return book(text, at, table, i, codes, _BIDS, _ASKS)


@compiled
def scan_frame(text: Text, codes: Rows, seq: int, time_ns: int, table: Rows) -> int:
    """Read one frame, in its envelope or bare. Returns the number of rows, 0 if it is unusual."""
    at, end = envelope(text)
    count = 1
    after = skip(text, at, _TICKER)
    if after >= 0:
        after = ticker(text, after, table, codes, seq, time_ns)
    else:
        after = skip(text, at, _TRADE)
        if after >= 0:
            after = trade(text, after, table, codes, seq, time_ns)
        else:
            after = skip(text, at, _DEPTH)
            if after >= 0:
                count, after = depth(text, after, table, codes, seq, time_ns)
            else:
                after = skip(text, at, _AGGREGATE)
                if after >= 0:
                    after = aggregate(text, after, table, codes, seq, time_ns)
    if end > 0:
        after = skip(text, after, CLOSE)
    return count if after == text.shape[0] else 0


@compiled
def scan_frames(
    text: Text, begins: Rows, behind: Rows, codes: Rows, seqs: Rows, times: Rows, table: Rows, ends: Rows
) -> int:
    """Read frames in a row, `text[begins[n]:behind[n]]`. `ends[n]` gets the row behind frame n.

    Returns how many came before the first unusual one.
    """
    at = 0
    for n in range(ends.shape[0]):
        count = scan_frame(text[begins[n] : behind[n]], codes, seqs[n], times[n], table[at:])
        if count == 0:
            return n
        at += count
        ends[n] = at
    return int(ends.shape[0])


@compiled
def scan_snapshot(text: Text, i: int, codes: Rows, seq: int, time_ns: int, table: Rows) -> int:
    """Read the body of GET depth. Returns the number of rows, 0 if it is unusual."""
    at = skip(text, 0, _SNAPSHOT)
    stamp(table[0], r.SNAPSHOT, i, seq, time_ns, 0)
    table[0, r.SNAPSHOT_ID], at = whole(text, at)
    count, at = book(text, at, table, i, codes, _SNAPSHOT_BIDS, _SNAPSHOT_ASKS)
    return count if at == text.shape[0] else 0
