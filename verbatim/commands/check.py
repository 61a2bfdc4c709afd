"""verbatim check: everything that a session needs at its venue. It sends no order."""

from pathlib import Path

import click

from verbatim.terminal import echo, echo_line


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
    from functools import partial

    import trio

    from verbatim.checking import check_venue_of
    from verbatim.config import read_config, read_keys, session_config, venues_of
    from verbatim.config_sections import ConfigError
    from verbatim.exit_codes import DIFFERS
    from verbatim.local_checks import Check, CheckStatus, check_settings
    from verbatim.runner import exit_for

    failed: list[str] = []

    def report(check: Check) -> None:
        if check.status is not CheckStatus.OK:
            failed.append(check.name)
        if as_json:
            echo(json.dumps({**check._asdict(), "status": check.status.value}))
        else:
            colour = {CheckStatus.OK: None, CheckStatus.SKIP: "yellow", CheckStatus.FAIL: "red"}[check.status]
            echo_line(check.line(), fg=colour)

    key_error = ""
    try:
        settings = read_config(config)
        try:
            keys = read_keys(settings, base=config.parent)
        except ConfigError as error:
            keys, key_error = {}, str(error)
        chosen = session_config(settings, keys=keys, base=config.parent)
        allowed = {each.settings.name: each.account.allow_key_rights for each in venues_of(settings)}
    except Exception as error:
        exit_for(error)
        raise
    if journals is not None:
        chosen = dataclasses.replace(chosen, journals=journals)
    for check in check_settings(chosen, key_error=key_error):
        report(check)

    try:
        trio.run(partial(check_venue_of, chosen, allowed_rights=allowed, report=report))
    except KeyboardInterrupt as error:
        exit_for(error)
        raise
    if failed:
        if not as_json:
            echo(f"failed: {', '.join(failed)}")
        raise SystemExit(DIFFERS)
