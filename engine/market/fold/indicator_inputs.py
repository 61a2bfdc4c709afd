"""The inputs of indicators: a quote, a trade or a closed bar as floats, and the call of each update. Compiled."""

from engine.market import rows as r
from engine.market.jit import call_update, compiled
from engine.market.layout import (
    BAR_CLOSE,
    BAR_HIGH,
    BAR_INTERVAL_NS,
    BAR_LOW,
    BAR_OPEN,
    BAR_START_NS,
    BAR_VOLUME_0,
    BAR_VOLUME_1,
    I_ADDRESS,
    I_ASK,
    I_ASK_SIZE,
    I_BARS,
    I_BID,
    I_BID_SIZE,
    I_CLOSE,
    I_COUNT,
    I_DIVISOR,
    I_FIELD,
    I_HIGH,
    I_INPUT,
    I_INSTRUMENT,
    I_LENGTH,
    I_LOW,
    I_OPEN,
    I_SIZE_DIVISOR,
    I_TIME_S,
    I_VALUE,
    I_VOLUME,
    S_BAR_INDICATORS,
    S_TRADE_INDICATORS,
    WORD_BITS,
)
from engine.market.rows import Floats, Rows

SECOND_NS = 1e9
WORD = float(2**WORD_BITS)


@compiled
def update_with_row(row: Rows, s: Rows, indicators: Rows, values: Floats) -> None:
    """Update the indicators that follow an instrument's quotes or trades. A divisor is doubled, and so are prices."""
    is_trade = row[r.TYPE] == r.TRADE
    begin = s[S_TRADE_INDICATORS] if is_trade else 0
    end = s[S_BAR_INDICATORS] if is_trade else s[S_TRADE_INDICATORS]
    for k in range(begin, end):
        if indicators[k, I_INSTRUMENT] == row[r.INSTRUMENT]:
            divisor = values[k, I_DIVISOR]
            if is_trade:
                time_ns = row[r.VENUE_NS] if row[r.VENUE_NS] > 0 else row[r.TIME_NS]
                values[k, I_CLOSE] = float(2 * row[r.TRADE_PRICE]) / divisor
                values[k, I_VOLUME] = float(row[r.TRADE_SIZE]) / values[k, I_SIZE_DIVISOR]
                values[k, I_INPUT] = values[k, indicators[k, I_FIELD]]
                values[k, I_TIME_S] = float(time_ns) / SECOND_NS
            else:
                values[k, I_INPUT] = float(row[r.QUOTE_BID] + row[r.QUOTE_ASK]) / divisor
                if indicators[k, I_FIELD] == I_BID:  # a division costs more than the update of an average
                    values[k, I_BID] = float(2 * row[r.QUOTE_BID]) / divisor
                    values[k, I_ASK] = float(2 * row[r.QUOTE_ASK]) / divisor
                    values[k, I_BID_SIZE] = float(row[r.QUOTE_BID_SIZE]) / values[k, I_SIZE_DIVISOR]
                    values[k, I_ASK_SIZE] = float(row[r.QUOTE_ASK_SIZE]) / values[k, I_SIZE_DIVISOR]
            count = indicators[k, I_COUNT]
            values[k, I_VALUE] = call_update(indicators[k, I_ADDRESS], values, k, count, indicators[k, I_LENGTH])
            indicators[k, I_COUNT] = count + 1


@compiled
def update_with_bar(index: int, bar: Rows, s: Rows, indicators: Rows, values: Floats) -> None:
    """Update the indicators that follow the bars of this index with a bar now closed."""
    for k in range(s[S_BAR_INDICATORS], indicators.shape[0]):
        if indicators[k, I_BARS] == index:
            divisor = values[k, I_DIVISOR]
            values[k, I_TIME_S] = float(bar[BAR_START_NS] + bar[BAR_INTERVAL_NS]) / SECOND_NS
            values[k, I_OPEN] = float(2 * bar[BAR_OPEN]) / divisor
            values[k, I_HIGH] = float(2 * bar[BAR_HIGH]) / divisor
            values[k, I_LOW] = float(2 * bar[BAR_LOW]) / divisor
            values[k, I_CLOSE] = float(2 * bar[BAR_CLOSE]) / divisor
            volume = float(bar[BAR_VOLUME_1]) * WORD + float(bar[BAR_VOLUME_0])
            values[k, I_VOLUME] = volume / values[k, I_SIZE_DIVISOR]
            values[k, I_INPUT] = values[k, indicators[k, I_FIELD]]
            count = indicators[k, I_COUNT]
            values[k, I_VALUE] = call_update(indicators[k, I_ADDRESS], values, k, count, indicators[k, I_LENGTH])
            indicators[k, I_COUNT] = count + 1
