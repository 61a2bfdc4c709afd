"""A sweep's returns, windows and damaged sessions: what the guards may count, and what a fault may cost."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

import verbatim
from analysis.sweep_report import SweepReport
from engine.step_context import Output
from journal.record import Record
from replay import projections
from replay.entries import Entry
from replay.resim.resimulate import ResimOptions, resimulate_steps
from replay.study.sweep import RETURNS_MAX, STEP_NS, SweepJob, SweepRow, curve_returns, run_sweep_job
from replay.study.sweep_table import common_step, with_step
from replay.study.tear_sheet import TearSheet, TearSheetReader
from replay.study.versions import Version, VersionRequest, jobs_for_session
from verbatim.backtesting import strategy_settings
from verbatim.cli import main
from verbatim.testing import VirtualSession, VirtualVenue, from_sources

pytestmark = pytest.mark.slow
FIRST, SECOND, THIRD = (f"2026010{day}T000000Z-aaaaaaa{letter}" for day, letter in ((1, "b"), (2, "c"), (3, "d")))
SECOND_NS = 1_000_000_000
SETTINGS = {"engine.report_every_ns": SECOND_NS}
STRATEGY = Path(__file__).parent / "strategies" / "holder.py"
HOLDER = STRATEGY.read_text()


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three sessions with a market."""
    root = tmp_path_factory.mktemp("guarded") / "journals"
    for seed, (name, seconds) in enumerate(((FIRST, 12), (SECOND, 9), (THIRD, 6)), 1):
        holder = from_sources({"holder": HOLDER}, "holder", "Holder")
        VirtualSession(VirtualVenue(seed=seed), root / name, session=name[-8:], strategies=[holder]).run(seconds).stop()
    return root


def sweep(journals: Path | str, **changes: Any) -> SweepReport:
    given = {"parameters": {"size": ["0.001", "0.002"]}, "settings": SETTINGS, "step_s": 1, "walk_forward": ""}
    given |= {"workers": 1, "model_draws": 0, "checks_winner": False}
    return verbatim.sweep(journals, STRATEGY, **(given | changes))  # type: ignore[arg-type]  # a dict of all kinds


def job_of(folder: Path, **settings: str) -> Any:
    request = VersionRequest(modelled=True, alone=True, strategy_name="holder")
    strategy = strategy_settings(STRATEGY, {})
    version = Version("", strategy, {name: str(value) for name, value in (SETTINGS | settings).items()})
    [job] = jobs_for_session(folder, [version], request, trust_key=b"")
    return job


# ---- cost


def test_a_sheet_of_outputs_is_that_of_records_and_makes_texts_of_figures_alone(journals: Path) -> None:
    """Orders and balances of a backtest get no text; the sheet is the same as that of the recorded texts."""
    job = job_of(journals / FIRST)
    options = ResimOptions(session=job.body, model=job.model, modelled=True)
    plain, recorded = TearSheetReader(), TearSheetReader()
    with_text, without = set[str](), set[str]()

    def add_step(inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
        for entry in chain[Entry](inputs, outputs):
            plain.add(entry)
        for output in outputs:
            (without if output.made is None else with_text).add(type(output.body).__name__)
        for record in (*inputs, *(output.record for output in outputs)):
            recorded.add(record)

    resimulate_steps(job.folder, options, add_step)
    sheets: list[TearSheet] = [reader.sheet() for reader in (plain, recorded)]
    assert sheets[0] == sheets[1]
    assert sheets[0].performance.fills == 1
    assert without >= {"IntentBody", "VerdictBody", "RequestBody", "OrderAccepted", "BalanceChanged"}
    assert with_text == {"OrderFilled", "Position", "Pnl", "PortfolioPnl", "ModeChanged"}


def test_a_day_is_decoded_once_for_all_variants(
    journals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four variants on a session whose market has no cache yet: each of its segments is decoded once."""
    folder = tmp_path / "fresh" / SECOND
    venue, holder = VirtualVenue(seed=7), from_sources({"holder": HOLDER}, "holder", "Holder")
    VirtualSession(venue, folder, session=SECOND[-8:], strategies=[holder]).run(4).stop()
    decoded: list[int] = []
    whole = projections.build_projection

    def counted(*words: Any) -> Any:
        decoded.append(1)
        return whole(*words)

    monkeypatch.setattr(projections, "build_projection", counted)
    found = sweep(folder.parent, parameters={"size": ["0.001", "0.002", "0.003", "0.004"]})
    assert [each.errors for each in found.table.results] == [()] * 4
    assert len(decoded) == len(list(folder.glob("*.parquet")))


# ---- the step of returns


def test_no_return_is_of_a_time_without_a_report(journals: Path) -> None:
    """The P&L is reported every 3 s: returns of a second would be 0 twice in three times, and count as data."""
    found = sweep(journals, settings={"engine.report_every_ns": 3 * SECOND_NS}, step_s=2)
    assert (found.step_ns, found.step_asked_ns) == (4 * SECOND_NS, 2 * SECOND_NS), "a whole number of the steps"
    assert [len(row.returns) for row in found.table.rows[:3]] == [3, 2, 1]
    assert "step" in str(found)
    assert "in place of 2 s" in str(found)
    same = sweep(journals, settings={"engine.report_every_ns": 2 * SECOND_NS}, step_s=2)
    assert (same.step_ns, "in place of" in str(same)) == (2 * SECOND_NS, False)


def test_sessions_with_different_steps_get_a_common_one() -> None:
    rows = [
        SweepRow("a", 0, "one", step_ns=10, returns=(0.1, 0.1, -0.5, 0.2, 0.3)),
        SweepRow("b", 0, "two", step_ns=20, returns=(0.5,)),
        SweepRow("c", 0, "three", error="it failed"),
    ]
    assert common_step(rows) == 20
    assert with_step(rows[0], 20).returns == pytest.approx((0.21, -0.4)), "the rest fills no step"
    assert [with_step(row, 20) for row in rows[1:]] == rows[1:]
    assert common_step(rows[2:]) == 0


def test_a_long_session_has_longer_steps(journals: Path) -> None:
    sheet = msgspec.structs.replace(_sheet(journals), points=())
    long = msgspec.structs.replace(sheet, ended_ns=sheet.started_ns + 3 * RETURNS_MAX * STEP_NS)
    step_ns, returns, _ = curve_returns(long, STEP_NS)
    assert (step_ns, len(returns)) == (4 * STEP_NS, 3 * RETURNS_MAX // 4)


def _sheet(journals: Path) -> TearSheet:
    job, reader = job_of(journals / THIRD), TearSheetReader()
    options = ResimOptions(session=job.body, model=job.model, modelled=True)

    def add_step(inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
        for entry in chain[Entry](inputs, outputs):
            reader.add(entry)

    resimulate_steps(job.folder, options, add_step)
    return reader.sheet()


# ---- walk-forward


def test_the_test_of_a_window_begins_flat(journals: Path) -> None:
    """The holder buys once. A part of its whole run has no fee; the run of the part alone buys again, and pays."""
    job = SweepJob(0, FIRST, "key", job_of(journals / FIRST), SECOND_NS)
    whole = run_sweep_job(job)
    part = run_sweep_job(msgspec.structs.replace(job, span=(6, 11)))
    assert (whole.error, part.error) == ("", "")
    assert (whole.fills, part.fills) == (1, 1)
    assert len(part.returns) == 5
    assert part.fees > 0
    held = sum(whole.returns[6:11])
    assert sum(part.returns) < held, "the fee of its own entry"
    begin = run_sweep_job(msgspec.structs.replace(job, span=(0, 5)))
    assert begin.returns == whole.returns[:5], "nothing after a step counts for it"


def test_walk_forward_judges_by_runs_of_the_tests_alone(journals: Path) -> None:
    found = sweep(journals / FIRST, walk_forward="anchored", folds=2, objective="pnl")
    walk = found.walk
    assert walk is not None
    assert (walk.chosen_by, walk.own_runs, len(walk.windows)) == ("return", 2, 2)
    assert "2 backtests of parts of sessions" in str(found)
    window = walk.windows[0]
    begin, end = window.test
    inside = found.table.rows[window.variant].returns[begin:end]
    assert window.test_return < sum(inside), "its own run pays for its entry"
    whole = sweep(journals, walk_forward="rolling", folds=2)
    assert whole.walk is not None
    assert whole.walk.own_runs == 0, "each test is a session, which is a run of its own"
    assert whole.walk.chosen_by == "sharpe"


# ---- damage


def test_a_damaged_session_costs_itself_and_is_named(journals: Path, tmp_path: Path) -> None:
    copies = tmp_path / "journals"
    for name in (FIRST, SECOND, THIRD):
        target = copies / name
        target.mkdir(parents=True)
        for file in (journals / name).iterdir():
            if file.is_file() and file.suffix == ".parquet":
                (target / file.name).write_bytes(file.read_bytes())
    segment = next((copies / SECOND).glob("*.parquet"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 3] ^= 1
    segment.write_bytes(data)
    found = sweep(copies)
    assert found.table.sessions == (FIRST, THIRD)
    assert [Path(each.name).name for each in found.left_out] == [SECOND]
    assert f"{SECOND} was left out: " in str(found)
    assert [Path(name).name for name in found.as_json()["left_out"]] == [SECOND]
    assert found.winner is not None
    kept = sweep(copies, into=tmp_path / "kept")
    assert kept.table == found.table
    words = ["sweep", str(copies), "--strategy", str(STRATEGY), "--param", "size=0.001", "--walk-forward", "none"]
    words += ["--draws", "0", "--no-checks", "--workers", "1", "--into", str(tmp_path / "other"), "--step", "1"]
    ended = CliRunner().invoke(main, words)
    assert (ended.exit_code, f"{SECOND} was left out: " in ended.stdout) == (1, True), ended.output
    ended = CliRunner().invoke(main, [words[0], str(copies / FIRST), *words[2:], "--fresh"])
    assert ended.exit_code == 0, ended.output
    assert sweep(copies, into=tmp_path / "kept").table == found.table


def test_a_pattern_sweeps_the_sessions_that_it_names(journals: Path) -> None:
    """Folders of this machine by pattern."""
    found = sweep(f"{journals.parent}/jour*/2026010[13]*")
    assert found.table.sessions == (FIRST, THIRD)
    assert found.table.rows[0].returns == sweep(journals).table.rows[0].returns
