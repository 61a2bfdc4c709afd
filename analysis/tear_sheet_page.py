"""A tear sheet as one HTML file: figures, charts and tables. Values in, text out; foreign text is escaped."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from analysis.html_page import figure, figure_table, html_page, section, table, tiles
from analysis.sheet_prices import PriceCurve, SheetPrices
from analysis.sheet_rows import clock, figure_groups, mode_rows, money, percent, ratio, slippage_text
from analysis.svg_charts import ChartLine, ChartMark, bar_chart, escape, line_chart
from engine.mode_shares import span_text
from engine.money import ZERO
from journal.printable import counted
from replay.study.closed_trades import ClosedTrade
from replay.study.pnl import Grouping
from replay.study.return_figures import RETURNS_MIN, SECOND_NS, rolling
from replay.study.sheet_groups import GroupPnl
from replay.study.tear_sheet import SheetFill, TearSheet

TRADES_SHOWN = 500  # the first of them; `Session.tear_sheet().sheet.trades` has all
MARKS_SHOWN = 1_000  # fills on a price chart
CURVES_SHOWN = 12
DAY_SECONDS = 86_400


def sheet_page(sheet: TearSheet, prices: SheetPrices | None) -> str:
    """Return the page of a tear sheet."""
    names = ", ".join(sheet.strategies) or "no strategy"
    head = (
        f"<h1>{escape(f'{names} · session {sheet.session}')}</h1>"
        f'<p class="note">{clock(sheet.started_ns)} to {clock(sheet.ended_ns)} UTC, '
        f"{span_text(sheet.ended_ns - sheet.started_ns)}, in {escape(sheet.currency or 'no currency')}</p>"
    )
    head += "".join(f'<p class="warn">{escape(line)}</p>' for line in sheet.performance.troubles)
    groups = "".join(
        section(group.title, figure_table(group.rows, label=group.title)) for group in figure_groups(sheet, prices)
    )
    parts = [head, tiles(_tiles(sheet, prices)), f'<div class="grid">{_curves(sheet, prices)}</div>']
    parts.append(f'<div class="grid">{groups}{_tables(sheet)}</div>')
    parts.append(f'<div class="grid">{_trades(sheet.trades, sheet.currency)}</div>')
    return html_page(f"Tear sheet of {sheet.session}", "".join(parts))


def _tiles(sheet: TearSheet, prices: SheetPrices | None) -> list[tuple[str, str, str]]:
    figures, sums, currency = sheet.figures, sheet.trade_sums, sheet.currency
    lacks = figures.lacks
    found = [
        ("P&L after fees", money(sheet.total, sign=True), currency),
        ("return", percent(figures.total_return, sign=True), lacks.get("total_return", "of the equity")),
        ("largest drawdown", money(sheet.drawdown.amount), currency),
        ("Sharpe", ratio(figures.sharpe), lacks.get("sharpe", "annualised")),
        ("Sortino", ratio(figures.sortino), lacks.get("sortino", "annualised")),
        ("Calmar", ratio(figures.calmar), lacks.get("calmar", "annualised")),
        ("hit rate", percent(sums.hit_ratio), f"{sums.count:,} closed trades"),
        ("profit factor", ratio(sums.profit_factor), "" if sums.lost else "nothing was lost"),
        ("maker share", percent(sheet.maker_ratio), counted(sheet.performance.fills, "fill")),
        ("fees", money(sheet.pnl.portfolio.fees), currency),
    ]
    if prices is not None:
        found += [("slippage", slippage_text(each), "against the mid at the decision") for each in prices.slippage]
    return found


# ---- charts


def _curves(sheet: TearSheet, prices: SheetPrices | None) -> str:
    parts = [_pnl_curve(sheet, prices), _drawdown_curve(sheet), _exposure_curve(sheet), _rolling_curve(sheet)]
    parts += [_group_bars("P&L by hour (UTC)", sheet.by_hour), _group_bars("P&L by weekday", sheet.by_weekday)]
    for curve in () if prices is None else prices.curves[:CURVES_SHOWN]:
        parts.append(_price_curve(curve, [fill for fill in sheet.fills if fill.instrument == curve.instrument]))
    return "".join(parts)


def _pnl_curve(sheet: TearSheet, prices: SheetPrices | None) -> str:
    points = [(float(point.time_ns), float(point.total)) for point in sheet.points]
    if not points:
        return figure("P&L after fees", '<p class="note">no P&amp;L was reported</p>', full=True)
    series = [ChartLine("P&L", points, is_filled=True)]
    note = f"{sheet.currency}, last {money(sheet.total, sign=True)}"
    held = None if prices is None else prices.benchmark
    first = next((float(point.equity) for point in sheet.points if point.equity), 0.0)
    if held is not None and first and prices is not None:
        curve = next(each for each in prices.curves if each.instrument == held.instrument)
        at = curve.sample(sheet.returns.times_ns)
        worth = [first * (price / at[0] - 1) for price in at]
        series.append(
            ChartLine(
                "held", [(float(when), value) for when, value in zip(sheet.returns.times_ns, worth, strict=True)], "dim"
            )
        )
        note += f"; grey: the equity in {held.instrument}"
    chart = line_chart(
        series,
        label="P&L after fees over time",
        x_text=_clock_text(sheet.started_ns, sheet.ended_ns),
        y_text=_short,
        height=250,
        zero=True,
    )
    return figure("P&L after fees", chart, note, full=True)


def _drawdown_curve(sheet: TearSheet) -> str:
    peak = sheet.points[0].total if sheet.points else ZERO
    falls = []
    for point in sheet.points:
        peak = max(peak, point.total)
        falls.append((float(point.time_ns), float(point.total - peak)))
    chart = line_chart(
        [ChartLine("drawdown", falls, "bad", is_filled=True)],
        label="drawdown over time",
        x_text=_clock_text(sheet.started_ns, sheet.ended_ns),
        y_text=_short,
        zero=True,
    )
    return figure("Drawdown", chart, f"{sheet.currency}, largest {money(sheet.drawdown.amount)}")


def _exposure_curve(sheet: TearSheet) -> str:
    series = [
        ChartLine("gross", [(float(each.time_ns), float(each.gross)) for each in sheet.exposures], is_filled=True),
        ChartLine("net", [(float(each.time_ns), float(each.net)) for each in sheet.exposures], "sell"),
    ]
    chart = line_chart(
        series,
        label="exposure over time",
        x_text=_clock_text(sheet.started_ns, sheet.ended_ns),
        y_text=_short,
        zero=True,
    )
    return figure("Exposure", chart, f"{sheet.currency}: blue gross, orange net")


def _rolling_curve(sheet: TearSheet) -> str:
    returns = sheet.returns
    window = max(RETURNS_MIN, len(returns.values) // 10)
    found = rolling(returns.values, window) if returns.values else []
    points = [(float(returns.times_ns[end]), value) for end, value, _ in found if value is not None]
    title = "Rolling Sharpe"
    if len(points) < 2:
        why = returns.lack or f"needs more than {window} returns that vary, and these are {len(returns.values)}"
        return figure(title, f'<p class="note">{escape(why)}</p>')
    spread = [(float(returns.times_ns[end]), value * 100) for end, _, value in found]
    x_text = _clock_text(sheet.started_ns, sheet.ended_ns)
    charts = line_chart(
        [ChartLine("Sharpe", points)], label="rolling Sharpe", x_text=x_text, y_text=_short, height=120, zero=True
    )
    charts += line_chart(
        [ChartLine("deviation", spread, "sell")], label="rolling deviation", x_text=x_text, y_text=_short, height=100
    )
    note = f"of {window} returns, one each {returns.step_name}, not annualised; below: their deviation in %"
    return figure(title, charts, note)


def _group_bars(title: str, groups: Sequence[GroupPnl]) -> str:
    bars = [
        (
            each.name[:3],
            float(each.pnl),
            f"{each.name}: {money(each.pnl, sign=True)} {each.asset}, {counted(each.fills, 'fill')}",
        )
        for each in groups
    ]
    return figure(title, bar_chart(bars, label=title), groups[0].asset if groups else "")


def _price_curve(curve: PriceCurve, fills: Sequence[SheetFill]) -> str:
    shown = fills[:: max(1, -(-len(fills) // MARKS_SHOWN))]
    marks = [
        ChartMark(
            float(fill.time_ns),
            float(fill.price),
            fill.side.sign > 0,
            f"{clock(fill.time_ns)} {fill.side} {fill.quantity:f} at {fill.price:f}, {_role(fill)}",
        )
        for fill in shown
    ]
    points = [(float(when), price) for when, price in curve.points()]
    first, last = points[0][0], points[-1][0]
    chart = line_chart(
        [ChartLine("price", points, "dim")],
        label=f"price of {curve.instrument} with fills",
        x_text=_clock_text(int(first), int(last)),
        y_text=lambda price: f"{price:,.8g}",
        marks=marks,
        height=250,
    )
    few = "" if len(shown) == len(fills) else f" ({len(shown):,} drawn)"
    what = f"{'last trade' if curve.is_of_trades else 'mid'}; {counted(len(fills), 'fill')}"
    return figure(curve.instrument, chart, f"{what}{few}: blue bought, orange sold", full=True)


def _role(fill: SheetFill) -> str:
    return "maker" if fill.is_maker else "taker"


def _clock_text(first_ns: int, last_ns: int) -> Callable[[float], str]:
    form = "%m-%d %H:%M" if (last_ns - first_ns) // SECOND_NS > DAY_SECONDS else "%H:%M:%S"

    def text(time_ns: float) -> str:
        return f"{datetime.fromtimestamp(time_ns / SECOND_NS, UTC):{form}}"

    return text


def _short(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


# ---- tables


def _tables(sheet: TearSheet) -> str:
    parts = [section("Time in each mode", figure_table(mode_rows(sheet), label="modes"))]
    heads = ("P&L after fees", "realised", "unrealised", "fees", "funding")
    rows = [
        (
            row.name,
            money(row.total, sign=True),
            money(row.realised, sign=True),
            money(row.unrealised, sign=True),
            money(row.fees),
            money(row.funding, sign=True),
        )
        for by in (Grouping.INSTRUMENT, Grouping.STRATEGY)
        for row in sheet.pnl.sums(by)
    ]
    title = "By instrument and by strategy"
    parts.append(section(f"{title}, in {sheet.currency}", table(("", *heads), rows, label=title)))
    if sheet.by_tag:
        tags = [
            (each.name or "(no tag)", f"{money(each.pnl, sign=True)} {each.asset}", f"{each.fills:,}")
            for each in sheet.by_tag
        ]
        note = '<p class="note">What the fills of the orders are worth at the last mark, less fees.</p>'
        parts.append(section("By tag", table(("tag", "P&L", "fills"), tags, label="By tag") + note))
    return "".join(parts)


def _trades(trades: Sequence[ClosedTrade], currency: str) -> str:
    heads = ("closed", "instrument", "strategy", "held", "side", "quantity", "entry", "exit", "realised", "fee", "net")
    rows = [
        (
            clock(trade.time_ns),
            trade.instrument.partition(":")[2] or trade.instrument,
            trade.strategy,
            span_text(trade.time_ns - trade.opened_ns) if trade.opened_ns else "carried",
            "long" if trade.is_long else "short",
            f"{trade.quantity.normalize():f}",
            f"{trade.entry:,.6f}",
            f"{trade.exit:f}",
            money(trade.realised, sign=True),
            money(trade.fee),
            money(trade.net, sign=True),
        )
        for trade in trades[:TRADES_SHOWN]
    ]
    if not rows:
        return section("Closed trades", '<p class="note">No fill reduced a position.</p>', full=True)
    few = f", the first {TRADES_SHOWN:,} of {len(trades):,}" if len(trades) > TRADES_SHOWN else ""
    text = "A trade is a fill that reduced a position, against its average entry; net is after the fee of this fill."
    note = f'<p class="note">In {escape(currency)}{few}. {text}</p>'
    return section("Closed trades", table(heads, rows, label="trades", tall=True) + note, full=True)
