"""`verbatim archive`: copy a sealed session to object storage or another folder, by journal/archive.py."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option, json_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import find
from verbatim.terminal import echo


@click.command("archive")
@session_argument()
@click.argument("uri", metavar="URI")
@journals_option
@json_option
def command(*, session: str, uri: str, journals: Path, as_json: bool) -> None:
    """Copy SESSION, which has ended, into a folder of its name at URI: a path, or s3://bucket/folder.

    Each file is read again and compared; nothing is overwritten; an interrupted call continues when it is repeated.
    Then the session is added to catalogue.parquet at URI, which `verbatim sessions URI` lists.
    Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY). The last line is its address.
    """
    from journal.archive_location import open_location
    from journal.errors import ArchiveFailedError, DamagedArchiveError, JournalError
    from verbatim.archiving import archive_session

    try:
        with progress("archiving", "files") as line:
            done, problem = archive_session(find(journals, session), open_location(uri), line.report)
    except DamagedArchiveError as error:
        stop(str(error), DIFFERS)
    except ArchiveFailedError as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    files = done.manifest.files
    size = sum(file.bytes for file in files)
    if as_json:
        counts = {"files": len(files), "copied": done.copied, "bytes": size, "records": done.manifest.records}
        echo(json.dumps({"address": done.where, **counts, "chain": done.manifest.chain, "catalogue_problem": problem}))
    else:
        echo(
            f"archived: {len(files)} files, {size:,} bytes, {len(files) - done.copied} of them there already; "
            f"{done.manifest.records:,} records, chain {done.manifest.chain[:16]}"
        )
        echo(done.where)
    if problem:
        stop(f"the session is archived, but it is not in the catalogue: {problem}", DIFFERS)
