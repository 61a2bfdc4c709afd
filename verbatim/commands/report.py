"""`verbatim report`: a session's page in one HTML file without a server and a network, or its tear sheet."""

from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import find_to_read, open_to_read
from verbatim.terminal import echo


@click.command("report")
@session_argument()
@click.argument("path", required=False, type=click.Path(path_type=Path, dir_okay=False))
@journals_option
@click.option("--tear-sheet", is_flag=True, help="The tear sheet: a page in PATH, or its text without PATH.")
@click.option("--benchmark", default="", metavar="SYMBOL", help="Of the tear sheet: what to hold for comparison.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print path and size, or the tear sheet, as one JSON object.")
def command(
    *, session: str, path: Path | None, journals: Path, tear_sheet: bool, benchmark: str, force: bool, as_json: bool
) -> None:
    """Write the cockpit's page of SESSION (a path, an id or a bundle) into the file PATH.

    The file holds what the session's journal holds about orders, fills, decisions and prices. It has no secret, since
    the journal has none. With --tear-sheet it holds returns, ratios, trades and charts, of a running session too.
    """
    from engine.errors import CoreError
    from journal.errors import DamagedJournalError, JournalError

    if path is None and not tear_sheet:
        raise click.UsageError("name the file to write, or choose --tear-sheet for a text")
    if benchmark and not tear_sheet:
        raise click.UsageError("--benchmark is of a tear sheet: choose --tear-sheet")
    if path is not None and path.exists() and not force:
        stop(f"{path} exists. What to do: choose another name, or replace it with --force")
    try:
        if tear_sheet:
            _write_tear_sheet(journals, session, path, benchmark, as_json=as_json)
        elif path is not None:
            _write_cockpit(journals, session, path, as_json=as_json)
    except (DamagedJournalError, CoreError) as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))
    except OSError as error:
        stop(f"{path} cannot be written: {error.strerror or error}. What to do: choose a folder that exists.", FAILED)


def _write_cockpit(journals: Path, session: str, path: Path, *, as_json: bool) -> None:
    try:
        from verbatim.cockpit.report import write_report
        from verbatim.cockpit.session_view import SessionView
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "hypercorn"):
            raise
        stop(f"{error.name} is not installed. What to do: pip install 'verbatim-trading[cockpit]'", FAILED)
    with progress("writing", "parts") as line:
        view = SessionView(find_to_read(journals, session))
        view.load()
        size = write_report(view, path, lambda share: line.report(round(100 * share), 100))
    _echo_size(path, size, as_json=as_json)


def _write_tear_sheet(journals: Path, session: str, path: Path | None, benchmark: str, *, as_json: bool) -> None:
    import json

    sheet = open_to_read(journals, session).tear_sheet(benchmark=benchmark)
    if path is not None:
        _echo_size(path, sheet.write(path), as_json=as_json)
    else:
        echo(json.dumps(sheet.as_json()) if as_json else str(sheet))


def _echo_size(path: Path, size: int, *, as_json: bool) -> None:
    import json

    echo(json.dumps({"path": str(path), "bytes": size}) if as_json else f"{path}: {size / 1e6:.1f} MB")
