"""`verbatim prune`: delete the oldest sessions, whole. journal/retention.py chooses them."""

import json
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import FAILED, stop
from verbatim.options import check_finite, journals_option
from verbatim.progress_line import progress
from verbatim.terminal import echo

if TYPE_CHECKING:
    from journal.record import Record
    from journal.retention import PruneReport, SessionLineage

UNITS_S = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
GIB = 1 << 30


def _age_s(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    if (match := re.fullmatch(r"(\d+)([hdw])", text)) is None:
        raise click.BadParameter("a number of hours, days or weeks: 36h, 90d, 12w")
    return int(match[1]) * UNITS_S[match[2]]


@click.command("prune")
@click.option(
    "--older-than", metavar="AGE", callback=_age_s, help="Delete sessions whose last record is older: 36h, 90d, 12w."
)
@click.option(
    "--keep-gib",
    type=click.FloatRange(min=0),
    metavar="N",
    callback=check_finite,
    help="Delete the oldest until N GiB are left.",
)
@click.option(
    "--archived-only",
    metavar="URI",
    help="Delete only sessions whose archive there is complete; every byte is read and compared.",
)
@click.option("--yes", is_flag=True, help="Delete. Without it, only list the sessions that would be deleted.")
@journals_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print deleted sessions, kept ones and the new anchors as one JSON object."
)
def command(
    *,
    older_than: float | None,
    keep_gib: float | None,
    archived_only: str | None,
    yes: bool,
    journals: Path,
    as_json: bool,
) -> None:
    """Delete the oldest sessions, whole. Without --yes it only lists them.

    A session that is being written is kept, so are the newest session and the newest of each account and venue.
    """
    if older_than is None and keep_gib is None:
        raise click.UsageError("--older-than AGE or --keep-gib N must choose the sessions to delete")
    import msgspec

    from journal.archive import reason_not_archived
    from journal.archive_location import open_location
    from journal.errors import ArchiveFailedError, JournalError, JournalFailedError
    from journal.retention import plan_pruning, prune

    if not journals.is_dir():
        stop(f"{journals} is not a folder. What to do: name the folder of the sessions with --journals.")
    try:
        with progress("comparing" if archived_only else "reading"):
            chosen = plan_pruning(
                journals,
                session_line,
                older_than_s=older_than,
                keep_bytes=None if keep_gib is None else int(keep_gib * GIB),
                reason_not_archived=None
                if archived_only is None
                else partial(reason_not_archived, open_location(archived_only)),
            )
            stayed = prune(journals, chosen) if yes else []
    except (ArchiveFailedError, JournalFailedError) as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    if as_json:
        echo(json.dumps({**msgspec.to_builtins(chosen, enc_hook=str), "done": yes}))
    else:
        _print_report(chosen, yes=yes)
    if stayed:
        stop(f"{stayed[0].path.name} was kept: {stayed[0].why}. What to do: repeat `verbatim prune` when it has ended.")


def session_line(record: "Record") -> "SessionLineage":
    """Return the chain that a session belongs to: account and venue; none for imports and resimulations."""
    import msgspec

    from engine.session_record import read_session
    from journal.retention import SessionLineage

    if "import" in msgspec.json.decode(record.body or "{}", type=dict[str, msgspec.Raw]):
        return SessionLineage(None)
    body = read_session(record.body or "")
    if body.resimulated is not None:
        return SessionLineage(None)
    venues = ", ".join(venue.name for venue in body.venues)
    symbols = ", ".join(instrument.symbol for instrument in body.instruments)
    line = f"account {body.account} at {venues}" if body.account else f"the recordings of {symbols} at {venues}"
    if body.previous is None:
        return SessionLineage(line)
    return SessionLineage(line, body.previous.session, body.previous.last_seq, body.previous.chain)


def _print_report(chosen: "PruneReport", *, yes: bool) -> None:
    for going in chosen.going:
        written = datetime.fromtimestamp(going.written_ns // 10**9, UTC)
        echo(
            f"{'deleted' if yes else 'would be deleted'}: {going.path.name}, {_size(going.bytes)}, "
            f"last written {written:%Y-%m-%d %H:%M}"
        )
    for kept in chosen.kept:
        echo(f"kept: {kept.path.name}: {kept.why}")
    for anchor in chosen.anchors:
        echo(
            f"new anchor: {anchor.path.name} names {anchor.previous} before it, "
            f"last record {anchor.last_seq}, chain {anchor.chain}"
        )
    count = len(chosen.going)
    size = f"{_size(chosen.bytes_before - chosen.bytes_after)} of {_size(chosen.bytes_before)}"
    what = f"{count} session{'' if count == 1 else 's'}, {size}"
    echo(f"prune: {what}" if yes else f"prune: would delete {what}; nothing was changed, --yes deletes")


def _size(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / (1 << 20):.2f} MiB"
