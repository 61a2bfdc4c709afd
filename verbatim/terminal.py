"""Printing for people and scripts. Every command prints through these functions, which escape foreign text.

Colour is for terminals, and the variable NO_COLOR turns it off (https://no-color.org), also in logs and tables.
"""

import os
from typing import IO, TYPE_CHECKING, Any

import click

from journal.printable import join_lines, printable

if TYPE_CHECKING:
    from rich.console import Console


def echo(message: object = "", *, err: bool = False, nl: bool = True, file: IO[Any] | None = None) -> None:
    """Print a text, with escaped control characters (journal/printable.py). A newline and a tab are printed."""
    click.echo(printable(str(message)), err=err, nl=nl, file=file, color=_colour())


def secho(message: object = "", *, err: bool = False, nl: bool = True, **styles: Any) -> None:
    """Print a text as `echo` does, in a style."""
    click.echo(click.style(printable(str(message)), **styles), err=err, nl=nl, color=_colour())


def echo_line(message: object, *, err: bool = False, nl: bool = True, **styles: Any) -> None:
    """Print a text as one line, in a style: a line break in foreign text forges no other line."""
    secho(join_lines(str(message)), err=err, nl=nl, **styles)


def make_console(**options: Any) -> "Console":
    """Return a console for tables, as `rich` defines its options; NO_COLOR removes every style, bold letters too."""
    from rich.console import Console

    return Console(color_system=None if _colour() is False else "auto", **options)


def _colour() -> bool | None:
    """Return False if styles are to be removed; click decides else, by the terminal."""
    return False if os.environ.get("NO_COLOR") else None
