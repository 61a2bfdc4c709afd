"""Rounds of reconciliation as a person reads them: queries, findings and changes. Reads a journal.

A round is every request with its number. The session's own venues read the findings in the answers; the changes are the
facts that followed from an answer.
"""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from engine import facts
from engine.bodies import RequestBody
from engine.events import (
    AccountReport,
    Answer,
    Event,
    FillsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    Unrecognised,
)
from engine.kernel import rebuilder_of
from engine.record_codec import read_fact, read_note, read_request
from engine.session_context import SessionContext
from journal.reader import Journal
from journal.record import INPUTS, Kind, Record, plain
from replay.moments import iso_time
from replay.record_text import FrameDecoder, describe, duration_text

# facts that count and close a round, and reports: they are no changes
_BOOKKEEPING = (
    facts.RoundChanged, facts.Reconciled, facts.ReconcileFailed, facts.BooksCompared, facts.FillsConfirmed, facts.Pnl,
    facts.PortfolioPnl, facts.SessionClosing,
)  # fmt: skip


class RoundQuery(msgspec.Struct):
    """One query of a round, with its answer and the changes that followed."""

    seq: int
    what: str
    time_ns: int
    found: str = "no answer yet"
    answer_seq: int = -1
    took_ns: int = 0
    changed: list[str] = []


class Round(msgspec.Struct):
    """One round."""

    number: int
    began_seq: int
    began_ns: int
    why: str  # the input that led to it
    queries: list[RoundQuery] = []
    notes: list[str] = []
    ended_seq: int = -1  # -1: it runs
    ended_ns: int = 0
    failed: str = ""  # why it ended without a result
    result: dict[str, int] = {}
    books: dict[str, Any] = {}  # equity and positions; empty before accounting 3

    @property
    def changes(self) -> int:
        """The number of facts that followed from the answers."""
        return sum(len(each.changed) for each in self.queries)

    @property
    def is_wrong(self) -> bool:
        """True if it failed, or positions or equity differ by more than is allowed."""
        drift, limit = (Decimal(self.books.get(name, 0)) for name in ("drift", "limit"))
        return bool(self.failed or self.books.get("wrong")) or abs(drift) > limit > 0

    @property
    def outcome(self) -> str:
        """The end of the round in a few words."""
        if self.ended_seq < 0:
            return "runs"
        if self.failed:
            return f"failed: {self.failed}"
        named = ", ".join(f"{name} {count}" for name, count in self.result.items() if count)
        return f"changed {named}" if named else "nothing to change"


def read_rounds(folder: Path) -> list[Round]:
    """Return the rounds of a session, oldest first."""
    journal = Journal.open(folder)
    first = journal.session_record()
    kinds = (*INPUTS - {Kind.FEED}, Kind.REQUEST, Kind.FACT, Kind.NOTE)
    reader = _Reader(journal, rebuilder_of(first).session)
    for record in journal.records(kinds=kinds):
        reader.add(record)
    return reader.rounds


class _Reader:
    """Sorts records into rounds."""

    def __init__(self, journal: Journal, session: SessionContext) -> None:
        self._journal = journal
        self._session = session
        self._decoder = FrameDecoder(session, session.strategies)
        self.rounds: list[Round] = []
        self._pending: dict[int, tuple[RoundQuery, RequestBody]] = {}  # by the seq of the request
        self._answered: RoundQuery | None = None  # of the input whose outputs follow
        self._notes: list[tuple[int | None, str]] = []  # of the current step, with their causes

    def add(self, record: Record) -> None:
        """Add one record."""
        if record.kind in INPUTS:
            self._notes = []
            entry = self._pending.pop(-1 if record.cause is None or record.meta is None else record.cause, None)
            self._answered = None if entry is None else self._read_answer(record, *entry)
        elif record.kind is Kind.REQUEST:
            self._request(record)
        elif record.kind is Kind.FACT:
            self._fact(record)
        elif record.kind is Kind.NOTE:
            text = read_note(record.body or "").text
            self._notes.append((record.cause, text))
            if self._answered is not None:
                self.rounds[-1].notes.append(text)

    def _request(self, record: Record) -> None:
        request = read_request(record.body or "")
        if not request.round:
            return
        if not self.rounds or self.rounds[-1].number != request.round:
            seq = record.seq if record.cause is None else record.cause
            cause = next(iter(self._journal.records(seq, seq)), record)
            texts = [describe(cause, self._decoder), *(text for seq, text in self._notes if seq == record.cause)]
            self.rounds.append(Round(request.round, record.seq, record.time_ns, "; ".join(texts)))
        about = request.client_order_id or request.instrument
        query = RoundQuery(record.seq, f"{request.purpose} {about}".rstrip(), record.time_ns)
        self.rounds[-1].queries.append(query)
        self._pending[record.seq] = query, request

    def _read_answer(self, record: Record, query: RoundQuery, request: RequestBody) -> RoundQuery:
        query.answer_seq, query.took_ns = record.seq, record.time_ns - query.time_ns
        query.found = findings_text(self._events(record, request))
        return query

    def _events(self, record: Record, request: RequestBody) -> tuple[Event, ...]:
        meta = msgspec.json.decode(record.meta or "{}")
        if meta.get("outcome") != "answer" or request.unsigned is None:
            return (Answer(Outcome.UNKNOWN, text=f"no answer: {meta.get('outcome')}"),)
        venue = self._session.venues[request.venue]
        headers, payload = meta.get("headers", {}), record.payload or b""
        return venue.decode_answer(request.unsigned, request.instrument, meta.get("status", 0), headers, payload)

    def _fact(self, record: Record) -> None:
        fact = read_fact(record.body or "")
        if not self.rounds:
            return
        newest = self.rounds[-1]
        match fact:
            case facts.Reconciled() if fact.round == newest.number:
                newest.ended_seq, newest.ended_ns = record.seq, record.time_ns
                newest.result = {
                    "orders": fact.orders, "fills": fact.fills, "balances": fact.balances,
                    "orders with missing fills": fact.corrections, "unsettled orders": fact.unsettled,
                }  # fmt: skip
            case facts.ReconcileFailed() if fact.round == newest.number:
                newest.ended_seq, newest.ended_ns, newest.failed = record.seq, record.time_ns, fact.reason
            case facts.BooksCompared() if fact.round == newest.number:
                newest.books = msgspec.to_builtins(fact)
                newest.notes += books_text(fact)
        if self._answered is not None and not isinstance(fact, _BOOKKEEPING):
            self._answered.changed.append(f"{describe(record)} [record {record.seq}]")


def findings_text(events: Iterable[Event]) -> str:
    """Return what an answer reports in a few words."""
    found = []
    for event in events:
        match event:
            case Answer() if event.outcome is not Outcome.DONE:
                found.append(f"{event.outcome}: {event.coded_text}" if event.code else f"{event.outcome}: {event.text}")
            case OpenOrdersReport():
                found.append(f"{len(event.orders)} open orders")
            case FillsReport():
                more = "" if event.whole else ", and more on the next page"
                found.append(f"{len(event.fills)} fills{more}")
            case AccountReport():
                held = [each for each in event.balances if each.free or each.locked]
                found.append(
                    f"{len(held)} balances" + (", the account may not trade" if event.can_trade is False else "")
                )
            case OrderReport():
                found.append(f"the order is {event.status}, {plain(event.filled_quantity)} filled")
            case Unrecognised():
                found.append(f"unreadable: {event.error}")
            case _:
                pass
    return "; ".join(found) or "done"


def books_text(fact: facts.BooksCompared) -> list[str]:
    """Return equity and positions as lines for people."""
    lines = []
    if fact.is_settled:
        limit = f", limit {plain(fact.limit)}" if fact.limit else ""
        lines.append(
            f"equity: {plain(fact.expected)} {fact.currency} by our records, {plain(fact.reported)} by the venue: "
            f"drift {plain(fact.drift)}{limit}"
        )
        lines += [f"  {asset}: {plain(amount)} by the venue less ours" for asset, amount in fact.by_asset.items()]
    else:
        lines.append("equity: not compared, because fills are missing or orders unknown")
    if fact.missing:
        lines.append(f"without a rate in {fact.currency}: {', '.join(fact.missing)}")
    lines.append(f"positions: {fact.positions} are the sums of their fills" if not fact.wrong else "positions differ:")
    return [*lines, *(f"  {text}" for text in fact.wrong)]


def rounds_table(rounds: list[Round]) -> list[str]:
    """Format a line for each round."""
    return [
        f"round {each.number:<4} {iso_time(each.began_ns)}  {len(each.queries)} queries, {each.changes} changes  "
        f"{each.outcome}"
        for each in rounds
    ]


def round_report(found: Round) -> list[str]:
    """Format one round: every query with its findings and changes, then the comparison of the books."""
    lines = [f"round {found.number}, {iso_time(found.began_ns)}, after: {found.why}"]
    for each in found.queries:
        took = f" in {duration_text(each.took_ns)}" if each.answer_seq >= 0 else ""
        lines.append(f"  queried  {each.what} [record {each.seq}]")
        lines.append(
            f"  found    {each.found}{took}" + (f" [record {each.answer_seq}]" if each.answer_seq >= 0 else "")
        )
        lines += [f"  changed  {text}" for text in each.changed]
    lines += [f"  {text}" for text in found.notes]
    took = f" after {duration_text(found.ended_ns - found.began_ns)}" if found.ended_seq >= 0 else ""
    return [*lines, f"  {found.outcome}{took}"]
