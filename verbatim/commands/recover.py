"""`verbatim recover`: make a session's journal whole after a crash. The recovering is journal/recover.py."""

from pathlib import Path

import click

from verbatim.exits import DIFFERS, FAILED, stop
from verbatim.finding import find


@click.command("recover")
@click.argument("session")
@click.option(
    "--journals",
    type=click.Path(path_type=Path),
    default=Path("journals"),
    show_default=True,
    help="Where sessions lie.",
)
def command(*, session: str, journals: Path) -> None:
    """Seal what a crash left of SESSION; the next session of its account does the same when it starts.

    SESSION is a path or an id. A torn tail, which nobody was told was durable, is dropped and counted. Damage to what was
    durable is refused with exit code 1, and nothing is changed.
    """
    from journal.errors import DamagedJournal, JournalError, JournalFailed
    from journal.recover import recover

    try:
        done = recover(find(journals, session))
    except DamagedJournal as error:
        stop(str(error), DIFFERS)
    except JournalFailed as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    torn = f", {done.dropped_bytes} torn bytes were dropped" if done.dropped_bytes else ""
    ended = "closed in order" if done.was_closed else "not closed"
    click.echo(f"recover: whole up to record {done.last_seq} ({ended}{torn}), {done.sealed_now} segments sealed now")
