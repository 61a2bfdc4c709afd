"""`verbatim status`: sessions that run, their mode, open orders and findings, for people and for scripts."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import stop
from verbatim.options import journals_option, max_age_option
from verbatim.terminal import echo, echo_line


@click.command("status")
@click.argument("session", required=False)
@journals_option
@click.option("--running", is_flag=True, help="Exit code 4 unless a session of each account runs.")
@click.option("--guarded", is_flag=True, help="Exit code 1 unless a guard watches each account.")
@max_age_option("Seconds since the newest record, above which a running session is a finding.")
@click.option("--free-mib", type=click.IntRange(0), default=1024, show_default=True, help="Least free space in MiB.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
def command(
    *, session: str | None, journals: Path, running: bool, guarded: bool, max_age: float, free_mib: int, as_json: bool
) -> None:
    """Show which sessions of a folder run, their mode, open orders, positions and P&L, the guard and the disk.

    SESSION names one session by path, id or `last`; a folder of sessions takes the place of --journals.

    The exit code is 0 if nothing needs a person; else 4, 6 or 1, and the last lines say what.
    """
    from journal.errors import JournalError
    from journal.recover import has_segments
    from verbatim.folder_status import Expected, folder_status
    from verbatim.session_lookup import find
    from verbatim.status_text import status_lines

    only = None
    if session is not None and Path(session).is_dir() and not has_segments(Path(session)):
        journals = Path(session)
    elif session is not None:
        try:
            only = find(journals, session)
        except JournalError as error:
            stop(str(error))
        journals = only.resolve().parent
    if not journals.is_dir():
        what = "is no folder" if journals.exists() else "does not exist"
        stop(f"{journals} {what}. What to do: name the folder of the sessions with --journals.")
    expected = Expected(is_running=running, is_guarded=guarded, age_s_max=max_age, free_mib_min=free_mib)
    status = folder_status(journals, expected, only=only)
    if as_json:
        echo(json.dumps(status.as_json()))
    else:
        for line in status_lines(status):
            echo_line(line, fg="red" if line.startswith("ATTENTION") else None)
    if status.exit_code:
        raise SystemExit(status.exit_code)
