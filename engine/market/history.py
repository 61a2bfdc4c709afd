"""Bars from before the session: candles of a venue or a file, put before the bars that the session saw itself.

Pages of candles are kept until the last one came. Then the closed bars are made again, those of the history first, and
the indicators over them start again from the first bar. So it does not matter how late the history arrives. The pages
stay until the bar that was forming when the session began is known whole.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from engine.market import layout as at
from engine.market.fold.indicator_inputs import update_with_bar
from engine.market.rows import VALUE_MAX, Rows
from engine.model import Instrument

if TYPE_CHECKING:
    from engine.market.market_state import Market

_NUMBER: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?", re.ASCII)


class Candle(msgspec.Struct, frozen=True, array_like=True):
    """A closed interval of trades as a venue or a file states it. Numbers are text, because they are the venue's."""

    start_ns: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    trades: int
    complete: bool = True


class HistoryBars(msgspec.Struct):
    """The bars of a history that is not complete yet, and the time up to which it goes."""

    bars: Rows
    end_ns: int
    is_loaded: bool = False  # all pages came: the market's bars begin with these


def encode_candles(candles: Sequence[Candle]) -> bytes:
    """Return candles as the payload of a record."""
    return msgspec.json.encode(candles)


def decode_candles(payload: bytes) -> tuple[Candle, ...]:
    """Return the candles of a payload. Raises ValueError for any other bytes."""
    return msgspec.json.decode(payload, type=tuple[Candle, ...])


def bars_of(
    candles: Iterable[Candle], instrument: Instrument, *, base_ns: int, interval_ns: int, start_ns: int, end_ns: int
) -> Rows:
    """Return the bars between two times, made of shorter candles or equal ones.

    A bar is complete if all its candles are known and on the instrument's grid. One without any candle between
    two others has the last close as its prices and is not complete. Repeated candles count once.

    Raises:
        ValueError: A number cannot be read, or a candle does not begin at a multiple of `base_ns`.

    """
    parts: dict[int, dict[int, Candle]] = {}
    for candle in candles:
        if start_ns <= candle.start_ns < end_ns:
            if (candle.start_ns - start_ns) % base_ns:
                raise ValueError(f"a candle begins at {candle.start_ns}, not at a multiple of {base_ns} ns")
            begin_ns = candle.start_ns - (candle.start_ns - start_ns) % interval_ns
            parts.setdefault(begin_ns, {}).setdefault(candle.start_ns, candle)
    if not parts:
        return np.zeros((0, at.CLOSED_NUMBERS), np.int64)
    first_ns, last_ns = min(parts), max(parts)
    rows: Rows = np.zeros(((last_ns - first_ns) // interval_ns + 1, at.CLOSED_NUMBERS), np.int64)
    for n, row in enumerate(rows):
        row[at.BAR_START_NS] = first_ns + n * interval_ns
        found = parts.get(int(row[at.BAR_START_NS]))
        if found is None:
            row[at.BAR_OPEN : at.BAR_CLOSE + 1] = rows[n - 1, at.BAR_CLOSE]
        else:
            _fill(row, [found[ns] for ns in sorted(found)], instrument, wanted=interval_ns // base_ns)
    return rows


def _fill(row: Rows, candles: Sequence[Candle], instrument: Instrument, *, wanted: int) -> None:
    """Write the numbers of one bar."""
    prices = [
        [_scaled(text, instrument.price_scale) for text in (each.open, each.high, each.low, each.close)]
        for each in candles
    ]
    volumes = [_scaled(each.volume, instrument.size_scale) for each in candles]
    trades = [each.trades for each in candles]
    if not all(0 <= count <= VALUE_MAX for count in trades):
        raise ValueError(f"{min(trades)} trades are no count")
    volume = sum(number for number, _ in volumes)
    row[at.BAR_OPEN] = prices[0][0][0]
    row[at.BAR_HIGH] = max(each[1][0] for each in prices)
    row[at.BAR_LOW] = min(each[2][0] for each in prices)
    row[at.BAR_CLOSE] = prices[-1][3][0]
    row[at.BAR_VOLUME_1], row[at.BAR_VOLUME_0] = volume >> at.WORD_BITS, volume & at.WORD_MASK
    row[at.BAR_TRADES] = sum(trades)
    is_exact = all(exact for each in prices for _, exact in each) and all(exact for _, exact in volumes)
    row[at.CLOSED_COMPLETE] = is_exact and len(candles) == wanted and all(each.complete for each in candles)


def _scaled(text: str, scale: int) -> tuple[int, bool]:
    """Return a number as an integer at a scale, and True if it is on the grid: an older grid may have been finer."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is no price or size")
    decimals = found[2] or ""
    unit = 10 ** max(0, len(decimals) - scale)
    number, rest = divmod(int(found[1] + decimals) * 10 ** max(0, scale - len(decimals)), unit)
    number += 2 * rest >= unit if rest else 0
    if number > VALUE_MAX:
        raise ValueError(f"{text[:40]!r} is too large")
    return number, not rest


def add_bars(market: "Market", k: int, bars: Rows, *, start_ns: int, end_ns: int, is_last: bool) -> bool:
    """Add a page to a history; with the last page put it before the market's own bars.

    Args:
        market: The market.
        k: The index of the bars.
        bars: Those of the page.
        start_ns: The beginning of the page.
        end_ns: Its end.
        is_last: No page follows.

    Returns:
        True if the session's own bars that had closed before are known better now: a strategy that waited may decide.

    """
    known = market.history.get(k)
    if known is not None and known.is_loaded:
        return _complete_bars(market, k, known, bars, start_ns=start_ns, end_ns=end_ns)
    before = bars[:0] if known is None else known.bars[known.bars[:, at.BAR_START_NS] < start_ns]
    interval_ns = int(market.bar_state[k, at.BAR_INTERVAL_NS])
    whole = np.concatenate([before, _missing_between(before, bars, interval_ns), bars])
    market.history[k] = HistoryBars(whole, end_ns)
    if not is_last:
        return False
    if not len(whole):
        drop_history(market, k)  # the source has no bars: those of the session are all there are
        return False
    own_ns = end_ns
    end_ns = int(whole[-1, at.BAR_START_NS]) + interval_ns
    market.history[k] = HistoryBars(whole, end_ns, is_loaded=True)
    closed_since = len(_own_bars(market, k, own_ns)) > 0
    _merge(market, k)
    return closed_since


def _missing_between(before: Rows, bars: Rows, interval_ns: int) -> Rows:
    """Return the bars whose candles are missing at the end of one page or at the beginning of the next one."""
    if not len(before) or not len(bars):
        return bars[:0]
    return _flat_bars(
        before[-1], int(before[-1, at.BAR_START_NS]) + interval_ns, int(bars[0, at.BAR_START_NS]), interval_ns
    )


def _complete_bars(market: "Market", k: int, known: HistoryBars, bars: Rows, *, start_ns: int, end_ns: int) -> bool:
    """Replace bars that the session saw in part, up to the first that the page does not complete."""
    own = _own_bars(market, k, known.end_ns)
    whole = {int(bar[at.BAR_START_NS]): bar for bar in bars if bar[at.CLOSED_COMPLETE]}
    done = []
    for bar in own[own[:, at.BAR_START_NS] < end_ns]:
        bar_ns = int(bar[at.BAR_START_NS])
        best = whole.get(bar_ns, bar) if bar_ns >= start_ns and not bar[at.CLOSED_COMPLETE] else bar
        if not best[at.CLOSED_COMPLETE]:
            break
        done.append(best)
    if not done:
        return False
    known.bars = np.concatenate([known.bars, np.array(done)])
    known.end_ns = int(done[-1][at.BAR_START_NS] + market.bar_state[k, at.BAR_INTERVAL_NS])
    _merge(market, k)
    return True


def gap_of(market: "Market", k: int) -> tuple[int, int] | None:
    """Return (start, end) of the closed bars that only the venue can complete; None if all are complete."""
    known = market.history.get(k)
    if known is None or not known.is_loaded:
        return None
    own = _own_bars(market, k, known.end_ns)
    incomplete = own[own[:, at.CLOSED_COMPLETE] == 0]
    if not len(incomplete):
        return None
    interval_ns = int(market.bar_state[k, at.BAR_INTERVAL_NS])
    return int(incomplete[0, at.BAR_START_NS]), int(incomplete[-1, at.BAR_START_NS]) + interval_ns


def has_whole_bars(market: "Market", k: int) -> bool:
    """Return True if all bars since the history are whole, and the forming one will be."""
    state = market.bar_state[k]
    since_ns = market.t[int(state[at.BAR_INSTRUMENT]), at.L_SINCE_NS]
    return gap_of(market, k) is None and bool(since_ns <= state[at.BAR_START_NS])


def drop_history(market: "Market", k: int) -> None:
    """Forget the pages of a history. The bars that the market has stay."""
    market.history.pop(k, None)


def _own_bars(market: "Market", k: int, since_ns: int) -> Rows:
    """Return the market's closed bars that begin at or after a time."""
    count = int(market.bar_state[k, at.BAR_CLOSED_COUNT])
    slots = [n % at.BARS_KEPT for n in range(max(0, count - at.BARS_KEPT), count)]
    closed: Rows = market.closed[k][slots]
    return closed[closed[:, at.BAR_START_NS] >= since_ns]


def _merge(market: "Market", k: int) -> None:
    """Make the closed bars of a history and of the session since, and the indicators over them."""
    known, state = market.history[k], market.bar_state[k]
    own = _own_bars(market, k, known.end_ns)
    interval_ns = int(state[at.BAR_INTERVAL_NS])
    closed, first_ns = known.bars, known.end_ns
    _begin_after(state, closed, first_ns)
    next_ns = int(own[0, at.BAR_START_NS]) if len(own) else int(state[at.BAR_START_NS])
    closed = np.concatenate([closed, _flat_bars(closed[-1], first_ns, next_ns, interval_ns), own])
    count = len(closed)
    state[at.BAR_CLOSED_COUNT] = count
    kept = closed[-at.BARS_KEPT :]
    for n, bar in zip(range(count - len(kept), count), kept, strict=True):
        market.closed[k, n % at.BARS_KEPT] = bar
    market.closed_hashes.pop(k, None)
    _update_indicators(market, k, closed)


def _begin_after(state: Rows, closed: Rows, start_ns: int) -> None:
    """Begin the forming bar where the history ends, unless a trade began it."""
    if state[at.BAR_BEGUN] and state[at.BAR_START_NS] >= start_ns:
        return
    state[: at.BAR_NUMBERS] = 0
    state[at.BAR_START_NS] = start_ns
    state[at.BAR_OPEN : at.BAR_CLOSE + 1] = closed[-1, at.BAR_CLOSE]
    state[at.BAR_BEGUN] = 1


def _flat_bars(last: Rows, start_ns: int, end_ns: int, interval_ns: int) -> Rows:
    """Return bars without a trade between two times: of these nothing is known yet."""
    rows: Rows = np.zeros((max(0, end_ns - start_ns) // interval_ns, at.CLOSED_NUMBERS), np.int64)
    rows[:, at.BAR_START_NS] = start_ns + interval_ns * np.arange(len(rows))
    rows[:, at.BAR_OPEN : at.BAR_CLOSE + 1] = last[at.BAR_CLOSE]
    return rows


def _update_indicators(market: "Market", k: int, closed: Rows) -> None:
    """Start the indicators over these bars again, and update them with each bar."""
    for n, spec in enumerate(market.indicator_specs):
        if market.indicator_state[n, at.I_BARS] == k:
            own = spec.own_numbers
            market.indicator_state[n, at.I_COUNT] = 0
            market.indicator_values[n, at.I_VALUE] = 0.0
            market.indicator_values[n, at.I_OWN :] = 0.0
            market.indicator_values[n, at.I_OWN : at.I_OWN + len(own)] = own
    bar: Rows = np.zeros(at.BAR_FIELDS, np.int64)
    bar[at.BAR_INTERVAL_NS] = market.bar_state[k, at.BAR_INTERVAL_NS]
    for row in closed:
        bar[: at.BAR_NUMBERS] = row[: at.BAR_NUMBERS]
        update_with_bar(k, bar, market.s, market.indicator_state, market.indicator_values)
