"""`verbatim reconcile`: rounds of reconciliation of a session, by replay/study/reconcile_report.py."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import BAD_INPUT, DIFFERS, FAILED, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import find, find_to_read
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from replay.study.reconcile_report import Round

WAIT_S = 30  # for the end of a round that --now orders
POLL_S = 0.2


@click.command("reconcile")
@session_argument()
@journals_option
@click.option("--round", "number", type=click.IntRange(min=1), help="This round in full. Default: the last one.")
@click.option("--now", "is_ordered", is_flag=True, help="Order a running session to reconcile, and wait for the end.")
@click.option("--json", "as_json", is_flag=True, help="All rounds, as a JSON array.")
def command(*, session: str, journals: Path, number: int | None, is_ordered: bool, as_json: bool) -> None:
    """Show the reconciliations of SESSION: queries, findings, changes, equity and positions.

    Ends with 1 if the round that is shown failed, found positions that are not the sums of their fills, or an equity
    that is off by more than risk.equity_drift_max.
    """
    import msgspec

    from journal.errors import DamagedJournalError, JournalError
    from replay.study.reconcile_report import read_rounds, round_report, rounds_table

    try:
        least = _order_round(journals, session) if is_ordered else None
        folder = find_to_read(journals, session)
        with progress("reading" if least is None else "waiting for the round"):
            rounds = read_rounds(folder) if least is None else _wait_for_end(folder, least)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))
    if as_json:
        echo(json.dumps(msgspec.to_builtins(rounds)))
    else:
        for line in rounds_table(rounds):
            echo_line(line)
    chosen = [each for each in rounds if number in (None, each.number)]
    if not chosen:
        stop(f"the session has {'no round' if number is None else f'no round {number}'}", BAD_INPUT)
    if not as_json:
        echo("")
        for line in round_report(chosen[-1]):
            echo_line(line)
    if chosen[-1].is_wrong:
        raise SystemExit(DIFFERS)


def _order_round(journals: Path, session: str) -> int:
    """Send the command; return the record from which the new round began at the earliest."""
    import getpass

    from engine.live.control_socket import ControlError, send_command, socket_path

    folder = find(journals, session).resolve()
    path = socket_path(folder.parent, folder.name.rpartition("-")[2])
    try:
        answer = send_command(path, command="reconcile", by=getpass.getuser(), reason="", about="")
    except ControlError as problem:
        stop(str(problem), FAILED)
    for note in answer.get("notes", ()):
        echo_line(note)
    return int(answer["seq"])


def _wait_for_end(folder: Path, least: int) -> "list[Round]":
    """Return the rounds once one that began at this record or later has ended, or after WAIT_S."""
    import time

    from replay.study.reconcile_report import read_rounds

    until = time.monotonic() + WAIT_S
    while True:
        rounds = read_rounds(folder)
        if any(each.began_seq >= least and each.ended_seq >= 0 for each in rounds) or time.monotonic() > until:
            return rounds
        time.sleep(POLL_S)
