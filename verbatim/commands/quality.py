"""`verbatim quality`: how complete and how timely a session's market data was, by analysis/data_quality.py."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from analysis.data_quality import DataQuality, StreamQuality

SECOND_NS = 1_000_000_000
HEAD = (
    "stream",
    "messages",
    "a second",
    "gaps",
    "missing",
    "repeated",
    "back",
    "crossed",
    "bad",
    "silence s",
    "lag ms",
)


@click.command("quality")
@session_argument()
@journals_option
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object.")
def command(*, session: str, journals: Path, as_json: bool) -> None:
    """Show the data quality of SESSION: gaps, missing ids, repeats, crossed quotes, silence and lag, by stream.

    SESSION is a path, an id, a bundle or an import, sealed or still running. The exit code is 1 if messages are
    missing, unreadable or crossed, or a link, a clock or our own processing had trouble; else 0.
    """
    import msgspec

    from journal.errors import DamagedJournalError, JournalError

    try:
        with progress("reading"):
            found = open_to_read(journals, session).quality()
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error))
    if as_json:
        echo(json.dumps({**msgspec.to_builtins(found), "has_findings": found.has_findings}))
    else:
        for line in _lines(found):
            echo_line(line)
    if found.has_findings:
        raise SystemExit(DIFFERS)


def _lines(found: "DataQuality") -> list[str]:
    lines = [f"session {found.session}: {found.records:,} records", *_table(found.streams), "", *_troubles(found)]
    if not found.streams:
        lines[1:3] = ["no market message was decoded: `verbatim sql` shows the records"]
    lines.append("findings: see above" if found.has_findings else "no findings")
    return lines


def _table(streams: "tuple[StreamQuality, ...]") -> list[str]:
    several = len({_venue(stream) for stream in streams}) > 1
    rows = [HEAD, *(_cells(stream, names_venue=several) for stream in streams)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _venue(stream: "StreamQuality") -> str:
    return stream.instrument.partition(":")[0]


def _cells(stream: "StreamQuality", *, names_venue: bool) -> tuple[str, ...]:
    seconds = (stream.last_ns - stream.first_ns) / SECOND_NS
    lag = "not stamped" if stream.lag_ms is None else " / ".join(f"{each:,.1f}" for each in stream.lag_ms)
    counts = (stream.gaps, stream.missing, stream.repeated, stream.backwards, stream.crossed, stream.unreadable)
    return (
        f"{stream.instrument if names_venue else stream.instrument.rpartition(':')[2]} {stream.stream}",
        f"{stream.messages:,}",
        f"{stream.messages / seconds:,.1f}" if seconds else "-",
        *(f"{count:,}" for count in counts),
        f"{stream.silence_max_ns / SECOND_NS:,.1f}",
        lag,
    )


def _troubles(found: "DataQuality") -> list[str]:
    lines = [
        f"gap: {' '.join(filter(None, (gap.source, gap.instrument, gap.stream)))}: {gap.count} x {gap.reason}, "
        f"{gap.duration_ns / SECOND_NS:,.1f} s"
        for gap in found.gaps
    ]
    if found.link_losses:
        lines.append(f"links were lost {found.link_losses} times")
    venues = sorted({*found.clock_offset_ms, *map(_venue, found.streams)})
    for venue in venues or [""]:
        clock = f"the clock of {venue}" if len(venues) > 1 else "the venue's clock"
        if (offsets := found.clock_offset_ms.get(venue)) is None:
            lines.append(f"{clock} was not measured, so lags contain the difference of the clocks")
        else:
            low, high = offsets
            lines.append(f"{clock} less ours: {low:,.1f} to {high:,.1f} ms; the median is taken off the lags")
    if found.clock_drift_ms:
        lines.append(f"the machine's clock left session time by up to {found.clock_drift_ms:,.1f} ms")
    if found.late:
        lines.append(f"our own processing fell behind {found.late} times, for {found.late_ns / SECOND_NS:,.1f} s")
    if found.overruns:
        lines.append(f"decisions exceeded their time budget {found.overruns} times")
    return lines
