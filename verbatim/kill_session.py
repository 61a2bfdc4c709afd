"""Kill: halt, cancel until the venue shows none of our orders, flatten if ordered. By the living session, or without.

Without one, a new session does it. It continues the newest one, decides nothing, and records every request. The
next `run` continues from there, halted.
"""

import getpass
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from engine.bodies import CommandName
from engine.kernel import rebuilder_of
from engine.live.account_carry import left_out
from engine.live.clock import SessionClock
from engine.live.control_lines import REASON_MAX, SESSIONS_MAX
from engine.live.control_socket import STATUS, ControlError, send_command, socket_path
from engine.live.emergency import APART_SECONDS
from engine.live.logs import LogSettings
from engine.live.previous_session import NOT_READ, PreviousJournal, newest_sessions, rebuilt_state, unread_journal
from engine.live.session import LiveSession
from engine.live.session_config import SessionConfig, StartError, accounts_of
from engine.live.session_status import exposure, is_reconciled
from engine.live.venue_access import VenueAccess
from engine.plan_terms import StopChoice
from engine.session_record import SAFETY, SECOND_NS, PreviousSession, SessionBody, VenueSettings, read_session
from engine.state.session_state import carry_over
from engine.venue_choices import AccountUse
from engine.venues.order_ids import SESSION_LETTERS
from engine.venues.signing import Credentials, SecretKey
from engine.venues.venue_lookup import make_venue, venue_class
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.sessions import list_sessions, session_id_of
from verbatim.credentials import credential_names
from verbatim.runner import run_session_config

ANSWER_SECONDS = 5.0  # a living session that does not answer so long is passed by
POLL_SECONDS = 0.2
STOP_SECONDS = 2.0  # of the time to wait, for the end of the session that cancels: half for the venue, half to seal
READ_SHARE = 0.25  # of the time to wait, for reading the journal of the session that is killed
RETRY_SECONDS_MAX = 10.0  # between two attempts to reach a venue that does not describe the instruments

LOG = LogSettings(level="warning", feed_seconds=0)

log = structlog.get_logger()


class Killed(msgspec.Struct, frozen=True):
    """The end of a kill. `exposure` is what is left, as engine.live.session_status.exposure has it."""

    way: str  # "session", "venue", or "journal" if the venue could not be reached at all
    exposure: dict[str, Any]
    is_done: bool
    warning: str = ""
    folder: str = ""  # of the new session that cancelled, if there is one
    is_interrupted: bool = False  # a signal to this process ended it
    is_state_read: bool = True  # False: the positions of the killed session are not known

    @property
    def unconfirmed(self) -> str:
        """Return why the venue could not be queried what is open, or "". The exposure is then the journal's."""
        return str(self.exposure["unconfirmed"])


class KillError(Exception):
    """The kill could not begin; the text states the cause and the thing to do."""


def kill(
    folder: Path,
    body: SessionBody,
    *,
    flatten: bool,
    reason: str,
    seconds: float,
    config: SessionConfig | None,
    environment: Mapping[str, str],
) -> Killed:
    """Kill the session in a folder: by its own process if it answers, else directly at the venue.

    It takes `seconds` at most, and reports what is left in any case.

    Raises:
        KillError: There is no account, key or clock to do it with.
        JournalError: No record can be written.

    """
    if not body.account:
        raise KillError("this session is a recording: it has no orders")
    if body.read_only:
        raise KillError("this session is read-only: it has no orders")
    end, warning = time.monotonic() + seconds, ""
    if is_locked(folder):
        try:
            killed = _by_session(folder, body, flatten=flatten, reason=reason, end=end)
            return killed if config is None else _with_untouched(killed, body, config)
        except ControlError as error:
            if is_locked(folder):
                warning = f"the process of session {body.session} lives but does not answer ({error}): end it yourself"
    if body.paper is not None:
        raise KillError("this session is on paper, and its process has ended: no venue has an order of it")
    wanted = config or _config_of(folder, body, environment)
    marks = (*_sessions_of(folder), *newest_sessions(wanted, wanted.accounts), body.session)
    wanted = replace_safety(replace(wanted, locks_account=not warning), marks)
    order = CommandName.FLATTEN if flatten else CommandName.CANCEL_ALL
    killing = _Killing(wanted, partial(_read_only, folder, body) if warning else None, order, reason, end)
    trio.run(killing.run)
    if killing.session is None:
        left = _left_in_journal(folder, killing.problem)
        return Killed("journal", left, is_done=False, warning=warning)
    left = killing.session.exposure()
    if not killing.is_ordered:
        left["unconfirmed"] = killing.problem
    elif not (killing.is_done or left["orders"] or left["unconfirmed"]):
        left["unconfirmed"] = "the time was over before it confirmed that no order of ours is open"
    is_done = killing.is_done and not left["safety"] and not left["left"] and not left["orders"]
    is_state_read = killing.session.plan.body.opening is not None
    if not is_state_read:
        is_done = is_done and not flatten
        unread = f"the state of session {body.session} is not known, so its positions are not in this report"
        warning = f"{warning}; {unread}" if warning else unread
    folder_of_kill = str(killing.session.plan.folder)
    was_signalled = killing.session.was_signalled
    return Killed("venue", left, is_done, warning, folder_of_kill, was_signalled, is_state_read)


class _Killing:
    """A session that kills another one's orders, until a point in time."""

    def __init__(
        self,
        wanted: SessionConfig,
        read_before: Callable[[], PreviousJournal] | None,
        order: CommandName,
        reason: str,
        end: float,
    ) -> None:
        self.session: LiveSession | None = None  # once it began
        self.is_ordered = False  # the session got its orders
        self.is_done = False  # two answers of the venue, apart in time, show that none of ours is open
        self.problem = "the time was over before it was queried"  # why it did not begin
        self._wanted = wanted
        self._read_before = read_before  # None: the start of the session reads and recovers it
        self._order = order
        self._reason = reason
        self._end = end

    async def run(self) -> None:
        """Run until it is done, or until the time is over. A venue that cannot be reached is tried again."""
        wait_s, before = 1.0, None
        with trio.move_on_after(max(self._end - time.monotonic(), 0)):
            if self._read_before is not None:
                before = unread_journal(self._wanted.journals, "its journal was not read in time")
                with trio.move_on_after(self._read_seconds):
                    before = await trio.to_thread.run_sync(self._read_before, abandon_on_cancel=True)
            while self.session is None:
                wanted = replace(self._wanted, read_seconds_max=self._read_seconds)
                try:
                    await run_session_config(wanted, drive=self._drive, before=before, stops_if_refused=False, log=LOG)
                except StartError as error:
                    self.problem = str(error)
                    log.warning("the venue could not be queried", reason=self.problem)
                else:
                    return
                await trio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_SECONDS_MAX)

    @property
    def _read_seconds(self) -> float:
        """The time for reading a journal. Beyond it only the orders that bear our mark are cancelled."""
        return max((self._end - time.monotonic()) * READ_SHARE, POLL_SECONDS)

    async def _drive(self, session: LiveSession) -> None:
        self.session = session
        await session.command(CommandName.HALT, by=_person(), reason=self._reason)
        ordered = await session.command(self._order, by=_person(), reason=self._reason)
        self.is_ordered = ordered.seq >= 0
        with trio.move_on_after(max(self._end - STOP_SECONDS - time.monotonic(), 0)):
            while not await self._is_confirmed(session):
                await session.command(self._order, by=_person(), reason=self._reason)
        await session.command(CommandName.STOP, by=_person(), reason="kill")

    async def _is_confirmed(self, session: LiveSession) -> bool:
        """Wait until it is done, and a while later ask again: a single list of a venue may lag behind its books."""
        account = session.state.account
        while account.safety.active:
            await trio.sleep(POLL_SECONDS)
            account = session.state.account
        await trio.sleep(APART_SECONDS)
        since_seq = session.state.seq
        while not is_reconciled(session.kernel.session, account, since_seq):
            await session.command(CommandName.RECONCILE, by=_person(), reason="kill")
            await trio.sleep(POLL_SECONDS)
            account = session.state.account
        self.is_done = not session.exposure()["orders"]
        return self.is_done


def replace_safety(wanted: SessionConfig, marks: tuple[str, ...]) -> SessionConfig:
    """Return the settings of a session that trades nothing and counts the orders of these sessions as ours."""
    return replace(
        wanted,
        strategies=(),
        read_only=False,
        safety=msgspec.structs.replace(SAFETY, blind_after_ns=0, also_ours=tuple(dict.fromkeys(marks))),
        free_bytes_min=0,
        carry=True,
        joins=True,
        engine=msgspec.structs.replace(
            wanted.engine,
            cancel_on_stop=True,
            protection_on_stop=StopChoice.CANCEL,
            stop_timeout_ns=int(STOP_SECONDS / 2 * SECOND_NS) * wanted.clock.speed,
        ),
    )


def _person() -> str:
    return getpass.getuser()


def _sessions_of(folder: Path) -> tuple[str, ...]:
    """Return the newest sessions beside one: their orders are cancelled too."""
    return tuple(found.session_id for found in list_sessions(folder.resolve().parent))[-SESSIONS_MAX:]


def _by_session(folder: Path, body: SessionBody, *, flatten: bool, reason: str, end: float) -> Killed:
    """Order a living session to do it, and wait. Raises ControlError if it does not answer."""
    path = socket_path(folder.resolve().parent, body.session)
    marks = tuple(name for name in _sessions_of(folder) if name != body.session)

    def send(command: str, about: str = "") -> dict[str, Any]:
        seconds = min(max(end - time.monotonic(), POLL_SECONDS), ANSWER_SECONDS)
        short = reason[:REASON_MAX]  # a longer line would be refused
        return send_command(path, command=command, by=_person(), reason=short, about=about, seconds=seconds)

    order = CommandName.FLATTEN if flatten else CommandName.CANCEL_ALL
    send(CommandName.HALT)
    try:
        send(order, ",".join(marks))
    except ControlError:
        send(order)  # a process of an older version knows its own orders alone
    while True:
        status = send(STATUS)
        if not status["safety"] or time.monotonic() > end - POLL_SECONDS:
            break
        time.sleep(POLL_SECONDS)
    older = [name for name in status["others"] if name[:SESSION_LETTERS] in marks]
    warning = f"orders of sessions before it are open: {', '.join(older)}. Stop it, and run this again" if older else ""
    is_done = not status["safety"] and not status["left"] and not older
    return Killed("session", status, is_done, warning)


def _with_untouched(killed: Killed, body: SessionBody, config: SessionConfig) -> Killed:
    """Return the end of a kill by a living session; it is not done if older sessions traded accounts it lacks."""
    others = newest_sessions(config, left_out(accounts_of(body.account, body.venues), config.accounts))
    if not others:
        return killed
    text = (
        f"session {body.session} has not all accounts of the configuration: orders of {', '.join(others)} were not "
        "looked for. Stop it, and run this again"
    )
    return msgspec.structs.replace(
        killed, is_done=False, warning=f"{killed.warning}; {text}" if killed.warning else text
    )


def _left_in_journal(folder: Path, problem: str) -> dict[str, Any]:
    """Return what a journal knows as open. It may be one that its process did not end."""
    try:
        journal = Journal.open(folder)
        state = rebuilt_state(journal)
    except Exception as error:
        raise KillError(f"{problem}; and the journal cannot be read: {type(error).__name__}: {error}") from error
    return {**exposure(rebuilder_of(journal.session_record()).session, state), "unconfirmed": problem}


def _config_of(folder: Path, body: SessionBody, environment: Mapping[str, str]) -> SessionConfig:
    """Return the settings that the SESSION record holds, with the key of the environment."""
    if body.clock.speed != 1:
        raise KillError("this session has a scaled clock. What to do: name its configuration with --config")
    return SessionConfig(
        journals=folder.resolve().parent,
        clock=SessionClock.wall(),
        venues=tuple(_venue_of(each, body, environment) for each in body.venues),
        risk=body.risk,
        rules=body.rules,
        engine=body.engine,
        account=body.account,
    )


def _venue_of(venue: VenueSettings, body: SessionBody, environment: Mapping[str, str]) -> VenueAccess:
    """Return a venue of a SESSION record, with the key of the environment."""
    name = venue_class(venue).name
    symbols = tuple(each.symbol for each in body.instruments if each.venue == name)
    key = _key_of(venue, body, environment) if venue.use is AccountUse.TRADES else None
    return VenueAccess(settings=venue, symbols=symbols, key=key)


def _key_of(venue: VenueSettings, body: SessionBody, environment: Mapping[str, str]) -> SecretKey:
    names = credential_names(venue.account if len(body.venues) > 1 else "")
    given = [environment.get(name, "") for name in names]
    if not all(given[:2]):
        raise KillError(
            f"no credentials. What to do: set {names[0]} and {names[1]}, or name the session's configuration with "
            "--config"
        )
    try:
        return make_venue(venue, ()).signer.load_key(Credentials(*given))
    except ValueError as error:
        raise KillError(f"environment: {error}") from None


def session_to_kill(folder: Path, config: SessionConfig | None) -> SessionBody:
    """Return the SESSION of a journal. If it cannot be read, take its account and venue from the configuration.

    Raises:
        JournalError: It cannot be read, and there is no configuration.
    """
    try:
        return read_session(Journal.open(folder).session_record().body or "")
    except (JournalError, ValueError) as error:
        if config is None or not config.account:
            raise
        log.warning("the journal cannot be read: cancelling by our mark", reason=str(error))
        return SessionBody(
            session=session_id_of(folder.name) or folder.name,
            started_ns=0,
            clock=config.clock.settings,
            seed=0,
            host="",
            versions={},
            venues=tuple(each.settings for each in config.venues),
            instruments=(),
            strategies=(),
            account=config.account,
        )


def _read_only(folder: Path, body: SessionBody) -> PreviousJournal:
    """Return the state of a session whose process still holds its journal. Nothing is recovered or sealed."""
    previous = PreviousSession(session=body.session, last_seq=NOT_READ, chain="", closed=False)
    try:
        state = rebuilt_state(Journal.open(folder))
    except JournalError as error:
        return PreviousJournal(previous=previous, broken=str(error))
    except Exception as error:  # noqa: BLE001 - the code that reads may be the code that failed
        return PreviousJournal(previous=previous, broken=f"{type(error).__name__}: {error}")
    previous = msgspec.structs.replace(previous, last_seq=state.seq, last_ns=state.time_ns)
    opening: dict[str, Any] | None = None
    with suppress(ValueError):
        opening = carry_over(state)
    return PreviousJournal(previous=previous, opening=opening)
