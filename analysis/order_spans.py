"""The chain intent -> risk -> request -> order -> fill of a session as spans of a trace, folded from its records.

A trace is an intent with all that follows from it. Ids are derived from the session and the records, so a second
export makes the same spans, and a span may be sent before its parent has ended. Times are session time. Nothing is
decided on spans, and memory is bounded.
"""

import hashlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from analysis.metrics.session_metrics import MEASURED, make_room
from engine import facts
from engine.bodies import IntentBody, RequestBody, VerdictBody
from engine.facts import NewOrder
from engine.lifecycle import Report
from engine.money import MONEY, ZERO
from engine.record_codec import read_fact, read_intent, read_request, read_verdict
from engine.requests import AnswerStatus
from engine.session_record import read_session
from journal.printable import printable
from journal.record import Kind, Record, plain

TEXT_MAX = 200  # characters of a foreign text
EVENTS_MAX = 100  # of one order
Attribute = str | int | bool


class SpanEvent(NamedTuple):
    """A moment within a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, Attribute] = {}


class Span(NamedTuple):
    """A span that has ended."""

    trace_id: int
    span_id: int
    parent_id: int  # 0: a root
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Attribute]
    events: tuple[SpanEvent, ...] = ()
    error: str = ""  # why it failed


class _Place(NamedTuple):
    """The place of a span among others."""

    trace_id: int
    span_id: int


class _Intent(msgspec.Struct):
    place: _Place
    parent_id: int
    name: str
    start_ns: int
    attributes: dict[str, Attribute]
    orders: int = 0  # that have not ended
    plan_id: str = ""  # of the plan that it started
    error: str = ""


class _Request(NamedTuple):
    parent: _Place
    seq: int
    start_ns: int
    body: RequestBody


class _OpenOrder(msgspec.Struct):
    place: _Place
    parent_id: int
    start_ns: int
    order: NewOrder
    attributes: dict[str, Attribute]
    intent: _Intent | None
    quantity: Decimal
    filled: Decimal = ZERO
    events: list[SpanEvent] = []


class OrderSpans:
    """Folds records in their order into spans."""

    def __init__(self) -> None:
        self.session = ""  # the id
        self.account = self.engine_version = ""
        self.now_ns = 0
        self._name = ""  # of the session, unique among all
        self._intents: dict[int, _Intent] = {}  # by the seq of the intent, then of its verdict: no request yet
        self._plans: dict[str, _Intent] = {}
        self._requests: dict[int, _Request] = {}
        self._orders: dict[str, _OpenOrder] = {}
        self._ended: dict[str, _Place] = {}  # orders that ended: a fill may be reported late

    def add(self, record: Record) -> list[Span]:
        """Fold one record, and return the spans that ended with it. A record that cannot be read has none."""
        self.now_ns = record.time_ns
        try:
            return list(self._fold(record))
        except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError):
            return []

    def finish(self) -> list[Span]:
        """Return what has not ended when the session has, marked as open."""
        for order in self._orders.values():
            order.attributes["verbatim.is_open"] = True
        spans = [self._order_span(order, self.now_ns) for order in self._orders.values()]
        open_intents = {id(intent): intent for intent in (*self._intents.values(), *self._plans.values())}
        open_intents |= {id(order.intent): order.intent for order in self._orders.values() if order.intent is not None}
        for intent in open_intents.values():
            intent.attributes["verbatim.is_open"] = True
            spans.append(_intent_span(intent, self.now_ns))
        return spans

    def _fold(self, record: Record) -> Iterator[Span]:
        match record.kind:
            case Kind.SESSION:
                body = read_session(record.body or "")
                self.session, self.account = body.session, body.account
                self.engine_version = body.versions.get("engine", "")
                self._name = f"{body.session}.{body.started_ns}"
            case Kind.INTENT:
                self._intent(record, read_intent(record.body or ""))
            case Kind.VERDICT:
                yield from self._verdict(record, read_verdict(record.body or ""))
            case Kind.REQUEST:
                yield from self._request(record, read_request(record.body or ""))
            case Kind.BROKER if record.meta is not None and record.cause in self._requests:
                yield self._answer(record, self._requests.pop(record.cause))
            case Kind.FACT:
                yield from self._fact(record, read_fact(record.body or ""))
            case _:
                pass

    # ---- intents

    def _intent(self, record: Record, body: IntentBody) -> None:
        about = self._orders.get(body.cancels or body.amends)
        if about is not None:
            place, parent_id = _Place(about.place.trace_id, self._id("intent", str(record.seq))), about.place.span_id
        elif body.plan_id and body.plan_id != record.key:
            place = _Place(self._trace(body.plan_id), self._id("intent", record.key or ""))
            parent_id = self._id("intent", body.plan_id)
        else:
            key = record.key or str(record.seq)
            place, parent_id = _Place(self._trace(key), self._id("intent", key)), 0
        order = body.order or next(iter(body.legs), None)
        instrument = order.instrument if order else body.plan.instrument if body.plan else ""
        attributes = self._attributes(record, body.strategy)
        attributes |= {"verbatim.version": printable(body.version, TEXT_MAX), "verbatim.instrument": instrument}
        if order is not None:
            attributes |= _terms(order)
        name = f"{body.intent.value} {instrument}".strip()
        make_room(self._intents, record.seq)
        self._intents[record.seq] = _Intent(place, parent_id, name, record.time_ns, attributes)

    def _verdict(self, record: Record, body: VerdictBody) -> Iterator[Span]:
        intent = self._intents.pop(-1 if record.cause is None else record.cause, None)
        if intent is None:
            return
        objections = {name: text for name, text in body.rules.items() if text}
        attributes: dict[str, Attribute] = {"verbatim.seq": record.seq, "verbatim.approved": body.approved}
        rule = next(iter(objections), "")
        if rule and not body.approved:
            attributes["verbatim.rule"] = rule
            intent.error = printable(f"refused by {rule}: {objections[rule]}", TEXT_MAX)
        yield Span(
            intent.place.trace_id,
            self._id("risk", str(record.seq)),
            intent.place.span_id,
            "risk",
            intent.start_ns,
            record.time_ns,
            attributes,
            error=intent.error,
        )
        if not body.approved:
            yield _intent_span(intent, record.time_ns)
            return
        make_room(self._intents, record.seq)
        self._intents[record.seq] = intent

    # ---- requests and their answers

    def _request(self, record: Record, body: RequestBody) -> Iterator[Span]:
        if body.purpose not in MEASURED:
            return
        intent = self._intents.pop(-1 if record.cause is None else record.cause, None)
        about = self._orders.get(body.client_order_id)
        if intent is not None:
            parent = intent.place
        elif about is not None:  # the engine cancels on its own
            parent = about.place
        else:
            parent = _Place(self._trace(body.client_order_id or str(record.seq)), 0)
        make_room(self._requests, record.seq)
        self._requests[record.seq] = _Request(parent, record.seq, record.time_ns, body)
        for name, order in body.placed:
            if len(self._orders) >= ORDERS_MAX:
                yield from self._end(next(iter(self._orders)), record.time_ns, "open")
            attributes = self._attributes(record, body.strategy) | _terms(order)
            attributes |= {"verbatim.client_order_id": name, "verbatim.instrument": order.instrument}
            place = _Place(parent.trace_id, self._id("order", name))
            self._orders[name] = _OpenOrder(
                place, parent.span_id, record.time_ns, order, attributes, intent, order.quantity
            )
        if intent is not None:
            intent.orders = len(body.placed)
            if not intent.orders:
                yield _intent_span(intent, record.time_ns)

    def _answer(self, record: Record, request: _Request) -> Span:
        meta: dict[str, Any] = msgspec.json.decode(record.meta or "{}")
        outcome, status, sent_ns = meta.get("outcome"), meta.get("status"), meta.get("sent_ns")
        attributes: dict[str, Attribute] = {
            "verbatim.seq": request.seq,
            "verbatim.purpose": request.body.purpose.value,
            "verbatim.outcome": str(outcome),
        }
        events: tuple[SpanEvent, ...] = ()
        if isinstance(status, int) and status:
            attributes["http.response.status_code"] = status
        if isinstance(sent_ns, int) and outcome != AnswerStatus.NOT_SENT:
            events = (SpanEvent("sent", sent_ns),)
        failed = outcome != AnswerStatus.ANSWER or (isinstance(status, int) and status >= HTTP_ERROR)
        return Span(
            request.parent.trace_id,
            self._id("request", str(request.seq)),
            request.parent.span_id,
            f"request {request.body.purpose.value}",
            request.start_ns,
            record.time_ns,
            attributes,
            events,
            f"{outcome} {status or ''}".strip() if failed else "",
        )

    # ---- orders

    def _fact(self, record: Record, fact: facts.Fact) -> Iterator[Span]:
        match fact:
            case facts.OrderFilled():
                yield from self._filled(record, fact)
            case facts.OrderClosed():
                reason = fact.reason if fact.status is Report.REJECTED else ""
                yield from self._end(fact.client_order_id, record.time_ns, fact.status.value, reason)
            case facts.OrderNotPlaced():
                yield from self._end(fact.client_order_id, record.time_ns, "not_placed", fact.reason or "not placed")
            case facts.OrderAccepted():
                self._event(record, fact.client_order_id, "accepted")
                if order := self._orders.get(fact.client_order_id):
                    order.attributes["verbatim.venue_order_id"] = printable(fact.venue_order_id, TEXT_MAX)
            case facts.OrderTriggered():
                self._event(record, fact.client_order_id, "triggered")
            case facts.OrderUnknown():
                self._event(record, fact.client_order_id, "unknown")
            case facts.OrderAmended():
                self._event(record, fact.client_order_id, "amended")
                if order := self._orders.get(fact.client_order_id):
                    order.quantity = fact.quantity
                    if order.filled >= order.quantity:
                        yield from self._end(fact.client_order_id, record.time_ns, "filled")
            case facts.PlanStarted():
                intent = self._intents.pop(-1 if record.cause is None else record.cause, None)
                if intent is not None:
                    make_room(self._plans, fact.plan_id)
                    self._plans[fact.plan_id] = intent
            case facts.PlanEnded():
                if started := self._plans.pop(fact.plan_id, None):
                    yield _intent_span(started, record.time_ns)
            case _:
                pass

    def _event(self, record: Record, name: str, event: str) -> None:
        order = self._orders.get(name)
        if order is not None and len(order.events) < EVENTS_MAX:
            order.events.append(SpanEvent(event, record.time_ns, {"verbatim.seq": record.seq}))

    def _filled(self, record: Record, fact: facts.OrderFilled) -> Iterator[Span]:
        order = self._orders.get(fact.client_order_id)
        parent = order.place if order is not None else self._ended.get(fact.client_order_id)
        if parent is None:
            return  # an order of an earlier session, or of another program
        yield Span(
            parent.trace_id,
            self._id("fill", f"{fact.client_order_id} {fact.fill_id}"),
            parent.span_id,
            f"fill {fact.instrument}",
            record.time_ns,
            record.time_ns,
            {
                "verbatim.seq": record.seq,
                "verbatim.fill_id": printable(fact.fill_id, TEXT_MAX),
                "verbatim.side": fact.side.value,
                "verbatim.price": plain(fact.price),
                "verbatim.quantity": plain(fact.quantity),
                "verbatim.fee": plain(fact.fee),
                "verbatim.fee_asset": printable(fact.fee_asset, TEXT_MAX),
                "verbatim.is_maker": fact.maker,
                "verbatim.venue_time_ns": fact.venue_ns,
            },
        )
        if order is not None:
            order.filled = MONEY.add(order.filled, fact.quantity)
            if order.filled >= order.quantity:
                yield from self._end(fact.client_order_id, record.time_ns, "filled")

    def _end(self, name: str, end_ns: int, status: str, error: str = "") -> Iterator[Span]:
        order = self._orders.pop(name, None)
        if order is None:
            return
        make_room(self._ended, name)
        self._ended[name] = order.place
        order.attributes["verbatim.status"] = status
        text = printable(error, TEXT_MAX)
        yield self._order_span(order, end_ns, text)
        intent = order.intent
        if intent is not None:
            intent.orders -= 1
            intent.error = intent.error or text
            if not intent.orders:
                yield _intent_span(intent, end_ns)

    # ---- parts

    @staticmethod
    def _order_span(order: _OpenOrder, end_ns: int, error: str = "") -> Span:
        return Span(
            order.place.trace_id,
            order.place.span_id,
            order.parent_id,
            f"order {order.order.instrument}",
            order.start_ns,
            end_ns,
            order.attributes | {"verbatim.filled": plain(order.filled)},
            tuple(order.events),
            error,
        )

    def _attributes(self, record: Record, strategy: str) -> dict[str, Attribute]:
        return {"verbatim.session": self.session, "verbatim.seq": record.seq, "verbatim.strategy": strategy}

    def _trace(self, key: str) -> int:
        return _digest(self._name, "trace", key, bytes_used=16)

    def _id(self, kind: str, key: str) -> int:
        return _digest(self._name, kind, key, bytes_used=8)


ORDERS_MAX = 10_000  # that have not ended; the oldest is then sent as it is
HTTP_ERROR = 400  # from this status on


def _intent_span(intent: _Intent, end_ns: int) -> Span:
    place = intent.place
    return Span(
        place.trace_id,
        place.span_id,
        intent.parent_id,
        intent.name,
        intent.start_ns,
        end_ns,
        intent.attributes,
        error=intent.error,
    )


def _terms(order: NewOrder) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {
        "verbatim.side": order.side.value,
        "verbatim.type": order.type.value,
        "verbatim.quantity": plain(order.quantity),
    }
    return found | ({"verbatim.price": plain(order.price)} if order.price else {})


def _digest(*parts: str, bytes_used: int) -> int:
    """Return an id that is never 0, which means no id."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:bytes_used], "big") or 1
