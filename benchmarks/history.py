"""The figures of docs/performance.md by commit: `--record` of a benchmark adds to `benchmarks/results/`, this prints them.

    python benchmarks/history.py [PROGRAM ...]

A ratio compares with a peer or a commit that ran in turns in the same run, so it can be compared between entries;
a figure without a peer is of its machine and its load, which are recorded beside it.
"""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
Entry = dict[str, Any]


def commit_of(checkout: Path) -> str:
    """Return the short id of a checkout's commit, with a "+" if files of it but results were changed."""
    changed = ["status", "--porcelain", "--untracked-files=no", "--", ".", f":!{RESULTS.relative_to(checkout)}"]
    told = [
        subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()
        for words in (["rev-parse", "--short=8", "HEAD"], changed)
    ]
    return told[0] + ("+" if told[1] else "")


def record(program: str, figures: Mapping[str, float]) -> None:
    """Add figures to a program's history: to its last entry, if that is of today and of this commit.

    Args:
        program: The benchmark's file name without its ending.
        figures: By name, with the unit in the name where it is no ratio.
    """
    entry = {
        "commit": commit_of(RESULTS.parent.parent),
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        "load": round(os.getloadavg()[0], 1),
        "figures": {name: float(f"{value:.4g}") for name, value in figures.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    entries = read(program)
    if entries and all(entries[-1][key] == entry[key] for key in ("commit", "date")):
        entries[-1]["figures"] |= entry["figures"]
    else:
        entries.append(entry)
    lines = [json.dumps(each) for each in entries]
    (RESULTS / f"{program}.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def read(program: str) -> list[Entry]:
    """Return a program's entries, oldest first."""
    path = RESULTS / f"{program}.json"
    entries: list[Entry] = json.loads(path.read_text()) if path.exists() else []
    return entries


def table(program: str) -> str:
    """Return a program's history in Markdown: a line a figure, a column an entry."""
    entries = read(program)
    names = dict.fromkeys(name for entry in entries for name in entry["figures"])
    heads = ["", *(f"{entry['commit']}, {entry['date']}, load {entry['load']:g}" for entry in entries)]
    rows = [[name, *(f"{entry['figures'].get(name, ''):}" for entry in entries)] for name in names]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows])


def main() -> None:
    """Print the histories that are named, or all."""
    for program in sys.argv[1:] or sorted(path.stem for path in RESULTS.glob("*.json")):
        print(f"## {program}\n\n{table(program)}\n")


if __name__ == "__main__":
    main()
