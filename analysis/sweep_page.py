"""A sweep as one HTML file: guards, the table of variants, heat maps, walk-forward. Foreign text is escaped."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from analysis.html_page import figure, figure_table, html_page, section, table, tiles
from analysis.sheet_rows import percent
from analysis.svg_charts import ChartLine, bar_chart, escape, heat_map, line_chart
from analysis.sweep_rows import guard_rows, score_text, variant_cells
from journal.printable import counted
from replay.study.return_figures import SECOND_NS
from replay.study.sweep_table import SensitivityMap
from replay.study.walk_forward import WalkForward

if TYPE_CHECKING:
    from analysis.sweep_report import SweepReport

VARIANTS_SHOWN = 300
CURVES_SHOWN = 5
LOGIT_BINS = 24
LOGIT_LIMIT = 6.0
COLOURS = ("accent", "sell", "good", "warn", "dim")


def sweep_page(report: "SweepReport") -> str:
    """Return the page of a sweep."""
    found = report.table
    best = found.winner
    names = ", ".join(found.sessions[:6]) + (" …" if len(found.sessions) > 6 else "")
    head = (
        f"<h1>{counted(len(found.results), 'variant')} on {counted(len(found.sessions), 'session')}</h1>"
        f'<p class="note">{escape(report.search)} search, best {escape(found.objective)}; {escape(names)}</p>'
    )
    if best is not None:
        head += f"<p><b>Best: {escape(best.variant.label)}</b>, score {score_text(best.score)}</p>"
    parts = [head, tiles(_tiles(report)), f'<div class="grid">{_curves(report)}{"".join(map(_map, report.maps))}</div>']
    charts = _logits(report) + ("" if report.walk is None else _walk(report.walk, report)) + _draws(report)
    guards = section("Guards", figure_table(guard_rows(report), label="guards"), full=True)
    parts.append(f'<div class="grid">{guards}{charts}</div>')
    parts.append(f'<div class="grid">{_variants(report)}{_failed(report)}</div>')
    return html_page(f"Sweep of {len(found.results)} variants", "".join(parts))


def _tiles(report: "SweepReport") -> list[tuple[str, str, str]]:
    best, chance, walk = report.table.winner, report.overfitting, report.walk
    deflated = None if report.deflated is None else report.deflated.deflated
    found = [
        (
            "deflated Sharpe",
            percent(deflated),
            "95 % and more is a finding" if deflated is not None else "too few returns",
        ),
        ("probability of overfitting", percent(chance.probability), chance.lack or "by CSCV; 50 % is a coin"),
    ]
    if walk is not None:
        found.append(
            ("walk-forward return", percent(walk.total_return, sign=True), walk.lack or f"{walk.kind} windows")
        )
    if best is not None:
        found += [("return of the best", percent(best.total_return, sign=True), "on the data that chose it")]
    if report.winner is not None and report.winner.draws is not None:
        found.append(("draws below 0", percent(report.winner.draws.share_below), "of drawn venue models"))
    return found


def _curves(report: "SweepReport") -> str:
    """Return the compounded returns of the best variants, one session after the other."""
    lines = []
    for colour, result in zip(COLOURS, report.table.ranked[:CURVES_SHOWN], strict=False):
        worth = accumulate(report.table.returns(result.number), lambda total, value: total * (1 + value), initial=1.0)
        points = [(float(place), 100 * (value - 1)) for place, value in enumerate(worth)]
        lines.append(ChartLine(result.variant.label, points, colour))
    step = report.step_ns / SECOND_NS
    chart = line_chart(
        lines,
        label="returns of the best variants",
        x_text=lambda place: f"{place * step / 60:,.0f} min",
        y_text=lambda value: f"{value:.4g} %",
        height=250,
        zero=True,
    )
    note = "all sessions one after the other; blue is the best"
    return figure(f"Returns of the best {len(lines)} variants", chart, note, full=True)


def _map(found: SensitivityMap) -> str:
    if not found.columns_name:
        bars = [
            (name, value, f"{found.rows_name} {name}: {value:.4g}, {found.counts[f'{place} 0']} variants")
            for place, name in enumerate(found.rows)
            if (value := found.cell(place, 0)) is not None
        ]
        return figure(found.rows_name, bar_chart(bars, label=found.rows_name), "mean score", full=True)
    cells = {
        (row, column): value
        for row in range(len(found.rows))
        for column in range(len(found.columns))
        if (value := found.cell(row, column)) is not None
    }
    title = f"{found.rows_name} (down) and {found.columns_name} (across)"
    chart = heat_map(found.rows, found.columns, cells, label=title)
    return figure(title, chart, "mean score of the variants in a cell; the stronger, the better")


def _logits(report: "SweepReport") -> str:
    logits = report.overfitting.logits
    if not logits:
        return ""
    counts = [0] * LOGIT_BINS
    for logit in logits:
        share = (min(max(logit, -LOGIT_LIMIT), LOGIT_LIMIT) + LOGIT_LIMIT) / (2 * LOGIT_LIMIT)
        counts[min(int(share * LOGIT_BINS), LOGIT_BINS - 1)] += 1
    width = 2 * LOGIT_LIMIT / LOGIT_BINS
    bars = []
    for place, count in enumerate(counts):
        middle = (place + 0.5) * width - LOGIT_LIMIT
        bars.append((f"{middle:.1f}", float(count) if middle > 0 else -float(count), f"{middle:.2f}: {count:,} splits"))
    chart = bar_chart([(name, abs(value), title) for name, value, title in bars], label="logits of the rank")
    return figure("Rank in the other half", chart, "logit; below 0 the chosen variant was worse than the median")


def _walk(walk: WalkForward, report: "SweepReport") -> str:
    if not walk.windows:
        return section("Walk-forward", f'<p class="note">{escape(walk.lack)}</p>')
    labels = {result.number: result.variant.label for result in report.table.results}
    rows = [
        (
            f"{window.test[0]:,} to {window.test[1]:,}",
            labels[report.numbers[window.variant]],
            score_text(window.train_score),
            score_text(window.test_score),
            percent(window.test_return, sign=True),
        )
        for window in walk.windows
    ]
    heads = ("steps of the test", "chosen before", "score in training", "in the test", "return")
    return section(f"Walk-forward, {walk.kind}", table(heads, rows, texts=(1,), label="walk-forward"))


def _draws(report: "SweepReport") -> str:
    draws = None if report.winner is None else report.winner.draws
    if draws is None or not draws.scores:
        return ""
    pairs = sorted(zip(draws.scores, draws.models, strict=True), key=lambda pair: pair[0] or 0.0)
    bars = [
        (
            str(place),
            score or 0.0,
            f"{score_text(score)}: {', '.join(f'{name} {value}' for name, value in model.items())}",
        )
        for place, (score, model) in enumerate(pairs, 1)
    ]
    note = f"score under drawn latencies, queues and fills; as swept {score_text(draws.recorded)}"
    return figure("Drawn venue models", bar_chart(bars, label="drawn models"), note)


def _variants(report: "SweepReport") -> str:
    ranked = report.table.ranked
    heads = ("", "variant", "score", "P&L", "return", "drawdown", "fills", "hit rate")
    rows = [variant_cells(place, result) for place, result in enumerate(ranked[:VARIANTS_SHOWN], 1)]
    few = f", the best {VARIANTS_SHOWN} of {len(ranked):,}" if len(ranked) > VARIANTS_SHOWN else ""
    return section(f"Variants{few}", table(heads, rows, texts=(1,), label="variants", tall=True), full=True)


def _failed(report: "SweepReport") -> str:
    failed: Sequence[tuple[str, str]] = [
        (result.variant.label, result.errors[0]) for result in report.table.results if result.errors
    ][:VARIANTS_SHOWN]
    failed = [*((each.name, f"left out: {each.reason}") for each in report.left_out), *failed]
    if not failed:
        return ""
    return section(
        "Could not be run",
        table(("variant or session", "error"), failed, texts=(1,), label="failed", tall=True),
        full=True,
    )
