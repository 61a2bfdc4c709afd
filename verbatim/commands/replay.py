"""`verbatim replay`: decide a session again and compare, by replay/replay.py and replay/strict.py."""

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verbatim.exit_codes import DIFFERS, FAILED, stop
from verbatim.options import complete_file, journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from engine.session_record import SessionBody
    from journal.record import Record
    from replay.replay import ReplayResult
    from replay.strict import StrictResult

BODY_MAX = 4_000  # characters of a body that --explain shows


@click.command("replay")
@session_argument()
@click.option("--until", metavar="SEQ|TIME", help="Stop after this record, or at HH:MM:SS or an ISO time (UTC).")
@click.option(
    "--strategy",
    shell_complete=complete_file,
    metavar="FILE[:CLASS]",
    help="Decide with this strategy in place of the recorded one.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="risk.NAME, rule.NAME.SETTING, engine.NAME or strategy.NAME.PARAMETER.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Repeat in four processes, two hash seeds x compiled and plain; compare every record.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    help="Repeat it in pieces, cut at snapshots, in so many processes; 0: one for each core.",
)
@click.option(
    "--explain", is_flag=True, help="Both records of a difference in full, and what the engine believed there."
)
@click.option(
    "--trust-code", is_flag=True, help="Run recorded strategies though they were not recorded on this machine."
)
@journals_option
@click.option("--json", "as_json", is_flag=True, help="The verdict as one JSON object.")
def command(
    *,
    session: str,
    until: str | None,
    strategy: str | None,
    settings: tuple[str, ...],
    strict: bool,
    workers: int,
    explain: bool,
    trust_code: bool,
    journals: Path,
    as_json: bool,
) -> None:
    """Repeat SESSION from its journal and compare every output with the recorded one.

    Ends with 0 where all is identical, with 1 at the first difference, which is named with its causes. With --strategy
    or --set it shows what a change would have altered first.
    """
    if strict and (strategy or settings):
        raise click.UsageError("--strict compares a session with itself: without --strategy and --set")
    if workers != 1 and (strict or strategy or settings):
        raise click.UsageError("--workers repeats a session as it is: without --strict, --strategy and --set")
    from engine.errors import CoreError
    from engine.strategy.source_guard import StrategyError
    from journal.errors import DamagedJournalError, JournalError
    from replay.code_trust import UntrustedSourceError
    from replay.moments import UnknownMomentError
    from replay.network_guard import SocketOpenedError
    from replay.overrides import UnknownOverrideError, parse_settings
    from replay.strict import StrictReplayError
    from replay.study.workers import WorkFailedError
    from verbatim.strategy_files import read_strategy

    try:
        opened = open_to_read(journals, session)
        if strict:
            with progress("replaying", "variants") as line:
                strict_verdict = opened.replay_strictly(until=until, trust_code=trust_code, on_progress=line.report)
            _end_strict(strict_verdict, as_json=as_json)
            return
        with progress("replaying") as line:
            verdict = opened.replay(
                until=until,
                overrides=parse_settings(settings),
                strategy=read_strategy(strategy) if strategy else None,
                workers=workers or os.cpu_count() or 1,
                trust_code=trust_code,
                on_progress=line.report,
                command=_again(session, strategy, settings, journals, trust_code=trust_code),
            )
    except WorkFailedError as error:
        stop(str(error), FAILED)
    except (DamagedJournalError, CoreError, StrictReplayError) as error:
        stop(str(error), DIFFERS)
    except (
        JournalError,
        StrategyError,
        UnknownOverrideError,
        UnknownMomentError,
        UntrustedSourceError,
        SocketOpenedError,
    ) as error:
        stop(str(error))
    if workers != 1 and verdict.pieces == 1:
        echo("in one piece; a long session's snapshots are kept now, and the next replay is cut at them", err=True)
    _end(opened.folder, verdict, explain=explain, as_json=as_json)


def version_note(recorded: "SessionBody") -> str:
    """Return that another ccxt reads the session than it had; "" if there is nothing to say."""
    from importlib.metadata import version

    is_read = any((venue.kind or venue.name).startswith("ccxt:") for venue in recorded.venues)
    ours = version("ccxt") if is_read else ""
    theirs = recorded.versions.get("ccxt", ours)
    return "" if theirs == ours else f"recorded with ccxt {theirs}, and ccxt {ours} reads it: the replay may differ"


def _end(folder: Path, verdict: "ReplayResult", *, explain: bool, as_json: bool) -> None:
    from engine.session_record import read_session
    from journal.reader import Journal

    if note := version_note(read_session(Journal.open(folder).session_record().body or "")):
        echo(note, err=True)
    if as_json:
        echo(json.dumps(_as_json(verdict)))
    else:
        if explain and verdict.difference is not None:
            _explain(folder, verdict)
        echo(verdict.text())
    if not verdict.identical:
        raise SystemExit(DIFFERS)


def _again(session: str, strategy: str | None, settings: tuple[str, ...], journals: Path, *, trust_code: bool) -> str:
    """Return the command line, to repeat it with --until and --explain."""
    words = ["verbatim", "replay", session]
    words += ["--strategy", strategy] if strategy else []
    for text in settings:
        words += ["--set", text]
    words += ["--journals", str(journals)] if journals != Path("journals") else []
    words += ["--trust-code"] if trust_code else []
    return shlex.join(words)


def _explain(folder: Path, verdict: "ReplayResult") -> None:
    """Print both records in full, and the state of the recorded session before them."""
    from engine.strategy.source_guard import StrategyError
    from replay.rebuild import rebuild
    from replay.state_report import describe_state, state_lines

    difference = verdict.difference
    assert difference is not None, "checked by the caller"
    for name, record in (("recorded", difference.recorded), ("replayed", difference.replayed)):
        echo(f"{name}: " + ("nothing" if record is None else _whole(record)))
    try:
        lines = state_lines(describe_state(*rebuild(folder, until=max(0, difference.seq - 1))))
    except StrategyError as error:
        lines = [str(error)]
    echo("\nbefore it, the recorded session believed:")
    for line in lines:
        echo_line(f"  {line}")
    echo("")


def _whole(record: "Record") -> str:
    body = record.body if record.body is not None else (record.payload or b"").decode("utf-8", "backslashreplace")
    return f"{record.kind} of {record.source}, cause {record.cause}, key {record.key}\n  {body[:BODY_MAX]}"


def _as_json(verdict: "ReplayResult") -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(verdict, name) for name in verdict.__struct_fields__ if name != "difference"}
    difference = verdict.difference
    found["difference"] = None
    if difference is not None:
        found["difference"] = {
            "seq": difference.seq,
            "what": difference.what,
            "fields": difference.fields,
            "recorded": _record_json(difference.recorded),
            "replayed": _record_json(difference.replayed),
            "chain": difference.chain,
            "command": difference.command,
        }
    return found


def _record_json(record: "Record | None") -> dict[str, Any] | None:
    if record is None:
        return None
    found = {name: getattr(record, name) for name in record.__struct_fields__}
    found["payload"] = None if record.payload is None else record.payload.decode("utf-8", "backslashreplace")
    return found


def _end_strict(verdict: "StrictResult", *, as_json: bool) -> None:
    import msgspec

    if as_json:
        echo(json.dumps(msgspec.to_builtins(verdict)))
    else:
        echo(verdict.text())
    if not verdict.identical:
        raise SystemExit(DIFFERS)
