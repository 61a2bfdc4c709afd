"""Versions of a strategy, and the jobs to run them on sessions, in a local folder or in an archive.

A job on an archived session depends on that session, so the process that fetches the session makes it; the process
that distributes the work reads no archive. Knows nothing of strategy files, nor of workers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.session_record import SessionBody, StrategySettings, read_session
from engine.sim.venue_model import VenueModel, with_settings
from journal.archive_cache import cached_copy, session_name
from journal.reader import Journal
from replay.code_trust import refuse_untrusted_code
from replay.imported_sessions import is_import
from replay.overrides import UnknownOverrideError, apply_overrides, with_strategy
from replay.resim.capture_session import session_from_capture
from replay.resim.measured_latency import measure_latency
from replay.study import regress
from replay.study.regress import Job, JobOutcome

RECORDED = "recorded"


class Version(msgspec.Struct, frozen=True):
    """A strategy, settings, or a strategy with settings. With neither it is the recorded strategy unchanged."""

    name: str
    strategy: StrategySettings | None = None
    settings: dict[str, str] = {}


class VersionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The options that apply to every session and version."""

    # the strategy's name on a session without strategies, so that versions of it are compared under one name
    strategy_name: str = ""
    model_settings: dict[str, str] = {}
    balances: dict[str, str] = {}
    modelled: bool = False
    cache_folder: Path | None = None
    trust_code: bool = False
    alone: bool = False  # a version's strategy decides instead of all recorded ones, whose code does not run


class ArchivedJob(msgspec.Struct, frozen=True):
    """One version on a session at an archive's address: a value that any process with access can run."""

    requested: Version
    address: str
    request: VersionRequest

    @property
    def version(self) -> str:
        """The name of the version."""
        return self.requested.name

    @property
    def session(self) -> str:
        """The name of the session, from its address."""
        return session_name(self.address)


def jobs_for_session(
    folder: Path, versions: Sequence[Version], request: VersionRequest, *, trust_key: bytes
) -> list[Job]:
    """Return the job of each version on a session.

    The recorded version of a session without strategies has no job.

    Args:
        folder: The session.
        versions: The versions to run.
        request: The options.
        trust_key: The key whose marks let recorded code run without `trust_code`.

    Raises:
        JournalError: The session cannot be read.
        UnknownOverrideError: A version does not fit the session.
        UnknownSettingError: A setting of the model does not fit.
        CannotResimulateError: The session cannot be resimulated.
        UntrustedSourceError: The recorded code is not trusted.
    """
    source = read_source(folder, request, trust_key=trust_key)
    return [
        version_job(source, version, request)
        for version in versions
        if source.recorded.strategies or version.strategy or version.settings
    ]


class SourceSession(NamedTuple):
    """A session whose market versions trade: read once for all of them."""

    folder: Path
    recorded: SessionBody
    model: VenueModel


def read_source(folder: Path, request: VersionRequest, *, trust_key: bytes) -> SourceSession:
    """Return what all versions on a session have in common.

    Args:
        folder: The session.
        request: The options.
        trust_key: As of `jobs_for_session`.

    Raises:
        JournalError: The session cannot be read.
        UnknownSettingError: A setting of the model does not fit.
        CannotResimulateError: The session cannot be resimulated.
        UntrustedSourceError: The recorded code is not trusted.
    """
    journal = Journal.open(folder)
    recorded = (
        session_from_capture(journal) if is_import(journal) else read_session(journal.session_record().body or "")
    )
    runs_recorded_code = not request.alone or any(rule.module for rule in recorded.rules)
    if runs_recorded_code and not request.trust_code:
        refuse_untrusted_code(recorded, trust_key, folder)
    model = with_settings(measure_latency(journal).model, request.model_settings)
    return SourceSession(folder.absolute(), recorded, model)


def version_job(source: SourceSession, version: Version, request: VersionRequest) -> Job:
    """Return the job of a version.

    Raises:
        UnknownOverrideError: The version does not fit the session.
    """
    return Job(
        version=version.name,
        folder=source.folder,
        body=_version_body(source.recorded, version, request),
        model=source.model,
        modelled=request.modelled,
        balances=request.balances,
        cache_folder=request.cache_folder,
    )


def _version_body(recorded: SessionBody, version: Version, request: VersionRequest) -> SessionBody | None:
    if version.strategy is not None and request.alone:
        alone = msgspec.structs.replace(recorded, strategies=(version.strategy,), account=recorded.account or "main")
        return apply_overrides(alone, version.settings)
    if version.strategy is not None:
        named = (
            version.strategy
            if recorded.strategies
            else msgspec.structs.replace(version.strategy, name=request.strategy_name)
        )
        return apply_overrides(with_strategy(recorded, named), version.settings)
    if version.settings:
        if not recorded.strategies:
            raise UnknownOverrideError(
                f"{recorded.session} ran no strategy, so it has no settings to vary. "
                "What to do: name a strategy with --version."
            )
        return apply_overrides(recorded, version.settings)
    return recorded if request.modelled else None


def run_any_job(job: Job | ArchivedJob) -> JobOutcome:
    """Run a job in any process, after fetching its session if it is archived."""
    if isinstance(job, Job):
        return regress.run_job(job)
    try:
        # an archive may hold the work of others
        jobs = jobs_for_session(cached_copy(job.address), [job.requested], job.request, trust_key=b"")
    except Exception as error:  # noqa: BLE001 - a damaged session or a version's code may raise any error
        return regress.job_failure(error)
    return regress.run_job(jobs[0]) if jobs else JobOutcome(None)
