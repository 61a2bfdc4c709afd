"""Options that choose sessions of a pattern by time and instrument, and the texts that they apply to."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from journal.session_names import is_address, names_several

CHOICES = "--from, --to and --instrument choose sessions of an address or a pattern"


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--from`, `--to` and `--instrument`, which the command receives as `selection`."""

    @wraps(command)
    def with_selection(*, from_time: str | None, to_time: str | None, instrument: str, **others: Any) -> Any:
        from analysis.fleet_selection import parse_selection

        try:
            selection = parse_selection(from_time, to_time, instrument)
        except ValueError as error:
            raise click.UsageError(f"--from, --to: {error}") from None
        return command(selection=selection, **others)

    found: Callable[..., Any] = with_selection
    for option in (
        click.option("--instrument", default="", metavar="SYMBOL", help="Of a pattern: sessions that have it."),
        click.option("--to", "to_time", metavar="TIME", help="Of a pattern: up to this UTC time; a date ends with it."),
        click.option("--from", "from_time", metavar="TIME", help="Of a pattern: from this UTC time on, as 2026-11-29."),
    ):
        found = option(found)
    return found


def names_fleet(text: str) -> bool:
    """Return True if a text is an address, or a pattern that no path of this machine has as its name."""
    return is_address(text) or names_several(text)
