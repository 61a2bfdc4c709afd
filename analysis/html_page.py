"""The shell of reports: one HTML file without scripts and without loads, light or dark as the reader's system is."""

import base64
import hashlib
from collections.abc import Iterable, Sequence

from analysis.svg_charts import escape

STYLE = """
:root { color-scheme: light dark; --bg: #eef0f3; --panel: #fff; --line: #d9dee4; --grid: #e6eaee; --text: #1b232c;
  --dim: #566270; --accent: #1d63c1; --buy: #0a63c2; --sell: #b65200; --good: #0b7763; --bad: #a32a4d;
  --warn: #8f6400; }
@media (prefers-color-scheme: dark) { :root { --bg: #0c1014; --panel: #12171d; --line: #262e37; --grid: #1f2730;
  --text: #d6dde5; --dim: #8f9cab; --accent: #76adf5; --buy: #5fb0ff; --sell: #ff9d4d; --good: #5cc4a8; --bad: #f08ca4;
  --warn: #e3bf63; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text); font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 1400px; margin: 0 auto; padding: 20px 16px 60px; }
h1 { font-size: 1.35rem; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 8px; }
.note { color: var(--dim); margin: 4px 0; overflow-wrap: anywhere; }
.warn { color: var(--warn); }
.good { color: var(--good); } .bad { color: var(--bad); }
.grid { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
  margin-top: 12px; }
section, figure { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 12px 14px;
  margin: 0; min-width: 0; }
section.full, figure.full { grid-column: 1 / -1; }
.tiles { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); margin-top: 14px; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 8px 12px; min-width: 0; }
.tile b { display: block; font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
.tile span { color: var(--dim); font-size: .82rem; display: block; }
figcaption { display: flex; flex-wrap: wrap; gap: 2px 12px; margin-bottom: 6px; font-weight: 600; }
figcaption span { color: var(--dim); font-weight: 400; }
svg { display: block; overflow: hidden; }
text.axis { fill: var(--dim); font-size: 11px; paint-order: stroke; stroke: var(--panel); stroke-width: 3px; }
text.cell { fill: var(--text); font-size: 11px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th, td { padding: 3px 8px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--dim); font-weight: 500; position: sticky; top: 0; background: var(--panel); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th.text { text-align: left; }
td.text { text-align: left; white-space: normal; color: var(--dim); overflow-wrap: anywhere; min-width: 9rem; }
td.name { white-space: normal; } small { display: block; color: var(--dim); overflow-wrap: anywhere; }
.tall { max-height: 460px; overflow: auto; }
summary { cursor: pointer; }
@media (max-width: 500px) { main { padding: 12px 8px 40px; } section, figure { padding: 10px; }
  .tiles { grid-template-columns: repeat(2, 1fr); } }
"""
FULL = ' class="full"'


def html_page(title: str, body: str) -> str:
    """Return a page. Its policy forbids every load and every script."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    )


def figure(title: str, chart: str, note: str = "", *, full: bool = False) -> str:
    """Return a chart with its caption."""
    more = f" <span>{escape(note)}</span>" if note else ""
    return f"<figure{FULL if full else ''}><figcaption>{escape(title)}{more}</figcaption>{chart}</figure>"


def section(title: str, body: str, *, full: bool = False) -> str:
    """Return a part of the page with a heading."""
    return f"<section{FULL if full else ''}><h2>{escape(title)}</h2>{body}</section>"


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    texts: Sequence[int] = (),
    label: str = "",
    tall: bool = False,
) -> str:
    """Return a table of foreign texts. `texts` are the columns of prose; others are numbers, except the first."""
    head = "".join(
        f'<th class="text">{escape(name)}</th>' if place in texts else f"<th>{escape(name)}</th>"
        for place, name in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{"text" if place in texts else sign_class(cell)}">{escape(cell)}</td>'
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    kind = "wide tall" if tall else "wide"
    rows_text = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="{kind}"><table aria-label="{escape(label)}">{rows_text}</table></div>'


def figure_table(rows: Iterable[tuple[str, str, str]], *, label: str) -> str:
    """Return a table of single figures: (name, value, note); the note is below the name."""
    body = "".join(
        f'<tr><td class="name">{escape(name)}{f"<small>{escape(note)}</small>" if note else ""}</td>'
        f'<td class="{sign_class(value)}">{escape(value)}</td></tr>'
        for name, value, note in rows
    )
    return f'<table aria-label="{escape(label)}"><tbody>{body}</tbody></table>'


def tiles(rows: Iterable[tuple[str, str, str]]) -> str:
    """Return the figures that come first: (name, value, note)."""
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><span>{escape(name)}</span><b class="{sign_class(value)}">{escape(value)}</b>'
            f"<span>{escape(note)}</span></div>"
            for name, value, note in rows
        )
        + "</div>"
    )


def sign_class(text: str) -> str:
    """Return the class of a number that is written with its sign."""
    return {"+": "good", "-": "bad"}.get(text[:1], "") if len(text) > 1 and text[1].isdigit() else ""
