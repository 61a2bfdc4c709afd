"""Charts as SVG text: lines, bars, prices with marks, heat maps. No script, no inline style, colours by CSS variables.

Texts keep their size at any width: a chart is as wide as its place, only the paths inside are stretched.
"""

import html
from collections.abc import Callable, Sequence
from typing import NamedTuple

from journal.printable import printable

WIDTH = 1000  # units of the stretched part
PAD = 18  # pixels above and below the plot
POINTS_MAX = 1_500  # of a line; more are thinned out, extremes kept


class ChartLine(NamedTuple):
    """One line: points in the order of x, and the name of its colour."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str = "accent"
    is_filled: bool = False


class ChartMark(NamedTuple):
    """One mark on a price chart: `up` for a buy."""

    x: float
    y: float
    is_up: bool
    title: str


def escape(text: str) -> str:
    """Return foreign text as HTML, without control characters."""
    return html.escape(printable(text))


def line_chart(
    series: Sequence[ChartLine],
    *,
    label: str,
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
    marks: Sequence[ChartMark] = (),
    height: int = 190,
    zero: bool = False,
) -> str:
    """Return a chart of lines over one x axis.

    Args:
        series: The lines; each with at least one point.
        label: What a screen reader says.
        x_text: Formats an x.
        y_text: Formats a y.
        marks: Triangles on it.
        height: In pixels.
        zero: The y axis contains 0.
    """
    points = [point for each in series for point in each.points]
    if not points:
        return '<p class="note">nothing to draw</p>'
    xs = [x for x, _ in points]
    ys = [y for _, y in points] + [mark.y for mark in marks] + ([0.0] if zero else [])
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    span_x, span_y = (right - left) or 1.0, (high - low) or abs(high) or 1.0
    plot = height - 2 * PAD

    def place_y(value: float) -> float:
        return (high - value) / span_y

    grid = "".join(
        f'<line x1="0" x2="100%" y1="{PAD + plot * share:.1f}" y2="{PAD + plot * share:.1f}" stroke="var(--grid)"/>'
        for share in ([0, 0.5, 1] if not zero else sorted({0, 1, round(place_y(0), 4)}))
    )
    paths = "".join(_path(each, left, span_x, place_y) for each in series)
    inner = (
        f'<svg x="0" y="{PAD}" width="100%" height="{plot}" viewBox="0 0 {WIDTH} 100" preserveAspectRatio="none">'
        f"{paths}</svg>"
    )
    shapes = "".join(
        f'<g fill="var(--{"buy" if mark.is_up else "sell"})"><circle cx="{100 * (mark.x - left) / span_x:.3f}%" '
        f'cy="{PAD + plot * place_y(mark.y):.1f}" r="3"><title>{escape(mark.title)}</title></circle></g>'
        for mark in marks
    )
    texts = [(0, 12, "start", y_text(high)), (0, height - PAD + 14, "start", x_text(left))]
    texts += [(50, height - PAD + 14, "middle", x_text(left + span_x / 2))] if right > left else []
    texts += [(100, height - PAD + 14, "end", x_text(right))] if right > left else []
    texts += [(0, PAD + plot - 4, "start", y_text(low))] if high > low else []
    return _svg(label, height, grid + inner + shapes + "".join(_text(*each) for each in texts))


def _path(series: ChartLine, left: float, span_x: float, place_y: Callable[[float], float]) -> str:
    points = _thinned(series.points)
    places = [(WIDTH * (x - left) / span_x, 100 * place_y(y)) for x, y in points]
    if len(places) == 1:
        places = [places[0], (WIDTH, places[0][1])]
    line = "M" + "L".join(f"{x:.1f} {y:.2f}" for x, y in places)
    area = ""
    if series.is_filled:
        base = min(max(100 * place_y(0.0), 0), 100)
        area = (
            f'<path d="{line}L{places[-1][0]:.1f} {base:.2f}L{places[0][0]:.1f} {base:.2f}Z" '
            f'fill="var(--{series.colour})" fill-opacity="0.15"/>'
        )
    return (
        f'{area}<path d="{line}" fill="none" stroke="var(--{series.colour})" stroke-width="1.5" '
        'vector-effect="non-scaling-stroke" stroke-linejoin="round"/>'
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most POINTS_MAX points; of each run of points the lowest and the highest stay."""
    if len(points) <= POINTS_MAX:
        return list(points)
    run = -(-len(points) // (POINTS_MAX // 2))
    kept = []
    for begin in range(0, len(points), run):
        part = points[begin : begin + run]
        extremes = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(extremes)
    return [points[0], *kept, points[-1]]


def bar_chart(bars: Sequence[tuple[str, float, str]], *, label: str, height: int = 160, labels_max: int = 12) -> str:
    """Return vertical bars from 0: (name, value, title). Green above 0, red below."""
    if not bars:
        return '<p class="note">nothing to draw</p>'
    values = [value for _, value, _ in bars]
    high, low = max(0.0, *values), min(0.0, *values)
    span, plot, width = (high - low) or 1.0, height - 2 * PAD, 100 / len(bars)
    zero = PAD + plot * high / span
    parts = [f'<line x1="0" x2="100%" y1="{zero:.1f}" y2="{zero:.1f}" stroke="var(--dim)"/>']
    every = -(-len(bars) // labels_max)
    for place, (name, value, title) in enumerate(bars):
        top, size = zero - plot * max(value, 0) / span, plot * abs(value) / span
        parts.append(
            f'<rect x="{width * (place + 0.12):.2f}%" y="{top:.1f}" width="{width * 0.76:.2f}%" '
            f'height="{max(size, 0.5):.1f}" '
            f'fill="var(--{"good" if value >= 0 else "bad"})"><title>{escape(title)}</title></rect>'
        )
        if place % every == 0:
            parts.append(_text(width * (place + 0.5), height - 4, "middle", name))
    return _svg(label, height, "".join(parts))


def heat_map(
    rows: Sequence[str], columns: Sequence[str], values: dict[tuple[int, int], float], *, label: str, unit: str = ""
) -> str:
    """Return a map of cells (row, column) -> value: the higher, the stronger the colour. No cell, no value."""
    low, high = min(values.values(), default=0.0), max(values.values(), default=0.0)
    span = (high - low) or 1.0
    cell, gutter = 26, 14
    width = (100 - gutter) / max(1, len(columns))
    parts = []
    for (row, column), value in sorted(values.items()):
        x, y = gutter + width * column, cell * row
        title = escape(f"{rows[row]}, {columns[column]}: {value:.6g} {unit}")
        parts.append(
            f'<rect x="{x:.2f}%" y="{y}" width="{width:.2f}%" height="{cell}" '
            f'fill="var(--accent)" fill-opacity="{0.06 + 0.54 * (value - low) / span:.3f}" '
            f'stroke="var(--panel)"><title>{title}</title></rect>'
        )
        if len(columns) <= 12:
            parts.append(_text(x + width / 2, y + 17, "middle", f"{value:.2g}", "cell"))
    parts += [_text(gutter - 1, cell * place + 17, "end", name) for place, name in enumerate(rows)]
    every = -(-len(columns) // 12)
    parts += [
        _text(gutter + width * (place + 0.5), cell * len(rows) + 15, "middle", name)
        for place, name in enumerate(columns)
        if place % every == 0
    ]
    return _svg(label, cell * len(rows) + 20, "".join(parts))


def _text(x: float, y: float, anchor: str, text: str, kind: str = "axis") -> str:
    return f'<text x="{x:.2f}%" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _svg(label: str, height: float, body: str) -> str:
    return f'<svg role="img" aria-label="{escape(label)}" width="100%" height="{height}">{body}</svg>'
