"""`verbatim compile`: machine code before the first session, for the user or for an image. The list is warmup.py's."""

from pathlib import Path

import click

from verbatim.exit_codes import stop
from verbatim.terminal import echo, make_console


@click.command("compile")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Copy the code to this folder, for an image: set VERBATIM_CODE to it there.",
)
def command(*, into: Path | None) -> None:
    """Compile the market's code now, so the first session starts without waiting. Takes half a minute, once."""
    from engine.market.code_folder import copy_code, has_code
    from engine.market.jit import JIT, kept_code
    from verbatim.warmup import compile_all

    if not JIT:
        stop("VERBATIM_JIT=0 is set, so nothing is compiled. What to do: remove it")
    folder = kept_code()
    if folder is None:
        stop("the cache folder cannot be written. What to do: set XDG_CACHE_HOME to a folder that can")
    with make_console(stderr=True).status("compiling") as line:
        for part in compile_all():
            line.update(f"compiling {part} ...")
    if into is not None:
        target = into / folder.name
        try:
            into.mkdir(parents=True, exist_ok=True)
            if not (target.is_dir() and has_code(target)):
                copy_code(folder, target)
        except OSError as error:
            stop(f"{into} cannot be written: {error}")
        folder = target
    echo(f"compiled code is in {folder}")
