"""Options that several commands have, and what click asks of theirs too little."""

from math import isfinite
from pathlib import Path

import click

journals_option = click.option(
    "--journals",
    type=click.Path(path_type=Path),
    default=Path("journals"),
    show_default=True,
    help="Where sessions lie.",
)


def a_number(_context: click.Context, _option: click.Parameter, number: float | None) -> float | None:
    """Neither NaN nor infinite: both pass a click.FloatRange."""
    if number is not None and not isfinite(number):
        raise click.BadParameter(f"{number} is no number to count with")
    return number
