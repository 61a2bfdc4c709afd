"""`verbatim merge`: a session's small segments made few large ones. The merging is journal/merge.py."""

from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option
from verbatim.session_lookup import find


@click.command("merge")
@click.argument("session")
@journals_option
@click.option("--mib-max", default=512, show_default=True, type=click.IntRange(min=1), help="Of a merged segment.")
def command(*, session: str, journals: Path, mib_max: int) -> None:
    """Make few large segments of SESSION's many small ones: the same records, the same chain, the same session root.

    SESSION is a path or an id, and must have ended.
    """
    from journal.errors import DamagedJournalError, JournalError, JournalFailedError
    from journal.merge import merge

    try:
        done = merge(find(journals, session), bytes_max=mib_max * 2**20)
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalFailedError as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    click.echo(f"merge: {done.before} segments are {done.after} now, chain {done.chain[:16]}")
