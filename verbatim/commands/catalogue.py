"""`verbatim catalogue`: make the catalogue of archived sessions again, by analysis/catalogue.py."""

import json

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import json_option
from verbatim.progress_line import progress
from verbatim.terminal import echo


@click.command("catalogue")
@click.argument("uri", metavar="URI")
@json_option
def command(*, uri: str, as_json: bool) -> None:
    """Make the catalogue of the sessions archived at URI again, from the sessions themselves.

    `verbatim archive` keeps it up to date: this is for a damaged catalogue, and for sessions that an older version
    archived, which are fetched once. Ends with 1 if a session cannot be read.
    """
    from analysis.catalogue import TABLE
    from journal.archive_patterns import open_folder
    from journal.errors import ArchiveFailedError, JournalError
    from journal.session_names import is_pattern
    from verbatim.archiving import rebuild

    if is_pattern(uri):
        raise click.UsageError("a catalogue is that of one folder: name it without a pattern")
    try:
        folder = open_folder(uri)
        with progress("reading", "sessions") as line:
            found = rebuild(folder, line.report)
    except ArchiveFailedError as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    address = folder.place.child(TABLE).display_uri
    if as_json:
        echo(json.dumps({"catalogue": address, "sessions": len(found.rows), "unread": found.unread}))
    else:
        echo(f"{len(found.rows):,} sessions in {address}")
        for name, reason in found.unread.items():
            echo(f"verbatim: {name} was left out: {reason}", err=True)
    if found.unread:
        raise SystemExit(DIFFERS)
