"""The acts of a session: all that is not market data, folded once from its records into rows for the page.

Orders go through the engine's own life cycle (engine/lifecycle.py). P&L, positions, balances and modes are the facts
that the engine recorded; nothing is computed again here.
"""

from decimal import Decimal
from typing import Any

import msgspec

from engine import facts
from engine.bodies import IntentBody, LinkEvent, NoteLevel
from engine.facts import NewOrder
from engine.lifecycle import LIVE, Report, Status, after
from engine.money import MONEY
from engine.record_codec import (
    read_command,
    read_fact,
    read_intent,
    read_link,
    read_note,
    read_request,
    read_verdict,
)
from engine.requests import Purpose
from engine.session_record import SessionBody
from engine.state.account_keys import asset_key
from engine.state.session_state import restore_opening
from journal.record import Kind, Record, plain
from replay.record_text import shorten
from verbatim.cockpit.act_rows import KINDS, MARKS, TEXT_MAX, VALUES_MAX, Acts, FillRow, IntentRow, OrderRow, new_acts


class ActsFold:
    """Folds records into acts."""

    def __init__(self, body: SessionBody | None, origin_ns: int, acts: Acts) -> None:
        """Continue `acts`; new ones get the orders that the session carried over.

        Args:
            body: The SESSION record; None for a capture.
            origin_ns: The session's first time, from which all times count.
            acts: The rows so far.
        """
        self.acts = acts
        self._origin_ns = origin_ns
        # a plan may name its instrument by the symbol alone, which is accepted if one instrument has it
        self._ids = {found.symbol: found.id for found in body.instruments} if body is not None else {}
        self._by_id = {row.id: row for row in acts.intents}
        self._open_gaps = {gap[0]: gap for gap in acts.gaps if gap[2] is None}
        self._unknown = {row[3]: row for row in acts.unknowns if row[2] is None}
        if acts.last_seq < 0 and body is not None and body.opening is not None:
            for order in restore_opening(body.opening).orders.all():
                row = self._new_order(
                    order.client_order_id, order.strategy, order.order, origin="carried", seq=0, time=0
                )
                row.status, row.venue_id = order.status.value, order.venue_order_id
                row.filled, row.notional = plain(order.filled_quantity), plain(order.filled_notional)
                if order.status not in LIVE:
                    row.end_time = -1
        acts.last_seq = max(acts.last_seq, 0)

    def add(self, record: Record) -> None:
        """Fold one record."""
        self.acts.last_seq = record.seq
        time = record.time_ns - self._origin_ns
        try:
            match record.kind:
                case Kind.FACT:
                    self._fact(record, time)
                case Kind.INTENT:
                    self._intent(record, time)
                case Kind.VERDICT:
                    self._verdict(record, time)
                case Kind.REQUEST:
                    self._request(record, time)
                case Kind.BROKER:
                    self._answer(record)
                case Kind.NOTE:
                    note = read_note(record.body or "")
                    self.acts.notes.append((record.seq, time, note.level.value, _short(note.text)))
                    if note.level is NoteLevel.ALARM:
                        self._mark("alarm", record.seq, time)
                case Kind.LINK:
                    link = read_link(record.body or "")
                    self.acts.links.append((record.seq, time, record.source, link.state.value, _short(link.reason)))
                    if link.state in (LinkEvent.UP, LinkEvent.DOWN, LinkEvent.LATE):
                        self._mark("link", record.seq, time)
                case Kind.COMMAND:
                    given = read_command(record.body or "")
                    self.acts.commands.append(
                        (
                            record.seq,
                            time,
                            given.command.value,
                            _short(given.by),
                            _short(given.reason),
                            _short(given.about),
                        )
                    )
                    self._mark("command", record.seq, time)
                case _:
                    pass
        except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError):
            self.acts.counts["unreadable"] = self.acts.counts.get("unreadable", 0) + 1

    def _mark(self, name: str, seq: int, time: int) -> None:
        self.acts.marks[name].append((seq, time))

    # ---- decisions

    def _intent(self, record: Record, time: int) -> None:
        intent = read_intent(record.body or "")
        about = intent.cancels or intent.amends
        orders = [intent.order] if intent.order else list(intent.legs)  # a list is shown by its first order
        subject = orders[0] if orders else intent.plan or self.acts.orders.get(about)
        price = next((order.price for order in orders if order.price), None)
        row = IntentRow(
            seq=record.seq,
            time=time,
            id=record.key or "",
            strategy=intent.strategy,
            kind=intent.intent.value,
            instrument=self._ids.get(subject.instrument, subject.instrument) if subject else "",
            side=str(subject.side) if subject else "",
            quantity=plain(orders[0].quantity) if orders else "",
            price=plain(price) if price else "",
            terms=_short("; ".join(order.terms.text() for order in orders)),
            about=about,
            values=_values(intent),
        )
        seq = intent.rationale.get("quote_seq")
        row.quote_seq = seq if isinstance(seq, int) else None
        self.acts.intents.append(row)
        self._by_id[row.id] = row
        self._mark("decision", record.seq, time)

    def _verdict(self, record: Record, time: int) -> None:
        verdict = read_verdict(record.body or "")
        row = self._by_id.get(record.key or "")
        objection = next(((rule, text) for rule, text in verdict.rules.items() if text), ("", ""))
        if row is not None:
            row.verdict_seq, row.approved = record.seq, verdict.approved
            row.rule, row.objection = _short(objection[0]), _short(objection[1])
        if verdict.figures:
            figures = {
                name: (plain(figure[0]), plain(figure[1]), plain(figure[2])) for name, figure in verdict.figures.items()
            }
            self.acts.figures.append((record.seq, figures))
        if not verdict.approved:
            self._mark("refusal", record.seq, time)

    def _request(self, record: Record, time: int) -> None:
        request = read_request(record.body or "")
        for name, order in request.placed:  # one, or those of an order list
            self._new_order(name, request.strategy, order, origin="placed", seq=record.seq, time=time)
            self._mark("order", record.seq, time)
        if request.purpose is Purpose.CANCEL and (row := self.acts.orders.get(request.client_order_id)) is not None:
            row.cancel_seq = record.seq
        if request.unsigned is not None:
            self.acts.waiting[record.seq] = (record.time_ns, request.purpose.value)

    def _answer(self, record: Record) -> None:
        if record.cause is None or record.meta is None or (sent := self.acts.waiting.pop(record.cause, None)) is None:
            return
        meta = msgspec.json.decode(record.meta)
        if isinstance(sent_ns := meta.get("sent_ns"), int):
            time = record.time_ns - self._origin_ns
            self.acts.wire.append(
                (record.cause, record.seq, time, sent[1], sent_ns - sent[0], record.time_ns - sent_ns)
            )

    # ---- orders

    def _new_order(self, name: str, strategy: str, order: NewOrder, *, origin: str, seq: int, time: int) -> OrderRow:
        row = OrderRow(
            id=name,
            strategy=strategy,
            instrument=order.instrument,
            side=order.side.value,
            type=order.type.value,
            terms=_short(order.terms.text()),
            quantity=plain(order.quantity),
            price=plain(order.price) if order.price else "",
            stop_price=plain(order.stop_price) if order.stop_price else "",
            origin=origin,
            seq=seq,
            time=time,
            changes=[],
            amended=[],
        )
        self.acts.orders[name] = row
        return row

    def _move(self, name: str, report: Report, record: Record, time: int, reason: str = "") -> None:
        row = self.acts.orders.get(name)
        if row is None:
            return
        status = after(Status(row.status), report)
        row.reason = _short(reason) or row.reason
        if status is None:
            return
        row.status = status.value
        row.changes.append((record.seq, time, status.value, row.filled, row.reason))
        row.end_seq, row.end_time = (0, 0) if status in LIVE else (record.seq, time)
        unknown = self._unknown.pop(name, None)
        if unknown is not None and status is not Status.UNKNOWN:
            unknown[2] = time
        if status is Status.UNKNOWN:
            self._unknown[name] = [record.seq, time, None, name, row.reason]
            self.acts.unknowns.append(self._unknown[name])
            self._mark("unknown", record.seq, time)

    def _filled(self, fact: facts.OrderFilled, record: Record, time: int) -> None:
        self.acts.fills.append(
            FillRow(
                seq=record.seq,
                time=time,
                id=fact.client_order_id,
                strategy=fact.strategy,
                instrument=fact.instrument,
                side=fact.side.value,
                price=plain(fact.price),
                quantity=plain(fact.quantity),
                fee=plain(fact.fee),
                fee_asset=fact.fee_asset,
                maker=fact.maker,
                late=fact.late,
            )
        )
        self._mark("fill", record.seq, time)
        row = self.acts.orders.get(fact.client_order_id)
        if row is None:
            return
        filled = MONEY.add(Decimal(row.filled), fact.quantity)
        notional = MONEY.fma(fact.quantity, fact.price, Decimal(row.notional))
        row.filled, row.notional = plain(filled), plain(notional)
        is_whole = filled >= Decimal(row.quantity)
        self._move(row.id, Report.FULL_FILL if is_whole else Report.PART_FILL, record, time)

    # ---- facts

    def _fact(self, record: Record, time: int) -> None:
        fact = read_fact(record.body or "")
        acts, seq = self.acts, record.seq
        match fact:
            case facts.OrderFilled():
                self._filled(fact, record, time)
            case facts.OrderAccepted():
                if (row := acts.orders.get(fact.client_order_id)) is not None:
                    row.venue_id = fact.venue_order_id
                self._move(fact.client_order_id, Report.ACCEPTED, record, time)
            case facts.OrderClosed():
                self._move(fact.client_order_id, fact.status, record, time, fact.reason)
            case facts.OrderUnknown():
                self._move(fact.client_order_id, Report.NO_ANSWER, record, time, fact.reason)
            case facts.OrderNotPlaced():
                self._move(fact.client_order_id, Report.PROVED_ABSENT, record, time, fact.reason)
            case facts.OrderTriggered():
                self._move(fact.client_order_id, Report.TRIGGERED, record, time)
            case facts.OrderAmended():
                if (row := acts.orders.get(fact.client_order_id)) is not None:
                    row.amended.append((seq, time, row.quantity, row.price))
                    row.quantity, row.price = plain(fact.quantity), plain(fact.price) if fact.price else ""
                    if Decimal(row.filled) >= fact.quantity:
                        self._move(row.id, Report.FULL_FILL, record, time)
            case facts.OrderAdopted():
                row = self._new_order(
                    fact.client_order_id, "external", fact.order, origin="adopted", seq=seq, time=time
                )
                row.status, row.venue_id = Status.OPEN.value, fact.venue_order_id
            case facts.ModeChanged():
                acts.modes.append((seq, time, fact.mode.value, [_short(reason.text) for reason in fact.reasons]))
                self._mark("mode", seq, time)
            case facts.MarketGap():
                self._gap(fact, record, time)
            case _:
                self._money(fact, seq, time)

    def _money(self, fact: facts.Fact, seq: int, time: int) -> None:
        acts = self.acts
        match fact:
            case facts.Position():
                numbers = map(plain, (fact.quantity, fact.price_avg, fact.realised_pnl, fact.fees_quote))
                acts.positions.append((seq, time, fact.strategy, fact.instrument, *numbers))  # type: ignore[arg-type]  # four numbers
            case facts.Pnl():
                amounts = (
                    fact.quantity,
                    fact.mark,
                    fact.realised_pnl,
                    fact.unrealised_pnl,
                    fact.fees_quote,
                    fact.funding,
                )
                acts.pnl.append((seq, time, fact.strategy, fact.instrument, *map(plain, amounts)))  # type: ignore[arg-type]  # six numbers
            case facts.PortfolioPnl():
                amounts = (fact.realised, fact.unrealised, fact.fees, fact.funding, fact.total, fact.equity)
                acts.portfolio.append((seq, time, *map(plain, amounts), fact.currency))  # type: ignore[arg-type]  # six numbers
            case facts.BalanceChanged():
                acts.balances.append(
                    (seq, time, asset_key(fact.venue, fact.asset), plain(fact.free), plain(fact.locked))
                )
            case facts.BalanceDrift():
                name = asset_key(fact.venue, fact.asset)
                found = (f"balance of {name}", plain(fact.expected), plain(fact.reported), plain(fact.difference))
                acts.checks.append((seq, time, *found))
            case facts.BooksCompared():
                name = asset_key(fact.venue, f"equity in {fact.currency}")
                found = (name, plain(fact.expected), plain(fact.reported), plain(fact.drift))
                acts.checks.append((seq, time, *found))
            case facts.StrategyChanged():
                acts.changes.append((seq, time, fact.strategy, _bounded(fact.changed)))
            case _:
                if (text := _safety_text(fact)) is not None:
                    acts.safety.append((seq, time, str(fact.__struct_config__.tag), _short(text)))

    def _gap(self, fact: facts.MarketGap, record: Record, time: int) -> None:
        from_time = fact.from_ns - self._origin_ns
        to_time = fact.to_ns - self._origin_ns if fact.to_ns else None
        earlier = self._open_gaps.pop(record.cause or -1, None)
        if earlier is not None and to_time is not None:
            earlier[2] = to_time
            return
        gap = [record.seq, from_time, to_time, fact.link, fact.instrument, _short(fact.reason), fact.from_seq]
        self.acts.gaps.append(gap)
        self._mark("gap", record.seq, time)
        if to_time is None:
            self._open_gaps[record.seq] = gap


def _safety_text(fact: facts.Fact) -> str | None:
    match fact:
        case facts.BreakerTripped():
            return f"{fact.scope.value} {fact.subject} pauses: {fact.reason}"
        case facts.SafetyOrdered():
            return f"{fact.kind.value} ordered by {fact.by} ({fact.cause.value})"
        case facts.SafetyOrderEnded():
            return f"safety order {fact.number} ended" + (f"; left: {', '.join(fact.left)}" if fact.left else "")
        case facts.InstrumentBlocked():
            reasons = "; ".join(reason.text for reason in fact.reasons)
            return f"{fact.instrument} is blocked: {reasons}" if reasons else f"{fact.instrument} trades again"
        case facts.AccountModeChanged():
            reasons = "; ".join(reason.text for reason in fact.reasons)
            return f"the account at {fact.venue} is {fact.mode.value}" + (f": {reasons}" if reasons else "")
        case facts.StrategyStopped():
            return f"strategy {fact.strategy} stopped: {fact.reason}"
        case facts.DailyLossReached():
            loss = f"{plain(fact.loss)} of {plain(fact.limit)} {fact.asset}"
            return f"loss limit {fact.name or 'daily_loss_max'} reached: {loss}"
        case facts.CooldownBegan():
            return f"{fact.strategy} in {fact.instrument} cools down: {fact.reason}"
        case facts.RateBlocked() | facts.OrdersBlocked() | facts.AccessRefused():
            return f"{fact.venue}: {fact.reason}"
        case _:
            return None


def _values(intent: IntentBody) -> dict[str, Any]:
    """Return the rationale's values, bounded."""
    return _bounded(intent.rationale)


def _bounded(values: dict[str, Any]) -> dict[str, Any]:
    kept = list(values.items())[:VALUES_MAX]
    return {_short(str(name)): value if isinstance(value, int | float) else _short(str(value)) for name, value in kept}


def _short(text: str) -> str:
    return shorten(text) if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


__all__ = ["KINDS", "MARKS", "Acts", "ActsFold", "FillRow", "IntentRow", "OrderRow", "new_acts"]
