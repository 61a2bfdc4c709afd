"""Kill: halt, cancel until the venue shows none of our orders, flatten if ordered. By the living session, or without.

Without one, a new session does it. It continues the newest one, decides nothing, and records every request. The
next `run` continues from there, halted.
"""

import getpass
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import trio

from engine.bodies import CommandName
from engine.live.clock import SessionClock
from engine.live.control_socket import STATUS, ControlError, send_command, socket_path
from engine.live.logs import LogSettings
from engine.live.previous_session import PreviousJournal, rebuilt_state
from engine.live.session import Session
from engine.live.session_config import SessionConfig, StartError
from engine.session_record import SAFETY, PreviousSession, SessionBody
from engine.state.session_state import carry_over
from engine.venues.signing import Credentials, SecretKey
from engine.venues.venue_lookup import make_venue
from journal.disk import is_locked
from journal.errors import JournalError
from journal.reader import Journal
from journal.sessions import list_sessions
from verbatim.config import CREDENTIALS, PASSPHRASE
from verbatim.runner import run_session_config

ANSWER_SECONDS = 5.0  # a living session that does not answer so long is passed by
POLL_SECONDS = 0.2
OURS_MAX = 200  # the newest sessions of the folder whose orders are cancelled too


class Killed(msgspec.Struct, frozen=True):
    """The end of a kill. `exposure` is what is left, in the words of SessionStatus."""

    way: str  # "session" or "venue"
    exposure: dict[str, Any]
    is_done: bool
    warning: str = ""
    folder: str = ""  # of the new session that cancelled, if there is one


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

    Raises:
        KillError: There is no account, key or clock to do it with.
        StartError: The venue cannot be reached.
        JournalError: No record can be written.

    """
    if not body.account:
        raise KillError("this session is a recording: it has no orders")
    if body.read_only:
        raise KillError("this session is read-only: it has no orders")
    warning = ""
    if is_locked(folder):
        try:
            return _by_session(folder, body, flatten=flatten, reason=reason, seconds=seconds)
        except ControlError as error:
            if is_locked(folder):
                warning = f"the process of session {body.session} lives but does not answer ({error}): end it yourself"
    wanted = config or _config_of(folder, body, environment)
    marks = tuple(found.session_id for found in list_sessions(folder.parent))[-OURS_MAX:]
    wanted = replace_safety(replace(wanted, locks_account=not warning), (*marks, body.session))
    before = _read_only(folder, body) if warning else None
    killed: list[Killed] = []

    async def drive(session: Session) -> None:
        await session.command(CommandName.HALT, by=_person(), reason=reason)
        await session.command(CommandName.FLATTEN if flatten else CommandName.CANCEL_ALL, by=_person(), reason=reason)
        with trio.move_on_after(seconds):
            while session.state.account.safety.active:  # noqa: ASYNC110 - a state, not an event
                await trio.sleep(POLL_SECONDS)
        is_done = not session.state.account.safety.active and not session.state.account.safety.left
        killed.append(Killed("venue", session.exposure(), is_done, warning, str(session.plan.folder)))
        await session.command(CommandName.STOP, by=_person(), reason="kill")

    async def main() -> None:
        await run_session_config(wanted, drive=drive, before=before, log=LogSettings(level="warning", feed_seconds=0))

    trio.run(main)
    if not killed:
        raise StartError("the session that cancels ended before it was done; see its journal")
    return killed[0]


def replace_safety(wanted: SessionConfig, marks: tuple[str, ...]) -> SessionConfig:
    """Return the settings of a session that trades nothing and counts the orders of these sessions as ours."""
    return replace(
        wanted,
        strategies=(),
        read_only=False,
        safety=msgspec.structs.replace(SAFETY, blind_after_ns=0, also_ours=tuple(dict.fromkeys(marks))),
        free_bytes_min=0,
        carry=True,
    )


def _person() -> str:
    return getpass.getuser()


def _by_session(folder: Path, body: SessionBody, *, flatten: bool, reason: str, seconds: float) -> Killed:
    """Order a living session to do it, and wait. Raises ControlError if it does not answer."""
    path = socket_path(folder.resolve().parent, body.session)

    def send(command: str) -> dict[str, Any]:
        return send_command(path, command=command, by=_person(), reason=reason, seconds=ANSWER_SECONDS)

    send(CommandName.HALT)
    send(CommandName.FLATTEN if flatten else CommandName.CANCEL_ALL)
    end = time.monotonic() + seconds
    while True:
        status = send(STATUS)
        if not status["safety"] or time.monotonic() > end:
            break
        time.sleep(POLL_SECONDS)
    return Killed("session", status, is_done=not status["safety"] and not status["left"])


def _config_of(folder: Path, body: SessionBody, environment: Mapping[str, str]) -> SessionConfig:
    """Return the settings that the SESSION record holds, with the key of the environment."""
    if body.clock.speed != 1:
        raise KillError("this session has a scaled clock. What to do: name its configuration with --config")
    return SessionConfig(
        journals=folder.resolve().parent,
        clock=SessionClock.wall(),
        venue=body.venues[0],
        symbols=tuple(instrument.symbol for instrument in body.instruments),
        key=_key_of(body, environment),
        risk=body.risk,
        rules=body.rules,
        engine=body.engine,
        account=body.account,
    )


def _key_of(body: SessionBody, environment: Mapping[str, str]) -> SecretKey:
    given = [environment.get(name, "") for name in CREDENTIALS]
    if not all(given):
        raise KillError(
            f"no credentials. What to do: set {CREDENTIALS[0]} and {CREDENTIALS[1]}, or name the session's "
            "configuration with --config"
        )
    try:
        signer = make_venue(body.venues[0], ()).signer
        return signer.load_key(Credentials(given[0], given[1], environment.get(PASSPHRASE, "")))
    except ValueError as error:
        raise KillError(f"environment: {error}") from None


def _read_only(folder: Path, body: SessionBody) -> PreviousJournal:
    """Return the state of a session whose process still holds its journal. Nothing is recovered or sealed."""
    previous = PreviousSession(session=body.session, last_seq=-1, chain="", closed=False)
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
