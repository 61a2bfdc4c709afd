"""Rows of the simulated venue's own market messages, whose numbers are units already."""

from collections.abc import Iterable, Sequence

import numpy as np

from engine.market import rows as r
from engine.market.rows import Rows
from engine.sim.feeds.sim_market import DepthDiff, DepthSnapshot, MarketMessage, MarkPrint, SimQuote, TradePrint


def rows_of(i: int, message: MarketMessage, time_ns: int) -> Rows:
    """Make the rows of a message whose numbers are units already."""
    match message:
        case TradePrint():
            return _table(
                [
                    r.TRADE,
                    i,
                    0,
                    time_ns,
                    message.time_ns,
                    1,
                    message.price,
                    message.quantity,
                    message.trade_id,
                    message.buyer_is_maker,
                    0,
                ]
            )
        case SimQuote():
            return _table(
                [
                    r.QUOTE,
                    i,
                    0,
                    time_ns,
                    0,
                    1,
                    message.bid,
                    message.bid_quantity,
                    message.ask,
                    message.ask_quantity,
                    message.update_id,
                ]
            )
        case DepthDiff():
            ids = (message.update_id_first, message.update_id)
            rows = _book_rows(r.DIFF, i, time_ns, ids, bids=message.bids, asks=message.asks)
            rows[0, r.DIFF_PREVIOUS_ID] = message.previous_id
            return rows
        case DepthSnapshot():
            rows = _book_rows(r.SNAPSHOT, i, time_ns, (message.update_id, 0), bids=message.bids, asks=message.asks)
            if len(rows) > 1:
                rows[-1, r.SNAPSHOT_EDGE] = message.has_edge
            return rows
        case MarkPrint():
            return _table(
                [r.MARK, i, 0, time_ns, 0, 1, message.price, message.index_price, 0, message.rate, message.next_ns]
            )


def _table(row: Sequence[int]) -> Rows:
    return np.array([row], np.int64)


def _book_rows(
    kind: int,
    i: int,
    time_ns: int,
    ids: tuple[int, int],
    *,
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
) -> Rows:
    levels = [(r.BID, *level) for level in bids] + [(r.ASK, *level) for level in asks]
    table: Rows = np.zeros((1 + len(levels), r.COLUMNS), np.int64)
    table[:, : r.LAST] = r.LEVEL, i, 0, time_ns, 0
    table[0, r.TYPE] = kind
    table[0, r.DIFF_FIRST_ID : r.DIFF_LEVELS + 1] = *ids, len(levels)
    if levels:
        table[1:, r.LEVEL_SIDE : r.LEVEL_SIZE + 1] = levels
    table[-1, r.LAST] = 1
    return table
