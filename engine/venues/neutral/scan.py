"""Lines of neutral messages straight into rows. Compiled; total; decides nothing.

A line that is written in an unusual way gives no row, and market.py reads it the exact way.
"""

from typing import Final

from engine.market import rows as r
from engine.market.jit import compiled
from engine.market.made_quotes import made_ask, made_bid
from engine.market.rows import Rows
from engine.market.text import Text, number, stamp, whole
from engine.venues.neutral.head import (
    ACTION_STEP,
    FIELD_KINDS,
    HIDDEN,
    L_ACTION_WORDS,
    L_ACTIONS,
    L_HALF_SPREAD,
    L_HAS_ID,
    L_INSTRUMENT,
    L_INTERVAL_NS,
    L_LAST_COLUMN,
    L_PRICE_SCALE,
    L_RETOLD,
    L_ROLES,
    L_ROW_TYPE,
    L_SIZE_SCALE,
    L_TICK,
    L_WORD,
    L_WORD_LENGTH,
    NAME,
    NO_ACTION,
    PRICE,
    SIZE,
    WHOLE,
    WORD,
)

COMMA: Final = 44
NEWLINE: Final = 10
RETURN: Final = 13
ROWS_MAX: Final = 3  # of a message that is no book: a bar, its end and its quote
SECOND_NS: Final = 1_000_000_000
_UPPER_A: Final = 65
_UPPER_Z: Final = 90
_TO_LOWER: Final = 32
_NAME_BITS: Final = 61  # of the number made of a name: it is no whole number that a source would use
_NAME_BASE: Final = 2**_NAME_BITS
_HALF: Final = 2**30


@compiled
def is_word(text: Text, at: int, end: int, layout: Rows, length: int, letters: int) -> int:
    """Return 1 if a field is a word of the layout in any case, otherwise 0. `letters` is the place of its letters."""
    if end - at != length:
        return 0
    for k in range(end - at):
        letter = int(text[at + k])
        if _UPPER_A <= letter <= _UPPER_Z:
            letter += _TO_LOWER
        if letter != layout[letters + k]:
            return 0
    return 1


@compiled
def action_of(text: Text, at: int, end: int, layout: Rows) -> int:
    """Return the action of a field's word; NO_ACTION for an unknown one."""
    for n in range(layout[L_ACTION_WORDS]):
        entry = L_ACTIONS + n * ACTION_STEP
        if is_word(text, at, end, layout, layout[entry + 1], entry + 2):
            return int(layout[entry])
    return NO_ACTION


@compiled
def number_of_name(text: Text, at: int, end: int) -> int:
    """Return a number for a name, above any that `whole` reads: two polynomials of its bytes, of 30 bits each."""
    first = 0
    second = 0
    for k in range(at, end):
        first = (first * 16_777_619 + int(text[k]) + 1) % 1_073_741_789
        second = (second * 131_071 + int(text[k]) + 7) % 1_073_741_783
    return _NAME_BASE + first * _HALF + second


@compiled
def read_line(text: Text, begin: int, end: int, layout: Rows, row: Rows, first: int) -> bool:
    """Read the fields of a line into a row from column `first` on; return False for an unusual line."""
    at = begin
    if layout[L_PRICE_SCALE] < 0:
        return False  # prices may be off the grid
    for column in range(layout[L_LAST_COLUMN] + 1):
        stop = at
        while stop < end and text[stop] != COMMA:
            stop += 1
        if column < layout[L_LAST_COLUMN] and stop == end:
            return False
        role = layout[L_ROLES + column] - 1
        if role >= 0:
            if stop == end and stop > at and text[stop - 1] == RETURN:
                stop -= 1
            kind = role % FIELD_KINDS
            after = stop
            value = 0
            if kind == PRICE:
                value, after = number(text, at, layout[L_PRICE_SCALE])
            elif kind == SIZE:
                value, after = number(text, at, layout[L_SIZE_SCALE])
            elif kind == WHOLE:
                value, after = whole(text, at)
            elif kind == WORD:
                value = is_word(text, at, stop, layout, layout[L_WORD_LENGTH], L_WORD)
            elif kind == NAME:
                value, after = whole(text, at)
                if after != stop:
                    value = number_of_name(text, at, stop)
                    after = stop
            else:
                value = action_of(text, at, stop, layout)
            if after != stop:
                return False
            row[first + role // FIELD_KINDS] = value
        at = stop + 1
    return True


@compiled
def make_quote(table: Rows, at: int, price: int, size: int, layout: Rows) -> None:
    """Write the quote of a trade or a bar, as the last row of its message."""
    row = table[at]
    stamp(row, r.QUOTE, table[0, r.INSTRUMENT], table[0, r.SEQ], table[0, r.TIME_NS], table[0, r.VENUE_NS])
    row[r.QUOTE_BID] = made_bid(price, layout[L_HALF_SPREAD], layout[L_TICK])
    row[r.QUOTE_BID_SIZE] = size
    row[r.QUOTE_ASK] = made_ask(price, layout[L_HALF_SPREAD], layout[L_TICK])
    row[r.QUOTE_ASK_SIZE] = size
    row[r.LAST] = 1


@compiled
def read_message(text: Text, begin: int, end: int, layout: Rows, seq: int, time_ns: int, table: Rows) -> int:
    """Read a line of a trade, quote, bar or order; return the number of rows, 0 if it is unusual."""
    row = table[0]
    kind = layout[L_ROW_TYPE]
    stamp(row, kind, layout[L_INSTRUMENT], seq, time_ns, time_ns)
    if not read_line(text, begin, end, layout, row, r.FIELDS):
        return 0
    if kind == r.ORDER:
        return make_order_rows(table, layout)
    count = 1
    if kind == r.TRADE:
        if layout[L_HAS_ID] == 0:
            row[r.TRADE_ID] = -1
        if layout[L_RETOLD]:
            row[r.TYPE] = r.RETOLD
        elif layout[L_HALF_SPREAD] >= 0:
            make_quote(table, 1, row[r.TRADE_PRICE], row[r.TRADE_SIZE], layout)
            return 2
    elif kind == r.BAR:
        if layout[L_RETOLD]:
            row[r.TYPE] = r.RETOLD
            row[r.LAST] = 1
            return 1
        end_ns = -(-time_ns // SECOND_NS) * SECOND_NS  # some sources stamp the last instant of the bar
        row[r.VENUE_NS] = end_ns - layout[L_INTERVAL_NS]
        stamp(table[1], r.BAR_END, row[r.INSTRUMENT], seq, time_ns, end_ns)
        table[1, r.BAR_END_NS] = end_ns
        count = 2
        if layout[L_HALF_SPREAD] >= 0:
            make_quote(table, 2, row[r.BAR_CLOSE], row[r.BAR_VOLUME], layout)
            return 3
    table[count - 1, r.LAST] = 1
    return count


@compiled
def read_levels(text: Text, begin: int, end: int, layout: Rows, seq: int, time_ns: int, table: Rows) -> int:
    """Read the lines of a book message, one level each; return the number of rows, 0 if one is unusual."""
    stamp(table[0], layout[L_ROW_TYPE], layout[L_INSTRUMENT], seq, time_ns, time_ns)
    table[0, r.DIFF_FIRST_ID] = seq if layout[L_ROW_TYPE] == r.SNAPSHOT else 0  # no source of tables numbers diffs
    if layout[L_ROW_TYPE] == r.DIFF:
        table[0, r.DIFF_LAST_ID] = seq
    count = 0
    at = begin
    while at < end:
        stop = at
        while stop < end and text[stop] != NEWLINE:
            stop += 1
        if count + 1 >= table.shape[0]:
            return 0
        count += 1
        row = table[count]
        stamp(row, r.LEVEL, layout[L_INSTRUMENT], seq, time_ns, time_ns)
        if not read_line(text, at, stop, layout, row, r.FIELDS):
            return 0
        at = stop + 1
    table[0, r.DIFF_LEVELS] = count
    table[count, r.LAST] = 1
    return count + 1


@compiled
def make_order_rows(table: Rows, layout: Rows) -> int:
    """Make the rows of an event of an order from its fields, which the first row has; return their number.

    A fill is a trade and a change of the book, a hidden fill a trade alone.
    """
    fields = table[0]
    seq = fields[r.SEQ]
    time_ns = fields[r.TIME_NS]
    i = layout[L_INSTRUMENT]
    side = fields[r.ORDER_SIDE]
    price = fields[r.ORDER_PRICE]
    size = fields[r.ORDER_SIZE]
    order_id = fields[r.ORDER_ID]
    action = fields[r.ORDER_ACTION]
    count = 0
    if action in (r.ORDER_FILLED, HIDDEN):
        stamp(table[0], r.RETOLD if layout[L_RETOLD] else r.TRADE, i, seq, time_ns, time_ns)
        table[0, r.TRADE_PRICE] = price
        table[0, r.TRADE_SIZE] = size
        table[0, r.TRADE_ID] = -1
        table[0, r.TRADE_BUYER_IS_MAKER] = 1 - side
        table[0, r.TRADE_OFF_BOOK] = action == HIDDEN
        count = 1
    if action != HIDDEN:
        changes = 1 if action <= r.ORDER_FILLED else 0
        stamp(table[count], r.DIFF, i, seq, time_ns, time_ns)
        table[count, r.DIFF_FIRST_ID] = 0
        table[count, r.DIFF_LAST_ID] = seq
        table[count, r.DIFF_LEVELS] = changes
        table[count, r.DIFF_PREVIOUS_ID] = 0
        count += 1
        if changes:
            stamp(table[count], r.ORDER, i, seq, time_ns, time_ns)
            table[count, r.ORDER_SIDE] = side
            table[count, r.ORDER_PRICE] = price
            table[count, r.ORDER_SIZE] = size
            table[count, r.ORDER_ID] = order_id
            table[count, r.ORDER_ACTION] = action
            count += 1
    table[count - 1, r.LAST] = 1
    return count


@compiled
def find_head(text: Text, begin: int, end: int, heads: Text, head_ends: Rows) -> int:
    """Return the index of a message's head among those that are known, or -1."""
    first = 0
    for n in range(head_ends.shape[0]):
        length = head_ends[n] - first
        if begin + length <= end:
            k = 0
            while k < length and text[begin + k] == heads[first + k]:
                k += 1
            if k == length:
                return n
        first = head_ends[n]
    return -1


@compiled
def scan_messages(
    text: Text,
    offsets: Rows,
    heads: Text,
    head_ends: Rows,
    layouts: Rows,
    seqs: Rows,
    times: Rows,
    table: Rows,
    ends: Rows,
) -> int:
    """Read messages in a row.

    Args:
        text: The messages, one after the other.
        offsets: Their places, and the end of the last.
        heads: The known heads with their newlines, one after the other.
        head_ends: The end of each.
        layouts: The numbers of each.
        seqs: The records' seqs.
        times: The records' times.
        table: Gets the rows.
        ends: Gets the row behind each message.

    Returns:
        How many were read before the first with an unknown head or in an unusual form.
    """
    at = 0
    for n in range(ends.shape[0]):
        begin = offsets[n]
        end = offsets[n + 1]
        known = find_head(text, begin, end, heads, head_ends)
        if known < 0:
            return n
        begin += head_ends[known] - (head_ends[known - 1] if known > 0 else 0)
        layout = layouts[known]
        if layout[L_ROW_TYPE] == r.DIFF or layout[L_ROW_TYPE] == r.SNAPSHOT:
            count = read_levels(text, begin, end, layout, seqs[n], times[n], table[at:])
        elif at + ROWS_MAX > table.shape[0]:
            return n
        else:
            count = read_message(text, begin, end, layout, seqs[n], times[n], table[at:])
        if count == 0:
            return n
        at += count
        ends[n] = at
    return int(ends.shape[0])


@compiled
def measure_lines(text: Text, begin: int, end: int, layout: Rows, found: Rows) -> bool:
    """Measure the prices and sizes of lines: decimal places, and the largest whole part of each kind.

    Args:
        text: The lines.
        begin: Their place.
        end: One past their end.
        layout: The numbers of their head.
        found: [price places, largest price, size places, largest size], which is updated.

    Returns:
        False if a number is written in an unusual way; the caller measures it the exact way.
    """
    at = begin
    column = 0
    while at < end:
        stop = at
        while stop < end and text[stop] != COMMA and text[stop] != NEWLINE:
            stop += 1
        role = layout[L_ROLES + column] - 1 if column <= layout[L_LAST_COLUMN] else -1
        if role >= 0 and role % FIELD_KINDS <= SIZE:
            kind = role % FIELD_KINDS
            value = 0
            k = at
            while k < stop and 48 <= text[k] <= 57:
                value = min(value * 10 + int(text[k]) - 48, r.VALUE_MAX)
                k += 1
            if k == at:
                return False
            places = 0
            if k < stop and text[k] == 46:
                k += 1
                first = k
                while k < stop and 48 <= text[k] <= 57:
                    if text[k] != 48:
                        places = k - first + 1
                    k += 1
            if k < stop and text[k] != RETURN:
                return False
            found[2 * kind] = max(found[2 * kind], places)
            found[2 * kind + 1] = max(found[2 * kind + 1], value)
        column = 0 if stop < end and text[stop] == NEWLINE else column + 1
        at = stop + 1
    return True
