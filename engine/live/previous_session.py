"""The previous session of the same account and venue: recovered, rebuilt, and carried over into the next."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.facts import ModeChanged
from engine.kernel import rebuilder_of
from engine.live.account_carry import is_continued, left_out, rekeyed, with_account
from engine.live.session_config import SessionConfig, StartError, accounts_of
from engine.mode_reasons import Mode, ReasonCode
from engine.newer_sessions import refuse_newer
from engine.record_codec import read_fact
from engine.session_record import PreviousSession, SessionBody, read_session
from engine.state.session_state import State, carry_over
from journal.errors import JournalError, NotAJournalError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import recover
from journal.sessions import list_sessions

NOT_READ = -1  # a PreviousSession's last_seq: its state was not read


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousJournal:
    """The state that the previous session left."""

    previous: PreviousSession | None = None
    opening: dict[str, Any] | None = None
    broken: str = ""  # why its records could not be folded


def restore_previous(wanted: SessionConfig) -> PreviousJournal:
    """Recover the newest session of this account and venue, and rebuild its final state.

    A recording is recovered but not rebuilt, because it has no orders and positions.

    Raises:
        JournalError: It cannot be recovered.
        NewerSessionError: A newer version recorded it.
    """
    for session in reversed(list_sessions(wanted.journals)):
        try:
            if _is_unrelated(wanted, session.path):
                continue  # it may be running: recordings of other instruments and other accounts are independent
            recovered = recover(session.path, signer=wanted.signer)
            journal = Journal.open(session.path)
            record = journal.session_record()
        except NotAJournalError:
            continue  # it ended before its first record was on disk, so it sent nothing
        body = read_session(record.body or "")
        refuse_newer(body)
        if body.previous is not None and body.previous.last_seq == NOT_READ:
            continue  # a kill that did not know the state of the session before it: that one is continued
        last = next(journal.records(recovered.last_seq))
        previous = PreviousSession(
            session=body.session,
            last_seq=recovered.last_seq,
            chain=recovered.chain,
            dropped_bytes=recovered.dropped_bytes,
            closed=recovered.was_closed,
            last_ns=last.time_ns,
        )
        if not wanted.account:
            return PreviousJournal(previous=previous)
        parted = newest_of(wanted, left_out(accounts_of(body.account, body.venues), wanted.accounts))
        if not wanted.joins:
            _refuse_parted(wanted, body, parted)
        try:
            state = clear_key_halt(body, journal, rebuilt_state(journal))
            kernel = rebuilder_of(record)
            opening = rekeyed(kernel.opening_after(state), kernel.session.venues, wanted.by_name)
            return PreviousJournal(previous=previous, opening=_with_parted(wanted, opening, parted))
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - today's code may fail in any way on yesterday's records
            return PreviousJournal(previous=previous, broken=f"{session.path.name}: {type(error).__name__}: {error}")
    return PreviousJournal()


def _is_before(wanted: SessionConfig, body: SessionBody) -> bool:
    """Return True if a session traded one of the accounts, or is a recording as the new one."""
    if body.resimulated is not None or body.read_only:
        return False  # its orders and fills are simulated, or it sent none
    if (body.paper is None) != (wanted.paper is None):
        return False  # an account on paper and one at the venue continue only themselves
    if not wanted.account:
        return not body.account and _names(body) == [each.settings.name for each in wanted.venues]
    return is_continued(accounts_of(body.account, body.venues), wanted.accounts)


def _names(body: SessionBody) -> list[str]:
    return [venue.name for venue in body.venues]


def newest_of(wanted: SessionConfig, accounts: Mapping[str, str]) -> dict[str, tuple[Path, SessionBody]]:
    """Return the newest session of each of these accounts. Both are by the venue's name in settings."""
    found: dict[str, tuple[Path, SessionBody]] = {}
    for session in reversed(list_sessions(wanted.journals)):
        if len(found) == len(accounts):
            break
        try:
            body = read_session(Journal.open(session.path).session_record().body or "")
        except JournalError:
            continue
        if body.resimulated is not None or body.read_only or (body.paper is None) != (wanted.paper is None):
            continue
        theirs = accounts_of(body.account, body.venues)
        for venue, account in accounts.items():
            if theirs.get(venue) == account:
                found.setdefault(venue, (session.path, body))
    return found


def check_not_parted(wanted: SessionConfig) -> None:
    """Raise StartError if `restore_previous` would refuse accounts that different sessions traded last. Reads alone."""
    newest = max(newest_of(wanted, wanted.accounts).values(), default=None, key=lambda found: found[0].name)
    if newest is not None and wanted.carry:
        theirs = accounts_of(newest[1].account, newest[1].venues)
        _refuse_parted(wanted, newest[1], newest_of(wanted, left_out(theirs, wanted.accounts)))


def _refuse_parted(wanted: SessionConfig, newest: SessionBody, parted: dict[str, tuple[Path, SessionBody]]) -> None:
    """Refuse to trade accounts that were last traded by different sessions: their states cannot be joined.

    Raises:
        StartError: The text names the sessions.
    """
    for venue, (_, body) in parted.items():
        raise StartError(
            f"account {wanted.accounts[venue]!r} at {venue} was last traded by session {body.session}, and the other "
            f"accounts by session {newest.session}: two states cannot be joined. What to do: end what is open by "
            "verbatim kill --config, trade each in its own session, or begin without their states by "
            "session.carry = false"
        )


def _with_parted(
    wanted: SessionConfig, opening: dict[str, Any], parted: dict[str, tuple[Path, SessionBody]]
) -> dict[str, Any]:
    """Return an opening state in which each of these accounts is as its own newest session left it."""
    for venue, (folder, _) in parted.items():
        recover(folder, signer=wanted.signer)
        journal = Journal.open(folder)
        kernel = rebuilder_of(journal.session_record())
        older = rekeyed(kernel.opening_after(rebuilt_state(journal)), kernel.session.venues, wanted.by_name)
        [name] = [each.name for each in wanted.venues if each.settings.name == venue]
        opening = with_account(opening, older, name)
    return opening


def newest_sessions(wanted: SessionConfig, accounts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the newest session of each of these accounts, by the venue's name in settings."""
    return tuple(dict.fromkeys(body.session for _, body in newest_of(wanted, accounts).values()))


def unread_journal(journals: Path, why: str) -> PreviousJournal:
    """Name the newest session without its state, which was not read. No later session continues from the result."""
    newest = max((found.session_id for found in list_sessions(journals)[-1:]), default="")
    previous = PreviousSession(session=newest, last_seq=NOT_READ, chain="", closed=False)
    return PreviousJournal(previous=previous, broken=why)


def _is_unrelated(wanted: SessionConfig, folder: Path) -> bool:
    """Return True if a session traded other accounts, or is a recording of other instruments.

    A journal that cannot be read counts as related: recovery states what is wrong with it.
    """
    try:
        body = read_session(Journal.open(folder).session_record().body or "")
    except NotAJournalError:
        raise
    except (JournalError, ValueError):
        return False
    symbols = tuple(instrument.symbol for instrument in body.instruments)
    return not _is_before(wanted, body) or (not wanted.account and symbols != wanted.symbols)


def left_by(body: SessionBody, state: State, *, chain: str, links: tuple[str, ...]) -> PreviousJournal:
    """Return the state left by a session of this process, with the sources of its open connections."""
    previous = PreviousSession(body.session, state.seq, chain, last_ns=state.time_ns, links=links)
    return PreviousJournal(previous=previous, opening=carry_over(state))


def check_unsettled_listed(before: PreviousJournal, listed: Collection[str]) -> None:
    """Raise StartError if an unsettled order of the previous session is on an instrument that is not listed."""
    if before.previous is None:
        return
    for order in _unsettled(before):
        if (name := order["order"]["instrument"]) not in listed:
            symbol = name.partition(":")[2]
            raise StartError(
                f"order {order['client_order_id']} on {symbol} was not settled when session {before.previous.session} "
                "ended, "
                f"and `instruments` does not list {symbol}: list it until that order is closed"
            )


def with_unsettled(wanted: SessionConfig, before: PreviousJournal) -> SessionConfig:
    """Return a session that lists what the previous one left open, too: orders, and positions that may be closed."""
    positions = ((before.opening or {}).get("account") or {}).get("positions", {}).get("by_key", {}).values()
    held = [each["instrument"] for each in positions if Decimal(each["quantity"])]
    left = dict.fromkeys([*(order["order"]["instrument"] for order in _unsettled(before)), *held])
    venues = []
    for venue in wanted.venues:
        more = (name.partition(":")[2] for name in left if name.partition(":")[0] == venue.name)
        venues.append(dataclasses.replace(venue, symbols=tuple(dict.fromkeys((*venue.symbols, *more)))))
    return dataclasses.replace(wanted, venues=tuple(venues))


def _unsettled(before: PreviousJournal) -> list[dict[str, Any]]:
    """Return the orders of an opening state that are open, or whose fills are missing."""
    if before.opening is None:
        return []
    orders = before.opening["account"]["orders"]
    missing = [orders["closed"].get(name) or orders["live"][name] for name in orders["missing_fills"]]
    return [*orders["live"].values(), *missing]


def clear_key_halt(body: SessionBody, journal: Journal, state: State) -> State:
    """Clear a halt for a refused key if the session never ran: the key may be right now. Every other halt stays."""
    modes = state.account.modes
    inherited = ((body.opening or {}).get("account") or {}).get("modes", {}).get("halted_for")
    if (
        modes.halts
        and all(reason.code is ReasonCode.KEY_REFUSED for reason in modes.halts)
        and not inherited
        and not any(map(_is_running_mode, journal.records()))
    ):
        state.account = replace(state.account, modes=replace(modes, halted_for=None, halted_also=()))
    return state


def _is_running_mode(record: Record) -> bool:
    if record.kind is not Kind.FACT:
        return False
    fact = read_fact(record.body or "")
    return isinstance(fact, ModeChanged) and fact.mode is Mode.RUNNING


def rebuilt_state(journal: Journal) -> State:
    """Return the state at the end of a journal. No strategy runs and nothing is decided."""
    records = journal.records()
    first = next(records)
    kernel = rebuilder_of(first)
    state = kernel.begin(first)
    for record in records:
        try:
            kernel.rebuild(state, record)
        except Exception as error:
            raise RuntimeError(f"record {record.seq} ({record.kind}) cannot be folded: {error}") from error
    return state
