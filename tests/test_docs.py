"""Documents and code agree, and the strategies shown in the documents trade."""

import re
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from tiers import first_is_quick

from engine.facts import Fact
from engine.lifecycle import TRANSITIONS, Report
from engine.live.venue_main import DEMO_KEY, DEMO_SECRET
from engine.sim.venue_kinds import KINDS
from journal.record import Kind
from verbatim.cli import COMMANDS
from verbatim.strategy_files import read_strategy
from verbatim.testing import VirtualSession, VirtualVenue

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FOLDERS = ("engine", "journal", "replay", "analysis", "verbatim", "tests", "benchmarks", "docs", "examples")


def lifecycle_table() -> str:
    """Draw the life of an order from its table."""
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


@pytest.mark.parametrize("page", first_is_quick(["README.md", "docs/strategies.md"]))
def test_the_strategies_on_the_page_trade(tmp_path: Path, page: str) -> None:
    placed = {}
    for code in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL):
        if "verbatim.open" in code:  # tests/test_python_docs.py runs it
            continue
        cls = re.findall(r"^class (\w+):", code, re.MULTILINE)[-1]  # its own indicator comes first
        (tmp_path / f"{cls.lower()}.py").write_text(code)
        session = VirtualSession(
            VirtualVenue(), tmp_path / cls, strategies=[read_strategy(f"{tmp_path}/{cls.lower()}.py:{cls}")]
        )
        session.run(3)
        session.writer.abandon()
        placed[cls] = [record for record in session.kinds(Kind.REQUEST) if '"place"' in (record.body or "")]
    assert len(placed["Once"]) == 1
    assert all(placed.values())


def test_every_command_has_its_section() -> None:
    """The reference has one section a command, and no section of a command that does not exist."""
    text = (DOCS / "command-line.md").read_text()
    assert sorted(re.findall(r"^### (\w+)$", text, re.MULTILINE)) == sorted(COMMANDS)
    assert [name for name in COMMANDS if f"$ verbatim {name}" not in text] == []


def test_every_command_that_a_text_names_exists() -> None:
    """Messages, docstrings and pages send users to commands that they can run."""
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").glob("*.py")]
    files = [
        path
        for folder in ("verbatim", "engine", "replay", "analysis", "journal")
        for path in (ROOT / folder).rglob("*.py")
    ]
    named = {
        (name, str(path.relative_to(ROOT)))
        for path in (*pages, *files)
        for name in re.findall(r"(?:`|\$ )verbatim ([a-z]+)", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 40
    signed_text = ("journal", "docs/journal-format.md")
    assert {each for each in named if each[0] not in COMMANDS} == {signed_text}


def test_every_option_in_the_reference_exists() -> None:
    """Old spellings are named only in the paragraph about them."""
    text = (DOCS / "command-line.md").read_text()
    commands = [import_module(f"verbatim.commands.{name}").command for name in COMMANDS]
    parts = [part for command in commands for part in getattr(command, "commands", {}).values()]
    options = {
        option
        for command in (*commands, *parts)
        for parameter in command.params
        if not getattr(parameter, "hidden", False)
        for option in parameter.opts
    }
    old = {"--for", "--http", "--modelled"}
    written = {*re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)} - {"--help"}
    assert written - options - old == set()
    paragraph = next(part for part in text.split("\n\n") if part.startswith("**Old spellings**"))
    assert all(option in paragraph for option in old)


def documents() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), ROOT / "benchmarks" / "README.md"]


def named_paths(text: str) -> set[str]:
    """Return the paths of this repository that a text has in backticks; a word in capitals stands for any name."""
    spans = re.findall(r"`([^`\n]+)`", text)
    folders = "|".join(FOLDERS)
    found = (path for span in spans for path in re.findall(rf"(?<![\w./:~-])((?:{folders})/[\w./*-]*)", span))
    return {re.sub(r"\b[A-Z]+\b", "*", path.rstrip(".")) for path in found}


def test_every_path_in_a_document_exists() -> None:
    named = {(page.name, path) for page in documents() for path in named_paths(page.read_text())}
    assert len(named) > 100
    assert {(page, path) for page, path in named if not any(ROOT.glob(path))} == set()


def test_every_benchmark_in_a_document_exists() -> None:
    pages = [DOCS / "performance.md", DOCS / "scaling.md", ROOT / "benchmarks" / "README.md"]
    named = {name for page in pages for name in re.findall(r"`(\w+\.py)[ `]", page.read_text())}
    assert len(named) > 15
    assert [name for name in sorted(named) if not any((ROOT / "benchmarks").rglob(name))] == []


def test_a_wrong_path_is_found() -> None:
    assert named_paths("see `engine/kernel.py`, `python engine/NAME.py --all` and `s3://engine/x`") == {
        "engine/kernel.py",
        "engine/*.py",
    }


def test_every_link_between_documents_leads_somewhere() -> None:
    links = {
        (page, link) for page in documents() for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    }
    assert len(links) > 20
    broken = {link for page, link in links if not (page.parent / link).exists()}
    assert broken == set()


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_each_simulated_venue_states_key_and_secret_of_its_demo(kind: str) -> None:
    page = {"binance_spot": "venue.md", "binance_usdm": "venue-usdm.md"}.get(kind, f"venue-{kind}.md")
    key, secret = KINDS[kind].credentials or (DEMO_KEY, DEMO_SECRET)
    assert f"`VERBATIM_API_KEY={key}` and `VERBATIM_API_SECRET={secret}`" in (DOCS / page).read_text()


def test_every_capability_is_shown_by_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/\w+\.py)::(test_\w+)`", (DOCS / "capabilities.md").read_text())
    assert len(named) > 40
    assert [name for path, name in named if f"def {name}(" not in (ROOT / path).read_text()] == []


def test_every_fact_and_view_is_documented() -> None:
    glossary, commands = (DOCS / "glossary.md").read_text(), (DOCS / "command-line.md").read_text()
    tags = {kind.__struct_config__.tag for kind in get_args(Fact)}
    assert tags - set(re.findall(r"^\| (\w+) \|", glossary.partition("### Facts")[2], re.MULTILINE)) == set()
    rows = [row for row in commands.splitlines() if row.startswith("| `")]
    views = {path.stem for path in (ROOT / "analysis" / "sql").glob("*.sql")}
    assert views - {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])} == set()
