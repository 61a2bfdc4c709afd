"""A sweep: variants of a strategy on sessions. A job is one variant on one session; its row has figures and returns.

A job is a value that any process can run alone, and the same job gives the same row everywhere, so rows are kept by the
hash of all inputs. Knows nothing of files of strategies, of workers, or of how variants are chosen.
"""

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.session_context import SessionContext
from engine.step_context import Output
from journal.archive_cache import cached_copy
from journal.errors import JournalError
from journal.reader import Journal
from journal.record import Record, canonical
from replay.code_digest import study_code_digest
from replay.entries import Entry
from replay.overrides import UnknownOverrideError
from replay.projections import load_projection
from replay.resim.resimulate import ResimOptions, resimulate_steps
from replay.resim.sim_setup import CannotResimulateError
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
    span: tuple[int, int] | None = None  # steps from the session's start: trades these alone, flat before


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
        local = local_job(job.work)
        assert local.body is not None, "a variant has a session"
        return sheet_row(job, trial_sheet(local, span_ns(job)), local.body.engine.report_every_ns)
    except Exception as error:  # noqa: BLE001 - a version's code or a damaged journal may raise any error
        return SweepRow(job.key, job.variant, job.session, job_failure(error).error)


def span_ns(job: SweepJob) -> tuple[int, int] | None:
    """Return the part of the session that a job trades, from its start; None: all."""
    return None if job.span is None else (job.span[0] * job.step_ns, job.span[1] * job.step_ns)


def local_job(work: Job | ArchivedJob) -> Job:
    """Return a job of this machine; the session of an archive is fetched."""
    if isinstance(work, Job):
        return work
    [found] = jobs_for_session(cached_copy(work.address), [work.requested], work.request, trust_key=b"")
    return found


def trial_sheet(job: Job, span_ns: tuple[int, int] | None = None) -> TearSheet:
    """Run a backtest without a journal, and return its tear sheet.

    Args:
        job: The version on the session.
        span_ns: The part to trade, from the session's start: before it the strategy does not decide, and its
            indicators follow the market; after it nothing is read.

    Raises:
        CannotResimulateError: The session cannot be resimulated.
        CoreError: A step failed.
    """
    assert job.body is not None, "a variant has a session"
    options = ResimOptions(session=job.body, model=job.model, modelled=True, balances=job.balances)
    if span_ns is not None:
        journal = Journal.open(job.folder)
        begin, end = (journal.seq_at(job.body.started_ns + edge_ns) for edge_ns in span_ns)
        options = msgspec.structs.replace(options, from_seq=begin + 1 if span_ns[0] else 0, until_seq=max(end, 1))
    reader = TearSheetReader()

    def add_step(inputs: Sequence[Record], outputs: Sequence[Output]) -> None:
        for entry in chain[Entry](inputs, outputs):
            reader.add(entry)

    resimulate_steps(job.folder, options, add_step)
    reader.end(last_time_ns(job.folder, options))
    return reader.sheet()


def sheet_row(job: SweepJob, sheet: TearSheet, report_every_ns: int) -> SweepRow:
    """Return the row of a tear sheet. A stopped strategy has figures, but its stop counts as the error."""
    step_ns, returns, note = curve_returns(sheet, job.step_ns, report_every_ns, job.span)
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


def curve_returns(
    sheet: TearSheet, step_ns: int, report_every_ns: int = 0, span: tuple[int, int] | None = None
) -> tuple[int, tuple[float, ...], str]:
    """Return the step, the returns of all steps from the session's start, and a reason to distrust them.

    A session without a report has returns of 0, so that all variants have as many.

    Args:
        sheet: The tear sheet.
        step_ns: Between two returns. The step is a whole number of these, at least as long as the time between two
            reports of the P&L: no return is of a time in which nothing was reported.
        report_every_ns: The time between two reports.
        span: The steps to return. Default: all.
    """
    length_ns = sheet.ended_ns - sheet.started_ns
    step_ns *= -(-max(step_ns, report_every_ns) // step_ns)
    while length_ns // step_ns > RETURNS_MAX:
        step_ns *= 2
    first, end = (0, length_ns // step_ns) if span is None else span
    if not sheet.points:
        return step_ns, (0.0,) * (end - first), ""
    times_ns = [sheet.started_ns + step_ns * step for step in range(first, end + 1)]
    sampled = sample_points(sheet.points, times_ns)
    is_known = all(point.equity is not None and point.equity > 0 for point in sheet.points)
    base = Decimal(1)
    found = tuple(_return(sooner, later, None if is_known else base) for sooner, later in pairwise(sampled))
    return step_ns, found, "" if is_known else f"the equity is not known: returns are changes of {sheet.currency}"


def _return(sooner: EquityPoint, later: EquityPoint, base: Decimal | None) -> float:
    return float((later.total - sooner.total) / (base or sooner.equity or Decimal(1)))


class DecodedSession(NamedTuple):
    """The segments whose market was decoded, or why the session cannot be read."""

    segments: int = 0
    error: str = ""


def decode_session(job: SweepJob) -> DecodedSession:
    """Decode the market of a session into its cache, which all variants read."""
    if job.work is None:
        return DecodedSession()
    try:
        work = local_job(job.work)
        assert work.body is not None, "a variant has a session"
        journal, context, seq, count = Journal.open(work.folder), SessionContext(work.body, None), 0, 0
        while seq <= journal.last_seq:
            _, last_seq, sealed = journal.segment_at(seq)
            if sealed is not None:
                load_projection(sealed, context)
                count += 1
            seq = last_seq + 1
    except (JournalError, CannotResimulateError, OSError) as error:
        return DecodedSession(error=job_failure(error).error)
    return DecodedSession(count)
