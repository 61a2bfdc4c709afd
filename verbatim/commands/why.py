"""`verbatim why`: print the chain of records behind an order, by analysis/why.py."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from analysis.session import Session
    from analysis.story_text import StoryLine

_STYLES: dict[str, dict[str, Any]] = {
    "headline": {"bold": True},
    "session": {"dim": True},
    "payload": {"dim": True},
    "FACT": {"fg": "green"},
    "REQUEST": {"fg": "yellow"},
    "VERDICT": {"fg": "magenta"},
    "INTENT": {"fg": "cyan"},
    "FEED": {"fg": "blue"},
    "BROKER": {"fg": "blue"},
}


@click.command("why")
@session_argument()
@click.argument("order", required=False)
@journals_option
@click.option("--json", "as_json", is_flag=True, help="The whole chain as one JSON object.")
def command(*, session: str, order: str | None, journals: Path, as_json: bool) -> None:
    """Show every record that led to the state of ORDER, the latest first, down to the market message.

    ORDER is the client's or the venue's order id; without it, the order that was filled last. SESSION is a path or an
    id. An order that began in an earlier session is followed there.
    """
    with progress("reading"):
        opened = _open(journals, session)

    from analysis.sql_session import QueryError
    from analysis.story_text import story_json, story_lines
    from analysis.why import UnknownOrderError
    from journal.errors import DamagedJournalError, JournalError

    try:
        with progress("reading"):
            story = opened.why(order)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except (JournalError, QueryError, UnknownOrderError) as error:
        stop(str(error))
    if as_json:
        echo(json.dumps(story_json(story), ensure_ascii=False))
        return
    for line in story_lines(story):
        _print_line(line)


def _open(journals: Path, session: str) -> "Session":
    from journal.errors import DamagedJournalError, JournalError

    try:
        return open_to_read(journals, session)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))


def _print_line(line: "StoryLine") -> None:
    style = _STYLES.get(line.kind) or {}
    if line.lead:
        echo(line.lead, nl=False)
        echo_line(f"{line.kind:<8}", nl=False, **style)
        echo_line(line.text)
    else:
        echo_line(line.text, **style)
