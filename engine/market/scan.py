"""Digits of a frame straight into rows, for frames spelled exactly as Binance spells them. Compiled; total; decides nothing.

Which spelling, spot's or that of the futures, is a number in the codes: the rest is text.py's business. A frame that is
anything else gives no row, and the caller goes the exact way, which alone says what such a frame means.
"""

from typing import Final

from engine.market import rows as r
from engine.market.jit import compiled
from engine.market.rows import Rows
from engine.market.text import (
    CODE_PRICE_SCALE,
    CODE_SIZE_SCALE,
    CODE_SPELLING,
    Text,
    book,
    flag,
    literal,
    name,
    nanoseconds,
    number,
    skip,
    stamp,
    symbol,
    whole,
)

SPOT: Final = 0
FUTURES: Final = 1

_ENVELOPE: Final = literal(b'{"stream":"')
_DATA: Final = literal(b'","data":')
_TICKER: Final = literal(b'{"u":')
_TRADE: Final = literal(b'{"e":"trade","E":')
_DEPTH: Final = literal(b'{"e":"depthUpdate","E":')
_SNAPSHOT: Final = literal(b'{"lastUpdateId":')
_SYMBOL: Final = literal(b',"s":"')
_BID: Final = literal(b'","b":"')
_BID_SIZE: Final = literal(b'","B":"')
_ASK: Final = literal(b'","a":"')
_ASK_SIZE: Final = literal(b'","A":"')
_QUOTE_END: Final = literal(b'"}')
_TRADE_ID: Final = literal(b'","t":')
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
_CLOSE: Final = literal(b"}")
# of the futures
_TICKER_NAMED: Final = literal(b'{"e":"bookTicker","u":')  # USD-M
_NAMED: Final = literal(b',"e":"bookTicker"')  # COIN-M has it behind u
_AGGREGATE: Final = literal(b'{"e":"aggTrade","E":')
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
_QUOTE_ONLY: Final = literal(b'"')
_DIFF_STREAM: Final = literal(b"@depth")


@compiled
def ticker(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """A bookTicker behind its {"u": ... into the first row; the place after."""
    row = table[0]
    update_id, at = whole(text, at)
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    stamp(row, r.QUOTE, i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.E] = update_id
    price_scale = codes[i, CODE_PRICE_SCALE]
    size_scale = codes[i, CODE_SIZE_SCALE]
    row[r.A], at = number(text, skip(text, at, _BID), price_scale)
    row[r.B], at = number(text, skip(text, at, _BID_SIZE), size_scale)
    row[r.C], at = number(text, skip(text, at, _ASK), price_scale)
    row[r.D], at = number(text, skip(text, at, _ASK_SIZE), size_scale)
    return skip(text, at, _QUOTE_END)


@compiled
def trade(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """A trade behind its {"e":"trade","E": ... into the first row; the place after."""
    row = table[0]
    _, at = whole(text, at)  # E, when it was sent; T is when it happened
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    stamp(row, r.TRADE, i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.C], at = whole(text, skip(text, at, _TRADE_ID))
    row[r.A], at = number(text, skip(text, at, _PRICE), codes[i, CODE_PRICE_SCALE])
    row[r.B], at = number(text, skip(text, at, _SIZE), codes[i, CODE_SIZE_SCALE])
    time, at = whole(text, skip(text, at, _TIME))
    row[r.D], at = flag(text, skip(text, at, _MAKER))
    _, at = flag(text, skip(text, at, _IGNORED))
    row[r.VENUE_NS] = nanoseconds(time)
    return skip(text, at, _CLOSE) if row[r.VENUE_NS] >= 0 else -1


@compiled
def depth(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> tuple[int, int]:  # noqa: PLR0917 - compiled code takes arguments by place
    """A depth diff behind its {"e":"depthUpdate","E": ...: (rows, place after)."""
    time, at = whole(text, at)
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    venue_ns = nanoseconds(time)
    if venue_ns < 0:
        return 0, -1
    stamp(table[0], r.DIFF, i, seq, time_ns, venue_ns)
    table[0, r.A], at = whole(text, skip(text, at, _FIRST_ID))
    table[0, r.B], at = whole(text, skip(text, at, _LAST_ID))
    return book(text, at, table, i, codes, _BIDS, _ASKS)


@compiled
def spot_frame(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> tuple[int, int]:  # noqa: PLR0917 - compiled code takes arguments by place
    """A frame of Binance Spot out of its envelope: (rows, place after)."""
    after = skip(text, at, _TICKER)
    if after >= 0:
        return 1, ticker(text, after, table, codes, seq, time_ns)
    after = skip(text, at, _TRADE)
    if after >= 0:
        return 1, trade(text, after, table, codes, seq, time_ns)
    return depth(text, skip(text, at, _DEPTH), table, codes, seq, time_ns)


# ---- the futures' spelling -------------------------------------------------------------------------


@compiled
def contract(text: Text, at: int, codes: Rows) -> tuple[int, int]:
    """Which instrument is named here: (its index, place of the quote behind it, or behind the pair that COIN-M adds)."""
    i, at = symbol(text, skip(text, at, _SYMBOL), codes)
    pair = skip(text, at, _PAIR)
    return i, name(text, pair) if pair >= 0 else at


@compiled
def futures_ticker(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """A bookTicker behind its update id, which is in the first row already; the place after."""
    row = table[0]
    update_id = row[r.E]
    i, at = contract(text, at, codes)
    stamp(row, r.QUOTE, i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.E] = update_id
    price_scale = codes[i, CODE_PRICE_SCALE]
    size_scale = codes[i, CODE_SIZE_SCALE]
    row[r.A], at = number(text, skip(text, at, _BID), price_scale)
    row[r.B], at = number(text, skip(text, at, _BID_SIZE), size_scale)
    row[r.C], at = number(text, skip(text, at, _ASK), price_scale)
    row[r.D], at = number(text, skip(text, at, _ASK_SIZE), size_scale)
    time, at = whole(text, skip(text, at, _TIME))
    _, at = whole(text, skip(text, at, _SENT))
    row[r.VENUE_NS] = nanoseconds(time)
    return skip(text, at, _CLOSE) if row[r.VENUE_NS] >= 0 else -1


@compiled
def futures_trade(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """A trade behind its {"e":"trade","E": ... into the first row; the place after."""
    row = table[0]
    _, at = whole(text, at)
    time, at = whole(text, skip(text, at, _HAPPENED))
    venue_ns = nanoseconds(time)
    i, at = contract(text, at, codes)
    stamp(row, r.TRADE, i, seq, time_ns, venue_ns)
    row[r.LAST] = 1
    row[r.C], at = whole(text, skip(text, at, _TRADE_ID))
    row[r.A], at = number(text, skip(text, at, _PRICE), codes[i, CODE_PRICE_SCALE])
    row[r.B], at = number(text, skip(text, at, _SIZE), codes[i, CODE_SIZE_SCALE])
    at = skip(text, at, _KIND)
    row[r.E] = 0 if skip(text, at, _BY_MARKET) >= 0 else 1
    row[r.D], at = flag(text, skip(text, name(text, at), _AFTER_KIND))
    return skip(text, at, _CLOSE) if venue_ns >= 0 else -1


@compiled
def aggregate(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """An aggregate trade behind its {"e":"aggTrade","E": ... into the first row; the place after."""
    row = table[0]
    _, at = whole(text, at)
    trade_id, at = whole(text, skip(text, at, _AGGREGATE_ID))
    i, at = contract(text, at, codes)
    stamp(row, r.TRADE, i, seq, time_ns, 0)
    row[r.LAST] = 1
    row[r.C] = trade_id
    row[r.A], at = number(text, skip(text, skip(text, at, _QUOTE_ONLY), _PRICE), codes[i, CODE_PRICE_SCALE])
    row[r.B], at = number(text, skip(text, at, _SIZE), codes[i, CODE_SIZE_SCALE])
    _, at = whole(text, skip(text, at, _TRADE_IDS))
    _, at = whole(text, skip(text, at, _TRADE_IDS_END))
    time, at = whole(text, skip(text, at, _HAPPENED))
    row[r.D], at = flag(text, skip(text, at, _MAKER))
    row[r.VENUE_NS] = nanoseconds(time)
    return skip(text, at, _CLOSE) if row[r.VENUE_NS] >= 0 else -1


@compiled
def futures_depth(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> tuple[int, int]:  # noqa: PLR0917 - compiled code takes arguments by place
    """A depth diff behind its {"e":"depthUpdate","E": ...: (rows, place after)."""
    _, at = whole(text, at)
    time, at = whole(text, skip(text, at, _HAPPENED))
    venue_ns = nanoseconds(time)
    i, at = contract(text, at, codes)
    if venue_ns < 0:
        return 0, -1
    stamp(table[0], r.DIFF, i, seq, time_ns, venue_ns)
    table[0, r.A], at = whole(text, skip(text, at, _FIRST_ID))
    table[0, r.B], at = whole(text, skip(text, at, _LAST_ID))
    table[0, r.D], at = whole(text, skip(text, at, _PREVIOUS_ID))
    return book(text, at, table, i, codes, _BIDS, _ASKS)


@compiled
def is_diff_stream(text: Text, begin: int, end: int) -> bool:
    """Whether the stream named here is <symbol>@depth, with a speed or without: partial books look the same (section 5)."""
    at = begin
    while at < end and text[at] != _DIFF_STREAM[0]:
        at += 1
    at = skip(text, at, _DIFF_STREAM)
    return at == end or (0 <= at < end and text[at] == _DIFF_STREAM[0])


@compiled
def futures_frame(text: Text, at: int, table: Rows, codes: Rows, seq: int, time_ns: int) -> tuple[int, int]:  # noqa: PLR0917 - compiled code takes arguments by place
    """A frame of USD-M or COIN-M futures but a diff, out of its envelope: (rows, place after)."""
    after = skip(text, at, _TICKER_NAMED)
    if after >= 0:
        table[0, r.E], after = whole(text, after)
        return 1, futures_ticker(text, after, table, codes, seq, time_ns)
    after = skip(text, at, _TICKER)
    if after >= 0:
        table[0, r.E], after = whole(text, after)
        return 1, futures_ticker(text, skip(text, after, _NAMED), table, codes, seq, time_ns)
    after = skip(text, at, _TRADE)
    if after >= 0:
        return 1, futures_trade(text, after, table, codes, seq, time_ns)
    after = skip(text, at, _AGGREGATE)
    return 1, aggregate(text, after, table, codes, seq, time_ns) if after >= 0 else -1


# ---- whole frames ----------------------------------------------------------------------------------


@compiled
def scan_frame(text: Text, codes: Rows, seq: int, time_ns: int, table: Rows) -> int:
    """A frame of the market stream, in its envelope or bare; the number of rows, 0 if it is unusual."""
    if codes.shape[0] == 0:
        return 0
    begin = skip(text, 0, _ENVELOPE)
    end = name(text, begin)
    at = 0
    if begin >= 0:
        at = skip(text, end, _DATA)
        if at < 0:
            return 0
    if codes[0, CODE_SPELLING] == SPOT:
        count, at = spot_frame(text, at, table, codes, seq, time_ns)
    else:
        after = skip(text, at, _DEPTH)
        if after < 0:
            count, at = futures_frame(text, at, table, codes, seq, time_ns)
        elif begin < 0 or is_diff_stream(text, begin, end):
            count, at = futures_depth(text, after, table, codes, seq, time_ns)
        else:
            return 0
    if begin >= 0:
        at = skip(text, at, _CLOSE)
    return count if at == text.shape[0] else 0


@compiled
def scan_frames(text: Text, offsets: Rows, codes: Rows, seqs: Rows, times: Rows, table: Rows, ends: Rows) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """Frames one behind the other; how many were read before the first unusual one. ends[n]: rows up to and with frame n."""
    at = 0
    for n in range(ends.shape[0]):
        count = scan_frame(text[offsets[n] : offsets[n + 1]], codes, seqs[n], times[n], table[at:])
        if count == 0:
            return n
        at += count
        ends[n] = at
    return int(ends.shape[0])


@compiled
def scan_snapshot(text: Text, i: int, codes: Rows, seq: int, time_ns: int, table: Rows) -> int:  # noqa: PLR0917 - compiled code takes arguments by place
    """The body of GET depth; the number of rows, 0 if it is unusual."""
    at = skip(text, 0, _SNAPSHOT)
    stamp(table[0], r.SNAPSHOT, i, seq, time_ns, 0)
    table[0, r.A], at = whole(text, at)
    if codes[i, CODE_SPELLING] == FUTURES:
        _, at = whole(text, skip(text, at, _SENT))
        time, at = whole(text, skip(text, at, _HAPPENED))
        table[0, r.VENUE_NS] = nanoseconds(time)
        named = skip(text, at, _SNAPSHOT_SYMBOL)  # COIN-M says whose it is
        if named >= 0:
            named_i, at = symbol(text, named, codes)
            at = skip(text, name(text, skip(text, at, _SNAPSHOT_PAIR)), _QUOTE_ONLY)
            if named_i != i:
                return 0
        if table[0, r.VENUE_NS] < 0:
            return 0
    count, at = book(text, at, table, i, codes, _SNAPSHOT_BIDS, _SNAPSHOT_ASKS)
    return count if at == text.shape[0] else 0
