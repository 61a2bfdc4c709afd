"""`verbatim bisect`: the commit that changed what a strategy decides. The resimulating is replay/regress.py, the texts are verbatim/strategies.py's."""
# ruff: noqa: A005 - a command's module bears its name, and is only ever imported as one of verbatim.commands

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exits import DIFFERS, stop
from verbatim.finding import find_decided, trusted_host
from verbatim.options import journals_option

if TYPE_CHECKING:
    from replay.decisions import Changed
    from replay.regress import Done

SHOWN = 10


@click.command("bisect")
@click.argument("session")
@click.argument("strategy", metavar="FILE[:CLASS]")
@click.option("--good", required=True, metavar="REVISION", help="Where it decided as it should.")
@click.option("--bad", default="HEAD", show_default=True, metavar="REVISION", help="Where it does not.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="risk.NAME, engine.NAME or strategy.NAME.PARAMETER.")
@click.option("--balance", "balances", multiple=True, metavar="ASSET=AMOUNT", help="What the account has, where the session does not say.")
@click.option("--trust-code", is_flag=True, help="Run code though the session was not recorded on this machine.")
@journals_option
def command(
    *,
    session: str,
    strategy: str,
    good: str,
    bad: str,
    settings: tuple[str, ...],
    balances: tuple[str, ...],
    trust_code: bool,
    journals: Path,
) -> None:
    """Find the first commit between --good and --bad at which FILE decides otherwise on SESSION.

    Only commits that touch the file's folder are tried, each by a resimulation, half of those left at a time. Ends with 1 where one is found, with
    0 where nothing changed.
    """
    from engine.loading import StrategyError
    from engine.session import read_session
    from journal.errors import DamagedJournal, JournalError
    from journal.reader import Journal
    from replay.changes import UnknownChange, changed, parsed, with_strategy
    from replay.decisions import changes
    from replay.regress import Job, work
    from replay.replay import Untrusted, refuse_strangers
    from replay.venue_model import UnknownSetting, amounts, measured
    from verbatim.strategies import commits, read_strategy

    path, _, cls = strategy.partition(":")

    try:
        folder = find_decided(journals, session)
        journal = Journal.open(folder)
        recorded = read_session(journal.session_record().body or "")
        if not trust_code:
            refuse_strangers(recorded, trusted_host(session), folder)
        model, overrides, given = measured(journal).model, parsed(settings), amounts(parsed(balances))

        def decided(revision: str) -> "Done | str":
            """What it comes to at a revision, or why it cannot be run there: that is another behaviour too."""
            try:
                version = read_strategy(f"{path}@{revision}{':' + cls if cls else ''}")
                body = changed(with_strategy(recorded, version), overrides)
            except StrategyError as error:
                return str(error)
            job = Job(
                version=revision,
                folder=folder.absolute(),
                body=body,
                model=model,
                balances=given,
                kept_in=journals.absolute().parent / "resims" / ".results",
            )
            ended = work(job)
            return ended.error if ended.done is None else ended.done

        first = decided(good)
        if isinstance(first, str):
            stop(f"at {good} it cannot be run: {first}")

        def other(revision: str) -> "list[Changed] | str":
            found = decided(revision)
            return found if isinstance(found, str) else changes(first.decisions, found.decisions)

        between = commits(Path(path), good, bad)
        if not between:
            raise UnknownChange(
                f"no commit between {good} and {bad} touches {Path(path).absolute().parent}. What to do: --good must be an ancestor of --bad."
            )
        at = _first_other(len(between), lambda number: bool(other(between[number][0])))
        if at is None:
            click.echo(f"bisect: of {len(between)} commits from {good} to {bad} none decides otherwise on {folder.name}")
            return
        revision, title = between[at]
        why = other(revision)
    except DamagedJournal as error:
        stop(str(error), DIFFERS)
    except (JournalError, StrategyError, UnknownChange, UnknownSetting, Untrusted) as error:
        stop(str(error))
    click.echo(f"bisect: {revision[:12]} {title}")
    _tell(why)
    raise SystemExit(DIFFERS)


def _tell(why: "list[Changed] | str") -> None:
    from replay.decisions import told

    if isinstance(why, str):
        click.echo(f"  it cannot be run there: {why}")
        return
    click.echo(f"  {len(why):,} decisions changed")
    for line in told(why, SHOWN):
        click.echo(f"  {line}")


def _first_other(count: int, is_other: Callable[[int], bool]) -> int | None:
    """The first for which it holds, where it holds for the last and from the first on; None where it does not for the last."""
    if not count or not is_other(count - 1):
        return None
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if is_other(middle):
            high = middle
        else:
            low = middle + 1
    return low
