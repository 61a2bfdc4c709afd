"""Runs a sweep: backtests of the variants in processes or on Dask, kept rows, and the guards on the result."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from analysis.fleet_selection import ALL, Selection
from analysis.session_tables import LeftOutSession, SessionPlace
from analysis.sweep_report import SweepReport, WinnerReport
from engine.session_record import StrategySettings
from journal.archive_cache import archived_sessions, session_name
from journal.errors import JournalError
from journal.record import canonical
from journal.session_names import is_address
from journal.trust_key import trust_key
from replay.study import bayesian_search
from replay.study.overfitting import deflated_sharpe, overfitting_probability
from replay.study.regress import Job, job_failure
from replay.study.return_figures import SECOND_NS
from replay.study.sweep import (
    STEP_NS,
    SweepJob,
    SweepRow,
    SweepSource,
    decode_session,
    local_job,
    run_sweep_job,
    sweep_jobs,
)
from replay.study.sweep_space import Axis, SweepError, Variant, draw, grid
from replay.study.sweep_store import SweepStore
from replay.study.sweep_table import (
    Objective,
    SweepTable,
    neighbourhood,
    score_of_returns,
    sensitivity_maps,
    sweep_table,
)
from replay.study.versions import Version, VersionRequest
from replay.study.walk_forward import WalkForward, WindowKind, choose_variants, walk_forward
from replay.study.winner_checks import ModelDraws, check_session, drawn_models, resample_returns
from replay.study.workers import run_jobs
from verbatim.fleet_lookup import find_fleet, means_several
from verbatim.warmup import compile_if_new

SESSIONS_CHECKED = 3  # the longest ones, for lookahead and recursion
SEARCHES = ("grid", "random", "bayes")
OnProgress = Callable[[int, int], None]


class SweepPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what a sweep computes. A folder of results belongs to one plan."""

    sources: tuple[SweepSource, ...]
    strategy: StrategySettings | None
    axes: tuple[Axis, ...]
    search: str = "grid"
    trials: int = 100
    seed: int = 1
    objective: Objective = Objective.SHARPE
    settings: dict[str, str] = {}
    model: dict[str, str] = {}
    balances: dict[str, str] = {}
    step_ns: int = STEP_NS
    left_out: tuple[LeftOutSession, ...] = ()  # sessions that cannot be read


class SweepChecks(msgspec.Struct, frozen=True, kw_only=True):
    """The guards to run."""

    walk_forward: WindowKind | None = WindowKind.ANCHORED
    folds: int = 4
    blocks: int = 16  # of the probability of overfitting
    model_draws: int = 16  # backtests of the winner under drawn models of the venue, on every session
    checks_winner: bool = True  # lookahead and recursion


class OpenedSessions(Protocol):
    """Sessions of this machine, and those beside them that cannot be read."""

    @property
    def places(self) -> tuple[SessionPlace, ...]:
        """The sessions."""

    @property
    def unreadable(self) -> tuple[LeftOutSession, ...]:
        """Sessions of the same folder that cannot be read."""


class SweepSessions(NamedTuple):
    """The sessions of a sweep, and those that cannot be read."""

    sources: tuple[SweepSource, ...]
    left_out: tuple[LeftOutSession, ...]


def sweep_sessions(find: Callable[[Any], OpenedSessions], sessions: Any, selection: Selection = ALL) -> SweepSessions:
    """Return the sessions of a sweep. Those of an archive stay there: each worker fetches what it needs.

    Args:
        find: Finds sessions of this machine (verbatim/session_opening.py).
        sessions: A name, a pattern, an open session, or several of them.
        selection: Which sessions of patterns and addresses are meant.

    Raises:
        JournalError: A session cannot be found or read.
    """
    several = isinstance(sessions, Iterable) and not isinstance(sessions, str | os.PathLike)
    found: list[SweepSource] = []
    left_out: list[LeftOutSession] = []
    for each in sessions if several else [sessions]:
        if isinstance(each, str) and means_several(each, selection):
            fleet = find_fleet(each, selection)
            left_out += fleet.left_out
            found += [SweepSource(session_name(address), address=address) for address in fleet.addresses]
            found += [SweepSource(path.name, path.absolute(), trust_key=trust_key()) for path in fleet.folders]
        elif isinstance(each, str) and is_address(each):
            found += [SweepSource(session_name(address), address=address) for address in archived_sessions(each)]
        else:
            opened = find(each)
            left_out += opened.unreadable
            found += [
                SweepSource(place.folder.name, place.folder.absolute(), trust_key=place.trust_key, keeper=place.keeper)
                for place in opened.places
            ]
    names = [source.name for source in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SweepError(f"two sessions have the name {twice}. What to do: name each session once.")
    return SweepSessions(
        tuple(sorted(found, key=lambda source: source.name)), tuple(left_out)
    )  # ids begin with the time


def run_sweep(
    plan: SweepPlan,
    checks: SweepChecks,
    *,
    into: Path | None = None,
    on: str = "",
    workers: int = 0,
    fresh: bool = False,
    trust_code: bool = False,
    on_progress: OnProgress | None = None,
) -> SweepReport:
    """Run a sweep and its guards. Args and errors as of `verbatim.sweep`."""
    if plan.search not in SEARCHES:
        raise SweepError(f"{plan.search!r} is no search. What to do: choose one of {', '.join(SEARCHES)}.")
    if plan.step_ns < SECOND_NS:
        raise SweepError("the step between two returns is at least a second.")
    compile_if_new()
    run = _SweepRun(plan, into, on=on, workers=workers, trust_code=trust_code, fresh=fresh)
    began, used = time.monotonic(), _cpu_seconds()
    variants = run.search(on_progress)
    seconds, cpu = time.monotonic() - began, _cpu_seconds() - used
    table = sweep_table(variants, [source.name for source in plan.sources], run.rows, plan.objective)
    results = None if run.store is None else run.store.finish(run.ordered_rows(), variants)
    numbers, matrix, _ = table.matrix()
    best = table.winner
    sharpes = [each.sharpe or 0.0 for each in table.results if not each.errors]
    return SweepReport(
        table=table,
        search=plan.search,
        seed=plan.seed,
        step_ns=table.step_ns or plan.step_ns,
        step_asked_ns=plan.step_ns,
        numbers=tuple(numbers),
        overfitting=overfitting_probability(matrix, checks.blocks),
        deflated=None if best is None else deflated_sharpe(table.returns(best.number), sharpes),
        walk=run.walk(checks, table),
        maps=tuple(sensitivity_maps(table)),
        neighbourhood=neighbourhood(table),
        winner=None if best is None else run.check_winner(best.number, table, checks),
        seconds=seconds,
        cpu_seconds=cpu,
        kept=run.kept,
        results=results,
        left_out=(*plan.left_out, *(LeftOutSession(*each) for each in table.left_out)),
    )


def _cpu_seconds() -> float:
    """Return the processor time of this process and of its workers that ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def parts_of_sessions(
    steps: tuple[int, int], sessions: Sequence[str], edges: Sequence[int]
) -> list[tuple[str, int, int, int]]:
    """Return the parts of sessions that steps cover: the session, first step, one past the last, and all its steps.

    Args:
        steps: The first row of the matrix of returns, and one past the last.
        sessions: The sessions in their order.
        edges: One past the last row of each.
    """
    found = []
    for session, begin, end in zip(sessions, [0, *edges], edges, strict=False):
        first, last = max(steps[0], begin), min(steps[1], end)
        if first < last:
            found.append((session, first - begin, last - begin, end - begin))
    return found


class _SweepRun:
    """The backtests of one sweep."""

    def __init__(
        self, plan: SweepPlan, into: Path | None, *, on: str, workers: int, trust_code: bool, fresh: bool
    ) -> None:
        self._plan, self._on, self._workers = plan, on, workers
        self._base = Version("", plan.strategy, plan.settings)
        self._request = VersionRequest(
            strategy_name="" if plan.strategy is None else plan.strategy.name,
            model_settings=plan.model,
            balances=plan.balances,
            modelled=True,
            alone=plan.strategy is not None,
            trust_code=trust_code,
        )
        self.store = None if into is None else SweepStore(into)
        if self.store is not None:
            self.store.check_plan(_comparable(plan), fresh=fresh)
        self._known = {} if self.store is None else self.store.load()
        self._loaded = frozenset(self._known)
        self.kept = 0  # rows that were not computed again
        self.rows: list[SweepRow] = []
        self._winner_jobs: dict[int, list[SweepJob]] = {}

    def search(self, on_progress: OnProgress | None) -> list[Variant]:
        """Run all variants and return them by number."""
        plan = self._plan
        if plan.search == "bayes":
            return self._search_bayes(on_progress)
        variants = grid(plan.axes) if plan.search == "grid" else draw(plan.axes, plan.trials, plan.seed)
        self._run(list(enumerate(variants)), on_progress)
        return variants

    def _search_bayes(self, on_progress: OnProgress | None) -> list[Variant]:
        plan, found = self._plan, list[Variant]()
        total = plan.trials * len(plan.sources)

        def run_batch(batch: list[Variant]) -> list[float | None]:
            first = len(found)
            done = first * len(plan.sources)
            report = None if on_progress is None else lambda count, _all: on_progress(done + count, total)
            rows = self._run(list(enumerate(batch, first)), report)
            table = sweep_table([*found, *batch], [source.name for source in plan.sources], rows, plan.objective)
            found.extend(batch)
            return [result.score for result in table.results]

        for _ in bayesian_search.search(plan.axes, plan.trials, plan.seed, run_batch):
            pass
        return found

    def _run(self, variants: list[tuple[int, Variant]], on_progress: OnProgress | None) -> list[SweepRow]:
        """Run variants on all sessions, session by session, and return their rows."""
        jobs = [job for source in self._plan.sources for job in self._jobs_of(source, variants)]
        for job in jobs:
            self._winner_jobs.setdefault(job.variant, []).append(job)
        rows, waiting = [], []
        for job in jobs:
            if (known := self._known.get(job.key)) is not None and known.step_ns:  # a job that failed is tried again
                rows.append(msgspec.structs.replace(known, variant=job.variant, session=job.session))
            else:
                waiting.append(job)
        self.kept += sum(row.key in self._loaded for row in rows)
        done, total = len(rows), len(jobs)
        report = None if on_progress is None else lambda count, _all: on_progress(done + count, total)
        computed = self._compute(waiting, report)
        self._known |= {row.key: row for row in computed}  # a Bayesian search may draw a variant again
        rows += computed
        self.rows += rows
        return rows

    def _jobs_of(self, source: SweepSource, variants: list[tuple[int, Variant]]) -> list[SweepJob]:
        """Return the jobs on a session. One that cannot be read costs itself, if there are others."""
        try:
            return sweep_jobs(source, variants, self._base, self._request, self._plan.step_ns)
        except JournalError as error:
            if len(self._plan.sources) == 1:
                raise
            reason = job_failure(error).error
            return [SweepJob(number, source.name, "", None, self._plan.step_ns, reason) for number, _ in variants]

    def _compute(self, jobs: list[SweepJob], on_progress: OnProgress | None) -> list[SweepRow]:
        if not jobs:
            return []
        # each market is decoded once, before several processes need it, and a damaged session costs one attempt
        firsts = list({job.session: job for job in reversed(jobs) if job.work is not None}.values())
        decoded = run_jobs(decode_session, firsts, on=self._on, workers=self._workers)
        unread = {job.session: found.error for job, found in zip(firsts, decoded, strict=True) if found.error}
        jobs = [
            msgspec.structs.replace(job, work=None, error=unread[job.session])
            if job.session in unread and job.work is not None
            else job
            for job in jobs
        ]
        store = self.store
        keep = None if store is None else lambda _place, row: store.add(row)
        try:
            return run_jobs(
                run_sweep_job, jobs, on=self._on, workers=self._workers, on_job_done=on_progress, on_result=keep
            )
        finally:
            if store is not None:
                store.flush()

    def ordered_rows(self) -> list[SweepRow]:
        """Return all rows as they were computed, by variant and session."""
        place = {source.name: number for number, source in enumerate(self._plan.sources)}
        return sorted(self.rows, key=lambda row: (row.variant, place[row.session]))

    def walk(self, checks: SweepChecks, table: SweepTable) -> WalkForward | None:
        """Choose a variant in each window, and judge it by a backtest of its test alone."""
        kind = checks.walk_forward
        if kind is None:
            return None
        if self._plan.search == "bayes":
            return WalkForward(kind, lack="a Bayesian search has seen the tests: choose grid or random")
        numbers, matrix, edges = table.matrix()
        name, score = score_of_returns(self._plan.objective)
        choices = choose_variants(matrix, kind=kind, folds=checks.folds, score=score, edges=edges)
        tests: list[list[float]] = [[] for _ in choices]
        jobs: list[tuple[int, SweepJob]] = []
        for window, choice in enumerate(choices):
            for session, first, end, steps in parts_of_sessions(choice.test, table.sessions, edges):
                job = next(each for each in self._winner_jobs[numbers[choice.variant]] if each.session == session)
                span = None if (first, end) == (0, steps) else (first, end)
                jobs.append((window, msgspec.structs.replace(job, span=span, step_ns=table.step_ns)))
        judged = [job for _, job in jobs if job.span is not None]
        rows = iter(run_jobs(run_sweep_job, judged, on=self._on, workers=self._workers))
        for window, job in jobs:  # a whole session has run alone already
            row = table.row(job.variant, job.session) if job.span is None else next(rows)
            if row.error:
                return WalkForward(kind, lack=f"{row.session}: {row.error}")
            tests[window] += row.returns
        lack = f"needs {checks.folds + 1} parts of at least 2 steps, and there are {len(matrix)} steps"
        found = walk_forward(choices, tests, kind=kind, score=score, lack=lack)
        return msgspec.structs.replace(found, chosen_by=name, own_runs=len(judged))

    def check_winner(self, number: int, table: SweepTable, checks: SweepChecks) -> WinnerReport:
        """Run the checks of the best variant."""
        jobs = [job for job in self._winner_jobs[number] if job.session in table.sessions and job.work is not None]
        longest = sorted(jobs, key=lambda job: -len(table.row(number, job.session).returns))[:SESSIONS_CHECKED]
        checked = run_jobs(check_session, longest, on=self._on, workers=self._workers) if checks.checks_winner else []
        return WinnerReport(
            number=number,
            resampled=resample_returns(table.returns(number), self._plan.seed),
            draws=self._draw_models(number, jobs, table, checks.model_draws),
            checked=tuple(checked),
        )

    def _draw_models(self, number: int, jobs: list[SweepJob], table: SweepTable, count: int) -> ModelDraws | None:
        """Backtest the winner again on each session, under drawn models of the venue."""
        if not count:
            return None
        local = {job.session: local_job(job.work) for job in jobs if job.work is not None}
        drawn: list[SweepJob] = []
        names: list[dict[str, str]] = []
        for job in jobs:
            own: Job = local[job.session]
            models = drawn_models(own.model, count, self._plan.seed)
            names = [settings for _, settings in models]
            drawn += [
                SweepJob(
                    place, job.session, f"{job.key}-{place}", msgspec.structs.replace(own, model=model), job.step_ns
                )
                for place, (model, _) in enumerate(models)
            ]
        rows = run_jobs(run_sweep_job, drawn, on=self._on, workers=self._workers)
        variants = [Variant(settings) for settings in names]
        scores = sweep_table(variants, table.sessions, rows, self._plan.objective).results
        recorded = next(result.score for result in table.results if result.number == number)
        return ModelDraws(tuple(names), tuple(result.score for result in scores), recorded)


def _comparable(plan: SweepPlan) -> dict[str, Any]:
    """Return the part of a plan that decides its rows, as JSON values. Places and the objective may differ."""
    free = ("sources", "objective", "left_out")
    fields = {name: getattr(plan, name) for name in plan.__struct_fields__ if name not in free}
    names = [source.name for source in plan.sources]
    found: dict[str, Any] = msgspec.json.decode(canonical({**msgspec.to_builtins(fields), "sessions": names}))
    return found


def plan_digest(plan: SweepPlan) -> str:
    """Return a hash of the part of a plan that decides its rows."""
    return hashlib.sha256(canonical(_comparable(plan)).encode()).hexdigest()
