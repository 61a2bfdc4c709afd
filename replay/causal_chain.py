"""The causal walk: from a record along `cause`, and from a decision to the quote that it was based on.

Reads the journal; folds nothing. Both `verbatim replay` and `verbatim why` use it.
"""

from collections.abc import Iterable, Mapping

import msgspec

from engine.facts import ModeChanged, OrderClosed, OrderFilled, OrderNotPlaced
from engine.market import rows as r
from engine.mode_reasons import Mode
from engine.record_codec import read_fact, read_intent, read_request, read_timer, read_verdict
from engine.requests import Purpose
from engine.timer_names import TimerKind, TimerName
from journal.printable import join_lines
from journal.reader import Journal
from journal.record import Kind, Record
from replay.record_text import FrameDecoder, describe, shorten, time_text

STEPS_MAX = 64  # a chain is a handful of records; a longer one is a loop in damaged causes
SEARCHED_RECORDS_MAX = 16_384  # records before a TIMER that are searched for the quote which triggered its strategy
READ_RECORDS = 1_024  # records that the search reads at once


class CauseLink(msgspec.Struct, frozen=True):
    """One record of a chain."""

    record: Record
    text: str


class CausalWalk:
    """The steps from a record to its causes within one session."""

    def __init__(self, journal: Journal, markets: FrameDecoder) -> None:
        self._journal = journal
        self._markets = markets

    def record_at(self, seq: int) -> Record | None:
        """Return the record `seq`, or None if the session does not have it."""
        in_session = 0 <= seq <= self._journal.last_seq
        return next(iter(self._journal.records(seq, seq)), None) if in_session else None

    def decision_input(self, record: Record) -> int | None:
        """Return the seq of the market message that an INTENT or a throttled strategy's TIMER was based on.

        Of a TIMER for an event of the account: the seq of that event.
        """
        if record.kind is Kind.INTENT:
            seq = read_intent(record.body or "").rationale.get("quote_seq")
            return seq if isinstance(seq, int) else None
        event = self._event_before(record)
        if event is not None:
            return event.seq
        return self._last_quote_before(record) if record.kind is Kind.TIMER else None

    def _last_quote_before(self, timer: Record) -> int | None:
        """Find the last quote of the strategy's instruments, or their last market message if there is no quote."""
        name = TimerName.parse(read_timer(timer.body or "").timer)
        is_throttle = name.kind is TimerKind.THROTTLE
        instruments = self._markets.watched.get(name.strategy, frozenset()) if is_throttle else frozenset()
        stop = max(0, timer.seq - SEARCHED_RECORDS_MAX) if instruments else timer.seq
        last_message: int | None = None
        for end in range(timer.seq, stop, -READ_RECORDS):
            for record in reversed(list(self._journal.records(max(0, end - READ_RECORDS), end - 1))):
                rows = self._markets.rows(record)
                if rows and self._markets.instrument(rows[0]).id in instruments:
                    if rows[0][r.TYPE] == r.QUOTE:
                        return record.seq
                    last_message = record.seq if last_message is None else last_message
        return last_message

    def _event_before(self, timer: Record) -> Record | None:
        """Return the newest event of the account for which a TIMER `event.STRATEGY` fired; None for other records."""
        if timer.kind is not Kind.TIMER:
            return None
        name = TimerName.parse(read_timer(timer.body or "").timer)
        if name.kind is not TimerKind.EVENT:
            return None
        before = self._journal.records(max(0, timer.seq - READ_RECORDS), timer.seq - 1)
        return next((record for record in reversed(list(before)) if _is_event_of(record, name.subject)), None)

    def causes(self, record: Record) -> list[int]:
        """Return the seqs of a record's causes: its own cause and the quote that a decision was based on."""
        seq = self.decision_input(record)
        own = [] if record.cause is None or _is_origin(record) else [record.cause]
        return own if seq is None else [*own, seq]

    def with_causes(self, records: Iterable[Record]) -> dict[int, Record]:
        """Return records with the causes of each, and the causes of these, by seq. An origin has no causes."""
        found: dict[int, Record] = {}
        waiting = list(records)
        while waiting:
            record = waiting.pop()
            if record.seq in found:
                continue
            found[record.seq] = record
            causes = (self.record_at(seq) for seq in self.causes(record) if seq not in found)
            waiting += [cause for cause in causes if cause is not None]
        return found

    def chain(self, record: Record, replayed: Mapping[int, Record]) -> list[CauseLink]:
        """Return the record, its cause, and so on to the origin.

        Args:
            record: Where the chain begins.
            replayed: Records by seq that take precedence over those of the journal.
        """
        links: list[CauseLink] = []
        seen: set[int] = set()
        decided_on: Record | None = None
        current: Record | None = record
        while current is not None and current.seq not in seen and len(links) < STEPS_MAX:
            seen.add(current.seq)
            remark = "   (the quote it was decided on)" if current is decided_on else ""
            links.append(CauseLink(current, record_line(current, self._markets) + remark))
            if current.kind is Kind.INTENT or (current.cause is None and decided_on is None):
                seq = self.decision_input(current)
                decided_on = None if seq is None else self.record_at(seq)
            cause = current.cause
            if cause is None:
                current = self._event_before(current) or decided_on
            elif 0 <= cause <= record.seq:
                current = replayed.get(cause) or self.record_at(cause)
            else:
                current = None  # the cause is in another session
        return links


def _is_origin(record: Record) -> bool:
    """Return True for a connection and for requests that open one or read the market: no order explains them."""
    if record.kind is Kind.LINK:
        return True
    return record.kind is Kind.REQUEST and read_request(record.body or "").purpose in (
        Purpose.CONNECT,
        Purpose.DISCONNECT,
        Purpose.DEPTH,
        Purpose.POLL,
    )


def _is_event_of(record: Record, strategy: str) -> bool:
    """Return True for a fill, an end or a refusal of a strategy's order, and for the session's return to RUNNING."""
    if record.kind is Kind.VERDICT:
        verdict = read_verdict(record.body or "")
        return not verdict.approved and verdict.strategy == strategy
    if record.kind is not Kind.FACT:
        return False
    fact = read_fact(record.body or "")
    if isinstance(fact, ModeChanged):
        return fact.mode is Mode.RUNNING
    if isinstance(fact, OrderFilled):
        return fact.strategy == strategy
    return isinstance(fact, OrderClosed | OrderNotPlaced) and f"-{strategy}-" in fact.client_order_id


def record_line(record: Record, markets: FrameDecoder) -> str:
    """Format a record as one line: seq, time, kind, source, key and description."""
    key = f" [{record.key}]" if record.key else ""
    text = shorten(describe(record, markets))
    return join_lines(f"{record.seq:>9}  {time_text(record.time_ns)}  {record.kind:<10} {record.source}{key}  {text}")
