"""`verbatim pnl`: profit and loss of a session, by replay/study/pnl.py."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo, echo_line


@click.command("pnl")
@session_argument()
@journals_option
@click.option(
    "--method",
    type=click.Choice(["average", "fifo", "lifo"]),
    default="average",
    show_default=True,
    help="Which lots a fill closes.",
)
@click.option(
    "--by",
    type=click.Choice(["line", "strategy", "instrument", "account", "portfolio"]),
    default="line",
    show_default=True,
    help="How lines are summed; a line is one strategy in one instrument.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every digit.")
def command(*, session: str, journals: Path, method: str, by: str, as_json: bool) -> None:
    """Show realised and unrealised P&L, fees and funding of SESSION in its reporting currency.

    SESSION is a path, an id or a bundle, sealed or still running. What it carried over from earlier sessions counts.
    """
    from journal.errors import DamagedJournalError, JournalError
    from replay.study.pnl import Grouping, pnl_json, pnl_table

    try:
        with progress("reading"):
            found = open_to_read(journals, session).pnl_report(method)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))
    if as_json:
        echo(json.dumps(pnl_json(found, Grouping(by))))
    else:
        for line in pnl_table(found, Grouping(by)):
            echo_line(line)
