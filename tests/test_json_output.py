"""Every command prints its result as JSON: an object, rows of objects, or an object a line. Long ones report their progress."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from calm_venue import CalmVenue
from click.testing import CliRunner

from verbatim.cli import COMMANDS, main
from verbatim.progress_line import ProgressLine
from verbatim.testing import VirtualSession, strategy_settings

ONCE = Path(__file__).parent / "strategies" / "once.py"
FIRST, SECOND = "20240808T235410Z-aaaaaaaa", "20240808T235411Z-bbbbbbbb"
OBJECT, ROWS, LINES = "an object", "rows of objects", "an object a line"
MONEY = ("price", "quantity", "pnl", "fee", "fees", "equity", "balance", "free", "locked", "notional", "size", "total")

# the arguments of each command beside --json, and the shape of its answer; later ones read the files of earlier ones
RUNS: dict[str, tuple[str, list[str]]] = {
    "new": (OBJECT, ["strategy", "my_cross"]),
    "import": (
        OBJECT,
        ["feed.jsonl", "--format", "ndjson", "--time-field", "t", "--time-unit", "ms", "--into", "imported"],
    ),
    "replay": (OBJECT, ["{one}", "--trust-code"]),
    "backtest": (OBJECT, ["{one}", "--trust-code", "--no-journal"]),
    "resim": (OBJECT, ["{one}", "--trust-code", "--into", "again"]),
    "shadow": (LINES, ["{one}", "--trust-code", "--set", "strategy.once.size=0.02"]),
    "sweep": (
        OBJECT,
        ["{one}", "--param", "size=0.01,0.02", "--trust-code", "--workers", "1", "--draws", "0", "--no-checks"],
    ),
    "regress": (OBJECT, ["{one}", "--variant", "strategy.once.size=0.02", "--trust-code", "--workers", "1"]),
    "lookahead": (OBJECT, ["{one}", "--trust-code", "--cuts", "1"]),
    "fidelity": (OBJECT, ["{one}"]),
    "bisect": (OBJECT, ["{one}", "--records", "--variant", "strategy.once.size=0.02", "--trust-code"]),
    "diff": (OBJECT, ["{one}", "{two}"]),
    "pnl": (OBJECT, ["{one}"]),
    "quality": (OBJECT, ["{one}"]),
    "reconcile": (ROWS, ["{one}"]),
    "verify": (OBJECT, ["{one}"]),
    "ask": (OBJECT, ["{one}"]),
    "sql": (ROWS, ["{one}", "SELECT * FROM fills"]),
    "why": (OBJECT, ["{one}"]),
    "sessions": (ROWS, []),
    "report": (OBJECT, ["{one}", "page.html"]),
    "export": (OBJECT, ["{one}", "records.jsonl"]),
    "bundle": (OBJECT, ["{one}", "one.vbundle"]),
    "recover": (OBJECT, ["{two}"]),
    "merge": (OBJECT, ["{two}"]),
    "archive": (OBJECT, ["{one}", "archive"]),
    "catalogue": (OBJECT, ["archive"]),
    "fetch": (OBJECT, ["archive/" + FIRST, "--into", "fetched"]),
    "prune": (OBJECT, ["--keep-gib", "0"]),
}
UNITS = {  # what the progress of long commands counts
    "ask": "records",
    "replay": "records",
    "export": "records",
    "verify": "segments",
    "archive": "files",
    "catalogue": "sessions",
    "fetch": "files",
    "backtest": "s of the session",
    "resim": "s of the session",
    "lookahead": "runs",
    "sweep": "backtests",
    "regress": "runs",
    "bisect": "runs",
    "fidelity": "models",
    "sessions": "sessions",
    "report": "parts",
}
ELSEWHERE = {  # these need a venue, a running session or an end from outside
    "demo": "tests/test_trust_key.py",
    "run": "tests/test_cli_live.py",
    "check": "tests/test_check.py",
    "record": "tests/test_recording.py",
    "kill": "tests/test_kill.py",
    "guard": "tests/test_kill.py",
    "control": "tests/test_halted_end.py",
    "cockpit": "tests/test_cockpit_browser.py",
    "metrics": "tests/test_metrics.py",
    "status": "tests/test_status.py",
    "alerts": "tests/test_alerts.py",
    "traces": "tests/test_traces.py",
    "download": "tests/test_download.py",
}
NO_RESULT = {
    "venue": "prints a JSON line as it is",
    "mcp": "speaks JSON-RPC",
    "completion": "prints a script",
    "compile": "prints a folder",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sessions with an order each, the second one killed, and a capture of another tool."""
    here = tmp_path_factory.mktemp("json")
    for name, seed in ((FIRST, 1), (SECOND, 2)):
        once = strategy_settings(ONCE, "Once", name="once")
        session = VirtualSession(CalmVenue(seed=seed), here / "journals" / name, strategies=[once], session=name[-8:])
        session.run(until=lambda session: bool(session.facts("order_filled"))).run(1)
        session.stop() if name == FIRST else session.kill()
    (here / "feed.jsonl").write_text('{"t": 1722470400000, "e": "trade", "p": "1.5"}\n')
    return here


def test_every_command_has_a_line_here() -> None:
    assert COMMANDS.keys() <= RUNS.keys() | ELSEWHERE.keys() | NO_RESULT.keys(), "a new command needs a line"
    for name, file in ((name, file) for name, file in ELSEWHERE.items() if name in COMMANDS):
        text = (Path(__file__).parent.parent / file).read_text()
        assert f'"{name}"' in text or name in file, (name, file)
        assert '"--json"' in text, file


@pytest.mark.parametrize("name", RUNS)
def test_the_result_is_json_and_long_work_reports_its_progress(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "report":
        pytest.importorskip("starlette", reason="the extra cockpit is not installed")
    monkeypatch.chdir(folder)
    reported: list[tuple[str, int, int]] = []
    monkeypatch.setattr(ProgressLine, "report", lambda line, done, total=0: reported.append((line._unit, done, total)))
    monkeypatch.setattr("replay.replay.PROGRESS_RECORDS", 10)
    monkeypatch.setattr("replay.rebuild.PROGRESS_RECORDS", 10)
    shape, words = RUNS[name]
    given = [word.format(one="journals/" + FIRST, two="journals/" + SECOND) for word in words]
    ended = CliRunner().invoke(main, [name, *given, "--json"])
    assert ended.exit_code in (0, 1), ended.output
    printed = [json.loads(line) for line in ended.stdout.splitlines()] if shape is LINES else json.loads(ended.stdout)
    values = printed if isinstance(printed, list) else [printed]
    assert isinstance(printed, list) is (shape is not OBJECT)
    assert values
    assert all(isinstance(each, dict) and each for each in values)
    for path, value in leaves(values):
        key = path[-1]
        if key.endswith("_ns") and value is not None:
            assert isinstance(value, int), (path, value)
        if set(key.split("_")) & set(MONEY):
            assert not isinstance(value, float), (path, value)
            if isinstance(value, str) and value[:1].isdigit():
                Decimal(value)
    for value in (each["path"] for each in values if "path" in each):
        assert Path(value).exists(), "a path is that of what was written"
    assert {unit for unit, _, _ in reported} == ({UNITS[name]} if name in UNITS else set())
    counts = [done for _, done, _ in reported]
    assert counts == sorted(counts)
    assert all(done <= total for _, done, total in reported if total)
    assert "\r" not in ended.stderr + ended.stdout, "no line is drawn in a pipe"


def leaves(value: Any, path: tuple[str, ...] = ("",)) -> list[tuple[tuple[str, ...], Any]]:
    match value:
        case dict():
            return [each for key, inner in value.items() for each in leaves(inner, (*path, key))]
        case list():
            return [each for inner in value for each in leaves(inner, path)]
        case _:
            return [(path, value)]
