"""`verbatim guard`: cancel our orders when the trader's heartbeat stops."""

from pathlib import Path

import click


@click.command("guard")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--after", "after_s", type=float, default=15.0, show_default=True, help="Seconds without a heartbeat.")
@click.option("--flatten", is_flag=True, help="Close every position too.")
@click.option("--journals", type=click.Path(path_type=Path), help="Folder of the trader's journals.")
@click.option("--json", "as_json", is_flag=True, help="Logs as JSON lines.")
def command(*, config: Path, after_s: float, flatten: bool, journals: Path | None, as_json: bool) -> None:
    """Watch the sessions of CONFIG, and cancel our orders at the venue when the trader's heartbeat stops.

    Run it as a second process, with its own key in its environment. SIGINT, SIGTERM or SIGHUP ends it.
    """
    import dataclasses
    import os
    import signal

    from engine.live.logs import configure
    from engine.live.session_end import end_signals
    from verbatim.config import read_config, read_keys, session_config
    from verbatim.guarding import Guard
    from verbatim.runner import exit_for
    from verbatim.sections import ConfigError

    configure(level="info", json_lines=as_json)
    try:
        settings = read_config(config)
        chosen = session_config(settings, keys=read_keys(settings, base=config.parent), base=config.parent)
        if chosen.paper is not None:
            raise ConfigError("session.account: paper: no venue has orders of a paper account, so there is no guard")
    except Exception as error:
        exit_for(error)
        raise
    if journals is not None:
        chosen = dataclasses.replace(chosen, journals=journals)

    def end(*_: object) -> None:
        raise SystemExit(0)

    for number in end_signals():
        signal.signal(number, end)
    try:
        Guard(chosen, after_s=after_s, flatten=flatten, environment=os.environ).run()
    except* SystemExit:  # of a signal; in a group if it strikes in one of trio's tasks, while the guard cancels
        pass
