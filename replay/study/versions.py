"""Versions of a strategy, and the jobs that they are on a session: on one that lies here, or on one whose archive lies elsewhere.

What a job on an archived session is follows from that session, so it is made where the session is brought to: whoever hands out the
work reads none of it. Knows nothing of strategy files, nor of where work is done.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.session_record import SessionBody, StrategySettings, read_session
from journal.archive_cache import cached_copy, session_name
from journal.reader import Journal
from replay.overrides import UnknownOverrideError, changed, with_strategy
from replay.replay import refuse_strangers
from replay.resim.capture_session import is_import, session_of
from replay.resim.venue_model import measured, with_settings
from replay.study import regress
from replay.study.regress import Job, JobFailure

RECORDED = "recorded"


class Version(msgspec.Struct, frozen=True):
    """A strategy, or settings of the recorded one; the recorded one as it was, where it is neither."""

    name: str
    strategy: StrategySettings | None = None
    settings: dict[str, str] = {}


class VersionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for of every session and version."""

    called: str = (
        ""  # a strategy on a session that ran none, so that versions of it are held against each other by one name
    )
    model_settings: dict[str, str] = {}
    balances: dict[str, str] = {}
    modelled: bool = False
    kept_in: Path | None = None
    trust_code: bool = False


class ArchivedJob(msgspec.Struct, frozen=True):
    """One version on a session that lies at an archive's address: a value that any process can do alone which can reach it."""

    tried: Version
    address: str
    asked: VersionRequest

    @property
    def version(self) -> str:
        return self.tried.name

    @property
    def session(self) -> str:
        return session_name(self.address)


def jobs_on(folder: Path, versions: Sequence[Version], asked: VersionRequest, *, host: str) -> list[Job]:
    """None for the recorded version of a session that ran no strategy. `host`: whose recorded code may run unasked.

    JournalError, UnknownChange, UnknownSetting, CannotResimulateError, UntrustedSourceError.
    """
    journal = Journal.open(folder)
    recorded = session_of(journal) if is_import(journal) else read_session(journal.session_record().body or "")
    if not asked.trust_code:
        refuse_strangers(recorded, host, folder)
    model = with_settings(measured(journal).model, asked.model_settings)
    return [
        Job(
            version=version.name,
            folder=folder.absolute(),
            body=_body(recorded, version, asked),
            model=model,
            modelled=asked.modelled,
            balances=asked.balances,
            kept_in=asked.kept_in,
        )
        for version in versions
        if recorded.strategies or version.strategy or version.settings
    ]


def _body(recorded: SessionBody, version: Version, asked: VersionRequest) -> SessionBody | None:
    if version.strategy is not None:
        named = (
            version.strategy if recorded.strategies else msgspec.structs.replace(version.strategy, name=asked.called)
        )
        return with_strategy(recorded, named)
    if version.settings:
        if not recorded.strategies:
            raise UnknownOverrideError(
                f"{recorded.session} ran no strategy, so there is nothing to vary. What to do: name one with --version."
            )
        return changed(recorded, version.settings)
    return recorded if asked.modelled else None


def work(job: Job | ArchivedJob) -> JobFailure:
    """Does a job, in whatever process. An address where no session is is an end like another."""
    if isinstance(job, Job):
        return regress.work(job)
    try:
        found = jobs_on(
            cached_copy(job.address), [job.tried], job.asked, host=""
        )  # whoever made an archive can write any host into it
    except Exception as error:  # noqa: BLE001 - as for a job: whatever a damaged session or a version's code raises
        return regress.failed(error)
    return regress.work(found[0]) if found else JobFailure(None)
