"""Draw a session as an SVG picture: quotes, own orders, fills and position, read from its journal with SQL.

    python docs/session_picture.py SESSION_FOLDER docs/session.svg

The picture in the README was drawn from `verbatim demo --capture spot_btcusdt_20240808.gz`.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from analysis.sql_session import connect, query_rows

WIDTH, HEIGHT = 1200, 560
LEFT, RIGHT, TOP = 70, 20, 64
PRICE_HEIGHT, POSITION_HEIGHT, SPACE = 330, 80, 34
WINDOW_NS = 60 * 10**9
STYLE = 'font-family="system-ui, sans-serif" role="img"'
INK, GRID, BUY, SELL, BAND = "#24292f", "#d8dee4", "#0969da", "#bc4c00", "#eaeef2"
FATE = {"filled": 1.0, "partially_filled": 0.8, "canceled": 0.45, "rejected": 0.2}  # opacity of an order's segment


class Axis(NamedTuple):
    """A linear scale from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def busiest_window(fills: list[tuple[Any, ...]]) -> tuple[int, int]:
    """Return the start and end (ns) of the minute with the most fills."""
    times = sorted(row[0] for row in fills)
    first = max(times, key=lambda start: sum(start <= time < start + WINDOW_NS for time in times))
    return first - WINDOW_NS // 12, first + WINDOW_NS - WINDOW_NS // 12


def steps(points: list[tuple[float, float]]) -> str:
    """Return the path of a step line."""
    x, y = points[0]
    path, level = f"M{x:.1f} {y:.1f}", f"{y:.1f}"
    for x, y in points[1:]:
        if f"{y:.1f}" != level:
            level = f"{y:.1f}"
            path += f"H{x:.1f}V{level}"
    return f"{path}H{points[-1][0]:.1f}"


def text(x: float, y: float, words: str, *, size: int = 13, anchor: str = "start", colour: str = INK) -> str:
    """Return a text element."""
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def marker(x: float, y: float, side: str) -> str:
    """Return the triangle of a fill: up and blue for a buy, down and orange for a sale."""
    up = side == "BUY"
    tip, base = (-7, 5) if up else (7, -5)
    return (
        f'<path d="M{x:.1f} {y + tip:.1f}l6 {base - tip:.1f}h-12z" fill="{BUY if up else SELL}" '
        'stroke="white" stroke-width="1.5"/>'
    )


def draw(folder: Path) -> str:
    """Return the SVG of a session's busiest minute."""
    database = connect(folder)
    fills = query_rows(database, "SELECT time_ns, side, price, quantity, strategy FROM fills ORDER BY seq")
    start, end = busiest_window(fills)
    inside = f"BETWEEN {start} AND {end}"  # integers of ours
    quotes = query_rows(database, f"SELECT time_ns, bid, ask FROM quotes WHERE time_ns {inside} ORDER BY seq")  # noqa: S608 - see `inside`
    orders = query_rows(
        database,
        "SELECT created_ns, updated_ns, side, price, status FROM orders "  # noqa: S608 - as above
        f"WHERE price > 0 AND created_ns < {end} AND updated_ns > {start}",
    )
    session, instrument = query_rows(database, "SELECT session, instrument FROM quotes LIMIT 1")[0]
    low = min(float(bid) for _, bid, _ in quotes)
    high = max(float(ask) for _, _, ask in quotes)
    margin = (high - low) * 0.08
    time = Axis(start, end, LEFT, WIDTH - RIGHT)
    price = Axis(low - margin, high + margin, TOP + PRICE_HEIGHT, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {STYLE}>',
        f"<title>One minute of session {escape(session)}: quotes, own orders, fills and position</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        text(LEFT, 26, f"One minute of session {session}, {instrument}, drawn from its journal", size=17),
        text(LEFT, 47, "grey: best bid to best ask · lines: own limit orders from request to end · triangles: fills"),
    ]
    parts += price_grid(price) + time_grid(time, start, end)
    band = [(time.at(at), price.at(float(bid)), price.at(float(ask))) for at, bid, ask in quotes]
    parts += [
        f'<path d="{steps([(x, y) for x, y, _ in band])}" fill="none" stroke="#8c959f" stroke-width="1.2"/>',
        f'<path d="{steps([(x, y) for x, _, y in band])}" fill="none" stroke="#8c959f" stroke-width="1.2"/>',
    ]
    for created, updated, side, at, status in orders:
        y = price.at(float(at))
        if TOP <= y <= TOP + PRICE_HEIGHT:
            parts.append(
                f'<path d="M{time.at(max(created, start)):.1f} {y:.1f}H{time.at(min(updated, end)) + 2:.1f}" '
                f'stroke="{BUY if side == "BUY" else SELL}" stroke-width="2.5" '
                f'stroke-opacity="{FATE.get(status, 0.6)}"/>'
            )
    parts += [marker(time.at(at), price.at(float(paid)), side) for at, side, paid, *_ in fills if start <= at <= end]
    parts += position_panel(time, fills, start, end)
    return "\n".join([*parts, "</svg>", ""])


def price_grid(price: Axis) -> list[str]:
    """Return horizontal lines at round prices."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200) if (price.high - price.low) / step <= 8)
    first = int(price.low // step + 1) * step
    lines = []
    for value in range(first, int(price.high) + 1, step):
        y = price.at(value)
        lines.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>')
        lines.append(text(LEFT - 8, y + 4, f"{value:,}", anchor="end", size=12))
    return lines


def time_grid(time: Axis, start: int, end: int) -> list[str]:
    """Return a tick and a UTC time every ten seconds."""
    lines = []
    bottom = TOP + PRICE_HEIGHT + SPACE + POSITION_HEIGHT
    for second in range(start // 10**9 + 1, end // 10**9 + 1):
        if second % 10 == 0:
            x = time.at(second * 10**9)
            label = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
            lines.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{BAND}"/>')
            lines.append(text(x, bottom + 18, label, anchor="middle", size=12))
    return lines


def position_panel(time: Axis, fills: list[tuple[Any, ...]], start: int, end: int) -> list[str]:
    """Return the step line of the position over all strategies."""
    held, points = 0.0, []
    for at, side, _, quantity, _ in fills:
        held += float(quantity) if side == "BUY" else -float(quantity)
        points.append((at, held))
    before = [value for at, value in points if at < start]
    series = [(start, before[-1] if before else 0.0), *[point for point in points if start <= point[0] <= end]]
    series.append((end, series[-1][1]))
    top = TOP + PRICE_HEIGHT + SPACE
    largest = max(abs(value) for _, value in series) or 1.0
    level = Axis(-largest, largest, top + POSITION_HEIGHT, top)
    line = steps([(time.at(at), level.at(value)) for at, value in series])
    return [
        text(LEFT, top - 8, "position"),
        f'<path d="M{LEFT} {level.at(0):.1f}H{WIDTH - RIGHT}" stroke="{GRID}"/>',
        text(LEFT - 8, level.at(0) + 4, "0", anchor="end", size=12),
        text(LEFT - 8, level.at(largest) + 10, f"{largest:.4f}", anchor="end", size=12),
        f'<path d="{line}" fill="none" stroke="{INK}" stroke-width="1.6"/>',
    ]


def main() -> None:
    """Write the picture that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session", type=Path, help="folder of the session")
    parser.add_argument("picture", type=Path, help="the SVG file to write")
    given = parser.parse_args()
    given.picture.write_text(draw(given.session))


if __name__ == "__main__":
    main()
