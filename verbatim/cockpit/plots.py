"""Answers for the plots of the page: the rail, market series, own acts, recorded values, the book, P&L over time."""

from collections import Counter
from typing import Any

import numpy as np

from engine.market import rows as r
from engine.state.session_state import State
from verbatim.cockpit.acts import MARKS
from verbatim.cockpit.series import QB_ASK, QB_BID, QB_HIGH, QB_LOW, QB_SEQ, TB_OPEN, iter_numbers
from verbatim.cockpit.session_view import ROWS_MAX, NotAnswerableError, SessionView

HEAT_RECORDS_MAX = 60_000  # of a range whose book is drawn
HEAT_COLUMNS_MAX = 240


def rail(view: SessionView, columns: int) -> dict[str, Any]:
    """Return the whole session at a glance: density of records, marks by kind, spans of modes, gaps, UNKNOWN."""
    columns = max(10, min(columns, ROWS_MAX))
    with view.lock:
        span = max(view.last_ns - view.origin_ns, 1)
        marks = {}
        for name in MARKS:
            times = np.array([time for _, time in view.acts.marks[name]], np.int64)
            counts = (
                np.bincount(np.clip(times * columns // span, 0, columns - 1), minlength=columns) if len(times) else None
            )
            marks[name] = [] if counts is None else [[int(at), int(counts[at])] for at in np.flatnonzero(counts)]
        return {
            "span": span,
            "columns": columns,
            "density": view.market.series.density(view.origin_ns, view.last_ns, columns).tolist(),
            "marks": marks,
            "modes": [[time, mode] for _, time, mode, _ in view.acts.modes[:ROWS_MAX]],
            "gaps": [[gap[1], gap[2]] for gap in view.acts.gaps[:ROWS_MAX]],
            "unknowns": [[row[1], row[2]] for row in view.acts.unknowns[:ROWS_MAX]],
        }


def series(view: SessionView, instrument: int, from_time: int, to_time: int, columns: int) -> dict[str, Any]:
    """Return quotes and trades of a range as columns. Prices and sizes are integers at the instrument's scales.

    While a long session is read the first time, `missing` has the spans that are not read yet.
    """
    from_ns, to_ns = view.span(from_time, to_time)
    missing = view.market.want(from_ns, to_ns)
    with view.lock:
        quotes, trades = view.market.series.columns(instrument, from_ns, to_ns, columns)
    return {
        "from": from_time,
        "to": to_time,
        "missing": [[first - view.origin_ns, last - view.origin_ns] for first, last in missing],
        "problem": view.market.problem,
        "quotes": {
            "time": iter_numbers(quotes[:, 0], view.origin_ns),
            "seq": iter_numbers(quotes[:, QB_SEQ]),
            "low": iter_numbers(quotes[:, QB_LOW]),
            "high": iter_numbers(quotes[:, QB_HIGH]),
            "bid": iter_numbers(quotes[:, QB_BID]),
            "ask": iter_numbers(quotes[:, QB_ASK]),
        },
        "trades": {
            "time": iter_numbers(trades[:, 0], view.origin_ns),
            "seq": iter_numbers(trades[:, 1]),
            **{
                name: iter_numbers(trades[:, TB_OPEN + at])
                for at, name in enumerate(("open", "high", "low", "close", "buy", "sell"))
            },
        },
    }


def plot_acts(view: SessionView, instrument: str, from_time: int, to_time: int) -> dict[str, Any]:
    """Return own orders, fills, refused intents and the position of one instrument in a range."""
    with view.lock:
        acts = view.acts
        orders = [
            row
            for row in acts.orders.values()
            if row.instrument == instrument
            and row.time <= to_time
            and (row.end_time >= from_time or not row.end_time)
            and (row.price or row.stop_price)
        ]
        refused = [
            [row.seq, row.time, row.id, row.side, row.price, row.rule, row.objection]
            for row in acts.intents
            if row.approved is False and row.instrument == instrument and from_time <= row.time <= to_time
        ]
        fills = [
            [row.seq, row.time, row.id, row.side, row.price, row.quantity, row.maker]
            for row in acts.fills
            if row.instrument == instrument and from_time <= row.time <= to_time
        ]
        net: dict[str, float] = {}
        positions = []
        for _, time, strategy, of, quantity, *_ in acts.positions:
            if of == instrument and time <= to_time:
                net[strategy] = float(quantity)
                positions.append([time, sum(net.values())])
        return {
            "orders": [
                [
                    row.seq,
                    row.time,
                    row.end_time,
                    row.id,
                    row.side,
                    row.price or row.stop_price,
                    row.quantity,
                    row.status,
                    row.filled,
                    row.strategy,
                    bool(row.stop_price),
                ]
                for row in orders[-ROWS_MAX:]
            ],
            "refused": refused[-ROWS_MAX:],
            "fills": fills[-ROWS_MAX:],
            "positions": _thinned(positions, ROWS_MAX),
            "gaps": [
                [gap[1], gap[2], gap[5]]
                for gap in acts.gaps
                if gap[1] <= to_time and (gap[2] is None or gap[2] >= from_time) and _concerns(gap, instrument)
            ][-ROWS_MAX:],
            "more": max(len(orders), len(refused), len(fills)) > ROWS_MAX,
        }


def values(view: SessionView, names: list[str]) -> dict[str, Any]:
    """Return numbers that strategies recorded, as series: rationales and declared state."""
    with view.lock:
        found: dict[str, list[list[float]]] = {}
        for row in view.acts.intents:
            for key, value in row.values.items():
                _add_value(found, f"{row.strategy}.{key}", row.time, value)
        for _, time, strategy, changed in view.acts.changes:
            for key, value in changed.items():
                _add_value(found, f"{strategy}.state.{key}", time, value)
    known = sorted(name for name, points in found.items() if len(points) > 1)
    return {
        "names": known[:200],
        "series": {name: _thinned(found[name], ROWS_MAX) for name in names if name in found},
    }


def heat(view: SessionView, instrument: int, from_time: int, to_time: int, columns: int) -> dict[str, Any]:
    """Return the book over a range: for each column the levels of both sides, best first."""
    if view.is_capture:
        raise NotAnswerableError("a capture has no engine that kept a book; resimulate it to see one")
    from_ns, to_ns = view.span(from_time, to_time)
    columns = max(2, min(columns, HEAT_COLUMNS_MAX))
    first, last = max(view.seq_at(from_ns), 0), view.seq_at(to_ns)
    if last - first > HEAT_RECORDS_MAX:
        raise NotAnswerableError(f"zoom in to see the book: {last - first:,} records, at most {HEAT_RECORDS_MAX:,}")
    key = f"heat {instrument} {first} {last} {columns}"
    if (known := view.memory.get(key)) is not None:
        return dict(known)
    edges = np.linspace(from_ns, to_ns, columns + 1).astype(np.int64)[1:].tolist()
    found: list[list[Any]] = []

    def visit(state: State, time_ns: int) -> None:
        while len(found) < columns and time_ns > edges[len(found)]:
            found.append(book_levels(state, instrument))

    view.states.walk(first, last, visit)
    answer = {
        "from": from_time,
        "to": to_time,
        "columns": found,
        "edges": [edge - view.origin_ns for edge in edges],
    }
    view.memory = {name: value for name, value in view.memory.items() if not name.startswith("heat")} | {key: answer}
    return answer


def equity(view: SessionView) -> dict[str, Any]:
    """Return P&L and equity over the session, as the engine reported them."""
    with view.lock:
        rows = [[row[0], row[1], *map(float, row[2:8])] for row in view.acts.portfolio]
        currency = view.acts.portfolio[-1][8] if view.acts.portfolio else ""
        peak, points = float("-inf"), []
        for row in rows:
            peak = max(peak, row[6])
            points.append([*row, row[6] - peak])
        return {"currency": currency, "rows": _thinned(points, ROWS_MAX)}


def activity(view: SessionView) -> dict[str, Any]:
    """Return fills and turnover by hour of the day in UTC, by instrument and by strategy, and the maker share."""
    with view.lock:
        fills = view.acts.fills
        groups: dict[str, Counter[str]] = {"hour": Counter(), "instrument": Counter(), "strategy": Counter()}
        turnover: dict[str, Counter[str]] = {name: Counter() for name in groups}
        for row in fills:
            hour = (view.origin_ns + row.time) // 3_600_000_000_000 % 24
            value = float(row.price) * float(row.quantity)
            for name, key in (("hour", f"{hour:02d}"), ("instrument", row.instrument), ("strategy", row.strategy)):
                groups[name][key] += 1
                turnover[name][key] += value  # type: ignore[assignment]  # a sum of money for a picture
        return {
            "fills": len(fills),
            "maker": sum(row.maker for row in fills),
            "turnover": sum(float(row.price) * float(row.quantity) for row in fills),
            "groups": {
                name: [[key, counts[key], round(turnover[name][key], 6)] for key in sorted(counts)]
                for name, counts in groups.items()
            },
        }


def book_levels(state: State, instrument: int, count: int = 40) -> list[list[list[int]]]:
    """Return the levels of both sides, best first: price and size as integers."""
    return [[[price, size] for price, size in state.market.levels(instrument, side, count)] for side in (r.BID, r.ASK)]


def _concerns(gap: list[Any], instrument: str) -> bool:
    """Return True for a gap of an instrument, or of a whole link of its venue."""
    link, of = gap[3], gap[4]
    return bool(of == instrument if of else link.partition(".")[0] == instrument.partition(":")[0])


def _thinned(rows: list[Any], count: int) -> list[Any]:
    """Return at most about `count` rows at equal distances, and the last one."""
    if len(rows) <= count:
        return rows
    step = len(rows) / count
    return [rows[int(at * step)] for at in range(count)] + [rows[-1]]


def _add_value(found: dict[str, list[list[float]]], name: str, time: int, value: Any) -> None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return
    if not isinstance(value, bool) and not name.endswith("_seq"):
        found.setdefault(name, []).append([time, number])
