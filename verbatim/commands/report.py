"""`verbatim report`: write a session's page into one HTML file that opens without a server and without a network."""

from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import find_to_read
from verbatim.terminal import echo


@click.command("report")
@session_argument()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@journals_option
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print path and size as one JSON object.")
def command(*, session: str, path: Path, journals: Path, force: bool, as_json: bool) -> None:
    """Write the cockpit's page of SESSION (a path, an id or a bundle) into the file PATH.

    The file holds what the session's journal holds about orders, fills, decisions and prices. It has no secret, since
    the journal has none.
    """
    import json

    from engine.errors import CoreError
    from journal.errors import DamagedJournalError, JournalError

    try:
        from verbatim.cockpit.report import write_report
        from verbatim.cockpit.session_view import SessionView
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "hypercorn"):
            raise
        stop(f"{error.name} is not installed. What to do: pip install 'verbatim-trading[cockpit]'", FAILED)
    if path.exists() and not force:
        stop(f"{path} exists. What to do: choose another name, or replace it with --force")
    try:
        with progress("writing", "parts") as line:
            view = SessionView(find_to_read(journals, session))
            view.load()
            size = write_report(view, path, lambda share: line.report(round(100 * share), 100))
    except (DamagedJournalError, CoreError) as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))
    except OSError as error:
        stop(f"{path} cannot be written: {error.strerror or error}. What to do: choose a folder that exists.", FAILED)
    echo(json.dumps({"path": str(path), "bytes": size}) if as_json else f"{path}: {size / 1e6:.1f} MB")
