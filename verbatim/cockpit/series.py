"""Market series of one session for a plot: any range of time in a bounded number of columns.

Rows of a part of the journal are summed up in blocks of BLOCK rows, with the lowest bid, the highest ask and the last
of each. A long range is made from blocks, a short one from the rows themselves, so each answer costs about the same.
Blocks of a sealed segment are a cache in the user's folder (verbatim/cockpit/caching.py).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.market import rows as r
from engine.market.rows import Rows

BLOCK = 64  # rows of a block
COLUMNS_MAX = 4_000  # of an answer

Ints = NDArray[np.int64]

# columns of a quote in a part, and of its block
Q_TIME, Q_SEQ, Q_BID, Q_ASK, Q_BID_SIZE, Q_ASK_SIZE = range(6)
QB_TIME, QB_SEQ, QB_LOW, QB_HIGH, QB_BID, QB_ASK = range(6)
# columns of a trade in a part, and of its block
T_TIME, T_SEQ, T_PRICE, T_SIZE, T_SELL = range(5)
TB_TIME, TB_SEQ, TB_OPEN, TB_HIGH, TB_LOW, TB_CLOSE, TB_BUY, TB_SELL = range(8)
NO_QUOTES, NO_TRADES = np.empty((0, 6), np.int64), np.empty((0, 8), np.int64)


class Ticks(msgspec.Struct):
    """The quotes and trades of one part of the journal, by instrument, as bytes of int64."""

    quotes: dict[int, bytes]
    trades: dict[int, bytes]

    def quotes_of(self, instrument: int) -> Ints:
        """Return the quotes of one instrument."""
        return np.frombuffer(self.quotes.get(instrument, b""), np.int64).reshape(-1, 6)

    def trades_of(self, instrument: int) -> Ints:
        """Return the market's trades of one instrument."""
        return np.frombuffer(self.trades.get(instrument, b""), np.int64).reshape(-1, 5)


def ticks_of(blocks: Sequence[Rows], instruments: int) -> Ticks:
    """Return the quotes and trades among decoded rows."""
    quotes = {index: b"".join(quote_rows(rows, index).tobytes() for rows in blocks) for index in range(instruments)}
    trades = {index: b"".join(trade_rows(rows, index).tobytes() for rows in blocks) for index in range(instruments)}
    return Ticks(
        {index: found for index, found in quotes.items() if found},
        {index: found for index, found in trades.items() if found},
    )


class PartSummary(msgspec.Struct):
    """The blocks of one part of the journal, by instrument, as bytes of int64."""

    first_seq: int
    last_seq: int
    first_ns: int
    last_ns: int
    quotes: dict[int, bytes]
    trades: dict[int, bytes]
    clock: bytes  # the time of every BLOCKth record


def quote_rows(rows: Rows, instrument: int) -> Ints:
    """Return the quotes of one instrument among decoded rows."""
    chosen = rows[(rows[:, r.TYPE] == r.QUOTE) & (rows[:, r.INSTRUMENT] == instrument)]
    quotes: Ints = chosen[:, [r.TIME_NS, r.SEQ, r.QUOTE_BID, r.QUOTE_ASK, r.QUOTE_BID_SIZE, r.QUOTE_ASK_SIZE]]
    return quotes


def trade_rows(rows: Rows, instrument: int) -> Ints:
    """Return the market's trades of one instrument among decoded rows."""
    chosen = rows[(rows[:, r.TYPE] == r.TRADE) & (rows[:, r.INSTRUMENT] == instrument)]
    trades: Ints = chosen[:, [r.TIME_NS, r.SEQ, r.TRADE_PRICE, r.TRADE_SIZE, r.TRADE_BUYER_IS_MAKER]]
    return trades


def quote_blocks(quotes: Ints, starts: Ints) -> Ints:
    """Sum up quotes from each start to the next. Empty sides, whose price is 0, count in no extreme."""
    if not len(starts):
        return NO_QUOTES
    ends = np.append(starts[1:], len(quotes)) - 1
    bids, asks = quotes[:, Q_BID], quotes[:, Q_ASK]
    return np.column_stack(
        [
            quotes[starts, Q_TIME],
            quotes[ends, Q_SEQ],
            np.minimum.reduceat(np.where(bids > 0, bids, r.VALUE_MAX), starts),
            np.maximum.reduceat(asks, starts),
            bids[ends],
            asks[ends],
        ]
    )


def trade_blocks(trades: Ints, starts: Ints) -> Ints:
    """Sum up trades from each start to the next."""
    if not len(starts):
        return NO_TRADES
    ends = np.append(starts[1:], len(trades)) - 1
    prices, sizes, is_sell = trades[:, T_PRICE], trades[:, T_SIZE], trades[:, T_SELL] == 1
    return np.column_stack(
        [
            trades[starts, T_TIME],
            trades[ends, T_SEQ],
            prices[starts],
            np.maximum.reduceat(prices, starts),
            np.minimum.reduceat(prices, starts),
            prices[ends],
            np.add.reduceat(np.where(is_sell, 0, sizes), starts),
            np.add.reduceat(np.where(is_sell, sizes, 0), starts),
        ]
    )


def merged_quotes(blocks: Ints, starts: Ints) -> Ints:
    """Sum up blocks of quotes to wider ones."""
    if not len(starts):
        return NO_QUOTES
    ends = np.append(starts[1:], len(blocks)) - 1
    return np.column_stack(
        [
            blocks[starts, QB_TIME],
            blocks[ends, QB_SEQ],
            np.minimum.reduceat(blocks[:, QB_LOW], starts),
            np.maximum.reduceat(blocks[:, QB_HIGH], starts),
            blocks[ends, QB_BID],
            blocks[ends, QB_ASK],
        ]
    )


def merged_trades(blocks: Ints, starts: Ints) -> Ints:
    """Sum up blocks of trades to wider ones."""
    if not len(starts):
        return NO_TRADES
    ends = np.append(starts[1:], len(blocks)) - 1
    return np.column_stack(
        [
            blocks[starts, TB_TIME],
            blocks[ends, TB_SEQ],
            blocks[starts, TB_OPEN],
            np.maximum.reduceat(blocks[:, TB_HIGH], starts),
            np.minimum.reduceat(blocks[:, TB_LOW], starts),
            blocks[ends, TB_CLOSE],
            np.add.reduceat(blocks[:, TB_BUY], starts),
            np.add.reduceat(blocks[:, TB_SELL], starts),
        ]
    )


def summarize(ticks: Ticks, clock: Ints, *, first_seq: int, last_seq: int, first_ns: int, last_ns: int) -> PartSummary:
    """Sum up a part of the journal.

    Args:
        ticks: Its quotes and trades.
        clock: The time of every BLOCKth record.
        first_seq: The first record.
        last_seq: The last record.
        first_ns: The time of the first record.
        last_ns: The time of the last record.
    """
    quotes = {index: _in_blocks(quote_blocks, ticks.quotes_of(index)) for index in ticks.quotes}
    trades = {index: _in_blocks(trade_blocks, ticks.trades_of(index)) for index in ticks.trades}
    return PartSummary(first_seq, last_seq, first_ns, last_ns, quotes, trades, clock.tobytes())


def _in_blocks(merge: Callable[[Ints, Ints], Ints], ticks: Ints) -> bytes:
    return merge(ticks, np.arange(0, len(ticks), BLOCK)).tobytes()


class MarketPart:
    """One part of the journal: its blocks, and its ticks when they are needed."""

    def __init__(self, summary: PartSummary, load_ticks: Callable[[], Ticks], *, is_tail: bool = False) -> None:
        self.first_seq, self.last_seq = summary.first_seq, summary.last_seq
        self.first_ns, self.last_ns = summary.first_ns, summary.last_ns
        self.quotes = {index: np.frombuffer(data, np.int64).reshape(-1, 6) for index, data in summary.quotes.items()}
        self.trades = {index: np.frombuffer(data, np.int64).reshape(-1, 8) for index, data in summary.trades.items()}
        self.clock = np.frombuffer(summary.clock, np.int64)
        self.load_ticks = load_ticks
        self.is_tail = is_tail  # it grows: records of a running session since it was opened


class Series:
    """The parts of a session in order, and the rows after them that are not sealed."""

    def __init__(self, instruments: int) -> None:
        self.instruments = instruments
        self.parts: list[MarketPart] = []

    def columns(self, instrument: int, from_ns: int, to_ns: int, count: int) -> tuple[Ints, Ints]:
        """Return quotes and trades of a range as at most `count` blocks each.

        The last quote before the range is the first block, since it still holds when the range begins.
        """
        count = max(1, min(count, COLUMNS_MAX))
        span = from_ns, to_ns, count
        quotes = self._collect(span, _Quotes(instrument))
        trades = self._collect(span, _Trades(instrument))
        begin = max(int(np.searchsorted(quotes[:, QB_TIME], from_ns, side="right")) - 1, 0)
        quotes = quotes[begin : int(np.searchsorted(quotes[:, QB_TIME], to_ns, side="right"))]
        trades = trades[
            int(np.searchsorted(trades[:, TB_TIME], from_ns)) : int(np.searchsorted(trades[:, TB_TIME], to_ns, "right"))
        ]
        quotes = merged_quotes(quotes, bucket_starts(quotes[:, QB_TIME], from_ns, to_ns, count))
        trades = merged_trades(trades, bucket_starts(trades[:, TB_TIME], from_ns, to_ns, count))
        return quotes, trades

    def _collect(self, span: tuple[int, int, int], kind: "_Quotes | _Trades") -> Ints:
        """Return the blocks of a range, or its single ticks as blocks if there are fewer blocks than columns."""
        from_ns, to_ns, count = span
        touched = [at for at, part in enumerate(self.parts) if part.last_ns >= from_ns and part.first_ns <= to_ns]
        before = [at for at, part in enumerate(self.parts) if part.last_ns < from_ns and len(kind.blocks(part))]
        found = [kind.blocks(self.parts[before[-1]])[-1:]] if before else []
        spans = [_within(kind.blocks(self.parts[at]), from_ns, to_ns) for at in touched]
        if sum(len(blocks) for blocks in spans) < count:
            spans = [
                kind.single(_ticks_within(kind.ticks(self.parts[at].load_ticks()), int(blocks[0, 0]), to_ns))
                for at, blocks in zip(touched, spans, strict=True)
                if len(blocks)
            ]
        found += spans
        return np.concatenate(found) if found else kind.none

    def density(self, from_ns: int, to_ns: int, count: int) -> Ints:
        """Return the number of records in each of `count` equal spans of time."""
        edges = np.linspace(from_ns, to_ns, count + 1).astype(np.int64)
        times, seqs = self._clock()
        if not len(times):
            return np.zeros(count, np.int64)
        return np.diff(np.interp(edges, times, seqs)).round().astype(np.int64)

    def _clock(self) -> tuple[Ints, Ints]:
        times = [part.clock for part in self.parts]
        seqs = [part.first_seq + np.arange(len(part.clock), dtype=np.int64) * BLOCK for part in self.parts]
        if self.parts:
            times.append(np.array([self.parts[-1].last_ns], np.int64))
            seqs.append(np.array([self.parts[-1].last_seq], np.int64))
        empty = np.empty(0, np.int64)
        return (np.concatenate(times), np.concatenate(seqs)) if times else (empty, empty)


def bucket_starts(times: Ints, from_ns: int, to_ns: int, count: int) -> Ints:
    """Return where each of `count` equal spans of time begins among sorted times; spans without a time are left out."""
    if not len(times):
        return np.empty(0, np.int64)
    width = max((to_ns - from_ns) // count, 1)
    buckets = (np.maximum(times, from_ns) - from_ns) // width
    return np.flatnonzero(np.diff(buckets, prepend=-1))


def _within(blocks: Ints, from_ns: int, to_ns: int) -> Ints:
    """Return the blocks that may hold a time of the range: the one that begins before it too."""
    begin = max(int(np.searchsorted(blocks[:, 0], from_ns, side="right")) - 1, 0)
    return blocks[begin : int(np.searchsorted(blocks[:, 0], to_ns, side="right"))]


def _ticks_within(ticks: Ints, from_ns: int, to_ns: int) -> Ints:
    return ticks[int(np.searchsorted(ticks[:, 0], from_ns)) : int(np.searchsorted(ticks[:, 0], to_ns, side="right"))]


class _Quotes:
    """Reads the quotes of one instrument from a part."""

    none = NO_QUOTES

    def __init__(self, instrument: int) -> None:
        self._instrument = instrument

    def blocks(self, part: MarketPart) -> Ints:
        return part.quotes.get(self._instrument, NO_QUOTES)

    def ticks(self, ticks: Ticks) -> Ints:
        return ticks.quotes_of(self._instrument)

    def single(self, ticks: Ints) -> Ints:
        return quote_blocks(ticks, np.arange(len(ticks)))


class _Trades:
    """Reads the trades of one instrument from a part."""

    none = NO_TRADES

    def __init__(self, instrument: int) -> None:
        self._instrument = instrument

    def blocks(self, part: MarketPart) -> Ints:
        return part.trades.get(self._instrument, NO_TRADES)

    def ticks(self, ticks: Ticks) -> Ints:
        return ticks.trades_of(self._instrument)

    def single(self, ticks: Ints) -> Ints:
        return trade_blocks(ticks, np.arange(len(ticks)))


def iter_numbers(column: Ints, origin: int = 0) -> list[Any]:
    """Return the Python numbers of a column, each less `origin`."""
    numbers: list[Any] = (column - origin).tolist()
    return numbers


def clock_of(times: Iterator[Ints]) -> tuple[Ints, int, int, int]:
    """Return every BLOCKth time, the first and the last time, and the number of records."""
    picked, count, first_ns, last_ns = [], 0, 0, 0
    for batch in times:
        if not len(batch):
            continue
        first_ns = first_ns if count else int(batch[0])
        last_ns = int(batch[-1])
        picked.append(batch[-count % BLOCK :: BLOCK])
        count += len(batch)
    return (np.concatenate(picked) if picked else np.empty(0, np.int64)), first_ns, last_ns, count
