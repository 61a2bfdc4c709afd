"""Start of a session: its settings, the venue's instruments and the previous session become the SESSION record.

Nothing that is signed is sent, except the query for instruments at a venue that shows them to key holders alone.
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
import trio
from msgspec.structs import replace

from engine.bodies import CommandBody, CommandName
from engine.errors import NewerSessionError
from engine.events import Answer, Event, InstrumentsReport, Outcome
from engine.live.account_lock import AccountLocks
from engine.live.calendars import resolved
from engine.live.clock import SessionClock, wall_ns
from engine.live.link_tasks import HandedOverLink
from engine.live.machine import software_versions
from engine.live.previous_session import (
    PreviousJournal,
    check_unsettled_listed,
    restore_previous,
    unread_journal,
    with_unsettled,
)
from engine.live.refused_addresses import NOT_HERE
from engine.live.session_config import SessionConfig, StartError, StartPlan, limits_text, missing_limits
from engine.live.time_zones import tzdata_version
from engine.live.transport.http_result import HttpResult, HttpSender
from engine.live.venue_access import VenueAccess, make_venue_sender
from engine.record_codec import text_of
from engine.requests import AnswerStatus, Unsigned
from engine.sequencer import Arrival
from engine.session_record import (
    SECOND_NS,
    SafetySettings,
    SessionBody,
)
from engine.sim.modelled_venue import decimals_refusal
from engine.suggestions import suggestion
from engine.venues.metadata_parts import joined_report, metadata_requests
from engine.venues.venue import Venue
from engine.venues.venue_lookup import make_venue
from journal.errors import JournalError, JournalLockedError
from journal.record import Kind
from journal.sessions import list_sessions, new_session_folder
from journal.trust_key import marked

ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
REQUEST_SECONDS_MAX = 10.0
LIMITED_SECONDS_MAX = 60.0  # a request that exceeds the venue's rate is sent again for so long

log = structlog.get_logger()


async def open_session(
    wanted: SessionConfig, before: PreviousJournal | None = None, kept: Mapping[str, HandedOverLink] | None = None
) -> StartPlan:
    """Return the plan of a session: its first records and the state that it continues from.

    Args:
        wanted: The settings.
        before: The state of a session that ended in this process. None: its journal is searched for.
        kept: Connections that the same session left open.

    Raises:
        AccountBusyError: another engine trades the account.
        StartError: the venue does not answer or does not trade an instrument.
        JournalError: the previous session cannot be recovered.
    """
    if wanted.trades_real_money and (missing := missing_limits(wanted.risk)):
        raise StartError(limits_text(missing))
    locks = AccountLocks(wanted.journals, wanted.accounts if wanted.locks_account else {})
    try:
        return await _open_locked(wanted, before, kept, locks)
    except BaseException:
        locks.release()
        raise


async def _open_locked(
    wanted: SessionConfig,
    before: PreviousJournal | None,
    kept: Mapping[str, HandedOverLink] | None,
    locks: AccountLocks,
) -> StartPlan:
    """Return the plan of a session whose accounts are locked; a recording has none."""
    if before is None:
        before = await _read_previous(wanted) if wanted.carry else PreviousJournal()
    if wanted.joins:
        wanted = with_unsettled(wanted, before)
    check_unsettled_listed(before, {name for each in wanted.venues for name in each.instrument_ids})
    described = [await describe_venue(each, wanted.clock) for each in wanted.venues]
    session = "".join(secrets.choice(ID_LETTERS) for _ in range(8))
    locks.name_session(session)
    first = [answer for _, answers in described for answer in answers]
    if before.broken:
        halt = CommandBody(CommandName.HALT, by="shell", reason=f"the session before cannot be folded: {before.broken}")
        first.append(Arrival(Kind.COMMAND, "shell", body=text_of(halt)))
    return StartPlan(
        wanted=wanted,
        body=session_body(wanted, session=session, reports=[report for report, _ in described], before=before),
        folder=new_session_folder(wanted.journals, next_start_ns(wanted.journals), session),
        first=tuple(first),
        kept=kept or {},
        release=locks.release,
    )


async def _read_previous(wanted: SessionConfig) -> PreviousJournal:
    """Return the state of the previous session, or only its name and a reason if reading takes too long."""
    if not wanted.read_seconds_max:
        try:
            return await trio.to_thread.run_sync(restore_previous, wanted)
        except NewerSessionError as error:
            raise StartError(f"{error}. Nothing was read or sent") from error
    with trio.move_on_after(wanted.read_seconds_max):
        try:
            return await trio.to_thread.run_sync(restore_previous, wanted, abandon_on_cancel=True)
        except JournalLockedError:
            raise
        except (JournalError, NewerSessionError) as error:  # a kill cancels by our mark at the venue
            return unread_journal(wanted.journals, str(error))
    return unread_journal(wanted.journals, f"its journal was not read within {wanted.read_seconds_max:.0f} s")


def session_body(
    wanted: SessionConfig,
    *,
    session: str,
    reports: Sequence[InstrumentsReport],
    before: PreviousJournal | None = None,
) -> SessionBody:
    """Return the body of the SESSION record; `reports` are those of its venues, in their order."""
    before = before or PreviousJournal()
    try:
        risk = resolved(wanted.risk, wanted.clock.now_ns())  # first: it may import a package, whose version is recorded
    except ValueError as error:
        raise StartError(f"risk: {error}") from None
    body = SessionBody(
        session=session,
        started_ns=wanted.clock.now_ns(),
        clock=wanted.clock.settings,
        seed=secrets.randbits(32) if wanted.seed is None else wanted.seed,
        host="",
        versions=software_versions() | (tzdata_version() if risk != wanted.risk else {}),
        venues=tuple(
            replace(each.settings, rate_limits=report.rate_limits)
            for each, report in zip(wanted.venues, reports, strict=True)
        ),
        instruments=tuple(instrument for report in reports for instrument in report.instruments),
        strategies=wanted.strategies,
        risk=risk,
        rules=wanted.rules,
        engine=wanted.engine,
        safety=wanted.safety if wanted.account else SafetySettings(),
        account=wanted.account,
        previous=before.previous,
        opening=before.opening,
        safeguards=wanted.safeguards,
        read_only=wanted.read_only,
        paper=wanted.paper,
    )
    if wanted.paper is not None and (reason := decimals_refusal(body.instruments)):
        raise StartError(f"session.account: paper: {reason}. What to do: leave it out of `instruments`")
    return marked(body)


def next_start_ns(journals: Path) -> int:
    """Return the wall clock, at least a second after the newest session, since folder names give the order."""
    newest = max((int(folder.start.timestamp()) for folder in list_sessions(journals)), default=0)
    return max(wall_ns(), (newest + 1) * SECOND_NS)


async def describe_venue(wanted: VenueAccess, clock: SessionClock) -> tuple[InstrumentsReport, tuple[Arrival, ...]]:
    """Return what a venue says of its instruments and limits, over its own connection."""
    sender = make_venue_sender(wanted)
    try:
        return await request_instruments(wanted, sender, clock)
    finally:
        with trio.CancelScope(shield=True):
            await sender.close()


async def request_instruments(
    wanted: VenueAccess, sender: HttpSender, clock: SessionClock
) -> tuple[InstrumentsReport, tuple[Arrival, ...]]:
    """Request the configured instruments and the rate limits. Return both, and the answers as inputs."""
    venue = make_venue(wanted.settings, ())
    where = f"{wanted.settings.name} at {wanted.settings.rest}"
    results, decoded = [], []
    try:
        requests = metadata_requests(venue, wanted.symbols)
    except ValueError as error:  # the venue cannot serve these symbols together
        raise StartError(f"{where}: {error}") from None
    if wanted.key is None and any(unsigned.signed for unsigned in requests):
        raise StartError(f"{wanted.settings.name} describes its instruments to key holders alone; set its credentials")
    for unsigned in requests:
        result, events = await _answer_within_limits(wanted, venue, unsigned, sender, clock)
        results.append(result)
        decoded.append(events)
    report, failed = joined_report(venue, [result.body for result in results], decoded)
    instruments = {instrument.symbol: instrument for instrument in report.instruments}
    if not instruments:
        answer = failed.coded_text if failed else "nothing usable"
        raise StartError(f"{where} does not describe {', '.join(wanted.symbols)}: it says {answer}")
    missing = [symbol for symbol in wanted.symbols if symbol not in instruments]
    if missing:
        hint = suggestion(missing[0], instruments)
        raise StartError(f"{where} trades no {missing[0]}{hint}; correct `instruments` in the configuration")
    named = tuple(
        replace(instruments[symbol], own_symbol=wanted.own_symbols.get(symbol, "")) for symbol in wanted.symbols
    )
    return InstrumentsReport(named, report.rate_limits), tuple(_as_arrival(venue.name, each) for each in results)


async def _answer_within_limits(
    wanted: VenueAccess, venue: Venue, unsigned: Unsigned, sender: HttpSender, clock: SessionClock
) -> tuple[HttpResult, tuple[Event, ...]]:
    """Return an answer and its events. While the venue refuses the rate of requests, wait and request again.

    Another program of the user's, as `verbatim check` a moment before, may have used the address' rate.

    Raises:
        StartError: there is no answer, no venue serves the address, or the venue wants a wait that is too long.
    """
    where = f"{wanted.settings.name} at {wanted.settings.rest}"
    give_up, pause_ns = trio.current_time() + LIMITED_SECONDS_MAX, SECOND_NS
    while True:
        message = venue.signer.sign_http(unsigned, wanted.key if unsigned.signed else None, clock.now_ns())
        result = await sender.send(message, timeout_s=REQUEST_SECONDS_MAX, clock=clock)
        if result.outcome is not AnswerStatus.ANSWER:
            raise StartError(f"cannot reach {where} ({result.error}); is it up, and is the address right?")
        if result.status in NOT_HERE:
            address = wanted.settings.rest.rstrip("/") + unsigned.path
            raise StartError(f"{address} answered HTTP {result.status}; correct venue.rest, or name a network")
        events = venue.decode_answer(unsigned, "", result.status, result.headers, result.body)
        limited = next((e for e in events if isinstance(e, Answer) and e.outcome is Outcome.RATE_LIMITED), None)
        if limited is None:
            return result, events
        wait_ns = max(limited.retry_after_ns, limited.retry_at_ns - clock.now_ns())
        if wait_ns <= 0:  # the venue states no wait; each request may make it longer
            wait_ns, pause_ns = pause_ns, 2 * pause_ns
        wait_s = clock.seconds(wait_ns)
        if trio.current_time() + wait_s > give_up:
            raise StartError(
                f"{where} refuses the rate of requests ({limited.coded_text}) and wants a wait of {wait_s:,.0f} s; "
                "start again after it, and look for other programs at this address"
            )
        log.warning("venue refuses the rate of requests", venue=wanted.settings.name, wait_s=wait_s)
        await trio.sleep(wait_s)


def _as_arrival(venue: str, result: HttpResult) -> Arrival:
    return Arrival(Kind.FEED, f"{venue}.rest", recv_ns=result.recv_ns, meta=result.meta(), payload=result.body)
