"""Versions of a strategy on recorded sessions: the decisions and figures of each, compared with those of the first.

A job is one version on one session, a value that any process can run alone. The same job gives the same result in every
process, so results are cached by the hashes of all inputs. Knows nothing of strategy files, of tables, or of workers.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import msgspec

from engine.session_record import SessionBody
from engine.sim.venue_model import VenueModel
from journal.content_hash import hash_rows
from journal.reader import Journal
from journal.record import canonical
from replay.code_digest import study_code_digest
from replay.resim.resimulate import ResimOptions
from replay.resim.sim_setup import CannotResimulateError
from replay.study.decisions import ChangedDecision, RecordedDecision, changed_decisions, session_decisions
from replay.study.performance import Performance, session_performance
from replay.study.trial import run_trial


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One version on one session.

    `body` is the recorded SESSION with the version in it. None means the recorded run itself.
    """

    version: str
    folder: Path
    body: SessionBody | None
    model: VenueModel = VenueModel()
    modelled: bool = False
    balances: dict[str, str] = {}
    cache_folder: Path | None = None  # where results are cached

    @property
    def session(self) -> str:
        """The name of the session."""
        return self.folder.name

    @property
    def address(self) -> str:
        """The folder as text."""
        return str(self.folder)


class JobResult(msgspec.Struct, frozen=True):
    """The decisions and figures of a job."""

    exactness: str
    performance: Performance
    decisions: list[RecordedDecision]


class JobOutcome(msgspec.Struct, frozen=True):
    """The end of a job: its result, or its error. With neither there was nothing to do, and no row is made."""

    result: JobResult | None
    error: str = ""


class SessionJob(Protocol):
    """A job on a session, whether that is a folder or an archive."""

    @property
    def session(self) -> str:
        """The name of the session."""

    @property
    def address(self) -> str:
        """The folder or the archive's address of the session."""

    @property
    def version(self) -> str:
        """The name of the version."""


class RegressRow(msgspec.Struct, frozen=True):
    """One version on one session, compared with the first version on that session."""

    version: str
    session: str
    outcome: JobOutcome
    changed: list[ChangedDecision]
    pnl_change: Decimal
    trading_change: Decimal  # the part that comes from prices and quantities; the rest is fees
    fees_change: Decimal


def run_job(job: Job) -> JobOutcome:
    """Run a job in any process.

    A version that cannot be run gives an outcome with an error and does not stop other jobs.
    """
    path = None if job.cache_folder is None else job.cache_folder / f"{job_key(job)}.result"
    if path is not None and (cached := _read_cached(path)) is not None:
        return _outcome_of(cached)
    try:
        result = _run(job)
    except Exception as error:  # noqa: BLE001 - a version's code or a damaged journal may raise any error
        return job_failure(error)
    if path is not None:
        with suppress(OSError):  # on another machine the folder may be missing; then nothing is cached
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_bytes(_encode(result))
            temporary.replace(path)
    return _outcome_of(result)


def _outcome_of(result: JobResult) -> JobOutcome:
    """Return the outcome of a result. A stopped strategy has figures, but its stop counts as the error."""
    return JobOutcome(result, "; ".join(result.performance.stopped))


def job_failure(error: Exception) -> JobOutcome:
    """Return the outcome of an error, as one line."""
    text = str(error) if isinstance(error, CannotResimulateError) else f"{type(error).__name__}: {error}"
    return JobOutcome(None, (text.splitlines() or [""])[0])


def _run(job: Job) -> JobResult:
    if job.body is None:
        return JobResult("as recorded", session_performance(job.folder), session_decisions(job.folder, as_source=True))
    trial = run_trial(
        job.folder, ResimOptions(session=job.body, model=job.model, modelled=job.modelled, balances=job.balances)
    )
    return JobResult(trial.outcome.exactness, trial.performance, trial.decisions)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(JobResult).decode


def _read_cached(path: Path) -> JobResult | None:
    """Return a cached result, or None if the file is missing or incomplete."""
    try:
        return _decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def job_key(job: Job, source: str = "") -> str:
    """Return a hash over all inputs of the result.

    These are the journal, our code, the session with the version in it, and the model.

    Args:
        job: The job.
        source: The digest of its session, if the caller has it.
    """
    parts = [
        study_code_digest(),
        source or source_digest(job.folder),
        "" if job.body is None else canonical(job.body),
        canonical(job.model.settings()),
        str(job.modelled),
        canonical(job.balances),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def source_digest(folder: Path) -> str:
    """Return a hash over a journal's records."""
    journal = Journal.open(folder)
    parts = [
        journal.chain,
        hash_rows(journal.unsealed_rows().to_batches()),  # records that are not sealed are in no chain
        str(journal.last_seq),
        hashlib.sha256((journal.session_record().body or "").encode()).hexdigest(),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def regress_rows(jobs: Sequence[SessionJob], outcomes: Iterable[JobOutcome]) -> list[RegressRow]:
    """Return the rows by session, with the versions in the given order."""
    table: list[RegressRow] = []
    firsts: dict[str, JobResult | None] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome.result is None and not outcome.error:
            continue
        first = firsts.setdefault(job.address, outcome.result)
        changed: list[ChangedDecision] = []
        pnl = fees = Decimal(0)
        if first is not None and outcome.result is not None:
            changed = changed_decisions(first.decisions, outcome.result.decisions)
            pnl = outcome.result.performance.pnl - first.performance.pnl
            fees = first.performance.fees_quote - outcome.result.performance.fees_quote
        table.append(RegressRow(job.version, job.session, outcome, changed, pnl, pnl - fees, fees))
    return table
