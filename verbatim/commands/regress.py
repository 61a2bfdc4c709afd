"""`verbatim regress`: compare strategy versions on recorded sessions, by replay/study/regress.py and workers.py."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verbatim.exit_codes import DIFFERS
from verbatim.fleet_options import selection_options
from verbatim.options import complete_file, journals_option, session_argument
from verbatim.progress_line import progress
from verbatim.session_lookup import open_to_read
from verbatim.study_failures import study_failures
from verbatim.terminal import echo, echo_line, make_console

if TYPE_CHECKING:
    from analysis.fleet_selection import Selection
    from analysis.session_tables import LeftOutSession
    from replay.study.regress import Job, RegressRow
    from replay.study.versions import ArchivedJob, Version, VersionRequest
    from verbatim.fleet_lookup import FoundFleet


@click.command("regress")
@session_argument("sessions", nargs=-1, required=True)
@click.option(
    "--version",
    "versions",
    shell_complete=complete_file,
    multiple=True,
    metavar="FILE[@REVISION][:CLASS]",
    help="A strategy file, also at a git revision. Compared with the recorded one, else with the first version.",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME=VALUE[,NAME=VALUE]",
    help="The recorded strategy with other settings: as --set of resim.",
)
@click.option(
    "--modelled", is_flag=True, help="The simulated venue answers from the first request on, for every version."
)
@click.option("--model", "model_settings", multiple=True, metavar="NAME=VALUE", help="As of resim.")
@click.option("--balance", "balances", multiple=True, metavar="ASSET=AMOUNT", help="As of resim.")
@click.option("--on", default="", metavar="dask://HOST:PORT", help="Work there; else in processes of this machine.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes here; 0: one for each core.")
@click.option("--report", type=click.Path(path_type=Path), help="Write a page of HTML.")
@click.option("--fresh", is_flag=True, help="Repeat all work and ignore kept results.")
@click.option(
    "--trust-code", is_flag=True, help="Run recorded strategies though they were not recorded on this machine."
)
@selection_options
@journals_option
@click.option("--json", "as_json", is_flag=True, help="The rows as one JSON object.")
def command(
    *,
    sessions: tuple[str, ...],
    versions: tuple[str, ...],
    variants: tuple[str, ...],
    modelled: bool,
    model_settings: tuple[str, ...],
    balances: tuple[str, ...],
    on: str,
    workers: int,
    report: Path | None,
    fresh: bool,
    trust_code: bool,
    selection: "Selection",
    journals: Path,
    as_json: bool,
) -> None:
    """Resimulate SESSIONS with each version and say what it would have decided and come to, held against the first.

    A SESSION may be the address of an archive, as s3://bucket/folder/session: each worker fetches it once and keeps it.
    It may be a pattern, as s3://bucket/2026-*/: its catalogue says which sessions --from, --to and --instrument mean.
    The first row is the session as recorded; with --modelled, a backtest of the recorded strategy. Ends with 1 if a
    version changed a decision or could not be run.
    """
    if not versions and not variants:
        raise click.UsageError("--version FILE or --variant NAME=VALUE says what is held against what was recorded")
    if report is not None and not report.absolute().parent.is_dir():
        raise click.UsageError(f"--report: there is no folder {report.parent}")
    from engine.sim.venue_model import parse_balances
    from journal.errors import ArchiveRefusedError
    from replay.overrides import parse_settings
    from replay.study.regress import regress_rows
    from replay.study.versions import VersionRequest, run_any_job
    from replay.study.workers import run_jobs
    from verbatim.fleet_lookup import find_fleet, means_several
    from verbatim.warmup import compile_if_new

    with study_failures():
        tried = _versions(versions, variants)
        asked = VersionRequest(
            strategy_name=next((each.strategy.name for each in tried if each.strategy), ""),
            model_settings=parse_settings(model_settings),
            balances=parse_balances(parse_settings(balances)),
            modelled=modelled,
            cache_folder=None if fresh else journals.absolute().parent / "resims" / ".results",
            trust_code=trust_code,
        )
        jobs: list[Job | ArchivedJob] = []
        compile_if_new()
        left_out: list[LeftOutSession] = []
        for session in sessions:
            if means_several(session, selection):
                jobs += _fleet_jobs(find_fleet(session, selection), tried, asked, left_out)
            else:
                jobs += _jobs(session, journals, tried, asked)
        if left_out and not jobs:
            raise ArchiveRefusedError(f"no session can be read: {left_out[0]}.")
        with progress("resimulating", "runs") as line:
            ends = run_jobs(run_any_job, jobs, on=on, workers=workers, on_job_done=line.report)
        found = regress_rows(jobs, ends)
    if report is not None:
        from analysis.regress_report import regress_page

        report.write_text(regress_page(found, _title(found)), encoding="utf-8")
    if as_json:
        echo(json.dumps({"rows": [_as_json(row) for row in found]}))
    else:
        _table(found)
        if report is not None:
            echo(f"report: {report}")
    for each in left_out:
        echo(f"verbatim: {each}", err=True)
    if left_out or any(row.changed or row.outcome.error for row in found):
        raise SystemExit(DIFFERS)


def _versions(files: Sequence[str], variants: Sequence[str]) -> "list[Version]":
    from replay.overrides import parse_settings
    from replay.study.versions import RECORDED, Version
    from verbatim.strategy_files import read_strategy

    tried = [
        Version(RECORDED),
        *(Version(variant, settings=parse_settings(variant.split(","))) for variant in variants),
    ]
    return [*tried, *(Version(file, read_strategy(file)) for file in files)]


def _jobs(
    session: str, journals: Path, versions: "Sequence[Version]", asked: "VersionRequest"
) -> "Sequence[Job | ArchivedJob]":
    from journal.session_names import is_address
    from replay.study.versions import ArchivedJob, jobs_for_session

    if is_address(session):
        return [ArchivedJob(version, session, asked) for version in versions]
    return [
        job
        for place in open_to_read(journals, session).places
        for job in jobs_for_session(place.folder, versions, asked, trust_key=place.trust_key)
    ]


def _fleet_jobs(
    fleet: "FoundFleet", versions: "Sequence[Version]", asked: "VersionRequest", left_out: "list[LeftOutSession]"
) -> "Sequence[Job | ArchivedJob]":
    """Return the jobs on the sessions of a pattern. One that cannot be read costs itself, and is named."""
    from analysis.session_tables import LeftOutSession
    from journal.errors import JournalError
    from journal.trust_key import trust_key
    from replay.study.versions import ArchivedJob, jobs_for_session

    left_out += fleet.left_out
    jobs: list[Job | ArchivedJob] = [
        ArchivedJob(version, address, asked) for address in fleet.addresses for version in versions
    ]
    for folder in fleet.folders:
        try:
            jobs += jobs_for_session(folder, versions, asked, trust_key=trust_key())
        except JournalError as error:
            left_out.append(LeftOutSession(str(folder), str(error)))
    return jobs


def _title(found: "Sequence[RegressRow]") -> str:
    counts = (len({row.version for row in found}), "version"), (len({row.session for row in found}), "session")
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts)


def _table(found: "Sequence[RegressRow]") -> None:
    from rich.table import Table
    from rich.text import Text

    from journal.printable import printable

    table = Table(box=None, pad_edge=False)
    for head in ("session", "version"):
        table.add_column(head, overflow="fold")
    for head in ("changed", "orders", "fills", "P&L after fees", "change", "trading", "fees"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in found:
        if row.outcome.result is None:
            table.add_row(Text(printable(row.session)), Text(printable(row.version)), "-", "-", "-", "-", "-", "-", "-")
            continue
        tally = row.outcome.result.performance
        numbers = (
            f"{tally.pnl:.4f}",
            f"{row.pnl_change:+.4f}",
            f"{row.trading_change:+.4f}",
            f"{row.fees_change:+.4f}",
        )
        table.add_row(
            Text(printable(row.session)),
            Text(printable(row.version)),
            f"{len(row.changed):,}",
            f"{tally.placed:,}",
            f"{tally.fills:,}",
            *numbers,
        )
    make_console(width=None if sys.stdout.isatty() else 160).print(table)
    for row in found:
        troubles = [row.outcome.error] if row.outcome.result is None else row.outcome.result.performance.troubles
        for trouble in troubles:
            echo_line(f"{row.version} on {row.session}: {trouble}", err=True)
    other = sorted({row.version for row in found if row.changed})
    failed = sorted({row.version for row in found if row.outcome.error})
    said = [f"{', '.join(other)} decided otherwise"] if other else []
    said += [f"{', '.join(failed)} could not be run to the end everywhere"] if failed else []
    echo(f"regress: {'; '.join(said) or 'no version changed a decision'}")


def _as_json(row: "RegressRow") -> dict[str, object]:
    import msgspec

    done = row.outcome.result
    return {
        "session": row.session,
        "version": row.version,
        "error": row.outcome.error,
        "exactness": "" if done is None else done.exactness,
        "decisions": 0 if done is None else len(done.decisions),
        "changed": len(row.changed),
        "tally": None if done is None else msgspec.to_builtins(done.performance),
        "pnl_change": str(row.pnl_change),
        "trading_change": str(row.trading_change),
        "fees_change": str(row.fees_change),
    }
