"""A sweep: variants of a strategy on sessions. A job is one variant on one session; its row has figures and returns.

A job is a value that any process can run alone, and the same job gives the same row everywhere, so rows are kept by the
hash of all inputs. Knows nothing of files of strategies, of workers, or of how variants are chosen.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec

from engine.session_context import SessionContext
from journal.archive_cache import cached_copy
from journal.reader import Journal
from journal.record import Record, canonical
from replay.code_digest import study_code_digest
from replay.overrides import UnknownOverrideError
from replay.projections import load_projection
from replay.resim.resimulate import ResimOptions, resimulate_decisions
from replay.study.regress import Job, job_failure, job_key, source_digest
from replay.study.return_figures import SECOND_NS, EquityPoint, sample_points
from replay.study.sweep_space import Variant
from replay.study.tear_sheet import TearSheet, TearSheetReader
from replay.study.trial import last_time_ns
from replay.study.versions import ArchivedJob, Version, VersionRequest, jobs_for_session, read_source, version_job

STEP_NS = 10 * SECOND_NS  # between two returns: as often as a session reports its P&L by default
RETURNS_MAX = 100_000  # of one row; a longer session gets longer steps


class SweepJob(msgspec.Struct, frozen=True):
    """One variant on one session."""

    variant: int
    session: str
    key: str  # hash of all inputs
    work: Job | ArchivedJob | None  # None: the variant does not fit, `error` says why
    step_ns: int = STEP_NS
    error: str = ""


class SweepRow(msgspec.Struct, frozen=True):
    """What one variant came to on one session. Money is in `currency`."""

    key: str
    variant: int
    session: str
    error: str = ""
    currency: str = ""
    pnl: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    drawdown: Decimal = Decimal(0)
    won: Decimal = Decimal(0)
    lost: Decimal = Decimal(0)
    orders: int = 0
    fills: int = 0
    maker_fills: int = 0
    trades: int = 0
    wins: int = 0
    exposed_ratio: float | None = None
    note: str = ""  # a reason to distrust the figures
    step_ns: int = 0
    returns: tuple[float, ...] = ()  # of equal steps from the session's start


class SweepSource(msgspec.Struct, frozen=True):
    """A session of a sweep: a folder of this machine, or the address of an archive."""

    name: str
    folder: Path | None = None
    address: str = ""
    trust_key: bytes = b""
    keeper: object = None  # owns a temporary folder, which is deleted with the last reference to it


def sweep_jobs(
    source: SweepSource, variants: Sequence[tuple[int, Variant]], base: Version, request: VersionRequest, step_ns: int
) -> list[SweepJob]:
    """Return the job of each variant on a session, which is read once for all of them.

    Args:
        source: The session.
        variants: The variants with their numbers.
        base: The strategy and the settings that every variant has.
        request: The options of the backtests.
        step_ns: Between two returns.

    Raises:
        JournalError: The session cannot be read.
        UnknownSettingError: A setting of the model does not fit.
        CannotResimulateError: The session cannot be resimulated.
        UntrustedSourceError: The recorded code is not trusted.
    """
    if source.folder is None:
        return [
            _archived(
                source,
                number,
                _version(base, variant, "" if base.strategy is None else base.strategy.name),
                request,
                step_ns,
            )
            for number, variant in variants
        ]
    read = read_source(source.folder, request, trust_key=source.trust_key)
    digest, jobs = source_digest(source.folder), []
    owner = next((each.name for each in read.recorded.strategies), "") if base.strategy is None else base.strategy.name
    for number, variant in variants:
        try:
            job = version_job(read, _version(base, variant, owner), request)
            jobs.append(SweepJob(number, source.name, f"{job_key(job, digest)}-{step_ns}", job, step_ns))
        except UnknownOverrideError as error:
            jobs.append(SweepJob(number, source.name, _hash(variant.label, digest), None, step_ns, str(error)))
    return jobs


def _archived(source: SweepSource, number: int, version: Version, request: VersionRequest, step_ns: int) -> SweepJob:
    work = ArchivedJob(version, source.address, request)
    return SweepJob(number, source.name, _hash(study_code_digest(), canonical(work), str(step_ns)), work, step_ns)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _version(base: Version, variant: Variant, owner: str) -> Version:
    """Return a variant as a version. A plain name is a parameter of the strategy `owner`."""
    settings = {
        parameter if "." in parameter else f"strategy.{owner}.{parameter}": value
        for parameter, value in variant.values.items()
    }
    return Version(variant.label, base.strategy, {**base.settings, **settings})


def run_sweep_job(job: SweepJob) -> SweepRow:
    """Run a job in any process. A variant that cannot be run gives a row with an error."""
    if job.work is None:
        return SweepRow(job.key, job.variant, job.session, job.error)
    try:
        return sheet_row(job, trial_sheet(local_job(job.work)))
    except Exception as error:  # noqa: BLE001 - a version's code or a damaged journal may raise any error
        return SweepRow(job.key, job.variant, job.session, job_failure(error).error)


def local_job(work: Job | ArchivedJob) -> Job:
    """Return a job of this machine; the session of an archive is fetched."""
    if isinstance(work, Job):
        return work
    [found] = jobs_for_session(cached_copy(work.address), [work.requested], work.request, trust_key=b"")
    return found


def trial_sheet(job: Job) -> TearSheet:
    """Run a backtest without a journal, and return its tear sheet.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
        CoreError: A step failed.
    """
    assert job.body is not None, "a variant has a session"
    options = ResimOptions(session=job.body, model=job.model, modelled=True, balances=job.balances)
    reader = TearSheetReader()

    def add_records(records: Sequence[Record]) -> None:
        for record in records:
            reader.add(record)

    resimulate_decisions(job.folder, options, add_records)
    reader.end(last_time_ns(job.folder, options))
    return reader.sheet()


def sheet_row(job: SweepJob, sheet: TearSheet) -> SweepRow:
    """Return the row of a tear sheet. A stopped strategy has figures, but its stop counts as the error."""
    step_ns, returns, note = curve_returns(sheet, job.step_ns)
    return SweepRow(
        key=job.key,
        variant=job.variant,
        session=job.session,
        error="; ".join(sheet.performance.stopped),
        currency=sheet.currency,
        pnl=sheet.total,
        fees=sheet.pnl.portfolio.fees,
        drawdown=sheet.drawdown.amount,
        won=sheet.trade_sums.won,
        lost=sheet.trade_sums.lost,
        orders=sheet.performance.placed,
        fills=sheet.performance.fills,
        maker_fills=sheet.performance.maker_fills,
        trades=sheet.trade_sums.count,
        wins=sheet.trade_sums.wins,
        exposed_ratio=sheet.exposed_ratio,
        note="; ".join([*sheet.performance.troubles, *([note] if note else [])]),
        step_ns=step_ns,
        returns=returns,
    )


def curve_returns(sheet: TearSheet, step_ns: int) -> tuple[int, tuple[float, ...], str]:
    """Return the step, the returns of equal steps from the session's start to its end, and a reason to distrust them.

    A session without a report has returns of 0, so that all variants have as many.
    """
    span_ns = sheet.ended_ns - sheet.started_ns
    step_ns = max(step_ns, -(-span_ns // RETURNS_MAX))
    count = span_ns // step_ns
    if not sheet.points:
        return step_ns, (0.0,) * count, ""
    times_ns = range(sheet.started_ns, sheet.started_ns + count * step_ns + 1, step_ns)
    sampled = sample_points(sheet.points, times_ns)
    is_known = all(point.equity is not None and point.equity > 0 for point in sheet.points)
    base = Decimal(1)
    found = tuple(_return(sooner, later, None if is_known else base) for sooner, later in pairwise(sampled))
    return step_ns, found, "" if is_known else f"the equity is not known: returns are changes of {sheet.currency}"


def _return(sooner: EquityPoint, later: EquityPoint, base: Decimal | None) -> float:
    return float((later.total - sooner.total) / (base or sooner.equity or Decimal(1)))


def decode_session(job: SweepJob) -> int:
    """Decode the market of a session into its cache, which all variants read. Return the number of its segments."""
    if job.work is None:
        return 0
    work = local_job(job.work)
    assert work.body is not None, "a variant has a session"
    journal, context, seq, count = Journal.open(work.folder), SessionContext(work.body, None), 0, 0
    while seq <= journal.last_seq:
        _, last_seq, sealed = journal.segment_at(seq)
        if sealed is not None:
            load_projection(sealed, context)
            count += 1
        seq = last_seq + 1
    return count
