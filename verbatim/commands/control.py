"""`verbatim control`: send a command to a running session."""

from pathlib import Path

import click

from verbatim.options import session_argument
from verbatim.terminal import echo

COMMANDS = ("pause", "resume", "halt", "cancel_all", "flatten", "reconcile", "stop", "reload-keys")
ABOUT_ONE = {  # these concern one object: its kind, and an example of its name
    "accept-balance": ("asset", "USDT"),
    "resume-instrument": ("instrument", "BTCUSDT"),
    "pause-strategy": ("strategy", "quoter"),
    "resume-strategy": ("strategy", "quoter"),
}


@click.command("control")
@session_argument()
@click.argument("order", metavar="COMMAND", type=click.Choice((*COMMANDS, *ABOUT_ONE)))
@click.argument("about", metavar="[NAME]", default="")
@click.option("--reason", default="", help="Reason, kept in the record.")
@click.option("--journals", type=click.Path(path_type=Path), default=Path("journals"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(session: str, order: str, about: str, reason: str, journals: Path, *, as_json: bool) -> None:
    """Send SESSION (a path or an id) a COMMAND, such as pause, flatten or accept-balance.

    `accept-balance ASSET --reason TEXT` records a deposit, a withdrawal or a trade of your own: from then on the
    engine's records follow the venue's balance of ASSET, and a halt for its drift ends.

    `reload-keys [VENUE]` reads the keys again from their files or the keyring; a venue tries the new one first.

    `pause-strategy NAME` pauses one strategy: its orders are cancelled, but not those that protect a position.
    `resume-strategy NAME` ends that pause. It and `resume-instrument NAME` end one that equal refusals led to.
    """
    import getpass
    import json

    from engine.live.control_socket import ControlError, send_command, socket_path
    from journal.errors import JournalError
    from journal.printable import in_one_line
    from verbatim.exit_codes import BAD_INPUT, FAILED, stop
    from verbatim.session_lookup import find

    if order == "accept-balance" and not (about and reason):
        stop("accept-balance needs an asset and a reason, as in: accept-balance USDT --reason 'deposit'", BAD_INPUT)
    if order in ABOUT_ONE and not about:
        kind, example = ABOUT_ONE[order]
        stop(
            f"{order} needs the name of the {kind}, as in: {order} {example}. "
            "What to do: the log line of the pause, and the first lines of `verbatim run`, print it",
            BAD_INPUT,
        )
    if about and order not in (*ABOUT_ONE, "reload-keys"):
        stop(f"{order} takes no {about!r}", BAD_INPUT)
    try:
        folder = find(journals, session)
    except JournalError as error:
        stop(str(error), BAD_INPUT)
    path = socket_path(folder.resolve().parent, folder.resolve().name.rpartition("-")[2])
    try:
        answer = send_command(path, command=order.replace("-", "_"), by=getpass.getuser(), reason=reason, about=about)
    except ControlError as problem:
        stop(str(problem), FAILED)
    if as_json:
        echo(json.dumps(answer))
    else:
        reasons = f" ({'; '.join(answer['reasons'])})" if answer["reasons"] else ""
        echo(in_one_line(f"{order}: record {answer['seq']}; mode {answer['mode']}{reasons}"))
        for note in answer.get("notes", ()):
            echo(f"  {in_one_line(note)}")
