"""`verbatim ask`: show the state at a record or a time, by replay/rebuild.py. No strategy runs."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option
from verbatim.session_lookup import find_decided
from verbatim.terminal import echo


@click.command("ask")
@click.argument("session")
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
    from journal.reader import Journal
    from replay.code_trust import UntrustedSourceError, refuse_untrusted_state
    from replay.moments import UnknownMomentError, find_moment
    from replay.rebuild import rebuild
    from replay.state_report import describe_state, state_lines

    try:
        folder = find_decided(journals, session)
        journal = Journal.open(folder)
        seq, time_ns = find_moment(journal, at) if at is not None else (None, None)
        if journal.left_out and not trust_code:
            refuse_untrusted_state(session)
        held = describe_state(*rebuild(folder, until=seq, until_ns=time_ns))
    except (DamagedJournalError, CoreError) as error:
        stop(str(error), DIFFERS)
    except (JournalError, UnknownMomentError, StrategyError, UntrustedSourceError) as error:
        stop(str(error))
    echo(json.dumps(held) if as_json else "\n".join(state_lines(held)))
