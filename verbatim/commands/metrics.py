"""`verbatim metrics`: serve a session's metrics as Prometheus text on loopback."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import BAD_INPUT, DIFFERS, FAILED, stop
from verbatim.options import journals_option, max_age_option, session_argument
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from analysis.metrics.reader import MetricsReader


@click.command("metrics")
@session_argument()
@journals_option
@click.option("--port", default=8766, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@max_age_option("Seconds since the newest record, above which /health answers 503.")
@click.option("--no-streams", is_flag=True, help="Decode no market messages: no age of each instrument's streams.")
@click.option("--once", is_flag=True, help="Print the metrics as of now, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print the address as one JSON object.")
def command(
    *, session: str, journals: Path, port: int, max_age: float, no_streams: bool, once: bool, as_json: bool
) -> None:
    """Serve the metrics of SESSION, running or ended, for Prometheus, on loopback.

    SESSION is a path, an id or `last`, which follows each newer session after the end of one. Probes are answered at
    /health (the process lives and writes) and /ready (it also places orders), with 200 or 503 and JSON.
    """
    if once and as_json:
        raise click.UsageError("--once prints Prometheus text; --json is for the address of the server")
    from journal.errors import DamagedJournalError, JournalError
    from verbatim.session_lookup import find_decided

    try:
        from analysis.metrics.reader import MetricsReader
        from verbatim.metrics_server import exposition
    except ModuleNotFoundError as error:
        if error.name != "prometheus_client":
            raise
        stop(f"{error.name} is not installed. What to do: pip install 'verbatim-trading[metrics]'", FAILED)
    try:
        reader = MetricsReader(find_decided(journals, session), has_streams=not no_streams)
        reader.catch_up()
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error), BAD_INPUT)
    if once:
        echo(exposition(reader.values()).decode(), nl=False)
        reader.close()
        return
    _serve(reader, journals if session == "last" else None, port=port, max_age=max_age, as_json=as_json)


def _serve(reader: "MetricsReader", journals: Path | None, *, port: int, max_age: float, as_json: bool) -> None:
    """Serve until a signal. With `journals`, a newer session of this folder is followed after the end of one."""
    import json

    from verbatim.health import HealthProbe
    from verbatim.metrics_server import MetricsServer, MetricsService, PortInUseError, run

    service = MetricsService(
        reader,
        newer=lambda folder: None if journals is None else _newer(journals, folder),
        on_news=lambda line: echo_line(line, err=True),
        probe=HealthProbe(max_age),
    )
    try:
        server = MetricsServer(port, service.text, service.health)
    except PortInUseError as error:
        stop(str(error), BAD_INPUT)
    echo(json.dumps({"address": server.address}) if as_json else f"metrics  {server.address}   (Ctrl-C ends it)")
    run(server, service)


def _newer(journals: Path, folder: Path) -> Path | None:
    """Return the newest session if it is not the one in this folder."""
    from journal.sessions import list_sessions

    sessions = list_sessions(journals)
    return sessions[-1].path if sessions and sessions[-1].path != folder else None
