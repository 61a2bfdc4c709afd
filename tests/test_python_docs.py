"""The examples in Python of docs/python-api.md and the README, and the notebooks of examples/, run."""

import ast
import importlib.util
import json
import linecache
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

ROOT = Path(__file__).resolve().parent.parent
QUOTER = ROOT / "examples" / "quoter.py"


class Cells:
    """Cells that run one after the other, as those of a notebook; each is kept as its kernel would keep it."""

    def __init__(self) -> None:
        self.variables: dict[str, Any] = {"__name__": "__main__"}
        self.shown: list[str] = []

    def run(self, name: str, text: str) -> None:
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        *lines, last = ast.parse(text).body
        if isinstance(last, ast.Expr):  # a notebook shows it
            exec(compile(ast.Module(lines, []), name, "exec"), self.variables)
            value = eval(compile(ast.Expression(last.value), name, "eval"), self.variables)
            self.shown.append(getattr(value, "_repr_html_", value.__repr__)())
        else:
            exec(compile(text, name, "exec"), self.variables)


@pytest.fixture
def cells() -> Iterator[Cells]:
    before = set(linecache.cache)
    yield Cells()
    for name in linecache.cache.keys() - before:
        del linecache.cache[name]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two sessions."""
    root = tmp_path_factory.mktemp("docs") / "journals"
    quoter = strategy_settings(QUOTER, "Quoter", name="quoter")
    for seed, name in ((1, "aaaaaaaa"), (2, "bbbbbbbb")):
        folder = root / f"20240808T23541{seed}Z-{name}"
        VirtualSession(VirtualVenue(seed=seed), folder, strategies=[quoter], session=name).run(8).stop()
    return root


@pytest.fixture
def journals(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a current directory in which `journals` has the sessions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "journals").symlink_to(recorded)


def blocks(page: str) -> list[str]:
    """Return the examples in Python of a page that are no strategy to be saved as a file."""
    found: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [block for block in found if "verbatim.open" in block or page != "README.md"]


@pytest.mark.slow
@pytest.mark.usefixtures("journals")
def test_the_examples_of_the_page_run(cells: Cells, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    examples = blocks("docs/python-api.md")
    assert len(examples) == 12
    for place, example in enumerate(examples):
        cells.run(f"<example {place}>", example)
    printed = capsys.readouterr().out
    assert "<session bbbbbbbb, " in printed
    assert "replay: differs at seq" in printed
    assert cells.shown[1].startswith("<table><thead><tr><th>time</th>")
    assert repr(cells.variables["fills"]).startswith("time  ")
    assert [len(test.fills) > 0 for test in cells.variables["tests"]] == [True, True]
    cells.variables["tests"][0].replay()


@pytest.mark.usefixtures("journals")
def test_the_example_of_the_readme_runs(cells: Cells, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas")
    [example] = blocks("README.md")
    cells.run("<readme>", example)
    assert "latest first" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("journals")
def test_the_notebook_runs(cells: Cells, capsys: pytest.CaptureFixture[str]) -> None:
    """Each cell of code in order, as a kernel runs and shows it."""
    notebook = json.loads((ROOT / "examples" / "session.ipynb").read_text())
    codes = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(codes) > 7
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"), "clear them first"
    for place, code in enumerate(codes):
        cells.run(f"<cell {place}>", code)
    assert "latest first" in capsys.readouterr().out
    assert cells.shown[0].startswith("session bbbbbbbb, ")
    assert cells.shown[3].count("<tr>") > 2
    assert cells.shown[-1].count("<tr>") == 4  # the head and three results


@pytest.mark.slow
@pytest.mark.usefixtures("journals")
def test_the_marimo_notebook_runs() -> None:
    """marimo itself runs the cells in their order, without its server."""
    pytest.importorskip("marimo")
    path = ROOT / "examples" / "session_marimo.py"
    specification = importlib.util.spec_from_file_location("session_marimo", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    shown, variables = module.app.run()
    assert variables["session"].id == "bbbbbbbb"
    assert variables["state"].seq == variables["moment"].value
    assert variables["story"].client_order_id == variables["order"].value
    assert len(variables["bars"]) > 1
    assert sum(value is not None for value in shown) >= 6
