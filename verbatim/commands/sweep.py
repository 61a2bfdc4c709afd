"""`verbatim sweep`: variants of a strategy on sessions, with guards against overfitting, by verbatim/sweep_run.py."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import DIFFERS
from verbatim.fleet_options import selection_options
from verbatim.options import balance_option, complete_file, journals_option, json_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.study_failures import study_failures
from verbatim.terminal import echo

if TYPE_CHECKING:
    from analysis.fleet_selection import Selection
    from analysis.sweep_report import SweepReport
    from verbatim.sweep_run import SweepPlan

OBJECTIVES = ("sharpe", "sortino", "return", "calmar", "pnl", "profit_factor")


@click.command("sweep")
@session_argument("sessions", nargs=-1, required=True)
@click.option(
    "--strategy", shell_complete=complete_file, metavar="FILE[:CLASS]", help="Default: the recorded strategy."
)
@click.option(
    "--param",
    "parameters",
    multiple=True,
    required=True,
    metavar="NAME=VALUES",
    help="What varies: fast=5,10,20; fast=5:50:5; of random and bayes also fast=5:50 and size=0.01:1:log. "
    "A name with a dot is a setting, as risk.order_size_max=1,2.",
)
@click.option("--search", type=click.Choice(["grid", "random", "bayes"]), default="grid", show_default=True)
@click.option("--trials", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Of random and bayes.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the draws.")
@click.option("--objective", type=click.Choice(OBJECTIVES), default="sharpe", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of all variants, as of resim.")
@click.option("--model", "model_settings", multiple=True, metavar="NAME=VALUE", help="As of backtest.")
@balance_option
@click.option(
    "--step",
    "step_s",
    type=click.FloatRange(1, 86_400),
    default=10.0,
    show_default=True,
    help="Seconds between returns.",
)
@click.option(
    "--walk-forward",
    type=click.Choice(["anchored", "rolling", "none"]),
    default="anchored",
    show_default=True,
    help="Choose on past steps, test on the next.",
)
@click.option("--folds", type=click.IntRange(2, 100), default=4, show_default=True, help="Tests of the walk-forward.")
@click.option(
    "--draws",
    type=click.IntRange(0, 1_000),
    default=16,
    show_default=True,
    help="Backtests of the winner under drawn latencies, queues and fills.",
)
@click.option("--no-checks", is_flag=True, help="Leave out the winner's check for lookahead and recursive indicators.")
@selection_options
@click.option("--into", type=click.Path(path_type=Path), help="Folder of the kept results. Default: sweeps/NAME.")
@click.option("--fresh", is_flag=True, help="Ignore kept results.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write a page.")
@click.option("--on", default="", metavar="dask://HOST:PORT", help="Work there; else in processes of this machine.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes here; 0: one for each core.")
@click.option("--trust-code", is_flag=True, help="Run recorded code though it was not recorded on this machine.")
@journals_option
@json_option
def command(
    *,
    sessions: tuple[str, ...],
    strategy: str | None,
    parameters: tuple[str, ...],
    search: str,
    trials: int,
    seed: int,
    objective: str,
    settings: tuple[str, ...],
    model_settings: tuple[str, ...],
    balances: tuple[str, ...],
    step_s: float,
    walk_forward: str,
    folds: int,
    draws: int,
    no_checks: bool,
    selection: "Selection",
    into: Path | None,
    fresh: bool,
    html: Path | None,
    on: str,
    workers: int,
    trust_code: bool,
    journals: Path,
    as_json: bool,
) -> None:
    """Backtest variants of a strategy on SESSIONS (sessions, captures, folders, addresses, patterns), and rank them.

    Results are kept, so an interrupted sweep continues with the same command. The guards say how likely the best
    variant is a product of chance: deflated Sharpe, probability of overfitting, walk-forward, neighbours, drawn models
    of the venue, lookahead, recursive indicators.
    """
    if html is not None and not html.absolute().parent.is_dir():
        raise click.UsageError(f"--html: there is no folder {html.parent}")
    from engine.sim.venue_model import parse_balances
    from replay.overrides import parse_settings
    from replay.study.return_figures import SECOND_NS
    from replay.study.sweep_space import parse_axis
    from replay.study.sweep_table import Objective
    from replay.study.walk_forward import WindowKind
    from verbatim.strategy_files import read_strategy
    from verbatim.sweep_run import SweepChecks, SweepPlan, run_sweep, sweep_sessions

    with study_failures():
        found = sweep_sessions(lambda each: open_to_read(journals, each), sessions, selection)
        plan = SweepPlan(
            sources=found.sources,
            left_out=found.left_out,
            strategy=None if strategy is None else read_strategy(strategy),
            axes=tuple(map(parse_axis, parameters)),
            search=search,
            trials=trials,
            seed=seed,
            objective=Objective(objective),
            settings=parse_settings(settings),
            model=parse_settings(model_settings),
            balances=parse_balances(parse_settings(balances)),
            step_ns=int(step_s * SECOND_NS),
        )
        checks = SweepChecks(
            walk_forward=None if walk_forward == "none" else WindowKind(walk_forward),
            folds=folds,
            model_draws=draws,
            checks_winner=not no_checks,
        )
        with progress("sweeping", "backtests") as line:
            report = run_sweep(
                plan,
                checks,
                into=into or _default_folder(journals, plan),
                on=on,
                workers=workers,
                fresh=fresh,
                trust_code=trust_code,
                on_progress=line.report,
            )
    _print_report(report, html, as_json=as_json)
    if report.left_out:
        raise SystemExit(DIFFERS)


def _print_report(report: "SweepReport", html: Path | None, *, as_json: bool) -> None:
    if html is not None:
        report.write(html)
    if as_json:
        echo(json.dumps(report.as_json()))
        return
    echo(str(report))
    if html is not None:
        echo(f"page: {html}")


def _default_folder(journals: Path, plan: "SweepPlan") -> Path:
    """Return a folder beside the journals that is named by the plan, so the same command continues its sweep."""
    from verbatim.sweep_run import plan_digest

    name = "sweep" if plan.strategy is None else plan.strategy.name
    return journals.absolute().parent / "sweeps" / f"{name}-{plan_digest(plan)[:8]}"
