"""The variants and the guards of a sweep as rows of text, for the terminal and the page."""

from typing import TYPE_CHECKING

from analysis.sheet_rows import NONE, FigureRow, money, percent
from journal.printable import counted, printable
from replay.study.return_figures import SECOND_NS
from replay.study.sweep_table import VariantResult
from replay.study.walk_forward import WalkForward
from replay.study.winner_checks import RecursiveIndicator

if TYPE_CHECKING:
    from analysis.sweep_report import SweepReport, WinnerReport


def variant_lines(results: list[VariantResult]) -> list[str]:
    """Return the best variants as a table."""
    heads = ("", "variant", "score", "P&L", "return", "drawdown", "fills", "hit rate")
    rows = [heads, *(variant_cells(place, result) for place, result in enumerate(results, 1))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if column == 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def variant_cells(place: int, result: VariantResult) -> tuple[str, ...]:
    """Return the cells of a variant: place, values, score, P&L, return, drawdown, fills, hit rate."""
    return (
        str(place),
        printable(result.variant.label),
        score_text(result.score),
        ", ".join(f"{money(amount, sign=True)} {currency}" for currency, amount in sorted(result.pnl.items())) or NONE,
        percent(result.total_return, sign=True),
        percent(result.drawdown_ratio),
        f"{result.fills:,}",
        percent(result.hit_ratio),
    )


def score_text(score: float | None) -> str:
    """Format a score."""
    return NONE if score is None else f"{score:.4f}"


def guard_rows(report: "SweepReport") -> list[FigureRow]:
    """Return the guards as rows: name, value, and what it means."""
    return [
        *_step_rows(report),
        *_chance_rows(report),
        *([] if report.walk is None else [_walk_row(report.walk)]),
        *_neighbour_rows(report),
        *([] if report.winner is None else _winner_rows(report.winner)),
    ]


def _step_rows(report: "SweepReport") -> list[FigureRow]:
    """Return the step of the returns, if it is not the requested one."""
    if report.step_ns == report.step_asked_ns:
        return []
    note = f"between two returns, in place of {report.step_asked_ns / SECOND_NS:g} s: P&L is reported no more often"
    return [FigureRow("step", f"{report.step_ns / SECOND_NS:,g} s", note)]


def _chance_rows(report: "SweepReport") -> list[FigureRow]:
    found, rows = report.deflated, []
    if found is not None:
        step = f"{report.step_ns / SECOND_NS:g} s"
        note = found.lack or (
            f"probability that its Sharpe is above 0, given {found.trials:,} trials; Sharpe of {step} "
            f"{score_text(found.sharpe)}, by chance {score_text(found.expected_max)}"
        )
        rows.append(FigureRow("deflated Sharpe", _share(found.deflated), note))
    chance = report.overfitting
    note = chance.lack or (
        f"how often the best of one half was below the median in the other; {chance.splits:,} splits of "
        f"{chance.blocks} blocks, {_share(chance.loss_probability)} lost"
    )
    return [*rows, FigureRow("probability of overfitting", _share(chance.probability), note)]


def _walk_row(walk: WalkForward) -> FigureRow:
    efficiency = "" if walk.efficiency is None else f", {walk.efficiency:.0%} of the score in training"
    own = f", {walk.own_runs} backtests of parts of sessions" if walk.own_runs else ""
    tests = f"Sharpe {score_text(walk.sharpe)} in {counted(len(walk.windows), 'test')}, chosen by {walk.chosen_by}"
    note = walk.lack or f"{tests}{efficiency}{own}"
    return FigureRow(f"walk-forward, {walk.kind}", percent(walk.total_return, sign=True), note)


def _neighbour_rows(report: "SweepReport") -> list[FigureRow]:
    near = report.neighbourhood
    if near is None or near.mean is None:
        return []
    note = f"mean of the {near.neighbours} variants one value away; the winner has {score_text(near.score)}"
    return [FigureRow("neighbours", score_text(near.mean), note)]


def _winner_rows(winner: "WinnerReport") -> list[FigureRow]:
    rows, again = [], winner.resampled
    if again.samples:
        note = (
            f"of {again.samples:,} resampled orders of its returns lost; "
            f"return {percent(again.return_low, sign=True)} to {percent(again.return_high, sign=True)}, "
            f"drawdown up to {percent(again.drawdown_high)} (5 to 95 %)"
        )
        rows.append(FigureRow("resampled returns", _share(again.loss_share), note))
    if winner.draws is not None:
        known = sorted(score for score in winner.draws.scores if score is not None)
        spread = f"score {score_text(known[0])} to {score_text(known[-1])}" if known else "no score"
        note = f"of {len(winner.draws.scores)} drawn latencies, queues and fills have a score below 0; {spread}"
        rows.append(FigureRow("drawn venue models", _share(winner.draws.share_below), note))
    return [*rows, *_check_rows(winner)]


def _check_rows(winner: "WinnerReport") -> list[FigureRow]:
    """Return lookahead and recursion over all checked sessions."""
    rows = []
    if ahead := [(each.session, each.lookahead) for each in winner.checked if each.lookahead is not None]:
        found = [session for session, result in ahead if result.found]
        decisions = sum(result.decisions for _, result in ahead)
        cuts = sum(len(result.cuts) for _, result in ahead)
        note = f"{decisions:,} decisions of {counted(len(ahead), 'session')}, cut at {cuts} records"
        note += f"; found in {printable(', '.join(found))}" if found else ""
        rows.append(FigureRow("lookahead", "found" if found else "none", note))
    rows += [
        FigureRow("checks of the winner", NONE, f"{each.session}: {each.lack}") for each in winner.checked if each.lack
    ]
    if folded := [each.recursion for each in winner.checked if each.recursion is not None]:
        rows.append(_recursion_row(tuple(one for recursion in folded for one in recursion)))
    return rows


def _recursion_row(found: tuple[RecursiveIndicator, ...]) -> FigureRow:
    if not found:
        return FigureRow("recursive indicators", "none", "the strategy declares no indicator")
    depends = [each for each in found if each.is_recursive]
    worst = max((each.difference for each in found if each.difference is not None), default=None)
    note = f"{len(depends)} of {len(found)} values depend on where the data begin"
    note += "" if worst is None else f", by at most {worst:.2g} of the value"
    return FigureRow("recursive indicators", "found" if depends else "none", note)


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.1%}"
