"""One record in one line of plain words. Knows what every kind of record says; nothing of where records lie or why they are asked for."""

import json
from decimal import Decimal
from typing import Any

import msgspec

from engine import facts
from engine.bodies import RequestBody
from engine.facts import NewOrder
from engine.record_codec import (
    read_checkpoint,
    read_command,
    read_fact,
    read_intent,
    read_link,
    read_note,
    read_request,
    read_timer,
    read_verdict,
)
from journal.record import Kind, Record, canonical, plain

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
LEVELS_SHOWN = 2


def what(record: Record) -> str:
    """What a record says. Total: a body that cannot be read is shown as it stands."""
    try:
        return _WORDS[record.kind](record)
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        return record.body if record.body is not None else raw(record)


def raw(record: Record) -> str:
    """The wire's bytes as text; what is no UTF-8 as escapes."""
    return (record.payload or b"").decode("utf-8", "backslashreplace")


def span(ns: int) -> str:
    """A length of time as a person says it.

    >>> span(1_200_000), span(80_000), span(2_500_000_000), span(-1_000_000), span(90_000_000_000)
    ('1.200 ms', '80 µs', '2.500 s', '-1.000 ms', '1 min 30 s')
    """
    if ns < 0:
        return f"-{span(-ns)}"
    if ns < MILLISECOND_NS:
        return f"{ns // MICROSECOND_NS} µs"
    if ns < SECOND_NS:
        return f"{ns / MILLISECOND_NS:.3f} ms"
    if ns < MINUTE_NS:
        return f"{ns / SECOND_NS:.3f} s"
    return f"{ns // MINUTE_NS} min {ns % MINUTE_NS // SECOND_NS} s"


def order_words(order: NewOrder) -> str:
    """Return an order as a person reads it."""
    return f"{order.side} {plain(order.quantity)} {order.instrument} {order.terms.text()}"


def values(fields: Any) -> str:
    """Fields as `name value, name value`, in order of their names."""
    pairs = json.loads(canonical(fields))
    return ", ".join(f"{name} {item if isinstance(item, str) else json.dumps(item)}" for name, item in pairs.items())


# ---- our own records ---------------------------------------------------------------------------


def _fact(record: Record) -> str:
    match read_fact(record.body or ""):
        case facts.OrderFilled() as fill:
            fee = f"fee {plain(fill.fee)} {fill.fee_asset}" if fill.fee else "no fee"
            late = ", after we thought the order gone" if fill.late else ""
            role = "maker" if fill.maker else "taker"
            return f"filled {plain(fill.quantity)} at {plain(fill.price)} as {role}, {fee}; fill {fill.fill_id}{late}"
        case facts.OrderAccepted() as accepted:
            owed = f"; it says {plain(accepted.filled_quantity)} is filled" if accepted.filled_quantity else ""
            return f"the venue has it as order {accepted.venue_order_id}{owed}"
        case facts.OrderClosed() as closed:
            return f"{closed.status}, filled {plain(closed.filled_quantity)}" + (
                f": {closed.reason}" if closed.reason else ""
            )
        case facts.OrderUnknown() as unknown:
            return f"unknown: {unknown.reason}; the venue will be asked"
        case facts.OrderNotPlaced() as absent:
            return f"never placed: {absent.reason}"
        case facts.OrderAdopted() as adopted:
            return f"adopted from the venue as order {adopted.venue_order_id}: {order_words(adopted.order)}"
        case facts.CancelSettled() as settled:
            return f"the cancel did not close it: {settled.outcome}"
        case facts.Position() as held:
            at = f" at {_short(held.price_avg)} on average" if held.quantity else ""
            return f"position of {held.strategy} is now {plain(held.quantity)}{at}, realised P&L {_short(held.realised_pnl)}"
        case other:
            tag = str(other.__struct_config__.tag)
            return f"{tag}: {values({name: _rounded(getattr(other, name)) for name in other.__struct_fields__})}"


def _rounded(value: Any) -> Any:
    return round(value, 8) if isinstance(value, Decimal) else value


def _short(number: Decimal) -> str:
    return plain(round(number, 8))


def _intent(record: Record) -> str:
    intent = read_intent(record.body or "")
    wish = order_words(intent.order) if intent.order is not None else f"cancel {intent.cancels}"
    because = f", because {values(intent.because)}" if intent.because else ""
    return f"{intent.strategy} (version {intent.version}) wishes to {wish}{because}"


def _verdict(record: Record) -> str:
    verdict = read_verdict(record.body or "")
    content = [name for name, answer in verdict.rules.items() if not answer]
    objections = [f"{name}: {answer}" for name, answer in verdict.rules.items() if answer]
    said = "approved" if verdict.approved else f"refused by {'; '.join(objections)}"
    return f"{said}; no objection from {', '.join(content) or 'any rule'}"


def _request(record: Record) -> str:
    request = read_request(record.body or "")
    return f"{request.purpose}{_target(request)}"


def _target(request: RequestBody) -> str:
    if request.unsigned is not None:
        return f": {request.unsigned.method} {request.unsigned.path}".rstrip()
    if request.link is not None:
        return f": {request.source} ({request.link.path})"
    return f": {request.source}"


def _link(record: Record) -> str:
    link = read_link(record.body or "")
    reason = f": {link.reason}" if link.reason else ""
    drift = f", wall clock less session time {span(link.drift_ns)}" if link.state == "clock" else ""
    return f"{record.source} {link.state}{reason}{drift}"


def _timer(record: Record) -> str:
    timer = read_timer(record.body or "")
    missed = f", {timer.missed} periods missed" if timer.missed else ""
    return f"{timer.timer} is due{missed}"


def _command(record: Record) -> str:
    command = read_command(record.body or "")
    return " ".join(
        word for word in (command.command, f"by {command.by}" if command.by else "", command.reason) if word
    )


def _note(record: Record) -> str:
    note = read_note(record.body or "")
    return f"{note.level}: {note.text}"


def _session(record: Record) -> str:
    return f"session {json.loads(record.body or '')['session']} begins"


def _checkpoint(record: Record) -> str:
    return f"digests after {read_checkpoint(record.body or '').inputs} inputs"


# ---- what came over the wire --------------------------------------------------------------------


def _wire(record: Record) -> str:
    if record.meta is not None:
        return _answer(record)
    message = json.loads(record.payload or b"")
    data = message.get("data", message.get("event", message))
    kind = data.get("e")
    if kind is None and "u" in data and "b" in data:
        return f"quote {data['s']}: bid {_number(data['b'])} x {_number(data['B'])}, ask {_number(data['a'])} x {_number(data['A'])}"
    if kind == "trade":
        side = "sell" if data["m"] else "buy"
        return f"trade {data['s']}: a {side} of {_number(data['q'])} at {_number(data['p'])}"
    if kind == "depthUpdate":
        return f"depth {data['s']}: updates {data['U']} to {data['u']}, {len(data['b'])} bids, {len(data['a'])} asks"
    if kind == "executionReport":
        return f"the venue's report: {data['x']}, order is {data['X']}"
    return f"the venue's {kind}" if kind else f"a message on {record.source}"


def _number(text: str) -> str:
    return plain(Decimal(text))


def _answer(record: Record) -> str:
    meta = json.loads(record.meta or "")
    to = f" to request {record.cause}" if record.cause is not None else ""
    if meta["outcome"] != "answer":
        error = f": {meta['error']}" if meta.get("error") else ""
        return f"no answer{to}, {meta['outcome']}{error}"
    return f"the venue's answer{to}, HTTP {meta['status']}"


_WORDS = {
    Kind.SESSION: _session,
    Kind.FEED: _wire,
    Kind.BROKER: _wire,
    Kind.LINK: _link,
    Kind.TIMER: _timer,
    Kind.COMMAND: _command,
    Kind.FACT: _fact,
    Kind.INTENT: _intent,
    Kind.VERDICT: _verdict,
    Kind.REQUEST: _request,
    Kind.NOTE: _note,
    Kind.CHECKPOINT: _checkpoint,
}
