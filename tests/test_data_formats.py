"""docs/data-formats.md and the import formats: the table is made from the code."""

from pathlib import Path

from journal.importing.data_kinds import KINDS
from journal.importing.formats import FORMATS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "data-formats.md"
BEGIN, END = (
    "<!-- formats: made by tests/test_data_formats.py, which fails when this differs from the code -->\n",
    "<!-- /formats -->",
)


def table() -> str:
    lines = [f"| `--format` | files | {' | '.join(KINDS)} |", "|---|---|" + "---|" * len(KINDS)]
    for name, form in sorted(FORMATS.items()):
        about = form.about.replace("|", "\\|")
        lines.append(f"| `{name}` | {about} | {' | '.join('yes' if kind in form.allows else '' for kind in KINDS)} |")
    return "\n".join(lines) + "\n"


def test_the_page_lists_what_each_format_allows() -> None:
    text = PAGE.read_text("utf-8")
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == table()
