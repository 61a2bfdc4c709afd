"""Printing for people and scripts. Every command prints through these functions, which escape foreign text."""

from typing import IO, Any

import click

from journal.printable import printable


def echo(message: object = "", *, err: bool = False, nl: bool = True, file: IO[Any] | None = None) -> None:
    """Print a text, with escaped control characters (journal/printable.py). A newline and a tab are printed."""
    click.echo(printable(str(message)), err=err, nl=nl, file=file)


def secho(message: object = "", *, err: bool = False, nl: bool = True, **styles: Any) -> None:
    """Print a text as `echo` does, in a style."""
    click.echo(click.style(printable(str(message)), **styles), err=err, nl=nl)
