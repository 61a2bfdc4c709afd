"""Bars of a recorded market as the simulated venue sees them: each opens at its start, and its prices come at its end.

The engine learns a bar when it is over. The venue is the market, and trades at the bar's first price when it begins. So
a bar's quote is moved to its start, and the rows are put in the order of these times again.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from engine.market import rows as r
from engine.market.fold.unpack import is_sizeless
from engine.market.made_quotes import MILLION
from engine.market.rows import VALUE_MAX, Rows
from engine.model import Instrument
from engine.sim.feeds.recorded_feed import DepthAnswer, Piece
from engine.sim.units import PLACES

_BAR_TYPES = (r.BAR, r.BAR_END)
UNLIMITED = 2**62  # units of a size without a limit


class BarModel(NamedTuple):
    """How the venue trades bars."""

    volume_share: Decimal  # of a bar that our orders fill at most; 0: no limit, also at quotes and trades without size
    ahead_ns: int  # the venue's clock is behind the rows' by so much
    before_end_ns: int  # the prices of a bar come so long before its record, so that their fills are known at its end


def venue_pieces(pieces: Iterator[Piece], instruments: Sequence[Instrument], model: BarModel) -> Iterator[Piece]:
    """Yield a market with its bars as the venue sees them.

    Rows are held back for as long as a bar that comes later may have begun before them.
    """
    held: list[Rows] = []
    longest_ns = 0
    for unread in pieces if model.volume_share else _without_limits(pieces, instruments):
        piece = unread
        if not isinstance(piece, np.ndarray | DepthAnswer):
            if not held and not piece.may_have(r.BAR):
                yield piece
                continue
            piece = piece.read()
        if isinstance(piece, DepthAnswer):
            yield from _in_order(held)
            held = []
            yield piece
            continue
        if not held and not (piece[:, r.TYPE] == r.BAR).any():
            yield piece
            continue
        rows = _with_made_quotes(piece, instruments)
        is_bar = rows[:, r.TYPE] == r.BAR
        ends = rows[np.flatnonzero(is_bar) + 1, r.BAR_END_NS]
        longest_ns = max(longest_ns, int(np.max(ends - rows[is_bar, r.VENUE_NS], initial=0)))
        held.append(_moved(rows, is_bar, instruments, model))
        safe_ns = int(piece[-1, r.TIME_NS]) - 2 * longest_ns if len(piece) else 0
        table = np.concatenate(held)
        table = table[np.argsort(table[:, r.TIME_NS], kind="stable")]
        count = int(np.searchsorted(table[:, r.TIME_NS], safe_ns))
        if count:
            yield table[:count]
        held = [table[count:]]
    yield from _in_order(held)


def _without_limits(pieces: Iterator[Piece], instruments: Sequence[Instrument]) -> Iterator[Piece]:
    """Yield a market in which quotes and trades without a size have any: the model sets no limit."""
    unlimited = np.array([_unlimited(instrument) for instrument in instruments], np.int64)
    for unread in pieces:
        piece = unread if isinstance(unread, np.ndarray | DepthAnswer) else unread.read()
        if isinstance(piece, np.ndarray) and is_sizeless(piece):
            quotes = (piece[:, r.TYPE] == r.QUOTE) & (piece[:, r.QUOTE_BID_SIZE] + piece[:, r.QUOTE_ASK_SIZE] == 0)
            trades = (piece[:, r.TYPE] == r.TRADE) & (piece[:, r.TRADE_SIZE] == 0)
            piece = piece.copy()
            piece[quotes, r.QUOTE_BID_SIZE] = piece[quotes, r.QUOTE_ASK_SIZE] = unlimited[piece[quotes, r.INSTRUMENT]]
            piece[trades, r.TRADE_SIZE] = unlimited[piece[trades, r.INSTRUMENT]]
        yield piece


def _unlimited(instrument: Instrument) -> int:
    """Return a size that no order reaches."""
    steps: int = 10 ** (PLACES - instrument.size_scale)
    return min(VALUE_MAX, UNLIMITED // steps)


def _with_made_quotes(rows: Rows, instruments: Sequence[Instrument]) -> Rows:
    """Return the rows without the bars of instruments that have quotes: these are their market."""
    quoted = [i for i, instrument in enumerate(instruments) if instrument.half_spread_ppm < 0]
    if not quoted:
        return rows
    kept: Rows = rows[~np.isin(rows[:, r.INSTRUMENT], quoted) | ~np.isin(rows[:, r.TYPE], _BAR_TYPES)]
    return kept


def _in_order(held: list[Rows]) -> Iterator[Rows]:
    if held:
        table = np.concatenate(held)
        yield table[np.argsort(table[:, r.TIME_NS], kind="stable")]


def _moved(rows: Rows, is_bar: np.ndarray, instruments: Sequence[Instrument], model: BarModel) -> Rows:
    """Return the rows of a piece with the start and the end of each bar."""
    bars = np.flatnonzero(is_bar)
    starts, closes, prices = rows[bars].copy(), rows[bars].copy(), rows[bars].copy()
    for index, instrument in enumerate(instruments):
        own = rows[bars, r.INSTRUMENT] == index
        if not own.any():
            continue
        sizes = _sizes(rows[bars[own], r.BAR_VOLUME], instrument, model.volume_share)
        starts[own, r.FIELDS :] = _quotes(rows[bars[own], r.BAR_OPEN], sizes, instrument)
        closes[own, r.FIELDS :] = _quotes(rows[bars[own], r.BAR_CLOSE], np.zeros_like(sizes), instrument)
    starts[:, r.TYPE] = closes[:, r.TYPE] = r.BAR_START
    starts[:, r.LAST] = prices[:, r.LAST] = 0
    closes[:, r.LAST] = 1
    starts[:, r.TIME_NS] = rows[bars, r.VENUE_NS] + model.ahead_ns
    prices[:, r.TIME_NS] = closes[:, r.TIME_NS] = np.maximum(
        rows[bars, r.TIME_NS] - model.before_end_ns, starts[:, r.TIME_NS]
    )
    taken = is_bar.copy()  # all rows of a message of a bar: the bar, its end, and the quote made of it
    taken[bars + 1] = True
    quotes = bars[(rows[bars + 1, r.LAST] == 0)] + 2
    taken[quotes] = True
    table = np.concatenate([starts, prices, closes, rows[~taken]])
    ordered: Rows = table[np.argsort(table[:, r.TIME_NS], kind="stable")]
    return ordered


def _sizes(volumes: Rows, instrument: Instrument, share: Decimal) -> Rows:
    """Return what bars with these volumes fill: whole lots."""
    if not share:
        return np.full(len(volumes), _unlimited(instrument), np.int64)
    lot = max(int(instrument.lot_size.scaleb(instrument.size_scale)), 1)
    numerator, denominator = share.as_integer_ratio()
    sizes = [volume * numerator // denominator // lot * lot for volume in volumes.tolist()]
    return np.array(sizes, np.int64)


def _quotes(prices: Rows, sizes: Rows, instrument: Instrument) -> Rows:
    """Return the columns of the quotes around some prices, as engine/market/made_quotes.py makes them."""
    ppm = instrument.half_spread_ppm
    tick = max(int(instrument.tick_size.scaleb(instrument.price_scale)), 1)
    halves = prices // MILLION * ppm + (prices % MILLION * ppm + MILLION - 1) // MILLION
    bids, asks = prices - halves, prices + halves
    bids, asks = bids - bids % tick, asks + (tick - asks % tick) % tick
    return np.stack([bids, sizes, asks, sizes, np.zeros_like(bids)], axis=1)
