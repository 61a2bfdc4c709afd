"""Documents and code agree, and the strategies shown in the documents trade."""

import re
from pathlib import Path

import pytest

from engine.lifecycle import TRANSITIONS, Report
from journal.record import Kind
from verbatim.cli import COMMANDS
from verbatim.strategy_files import read_strategy
from verbatim.testing import VirtualSession, VirtualVenue

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def lifecycle_table() -> str:
    """The life of an order, drawn from its table."""
    lines = [
        "| from \\ report | " + " | ".join(report.value for report in Report) + " |",
        "|" + "---|" * (len(Report) + 1),
    ]
    lines += [
        f"| **{status.value}** | " + " | ".join(row[report].value if report in row else "" for report in Report) + " |"
        for status, row in TRANSITIONS.items()
    ]
    return "\n".join(lines)


def test_the_life_cycle_is_drawn_as_it_is() -> None:
    text = (DOCS / "ARCHITECTURE.md").read_text()
    drawn = text.split("differs from the code -->")[1].split("<!-- /lifecycle -->")[0]
    assert drawn.strip() == lifecycle_table()


@pytest.mark.parametrize("page", ["README.md", "docs/strategies.md"])
def test_the_strategies_on_the_page_trade(tmp_path: Path, page: str) -> None:
    placed = {}
    for code in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        [cls] = re.findall(r"^class (\w+):", code, re.MULTILINE)
        (tmp_path / f"{cls.lower()}.py").write_text(code)
        session = VirtualSession(
            VirtualVenue(), tmp_path / cls, strategies=[read_strategy(f"{tmp_path}/{cls.lower()}.py:{cls}")]
        )
        session.run(3)
        session.writer.abandon()
        placed[cls] = [record for record in session.kinds(Kind.REQUEST) if '"place"' in (record.body or "")]
    assert len(placed["Once"]) == 1
    assert all(placed.values())


def test_every_command_is_in_the_book() -> None:
    text = (DOCS / "command-line.md").read_text()
    assert [name for name in COMMANDS if f"verbatim {name}" not in text] == []


def test_every_capability_is_shown_by_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/\w+\.py)::(test_\w+)`", (DOCS / "capabilities.md").read_text())
    assert len(named) > 40
    assert [name for path, name in named if f"def {name}(" not in (ROOT / path).read_text()] == []
