"""verbatim venue: the simulated venue alone."""

from pathlib import Path
from typing import Any

import click


@click.command("venue")
@click.option("--kind", help="The venue that it plays; docs/venue.md lists them. The default is the first one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9090, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@click.option("--capture", type=click.Path(path_type=Path), help="Play this capture instead of the synthetic market.")
@click.option(
    "--speed", default=1, show_default=True, type=click.IntRange(1, 1000), help="Seconds of the market in one of ours."
)
@click.option("--seed", default=1, show_default=True, help="Of the synthetic market.")
@click.option("--symbol", "symbols", multiple=True, help="Of the synthetic market; may be repeated.")
def command(symbols: tuple[str, ...], **given: Any) -> None:
    """Start the simulated venue. It prints one JSON line when it listens, and runs until SIGINT or SIGTERM."""
    from engine.live.venue_main import VenueOptions, VenueStartError, main
    from verbatim.exit_codes import BAD_INPUT, stop

    try:
        given |= {"symbols": symbols} if symbols else {}
        main(VenueOptions(**{name: value for name, value in given.items() if value is not None}))
    except VenueStartError as problem:
        stop(str(problem), BAD_INPUT)
