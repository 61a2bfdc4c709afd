"""`verbatim diff`: find the first difference of two sessions and its kind, by replay/study/session_diff.py."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo, echo_line


@click.command("diff")
@session_argument("one")
@session_argument("other")
@journals_option
@click.option(
    "--decisions", "shown", default=20, show_default=True, type=click.IntRange(min=0), help="How many are shown."
)
@click.option("--pnl", "by_cause", is_flag=True, help="The difference of their P&L by cause, which adds up exactly.")
@click.option("--json", "as_json", is_flag=True, help="The findings as one JSON object.")
def command(*, one: str, other: str, journals: Path, shown: int, by_cause: bool, as_json: bool) -> None:
    """Show where sessions ONE and OTHER first differ, and if it is data, latency, fills, code or configuration.

    Both are paths, ids or bundles. Ends with 0 if they are equal, with 1 if they differ. Decisions are aligned by
    the market record or timer behind them, never by record number.
    """
    from journal.errors import DamagedJournalError, JournalError

    if by_cause:
        _print_bridge(journals, one, other, shown, as_json=as_json)
        return
    try:
        with progress("comparing"):
            found = open_to_read(journals, one).diff(open_to_read(journals, other))
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))
    if as_json:
        echo(json.dumps(found.as_json()))
    else:
        for line in found.lines(shown):
            echo_line(line)
    if not found.same:
        raise SystemExit(DIFFERS)


def _print_bridge(journals: Path, one: str, other: str, shown: int, *, as_json: bool) -> None:
    """Print the difference of the P&L by cause; end with 1 where it is not equal in every cause."""
    from journal.errors import DamagedJournalError, JournalError
    from replay.study.pnl_bridge import bridge_json, bridge_lines

    try:
        with progress("comparing"):
            bridges = open_to_read(journals, one).pnl_bridge(open_to_read(journals, other))
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))
    if as_json:
        echo(json.dumps(bridge_json(bridges)))
    else:
        for line in bridge_lines(bridges, shown):
            echo_line(line)
    if not all(bridge.is_equal for bridge in bridges):
        raise SystemExit(DIFFERS)
