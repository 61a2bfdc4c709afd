"""Trades of the fold: ids, sums, and the bars and indicators made of them. Compiled; knows no book."""

from engine.market import rows as r
from engine.market.fold.bars import fold_bar
from engine.market.fold.id_gaps import note_gap
from engine.market.fold.indicator_inputs import update_with_row
from engine.market.fold.trigger_flags import check_crosses, note_inputs_changed
from engine.market.jit import compiled
from engine.market.layout import (
    BAR_INSTRUMENT,
    CROSS_AT_TRADE,
    HALF_BITS,
    HALF_MASK,
    L_BEFORE_NS,
    L_SINCE_NS,
    NEVER,
    RESTART_NS,
    S_BAR_INDICATORS,
    S_CONDITIONS,
    S_TRADE_INDICATORS,
    T_BUYER_IS_MAKER,
    T_BUYER_IS_MAKER_COUNT,
    T_COUNT,
    T_ID,
    T_ID_GAPS,
    T_IDS_MISSING,
    T_NOTIONAL_0,
    T_NOTIONAL_1,
    T_NOTIONAL_2,
    T_PRICE,
    T_REPEATED,
    T_SEQ,
    T_SIZE,
    T_TIME_NS,
    T_VENUE_NS,
    T_VOLUME_0,
    T_VOLUME_1,
    WORD_BITS,
    WORD_MASK,
    X_SEEN_TRADE_NS,
)
from engine.market.rows import Floats, Rows


@compiled
def is_repeated(count: int, last_id: int, last_venue_ns: int, trade_id: int, venue_ns: int) -> bool:
    """Return True if a trade is repeated: its id does not rise, and the numbering did not start again."""
    if trade_id == r.BY_TIME:
        return count > 0 and venue_ns <= last_venue_ns
    if count == 0 or trade_id > last_id or trade_id < 0:
        return False
    return trade_id == last_id or last_venue_ns <= 0 or venue_ns - last_venue_ns <= RESTART_NS


@compiled
def find_repeats(rows: Rows, last: Rows, found: Rows) -> None:
    """Set `found` to 1 for each row that is a repeated trade.

    Args:
        rows: Rows in the order of their records.
        last: For each instrument: the trades so far, id and venue's time of the last one. It is updated.
        found: One number for each row, 0 before the call.

    """
    for k in range(rows.shape[0]):
        if rows[k, r.TYPE] == r.TRADE:
            of = last[rows[k, r.INSTRUMENT]]
            if is_repeated(of[0], of[1], of[2], rows[k, r.TRADE_ID], rows[k, r.VENUE_NS]):
                found[k] = 1
            else:
                of[0] += 1
                of[1] = rows[k, r.TRADE_ID]
                of[2] = rows[k, r.VENUE_NS]


@compiled
def fold_trade(
    row: Rows, s: Rows, t: Rows, bars: Rows, closed: Rows, indicators: Rows, values: Floats, conditions: Rows
) -> int:
    """Apply a trade unless its id was seen before; return the flags raised."""
    i = row[r.INSTRUMENT]
    trade_id = row[r.TRADE_ID]
    flags = 0
    if t[i, T_COUNT] > 0 and is_repeated(t[i, T_COUNT], t[i, T_ID], t[i, T_VENUE_NS], trade_id, row[r.VENUE_NS]):
        t[i, T_REPEATED] += 1
        return 0
    if t[i, T_COUNT] > 0 and trade_id >= 0:
        if trade_id <= t[i, T_ID]:
            t[i, T_ID_GAPS] += 1
            flags = note_gap(row, t, t[i, T_ID], t[i, T_SEQ], t[i, T_TIME_NS], trade_id)
        if trade_id > t[i, T_ID] + 1 and row[r.TRADE_OFF_BOOK] != r.TRADE_FOLLOWS:
            t[i, T_ID_GAPS] += 1
            if row[r.TRADE_OFF_BOOK] != r.TRADE_OF_PAGE:
                t[i, T_IDS_MISSING] += trade_id - t[i, T_ID] - 1
            flags = note_gap(row, t, t[i, T_ID], t[i, T_SEQ], t[i, T_TIME_NS], trade_id)
    t[i, T_PRICE] = row[r.TRADE_PRICE]
    t[i, T_SIZE] = row[r.TRADE_SIZE]
    t[i, T_ID] = trade_id
    t[i, T_BUYER_IS_MAKER] = row[r.TRADE_BUYER_IS_MAKER]
    t[i, T_SEQ] = row[r.SEQ]
    t[i, T_TIME_NS] = row[r.TIME_NS]
    t[i, T_VENUE_NS] = row[r.VENUE_NS]
    t[i, T_COUNT] += 1
    t[i, T_BUYER_IS_MAKER_COUNT] += row[r.TRADE_BUYER_IS_MAKER]
    t[i, X_SEEN_TRADE_NS] = row[r.TIME_NS]
    note_inputs_changed(s, i)
    add_to_sums(t, i, row[r.TRADE_PRICE], row[r.TRADE_SIZE])
    venue_ns = row[r.VENUE_NS] if row[r.VENUE_NS] > 0 else row[r.TIME_NS]
    if flags != 0 or t[i, L_BEFORE_NS] != NEVER or t[i, L_SINCE_NS] == NEVER:
        # after a lost link, an id that follows the last one shows that no trade was missed
        follows = flags == 0 and t[i, L_BEFORE_NS] != NEVER and trade_id != r.BY_TIME
        t[i, L_SINCE_NS] = t[i, L_BEFORE_NS] if follows else venue_ns + 1
        t[i, L_BEFORE_NS] = NEVER
    for k in range(bars.shape[0]):
        if bars[k, BAR_INSTRUMENT] == i:
            flags |= fold_bar(row, venue_ns, k, s, t, bars, closed, indicators, values, conditions)
    if s[S_TRADE_INDICATORS] < s[S_BAR_INDICATORS]:
        update_with_row(row, s, indicators, values)
        if s[S_CONDITIONS] > 0:
            check_crosses(CROSS_AT_TRADE, i, -1, row, s, indicators, values, conditions)
    return flags


@compiled
def add_to_sums(t: Rows, i: int, price: int, size: int) -> None:
    """Add a trade to the volume and the notional, which are kept in several words."""
    total = t[i, T_VOLUME_0] + size
    t[i, T_VOLUME_0] = total & WORD_MASK
    t[i, T_VOLUME_1] += total >> WORD_BITS
    # price * size in two words, by halves of 27 bits: each product stays below 2**56
    price_1 = price >> HALF_BITS
    price_0 = price & HALF_MASK
    size_1 = size >> HALF_BITS
    size_0 = size & HALF_MASK
    middle = price_1 * size_0 + price_0 * size_1
    low = price_0 * size_0 + ((middle & HALF_MASK) << HALF_BITS) + t[i, T_NOTIONAL_0]
    high = price_1 * size_1 + (middle >> HALF_BITS) + (low >> WORD_BITS) + t[i, T_NOTIONAL_1]
    t[i, T_NOTIONAL_0] = low & WORD_MASK
    t[i, T_NOTIONAL_1] = high & WORD_MASK
    t[i, T_NOTIONAL_2] += high >> WORD_BITS
