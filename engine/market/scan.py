"""Digits of a frame straight into rows, for frames spelled exactly as Binance spells them. Compiled; total; decides nothing.

Each function takes the text and a place in it and gives the place after what it read, -1 where the text is anything else:
then the caller goes the exact way, which alone says what such a frame means. So nothing here is ever "nearly right".
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.market import rows as r
from engine.market.jit import compiled
from engine.market.rows import VALUE_MAX, Rows

Text = NDArray[np.uint8]

ID_DIGITS_MAX: Final = 18  # always below rows.ID_MAX
MILLISECONDS_MAX: Final = 9_200_000_000_000  # the year 2261; a larger time is in microseconds (timeUnit=MICROSECOND)
LEVEL_BYTES_MIN: Final = 10  # ["1","0"],

# codes: what the scan knows of each instrument
CODE_LENGTH: Final = 0  # of its symbol
CODE_PRICE_SCALE: Final = 1
CODE_SIZE_SCALE: Final = 2
CODE_SYMBOL: Final = 3  # and on: its letters, one each

_ZERO: Final = 48
_NINE: Final = 57
_QUOTE: Final = 34
_POINT: Final = 46
_BACKSLASH: Final = 92


def _literal(text: bytes) -> Text:
    return np.frombuffer(text, np.uint8)


_ENVELOPE: Final = _literal(b'{"stream":"')
_DATA: Final = _literal(b'","data":')
_TICKER: Final = _literal(b'{"u":')
_TRADE: Final = _literal(b'{"e":"trade","E":')
_DEPTH: Final = _literal(b'{"e":"depthUpdate","E":')
_SNAPSHOT: Final = _literal(b'{"lastUpdateId":')
_SYMBOL: Final = _literal(b',"s":"')
_BID: Final = _literal(b'","b":"')
_BID_SIZE: Final = _literal(b'","B":"')
_ASK: Final = _literal(b'","a":"')
_ASK_SIZE: Final = _literal(b'","A":"')
_QUOTE_END: Final = _literal(b'"}')
_TRADE_ID: Final = _literal(b'","t":')
_PRICE: Final = _literal(b',"p":"')
_SIZE: Final = _literal(b'","q":"')
_TIME: Final = _literal(b'","T":')
_MAKER: Final = _literal(b',"m":')
_IGNORED: Final = _literal(b',"M":')
_TRUE: Final = _literal(b"true")
_FALSE: Final = _literal(b"false")
_FIRST_ID: Final = _literal(b'","U":')
_LAST_ID: Final = _literal(b',"u":')
_BIDS: Final = _literal(b',"b":[')
_ASKS: Final = _literal(b'],"a":[')
_SNAPSHOT_BIDS: Final = _literal(b',"bids":[')
_SNAPSHOT_ASKS: Final = _literal(b'],"asks":[')
_LEVELS_END: Final = _literal(b"]}")
_CLOSE: Final = _literal(b"}")
_LEVEL: Final = _literal(b'["')
_LEVEL_SIZE: Final = _literal(b'","')
_LEVEL_END: Final = _literal(b'"]')
_COMMA: Final = _literal(b",")


def code_table(symbols: Sequence[tuple[str, int, int]]) -> Rows:
    """(symbol, price scale, size scale) of each instrument, as the functions here want it."""
    names = [name.encode() for name, _, _ in symbols]
    codes = np.zeros((len(names), CODE_SYMBOL + max(map(len, names), default=0)), np.int64)
    for i, (name, (_, price_scale, size_scale)) in enumerate(zip(names, symbols, strict=True)):
        codes[i, :CODE_SYMBOL] = len(name), price_scale, size_scale
        codes[i, CODE_SYMBOL : CODE_SYMBOL + len(name)] = list(name)
    return codes


@compiled
def skip(text: Text, at: int, literal: Text) -> int:
    """The place after the literal; -1 passes through, so that a chain of these needs one look at its end."""
    if at < 0 or at + len(literal) > len(text):
        return -1
    for k in range(len(literal)):
        if text[at + k] != literal[k]:
            return -1
    return at + len(literal)


@compiled
def whole(text: Text, at: int) -> tuple[int, int]:
    """A JSON integer without sign: (value, place after)."""
    if at < 0:
        return 0, -1
    value = 0
    k = at
    while k < text.shape[0] and _ZERO <= text[k] <= _NINE:
        if k - at >= ID_DIGITS_MAX:
            return 0, -1
        value = value * 10 + (int(text[k]) - _ZERO)
        k += 1
    if k == at or (text[at] == _ZERO and k > at + 1):
        return 0, -1
    return value, k


@compiled
def number(text: Text, at: int, scale: int) -> tuple[int, int]:
    """Digits with an optional fraction, as an integer at `scale`: (value, place after). Off the grid or too large: unusual."""
    if at < 0:
        return 0, -1
    value = 0
    k = at
    while k < text.shape[0] and _ZERO <= text[k] <= _NINE:
        value = value * 10 + (int(text[k]) - _ZERO)
        if value > VALUE_MAX:
            return 0, -1
        k += 1
    if k == at:
        return 0, -1
    places = 0
    if k < text.shape[0] and text[k] == _POINT:
        k += 1
        first = k
        while k < text.shape[0] and _ZERO <= text[k] <= _NINE:
            if places < scale:
                value = value * 10 + (int(text[k]) - _ZERO)
                places += 1
                if value > VALUE_MAX:
                    return 0, -1
            elif text[k] != _ZERO:
                return 0, -1
            k += 1
        if k == first:
            return 0, -1
    while places < scale:
        value *= 10
        places += 1
        if value > VALUE_MAX:
            return 0, -1
    return value, k


@compiled
def nanoseconds(time: int) -> int:
    """A venue time in milliseconds or microseconds; -1 if it is neither."""
    if time <= MILLISECONDS_MAX:
        return time * 1_000_000
    if time <= MILLISECONDS_MAX * 1000:
        return time * 1_000
    return -1


@compiled
def symbol(text: Text, at: int, codes: Rows) -> tuple[int, int]:
    """Which instrument is named here: (its index, place after)."""
    if at < 0:
        return 0, -1
    for i in range(codes.shape[0]):
        length = codes[i, CODE_LENGTH]
        if at + length < text.shape[0] and text[at + length] == _QUOTE:
            k = 0
            while k < length and text[at + k] == codes[i, CODE_SYMBOL + k]:
                k += 1
            if k == length:
                return i, at + length
    return 0, -1


@compiled
def stamp(row: Rows, kind: int, i: int, seq: int, time_ns: int, venue_ns: int) -> None:  # noqa: PLR0917 - compiled code takes arguments by place
    """What every row of a message has in common; the numbers are zero until somebody sets them."""
    row[r.TYPE] = kind
    row[r.INSTRUMENT] = i
    row[r.SEQ] = seq
    row[r.TIME_NS] = time_ns
    row[r.VENUE_NS] = venue_ns
    for k in range(r.LAST, r.COLUMNS):
        row[k] = 0


@compiled
def levels(text: Text, at: int, table: Rows, count: int, side: int, price_scale: int, size_scale: int) -> tuple[int, int]:  # noqa: PLR0917 - compiled code takes arguments by place
    """[p,q],[p,q] ... up to the bracket that ends the list, as rows after the header: (levels so far, place after)."""
    if at < 0 or at >= text.shape[0]:
        return 0, -1
    if text[at] == _LEVELS_END[0]:
        return count, at
    while True:
        at = skip(text, at, _LEVEL)
        price, at = number(text, at, price_scale)
        at = skip(text, at, _LEVEL_SIZE)
        size, at = number(text, at, size_scale)
        at = skip(text, at, _LEVEL_END)
        if at < 0 or at >= text.shape[0] or count + 1 >= table.shape[0]:
            return 0, -1
        count += 1
        row = table[count]
        stamp(row, r.LEVEL, table[0, r.INSTRUMENT], table[0, r.SEQ], table[0, r.TIME_NS], table[0, r.VENUE_NS])
        row[r.A] = side
        row[r.B] = price
        row[r.C] = size
        if text[at] == _LEVELS_END[0]:
            return count, at
        at = skip(text, at, _COMMA)


@compiled
def book(text: Text, at: int, table: Rows, i: int, codes: Rows, bids: Text, asks: Text) -> tuple[int, int]:  # noqa: PLR0917 - compiled code takes arguments by place
    """Both lists of levels behind a stamped header: (rows, place after)."""
    price_scale = codes[i, CODE_PRICE_SCALE]
    size_scale = codes[i, CODE_SIZE_SCALE]
    at = skip(text, at, bids)
    count, at = levels(text, at, table, 0, r.BID, price_scale, size_scale)
    at = skip(text, at, asks)
    count, at = levels(text, at, table, count, r.ASK, price_scale, size_scale)
    at = skip(text, at, _LEVELS_END)
    table[0, r.C] = count
    table[count, r.LAST] = 1
    return count + 1, at


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
def flag(text: Text, at: int) -> tuple[int, int]:
    """True or false: (1 or 0, place after)."""
    after = skip(text, at, _TRUE)
    if after >= 0:
        return 1, after
    return 0, skip(text, at, _FALSE)


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
def scan_frame(text: Text, codes: Rows, seq: int, time_ns: int, table: Rows) -> int:
    """A frame of the market stream, in its envelope or bare; the number of rows, 0 if it is unusual."""
    at = skip(text, 0, _ENVELOPE)
    wrapped = at >= 0
    if wrapped:
        while at < text.shape[0] and text[at] != _QUOTE:
            if text[at] < 32 or text[at] > 126 or text[at] == _BACKSLASH:
                return 0
            at += 1
        at = skip(text, at, _DATA)
    else:
        at = 0
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
    if wrapped:
        after = skip(text, after, _CLOSE)
    return count if after == text.shape[0] else 0


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
    count, at = book(text, at, table, i, codes, _SNAPSHOT_BIDS, _SNAPSHOT_ASKS)
    return count if at == text.shape[0] else 0
