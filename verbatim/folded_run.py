"""`verbatim backtest --orders-in-fold`: the run in the loop, and the ordinary way's records, which must agree."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.terminal import echo

if TYPE_CHECKING:
    from journal.reader import Journal
    from replay.fold_orders.run import FoldedRun
    from replay.resim.resimulate import ResimOptions


def run_in_fold(
    journal: "Journal", options: "ResimOptions", into: Path | None, *, has_page: bool, as_json: bool
) -> None:
    """Run the strategy with its orders in the fold, and print the result.

    With `into`, the ordinary way then writes its full records there. If they disagree, the command stops with the
    first difference.

    Raises:
        CannotFoldError: The run needs the ordinary way.
    """
    from replay.fold_orders.run import run_folded

    if has_page:
        raise click.UsageError("--orders-in-fold makes no tear sheet: leave out --html, or make it of the journal")
    run = run_folded(journal, options)
    echo(json.dumps(_figures(run)) if as_json else _summary(run))
    if into is None:
        echo("not compared with the ordinary way: leave out --no-journal to compare each event", err=True)
    else:
        echo(str(_expand(run, journal.folder, into, options)), err=as_json)


def _expand(run: "FoldedRun", folder: Path, into: Path, options: "ResimOptions") -> Path:
    """Write the full records by the ordinary way. Return their folder."""
    from journal.reader import Journal
    from replay.fold_orders.agree import FoldDiffersError, check_against_journal
    from replay.resim.resimulate import resimulate
    from verbatim.progress_line import progress

    with progress("resimulating", "s of the session") as line:
        outcome = resimulate(folder, into, options, line.report)
    try:
        check_against_journal(run, Journal.open(outcome.folder))
    except FoldDiffersError as error:
        stop(f"{error} What to do: use {outcome.folder}, the ordinary way's journal, and report this.", DIFFERS)
    return outcome.folder


def _figures(run: "FoldedRun") -> dict[str, Any]:
    from replay.fold_orders.events import KINDS

    counts = {name.replace(" ", "_"): run.count(kind) for kind, name in KINDS.items()}
    return counts | {
        "decisions": run.decisions,
        "position": f"{run.position:f}",
        "cash": f"{run.cash:f}",
        "pnl": f"{run.pnl:f}",
    }


def _summary(run: "FoldedRun") -> str:
    from journal.record import plain
    from replay.fold_orders.events import KINDS

    counts = ", ".join(f"{run.count(kind):,} {name}" for kind, name in KINDS.items() if run.count(kind))
    return (
        f"orders in the fold: {run.decisions:,} decisions; {counts or 'no order'}\n"
        f"position {plain(run.position)} {run.instrument.base}, cash {plain(run.cash)} {run.asset}, "
        f"P&L after fees {plain(run.pnl)} {run.asset}"
    )
