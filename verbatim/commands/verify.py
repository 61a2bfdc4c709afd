"""`verbatim verify`: prove that a journal is whole, by journal/verify.py."""

import json
import re
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import find_to_read
from verbatim.terminal import echo, echo_line


def _public_key(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """Check the key; an empty one, as of an unset variable, must not mean "any signer"."""
    if text is not None and re.fullmatch(r"[0-9a-fA-F]{64}", text) is None:
        raise click.BadParameter("an Ed25519 public key: 64 hexadecimal digits")
    return text


@click.command("verify")
@session_argument()
@journals_option
@click.option(
    "--signer", callback=_public_key, help="The public key, in hexadecimal, that must have signed the last seal."
)
@click.option(
    "--repair", type=click.Path(path_type=Path), help="Write what is whole as a new journal into this new folder."
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
def command(*, session: str, journals: Path, signer: str | None, repair: Path | None, as_json: bool) -> None:
    """Prove that SESSION's journal is whole: checksums, chain, sequence, open frames.

    SESSION is a path or an id. Ends with 0 where it is, with 1 where bytes are not what was written. Changes nothing:
    --repair writes the records before the first damage elsewhere, and never touches SESSION.
    """
    from journal.bundle import read_unpacked_manifest
    from journal.errors import DamagedJournalError, JournalError
    from journal.verify import verify

    try:
        folder = find_to_read(journals, session)
        with progress("verifying", "segments") as shown:
            report = verify(folder, signer=signer, on_progress=shown.report)
        if (bundle := read_unpacked_manifest(folder)) is not None:
            extent = (
                "all of it"
                if bundle.whole
                else f"records {bundle.first_seq} to {bundle.last_seq} of 0 to {bundle.session_last_seq}"
            )
            redacted = ", ".join(bundle.redacted) or "nothing"
            report.notes.insert(
                0, f"a bundle of {bundle.session}: {extent}; redacted: {redacted} (as its manifest says)"
            )
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))
    if as_json:
        found = {name: getattr(report, name) for name in report.__struct_fields__}
        echo(json.dumps({**found, "folder": str(report.folder), "ok": report.ok}))
    else:
        for line in report.lines():
            echo_line(line)
    if repair is not None:
        _repair(folder, repair)
    if not report.ok:
        raise SystemExit(DIFFERS)


def _repair(folder: Path, new_folder: Path) -> None:
    from journal.errors import JournalError
    from journal.repair import repair

    try:
        done = repair(folder, new_folder)
    except JournalError as error:
        stop(str(error))
    what = f"repair: records 0 to {done.last_seq} are in {done.folder}"
    if done.proved_seq < done.last_seq:
        what += f", up to {done.proved_seq} proved by the chain, the rest by the checksums of their pages or frames"
    echo(f"{what}{f'; it ends before: {done.damage}' if done.damage else ''}", err=True)
