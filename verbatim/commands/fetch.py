"""`verbatim fetch`: an archived session in a new folder, proved to be what was archived. See journal/archive.py."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option, json_option
from verbatim.progress_line import progress
from verbatim.terminal import echo


@click.command("fetch")
@click.argument("uri", metavar="URI")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="A new folder. Default: its own name in --journals.",
)
@journals_option
@json_option
def command(*, uri: str, into: Path | None, journals: Path, as_json: bool) -> None:
    """Bring back the session that `verbatim archive` put at URI. The last line printed is the session's path."""
    from journal.archive import fetch
    from journal.archive_location import open_location
    from journal.errors import ArchiveFailedError, DamagedArchiveError, JournalError, JournalFailedError

    try:
        with progress("fetching", "files") as line:
            folder = fetch(open_location(uri), into=into, journals=journals, on_progress=line.report)
    except DamagedArchiveError as error:
        stop(str(error), DIFFERS)
    except (ArchiveFailedError, JournalFailedError) as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    echo(json.dumps({"path": str(folder)}) if as_json else folder)
