"""The figures of a tear sheet as rows of text, for the terminal and the page: name, value, and what a figure needs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from analysis.sheet_prices import SheetPrices, Slippage
from engine.mode_shares import span_text
from journal.printable import counted
from replay.study.return_figures import ANNUAL, SECOND_NS
from replay.study.tear_sheet import TearSheet

NONE = "-"  # no value


class FigureRow(NamedTuple):
    """One figure. `note` says more, or why the value is missing."""

    name: str
    value: str
    note: str = ""


class FigureGroup(NamedTuple):
    """Figures under one heading."""

    title: str
    rows: list[FigureRow]


def figure_groups(sheet: TearSheet, prices: SheetPrices | None) -> list[FigureGroup]:
    """Return all single figures. Without prices, those that need the market are left out with the reason."""
    return [
        FigureGroup("Result", _result(sheet)),
        FigureGroup("Ratios", _ratios(sheet)),
        FigureGroup("Trading", _trading(sheet)),
        FigureGroup("Market", _market(sheet, prices)),
    ]


def _result(sheet: TearSheet) -> list[FigureRow]:
    sums, currency, fall = sheet.pnl.portfolio, sheet.currency, sheet.drawdown
    first = next((point.equity for point in sheet.points if point.equity), None)
    gained = float(sheet.total / first) if first and sheet.figures.total_return is None else sheet.figures.total_return
    last = sheet.points[-1].equity if sheet.points else None
    fell = "" if not fall.amount else f"{clock(fall.peak_ns)} to {clock(fall.trough_ns)}"
    back = f", recovered {clock(fall.recovered_ns)}" if fall.recovered_ns else ", not recovered" if fell else ""
    return [
        FigureRow("P&L after fees", f"{money(sheet.total, sign=True)} {currency}", _lacking(sheet)),
        FigureRow("realised", f"{money(sums.realised, sign=True)} {currency}"),
        FigureRow("unrealised", f"{money(sums.unrealised, sign=True)} {currency}"),
        FigureRow("fees", f"{money(sums.fees)} {currency}"),
        FigureRow("funding", f"{money(sums.funding, sign=True)} {currency}"),
        FigureRow(
            "equity",
            f"{money(last)} {currency}" if last else NONE,
            f"{money(first)} at the start" if first else "no report states it",
        ),
        FigureRow(
            "return", percent(gained, sign=True), "" if gained is not None else sheet.figures.lacks["total_return"]
        ),
        FigureRow("largest drawdown", f"{money(fall.amount)} {currency}", f"{fell}{back}"),
        FigureRow(
            "drawdown of equity",
            percent(sheet.figures.drawdown_ratio),
            sheet.figures.lacks.get("drawdown_ratio", f"at the end of each {sheet.returns.step_name}"),
        ),
    ]


def _lacking(sheet: TearSheet) -> str:
    sums = sheet.pnl.portfolio
    missing = [f"no rate or mark of {', '.join(sums.missing)}"] if sums.missing else []
    missing += [f"not in it: {amount:f} {asset}" for asset, amount in sorted(sums.unrated.items()) if amount]
    missing += [f"the funding of {name} is not known" for name in sheet.pnl.without_funding]
    return "; ".join(missing)


def _ratios(sheet: TearSheet) -> list[FigureRow]:
    figures, returns = sheet.figures, sheet.returns
    if not returns.values:
        return [FigureRow("Sharpe, Sortino, Calmar, volatility", NONE, returns.lack)]
    of = f"{len(returns.values):,} returns, one each {returns.step_name}"
    error = "" if figures.sharpe_step_error is None else f"± {figures.sharpe_step_error:.3f}, "
    step = f"{figures.sharpe_step:.3f}" if figures.sharpe_step is not None else NONE
    name = f"Sharpe per {returns.step_name}"
    rows = [FigureRow(name, step, f"{error}{of}, not annualised")] if returns.step_ns else []
    named = (
        ("Sharpe", "sharpe", ratio),
        ("Sortino", "sortino", ratio),
        ("Calmar", "calmar", ratio),
        ("annual return", "annual_return", percent),
        ("volatility", "volatility", percent),
        ("skewness", "skewness", ratio),
        ("kurtosis", "kurtosis", ratio),
    )
    missing: dict[str, list[str]] = {}
    for name, field, text in named:
        value = getattr(figures, field)
        if value is None:
            missing.setdefault(figures.lacks.get(field, ""), []).append(name)
        else:
            rows.append(FigureRow(name, text(value), "annualised" if field in ANNUAL else ""))
    return [*rows, *(FigureRow(", ".join(names), NONE, why) for why, names in missing.items())]


def _trading(sheet: TearSheet) -> list[FigureRow]:
    counts, sums, currency = sheet.performance, sheet.trade_sums, sheet.currency
    refused = f"{counts.refused:,} refused by risk" if counts.refused else ""
    nothing = "" if sums.count else "no fill reduced a position"
    fills = counted(counts.fills, "fill")
    unrated = sum(not trade.is_rated for trade in sheet.trades)
    without = f"no rate of {currency} for {counted(unrated, 'trade')}" if unrated else ""
    gross = max((each.gross for each in sheet.exposures), default=None)
    return [
        FigureRow("orders", f"{counts.placed:,}", refused),
        FigureRow("fills", f"{counts.fills:,}"),
        FigureRow("maker share", percent(sheet.maker_ratio), f"{counts.maker_fills:,} of {fills}"),
        FigureRow("closed trades", f"{sums.count:,}", nothing or without),
        FigureRow("hit rate", percent(sums.hit_ratio), nothing or f"{sums.wins:,} won more than their fee"),
        FigureRow("profit factor", ratio(sums.profit_factor), nothing or ("" if sums.lost else "nothing was lost")),
        FigureRow("mean trade", NONE if sums.expectancy is None else f"{money(sums.expectancy, sign=True)} {currency}"),
        FigureRow(
            "best, worst trade",
            f"{money(sums.best, sign=True)}, {money(sums.worst, sign=True)} {currency}" if sums.count else NONE,
            nothing,
        ),
        FigureRow("turnover", by_asset(sheet.turnover)),
        FigureRow(
            "largest exposure", by_asset(sheet.exposure_max), "" if gross is None else f"{money(gross)} {currency}"
        ),
        FigureRow("time with a position", percent(sheet.exposed_ratio)),
    ]


def _market(sheet: TearSheet, prices: SheetPrices | None) -> list[FigureRow]:
    if prices is None:
        return [FigureRow("slippage, benchmark", NONE, "need a journal, which has the market's prices")]
    rows = [
        FigureRow(
            "slippage",
            slippage_text(each),
            f"{'' if each.ratio is None else f'{each.ratio * 1e4:+.2f} bp of {money(each.notional)}, '}"
            f"{counted(each.fills, 'fill')} against the mid at the decision",
        )
        for each in prices.slippage
    ] or [FigureRow("slippage", NONE, "no fill" if not sheet.fills else "no quote was recorded")]
    held = prices.benchmark
    if held is None:
        return [*rows, FigureRow("benchmark", NONE, prices.lack)]
    return [
        *rows,
        FigureRow("benchmark", percent(held.total_return, sign=True), f"holding {held.instrument} over the same steps"),
        FigureRow("excess return", percent(held.excess_return, sign=True)),
        FigureRow("beta", ratio(held.beta), held.lacks.get("beta", "")),
        FigureRow("correlation", ratio(held.correlation), held.lacks.get("correlation", "")),
        FigureRow("alpha", percent(held.alpha, sign=True), held.lacks.get("alpha", "a year")),
    ]


def slippage_text(slippage: Slippage) -> str:
    """Return what the fills cost, or gained, against the mid."""
    return f"{'gain' if slippage.cost < 0 else 'cost'} {money(abs(slippage.cost))} {slippage.asset}"


def mode_rows(sheet: TearSheet) -> list[FigureRow]:
    """Return the share of time in each mode, with its reasons."""
    modes = sheet.modes
    if modes is None:
        return []
    return [
        FigureRow(
            mode,
            f"{spent / modes.total_ns:.1%}" if modes.total_ns else NONE,
            ", ".join(
                f"{code.replace('_', ' ')} {span_text(time_ns)}"
                for code, time_ns in sorted(modes.reason_ns.get(mode, {}).items(), key=lambda pair: (-pair[1], pair[0]))
            ),
        )
        for mode, spent in sorted(modes.mode_ns.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


# ---- texts of values


def money(amount: Decimal | None, *, sign: bool = False) -> str:
    """Format an amount for people: four decimals, more if it is below a cent."""
    if amount is None:
        return NONE
    places = 8 if amount and abs(amount) < Decimal("0.01") else 4
    return f"{amount:{'+' if sign and amount else ''},.{places}f}"


def ratio(value: float | None) -> str:
    """Format a ratio with two decimals."""
    return NONE if value is None else f"{value:.2f}"


def percent(value: float | None, *, sign: bool = False) -> str:
    """Format a share as per cent."""
    if value is None:
        return NONE
    form = ".2g" if value and abs(value) < 1e-3 else ".2f"
    return f"{value * 100:{'+' if sign else ''}{form}} %"


def by_asset(amounts: Mapping[str, Decimal]) -> str:
    """Format sums by asset."""
    return ", ".join(f"{money(amount)} {asset}" for asset, amount in sorted(amounts.items())) or NONE


def clock(time_ns: int) -> str:
    """Format a time to the second, in UTC."""
    return f"{datetime.fromtimestamp(time_ns // SECOND_NS, UTC):%Y-%m-%d %H:%M:%S}"
