"""`verbatim lookahead`: does a decision depend on what came later? The asking is replay/lookahead.py."""

from pathlib import Path

import click

from verbatim.exits import DIFFERS, stop
from verbatim.finding import find_decided, trusted_host
from verbatim.options import journals_option

SHOWN = 10


@click.command("lookahead")
@click.argument("session")
@click.option("--strategy", metavar="FILE[:CLASS]", help="Decide with this strategy in place of the recorded one.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="risk.NAME, engine.NAME or strategy.NAME.PARAMETER.")
@click.option("--balance", "balances", multiple=True, metavar="ASSET=AMOUNT", help="What the account has, where the session does not say.")
@click.option("--cuts", default=5, show_default=True, type=click.IntRange(min=1), help="At how many records.")
@click.option("--trust-code", is_flag=True, help="Run recorded strategies though they were not recorded on this machine.")
@journals_option
def command(
    *,
    session: str,
    strategy: str | None,
    settings: tuple[str, ...],
    balances: tuple[str, ...],
    cuts: int,
    trust_code: bool,
    journals: Path,
) -> None:
    """Resimulate SESSION whole, and again knowing nothing behind a record: what was decided before must be the same.

    Ends with 1 where a decision depends on what came later.
    """
    from engine.errors import CoreError
    from engine.loading import StrategyError
    from engine.session import read_session
    from journal.errors import DamagedJournal, JournalError
    from journal.reader import Journal
    from replay.changes import UnknownChange, changed, parsed, with_strategy
    from replay.decisions import told
    from replay.lookahead import lookahead
    from replay.replay import Untrusted, refuse_strangers
    from replay.stand_in import NotResimulated
    from replay.venue_model import UnknownSetting, amounts, measured
    from verbatim.strategies import read_strategy

    try:
        folder = find_decided(journals, session)
        journal = Journal.open(folder)
        recorded = read_session(journal.session_record().body or "")
        if not trust_code:
            refuse_strangers(recorded, trusted_host(session), folder)
        body = recorded if strategy is None else with_strategy(recorded, read_strategy(strategy))
        body = changed(body, parsed(settings))
        found = lookahead(folder, session=body, model=measured(journal).model, cuts=cuts, balances=amounts(parsed(balances)))
    except (DamagedJournal, CoreError) as error:
        stop(str(error), DIFFERS)
    except (JournalError, StrategyError, UnknownChange, UnknownSetting, NotResimulated, Untrusted) as error:
        stop(str(error))
    if not found.found:
        click.echo(f"lookahead: {found.decisions:,} decisions, cut at {len(found.cuts)} records: none depends on what came later")
        return
    click.echo(f"lookahead: without what came after record {found.found_at} (+), {len(found.found):,} decisions before it are others than with it (-)")
    for line in told(found.found, SHOWN):
        click.echo(f"  {line}")
    raise SystemExit(DIFFERS)
