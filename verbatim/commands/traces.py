"""`verbatim traces`: export the chain intent, order, fill of a session as OpenTelemetry traces."""

from pathlib import Path

import click

from verbatim.exit_codes import BAD_INPUT, DIFFERS, FAILED, stop
from verbatim.options import journals_option
from verbatim.terminal import echo, echo_line


@click.command("traces")
@click.argument("session")
@journals_option
@click.option(
    "--otlp", default="http://127.0.0.1:4318", show_default=True, metavar="ADDRESS", help="Of the OTLP/HTTP collector."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as one JSON object.")
def command(*, session: str, journals: Path, otlp: str, as_json: bool) -> None:
    """Export the intents, orders and fills of SESSION as traces to an OpenTelemetry collector, until it ends.

    SESSION is a path, an id or `last`, running or ended. Ctrl-C ends the export.
    """
    import json
    import signal

    from journal.errors import DamagedJournalError, JournalError
    from verbatim.session_lookup import find_decided

    try:
        from verbatim.otlp_export import CollectorError, SessionExport, http_exporter
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        stop("opentelemetry is not installed. What to do: pip install 'verbatim-trading[otel]'", FAILED)
    try:
        exporter = http_exporter(otlp)
    except ValueError as error:
        stop(f"--otlp: {error}", BAD_INPUT)
    before = None
    try:
        export = SessionExport(find_decided(journals, session), exporter, lambda line: echo_line(line, err=True))
        before = [signal.signal(number, lambda *_: export.stop()) for number in (signal.SIGINT, signal.SIGTERM)]
        export.run()
    except DamagedJournalError as error:
        stop(str(error), DIFFERS)
    except JournalError as error:
        stop(str(error), BAD_INPUT)
    except CollectorError as error:
        stop(f"{otlp}: {error}. What to do: start the collector, then run the command again", FAILED)
    finally:
        if before is not None:
            for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
                signal.signal(number, handler)
    if as_json:
        echo(json.dumps({"spans": export.sent, "session": export.ending}))
    else:
        echo(f"traces: {export.sent:,} spans sent to {otlp}")
