"""`verbatim download`: files of a venue's public archive, each proved by its checksum. See verbatim/downloading.py."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import click

from verbatim.exit_codes import FAILED, stop
from verbatim.options import json_option
from verbatim.progress_line import progress
from verbatim.terminal import echo

DAY = click.DateTime(formats=["%Y-%m-%d"])
SYMBOL = re.compile(r"[\w-]{1,40}")  # letters of any script, and no part of a path


@click.command("download")
@click.argument("venue")
@click.argument("symbol")
@click.argument("first", metavar="FROM", type=DAY)
@click.argument("last", metavar="TO", type=DAY)
@click.option("--table", default="klines", show_default=True, help="Of the archive: klines, trades, aggTrades ...")
@click.option("--interval", default="1m", show_default=True, help="Of klines.")
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    default=Path("archives"),
    show_default=True,
    metavar="FOLDER",
    help="Where the files are kept.",
)
@click.option("--base", default="", metavar="URL", help="The address of a mirror, in place of the venue's own.")
@json_option
def command(
    *,
    venue: str,
    symbol: str,
    first: datetime,
    last: datetime,
    table: str,
    interval: str,
    into: Path,
    base: str,
    as_json: bool,
) -> None:
    """Download the public archive of VENUE for SYMBOL from one day to another, both included (2024-01-31).

    A file that is there and whole is kept, and one that was cut is continued. Import the files with `verbatim import`.
    """
    from engine.session_record import VenueSettings
    from engine.venues.public_archive import PublicArchive
    from engine.venues.venue_lookup import UnknownVenueError, installed_venues, venue_class
    from verbatim.downloading import DownloadError, download

    def archive_of(name: str) -> PublicArchive | None:
        return getattr(venue_class(VenueSettings(name=name)), "public_archive", None)

    try:
        archive = archive_of(venue)
    except UnknownVenueError as error:
        stop(str(error))
    if archive is None:
        known = ", ".join(name for name in installed_venues() if archive_of(name) is not None)
        stop(f"{venue} publishes no archive that Verbatim knows. What to do: choose one of {known}.")
    if table not in archive.tables:
        stop(f"the archive of {venue} has no table {table!r}. What to do: choose one of {', '.join(archive.tables)}.")
    if interval not in archive.intervals:
        stop(f"{venue} has no candles of {interval!r}. What to do: choose one of {', '.join(archive.intervals)}.")
    if last < first:
        raise click.UsageError("TO is before FROM")
    if not SYMBOL.fullmatch(symbol):
        stop(f"{symbol!r} is no symbol. What to do: name it as the archive does, as in BTCUSDT.")
    files = list(archive.files(symbol.upper(), table, interval, _days(first, last)))
    try:
        with progress("downloading", "files") as line:
            done = download(archive, files, into, base=base, on_progress=line.report)
    except DownloadError as error:
        stop(str(error), FAILED)
    if as_json:
        found = {"files": [str(path) for path in done.files], "kept": done.kept, "missing": list(done.missing)}
        echo(json.dumps(found))
    else:
        for path in done.files:
            echo(path)
        echo(f"{len(done.files)} files, {done.kept} of them were there; {len(done.missing)} are not in the archive")
    if done.missing:
        stop(f"the archive does not have {done.missing[0]}" + _more(done.missing), FAILED)


def _days(first: datetime, last: datetime) -> list[str]:
    """Return the dates from one to another, both included."""
    return [f"{first + timedelta(days=number):%Y-%m-%d}" for number in range((last - first).days + 1)]


def _more(missing: tuple[str, ...]) -> str:
    return f", and {len(missing) - 1} more." if len(missing) > 1 else "."
