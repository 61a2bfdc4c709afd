"""The loop over decisions that lead to nothing, beside the ordinary step: the same rows, record for record."""

import ast
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import capture_lines
import msgspec
import pytest
from capture_lines import Event, depth, opening, quote, trade
from click.testing import CliRunner

from engine import decision_loop
from engine.facts import StrategyChanged, StrategyStopped
from engine.kernel import Kernel
from engine.record_codec import read_fact
from engine.sequencer import UnrecordedSequencer
from engine.session_record import StrategySettings
from engine.sim.venue_model import VenueModel
from engine.strategy.code_reach import read_reach
from engine.strategy.decider import Decider
from engine.strategy.loading import as_recorded
from journal.reader import Journal
from journal.record import Kind, Record
from replay.overrides import apply_overrides, with_strategy
from replay.resim.capture_session import session_from_capture
from replay.resim.resimulate import ResimOptions, _Resimulation
from verbatim.cli import main

CASES = Path(__file__).parent / "strategies" / "undecided.py"
USES = {"Keeps": "keep", "Remembers": "SEEN", "Rebinds": "LIMITS"}  # class -> what else of the file it needs


def strategy(cls: str) -> StrategySettings:
    """Return one class of the file with a source text that has no other, since what a text can change is read of it."""
    text = CASES.read_text()
    parts = [
        part
        for node in ast.parse(text).body
        if (name := getattr(node, "name", getattr(getattr(node, "targets", [None])[0], "id", "")))
        in ("", "number_of", "Quiet", cls, USES.get(cls))
        if (part := ast.get_source_segment(text, node))
    ]
    name = cls.lower()
    return as_recorded(StrategySettings(name, "", name, cls, {}, {name: "\n\n".join(parts)}))


def walk(seed: int, count: int) -> Iterator[Event]:
    """Yield a market: quotes that move and repeat, trades, changes of the book, and one gap in these."""
    draw, bid, trade_id, last_id = random.Random(seed), 10_000, 1, 102
    yield from opening()
    for number in range(count):
        kind = draw.random()
        bid += draw.choice((-2, -1, 0, 0, 0, 1, 2))
        prices = f"{bid / 100:.2f}", f"{(bid + 1) / 100:.2f}"
        if kind < 0.2:
            yield trade("BTCUSDT", trade_id, prices[draw.random() < 0.5], f"{draw.randrange(1, 90) / 1000:.8f}")
            trade_id += 1
        elif kind < 0.3:
            last_id += 1 if last_id > 1000 or number * 3 < count * 2 else 1000
            yield depth("BTCUSDT", last_id, "", "")
        else:
            yield quote("BTCUSDT", last_id, *prices, size=f"{draw.randrange(1, 999) / 1000:.8f}")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undecided")
    capture = capture_lines.write(folder / "m.gz", walk(7, 700), every_ns=17 * capture_lines.STEP_NS)
    ended = CliRunner().invoke(main, ["import", str(capture), "--into", str(folder / "s")])
    assert ended.exit_code == 0, ended.output
    return folder / "s"


class NeverSlow:
    """A guard of decisions that finds none slow. With a guard, each decision takes the ordinary way."""

    began_ns = 0
    slow_ns = 1
    is_slow = False

    @staticmethod
    def clock() -> int:
        return 0

    def end_slow(self, strategy: str, began_ns: int, spent_ns: int) -> str:
        raise AssertionError(strategy, began_ns, spent_ns)


def records(
    folder: Path, *strategies: StrategySettings, ordinary: bool, whole: bool = False, **settings: str
) -> list[Record]:
    """Resimulate the market with these strategies; return all records, inputs and outputs. No strategy runs twice."""
    body = with_strategy(session_from_capture(Journal.open(folder)), strategies[0])
    body = apply_overrides(msgspec.structs.replace(body, strategies=strategies), settings)
    options = ResimOptions(session=body, model=VenueModel(), balances={"USDT": "1000000", "BTC": "10"})
    kept: list[Record] = []
    run = _Resimulation(Journal.open(folder), options, whole=whole)
    looks = count_looks(run.kernel)
    if ordinary:
        run.kernel.session.runner.guard = NeverSlow()
    run.run(
        UnrecordedSequencer(
            run.kernel, lambda inputs, outputs: kept.extend([*inputs, *(each.record for each in outputs)])
        )
    )
    assert max(looks.values()) == 1
    return kept


def count_looks(kernel: Kernel) -> Counter[tuple[str, int, tuple[str, ...]]]:
    """Count how often each strategy runs for the same triggers at the same time, from here on."""
    looks: Counter[tuple[str, int, tuple[str, ...]]] = Counter()

    def counted(decider: Decider) -> Any:
        code = decider.code

        def decide(view: Any, state: Any, parameters: Any) -> Any:
            looks[decider.name, view.time_ns, tuple(view.triggers)] += 1
            return code(view, state, parameters)

        return decide

    for decider in kernel.session.runner.deciders.values():
        decider.code = counted(decider)
    return looks


def passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that counts the decisions which the loop passes."""
    found = [0]
    evaluate = decision_loop.DecisionLoop._evaluate

    def counted(loop: Any, runs: Any, time_ns: int) -> Any:
        decisions = evaluate(loop, runs, time_ns)
        found[0] += decisions is None
        return decisions

    monkeypatch.setattr(decision_loop.DecisionLoop, "_evaluate", counted)
    return found


ALL = [node.name for node in ast.parse(CASES.read_text()).body if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("cls", ALL)
def test_the_loop_leaves_the_records_of_the_ordinary_step(
    cls: str, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = records(market, strategy(cls), ordinary=True)
    count = passed(monkeypatch)
    assert records(market, strategy(cls), ordinary=False) == ordinary
    assert count[0] >= 3, "the loop was in use"


@pytest.mark.parametrize("whole", [False, True])
def test_strategies_together_leave_the_records_of_the_ordinary_step(
    whole: bool, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [strategy(cls) for cls in ALL]
    every = {"engine.checkpoint_every": "200"}
    ordinary = records(market, *several, ordinary=True, whole=whole, **every)
    count = passed(monkeypatch)
    assert records(market, *several, ordinary=False, whole=whole, **every) == ordinary
    assert count[0] > 10
    facts = [read_fact(record.body or "") for record in ordinary if record.kind is Kind.FACT]
    stopped = {fact.strategy for fact in facts if isinstance(fact, StrategyStopped)}
    assert stopped >= {"raises", "raisesinside", "parameterises", "remembers", "rebinds", "classes"}
    assert {fact.strategy for fact in facts if isinstance(fact, StrategyChanged)} >= {"counts", "nests"}
    notes = {record.source for record in ordinary if record.kind is Kind.NOTE}
    assert notes >= {"strategy.keeps", "strategy.overwrites", "strategy.beats", "strategy.averages", "strategy.rounds"}
    assert stopped.isdisjoint({"quiet", "rounds", "divides", "keeps", "overwrites", "counts", "spoils"}), facts


@pytest.mark.parametrize(
    ("lines", "in_state"),
    [
        ("    state.b = 1\n    parameters.c = 1", {"b"}),
        ("    for state.b in (): state.d += 1", {"b", "d"}),
        ("    state = parameters\n    state.b = 1", set()),
        ("    for state in (): state.b = 1", set()),
        ("    def inner(state):\n        state.b = 1\n    inner(parameters)", set()),
        ("    state.b = 1\ndef other(a):\n    A.decide(a, A, a)", set()),
    ],
)
def test_only_a_decision_stores_in_its_state(lines: str, in_state: set[str]) -> None:
    text = f"class A:\n  @staticmethod\n  def decide(view, state, parameters):\n{lines}"
    reach = read_reach([text])
    assert reach.stored_in_state == in_state
    assert reach.names_in_state == {"b", "c", "d"} & reach.names_in_state != set()


@pytest.mark.parametrize(
    ("text", "stored", "is_dynamic", "uses_contexts"),
    [
        ("def f(a):\n    return a.b[0] + a.c(1)", set(), False, False),
        ("def f(a):\n    a.b = 1\n    a.c += 1\n    del a.d\n    a.e[0] = 1", {"b", "c", "d"}, False, False),
        (
            "def f(a):\n    for a.b in (): pass\n    with a as a.c: pass\n    (a.d, *a.e) = a",
            {"b", "c", "d", "e"},
            False,
            False,
        ),
        ("def f(a):\n    global g, h\n    g = 1", {"g", "h"}, False, False),
        ("@dataclass\nclass A:\n    b: int = 0", set(), False, False),
        ("def f(a):\n    dataclass(a)", set(), True, False),
        ("put = setattr", set(), True, True),
        ("from functools import cached_property as lazily", set(), True, True),
        ("def f(a):\n    return getattr(a, 'set' + 'context')", set(), True, True),
        ("def f():\n    getcontext().prec = 3", {"prec"}, False, True),
        ("from decimal import localcontext as inside", set(), False, True),
        ("import decimal\nhere = decimal.getcontext", set(), False, True),
    ],
)
def test_the_reach_of_code_is_read_of_its_text(
    text: str, stored: set[str], is_dynamic: bool, uses_contexts: bool
) -> None:
    reach = read_reach([text])
    assert (reach.stored, reach.is_dynamic, reach.uses_contexts) == (stored, is_dynamic, uses_contexts)
