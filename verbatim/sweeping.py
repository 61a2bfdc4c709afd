"""`verbatim.sweep`: variants of a strategy on recorded sessions, with the guards that separate skill from chance."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from analysis.sweep_report import SweepReport
from engine.sim.venue_model import parse_balances
from replay.study.return_figures import SECOND_NS
from replay.study.sweep import STEP_NS
from replay.study.sweep_space import Axis, SweepError, parse_axis
from replay.study.sweep_table import Objective
from replay.study.walk_forward import WindowKind
from verbatim.backtesting import strategy_settings, texts
from verbatim.session_opening import SessionName, find_sessions
from verbatim.sweep_run import OnProgress, SweepChecks, SweepPlan, run_sweep, sweep_sessions

NOTHING: Mapping[str, Any] = MappingProxyType({})


def sweep(
    sessions: SessionName | Iterable[SessionName],
    strategy: type | str | os.PathLike[str] | None,
    parameters: Mapping[str, Sequence[Any] | str],
    *,
    search: str = "grid",
    trials: int = 100,
    seed: int = 1,
    objective: str = "sharpe",
    balances: Mapping[str, Any] = NOTHING,
    model: Mapping[str, Any] = NOTHING,
    settings: Mapping[str, Any] = NOTHING,
    step_s: float = STEP_NS / SECOND_NS,
    walk_forward: str = "anchored",
    folds: int = 4,
    model_draws: int = 16,
    checks_winner: bool = True,
    into: str | os.PathLike[str] | None = None,
    on: str = "",
    workers: int = 0,
    journals: str | os.PathLike[str] = "journals",
    fresh: bool = False,
    trust_code: bool = False,
    on_progress: OnProgress | None = None,
) -> SweepReport:
    """Backtest variants of a strategy on sessions or captures, and return their table with the guards.

    Args:
        sessions: A session, a folder of sessions, an address, or several.
        strategy: A class, also of a notebook, or `path.py:Class`. None: the strategy that the sessions recorded.
        parameters: What varies: `{"fast": [5, 10], "slow": "20:60:10", "risk.order_size_max": [1, 2]}`.
        search: `grid`, `random`, or `bayes` (the extra `bayes`).
        trials: How many variants a random or Bayesian search tries.
        seed: Of the draws.
        objective: The figure by which variants are ranked: sharpe, sortino, return, calmar, pnl, profit_factor.
        balances: The account's money by asset, where a session states none.
        model: Settings of the simulated venue.
        settings: Settings that all variants have.
        step_s: Seconds between two returns.
        walk_forward: `anchored`, `rolling`, or "" for none.
        folds: Of the walk-forward.
        model_draws: Backtests of the winner under drawn models of the venue; 0: none.
        checks_winner: Check the winner for lookahead and recursive indicators.
        into: The folder of the kept results. Default: nothing is kept.
        on: `dask://HOST:PORT`, or "" for processes of this machine.
        workers: How many processes; 0: one a core.
        journals: The folder in which ids are looked up.
        fresh: Ignore kept results.
        trust_code: Run recorded code though it was not recorded on this machine.
        on_progress: Called with the backtests done and to do.

    Raises:
        SweepError: The parameters, the search or the folder do not fit.
        StrategyError: The strategy cannot be used.
        WorkFailedError: The workers were killed repeatedly, or there is no cluster.
    """
    found = sweep_sessions(lambda each: find_sessions(each, Path(journals)), sessions)
    plan = SweepPlan(
        sources=found.sources,
        left_out=found.left_out,
        strategy=None if strategy is None else strategy_settings(strategy, NOTHING),
        axes=tuple(_axis(name, values) for name, values in parameters.items()),
        search=search,
        trials=trials,
        seed=seed,
        objective=_chosen(objective, Objective),
        settings=texts(settings),
        model=texts(model),
        balances=parse_balances(texts(balances)),
        step_ns=int(step_s * SECOND_NS),
    )
    checks = SweepChecks(
        walk_forward=_chosen(walk_forward, WindowKind) if walk_forward else None,
        folds=folds,
        model_draws=model_draws,
        checks_winner=checks_winner,
    )
    return run_sweep(
        plan, checks, into=None if into is None else Path(into), on=on, workers=workers, fresh=fresh,
        trust_code=trust_code, on_progress=on_progress,
    )  # fmt: skip


def _axis(name: str, values: Sequence[Any] | str) -> Axis:
    text = values if isinstance(values, str) else ",".join(texts({"": value})[""] for value in values)
    return parse_axis(f"{name}={text}")


def _chosen(text: str, kind: Any) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise SweepError(f"{text!r} is not one of {', '.join(kind)}.") from None
