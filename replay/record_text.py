"""One record in one line of plain English. The session's own venues read its frames; no venue is named here.

Knows how to read every kind of record; knows nothing of where records are stored or why they are shown.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from engine import facts
from engine.bodies import Figure, RequestBody
from engine.events import BalanceReport, Event, OrderReport, Unrecognised
from engine.facts import NewOrder
from engine.market import rows as r
from engine.model import Instrument, find_instrument
from engine.plan_terms import PlanTerms
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
from engine.session_venues import SessionVenues
from engine.venues.polling import decode_polled
from engine.venues.venue import Decoded, RowsAndEvents, Venue
from journal.printable import in_one_line, join_lines
from journal.record import Kind, Record, canonical, plain

if TYPE_CHECKING:
    from engine.strategy.loading import LoadedStrategy

NO_STRATEGIES: Final[Mapping[str, "LoadedStrategy"]] = {}
MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
TEXT_MAX = 240


class FrameDecoder:
    """Reads the frames of one session with its venues."""

    def __init__(
        self, context: SessionVenues | None, strategies: Mapping[str, "LoadedStrategy"] = NO_STRATEGIES
    ) -> None:
        """Take the venues of `context`. Without it frames are shown as text.

        Args:
            context: The session's venues.
            strategies: They watch other instruments than the SESSION record states for the strategies of their names.
        """
        self._context = context
        self._instruments = [] if context is None else list(context.instruments.values())
        self.watched = {} if context is None else _watched_instruments(context, strategies)

    def venue(self, source: str) -> Venue | None:
        """Return the venue that a source belongs to, or None if the session has not declared it."""
        return None if self._context is None else self._context.venues.get(source.split(".", 1)[0])

    def rows(self, record: Record) -> list[list[int]]:
        """Decode a streamed frame or polled data of the market. Return an empty list for any other record."""
        decoded = self.decode(record) if record.kind is Kind.FEED else ()
        table = decoded.rows if isinstance(decoded, RowsAndEvents) else decoded
        return [] if isinstance(table, tuple) else [[int(value) for value in row] for row in table]

    def decode(self, record: Record) -> Decoded:
        """Decode a frame into market rows, events or both. Return an empty tuple for any other record."""
        venue = self.venue(record.source)
        if venue is None or record.payload is None:
            return ()
        if record.meta is not None:
            is_poll = record.kind is Kind.FEED and record.key is not None
            return decode_polled(venue, record.key or "", record.payload, record.seq, record.time_ns) if is_poll else ()
        if record.kind is Kind.BROKER:
            return venue.account.decode_private(record.payload)
        return venue.market.decode(record.payload, record.source, record.seq, record.time_ns)

    def instrument(self, row: list[int]) -> Instrument:
        """Return the instrument of a row."""
        return self._instruments[row[r.INSTRUMENT]]


def _watched_instruments(
    context: SessionVenues, strategies: Mapping[str, "LoadedStrategy"]
) -> Mapping[str, frozenset[str]]:
    """Return the ids of the instruments that each strategy declares, by strategy."""
    names = {settings.name: settings.declared.instruments for settings in context.body.strategies if settings.declared}
    names.update({name: loaded.instruments for name, loaded in strategies.items()})
    return {
        strategy: frozenset(
            instrument.id for name in declared if (instrument := find_instrument(context.instruments, name)) is not None
        )
        for strategy, declared in names.items()
    }


def describe(record: Record, markets: FrameDecoder | None = None) -> str:
    """Describe a record in one line. A body that cannot be read is returned with its line breaks as spaces.

    Args:
        record: Any record of a session.
        markets: Reads wire frames; without it they are returned as text.
    """
    try:
        is_wire = record.kind in (Kind.FEED, Kind.BROKER)
        text = _wire(record, markets) if is_wire else _DESCRIBERS[record.kind](record)
    except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        text = record.body if record.body is not None else payload_text(record)
    return join_lines(text)


def payload_text(record: Record) -> str:
    """Return the wire's bytes as text. Bytes that are not UTF-8 become escapes."""
    return (record.payload or b"").decode("utf-8", "backslashreplace")


def duration_text(ns: int) -> str:
    """Format a length of time with its unit.

    >>> [duration_text(ns) for ns in (1_200_000, 80_000, 2_500_000_000, -1_000_000, 90_000_000_000)]
    ['1.200 ms', '80 µs', '2.500 s', '-1.000 ms', '1 min 30 s']
    """
    if ns < 0:
        return f"-{duration_text(-ns)}"
    if ns < MILLISECOND_NS:
        return f"{ns // MICROSECOND_NS} µs"
    if ns < SECOND_NS:
        return f"{ns / MILLISECOND_NS:.3f} ms"
    if ns < MINUTE_NS:
        return f"{ns / SECOND_NS:.3f} s"
    return f"{ns // MINUTE_NS} min {ns % MINUTE_NS // SECOND_NS} s"


def shorten(text: str) -> str:
    """Cut a text to TEXT_MAX characters."""
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def order_text(order: NewOrder) -> str:
    """Describe an order by side, quantity, instrument and terms."""
    most = "at most " if order.quote_quantity else ""
    ends = f", good till {time_text(order.good_till_ns)} UTC" if order.good_till_ns else ""
    return f"{order.side} {most}{plain(order.quantity)} {order.instrument} {order.terms.text()}{ends}"


def plan_text(plan: PlanTerms) -> str:
    """Describe an execution plan by its kind, side, quantity and instrument."""
    return f"{plan.__struct_config__.tag} {plan.side} {plain(plan.quantity)} {plan.instrument}"


def time_text(time_ns: int) -> str:
    """Format the time of day in UTC to the microsecond."""
    moment = datetime.fromtimestamp(time_ns // SECOND_NS, UTC)
    return f"{moment:%H:%M:%S}.{time_ns // 1000 % 1_000_000:06d}"


def fields_text(fields: Any) -> str:
    """Format fields as `name value, name value`, sorted by name."""
    pairs = json.loads(canonical(fields))
    return ", ".join(f"{name} {item if isinstance(item, str) else json.dumps(item)}" for name, item in pairs.items())


# ---- our own records ---------------------------------------------------------------------------


def _fact(record: Record) -> str:
    match read_fact(record.body or ""):
        case facts.OrderFilled() as fill:
            fee = f"fee {plain(fill.fee)} {fill.fee_asset}" if fill.fee else "no fee"
            late = ", after the order was thought to have ended" if fill.late else ""
            role = "maker" if fill.maker else "taker"
            return f"filled {plain(fill.quantity)} at {plain(fill.price)} as {role}, {fee}; fill {fill.fill_id}{late}"
        case facts.OrderAccepted() as accepted:
            filled = (
                f"; the venue reports {plain(accepted.filled_quantity)} as filled" if accepted.filled_quantity else ""
            )
            return f"accepted by the venue as order {accepted.venue_order_id}{filled}"
        case facts.OrderTriggered():
            return "triggered: the market reached its stop price, and the venue activated it"
        case facts.PlanStarted() as started:
            return f"plan started: {plan_text(started.terms)}"
        case facts.OrderClosed() as closed:
            return f"{closed.status}, filled {plain(closed.filled_quantity)}" + (
                f": {closed.reason}" if closed.reason else ""
            )
        case facts.OrderUnknown() as unknown:
            return f"unknown: {unknown.reason}; the order will be queried"
        case facts.OrderNotPlaced() as absent:
            return f"never placed: {absent.reason}"
        case facts.OrderAdopted() as adopted:
            return f"adopted from the venue as order {adopted.venue_order_id}: {order_text(adopted.order)}"
        case facts.CancelSettled() as settled:
            return f"the cancel did not close the order: {settled.outcome}"
        case facts.Position() as position:
            average = f" at {_rounded_text(position.price_avg)} on average" if position.quantity else ""
            pnl = _rounded_text(position.realised_pnl)
            return f"position of {position.strategy} is now {plain(position.quantity)}{average}, realised P&L {pnl}"
        case facts.InstrumentBlocked() as blocked:
            reasons = "; ".join(reason.text for reason in blocked.reasons)
            return f"{blocked.instrument} is blocked: {reasons}" if reasons else f"{blocked.instrument} trades again"
        case other:
            tag = str(other.__struct_config__.tag)
            return f"{tag}: {fields_text({name: _rounded(getattr(other, name)) for name in other.__struct_fields__})}"


def _rounded(value: Any) -> Any:
    return round(value, 8) if isinstance(value, Decimal) else value


def _rounded_text(number: Decimal) -> str:
    return plain(round(number, 8))


def _intent(record: Record) -> str:
    intent = read_intent(record.body or "")
    if intent.order is not None:
        action = order_text(intent.order)
    elif intent.legs:
        action = f"place as one list: {'; '.join(map(order_text, intent.legs))}"
    else:
        action = f"cancel {intent.cancels}" if intent.plan is None else f"run the plan {plan_text(intent.plan)}"
    rationale = f", because {fields_text(intent.rationale)}" if intent.rationale else ""
    return f"{intent.strategy} (version {intent.version}) decides to {action}{rationale}"


def _verdict(record: Record) -> str:
    verdict = read_verdict(record.body or "")
    passed = [name for name, answer in verdict.rules.items() if not answer]
    objections = [f"{name}: {answer}" for name, answer in verdict.rules.items() if answer]
    outcome = "approved" if verdict.approved else f"refused by {'; '.join(objections)}"
    if passed or not verdict.figures:
        outcome += f"; no objection from {', '.join(passed) or 'any rule'}"
    return outcome + "".join(f"; {name} {_figure(figure)}" for name, figure in verdict.figures.items())


def _figure(figure: Figure) -> str:
    """Return what a limit compared: the use with the order, the limit, and the use without it if it differs."""
    used, limit, value = map(plain, figure)
    return f"{value} of {limit}" if used == value else f"{value} of {limit} ({used} without it)"


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
    drift = f", wall clock minus session time {duration_text(link.drift_ns)}" if link.state == "clock" else ""
    if link.state in ("late", "caught_up"):
        return f"{record.source} {link.state}: {duration_text(link.age_ns)}, {link.waiting:,} messages wait"
    if link.state == "overrun":
        return f"{record.source} overrun: a decision of strategy {link.strategy} took {duration_text(link.spent_ns)}"
    return f"{record.source} {link.state}{reason}{drift}"


def _timer(record: Record) -> str:
    timer = read_timer(record.body or "")
    missed = f", {timer.missed} periods missed" if timer.missed else ""
    return f"{timer.timer} is due{missed}"


def _command(record: Record) -> str:
    command = read_command(record.body or "")
    by = f"by {command.by}" if command.by else ""
    return in_one_line(f"{command.command} {by} {command.reason}")


def _note(record: Record) -> str:
    note = read_note(record.body or "")
    return f"{note.level}: {note.text}"


def _session(record: Record) -> str:
    return f"session {json.loads(record.body or '')['session']} begins"


def _checkpoint(record: Record) -> str:
    return f"digests after {read_checkpoint(record.body or '').inputs} inputs"


# ---- what came over the wire --------------------------------------------------------------------


def _wire(record: Record, markets: FrameDecoder | None) -> str:
    decoded = () if markets is None else markets.decode(record)
    if isinstance(decoded, RowsAndEvents):
        decoded = decoded.events
    if record.meta is not None and (record.kind is not Kind.FEED or not len(decoded)):
        return _answer(record)
    if record.payload is None:
        return record.body or ""
    if markets is not None and not isinstance(decoded, tuple):
        rows = [[int(value) for value in row] for row in decoded]
        return _market_text(rows, markets.instrument(rows[0]))
    return _events_text(decoded, record) if isinstance(decoded, tuple) else payload_text(record)


def _events_text(events: tuple[Event, ...], record: Record) -> str:
    match events:
        case (OrderReport() as report, *_):
            fills = "".join(f", filled {plain(fill.quantity)} at {plain(fill.price)}" for fill in report.fills)
            return f"the venue's report: order is {report.status}{fills}"
        case (BalanceReport(), *_):
            balances = (_balance_text(event) for event in events if isinstance(event, BalanceReport))
            return f"the venue's balances: {', '.join(balances)}"
        case () | (Unrecognised(), *_):
            return payload_text(record)
        case _:
            return f"the venue's {type(events[-1]).__name__}"


def _balance_text(report: BalanceReport) -> str:
    return f"{plain(report.free)} {report.asset} free, {plain(report.locked)} locked"


def _market_text(rows: list[list[int]], instrument: Instrument) -> str:
    """Describe a market message by its first row."""
    row, symbol = rows[0], instrument.symbol
    price, size = (partial(_plain_number, scale=scale) for scale in (instrument.price_scale, instrument.size_scale))
    match row[r.TYPE]:
        case r.QUOTE:
            bid, ask = (
                f"{price(row[key])} x {size(row[size_key])}"
                for key, size_key in ((r.QUOTE_BID, r.QUOTE_BID_SIZE), (r.QUOTE_ASK, r.QUOTE_ASK_SIZE))
            )
            return f"quote {symbol}: bid {bid}, ask {ask}"
        case r.TRADE:
            side = "sell" if row[r.TRADE_BUYER_IS_MAKER] else "buy"
            return f"trade {symbol}: a {side} of {size(row[r.TRADE_SIZE])} at {price(row[r.TRADE_PRICE])}"
        case r.DIFF if len(rows) > 1 and rows[1][r.TYPE] == r.ORDER:
            order = rows[1]
            side = "sell" if order[r.ORDER_SIDE] == r.ASK else "buy"
            what = "cancelled" if order[r.ORDER_ACTION] == r.ORDER_CANCELLED else "added"
            return f"order {symbol}: {what} {side} of {size(order[r.ORDER_SIZE])} at {price(order[r.ORDER_PRICE])}"
        case r.DIFF:
            bids, asks = (sum(level[r.LEVEL_SIDE] == side for level in rows[1:]) for side in (r.BID, r.ASK))
            first_id, last_id = row[r.DIFF_FIRST_ID], row[r.DIFF_LAST_ID]
            return f"depth {symbol}: updates {first_id} to {last_id}, {bids} bids, {asks} asks"
        case r.SNAPSHOT:
            return f"book {symbol}: {len(rows) - 1} levels"
        case r.MARK:
            funding = _plain_number(row[r.MARK_RATE], scale=r.MARK_SCALE)
            return f"mark {symbol}: {_plain_number(row[r.MARK_PRICE], scale=r.MARK_SCALE)}, funding {funding}"
        case _:
            return f"a value of {symbol} that is out of range"


def _plain_number(value: int, *, scale: int) -> str:
    return plain(Decimal(value).scaleb(-scale))


def _answer(record: Record) -> str:
    meta = json.loads(record.meta or "")
    to = f" to request {record.cause}" if record.cause is not None else ""
    if meta["outcome"] != "answer":
        error = f": {meta['error']}" if meta.get("error") else ""
        return f"no answer{to}, {meta['outcome']}{error}"
    return f"the venue's answer{to}, HTTP {meta['status']}"


_DESCRIBERS = {
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
