"""`verbatim new`: write the files of a new strategy."""

import json
from pathlib import Path

import click

from verbatim.options import json_option
from verbatim.terminal import echo


@click.command("new")
@click.argument("kind", type=click.Choice(("strategy",)))
@click.argument("name")
@json_option
def command(*, kind: str, name: str, as_json: bool) -> None:  # noqa: ARG001 - only a strategy can be written so far
    """Write a strategy NAME, its configuration and a test that replays into the current folder.

    No file is overwritten.
    """
    from verbatim.exit_codes import BAD_INPUT, stop
    from verbatim.new_strategy import NewStrategyError, class_of, write_strategy

    try:
        paths = write_strategy(name, Path())
    except (NewStrategyError, OSError) as error:
        stop(str(error), BAD_INPUT)
    if as_json:
        echo(json.dumps({"class": class_of(name), "files": [str(path) for path in paths]}))
        return
    for path in paths:
        echo(f"wrote {path}")
    echo(f"try it:  verbatim demo --strategy {paths[0]}:{class_of(name)}")
    echo(f"test it: pytest {paths[2]}")
