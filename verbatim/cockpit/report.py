"""The cockpit's page as one file: scripts, styles and the answers of one session inside, for a post-mortem.

It needs no server and no network, and its policy forbids every load. It lacks SQL, the book over time and market
messages that led to nothing; the page states where a part is missing.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from analysis.why import UnknownOrderError
from journal.private_files import write_bytes
from verbatim.cockpit.answers import ANSWERS, Parameters
from verbatim.cockpit.at_cursor import cursor_facts, health, ladder, marks, refusals, state, why
from verbatim.cockpit.plots import plot_acts, rail, series, values
from verbatim.cockpit.record_pages import engine_records
from verbatim.cockpit.session_view import NotAnswerableError, SessionView

MOMENTS_MAX = 120  # states that the cursor can show
STORIES_MAX = 200  # chains of orders
RECORDS_MAX = 6_000  # records of the engine itself, with their bodies
COLUMNS = 4_000  # of the market's series
BODY_MAX = 4_000  # characters of a record

_IMPORT = re.compile(r'from "\./([a-z-]+\.js)"')


def write_report(view: SessionView, path: Path, on_progress: Callable[[float], None] = lambda _: None) -> int:
    """Write the page of a session and return its size in bytes.

    Args:
        view: The session, loaded.
        path: The file.
        on_progress: Gets the share that is done.
    """
    page = report_page(report_data(view, on_progress))
    write_bytes(path, page.encode())
    return len(page.encode())


def report_data(view: SessionView, on_progress: Callable[[float], None] = lambda _: None) -> dict[str, Any]:
    """Return the answers that the page needs."""
    data: dict[str, Any] = {"head": {**view.head(), "is_live": False}, "rail": rail(view, 1_200)}
    instruments = [] if view.context is None else view.context.body.instruments
    end = max(view.last_ns - view.origin_ns, 1)
    data["series"] = [series(view, index, 0, end, COLUMNS) for index in range(len(instruments))]
    data["plots"] = [plot_acts(view, found.id, 0, end) for found in instruments]
    data["orders"] = view.orders(limit=2_000)
    names = values(view, [])["names"]
    data["values"] = values(view, names)
    data["health"] = health(view, view.last_seq)
    for name in ("pnl", "summary"):
        data[name] = _or_nothing(lambda name=name: ANSWERS[name](view, Parameters({})))  # type: ignore[misc]  # bound now
    data["marks"] = marks(view)
    seqs = _moment_seqs(view)
    moments = []
    for done, seq in enumerate(seqs):
        moments.append(_moment(view, seq, len(instruments)))
        on_progress(0.6 * (done + 1) / len(seqs))
    data["moments"] = moments
    data["stories"] = _stories(view, lambda share: on_progress(0.6 + 0.3 * share))
    records = engine_records(view, RECORDS_MAX, BODY_MAX)
    data["records"] = [
        {name: row[name] for name in ("seq", "time", "kind", "source", "cause", "key", "text")} for row in records
    ]
    data["bodies"] = {row["seq"]: row for row in records}
    data["lines"] = {row["seq"]: {"time": row["time"]} for row in records}
    on_progress(1.0)
    return data


def _moment(view: SessionView, seq: int, instruments: int) -> dict[str, Any]:
    found: dict[str, Any] = {"seq": seq, "at": cursor_facts(view, seq, None), "refusals": refusals(view, seq)}
    found["time"] = found["at"]["time"]
    found["state"] = _or_nothing(lambda: state(view, seq))
    found["ladder"] = [_or_nothing(lambda index=index: ladder(view, index, seq, 20)) for index in range(instruments)]  # type: ignore[misc]  # bound now
    return found


def _moment_seqs(view: SessionView) -> list[int]:
    """Return the records at which the cursor can stop: acts, thinned out evenly, the first and the last record."""
    acts = marks(view)
    seqs = sorted({row[0] for name in ("fill", "refusal", "mode", "alarm", "command", "unknown") for row in acts[name]})
    step = max(1, -(-len(seqs) // MOMENTS_MAX))
    return sorted({min(1, view.last_seq), *seqs[::step], view.last_seq})


def _stories(view: SessionView, on_progress: Callable[[float], None]) -> dict[str, Any]:
    """Return the chains of the latest orders with a fill, of refused intents and of other orders."""
    rows = view.orders(limit=2_000)["rows"]
    filled = [row["id"] for row in rows if row["filled"] != "0"]
    refused = [key for _, _, key in reversed(marks(view)["refusal"]) if key]
    names = list(
        dict.fromkeys([*filled[: STORIES_MAX // 2], *refused[: STORIES_MAX // 4], *(row["id"] for row in rows)])
    )
    stories = {}
    for done, name in enumerate(names[:STORIES_MAX]):
        try:
            stories[name] = why(view, name)
        except UnknownOrderError:
            continue
        on_progress(done / len(names[:STORIES_MAX]))
    return stories


def _or_nothing(answer: Callable[[], Any]) -> Any:
    try:
        return answer()
    except NotAnswerableError:
        return None


def report_page(data: dict[str, Any]) -> str:
    """Return the page with its data as one HTML text."""
    folder = files("verbatim.cockpit").joinpath("page")
    texts = {
        entry.name: entry.read_text(encoding="utf-8")
        for place in (folder, folder.joinpath("vendor"))
        for entry in place.iterdir()
        if entry.name.endswith((".js", ".css"))
    }
    modules = {name: _IMPORT.sub(r'from "\1"', text) for name, text in sorted(texts.items()) if name.endswith(".js")}
    imports = {
        name: "data:text/javascript;base64," + base64.b64encode(text.encode()).decode()
        for name, text in modules.items()
    }
    import_map = json.dumps({"imports": imports})
    entry = 'import "report.js";'
    style = texts["style.css"]
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_source(import_map)} {_source(entry)} data:",
            f"style-src {_source(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    body = (
        msgspec.json.encode(data).decode().replace("<", "\\u003c")
    )  # no text of a strategy or a venue ends the element
    title = f"{data['head']['id']} · Verbatim"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_escaped(title)}</title>\n<style>{style}</style>\n"
        f'<script type="importmap">{import_map}</script>\n</head>\n<body>\n'
        '<div id="app" class="boot"><p>Loading …</p></div>\n'
        f'<script type="application/json" id="report-data">{body}</script>\n'
        f'<script type="module">{entry}</script>\n</body>\n</html>\n'
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
