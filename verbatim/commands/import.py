"""`verbatim import`: captures of other tools as a session. The reading and writing are journal/importing."""  # noqa: N999 - a command is its file's name, and import_module takes this one

import json
from pathlib import Path

import click

from journal.importing.formats import FORMATS
from journal.importing.ndjson import UNITS
from verbatim.exit_codes import FAILED, stop
from verbatim.options import journals_option, json_option
from verbatim.progress_line import progress
from verbatim.terminal import echo


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "name", type=click.Choice(list(FORMATS)), help="Default: guessed from each file's first bytes."
)
@click.option(
    "--time-field", metavar="NAME", help="ndjson: the field that holds the receive time; data.ts for one within."
)
@click.option(
    "--time-unit", type=click.Choice(UNITS), help="ndjson: how it is written; none where no field holds a time."
)
@click.option("--symbol", metavar="SYMBOL", help="The instrument of files whose names do not say it.")
@click.option(
    "--columns",
    metavar="FIELD=COLUMN,...",
    help="table: what its columns hold, as in start=open_time:ms,open=1,high=2,low=3,close=4,volume=5,seconds=60.",
)
@click.option("--source", metavar="NAME", help="The source of every record. Default: import.<file>.")
@click.option("--partial", is_flag=True, help="Keep what comes before the damage of a damaged file, and say so.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="SESSION_FOLDER",
    help="The folder of the new session, which must not exist. Default: its own name in --journals.",
)
@journals_option
@json_option
def command(
    *,
    files: tuple[Path, ...],
    name: str | None,
    time_field: str | None,
    time_unit: str | None,
    symbol: str | None,
    columns: str | None,
    source: str | None,
    partial: bool,
    into: Path | None,
    journals: Path,
    as_json: bool,
) -> None:
    """Make a session of FILE..., captures of other tools, each message byte for byte with its receive time.

    The last line printed is the session's path. A damaged file leaves nothing behind unless --partial is given.
    """
    from importlib.metadata import version

    from journal.errors import CaptureRefusedError, JournalError
    from journal.importing.formats import ImportOptions
    from journal.importing.import_session import NOTHING_TRADED, import_files

    try:
        with progress("importing"):
            done = import_files(
                files,
                ImportOptions(name, time_field, time_unit, symbol, columns),
                journals=journals,
                into=into,
                source=source,
                partial=partial,
                about={**NOTHING_TRADED, "versions": {"verbatim-trading": version("verbatim-trading")}},
            )
    except CaptureRefusedError as error:
        stop(str(error))
    except JournalError as error:
        stop(str(error), FAILED)
    if done.dirty_lines:
        echo(f"left out: {done.dirty_lines:,} lines that hold no row; LINK records say which", err=True)
    if done.earlier_rows:
        echo(f"rows with an earlier time than one before: {done.earlier_rows:,}, recorded at the later time", err=True)
    for text in done.damage:
        echo(f"left out, from there on: {text}", err=True)
    formats = sorted(set(done.formats))
    if as_json:
        counts = {"messages": done.received, "records": done.records, "earlier_rows": done.earlier_rows}
        made = {"session": done.session, "path": str(done.folder)}
        echo(
            json.dumps(
                {**made, **counts, "formats": formats, "dirty_lines": done.dirty_lines, "left_out": list(done.damage)}
            )
        )
        return
    echo(f"session {done.session}: {done.received:,} messages, {done.records:,} records ({', '.join(formats)})")
    echo(done.folder)
