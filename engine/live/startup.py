"""How a session begins: what the one before left behind, what the venue trades, and the SESSION body made of both.

Recovers and folds the journal of the session before; asks the venue for its instruments. Sends nothing that is signed.
"""

import platform
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import trio
from msgspec.structs import replace

from engine.bodies import CommandBody, CommandName
from engine.events import Answer, InstrumentsReport
from engine.facts import ModeChanged
from engine.kernel import rebuilder_of
from engine.live.clock import SessionClock, wall_ns
from engine.live.link_tasks import HandedOverLink
from engine.live.transport.http_result import HttpResult, HttpSender
from engine.live.transport.selection import TransportProfile, make_sender
from engine.mode_reasons import Mode, ReasonCode, code_of
from engine.record_codec import read_fact, text_of
from engine.requests import AnswerStatus
from engine.sequencer import Arrival
from engine.session_context import make_venue
from engine.session_record import (
    SECOND_NS,
    EngineSettings,
    PreviousSession,
    RiskSettings,
    RuleSettings,
    SessionBody,
    StrategySettings,
    VenueSettings,
    read_session,
)
from engine.state.session_state import State, carry_over
from engine.venues.binance_spot.signing import ApiKey
from journal.errors import JournalError, NotAJournalError
from journal.reader import Journal
from journal.record import Kind, Record
from journal.recover import recover
from journal.sessions import list_sessions, new_session_folder
from journal.signing import Signer

ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
ASK_SECONDS = 10.0


class StartError(Exception):
    """The session cannot begin: what, where, what to do, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """What whoever starts a session decides (verbatim/config.py makes it)."""

    journals: Path
    clock: SessionClock
    venue: VenueSettings
    symbols: tuple[str, ...]
    strategies: tuple[StrategySettings, ...] = ()
    key: ApiKey | None = None
    risk: RiskSettings = field(default_factory=RiskSettings)
    rules: tuple[RuleSettings, ...] = ()
    engine: EngineSettings = field(default_factory=EngineSettings)
    account: str = "main"  # "": none; the session records what the public may see, and trades nothing
    seed: int | None = None  # None: drawn
    transport: TransportProfile = TransportProfile.STANDARD
    on_journal_failure: str = "cancel_all"  # "cancel_all" | "leave"
    free_bytes_min: int = 1 << 30  # on the journal's disk: with less, trading halts
    signer: Signer | None = None  # of what is sealed
    sync: bool = True  # False is for benchmarks alone: nothing is then durable, whatever the journal says
    carry: bool = True  # go on from the newest session of this account and venue


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPlan:
    """All that `run_session` needs. The key is in no record."""

    wanted: SessionConfig
    body: SessionBody
    folder: Path
    first: tuple[Arrival, ...]  # taken right after the SESSION record
    kept: Mapping[str, HandedOverLink] = field(
        default_factory=dict
    )  # connections of the session before that are open still


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousJournal:
    """What the session before this one leaves."""

    previous: PreviousSession | None = None
    opening: dict[str, Any] | None = None
    broken: str = ""  # why its records could not be folded


async def open_session(
    wanted: SessionConfig, before: PreviousJournal | None = None, kept: Mapping[str, HandedOverLink] | None = None
) -> StartPlan:
    """Everything before the first record. Raises StartError or JournalError.

    `before` and `kept` come from a session that ended in this process; else its journal is looked for.
    """
    if before is None:
        before = await trio.to_thread.run_sync(look_back, wanted) if wanted.carry else PreviousJournal()
    refuse_unlisted(before, wanted.symbols)
    sender = make_sender(wanted.transport, wanted.venue.rest)
    try:
        told, metadata_arrival = await ask_instruments(wanted, sender)
    finally:
        with trio.CancelScope(shield=True):
            await sender.close()
    session = "".join(secrets.choice(ID_LETTERS) for _ in range(8))
    first = [metadata_arrival]
    if before.broken:
        halt = CommandBody(CommandName.HALT, by="shell", reason=f"the session before cannot be folded: {before.broken}")
        first.append(Arrival(Kind.COMMAND, "shell", body=text_of(halt)))
    return StartPlan(
        wanted=wanted,
        body=session_body(wanted, session=session, told=told, before=before),
        folder=new_session_folder(wanted.journals, later_than_all(wanted.journals), session),
        first=tuple(first),
        kept=kept or {},
    )


def session_body(
    wanted: SessionConfig, *, session: str, told: InstrumentsReport, before: PreviousJournal | None = None
) -> SessionBody:
    """The body of the SESSION record."""
    before = before or PreviousJournal()
    return SessionBody(
        session=session,
        started_ns=wanted.clock.now_ns(),
        clock=wanted.clock.settings,
        seed=secrets.randbits(32) if wanted.seed is None else wanted.seed,
        host=host_id(),
        versions=versions(),
        venues=(replace(wanted.venue, allowance=told.allowance),),
        instruments=told.instruments,
        strategies=wanted.strategies,
        risk=wanted.risk,
        rules=wanted.rules,
        engine=wanted.engine,
        account=wanted.account,
        previous=before.previous,
        opening=before.opening,
    )


def later_than_all(journals: Path) -> int:
    """The wall clock or, where sessions follow within a second or it was set back, a second after the newest: by their names'
    order a restart finds the session it goes on from.
    """
    newest = max((int(found.start.timestamp()) for found in list_sessions(journals)), default=0)
    return max(wall_ns(), (newest + 1) * SECOND_NS)


# ---- the session before ------------------------------------------------------------------------


def look_back(wanted: SessionConfig) -> PreviousJournal:
    """Recovers the newest session of this account and venue, and folds it to its end; one that only recorded owes nothing
    that would be worth the folding.
    """
    for found in reversed(list_sessions(wanted.journals)):
        try:
            if not wanted.account and _of_others(wanted, found.path):
                continue  # which may be running: two recordings of different things do not meet
            recovered = recover(found.path, signer=wanted.signer)
            journal = Journal.open(found.path)
            record = journal.session_record()
        except NotAJournalError:
            continue  # it died before its first record was on disk: it can have sent nothing
        body = read_session(record.body or "")
        if (body.account, [venue.name for venue in body.venues]) != (wanted.account, [wanted.venue.name]):
            continue
        if body.resimulated is not None:
            continue  # its orders and its money never were
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
        try:
            return PreviousJournal(previous=previous, opening=carry_over(let_in_again(body, journal, folded(journal))))
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever our own code of today raises on yesterday's records
            return PreviousJournal(previous=previous, broken=f"{found.path.name}: {type(error).__name__}: {error}")
    return PreviousJournal()


def _of_others(wanted: SessionConfig, folder: Path) -> bool:
    """Whether this is no recording of the same instruments."""
    body = read_session(Journal.open(folder).session_record().body or "")
    symbols = tuple(instrument.symbol for instrument in body.instruments)
    return (body.account, [venue.name for venue in body.venues], symbols) != ("", [wanted.venue.name], wanted.symbols)


def gone_on_from(body: SessionBody, state: State, *, chain: str, links: tuple[str, ...]) -> PreviousJournal:
    """What a session leaves that was closed in this very process, with the connections that it left open."""
    previous = PreviousSession(body.session, state.seq, chain, last_ns=state.time_ns, links=links)
    return PreviousJournal(previous=previous, opening=carry_over(state))


def refuse_unlisted(before: PreviousJournal, symbols: tuple[str, ...]) -> None:
    """An order that the session before left open can only be looked after where its instrument is traded."""
    if before.opening is None or before.previous is None:
        return
    orders = before.opening["account"]["orders"]
    owing = [orders["closed"].get(name) or orders["live"][name] for name in orders["owing"]]
    for order in (*orders["live"].values(), *owing):
        symbol = order["order"]["instrument"].partition(":")[2]
        if symbol not in symbols:
            raise StartError(
                f"order {order['client_order_id']} on {symbol} was not settled when session {before.previous.session} ended, "
                f"and `instruments` does not list {symbol}: list it until that order is closed"
            )


def let_in_again(body: SessionBody, journal: Journal, state: State) -> State:
    """A session that the venue never let in leaves nothing that a person must look at: whoever starts the next one may have
    mended the key, and if not the venue says so again. Every other halt stays.
    """
    modes = state.account.modes
    inherited = ((body.opening or {}).get("account") or {}).get("modes", {}).get("halted_for")
    if (
        code_of(modes.halted_for) is ReasonCode.KEY_REFUSED
        and not inherited
        and not any(map(_says_running, journal.records()))
    ):
        state.account = replace(state.account, modes=replace(modes, halted_for=""))
    return state


def _says_running(record: Record) -> bool:
    if record.kind is not Kind.FACT:
        return False
    fact = read_fact(record.body or "")
    return isinstance(fact, ModeChanged) and fact.mode is Mode.RUNNING


def folded(journal: Journal) -> State:
    """The state at the end of a journal: every record folded, nothing decided, no strategy's source run."""
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


# ---- the venue's instruments -------------------------------------------------------------------


async def ask_instruments(wanted: SessionConfig, sender: HttpSender) -> tuple[InstrumentsReport, Arrival]:
    """The instruments named and the rates allowed, as the venue describes them now, and its answer as a record to be."""
    venue: Any = make_venue(wanted.venue, ())
    unsigned = venue.exchange_info(wanted.symbols)
    message = venue.sign_rest(unsigned, None, 0)
    where = f"{wanted.venue.name} at {wanted.venue.rest}"
    ended = await sender.send(message, timeout_s=ASK_SECONDS, clock=wanted.clock)
    if ended.outcome is not AnswerStatus.ANSWER:
        raise StartError(f"cannot reach {where} ({ended.error}); is it up, and is the address right?")
    events = venue.decode_answer(unsigned.method, unsigned.path, "", ended.status, ended.headers, ended.body)
    report = next((event for event in events if isinstance(event, InstrumentsReport)), InstrumentsReport(()))
    found = {instrument.symbol: instrument for instrument in report.instruments}
    if not found:
        said = next((f"{event.code} {event.text}" for event in events if isinstance(event, Answer)), "nothing usable")
        raise StartError(f"{where} does not describe {', '.join(wanted.symbols)}: it says {said}")
    missing = [symbol for symbol in wanted.symbols if symbol not in found]
    if missing:
        raise StartError(f"{where} trades no {missing[0]}; correct `instruments` in the configuration")
    named = tuple(found[symbol] for symbol in wanted.symbols)
    return InstrumentsReport(named, report.allowance), _as_arrival(venue.name, ended)


def _as_arrival(venue: str, ended: HttpResult) -> Arrival:
    return Arrival(Kind.FEED, f"{venue}.rest", recv_ns=ended.recv_ns, meta=ended.meta(), payload=ended.body)


# ---- the machine -------------------------------------------------------------------------------


def host_id() -> str:
    """Which machine this is, without saying its name."""
    try:
        mark = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        mark = ""
    return sha256(f"verbatim {mark or platform.node()}".encode()).hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """Engine, Python, and every distribution that a module in use comes from. Looked up once a process: half a second."""
    used = {name.partition(".")[0] for name in sys.modules}
    found = {"python": platform.python_version()}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name and not used.isdisjoint(_top_level(distribution, name)):
            found[name.lower()] = distribution.version
    found["engine"] = found.get("verbatim-trading", "unknown")
    return found


def _top_level(distribution: metadata.Distribution, name: str) -> set[str]:
    """The importable names it brings. Its RECORD is read as text: parsing every line of every one takes a second."""
    if name == "verbatim-trading":
        return {"verbatim", "engine"}
    if text := distribution.read_text("top_level.txt"):
        return set(text.split())
    lines = (distribution.read_text("RECORD") or "").splitlines()
    return {line.partition("/")[0].partition(",")[0].removesuffix(".py") for line in lines}
