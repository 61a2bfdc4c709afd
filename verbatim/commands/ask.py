"""`verbatim ask`: show the state at a record or a time, by analysis/session.py. No strategy runs."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo


@click.command("ask")
@session_argument()
@click.option(
    "--at",
    "at",
    metavar="SEQ|TIME",
    help="A record, a time_ns, HH:MM:SS of the session's day or an ISO time (UTC). Default: the end.",
)
@journals_option
@click.option(
    "--trust-code", is_flag=True, help="Take the state that a slice begins with, though it was not made here."
)
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
def command(*, session: str, at: str | None, journals: Path, trust_code: bool, as_json: bool) -> None:
    """Show the state of SESSION: mode, links, orders, positions, balances, quotes, and all that is pending, with
    reasons.

    SESSION is a path or an id, sealed or still running.
    """
    from engine.errors import CoreError
    from engine.strategy.source_guard import StrategyError
    from journal.errors import DamagedJournalError, JournalError
    from replay.code_trust import UntrustedSourceError
    from replay.moments import UnknownMomentError

    try:
        with progress("reading") as line:
            state = open_to_read(journals, session).state(at, trust_code=trust_code, on_progress=line.report)
    except (DamagedJournalError, CoreError) as error:
        stop(str(error), DIFFERS)
    except (JournalError, UnknownMomentError, StrategyError, UntrustedSourceError) as error:
        stop(str(error))
    echo(json.dumps(state.as_json()) if as_json else str(state))
