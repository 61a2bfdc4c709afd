"""A tear sheet as text for the terminal."""

from collections.abc import Sequence

from analysis.sheet_prices import SheetPrices
from analysis.sheet_rows import FigureRow, clock, figure_groups, mode_rows, money
from engine.mode_shares import span_text
from journal.printable import counted, printable
from replay.study.pnl import Grouping
from replay.study.sheet_groups import GroupPnl
from replay.study.tear_sheet import TearSheet

TAGS_SHOWN = 12
NO_TAG = "(no tag)"


def sheet_text(sheet: TearSheet, prices: SheetPrices | None) -> str:
    """Return the tear sheet in lines."""
    span = span_text(sheet.ended_ns - sheet.started_ns)
    lines = [
        f"tear sheet of {sheet.session}: {', '.join(map(printable, sheet.strategies)) or 'no strategy'}",
        f"{clock(sheet.started_ns)} to {clock(sheet.ended_ns)} UTC, {span}, in {sheet.currency or 'no currency'}",
    ]
    lines += sheet.performance.troubles
    for group in figure_groups(sheet, prices):
        lines += ["", group.title, *_table(group.rows)]
    lines += ["", "Time in each mode", *_table(mode_rows(sheet))]
    for title, by in (("By instrument", Grouping.INSTRUMENT), ("By strategy", Grouping.STRATEGY)):
        sums = sheet.pnl.sums(by)
        rows = [(printable(row.name), money(row.total, sign=True), f"fees {money(row.fees)}") for row in sums]
        lines += ["", f"{title}, P&L after fees", *_columns(rows)] if rows else []
    lines += _groups("By hour (UTC)", sheet.by_hour) + _groups("By weekday", sheet.by_weekday)
    lines += _groups("By tag, at the last mark", sheet.by_tag[:TAGS_SHOWN])
    return "\n".join(lines)


def _groups(title: str, groups: Sequence[GroupPnl]) -> list[str]:
    rows = [
        (printable(each.name) or NO_TAG, f"{money(each.pnl, sign=True)} {each.asset}", counted(each.fills, "fill"))
        for each in groups
    ]
    return ["", title, *_columns(rows)] if rows else []


def _table(rows: Sequence[FigureRow]) -> list[str]:
    return _columns([(row.name, row.value, printable(row.note)) for row in rows])


def _columns(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    names, values = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
    return [f"  {name:<{names}}  {value:>{values}}  {note}".rstrip() for name, value, note in rows]
