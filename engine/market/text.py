"""Elements of a frame's text, each into a number or a row: names, numbers, levels.

Compiled; total; knows no whole frame. Each function gets the text and a place in it and returns the place after its
element, or -1 if the text there is anything else. The caller then decodes the frame the exact way, which alone defines
what such a frame means.
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
CODE_TRADES: Final = 3  # the stream whose trades count: ANY_TRADES, SINGLE_TRADES or AGGREGATE_TRADES
CODE_SYMBOL: Final = 4  # and on: its letters, one each

ANY_TRADES: Final = 0
SINGLE_TRADES: Final = 1
AGGREGATE_TRADES: Final = 2

QUOTE: Final = 34
BACKSLASH: Final = 92
_ZERO: Final = 48
_NINE: Final = 57
_POINT: Final = 46


def literal(text: bytes) -> Text:
    """Return a text as an array, for `skip`."""
    return np.frombuffer(text, np.uint8)


ENVELOPE: Final = literal(b'{"stream":"')
_DATA: Final = literal(b'","data":')
CLOSE: Final = literal(b"}")
_TRUE: Final = literal(b"true")
_FALSE: Final = literal(b"false")
_LEVELS_END: Final = literal(b"]}")
_LEVEL: Final = literal(b'["')
_LEVEL_SIZE: Final = literal(b'","')
_LEVEL_END: Final = literal(b'"]')
_COMMA: Final = literal(b",")


def code_table(symbols: Sequence[tuple[str, int, int, int]]) -> Rows:
    """Return (symbol, price scale, size scale, stream of trades) of each instrument as an array for compiled code."""
    names = [name.encode() for name, _, _, _ in symbols]
    codes = np.zeros((len(names), CODE_SYMBOL + max(map(len, names), default=0)), np.int64)
    for i, (name, (_, *numbers)) in enumerate(zip(names, symbols, strict=True)):
        codes[i, :CODE_SYMBOL] = len(name), *numbers
        codes[i, CODE_SYMBOL : CODE_SYMBOL + len(name)] = list(name)
    return codes


@compiled
def skip(text: Text, at: int, wanted: Text) -> int:
    """Return the place after the wanted text. A place of -1 passes through, so only the end of a chain is checked."""
    if at < 0 or at + len(wanted) > len(text):
        return -1
    for k in range(len(wanted)):
        if text[at + k] != wanted[k]:
            return -1
    return at + len(wanted)


@compiled
def whole(text: Text, at: int) -> tuple[int, int]:
    """Read a JSON integer without sign: (value, place after)."""
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
    """Read digits with an optional fraction as an integer at `scale`: (value, place after).

    A number off the grid or too large gives -1.
    """
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
    """Convert a venue time in milliseconds or microseconds; return -1 if it is neither."""
    if time <= MILLISECONDS_MAX:
        return time * 1_000_000
    if time <= MILLISECONDS_MAX * 1000:
        return time * 1_000
    return -1


@compiled
def symbol(text: Text, at: int, codes: Rows) -> tuple[int, int]:
    """Read an instrument's symbol: (index of the instrument, place after)."""
    if at < 0:
        return 0, -1
    for i in range(codes.shape[0]):
        length = codes[i, CODE_LENGTH]
        if at + length < text.shape[0] and text[at + length] == QUOTE:
            k = 0
            while k < length and text[at + k] == codes[i, CODE_SYMBOL + k]:
                k += 1
            if k == length:
                return i, at + length
    return 0, -1


@compiled
def trade_type(codes: Rows, i: int, retold_by: int) -> int:
    """Return the row type of a trade: RETOLD if the trades of the other stream, `retold_by`, are those that count."""
    return r.RETOLD if codes[i, CODE_TRADES] == retold_by else r.TRADE


@compiled
def name(text: Text, at: int) -> int:
    """Return the place of the quote that ends a plain name.

    -1 if the name has characters that JSON escapes, or others than printable ASCII.
    """
    if at < 0:
        return -1
    while at < text.shape[0] and text[at] != QUOTE:
        if text[at] < 32 or text[at] > 126 or text[at] == BACKSLASH:
            return -1
        at += 1
    return at if at < text.shape[0] else -1


@compiled
def envelope(text: Text) -> tuple[int, int]:
    """Read a combined stream's envelope: (place of the event, place of the quote behind the stream's name).

    Zeros for a bare event.
    """
    begin = skip(text, 0, ENVELOPE)
    if begin < 0:
        return 0, 0
    end = name(text, begin)
    return skip(text, end, _DATA), end


@compiled
def stamp(row: Rows, kind: int, i: int, seq: int, time_ns: int, venue_ns: int) -> None:
    """Write the columns that all rows of a message share; the caller sets the others, which become 0."""
    row[r.TYPE] = kind
    row[r.INSTRUMENT] = i
    row[r.SEQ] = seq
    row[r.TIME_NS] = time_ns
    row[r.VENUE_NS] = venue_ns
    for k in range(r.LAST, r.COLUMNS):
        row[k] = 0


@compiled
def levels(
    text: Text, at: int, table: Rows, count: int, side: int, price_scale: int, size_scale: int
) -> tuple[int, int]:
    """Read [p,q],[p,q] ... up to the closing bracket, as rows after the header: (levels so far, place after)."""
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
        row[r.LEVEL_SIDE] = side
        row[r.LEVEL_PRICE] = price
        row[r.LEVEL_SIZE] = size
        if text[at] == _LEVELS_END[0]:
            return count, at
        at = skip(text, at, _COMMA)


@compiled
def book(text: Text, at: int, table: Rows, i: int, codes: Rows, bids: Text, asks: Text) -> tuple[int, int]:
    """Read both lists of levels behind a stamped header: (rows, place after)."""
    price_scale = codes[i, CODE_PRICE_SCALE]
    size_scale = codes[i, CODE_SIZE_SCALE]
    at = skip(text, at, bids)
    count, at = levels(text, at, table, 0, r.BID, price_scale, size_scale)
    at = skip(text, at, asks)
    count, at = levels(text, at, table, count, r.ASK, price_scale, size_scale)
    at = skip(text, at, _LEVELS_END)
    table[0, r.DIFF_LEVELS] = count  # a snapshot has the same column
    table[count, r.LAST] = 1
    return count + 1, at


@compiled
def flag(text: Text, at: int) -> tuple[int, int]:
    """Read `true` or `false`: (1 or 0, place after)."""
    after = skip(text, at, _TRUE)
    if after >= 0:
        return 1, after
    return 0, skip(text, at, _FALSE)
