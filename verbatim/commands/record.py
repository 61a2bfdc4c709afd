"""verbatim record: market streams into journals, for days, without account, key or strategy."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verbatim.options import a_number

if TYPE_CHECKING:
    from verbatim.config import Config

PUBLIC = {  # where a venue gives its market data to anyone: REST and streams
    "binance_coinm": ("https://dapi.binance.com", "wss://dstream.binance.com"),
    "binance_spot": ("https://data-api.binance.vision", "wss://data-stream.binance.vision"),
    "binance_usdm": ("https://fapi.binance.com", "wss://fstream.binance.com"),
}
STALE_SECONDS = 60  # a trader must not believe in a silent market for long; a recorder may wait for a quiet one


@click.command("record")
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--venue", "name", default="binance_spot", show_default=True, help="Whose dialect is spoken.")
@click.option("--url", help="REST address; left out, the venue's own for public data.")
@click.option("--stream", help="Stream address; left out, that of --url.")
@click.option("--symbol", "symbols", multiple=True, help="What to record; may be repeated.")
@click.option("--journals", type=click.Path(path_type=Path), help="Folder of the journals; outdoes the configuration.")
@click.option(
    "--roll-hours", type=click.FloatRange(0, 24 * 31, min_open=True), help="A new session at this age; 24 unless said."
)
@click.option("--roll-at", metavar="HH:MM", help="A new session every day at this time (UTC) instead.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(0, 1e9, min_open=True),
    callback=a_number,
    help="End after so many seconds.",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Logs and each session's summary as JSON lines.")
def command(*, config: Path | None, seconds: float | None, log_level: str, as_json: bool, **given: Any) -> None:
    """Record the market streams of CONFIG (a TOML file as for `run`), or of the symbols named.

    Needs no account and no key, and never trades. SIGINT or SIGTERM ends it in order.
    """
    import dataclasses
    import json
    from functools import partial

    from rich.console import Console

    from engine.live.logs import configure
    from engine.live.session_status import Summary
    from verbatim.config import recording_wanted
    from verbatim.exit_codes import FAILED
    from verbatim.recorder import Recorder, roll_due_ns
    from verbatim.runner import end_by, run_or_stop, shown_path, told
    from verbatim.warmup import compile_first

    configure(level=log_level, json_lines=as_json)
    try:
        settings = _settings(config, given)
        wanted = recording_wanted(settings, base=config.parent if config is not None else None)
        wanted = dataclasses.replace(wanted, journals=given["journals"] or wanted.journals)
    except Exception as error:
        end_by(error)
        raise

    def tell(summary: Summary) -> None:
        last = summary.last
        if as_json:
            click.echo(json.dumps(told(summary)))
            return
        click.echo(
            f"session {last.session}: {last.records:,} records, {last.messages:,} messages, {last.gaps:,} gaps; "
            f"{summary.ended}: {summary.reason}; {shown_path(summary.folder)}"
        )

    compile_first(Console(stderr=True), wanted.venue)
    due_ns = partial(roll_due_ns, roll_hours=settings.record.roll_hours, roll_at=settings.record.roll_at)
    last = run_or_stop(partial(Recorder(wanted, due_ns=due_ns, tell=tell).run, seconds))
    if not last.clean:
        raise SystemExit(FAILED)


def _settings(path: Path | None, given: dict[str, Any]) -> "Config":
    """From the file or from the options, never from both: what outdoes what would have to be guessed. Raises ConfigError."""
    from verbatim.config import ConfigError, make_config, read_values

    chosen: dict[str, Any] = {name: value for name, value in given.items() if value}
    if path is not None:
        if both := [f"--{each.rstrip('s')}" for each in ("url", "stream", "symbols") if each in chosen]:
            raise ConfigError(f"{both[0]} and {path} both say what to record: name the one or the other")
        values, where = read_values(path), str(path)
    else:
        if not chosen.get("symbols"):
            raise ConfigError("nothing to record: name a configuration file, or symbols with --symbol")
        if "url" not in chosen and chosen["name"] not in PUBLIC:
            raise ConfigError(f"where {chosen['name']} gives its market data is not known here: name it with --url")
        rest, stream = (chosen["url"], "") if "url" in chosen else PUBLIC[chosen["name"]]
        stream = chosen.get("stream") or stream or rest.replace("http", "ws", 1)
        values = {"instruments": chosen["symbols"], "venue": {"name": chosen["name"], "rest": rest, "stream": stream}}
        where = "options"
    values["engine"] = {"stale_after_s": STALE_SECONDS, **values.get("engine", {})}
    roll = {name: str(chosen[name]) for name in ("roll_hours", "roll_at") if name in chosen}
    return make_config({**values, "record": {**values.get("record", {}), **roll}}, where)
