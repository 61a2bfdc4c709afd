"""`verbatim shadow`: run another version beside a live session and send nothing, by replay/study/shadow.py."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import DIFFERS
from verbatim.options import complete_file, duration_option, journals_option, session_argument
from verbatim.session_lookup import open_to_read
from verbatim.study_failures import study_failures
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from types import FrameType

    from journal.live_journal import LiveJournal
    from replay.resim.resimulate import ResimOutcome
    from replay.study.decisions import ChangedDecision
    from replay.study.shadow import Shadow


@click.command("shadow")
@session_argument()
@click.option(
    "--strategy",
    shell_complete=complete_file,
    metavar="FILE[@REV][:CLASS]",
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
    "--model", "model_settings", multiple=True, metavar="NAME=VALUE", help="Of the simulated venue, as of resim."
)
@click.option(
    "--balance",
    "balances",
    multiple=True,
    metavar="ASSET=AMOUNT",
    help="Opening balance of the account, where the session states none.",
)
@duration_option("End after this time. Default: when the session ends.")
@click.option(
    "--trust-code", is_flag=True, help="Run recorded strategies though they were not recorded on this machine."
)
@journals_option
@click.option("--json", "as_json", is_flag=True, help="Each decision that differs, then the summary, as JSON lines.")
def command(
    *,
    session: str,
    strategy: str | None,
    settings: tuple[str, ...],
    model_settings: tuple[str, ...],
    balances: tuple[str, ...],
    seconds: float | None,
    seconds_old: float | None,
    trust_code: bool,
    journals: Path,
    as_json: bool,
) -> None:
    """Follow a running SESSION, decide with a change, send nothing, and print each decision that differs.

    It begins at the session's first record, to have the same state. Ends with the session, after --duration SECONDS or
    with Ctrl-C; with 1 where a decision differed.
    """
    from engine.sim.venue_model import UnknownSettingError
    from journal.live_journal import LiveJournal
    from replay.network_guard import no_sockets
    from replay.overrides import parse_settings
    from replay.resim.resimulate import ResimOptions, resimulate_decisions
    from replay.study.shadow import Shadow
    from verbatim.changed_session import changed_session
    from verbatim.strategy_files import read_strategy
    from verbatim.warmup import compile_if_new

    with study_failures():
        opened = open_to_read(journals, session)
        compile_if_new()
        changed = changed_session(
            opened,
            strategy=None if strategy is None else read_strategy(strategy),
            settings=parse_settings(settings),
            model=parse_settings(model_settings),
            balances=parse_settings(balances),
            needs_decisions=True,
            trust_code=trust_code,
        )
        folder, model = changed.folder, changed.model
        if model.clock == "venue":
            raise UnknownSettingError(
                "clock=venue needs a whole session. What to do: use verbatim resim when the session has ended."
            )
        wanted = ResimOptions(
            session=changed.body,
            model=model,
            balances=changed.balances,
            changes=(*([f"strategy {strategy}"] if strategy else []), *settings),
        )
        shadow = Shadow(
            _print_json_decision if as_json else _print_decision,
            _no_line if as_json else _print_handover,
        )
        if not as_json:
            echo(f"shadow: follows {folder} from its first record; Ctrl-C ends it")
        with no_sockets(), _until_end(seconds or seconds_old) as is_over:
            journal = LiveJournal(folder, is_over=is_over, on_records=shadow.add_recorded)
            outcome = resimulate_decisions(journal, wanted, shadow.add_resimulated)
        shadow.end()
    if as_json:
        _print_json_summary(journal, outcome, shadow)
    else:
        _print_summary(journal, outcome, shadow, model.text(changed.measured.origin(model)))
    if shadow.changed:
        raise SystemExit(DIFFERS)


@contextmanager
def _until_end(seconds: float | None) -> "Iterator[Callable[[], bool]]":
    """Yield a check that is true after Ctrl-C, SIGTERM or `seconds`; a second Ctrl-C interrupts at once."""
    ends_s = None if seconds is None else time.monotonic() + seconds
    told: list[int] = []

    def tell(number: int, _frame: "FrameType | None") -> None:
        if told:
            raise KeyboardInterrupt
        told.append(number)

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(told) or (ends_s is not None and time.monotonic() >= ends_s)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_decision(changed: "ChangedDecision") -> None:
    from replay.study.decisions import decision_diff_lines

    echo("\n".join(decision_diff_lines([changed])))


def _print_json_decision(changed: "ChangedDecision") -> None:
    import msgspec

    echo(json.dumps({"decision": msgspec.to_builtins(changed)}))


def _no_line(_seq: int, _why: str) -> None:
    """Print no line: the summary states from which record on the answers are modelled."""


def _print_json_summary(journal: "LiveJournal", outcome: "ResimOutcome", shadow: "Shadow") -> None:
    import msgspec

    live, ours = shadow.performances
    live_count, decided = shadow.counts
    summary = {
        "records": journal.last_seq + 1,
        "closed": journal.closed,
        "exactness": outcome.exactness,
        "decisions": {"live": live_count, "here": decided, "changed": shadow.changed},
        "live": msgspec.to_builtins(live.performance),
        "here": msgspec.to_builtins(ours.performance),
    }
    echo(json.dumps(summary))


def _print_handover(seq: int, why: str) -> None:
    echo(f"shadow: exact up to record {seq}, modelled from here: {why}")


def _print_summary(journal: "LiveJournal", outcome: "ResimOutcome", shadow: "Shadow", model: str) -> None:
    from replay.study.performance import side_by_side

    end = (
        "closed"
        if journal.closed
        else "still running"
        if journal.has_writer
        else "its process ended without closing it"
    )
    echo(f"shadow: {journal.last_seq + 1:,} records, {end}; {outcome.exactness}")
    if outcome.modelled:
        echo(model)
    if not outcome.balances_known:
        echo("balances: as given, since the session states none")
    live, ours = shadow.performances
    for line in side_by_side(live.performance, ours.performance):
        echo_line(line)
    live_count, decided = shadow.counts
    echo(f"decisions: {live_count:,} live, {decided:,} here; changed: {shadow.changed:,}")
