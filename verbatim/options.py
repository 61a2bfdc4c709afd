"""What several commands ask of their options, where click asks too little."""

from math import isfinite

import click


def a_number(_context: click.Context, _option: click.Parameter, number: float | None) -> float | None:
    """Neither NaN nor infinite: both pass a click.FloatRange."""
    if number is not None and not isfinite(number):
        raise click.BadParameter(f"{number} is no number to count with")
    return number
