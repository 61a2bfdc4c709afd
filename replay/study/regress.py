"""Versions of a strategy against recorded sessions: what each would have wished and come to, held against the first.

A job is one version on one session, a value that any process can do alone; the same job gives the same result wherever it is done, so
results are kept by the hashes of all that they depend on. Knows nothing of strategy files, of tables, or of where work is done.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Protocol

import msgspec

from engine.session_record import SessionBody
from journal.content_hash import hash_rows
from journal.reader import Journal
from journal.record import canonical
from replay.resim.resimulate import ResimOptions
from replay.resim.sim_setup import CannotResimulateError
from replay.resim.venue_model import VenueModel
from replay.snapshots import code_digest
from replay.study.decisions import ChangedDecision, RecordedDecision, changes, decisions_of
from replay.study.performance import Performance, tally_of
from replay.study.trial import trial

_ROOT = Path(__file__).resolve().parent


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """`body` is the recorded SESSION with the version in it; None: the session as it was lived."""

    version: str
    folder: Path
    body: SessionBody | None
    model: VenueModel = VenueModel()
    modelled: bool = False
    balances: dict[str, str] = {}
    kept_in: Path | None = None  # where results are kept, and looked for

    @property
    def session(self) -> str:
        return self.folder.name

    @property
    def address(self) -> str:
        return str(self.folder)


class JobResult(msgspec.Struct, frozen=True):
    exactness: str
    tally: Performance
    decisions: list[RecordedDecision]


class JobFailure(msgspec.Struct, frozen=True):
    """A job's end: what it came to, or why there is nothing. Neither: there was nothing to do, and no row tells of it."""

    done: JobResult | None
    error: str = ""


class AlignedDecision(Protocol):
    """A job on a session, wherever that lies."""

    @property
    def session(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def version(self) -> str: ...


class RegressRow(msgspec.Struct, frozen=True):
    """One version on one session, held against the first version on that session."""

    version: str
    session: str
    ended: JobFailure
    changed: list[ChangedDecision]
    pnl_change: Decimal
    trading_change: Decimal  # of it: what was bought and sold, at which prices; the rest is fees
    fees_change: Decimal


def work(job: Job) -> JobFailure:
    """Does a job, in whatever process. A version that cannot be run is an end like another, and costs no other its own."""
    path = None if job.kept_in is None else job.kept_in / f"{key_of(job)}.result"
    if path is not None and (kept := _kept(path)) is not None:
        return _ended(kept)
    try:
        done = _do(job)
    except Exception as error:  # noqa: BLE001 - whatever a version's code or a damaged journal raises
        return failed(error)
    if path is not None:
        with suppress(OSError):  # another machine may have no such folder: there nothing is kept
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.tmp")
            part.write_bytes(_encode(done))
            part.replace(path)
    return _ended(done)


def _ended(done: JobResult) -> JobFailure:
    """A strategy that was stopped has figures, and they are not what its version would have come to."""
    return JobFailure(done, "; ".join(done.tally.stopped))


def failed(error: Exception) -> JobFailure:
    """In a line; what refuses a session says all of it itself."""
    text = str(error) if isinstance(error, CannotResimulateError) else f"{type(error).__name__}: {error}"
    return JobFailure(None, (text.splitlines() or [""])[0])


def _do(job: Job) -> JobResult:
    if job.body is None:
        return JobResult("as it was", tally_of(job.folder), decisions_of(job.folder, as_source=True))
    tried = trial(
        job.folder, ResimOptions(session=job.body, model=job.model, modelled=job.modelled, balances=job.balances)
    )
    return JobResult(tried.outcome.exactness, tried.tally, tried.decisions)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(JobResult).decode


def _kept(path: Path) -> JobResult | None:
    """None where it is not there, or was cut short by whatever ended its writer."""
    try:
        return _decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError):
        return None


def key_of(job: Job) -> str:
    """Of all that the result follows from: the journal, our code, the session with the version in it, the model."""
    journal = Journal.open(job.folder)
    parts = [
        _code(),
        journal.chain,
        hash_rows(journal.unsealed_rows().to_batches()),  # what is not sealed, and in no chain
        str(journal.last_seq),
        hashlib.sha256((journal.session_record().body or "").encode()).hexdigest(),
        "" if job.body is None else canonical(job.body),
        canonical(job.model.told()),
        str(job.modelled),
        canonical(job.balances),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _code() -> str:
    digest = hashlib.sha256(code_digest().encode())
    for path in sorted(_ROOT.rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def rows(jobs: Sequence[AlignedDecision], ends: Iterable[JobFailure]) -> list[RegressRow]:
    """By session, the versions in the order in which they were given."""
    found: list[RegressRow] = []
    firsts: dict[str, JobResult | None] = {}
    for job, ended in zip(jobs, ends, strict=True):
        if ended.done is None and not ended.error:
            continue
        first = firsts.setdefault(job.address, ended.done)
        changed: list[ChangedDecision] = []
        pnl = fees = Decimal(0)
        if first is not None and ended.done is not None:
            changed = changes(first.decisions, ended.done.decisions)
            pnl = ended.done.tally.pnl - first.tally.pnl
            fees = first.tally.fees_quote - ended.done.tally.fees_quote
        found.append(RegressRow(job.version, job.session, ended, changed, pnl, pnl - fees, fees))
    return found
