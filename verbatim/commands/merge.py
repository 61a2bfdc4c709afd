"""`verbatim merge`: merge the small segments of a session into few large ones, by journal/merge.py."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option, json_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import find
from verbatim.terminal import echo


@click.command("merge")
@session_argument()
@journals_option
@click.option("--mib-max", default=512, show_default=True, type=click.IntRange(min=1), help="Of a merged segment.")
@json_option
def command(*, session: str, journals: Path, mib_max: int, as_json: bool) -> None:
    """Merge SESSION's many small segments into few large ones: the same records, the same chain, the same session root.

    SESSION is a path or an id, and must have ended.
    """
    from journal.errors import DamagedJournalError, JournalError, JournalFailedError
    from journal.merge import merge

    try:
        with progress("merging"):
            done = merge(find(journals, session), bytes_max=mib_max * 2**20)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalFailedError as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    if as_json:
        echo(json.dumps({"segments_before": done.before, "segments": done.after, "chain": done.chain}))
        return
    echo(f"merge: {done.before} to {done.after} segments, chain {done.chain[:16]}")
