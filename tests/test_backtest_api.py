"""`verbatim.backtest`: strategies of a notebook, whose cells are no files, and of files."""

import linecache
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import verbatim
from engine.sim.venue_model import UnknownSettingError
from engine.strategy.source_guard import StrategyError
from replay.code_trust import UntrustedSourceError
from replay.overrides import UnknownOverrideError
from verbatim.class_source import module_text
from verbatim.testing import VirtualSession, VirtualVenue, strategy_settings

QUOTER = Path(__file__).resolve().parent.parent / "examples" / "quoter.py"

IMPORTS = """
import math
from dataclasses import dataclass, field as a_field
from decimal import Decimal as D
from verbatim import OnQuote, OrderType, Place, Side, View
import verbatim

SIZES = {"BTCUSDT": (D("0.001"), 2), None: [1.5, "x", True]}
KIND = OrderType.MARKET
client = open  # only the notebook has it


def size_of(name: str) -> D:
    return SIZES[name][0] * helper(1)


def helper(n):
    return math.floor(n + 0.5)


@dataclass
class Extra:
    times: int = 2
"""

STRATEGY = """
class Once:
    version = "1"
    instruments = ("BTCUSDT",)
    cadence = OnQuote()

    @dataclass
    class Parameters:
        most: int = 1

    @dataclass
    class State:
        placed: int = 0

    @staticmethod
    def decide(view: View, state: State, parameters: Parameters) -> list[Place]:
        (name,) = Once.instruments
        if state.placed == parameters.most * Extra().times:
            return []
        state.placed += 1
        return [Place(name, side=Side.BUY, quantity=size_of(name), type=KIND)]
"""


class Notebook:
    """The variables of a notebook, and its cells as its kernel keeps them."""

    def __init__(self) -> None:
        self.variables: dict[str, Any] = {"__name__": "__main__"}
        self.files: list[str] = []

    def run(self, cell: str) -> None:
        """Run a cell."""
        file = f"<cell {len(self.files)} of {id(self)}>"
        self.files.append(file)
        linecache.cache[file] = (len(cell), None, cell.splitlines(keepends=True), file)
        exec(compile(cell, file, "exec"), self.variables)

    def __getitem__(self, name: str) -> Any:
        return self.variables[name]


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    notebook = Notebook()
    notebook.run(IMPORTS)
    notebook.run(STRATEGY)
    yield notebook
    for file in notebook.files:
        del linecache.cache[file]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> verbatim.Session:
    folder = tmp_path_factory.mktemp("backtest") / "journals" / "20240808T235410Z-aaaaaaaa"
    VirtualSession(VirtualVenue(), folder, strategies=[strategy_settings(QUOTER, "Quoter")]).run(4).stop()
    return verbatim.open(folder)


@pytest.mark.slow
def test_a_class_of_a_notebook_trades_a_recorded_market(
    recorded: verbatim.Session, notebook: Notebook, tmp_path: Path
) -> None:
    found = verbatim.backtest(
        recorded, notebook["Once"], parameters={"most": 2}, model={"fee_taker": Decimal("0.002")}, into=tmp_path / "r"
    )
    assert [row["quantity"] for row in found.fills] == [Decimal("0.001")] * 4
    assert all(row["fee"] == Decimal("0.000002") for row in found.fills)
    assert {row["strategy"] for row in found.intents} == {"once"}
    assert found.replay().identical  # the session bears this user's mark
    [strategy] = found.body.strategies
    assert strategy.parameters == {"most": 2}
    assert found.body.resimulated is not None
    assert found.body.resimulated.changes == ("strategy notebook.py:Once",)
    again = verbatim.backtest(found, notebook["Once"], settings={"risk.order_size_max": 0.0001}, into=tmp_path / "q")
    assert len(again.fills) == 0
    assert {row["rule"] for row in again.verdicts} == {"order_size"}


def test_the_text_of_a_class_states_all_that_it_uses(notebook: Notebook) -> None:
    text = module_text(notebook["Once"])
    scope: dict[str, Any] = {"__name__": "alone"}
    exec(text, scope)
    assert scope["size_of"]("BTCUSDT") == Decimal("0.001")
    assert scope["SIZES"] == notebook["SIZES"]
    assert scope["Extra"]().times == 2
    lines = text.splitlines()
    assert lines[:4] == [
        "from dataclasses import dataclass",
        "from decimal import Decimal",
        "from decimal import Decimal as D",
        "from verbatim import OnQuote",
    ]
    assert "import math" in lines
    assert "KIND = OrderType.MARKET" in lines
    assert "client" not in text
    assert "a_field" not in text


def test_the_last_definition_counts(notebook: Notebook) -> None:
    notebook.run(STRATEGY.replace('version = "1"', 'version = "2"'))
    assert 'version = "2"' in module_text(notebook["Once"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("size = client", "uses 'client', a builtin_function_or_method that only the notebook has"),
        ("size = rows", "uses 'rows', a Table that only the notebook has"),
        ("size = empty", "uses 'empty', a set that only the notebook has"),
        ("__import__('os')", "may not use '__import__'"),
    ],
)
def test_a_value_of_the_notebook_alone_is_named(
    recorded: verbatim.Session, notebook: Notebook, line: str, message: str
) -> None:
    notebook.variables |= {"rows": recorded.fills, "empty": set()}
    notebook.run(STRATEGY.replace("        (name,) =", f"        {line}\n        (name,) ="))
    with pytest.raises(StrategyError) as refused:
        verbatim.backtest(recorded, notebook["Once"])
    assert message in str(refused.value)


def test_a_class_without_known_text_is_refused(recorded: verbatim.Session) -> None:
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("class Made:\n    def decide(self): ...", scope)
    with pytest.raises(StrategyError, match="the text of Made is not known"):
        verbatim.backtest(recorded, scope["Made"])


@pytest.mark.slow
def test_a_file_is_a_strategy_too(recorded: verbatim.Session, tmp_path: Path) -> None:
    found = verbatim.backtest(recorded, QUOTER, into=tmp_path / "r")
    same = verbatim.backtest(recorded, f"{QUOTER}:Quoter", into=tmp_path / "s", model={})
    assert found.diff(same).same
    assert len(found.orders) > 0


def test_what_does_not_fit_is_refused(recorded: verbatim.Session, tmp_path: Path) -> None:
    with pytest.raises(UnknownSettingError, match="it has: "):
        verbatim.backtest(recorded, QUOTER, model={"delay_ms": 1})
    with pytest.raises(UnknownSettingError, match="at most 8 decimals"):
        verbatim.backtest(recorded, QUOTER, balances={"USDT": "much"})
    with pytest.raises(UnknownOverrideError, match="unknown setting"):
        verbatim.backtest(recorded, QUOTER, settings={"risk.nothing": True})
    assert not (tmp_path / "resims").exists()


def test_without_a_folder_it_is_among_the_resims(
    recorded: verbatim.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = verbatim.backtest(recorded, QUOTER)
    assert found.folder.parent == tmp_path / "resims"
    assert verbatim.open(tmp_path / "resims").folders == (found.folder,)


def test_a_session_of_strangers_trades_without_its_strategy_code(recorded: verbatim.Session, tmp_path: Path) -> None:
    """The recorded strategies do not run, so only recorded rules need trust."""
    with pytest.raises(UntrustedSourceError):
        recorded.replay()
    assert len(verbatim.backtest(recorded, QUOTER, into=tmp_path / "r").intents) > 0
