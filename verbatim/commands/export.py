"""`verbatim export`: write a session's records (journal/export.py) or each of its views (analysis/sql_session.py)."""

import json
from pathlib import Path

import click

from journal.record import Kind
from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option, json_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo


def _kinds(_context: click.Context, _option: click.Parameter, text: str | None) -> frozenset[Kind] | None:
    if text is None:
        return None
    try:
        return frozenset(Kind(word.strip().upper()) for word in text.split(","))
    except ValueError:
        raise click.BadParameter(f"of {', '.join(Kind)}, with commas between them") from None


@click.command("export")
@session_argument()
@click.argument("target", type=click.Path(path_type=Path), metavar="FILE.parquet|FILE.csv|FILE.jsonl|FOLDER")
@click.option("--kinds", metavar="KIND,...", callback=_kinds, help="Only records of these kinds.")
@click.option("--sources", metavar="SOURCE,...", help="Only records of these sources.")
@click.option("--from", "begin", metavar="SEQ|TIME", help="From this record, or the first at or after this time (UTC).")
@click.option("--to", "end", metavar="SEQ|TIME", help="Up to this record, or the last at or before this time (UTC).")
@journals_option
@json_option
def command(
    *,
    session: str,
    target: Path,
    kinds: frozenset[Kind] | None,
    sources: str | None,
    begin: str | None,
    end: str | None,
    journals: Path,
    as_json: bool,
) -> None:
    """Write SESSION's records to one file, or every view of `verbatim sql` to Parquet files in a FOLDER.

    Nothing is overwritten. The last line printed is what was made.
    """
    is_folder = not target.suffix
    if is_folder and (kinds, sources, begin, end) != (None, None, None, None):
        raise click.UsageError("a FOLDER gets the views whole: without --kinds, --sources, --from and --to")
    from analysis.sql_session import QueryError
    from journal.errors import DamagedJournalError, JournalError, JournalFailedError
    from replay.moments import UnknownMomentError

    try:
        with progress("exporting") as line:
            rows = open_to_read(journals, session).export(
                target,
                kinds=kinds or (),
                sources=() if sources is None else sources.split(","),
                start=begin,
                end=end,
                on_progress=line.report,
            )
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalFailedError as error:
        stop(str(error), FAILED)
    except (JournalError, UnknownMomentError, QueryError) as error:
        stop(str(error))
    if as_json:
        echo(json.dumps({"path": str(target), "rows": rows}))
        return
    echo(f"export: {rows:,} rows")
    echo(target)
