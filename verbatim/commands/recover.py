"""`verbatim recover`: make a session's journal whole after a crash. The recovering is journal/recover.py."""

import json
from pathlib import Path

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import journals_option, json_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import find
from verbatim.terminal import echo


@click.command("recover")
@session_argument()
@journals_option
@click.option(
    "--signing-key", type=click.Path(path_type=Path), help="Sign what is sealed now with the Ed25519 key in this file."
)
@json_option
def command(*, session: str, journals: Path, signing_key: Path | None, as_json: bool) -> None:
    """Seal what a crash left of SESSION; the next session of its account does the same when it starts.

    SESSION is a path or an id. A torn tail, which was never durable, is dropped and counted. If names, footers or the
    open part show damage to durable records, the command ends with 1 and changes nothing. Rows that were
    sealed before are not read again: verify does that.
    """
    from journal.errors import DamagedJournalError, JournalError, JournalFailedError
    from journal.recover import recover
    from verbatim.config_sections import ConfigError
    from verbatim.secret_files import read_signing_key

    try:
        signer = None if signing_key is None else read_signing_key(signing_key.expanduser())
        with progress("recovering"):
            done = recover(find(journals, session), signer=signer)
    except ConfigError as error:
        stop(str(error))
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalFailedError as error:
        stop(str(error), FAILED)
    except JournalError as error:
        stop(str(error))
    if as_json:
        counts = {"last_seq": done.last_seq, "sealed_now": done.sealed_now, "dropped_bytes": done.dropped_bytes}
        echo(json.dumps({"closed": done.was_closed, **counts}))
        return
    torn = f", {done.dropped_bytes} torn bytes were dropped" if done.dropped_bytes else ""
    ended = "closed in order" if done.was_closed else "not closed"
    now = f"{done.sealed_now} segment{'' if done.sealed_now == 1 else 's'} sealed now"
    echo(f"recover: sealed up to record {done.last_seq} ({ended}{torn}), {now}")
