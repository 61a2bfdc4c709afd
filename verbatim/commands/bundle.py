"""`verbatim bundle`: pack a session, or a slice of it, into one file, by replay/session_bundle.py."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option, json_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import find
from verbatim.terminal import echo

REDACTIONS = ("account", "host", "addresses")  # replay/redaction.py says what each is


def _redactions(_context: click.Context, _option: click.Parameter, text: str | None) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(word.strip() for word in text.split(","))) if text else ()
    if set(names) - set(REDACTIONS):
        raise click.BadParameter(f"of {', '.join(REDACTIONS)}, with commas between them")
    return names


@click.command("bundle")
@session_argument()
@click.argument("target", type=click.Path(path_type=Path), metavar="FILE.vbundle")
@click.option("--from", "begin", metavar="SEQ|TIME", help="Begin at the last CHECKPOINT at or before this (UTC).")
@click.option(
    "--to", "end", metavar="SEQ|TIME", help="End with the step of this record, or of the last at this time (UTC)."
)
@click.option("--redact", metavar="NAME,...", callback=_redactions, help=f"Take out: {', '.join(REDACTIONS)}.")
@click.option("--hide", multiple=True, metavar="TEXT", help="Replace this text everywhere; may be repeated.")
@journals_option
@json_option
def command(
    *,
    session: str,
    target: Path,
    begin: str | None,
    end: str | None,
    redact: tuple[str, ...],
    hide: tuple[str, ...],
    journals: Path,
    as_json: bool,
) -> None:
    """Make FILE.vbundle of SESSION: a file that a stranger can verify, query and replay.

    A whole session keeps its own sealed files. With --from or --to it is a slice, and with --redact or --hide
    rewritten: then sealed again, with the session's chain value stated. The last line printed is the file.
    """
    if not all(hide):
        raise click.UsageError("--hide needs a text")
    from engine.errors import CoreError
    from engine.strategy.source_guard import StrategyError
    from journal.errors import DamagedJournalError, JournalError, JournalFailedError
    from journal.reader import Journal
    from replay.moments import UnknownMomentError, find_span
    from replay.redaction import Redaction
    from replay.session_bundle import write_bundle

    try:
        folder = find(journals, session)
        from_seq, to_seq = find_span(Journal.open(folder), begin, end)
        with progress("packing"):
            made = write_bundle(
                folder,
                target,
                from_seq=None if begin is None else from_seq,
                to_seq=None if end is None else to_seq,
                make_redaction=(lambda first: Redaction(first, redact, hide)) if redact or hide else None,
                redacted=(*redact, *([f"{len(hide)} text{'' if len(hide) == 1 else 's'}"] if hide else [])),
            )
    except (DamagedJournalError, CoreError) as error:
        stop(str(error), DIFFERS)
    except JournalFailedError as error:
        stop(str(error), FAILED)
    except (JournalError, UnknownMomentError, StrategyError) as error:
        stop(str(error))
    size = target.stat().st_size
    if as_json:
        extent = {"whole": made.whole, "first_seq": made.first_seq, "last_seq": made.last_seq}
        echo(json.dumps({"path": str(target), **extent, "redacted": made.redacted, "bytes": size}))
        return
    what = (
        "the whole session, byte for byte"
        if made.whole
        else f"records {made.first_seq:,} to {made.last_seq:,}, sealed again"
    )
    echo(f"bundle: {what}; redacted: {', '.join(made.redacted) or 'nothing'}; {size:,} bytes")
    echo(target)
