"""`verbatim kill`: halt, cancel every own order, flatten if ordered, and report what is left."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.options import session_argument
from verbatim.progress_line import progress

if TYPE_CHECKING:
    from verbatim.kill_session import Killed


@click.command("kill")
@session_argument(default="last")
@click.option("--flatten", is_flag=True, help="Close every position too, by market orders.")
@click.option("--config", type=click.Path(path_type=Path), help="The session's configuration: its key and clock.")
@click.option("--journals", type=click.Path(path_type=Path), help="Folder of the journals.  [default: journals]")
@click.option("--reason", default="", help="Reason, kept in the record.")
@click.option("--timeout", "seconds", type=float, default=60.0, show_default=True, help="Seconds to wait for the end.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    *,
    session: str,
    flatten: bool,
    config: Path | None,
    journals: Path | None,
    reason: str,
    seconds: float,
    as_json: bool,
) -> None:
    """Halt SESSION (a path, an id or `last`), and cancel until the venue shows none of our orders.

    The running session does it; if none runs or it does not answer, the command does it at the venue. The exit code is
    0 only if nothing of ours is left open.
    """
    import dataclasses
    import json
    import os

    from engine.live.logs import configure
    from journal.errors import JournalError
    from verbatim.config import read_config, read_keys, session_config
    from verbatim.exit_codes import BAD_INPUT, FAILED, stop
    from verbatim.kill_session import KillError, kill, session_to_kill
    from verbatim.runner import exit_for
    from verbatim.session_lookup import find

    configure(level="warning", json_lines=as_json)
    try:
        settings = chosen = None
        if config is not None:
            settings = read_config(config)
            chosen = session_config(settings, keys=read_keys(settings, base=config.parent), base=config.parent)
        folder = find(journals or (settings.session.journals if settings else Path("journals")), session)
        if chosen is not None:  # the state to continue is beside the session, wherever the configuration records
            chosen = dataclasses.replace(chosen, journals=folder.resolve().parent)
        body = session_to_kill(folder, chosen)
        with progress("cancelling"):
            killed = kill(
                folder,
                body,
                flatten=flatten,
                reason=reason or "verbatim kill",
                seconds=seconds,
                config=chosen,
                environment=os.environ,
            )
    except (JournalError, KillError) as error:
        stop(str(error), BAD_INPUT)
    except Exception as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        exit_for(first)
        raise
    if as_json:
        click.echo(json.dumps(_as_json(killed)))
    else:
        _report(killed)
    if killed.warning:
        stop(killed.warning, FAILED)
    if killed.unconfirmed:
        stop(f"the venue could not be queried: {killed.unconfirmed}. Run it again, and check at the venue", FAILED)
    if not killed.is_done:
        stop("not everything is closed; run it again, and check at the venue", FAILED)


def _as_json(killed: "Killed") -> dict[str, object]:
    known = {"way": killed.way, "done": killed.is_done, "folder": killed.folder, "is_state_read": killed.is_state_read}
    return {**known, **killed.exposure}


def _report(killed: "Killed") -> None:
    """Print what is left."""
    from verbatim.terminal import make_console

    console = make_console(highlight=False, markup=False, soft_wrap=True)
    left = killed.exposure
    by = {"session": "by the running session", "venue": f"by the session {killed.folder}"}
    console.print(f"mode {left['mode']}; {by.get(killed.way, 'nothing could be done')}")
    source = ", as the journal knows them" if killed.unconfirmed else ""
    console.print(f"own orders that may be open{source}: {', '.join(left['orders']) or 'none'}")
    held = [f"{each['quantity']} {each['instrument']} ({each['strategy']})" for each in left["positions"]]
    console.print(f"positions: {(', '.join(held) or 'none') if killed.is_state_read else 'not known'}")
    if left["others"]:
        console.print(f"orders of other programs, left alone: {len(left['others'])}")
