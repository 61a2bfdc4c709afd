"""`verbatim bisect`: the commit that changed what a strategy decides, or the smallest run of records that shows it.

It resimulates by replay/study/regress.py, searches runs by replay/study/minimize.py and reads strategies by
verbatim/strategy_files.py.
"""
# ruff: noqa: A005 - a command's module bears its name, and is only ever imported as one of verbatim.commands

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from verbatim.exit_codes import DIFFERS, stop
from verbatim.options import complete_file, journals_option, json_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.study_failures import study_failures
from verbatim.terminal import echo, echo_line

if TYPE_CHECKING:
    from engine.session_record import SessionBody
    from replay.study.decisions import ChangedDecision
    from replay.study.minimize import MinimalRun
    from replay.study.regress import JobResult

SHOWN = 10
RECORDED = "recorded"


@click.command("bisect")
@session_argument()
@click.argument("strategy", shell_complete=complete_file, metavar="[FILE[:CLASS]]", required=False)
@click.option(
    "--records", is_flag=True, help="Find the smallest run of records over which --good and --bad decide otherwise."
)
@click.option(
    "--good",
    metavar="REVISION",
    help="Of FILE, where it decided as it should; with --records also FILE[:CLASS]. Default there: the recorded one.",
)
@click.option(
    "--bad",
    metavar="REVISION",
    help="Of FILE, where it decides otherwise. Default: HEAD; with --records as --good, with --variant --good itself.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of both: risk.NAME, rule.NAME.SETTING, engine.NAME or strategy.NAME.PARAMETER.",
)
@click.option("--variant", metavar="NAME=VALUE[,NAME=VALUE]", help="With --records: of the bad one alone, as --set.")
@click.option(
    "--balance",
    "balances",
    multiple=True,
    metavar="ASSET=AMOUNT",
    help="Opening balance of the account, where the session states none.",
)
@click.option("--trust-code", is_flag=True, help="Run code though the session was not recorded on this machine.")
@journals_option
@json_option
def command(
    *,
    session: str,
    strategy: str | None,
    records: bool,
    good: str | None,
    bad: str | None,
    settings: tuple[str, ...],
    variant: str | None,
    balances: tuple[str, ...],
    trust_code: bool,
    journals: Path,
    as_json: bool,
) -> None:
    """Find the commit that changed the decisions of FILE on SESSION, or with --records the smallest run that shows it.

    Commits between --good and --bad that touch the file's folder are tried by bisection, each with a resimulation. A
    run of records is tried with a backtest of both versions over it; before its first record strategies do not decide.
    Ends with 1 if a change is found, with 0 if no decision changed.
    """
    if records:
        if strategy is None and bad is None and variant is None:
            raise click.UsageError("FILE, --bad or --variant must name the version to compare with --good")
        bad = bad or (
            good if good and variant else "HEAD" if strategy else RECORDED
        )  # a variant changes the good version
        sides = (
            _VersionSpec(good or RECORDED, strategy, settings),
            _VersionSpec(bad, strategy, (*settings, *(variant.split(",") if variant else ()))),
        )
        _by_records(session, sides, balances, trust_code=trust_code, journals=journals, as_json=as_json)
        return
    if strategy is None or good is None:
        raise click.UsageError("FILE and --good must name the commits to try")
    if variant is not None:
        raise click.UsageError("--variant needs --records: without it, commits are compared")
    _by_commits(
        session,
        strategy,
        good,
        bad or "HEAD",
        settings,
        balances,
        trust_code=trust_code,
        journals=journals,
        as_json=as_json,
    )


# ---- commits


def _by_commits(  # noqa: PLR0917 - as the command has them
    session: str,
    strategy: str,
    good: str,
    bad: str,
    settings: tuple[str, ...],
    balances: tuple[str, ...],
    *,
    trust_code: bool,
    journals: Path,
    as_json: bool,
) -> None:
    from engine.strategy.source_guard import StrategyError
    from replay.overrides import UnknownOverrideError, apply_overrides, parse_settings, with_strategy
    from replay.study.decisions import changed_decisions
    from replay.study.regress import Job, run_job
    from verbatim.changed_session import changed_session
    from verbatim.strategy_files import commits, read_strategy

    path, _, cls = strategy.partition(":")

    with study_failures():
        overrides = parse_settings(settings)
        base = changed_session(
            open_to_read(journals, session),
            balances=parse_settings(balances),
            needs_decisions=True,
            trust_code=trust_code,
        )
        folder = base.folder

        def decided(revision: str) -> "JobResult | str":
            """Resimulate a revision; return its result, or the reason why it cannot run, which differs too."""
            try:
                version = read_strategy(f"{path}@{revision}{':' + cls if cls else ''}")
                body = apply_overrides(with_strategy(base.recorded, version), overrides)
            except StrategyError as error:
                return str(error)
            job = Job(
                version=revision,
                folder=folder.absolute(),
                body=body,
                model=base.model,
                balances=base.balances,
                cache_folder=journals.absolute().parent / "resims" / ".results",
            )
            ended = run_job(job)
            return ended.error if ended.result is None else ended.result

        first = decided(good)
        if isinstance(first, str):
            stop(f"at {good} it cannot be run: {first}")

        def other(revision: str) -> "list[ChangedDecision] | str":
            found = decided(revision)
            return found if isinstance(found, str) else changed_decisions(first.decisions, found.decisions)

        between = commits(Path(path), good, bad)
        if not between:
            raise UnknownOverrideError(
                f"no commit between {good} and {bad} touches {Path(path).absolute().parent}. "
                "What to do: name an ancestor of --bad with --good."
            )
        with progress("resimulating", "commits"):
            at = _first_other(len(between), lambda number: bool(other(between[number][0])))
        if at is None:
            if as_json:
                echo(json.dumps({"commits": len(between), "commit": None}))
                return
            echo(f"bisect: of {len(between)} commits from {good} to {bad} none decides otherwise on {folder.name}")
            return
        revision, title = between[at]
        why = other(revision)
    if as_json:
        echo(json.dumps({"commits": len(between), "commit": revision, "title": title, **_change_json(why)}))
    else:
        echo(f"bisect: {revision[:12]} {title}")
        _print_change(why)
    raise SystemExit(DIFFERS)


def _change_json(why: "list[ChangedDecision] | str") -> dict[str, Any]:
    import msgspec

    return {"error": why, "changed": []} if isinstance(why, str) else {"error": "", "changed": msgspec.to_builtins(why)}


def _print_change(why: "list[ChangedDecision] | str") -> None:
    from replay.study.decisions import decision_diff_lines

    if isinstance(why, str):
        echo(f"  it cannot be run there: {why}")
        return
    echo(f"  {len(why):,} decisions changed")
    for line in decision_diff_lines(why, SHOWN):
        echo_line(f"  {line}")


def _first_other(count: int, is_other: Callable[[int], bool]) -> int | None:
    """Return the first number for which `is_other` holds, given that it holds from there on; None if it never does."""
    if not count or not is_other(count - 1):
        return None
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if is_other(middle):
            high = middle
        else:
            low = middle + 1
    return low


# ---- records


class _VersionSpec:
    """One of the two versions to compare."""

    def __init__(self, version: str, file: str | None, settings: tuple[str, ...]) -> None:
        """Read a version: a file, `recorded`, or a revision of `file`."""
        self.version = version
        self.settings = settings
        self.spec: str | None = None  # for read_strategy; None: the recorded one
        if version != RECORDED:
            path, _, cls = (file or "").partition(":")
            is_file = ".py" in version
            if not is_file and not file:
                raise click.UsageError(f"{version} is not a file. What to do: name the FILE of this revision")
            self.spec = version if is_file else f"{path}@{version}{':' + cls if cls else ''}"

    @property
    def stem(self) -> str:
        return Path((self.spec or "").partition(".py")[0]).name

    @property
    def text(self) -> str:
        return ", ".join((self.spec or RECORDED, *self.settings))

    def body(self, recorded: "SessionBody", called: str) -> "SessionBody":
        """Return the session with this version. `called` names the strategy if the session ran none."""
        from replay.overrides import UnknownOverrideError, apply_overrides, parse_settings, with_strategy
        from verbatim.strategy_files import read_strategy

        if self.spec is None and not recorded.strategies:
            raise UnknownOverrideError(
                f"{recorded.session} ran no strategy. What to do: name two versions of one with --good and --bad."
            )
        body = recorded if self.spec is None else with_strategy(recorded, read_strategy(self.spec, name=called))
        return apply_overrides(body, parse_settings(self.settings))

    def again(self, called: str) -> list[str]:
        """Return the options of `verbatim backtest` for this version, where its strategy has the name of its file."""
        settings = (
            each.replace(f"strategy.{called}.", f"strategy.{self.stem}.", 1) if called else each
            for each in self.settings
        )
        return [*(["--strategy", self.spec] if self.spec else []), *(f"--set={each}" for each in settings)]


def _by_records(
    session: str,
    sides: tuple[_VersionSpec, _VersionSpec],
    balances: tuple[str, ...],
    *,
    trust_code: bool,
    journals: Path,
    as_json: bool,
) -> None:
    import msgspec

    from replay.network_guard import no_sockets
    from replay.overrides import parse_settings
    from replay.resim.resimulate import ResimOptions
    from replay.study.minimize import find_minimal_run
    from verbatim.changed_session import changed_session
    from verbatim.warmup import compile_if_new

    with study_failures():
        base = changed_session(
            open_to_read(journals, session), balances=parse_settings(balances), trust_code=trust_code
        )
        recorded = base.recorded
        called = "" if recorded.strategies else sides[0].stem
        bodies = [side.body(recorded, called) for side in sides]
        compile_if_new()
        with no_sockets():
            good, bad = (ResimOptions(session=body, model=base.model, balances=base.balances) for body in bodies)
            with progress("resimulating", "runs") as line:
                found = find_minimal_run(base.folder, good, bad, line.report)
    if as_json and found.run is None:
        echo(json.dumps({**msgspec.to_builtins(found), "repeat": []}))
        return
    if found.run is None:
        echo(
            f"bisect: {found.decisions:,} decisions on {found.records:,} records of the market, and none differs: "
            f"{sides[1].text} decides as {sides[0].text}"
        )
        return
    words = ("--from", str(found.run.first_seq), "--until", str(found.run.last_seq))
    given_again = [
        *(f"--balance={each}" for each in balances),
        *(["--trust-code"] if trust_code else []),
        "--journals",
        str(journals),
    ]
    repeat = [["verbatim", "backtest", session, *words, *side.again(called), *given_again] for side in sides]
    if as_json:
        echo(json.dumps({**msgspec.to_builtins(found), "repeat": repeat}))
    else:
        _print_run(found.run, found.records, found.tried)
        echo("repeat it, the good one first:")
        for command_words in repeat:
            echo(f"  {shlex.join(command_words)}")
    raise SystemExit(DIFFERS)


def _print_run(run: "MinimalRun", of: int, tried: int) -> None:
    from replay.moments import iso_time
    from replay.study.decisions import decision_diff_lines

    echo(
        f"bisect: smallest run found: {run.records:,} of {of:,} records of the market, "
        f"{run.first_seq} to {run.last_seq}, {iso_time(run.first_ns)} to {iso_time(run.last_ns)}"
    )
    echo(
        f"  {len(run.changed):,} {'decision differs' if len(run.changed) == 1 else 'decisions differ'} in it; "
        f"with one record less at either end no decision differs ({tried} runs tried)"
    )
    for line in decision_diff_lines(run.changed, SHOWN, with_seqs=False):
        echo_line(f"  {line}")
