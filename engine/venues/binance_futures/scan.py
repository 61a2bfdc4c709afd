"""The compiled scan of frames of Binance's futures. COIN-M adds names (ps, symbol, pair); both markets have T and pu.

The same three functions, with the same duties; their loops are written out again because Numba caches no function that
is handed another one.
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
    ENVELOPE,
    SINGLE_TRADES,
    Text,
    book,
    envelope,
    flag,
    literal,
    name,
    nanoseconds,
    number,
    skip,
    stamp,
    symbol,
    trade_type,
    whole,
)

_TICKER: Final = literal(b'{"e":"bookTicker","u":')  # USD-M
_TICKER_NAMELESS: Final = literal(b'{"u":')  # COIN-M has the name behind u
_NAMED: Final = literal(b',"e":"bookTicker"')
_TRADE: Final = literal(b'{"e":"trade","E":')
_AGGREGATE: Final = literal(b'{"e":"aggTrade","E":')
_DEPTH: Final = literal(b'{"e":"depthUpdate","E":')
_SNAPSHOT: Final = literal(b'{"lastUpdateId":')
_SYMBOL: Final = literal(b',"s":"')
_BID: Final = literal(b'","b":"')
_BID_SIZE: Final = literal(b'","B":"')
_ASK: Final = literal(b'","a":"')
_ASK_SIZE: Final = literal(b'","A":"')
_TRADE_ID: Final = literal(b'","t":')
_PRICE: Final = literal(b',"p":"')
_SIZE: Final = literal(b'","q":"')
_TIME: Final = literal(b'","T":')
_MAKER: Final = literal(b',"m":')
_FIRST_ID: Final = literal(b'","U":')
_LAST_ID: Final = literal(b',"u":')
_BIDS: Final = literal(b',"b":[')
_ASKS: Final = literal(b'],"a":[')
_SNAPSHOT_BIDS: Final = literal(b',"bids":[')
_SNAPSHOT_ASKS: Final = literal(b'],"asks":[')
_AGGREGATE_ID: Final = literal(b',"a":')
_TRADE_IDS: Final = literal(b'","f":')
_TRADE_IDS_END: Final = literal(b',"l":')
_PAIR: Final = literal(b'","ps":"')
_HAPPENED: Final = literal(b',"T":')
_SENT: Final = literal(b',"E":')
_KIND: Final = literal(b'","X":"')
_BY_MARKET: Final = literal(b'MARKET"')
_AFTER_KIND: Final = literal(b'","m":')
_PREVIOUS_ID: Final = literal(b',"pu":')
_SNAPSHOT_SYMBOL: Final = literal(b',"symbol":"')
_SNAPSHOT_PAIR: Final = literal(b'","pair":"')
_QUOTE: Final = literal(b'"')
_DIFF_STREAM: Final = literal(b"@depth")


@compiled
def contract(text: Text, at: int, codes: Rows) -> tuple[int, int]:
    """Return the index of the instrument named here, and the place behind it or behind the pair that COIN-M adds."""
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    pair = skip(text, at, _PAIR)
    return i, name(text, pair) if pair >= 0 else at


@compiled
def ticker(text: Text, at: int, nameless: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:
    """Read a bookTicker behind its "u": into the first row; the place after."""
    row = table[0]
    update_id, at = whole(text, at)
    if nameless == 1:
        at = skip(text, at, _NAMED)
    i, at = contract(text, at, codes)
    stamp(row, r.QUOTE, i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.QUOTE_ID] = update_id
    price_scale = codes[i, CODE_PRICE_SCALE]
    size_scale = codes[i, CODE_SIZE_SCALE]
    row[r.QUOTE_BID], at = number(text, skip(text, at, _BID), price_scale)
    row[r.QUOTE_BID_SIZE], at = number(text, skip(text, at, _BID_SIZE), size_scale)
    row[r.QUOTE_ASK], at = number(text, skip(text, at, _ASK), price_scale)
    row[r.QUOTE_ASK_SIZE], at = number(text, skip(text, at, _ASK_SIZE), size_scale)
    time, at = whole(text, skip(text, at, _TIME))
    _, at = whole(text, skip(text, at, _SENT))
    row[r.VENUE_NS] = nanoseconds(time)
    return skip(text, at, CLOSE) if row[r.VENUE_NS] >= 0 else -1


@compiled
def trade(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:
    """Read a trade behind its {"e":"trade","E": ... into the first row; the place after."""
    row = table[0]
    _, at = whole(text, at)
    time, at = whole(text, skip(text, at, _HAPPENED))
    venue_ns = nanoseconds(time)
    i, at = contract(text, at, codes)
    stamp(row, trade_type(codes, i, AGGREGATE_TRADES), i, seq, time_ns, venue_ns)
    row[r.LAST] = 1
    row[r.TRADE_ID], at = whole(text, skip(text, at, _TRADE_ID))
    row[r.TRADE_PRICE], at = number(text, skip(text, at, _PRICE), codes[i, CODE_PRICE_SCALE])
    row[r.TRADE_SIZE], at = number(text, skip(text, at, _SIZE), codes[i, CODE_SIZE_SCALE])
    at = skip(text, at, _KIND)
    row[r.TRADE_OFF_BOOK] = 0 if skip(text, at, _BY_MARKET) >= 0 else 1
    row[r.TRADE_BUYER_IS_MAKER], at = flag(text, skip(text, name(text, at), _AFTER_KIND))
    return skip(text, at, CLOSE) if venue_ns >= 0 else -1


@compiled
def aggregate(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:
    """Read an aggregate trade behind its {"e":"aggTrade","E": ... into the first row; the place after."""
    row = table[0]
    _, at = whole(text, at)
    trade_id, at = whole(text, skip(text, at, _AGGREGATE_ID))
    i, at = contract(text, at, codes)
    stamp(row, trade_type(codes, i, SINGLE_TRADES), i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.TRADE_ID] = trade_id
    row[r.TRADE_PRICE], at = number(text, skip(text, skip(text, at, _QUOTE), _PRICE), codes[i, CODE_PRICE_SCALE])
    row[r.TRADE_SIZE], at = number(text, skip(text, at, _SIZE), codes[i, CODE_SIZE_SCALE])
    _, at = whole(text, skip(text, at, _TRADE_IDS))
    _, at = whole(text, skip(text, at, _TRADE_IDS_END))
    time, at = whole(text, skip(text, at, _HAPPENED))
    row[r.TRADE_BUYER_IS_MAKER], at = flag(text, skip(text, at, _MAKER))
    row[r.VENUE_NS] = nanoseconds(time)
    return skip(text, at, CLOSE) if row[r.VENUE_NS] >= 0 else -1


@compiled
def depth(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> tuple[int, int]:
    """Read a depth diff behind its {"e":"depthUpdate","E": ...: (rows, place after)."""
    _, at = whole(text, at)
    time, at = whole(text, skip(text, at, _HAPPENED))
    venue_ns = nanoseconds(time)
    i, at = contract(text, at, codes)
    if venue_ns < 0:
        return 0, -1
    stamp(table[0], r.DIFF, i, seq, time_ns, venue_ns)
    table[0, r.DIFF_FIRST_ID], at = whole(text, skip(text, at, _FIRST_ID))
    table[0, r.DIFF_LAST_ID], at = whole(text, skip(text, at, _LAST_ID))
    table[0, r.DIFF_PREVIOUS_ID], at = whole(text, skip(text, at, _PREVIOUS_ID))
    return book(text, at, table, i, codes, _BIDS, _ASKS)


@compiled
def is_diff_stream(text: Text, end: int) -> bool:
    """Return True if the envelope names <symbol>@depth, with or without a speed. Partial books look the same (5)."""
    at = len(ENVELOPE)
    while at < end and text[at] != _DIFF_STREAM[0]:
        at += 1
    at = skip(text, at, _DIFF_STREAM)
    return at == end or (0 <= at < end and text[at] == _DIFF_STREAM[0])


@compiled
def scan_frame(text: Text, codes: Rows, seq: int, time_ns: int, table: Rows) -> int:
    """Read one frame, in its envelope or bare. Returns the number of rows, 0 if it is unusual."""
    at, end = envelope(text)
    count = 1
    named = skip(text, at, _TICKER)
    nameless = skip(text, at, _TICKER_NAMELESS)
    if named >= 0 or nameless >= 0:
        after = ticker(text, max(named, nameless), 1 if nameless >= 0 else 0, table, codes, seq, time_ns)
    else:
        after = skip(text, at, _TRADE)
        if after >= 0:
            after = trade(text, after, table, codes, seq, time_ns)
        else:
            after = skip(text, at, _AGGREGATE)
            if after >= 0:
                after = aggregate(text, after, table, codes, seq, time_ns)
            else:
                after = skip(text, at, _DEPTH)
                if after >= 0 and (end == 0 or is_diff_stream(text, end)):
                    count, after = depth(text, after, table, codes, seq, time_ns)
                else:
                    after = -1
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
    _, at = whole(text, skip(text, at, _SENT))
    time, at = whole(text, skip(text, at, _HAPPENED))
    table[0, r.VENUE_NS] = nanoseconds(time)
    named = skip(text, at, _SNAPSHOT_SYMBOL)  # COIN-M says whose it is
    if named >= 0:
        whose, at = symbol(text, named, codes)
        at = skip(text, name(text, skip(text, at, _SNAPSHOT_PAIR)), _QUOTE)
        if whose != i:
            return 0
    if table[0, r.VENUE_NS] < 0:
        return 0
    count, at = book(text, at, table, i, codes, _SNAPSHOT_BIDS, _SNAPSHOT_ASKS)
    table[max(count - 1, 0), r.SNAPSHOT_EDGE] = 1
    return count if at == text.shape[0] else 0
