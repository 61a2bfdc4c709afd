"""verbatim record: market streams into journals, for days, without account, key or strategy."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verbatim.options import duration_option, log_options
from verbatim.terminal import echo, echo_line, make_console

if TYPE_CHECKING:
    from verbatim.config import Config

STALE_SECONDS = 60  # a trader must not trust a silent market for long; a recorder may wait for a quiet one


@click.command("record")
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option(
    "--venue",
    "name",
    default="binance_spot",
    show_default=True,
    help="Name of the venue, or package.module:Class of your own.",
)
@click.option("--url", help="REST address. Default: the venue's own for public data.")
@click.option("--stream", help="Stream address. Default: that of --url.")
@click.option("--symbol", "symbols", multiple=True, help="Symbol to record; may be repeated.")
@click.option(
    "--journals", type=click.Path(path_type=Path), help="Folder of the journals; overrides the configuration."
)
@click.option(
    "--roll-hours",
    type=click.FloatRange(0, 24 * 31, min_open=True),
    help="Start a new session at this age. Default: 24.",
)
@click.option("--roll-at", metavar="HH:MM", help="Start a new session every day at this time (UTC) instead.")
@duration_option("End after this many seconds.")
@log_options
@click.option("--json", "as_json", is_flag=True, help="Logs and each session's summary as JSON lines.")
def command(
    *,
    config: Path | None,
    seconds: float | None,
    seconds_old: float | None,
    log_form: str | None,
    log_level: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Record the market streams of CONFIG (a TOML file as for `run`), or of the symbols named.

    Never trades, and needs no key where market data is public; Alpaca's needs one. SIGINT, SIGTERM or SIGHUP ends it
    in order.
    """
    import dataclasses
    import json
    from functools import partial

    from engine.live.logs import configure
    from engine.live.session_status import Summary
    from verbatim.config import recording_config, with_market_keys
    from verbatim.exit_codes import FAILED
    from verbatim.recorder import Recorder, roll_due_ns
    from verbatim.runner import exit_for, run_or_stop, short_path, summary_json
    from verbatim.warmup import compile_first

    configure(level=log_level or "info", json_lines=as_json)
    try:
        settings = _settings(config, given)
        base = config.parent if config is not None else None
        wanted = with_market_keys(settings, recording_config(settings, base=base), base)
        wanted = dataclasses.replace(wanted, journals=given["journals"] or wanted.journals)
    except Exception as error:
        exit_for(error)
        raise

    log = settings.log.settings(form="json" if as_json else log_form, level=log_level)
    configure(level=log.level, json_lines=log.json_lines)

    def print_end(summary: Summary) -> None:
        last = summary.last
        if as_json:
            echo(json.dumps(summary_json(summary)))
            return
        echo_line(
            f"session {last.session}: {last.records:,} records, {last.messages:,} messages, {last.gaps:,} gaps; "
            f"{summary.ended}: {summary.reason}; {short_path(summary.folder)}"
        )

    compile_first(make_console(stderr=True), *(each.settings for each in wanted.venues), with_books=False)
    due_ns = partial(roll_due_ns, roll_hours=settings.record.roll_hours, roll_at=settings.record.roll_at)
    recorder = Recorder(wanted, due_ns=due_ns, on_end=print_end, log=log)
    last = run_or_stop(partial(recorder.run, seconds or seconds_old))
    if not last.clean:
        raise SystemExit(FAILED)


def _settings(path: Path | None, given: dict[str, Any]) -> "Config":
    """Return the settings of the file or of the options, never of both.

    Raises:
        ConfigError: both name what to record, or neither does.
    """
    from verbatim.config import make_config, read_values
    from verbatim.config_sections import ConfigError

    chosen: dict[str, Any] = {name: value for name, value in given.items() if value}
    if path is not None:
        if both := [f"--{each.rstrip('s')}" for each in ("url", "stream", "symbols") if each in chosen]:
            raise ConfigError(f"{both[0]} and {path} both name what to record. What to do: leave one out")
        values, where = read_values(path), str(path)
    else:
        if not chosen.get("symbols"):
            raise ConfigError("nothing to record. What to do: name a configuration file, or symbols with --symbol")
        rest, stream = (chosen["url"], "") if "url" in chosen else _public_addresses(chosen["name"])
        stream = chosen.get("stream") or stream or rest.replace("http", "ws", 1)
        values = {"instruments": chosen["symbols"], "venue": {"name": chosen["name"], "rest": rest, "stream": stream}}
        where = "options"
    values["engine"] = {"stale_after_s": STALE_SECONDS, **values.get("engine", {})}
    roll = {name: str(chosen[name]) for name in ("roll_hours", "roll_at") if name in chosen}
    return make_config({**values, "record": {**values.get("record", {}), **roll}}, where)


def _public_addresses(name: str) -> tuple[str, str]:
    """Return where a venue serves its market data to anyone: REST and streams.

    Raises:
        ConfigError: the venue is not installed, or its address is not known.

    """
    from engine.session_record import VenueSettings
    from engine.venues.venue import Endpoints, Network
    from engine.venues.venue_lookup import UnknownVenueError, make_venue
    from verbatim.config_sections import ConfigError

    try:
        venue = make_venue(VenueSettings(name=name), ())
    except UnknownVenueError as error:
        raise ConfigError(f"venue.name: {error}") from None
    live = venue.endpoints.get(Network.LIVE, Endpoints())
    rest, stream = live.public_rest or live.rest, live.public_stream or live.stream
    if not rest:
        raise ConfigError(f"the address of {name}'s market data is not known. What to do: name it with --url")
    return rest, stream
