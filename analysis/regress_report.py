"""The report of a regression: versions by sessions, with the decisions and figures of each, as one HTML file.

Values in, text out. Text from a strategy or a journal is escaped.
"""

from collections.abc import Sequence
from decimal import Decimal

from analysis.svg_charts import escape
from replay.study.decisions import decision_diff_lines
from replay.study.regress import RegressRow

DECISIONS_MAX = 40  # decisions of a row
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { font-size: .88rem; border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.bar { display: inline-block; height: .7rem; vertical-align: middle; border-radius: 2px; }
.good { color: var(--good); } .bad { color: var(--bad); }
.bar.good { background: var(--good); } .bar.bad { background: var(--bad); }
pre { background: var(--soft); padding: .7rem; overflow-x: auto; font-size: .82rem; }
.note { opacity: .75; } summary { cursor: pointer; }
"""


def regress_page(rows: Sequence[RegressRow], title: str) -> str:
    """Return the report as an HTML page."""
    first = rows[0].version if rows else ""
    largest = max((abs(row.pnl_change) for row in rows), default=Decimal(0))
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="note">Each version against <b>{escape(first)}</b>, session by session.</p>',
        '<div class="wide"><table>',
    ]
    heads = ("session", "version", "changed", "orders", "fills", "P&amp;L after fees", "change", "", "trading", "fees")
    body.append("<tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>")
    body += [_line(row, largest) for row in rows]
    body.append("</table></div>")
    for row in rows:
        body += _details(row)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _line(row: RegressRow, largest: Decimal) -> str:
    names = f"<td>{escape(row.session)}</td><td>{escape(row.version)}</td>"
    if row.outcome.result is None:
        return f'<tr>{names}<td colspan="8" class="bad" style="text-align:left">{escape(row.outcome.error)}</td></tr>'
    performance = row.outcome.result.performance
    width = int(80 * abs(row.pnl_change) / largest) if largest else 0
    kind = "good" if row.pnl_change > 0 else "bad" if row.pnl_change < 0 else ""
    bar = f'<td style="text-align:left"><span class="bar {kind}" style="width:{width}px"></span></td>'
    cells = [
        f"{len(row.changed):,}",
        f"{performance.placed:,}",
        f"{performance.fills:,}",
        money_text(performance.pnl),
        f'<span class="{kind}">{money_text(row.pnl_change, sign=True)}</span>',
    ]
    tail = [money_text(row.trading_change, sign=True), money_text(row.fees_change, sign=True)]
    return f"<tr>{names}{_cells(cells)}{bar}{_cells(tail)}</tr>"


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"<td>{text}</td>" for text in texts)


def _details(row: RegressRow) -> list[str]:
    if row.outcome.result is None or not row.changed:
        return []
    lines = "\n".join(escape(line) for line in decision_diff_lines(row.changed, DECISIONS_MAX))
    return [
        f"<h2>{escape(row.version)} on {escape(row.session)}</h2>",
        f'<p class="note">{escape(row.outcome.result.exactness)}</p>',
        f"<details><summary>{len(row.changed):,} decisions changed</summary><pre>{lines}</pre></details>",
    ]


def money_text(amount: Decimal, *, sign: bool = False) -> str:
    """Format an amount with four decimals."""
    return f"{amount:{'+' if sign else ''},.4f}"
