"""Exit codes, and how a command ends in one clear line. Documented in docs/command-line.md; scripts rely on them."""

from typing import NoReturn

import click

OK = 0
DIFFERS = 1  # a replay that differs, a journal that is damaged: the answer is "no"
USAGE = 2  # click's own: wrong options or arguments
BAD_INPUT = 3  # a file, configuration, strategy or session that cannot be used
FAILED = 4  # the venue, the network or the disk failed us


def stop(message: str, code: int = BAD_INPUT) -> NoReturn:
    """One clear line on stderr, then the end."""
    click.echo(f"verbatim: {message}", err=True)
    raise SystemExit(code)
