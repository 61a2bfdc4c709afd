"""What the documents say of the code is what the code says."""

from pathlib import Path

from engine.lifecycle import TRANSITIONS, Report

DOCS = Path(__file__).resolve().parent.parent / "docs"


def lifecycle_table() -> str:
    """The life of an order, drawn from its table."""
    lines = ["| from \\ report | " + " | ".join(report.value for report in Report) + " |", "|" + "---|" * (len(Report) + 1)]
    lines += [
        f"| **{status.value}** | " + " | ".join(row[report].value if report in row else "" for report in Report) + " |"
        for status, row in TRANSITIONS.items()
    ]
    return "\n".join(lines)


def test_the_life_cycle_is_drawn_as_it_is() -> None:
    text = (DOCS / "ARCHITECTURE.md").read_text()
    drawn = text.split("differs from the code -->")[1].split("<!-- /lifecycle -->")[0]
    assert drawn.strip() == lifecycle_table()
