"""Metrics of a session, folded from its records: a pure reducer with bounded memory. Nothing is decided on them."""

import re
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import msgspec

from analysis.metrics.fact_metrics import fold_fact
from analysis.metrics.values import MetricValues
from engine.bodies import CommandBody, CommandName, LinkBody, LinkEvent, NoteLevel
from engine.facts import BreakerScope
from engine.lifecycle import Status
from engine.mode_reasons import Mode
from engine.mode_shares import ModeShares
from engine.record_codec import (
    read_command,
    read_fact,
    read_intent,
    read_link,
    read_note,
    read_request,
    read_verdict,
)
from engine.requests import AnswerStatus, Purpose
from engine.session_record import SECOND_NS, SessionBody, read_session
from journal.record import Kind, Record

HOUR_NS = 3600 * SECOND_NS
WAITING_MAX = 10_000  # requests and orders without an answer that are remembered
MEASURED = frozenset({Purpose.PLACE, Purpose.PLACE_LIST, Purpose.AMEND, Purpose.CANCEL})
RESUMED = {
    CommandName.RESUME_INSTRUMENT: BreakerScope.INSTRUMENT.value,
    CommandName.RESUME_STRATEGY: BreakerScope.STRATEGY.value,
}
_VENUE_CODE = re.compile(r"-?[0-9]{1,6}\b")


class Waiting(NamedTuple):
    """An order whose outcome is not known yet."""

    strategy: str
    instrument: str
    is_unknown: bool = False
    is_carried: bool = False  # an earlier session sent it, so its outcome does not count here


class SessionMetrics:
    """Folds the records of one session, in their order; FEED records may be folded apart from the others."""

    def __init__(self) -> None:
        self.values = MetricValues()
        self.first_ns = self.now_ns = 0  # session time of the first and of the newest record
        self.last_seq = -1
        self.waiting: dict[str, Waiting] = {}  # by client order id
        self.pauses: dict[tuple[str, str], int] = {}  # by scope and subject: the time at which a pause ends
        self.mode = Mode.STARTING
        self.modes = ModeShares(0)
        self._sent: dict[int, tuple[int, str]] = {}  # by seq of the REQUEST: its time and purpose
        self._intents: dict[str, tuple[str, str]] = {}  # by intent: strategy and instrument, until its verdict
        self._heard_ns: dict[str, int] = {}  # by stream: session time of its last message
        self._connected: dict[str, bool] = {}  # links that were open once

    # ---- records

    def add(self, record: Record) -> None:
        """Fold one record."""
        self.now_ns, self.last_seq = max(self.now_ns, record.time_ns), record.seq
        self.values.add("records_total", record.kind.value)
        if record.kind in (Kind.FEED, Kind.BROKER) and record.meta is None:
            self.add_messages(record.source, 1, record.time_ns)
            return
        try:
            self._fold(record)
        except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError):
            self.values.add("unreadable_records_total")

    def add_messages(self, stream: str, count: int, last_ns: int) -> None:
        """Count messages of a stream, the last one at a time."""
        self.values.add("stream_messages_total", stream, amount=count)
        make_room(self._heard_ns, stream)
        self._heard_ns[stream] = max(self._heard_ns.get(stream, 0), last_ns)

    def _fold(self, record: Record) -> None:
        body = record.body or ""
        match record.kind:
            case Kind.SESSION:
                self._begin(record, read_session(body))
            case Kind.FACT:
                fold_fact(self, record.time_ns, read_fact(body))
            case Kind.INTENT:
                intent = read_intent(body)
                self.values.add("intents_total", intent.strategy, intent.intent.value)
                order = intent.order or next(iter(intent.legs), None)
                make_room(self._intents, record.key or "")
                self._intents[record.key or ""] = intent.strategy, order.instrument if order else ""
            case Kind.VERDICT:
                strategy, instrument = self._intents.pop(record.key or "", ("", ""))
                verdict = read_verdict(body)
                if not verdict.approved:
                    rule = next((name for name, objection in verdict.rules.items() if objection), "")
                    owner = strategy or verdict.strategy, instrument or verdict.instrument
                    self.values.add("intents_refused_total", *owner, rule)
            case Kind.REQUEST:
                self._request(record)
            case Kind.BROKER:
                self._answer(record)
            case Kind.LINK:
                self._link(record.source, read_link(body))
            case Kind.COMMAND:
                self._command(read_command(body))
            case Kind.NOTE:
                self.values.add("notes_total", read_note(body).level.value)
            case _:
                pass

    def _begin(self, record: Record, body: SessionBody) -> None:
        self.first_ns, self.modes = record.time_ns, ModeShares(record.time_ns)
        self.values.put("session_info", 1, body.session, body.account, body.versions.get("engine", ""))
        self.values.put("session_start_timestamp_seconds", record.time_ns / SECOND_NS)
        self._begin_at_zero(body)
        if body.opening is None:
            return
        from engine.state.session_state import restore_opening

        for order in restore_opening(body.opening).orders.all():
            if order.status in (Status.PENDING, Status.UNKNOWN):
                is_unknown = order.status is Status.UNKNOWN
                self.waiting[order.client_order_id] = Waiting(
                    order.strategy, order.order.instrument, is_unknown, is_carried=True
                )

    def _begin_at_zero(self, body: SessionBody) -> None:
        """Give counters of known labels the value 0: a query sees no increase in a series that begins at 1."""
        known: dict[str, Iterable[str]] = {
            "notes_total": NoteLevel,
            "strategies_stopped_total": (strategy.name for strategy in body.strategies),
            "books_compared_total": ("agrees", "differs", "unsettled"),
            "reconciliations_total": ("done", "failed"),
        }
        for name, labels in known.items():
            for label in labels:
                self.values.add(name, label, amount=0)

    # ---- requests

    def _request(self, record: Record) -> None:
        request = read_request(record.body or "")
        for name, order in request.placed:
            owner = request.strategy, order.instrument
            self.values.add("orders_submitted_total", *owner)
            for outcome in ("orders_accepted_total", "orders_not_placed_total", "orders_became_unknown_total"):
                self.values.add(outcome, *owner, amount=0)
            make_room(self.waiting, name)
            self.waiting[name] = Waiting(*owner)
        if request.purpose in MEASURED and request.unsigned is not None:
            make_room(self._sent, record.seq)
            self._sent[record.seq] = record.time_ns, request.purpose.value

    def _answer(self, record: Record) -> None:
        sent = self._sent.pop(-1 if record.cause is None else record.cause, None)
        if sent is None or record.meta is None:
            return
        meta: dict[str, Any] = msgspec.json.decode(record.meta)
        outcome, sent_ns = meta.get("outcome"), meta.get("sent_ns")
        if not isinstance(sent_ns, int) or outcome == AnswerStatus.NOT_SENT:
            return
        asked_ns, purpose = sent
        self.values.observe("request_send_seconds", max(sent_ns - asked_ns, 0) / SECOND_NS, purpose)
        if outcome == AnswerStatus.ANSWER:
            self.values.observe("request_answer_seconds", max(record.time_ns - sent_ns, 0) / SECOND_NS, purpose)

    # ---- orders

    def settle(self, client_order_id: str, outcome: str, reason: str = "") -> None:
        """Count the first outcome of an order: a counter of the orders, with the class of the reason."""
        order = self.waiting.pop(client_order_id, None)
        if order is None or order.is_carried:
            return
        labels = (reason_class(reason),) if reason else ()
        self.values.add(outcome, order.strategy, order.instrument, *labels)

    def doubt(self, client_order_id: str) -> None:
        """Count an order that became unknown."""
        order = self.waiting.get(client_order_id)
        if order is not None and not order.is_unknown:
            self.waiting[client_order_id] = order._replace(is_unknown=True)
            self.values.add("orders_became_unknown_total", order.strategy, order.instrument)

    def pause(self, scope: str, subject: str, until_ns: int) -> None:
        """Note a pause of a breaker."""
        make_room(self.pauses, (scope, subject))
        self.pauses[scope, subject] = until_ns

    # ---- links and commands

    def _link(self, source: str, link: LinkBody) -> None:
        values = self.values
        match link.state:
            case LinkEvent.UP:
                values.add("link_reconnects_total", source, amount=source in self._connected)
                values.add("link_downs_total", source, amount=0)
                make_room(self._connected, source)
                self._connected[source] = True
                values.put("link_up", 1, source)
            case LinkEvent.DOWN:
                values.put("link_up", 0, source)
                values.add("link_downs_total", source)
            case LinkEvent.LATE | LinkEvent.CAUGHT_UP:
                is_late = link.state is LinkEvent.LATE
                values.put("engine_late", is_late)
                values.add("engine_late_total", amount=is_late)
                values.put("queued_messages", link.waiting)
            case LinkEvent.OVERRUN:
                values.add("decision_overruns_total", link.strategy)
            case LinkEvent.CLOCK:
                pass

    def _command(self, command: CommandBody) -> None:
        scope = RESUMED.get(command.command)
        if scope is not None:
            self.pauses.pop((scope, command.about), None)

    # ---- figures as of the newest record

    def snapshot(self) -> MetricValues:
        """Return a copy of all values, with those that depend on the newest record's time."""
        values, now_ns = self.values.copy(), self.now_ns
        values.put("last_record_timestamp_seconds", now_ns / SECOND_NS)
        for mode in Mode:
            values.put("mode", mode is self.mode, mode.value)
        if self.first_ns:
            for mode_name, spent_ns in self.modes.summary(now_ns).mode_ns.items():
                values.put("mode_seconds_total", spent_ns / SECOND_NS, mode_name)
        for (scope, subject), until_ns in self.pauses.items():
            values.put("breaker_open", now_ns < until_ns, scope, subject)
        for stream, heard_ns in self._heard_ns.items():
            values.put("stream_last_message_timestamp_seconds", heard_ns / SECOND_NS, stream)
            values.put("stream_silence_seconds", max(now_ns - heard_ns, 0) / SECOND_NS, stream)
        values.put("unanswered_orders", len(self.waiting))
        values.put("unknown_orders", sum(order.is_unknown for order in self.waiting.values()))
        accepted, rejected = values.total("orders_accepted_total"), values.total("orders_rejected_total")
        answered = accepted + rejected + values.total("orders_not_placed_total")
        if answered:
            values.put("submit_success_ratio", accepted / answered)
            values.put("submit_rejection_ratio", rejected / answered)
        if now_ns > self.first_ns > 0:  # 0: a slice begins without its SESSION record
            values.put("fills_per_hour", values.total("fills_total") / ((now_ns - self.first_ns) / HOUR_NS))
        return values


def make_room(known: dict[Any, Any], key: Hashable) -> None:
    """Forget the oldest entry if another one would exceed the bound."""
    if key not in known and len(known) >= WAITING_MAX:
        del known[next(iter(known))]


def reason_class(reason: str) -> str:
    """Return the venue's code if the reason begins with one, else `text`.

    >>> reason_class("-2010 Account has insufficient balance"), reason_class("too late"), reason_class("")
    ('-2010', 'text', 'none')
    """
    found = _VENUE_CODE.match(reason)
    return found[0] if found else "text" if reason else "none"
