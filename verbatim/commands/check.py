"""verbatim check: everything that a session needs at its venue. It sends no order."""

from pathlib import Path

import click

from verbatim.terminal import echo, secho


@click.command("check")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--journals", type=click.Path(path_type=Path), help="Folder of the journals; overrides the configuration."
)
@click.option("--json", "as_json", is_flag=True, help="Each check as a JSON line.")
def command(config: Path, journals: Path | None, as_json: bool) -> None:
    """Check CONFIG, a TOML file as for `run`, at its venue: addresses, clock, instruments, limits, key and rights.

    It sends no order. The exit code is 0 only if every check passes.
    """
    import dataclasses
    import json

    import trio

    from verbatim.checking import Check, CheckStatus, check_settings, check_venue_of
    from verbatim.config import read_config, read_key, session_config
    from verbatim.config_sections import ConfigError
    from verbatim.exit_codes import DIFFERS
    from verbatim.runner import exit_for

    failed: list[str] = []

    def report(check: Check) -> None:
        if check.status is not CheckStatus.OK:
            failed.append(check.name)
        if as_json:
            echo(json.dumps({**check._asdict(), "status": check.status.value}))
        else:
            colour = {CheckStatus.OK: None, CheckStatus.SKIP: "yellow", CheckStatus.FAIL: "red"}[check.status]
            secho(check.line(), fg=colour)

    key_error = ""
    try:
        settings = read_config(config)
        try:
            key = read_key(settings, base=config.parent)
        except ConfigError as error:
            key, key_error = None, str(error)
        chosen = session_config(settings, key=key, base=config.parent)
    except Exception as error:
        exit_for(error)
        raise
    if journals is not None:
        chosen = dataclasses.replace(chosen, journals=journals)
    for check in check_settings(chosen, key_error=key_error):
        report(check)

    async def main() -> None:
        await check_venue_of(chosen, allowed_rights=settings.venue.allow_key_rights, report=report)

    try:
        trio.run(main)
    except KeyboardInterrupt as error:
        exit_for(error)
        raise
    if failed:
        if not as_json:
            echo(f"failed: {', '.join(failed)}")
        raise SystemExit(DIFFERS)
