"""One record in one line of plain words. Knows what every kind of record says; nothing of journals or queries."""

import json
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from engine import facts
from engine.bodies import RequestBody
from engine.events import BalanceReport, Event, OrderReport, Unrecognised
from engine.facts import NewOrder
from engine.market import rows as r
from engine.market.rows import Rows
from engine.model import Instrument
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
from engine.session_context import SessionContext
from journal.record import Kind, Record, canonical, plain

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
LEVELS_SHOWN = 2


def what(record: Record, context: SessionContext | None = None) -> str:
    """Return what a record says. Total: bytes that cannot be read are shown as they are.

    Args:
        record: Of any kind.
        context: The venues of its session. Without it the bytes of frames are shown.

    """
    try:
        if record.kind in (Kind.FEED, Kind.BROKER):
            return wire(record, context)
        return _WORDS[record.kind](record)
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        return record.body if record.body is not None else raw(record)


def raw(record: Record) -> str:
    """Return the wire's bytes as text, with escapes for bytes that are not UTF-8."""
    return (record.payload or b"").decode("utf-8", "backslashreplace")


def span(ns: int) -> str:
    """Return a length of time as a person writes it.

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
    """Return fields as `name value, name value`, in the order of their names."""
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


def wire(record: Record, context: SessionContext | None) -> str:
    """Return what a frame or an answer says, as the session's venue decodes it."""
    if record.meta is not None:
        return _answer(record)
    name = record.source.partition(".")[0]
    venue = None if context is None else context.venues.get(name)
    payload = record.payload or b""
    if venue is None:
        return raw(record)
    if record.kind is Kind.BROKER:
        return _events(venue.account.decode_private(payload), record)
    decoded = venue.market.decode(payload, record.source, record.seq, record.time_ns)
    if isinstance(decoded, tuple):
        return _events(decoded, record)
    return _market(decoded, venue.instruments[int(decoded[0, r.INSTRUMENT])])


def _events(events: tuple[Event, ...], record: Record) -> str:
    """Return what a frame reports."""
    match events:
        case (OrderReport() as report, *_):
            fills = "".join(f", filled {plain(fill.quantity)} at {plain(fill.price)}" for fill in report.fills)
            return f"the venue's report: order is {report.status}{fills}"
        case (BalanceReport(), *_):
            return f"the venue's balances: {', '.join(_balance(event) for event in events if isinstance(event, BalanceReport))}"
        case (Unrecognised(), *_):
            return raw(record)
        case ():
            return f"a message on {record.source}"
        case _:
            return f"the venue's {type(events[-1]).__name__}"


def _balance(report: BalanceReport) -> str:
    return f"{plain(report.free)} {report.asset} free, {plain(report.locked)} locked"


def _market(rows: Rows, of: Instrument) -> str:
    """Return what the first message of some rows says."""
    first = [int(value) for value in rows[0]]
    prices, sizes = (partial(_number, scale=scale) for scale in (of.price_scale, of.size_scale))
    match first[r.TYPE]:
        case r.QUOTE:
            return f"quote {of.symbol}: bid {prices(first[r.A])} x {sizes(first[r.B])}, ask {prices(first[r.C])} x {sizes(first[r.D])}"
        case r.TRADE:
            return (
                f"trade {of.symbol}: a {'sell' if first[r.D] else 'buy'} of {sizes(first[r.B])} at {prices(first[r.A])}"
            )
        case r.DIFF:
            bids, asks = (int((rows[1:, r.A] == side).sum()) for side in (r.BID, r.ASK))
            return f"depth {of.symbol}: updates {first[r.A]} to {first[r.B]}, {bids} bids, {asks} asks"
        case r.SNAPSHOT:
            return f"book {of.symbol}: {len(rows) - 1} levels"
        case r.MARK:
            return f"mark {of.symbol}: {_number(first[r.A], scale=r.MARK_SCALE)}"
        case _:
            return f"a value of {of.symbol} that may not enter"


def _number(value: int, *, scale: int) -> str:
    return plain(Decimal(value).scaleb(-scale))


def _answer(record: Record) -> str:
    meta = json.loads(record.meta or "")
    to = f" to request {record.cause}" if record.cause is not None else ""
    if meta["outcome"] != "answer":
        error = f": {meta['error']}" if meta.get("error") else ""
        return f"no answer{to}, {meta['outcome']}{error}"
    return f"the venue's answer{to}, HTTP {meta['status']}"


_WORDS = {
    Kind.SESSION: _session,
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
