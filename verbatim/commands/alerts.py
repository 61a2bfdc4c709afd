"""`verbatim alerts`: a watcher that reads sessions and sends alerts, and the commands of its log."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verbatim.exit_codes import BAD_INPUT, DIFFERS, FAILED, stop
from verbatim.options import journals_option
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from verbatim.alerts.alert_config import AlertConfig
    from verbatim.alerts.watched_sessions import WatchedSessions

config_option = click.option(
    "--config", type=click.Path(path_type=Path), help="The configuration of rules and channels, as TOML."
)
log_option = click.option(
    "--log", "log", type=click.Path(path_type=Path), help="The watcher's log.  [default: alerts.jsonl beside --config]"
)


class WatchGroup(click.Group):
    """A group that watches if its first argument is not one of its commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `watch` before the arguments of a watcher."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["watch", *args]
        return super().parse_args(ctx, args)


@click.group("alerts", cls=WatchGroup)
def command() -> None:
    """Watch SESSION or a FOLDER of sessions, and send alerts: verbatim alerts SESSION|FOLDER [--config FILE].

    SESSION is a path, an id or `last`. With `last` or a FOLDER the newest session of each account is watched, and each
    newer one.
    """


@command.command("watch")
@click.argument("session", metavar="SESSION|FOLDER")
@config_option
@log_option
@journals_option
@click.option("--once", is_flag=True, help="Print what the rules find now, send nothing, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def watch(*, session: str, config: Path | None, log: Path | None, journals: Path, once: bool, as_json: bool) -> None:
    """Watch SESSION or FOLDER until a signal. `watch` may be left out."""
    from engine.live.logs import configure
    from verbatim.alerts.alert_log import AlertLog, AlertLogError
    from verbatim.alerts.channels import make_heartbeat, make_senders
    from verbatim.alerts.watcher import Watcher
    from verbatim.sections import ConfigError

    chosen, base = _read(config)
    sessions = _sessions(session, journals, may_wait=not once)
    if once:
        _print_findings(chosen, sessions, as_json=as_json)
        return
    configure(level="info", json_lines=as_json)
    try:
        senders, heartbeat = make_senders(chosen, base), make_heartbeat(chosen, base)
        writer = AlertLog(_log_path(chosen, base, log), is_watcher=True)
        watcher = Watcher(chosen, sessions, writer, senders, heartbeat=heartbeat)
        _run(watcher)
    except ConfigError as error:
        stop(str(error), BAD_INPUT)
    except AlertLogError as error:
        stop(str(error), FAILED)


def _run(watcher: Any) -> None:
    """Run a watcher until SIGINT or SIGTERM."""
    import signal

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: watcher.ended.set()) for number in numbers]
    try:
        watcher.run()
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@command.command("list")
@config_option
@log_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_alerts(*, config: Path | None, log: Path | None, as_json: bool) -> None:
    """List the open alerts and the channels, as the watcher's log has them."""
    import json
    from datetime import UTC, datetime

    import msgspec

    from verbatim.alerts.alert_book import channel_line
    from verbatim.alerts.alert_log import AlertLogError, read_state, unreadable_text

    chosen, base = _read(config)
    path = _log_path(chosen, base, log)
    try:
        state, unreadable = read_state(path)
    except AlertLogError as error:
        stop(str(error), BAD_INPUT)
    if unreadable:
        echo_line(f"verbatim: {unreadable_text(path, unreadable)}", err=True)
    alerts = [alert for alert in state.alerts.values() if not alert.ended_ns]
    if as_json:
        found = {
            "alerts": alerts,
            "channels": {name: channel_line(name, each) for name, each in state.channels.items()},
            "unreadable": unreadable,  # lines of the log
        }
        echo(json.dumps(msgspec.to_builtins(found)))
        return
    for alert in alerts:
        finding = alert.finding
        since = datetime.fromtimestamp(alert.opened_ns // 10**9, UTC)
        known = f", acknowledged by {alert.acknowledged_by}" if alert.is_acknowledged else ""
        about = f" {finding.about}" if finding.about else ""
        echo_line(
            f"{alert.number:>4}  {finding.severity.value:8}  {finding.rule}{about}  {alert.target}  "
            f"since {since:%Y-%m-%d %H:%M:%S} UTC{known}: {finding.text}"
        )
    for name, channel in sorted(state.channels.items()):
        echo_line(f"channel {channel_line(name, channel)}")
    if not alerts:
        echo("no alert is open")


@command.command("ack")
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...|all")
@config_option
@log_option
@click.option("--note", default="", help="A remark, kept in the log.")
def acknowledge(*, numbers: tuple[str, ...], config: Path | None, log: Path | None, note: str) -> None:
    """Acknowledge open alerts: they are not repeated, and their end is still reported. A running watcher reads it."""
    import getpass
    import time

    from verbatim.alerts.alert_book import AlertBook
    from verbatim.alerts.alert_log import AlertLog, AlertLogError, read_state, unreadable_text
    from verbatim.alerts.alert_messages import one_line

    chosen, base = _read(config)
    path = _log_path(chosen, base, log)
    try:
        state, unreadable = read_state(path)
        if unreadable:
            echo_line(f"verbatim: {unreadable_text(path, unreadable)}", err=True)
        known = [alert.number for alert in state.alerts.values() if not alert.ended_ns]
        wanted = known if numbers == ("all",) else _numbers(numbers, known)
        events = AlertBook(chosen.policy(), state).acknowledge(
            wanted, time.time_ns(), by=getpass.getuser(), note=one_line(note)
        )
        writer = AlertLog(path)
        writer.append(events)
        writer.close()
    except AlertLogError as error:
        stop(str(error), BAD_INPUT)
    echo(f"acknowledged: {', '.join(map(str, wanted)) or 'no alert is open'}")


def _numbers(texts: tuple[str, ...], known: list[int]) -> list[int]:
    """Return the numbers of open alerts that a user names."""
    for text in texts:
        if not text.isdecimal() or int(text) not in known:
            stop(f"no alert {text} is open. What to do: verbatim alerts list", BAD_INPUT)
    return [int(text) for text in texts]


@command.command("test")
@config_option
@log_option
@click.option("--channel", "channels", multiple=True, help="A channel; may be repeated. Default: all.")
def trial(*, config: Path | None, log: Path | None, channels: tuple[str, ...]) -> None:
    """Send a trial message, also in quiet hours. The exit code is 0 only if every channel accepts it."""
    import time

    from engine.suggestions import suggestion
    from verbatim.alerts.alert_events import TrialEnded
    from verbatim.alerts.alert_log import AlertLog, AlertLogError
    from verbatim.alerts.alert_messages import trial_message
    from verbatim.alerts.channels import make_senders
    from verbatim.alerts.watcher import deliver
    from verbatim.sections import ConfigError

    chosen, base = _read(config)
    for name in channels:
        if name not in chosen.channel:
            stop(f"there is no channel {name}{suggestion(name, chosen.channel)} in the configuration", BAD_INPUT)
    names = channels or tuple(chosen.channel)
    if not names:
        stop(
            "there is no channel. What to do: name a configuration with a section [channel.NAME] by --config", BAD_INPUT
        )
    failed = False
    try:
        senders, writer = make_senders(chosen, base), AlertLog(_log_path(chosen, base, log))
        for name in names:
            found = deliver(name, senders[name], trial_message(time.time_ns(), name))
            writer.append([TrialEnded(time.time_ns(), name, found.reason)])
            failed, remark = failed or bool(found.reason), found.reason or found.note
            echo_line(f"{'FAIL' if found.reason else 'OK':4}  {name}{f': {remark}' if remark else ''}")
        writer.close()
    except ConfigError as error:
        stop(str(error), BAD_INPUT)
    except AlertLogError as error:
        stop(str(error), FAILED)
    if failed:
        raise SystemExit(FAILED)


# ---- parts


def _read(path: Path | None) -> "tuple[AlertConfig, Path]":
    """Return the configuration and its folder; without a file the defaults, which have no channel."""
    from verbatim.alerts.alert_config import AlertConfig, read_alert_config
    from verbatim.sections import ConfigError

    if path is None:
        return AlertConfig(), Path()
    try:
        return read_alert_config(path), path.parent
    except ConfigError as error:
        stop(str(error), BAD_INPUT)


def _log_path(config: "AlertConfig", base: Path, chosen: Path | None) -> Path:
    from verbatim.alerts.alert_config import log_path

    return log_path(config, base, chosen)


def _sessions(session: str, journals: Path, *, may_wait: bool) -> "WatchedSessions":
    """Return the sessions to watch: a folder's, or one. A watcher may wait for a folder that does not exist yet."""
    from journal.errors import JournalError
    from journal.recover import has_segments
    from journal.sessions import is_folder
    from verbatim.alerts.watched_sessions import WatchedSessions
    from verbatim.options import LAST
    from verbatim.session_lookup import find

    if session == LAST:
        if not journals.is_dir() and (not may_wait or journals.exists()):
            stop(f"{journals} is not a folder. What to do: name the folder of the sessions with --journals.", BAD_INPUT)
        return WatchedSessions(journals)
    path = Path(session)
    if is_folder(path) and not has_segments(path):
        return WatchedSessions(path)
    if may_wait and os.sep in session and not os.path.lexists(path):  # without a separator it may be a mistyped id
        return WatchedSessions(path)
    try:
        folder = find(journals, session)
    except JournalError as error:
        stop(str(error), BAD_INPUT)
    return WatchedSessions(folder.parent, only=folder)


def _print_findings(config: "AlertConfig", sessions: "WatchedSessions", *, as_json: bool) -> None:
    """Print what the rules find now. The exit code is 1 if that is anything."""
    import json
    import time

    import msgspec

    from verbatim.alerts.alert_events import WATCHER
    from verbatim.alerts.alert_rules import evaluate

    list(sessions.refresh())
    findings = [(WATCHER, finding) for finding in sessions.folder_findings()]
    for target, watched in sorted(sessions.by_target.items()):
        while (found := watched.observe(time.monotonic())) is None:
            time.sleep(0.05)
        findings += [(target, each) for each in evaluate(found[0], config.rule_options()) if not each.is_event]
    sessions.close()
    for target, finding in findings:
        if as_json:
            echo(json.dumps({"target": target, **msgspec.to_builtins(finding)}))
        else:
            about = f" {finding.about}" if finding.about else ""
            echo_line(f"{finding.severity.value:8}  {finding.rule}{about}  {target}: {finding.text}")
    if findings:
        raise SystemExit(DIFFERS)
    if not as_json:
        echo("no rule finds anything")
