"""`verbatim cockpit`: serve the page that shows sessions, finished or running, on loopback."""

from pathlib import Path

import click

from verbatim.exit_codes import BAD_INPUT, FAILED, stop
from verbatim.options import journals_option, session_argument
from verbatim.terminal import echo


@click.command("cockpit")
@session_argument("sessions", nargs=-1)
@journals_option
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option("--read-only", is_flag=True, help="Refuse commands to running sessions.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option("--json", "as_json", is_flag=True, help="Print the address as one JSON object.")
def command(
    *, sessions: tuple[str, ...], journals: Path, port: int, read_only: bool, opens: bool, as_json: bool
) -> None:
    """Show SESSIONS (ids, paths, bundles or folders of sessions) in the browser; without any, all in --journals.

    The server listens on loopback only. The printed address contains a token; keep it to yourself.
    """
    from journal.errors import JournalError

    try:
        folders, roots = _places(sessions, journals)
    except JournalError as error:
        stop(str(error), BAD_INPUT)
    serve(folders, roots, port=port, can_command=not read_only, opens=opens, as_json=as_json)


def serve(
    folders: list[Path],
    roots: list[Path],
    *,
    port: int = 0,
    can_command: bool = True,
    opens: bool = False,
    as_json: bool = False,
) -> None:
    """Serve sessions, and those in the folders `roots`, until a signal; print the address."""
    import json
    import webbrowser

    import trio

    try:
        from verbatim.cockpit.registry import Registry
        from verbatim.cockpit.serve import CannotListenError, listening_socket, run_cockpit
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "hypercorn"):
            raise
        stop(f"{error.name} is not installed. What to do: pip install 'verbatim-trading[cockpit]'", FAILED)
    try:
        listening = listening_socket(port)
    except CannotListenError as error:
        stop(str(error), BAD_INPUT)

    def ready(address: str) -> None:
        echo(json.dumps({"address": address}) if as_json else f"cockpit  {address}   (Ctrl-C ends it)")
        if opens:
            webbrowser.open(address)

    trio.run(lambda: run_cockpit(Registry(folders, roots), listening, can_command=can_command, on_ready=ready))


def _places(sessions: tuple[str, ...], journals: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders of sessions, and the folders in which sessions are listed."""
    from journal.recover import has_segments
    from verbatim.session_lookup import find_to_read

    if not sessions:
        if not journals.is_dir():
            stop(f"there is no folder {journals}. What to do: name a session, or the folder with --journals", BAD_INPUT)
        return [], [journals]
    folders, roots = [], []
    for name in sessions:
        path = Path(name)
        if path.is_dir() and not has_segments(path):
            roots.append(path)
        else:
            folders.append(find_to_read(journals, name))
    return folders, roots
