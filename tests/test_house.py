"""House rules that a machine can check: imports between packages, bans in the core, and a claimant for every event."""

import ast
import gc
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from engine.facts import Fact
from engine.lifecycle import CLOSED, LIVE, TRANSITIONS, Report, Status
from engine.state import session_state
from engine.state.changes import Change

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
CORE_BANS = {
    "asyncio",
    "datetime",
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
CORE_BANS_SPARED = {"engine/market/jit.py": {"os", "pathlib", "tempfile"}}


@cache
def parsed(path: Path) -> ast.Module:
    """Without the collector, whose callbacks (hypothesis has one) make CPython 3.11 lose count of its recursion in here."""
    gc.disable()
    try:
        return ast.parse(path.read_text())
    finally:
        gc.enable()


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
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


@pytest.mark.parametrize("path", [path for package in PACKAGES for path in sources(package)], ids=str)
def test_imports_run_one_way(path: Path) -> None:
    own = room(path)
    wrong = {target for target in imports(path) if not allowed(target, ARROWS[own], own)}
    assert not wrong, f"{path.relative_to(ROOT)} may not import {sorted(wrong)}"


@pytest.mark.parametrize("path", [path for path in sources("engine") if room(path) == "engine"], ids=str)
def test_the_core_reaches_for_no_clock_socket_or_file(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    tops = {top(target) for target in imports(path)} - CORE_BANS_SPARED.get(name, set())
    assert not tops & CORE_BANS, f"{name} imports {sorted(tops & CORE_BANS)}"
    calls = {
        node.func.id
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "input", "id"}, f"{name} calls {sorted(calls & {'open', 'input', 'id'})}"


def test_only_the_market_needs_the_compiler() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package)
        if any(top(target) == "numba" for target in imports(path)) and "market" not in path.parts
    ]
    assert not wrong


def test_every_change_has_a_claimant() -> None:
    changes = set(get_args(Change)) | set(get_args(Fact))
    assert set(session_state.CLAIMS) == changes
    views = {kind.__name__ for kind, parts in session_state.CLAIMS.items() if not parts}
    assert views == {"Pnl", "StrategyWoken"}, (
        "a view at one moment moves nothing, and what a strategy was woken by is the market's (kernel.py)"
    )


def test_every_part_is_carried_or_fresh() -> None:
    assert sorted((*session_state.CARRIED, *session_state.FRESH)) == sorted(session_state.Account.__struct_fields__)


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
