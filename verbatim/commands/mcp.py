"""`verbatim mcp`: read-only tools for an assistant, over the Model Context Protocol."""

from pathlib import Path

import click

from verbatim.exit_codes import FAILED, stop


@click.command("mcp")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("journals"))
def command(*, folder: Path) -> None:
    """Serve tools that explain the sessions in FOLDER to an assistant, on standard input and output.

    FOLDER is the folder of the sessions, by default `journals`. The tools are sessions, state, why, sql, diff and
    verify; none trades, writes or reads outside FOLDER. docs/assistants.md has the configuration of clients.
    """
    from journal.recover import has_segments

    if not folder.is_dir():
        stop(f"{folder} is not a folder. What to do: name the folder of the sessions.")
    if has_segments(folder):
        stop(f"{folder} is one session. What to do: name the folder that contains it, {folder.absolute().parent}.")
    try:
        from verbatim.assistant.mcp_server import serve
    except ModuleNotFoundError as error:
        if error.name not in ("mcp", "mcp_types"):
            raise
        stop(f"{error.name} is not installed. What to do: pip install 'verbatim-trading[mcp]'", FAILED)
    serve(folder.resolve())
