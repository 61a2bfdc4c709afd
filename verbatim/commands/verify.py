"""`verbatim verify`: is the journal whole? The checking is journal/verify.py."""

import json
from pathlib import Path

import click

from verbatim.exits import DIFFERS, stop
from verbatim.finding import find


@click.command("verify")
@click.argument("session")
@click.option(
    "--journals",
    type=click.Path(path_type=Path),
    default=Path("journals"),
    show_default=True,
    help="Where sessions lie.",
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
def command(*, session: str, journals: Path, as_json: bool) -> None:
    """Prove that SESSION's journal is whole: checksums, chain, sequence, open frames.

    SESSION is a path or an id. Ends with 0 where it is, with 1 where bytes are not what was written.
    """
    from journal.errors import JournalError
    from journal.verify import verify

    try:
        report = verify(find(journals, session))
    except JournalError as error:
        stop(str(error))
    if as_json:
        found = {name: getattr(report, name) for name in report.__struct_fields__}
        click.echo(json.dumps({**found, "folder": str(report.folder), "ok": report.ok}))
    else:
        for problem in report.problems:
            click.echo(f"problem: {problem}")
        for note in report.notes:
            click.echo(f"note: {note}")
        end = "closed" if report.closed else "not closed"
        what = f"{report.records:,} records in {report.segments} segment{'' if report.segments == 1 else 's'}, {end}"
        if report.torn_bytes:
            what += f", {report.torn_bytes} torn bytes"
        if report.ok:
            click.echo(f"verify: whole ({what}), chain {report.chain[:16] or 'open'}")
        else:
            click.echo(
                f"verify: damaged, {len(report.problems)} problem{'' if len(report.problems) == 1 else 's'} ({what})"
            )
    if not report.ok:
        raise SystemExit(DIFFERS)
