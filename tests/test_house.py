"""House rules that a machine can check: imports between packages, bans in the core, and a claimant for every event."""

import ast
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest
from house_words import collector_off

from engine.facts import Fact
from engine.lifecycle import CLOSED, LIVE, TRANSITIONS, Report, Status
from engine.model import OrderType
from engine.order_terms import TERMS
from engine.sim.binance.type_params import ORDER_TYPES
from engine.state import account_fold, session_state
from engine.state.changes import Change
from engine.venues.binance_spot import order_types

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("verbatim", "analysis", "replay", "engine", "journal")

# an arrow that is not here is wrong (design.md section 10)
ARROWS = {
    "journal": set(),
    "engine": {"journal.record"},
    "engine.live": {"engine", "journal"},
    "replay": {"engine", "journal"},
    "analysis": {"replay", "engine", "journal"},
    "verbatim": {"analysis", "replay", "engine", "engine.live", "journal"},
}
# the same inside engine/, by package and by module at its root: first the values that every package may import
VALUE_ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "gc_tuning": set(),
    "lifecycle": set(),
    "meter_line": set(),
    "block_reasons": set(),
    "mode_reasons": set(),
    "model": set(),
    "money": set(),
    "requests": set(),
    "suggestions": set(),
    "timer_names": {"trigger_kinds"},
    "trigger_kinds": set(),
    "upcast": set(),
    "venue_choices": set(),
    "contracts": {"model", "money"},
    "lots": {"contracts", "model", "money"},
    "valuation": {"money"},
    "rounding": {"model", "money"},
    "events": {"facts", "model", "order_terms"},
    "unwritten": {"events"},
    "order_terms": {"model", "money"},
    "paper_settings": set(),
    "poll_settings": set(),
    "risk_settings": {"model"},
    "plan_terms": {"model", "money"},
    "session_record": {
        "model",
        "paper_settings",
        "plan_terms",
        "poll_settings",
        "risk_settings",
        "upcast",
        "venue_choices",
    },
    "newer_sessions": {"errors", "session_record", "upcast"},
    "facts": {"block_reasons", "lifecycle", "mode_reasons", "model", "order_terms", "plan_terms"},
    "mode_shares": {"facts", "mode_reasons"},
    "bodies": {"facts", "plan_terms", "requests"},
    "record_codec": {"bodies", "facts", "requests", "upcast"},
}
ENGINE_ARROWS: dict[str, set[str]] = {
    "market": set(),
    "recorded_inputs": {"market"},
    "state": {"market", "recorded_inputs"},
    "venues": {"market", "state"},  # a rate model reads budgets
    "risk": {"state"},
    "step_context": {"market", "state"},
    "execution": {"market", "risk", "state", "step_context", "venues"},
    "strategy": {"market", "risk", "state", "step_context"},
    "session_accounts": {"execution"},
    "session_venues": {"venues"},
    "session_context": {
        "execution",
        "market",
        "risk",
        "session_accounts",
        "session_venues",
        "state",
        "strategy",
        "venues",
    },
    "apply": {"market", "recorded_inputs", "session_context", "state", "venues"},  # no strategy: those run after it
    "handlers": {"apply", "execution", "market", "risk", "session_context", "state", "step_context", "strategy"},
    "decision_loop": {"apply", "handlers", "market", "session_context", "state", "strategy"},
    "recorded_loop": {"apply", "decision_loop", "handlers", "recorded_inputs", "session_context", "state"},
    "kernel": {
        "apply",
        "decision_loop",
        "handlers",
        "recorded_inputs",
        "recorded_loop",
        "session_context",
        "state",
        "step_context",
        "strategy",
    },
    "sequencer": {"apply", "handlers", "kernel", "state", "step_context"},
    "sim": {"market", "sequencer", "state", "step_context", "venues"},
    # a paper account follows the rows that the session has applied
    "live": {"apply", "kernel", "market", "sequencer", "session_context", "sim", "state", "step_context", "venues"},
}
BANNED_CALLS = {"open", "input", "id"}
CORE_BANS = {
    "asyncio",
    "datetime",
    "httpcore",
    "httpx",
    "io",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "trio",
    "uuid",
    "websockets",
}
# the compiled fold's cache folder is the one fact of the machine that the core reads
CORE_BANS_SPARED = {
    "engine/market/code_folder.py": {"os", "pathlib", "shutil", "tempfile"},
    "engine/market/compiled.py": {"pathlib"},
    "engine/market/jit.py": {"os", "pathlib"},
    "engine/market/machine_code.py": {"pathlib", "tempfile"},
}


@cache
def parsed(path: Path) -> ast.Module:
    with collector_off():
        return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(parsed(path)))


@pytest.fixture(autouse=True, scope="module")
def _files_are_parsed_once() -> Iterator[None]:
    """Keep the trees for the tests of this file alone: each later collection of garbage would visit them."""
    with collector_off():
        for package in PACKAGES:
            for path in sources(package):
                nodes(path)
    yield
    parsed.cache_clear()
    nodes.cache_clear()


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def top(name: str) -> str:
    return name.split(".", 1)[0]


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return "engine.live" if parts[:2] == ("engine", "live") else parts[0]


def allowed(target: str, arrows: set[str], own: str) -> bool:
    if top(target) not in PACKAGES:
        return True
    if target.startswith("engine.live"):
        return own in ("engine.live", "verbatim")
    return any(target == to or target.startswith(f"{to}.") for to in {*arrows, top(own)}) or (
        target == "journal" and any(to.startswith("journal.") for to in arrows)
    )


def test_imports_run_one_way() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} may not import {target}"
        for package in PACKAGES
        for path in sources(package)
        for target in imports(path)
        if not allowed(target, ARROWS[room(path)], room(path))
    }
    assert not wrong


def unit_of(module: str) -> str:
    """Return the package or root module of engine/ that a dotted name belongs to; "" for engine itself."""
    return [*module.split("."), ""][1]


def engine_imports(path: Path) -> set[str]:
    """Return the packages and root modules of engine/ that a file of engine/ imports, except its own."""
    own = unit_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    units = {unit_of(target) for target in imports(path) if top(target) == "engine"}
    return units & {*VALUE_ARROWS, *ENGINE_ARROWS} - {own}


def wrong_arrows(path: Path) -> set[str]:
    """Return the units of engine/ that a file imports and may not."""
    own = unit_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    allowed_units = VALUE_ARROWS[own] if own in VALUE_ARROWS else ENGINE_ARROWS[own] | VALUE_ARROWS.keys()
    return engine_imports(path) - allowed_units


ENGINE_FILES = [path for path in sources("engine") if path != ROOT / "engine" / "__init__.py"]


def test_imports_inside_the_engine_run_one_way() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} may not import engine.{unit}" for path in ENGINE_FILES for unit in wrong_arrows(path)
    }
    assert not wrong


def test_a_wrong_arrow_inside_the_engine_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strategies are run after `apply`, so apply/ must not know them."""
    file = tmp_path / "engine" / "apply" / "inputs.py"
    file.parent.mkdir(parents=True)
    file.write_text("from engine.market import layout\nfrom engine.strategy.runner import StrategyRunner\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert wrong_arrows(file) == {"strategy"}


def test_the_arrows_inside_the_engine_have_no_cycle_and_name_every_unit() -> None:
    arrows = {**VALUE_ARROWS, **{unit: to | VALUE_ARROWS.keys() for unit, to in ENGINE_ARROWS.items()}}
    assert {unit_of(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in ENGINE_FILES} == arrows.keys()
    open_units = set(arrows)
    while open_units:
        lowest = {unit for unit in open_units if not arrows[unit] & open_units}
        assert lowest, f"a cycle among {sorted(open_units)}"
        open_units -= lowest


def test_the_core_reaches_for_no_clock_socket_or_file() -> None:
    core = [path for path in sources("engine") if room(path) == "engine"]
    assert len(core) > 500
    wrong = {f"{path.relative_to(ROOT)} {reached}" for path in core for reached in reached_outside(path)}
    assert not wrong


def reached_outside(path: Path) -> set[str]:
    """Return what a file of the core imports or calls and may not."""
    tops = {top(target) for target in imports(path)} - CORE_BANS_SPARED.get(str(path.relative_to(ROOT)), set())
    calls = {node.func.id for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return {f"imports {name}" for name in tops & CORE_BANS} | {f"calls {name}" for name in calls & BANNED_CALLS}


def test_only_compiling_imports_the_compiler() -> None:
    found = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package)
        if any(top(target) == "numba" for target in imports(path))
    ]
    assert sorted(found) == ["engine/market/numba_compiler.py"]


# Words of one venue: names, paths, headers and messages
VENUE_WORDS = re.compile(
    r"(?i)binance|kraken|bybit|okx|coinbase|hyperliquid|paper_(usdm|coinm)|x-mbx|/(d?api|fapi|ws-api)/v|lastUpdateId|bookTicker|executionReport"
)
VENUE_FOLDERS = (
    "engine/venues/",
    "engine/sim/",  # the simulated venue speaks one protocol, and its files say whose
    "journal/importing/",  # formats of other programs
)
VENUE_WORDS_SPARED = {
    "engine/live/logs.py": "redacts one header that is not named like a secret",
    "engine/live/venue_main.py": "runs the simulated venue, and says which captures it cannot play",
    "engine/session_record.py": "the venue of a SESSION record that names none",
    "replay/resim/candle_sources.py": "reads files of candles as a venue publishes them",
    "verbatim/commands/record.py": "the default of --venue",
    "verbatim/venue_sections.py": "the default of venue.name",
    "verbatim/hostile/emergency_run.py": "answers the emergency cancel from the simulated venue",
    "verbatim/hostile/fault_plan.py": "scripts faults of the simulated venue's endpoints and events",
    "verbatim/hostile/sparse_market.py": "writes the simulated venue's market messages",
    "verbatim/testing.py": "runs the simulated venue in virtual time",
}


def _code_words(path: Path) -> Iterator[str]:
    """Names, imports and texts of a file; no comments, and no docstrings, which may cite a fact sheet."""
    documents = {
        id(node.body[0].value)
        for node in nodes(path)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes(path):
        match node:
            case ast.Constant(value=str() | bytes() as text) if id(node) not in documents:
                yield text if isinstance(text, str) else text.decode("latin-1")
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.keyword(arg=str() as name):
                yield name
            case ast.ImportFrom(module=str() as name):
                yield name


def test_coverage_leaves_out_each_compiled_file() -> None:
    """A probe of branch coverage in a compiled function fails at its first call, far from its cause."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    left_out = settings["tool"]["slipcover"]["omit"]
    compiled = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "engine").rglob("*.py"))
        if re.search(r"^@compiled(_apart)?$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(compiled) > 20
    assert [name for name in compiled if not any(fnmatch(name, pattern) for pattern in left_out)] == []


def test_only_its_folder_knows_a_venue() -> None:
    """A venue is one folder: the shell, the core, replay, SQL views and texts ask the venue object."""
    found = {}
    for package in PACKAGES:
        for path in sources(package):
            name = str(path.relative_to(ROOT))
            words = {word for word in _code_words(path) if VENUE_WORDS.search(word)}
            if words and not name.startswith(VENUE_FOLDERS):
                found[name] = sorted(words)
    assert found.keys() - VENUE_WORDS_SPARED.keys() == set(), found
    assert VENUE_WORDS_SPARED.keys() - found.keys() == set(), "an exception that is no longer needed"
    views = [path.name for path in (ROOT / "analysis/sql").glob("*.sql") if VENUE_WORDS.search(path.read_text())]
    assert not views


def test_venues_are_found_by_their_announcement_alone() -> None:
    """No list of ours: pyproject.toml announces each folder that is a venue, and each announced class is in its folder."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    announced, families = groups["verbatim.venues"], groups["verbatim.venue_families"]
    folders = {path.parent.name for path in (ROOT / "engine/venues").glob("*/__init__.py")} - {
        "binance_common",
        "binance_futures",
    }
    assert {
        value.partition(":")[0].rpartition(".")[2] for value in (*announced.values(), *families.values())
    } == folders
    for name, value in announced.items():
        module, _, cls = value.partition(":")
        assert name.startswith(getattr(import_module(module), cls).name), "its name, or a variant of that venue"


def test_every_change_has_a_claimant() -> None:
    changes = set(get_args(Change)) | set(get_args(Fact))
    assert set(account_fold.CLAIMS) == changes
    views = {kind.__name__ for kind, parts in account_fold.CLAIMS.items() if not parts}
    assert views == {"BooksCompared", "Pnl", "PortfolioPnl", "StrategyTriggered"}, (
        "a view at one moment moves nothing, and what a strategy was woken by is the market's (kernel.py)"
    )


def test_the_core_halts_in_one_place() -> None:
    """`StepContext.halt`: each reason to halt has a code and a text, and no other code makes the fact."""
    makers = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources("engine")
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "ModeChanged"
        and ast.unparse(node.args[0]) == "Mode.HALTED"
    ]
    assert [maker.partition(":")[0] for maker in makers] == ["engine/step_context.py"], makers


def test_every_part_is_carried_or_fresh() -> None:
    assert sorted((*session_state.CARRIED, *session_state.FRESH)) == sorted(session_state.Account.__struct_fields__)


def test_every_order_type_has_terms_and_the_simulated_venue_knows_those_of_its_protocol() -> None:
    assert TERMS.keys() == set(OrderType)
    assert ORDER_TYPES.keys() == order_types.REQUIRED.keys()


def test_the_life_cycle_table_is_whole() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert set(Status) == LIVE | CLOSED
    assert TRANSITIONS[Status.FILLED] == {}
    reachable = {after for row in TRANSITIONS.values() for after in row.values()}
    assert reachable | {Status.PENDING} == set(Status)
    assert all(report in Report for row in TRANSITIONS.values() for report in row)
    invented = [
        status
        for status in LIVE
        if Report.REJECTED in TRANSITIONS[status] and status not in (Status.PENDING, Status.UNKNOWN)
    ]
    assert not invented, "an order that stood at the venue is never called rejected"


def test_each_file_says_what_it_is() -> None:
    bare = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package)
        if path.read_text().strip() and not ast.get_docstring(parsed(path))
    ]
    assert not bare
