"""The log of a session: one line for each thing that a person follows, made of the outputs of its steps.

Each line names its record by seq, so `verbatim why` and `ask` show the rest. It knows how records are described; it
decides nothing and changes nothing.
"""

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from engine import facts
from engine.bodies import IntentBody, NoteBody, NoteLevel, RequestBody, VerdictBody
from engine.lifecycle import Status
from engine.live.logs import LogSettings
from engine.mode_reasons import Mode
from engine.model import find_instrument
from engine.requests import Purpose
from engine.session_context import SessionContext
from engine.session_record import SECOND_NS
from engine.state.execution_plans import ExecutionPlan
from engine.state.protection import protected_by
from engine.state.session_state import State
from engine.step_context import Output
from journal.record import Record, plain
from replay.record_text import FrameDecoder, describe, order_text, plan_text
from verbatim.log_figures import FeedFigures, TradingFigures

Fields = Mapping[str, Any]
DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
NOTE_LINES = {
    NoteLevel.INFO: ("note", INFO),
    NoteLevel.WARNING: ("warning", WARNING),
    NoteLevel.ALARM: ("alarm", ERROR),
}
REQUEST_LINES = {Purpose.PLACE: "order", Purpose.PLACE_LIST: "order list", Purpose.AMEND: "amend"}
# facts with their own lines; alarms and warnings are NOTEs beside them
FACT_LINES: dict[type, tuple[str, int]] = {
    facts.OrderFilled: ("fill", INFO),
    facts.OrderClosed: ("order ended", INFO),
    facts.OrderNotPlaced: ("order ended", INFO),
    facts.OrderUnknown: ("order unknown", WARNING),
    facts.OrderAdopted: ("order adopted", WARNING),
    facts.OrderAmended: ("order amended", INFO),
    facts.OrderTriggered: ("order triggered", INFO),
    facts.PlanStarted: ("plan started", INFO),
    facts.PlanEnded: ("plan ended", INFO),
    facts.SafetyOrdered: ("safety order", WARNING),
    facts.SafetyOrderEnded: ("safety order", WARNING),
    facts.InstrumentBlocked: ("blocked", WARNING),
}


class SessionLog:
    """Makes the lines of one session (engine/live/log_task.py calls it)."""

    def __init__(
        self,
        session: SessionContext,
        state: Callable[[], State],
        latencies_ns: Sequence[int] = (),
        *,
        settings: LogSettings,
    ) -> None:
        """Begin a log. `latencies_ns` holds the newest times from a decision to the sending of its order."""
        self.feed_seconds = settings.feed_seconds
        self.sample_every = settings.sample_every
        self._session = session
        self._state = state
        self._level = logging.getLevelNamesMapping()[settings.level.upper()]
        self._sink = io.StringIO()
        self._log = structlog.get_logger(self._sink)
        self._markets = FrameDecoder(session, session.strategies)
        self._versions = {strategy.name: strategy.version for strategy in session.body.strategies}
        self._feeds = FeedFigures(session)
        self._trading = TradingFigures(session, latencies_ns)
        self._plans: dict[str, dict[str, Any]] = {}  # plans that run: their fields
        self._has_begun = False

    # ---- the interface of engine/live/log_task.py

    def write(self, outputs: Sequence[Output]) -> None:
        """Make the lines of outputs. An intent and its verdict are outputs of one step."""
        if not self._has_begun:
            self._begin()
        intents: dict[int | None, Output] = {}
        for output in outputs:
            self._trading.add(output)
            match output.body:
                case IntentBody():
                    intents[output.seq] = output
                    self._line(output, "intent", DEBUG)
                case VerdictBody() as verdict if not verdict.approved:
                    self._refused(output, intents.get(output.cause))
                case RequestBody() as request:
                    self._request(output, request)
                case NoteBody() as note:
                    event, level = NOTE_LINES[note.level]
                    self._line(output, event, level, text=note.text)
                case _:
                    self._fact(output)

    def write_message(self, record: Record) -> None:
        """Make the line of a sampled market message."""
        self._put("message", INFO, record, {"source": record.source}, describe(record, self._markets))

    def write_dropped(self, count: int) -> None:
        """Make the line of batches that were dropped because the log was behind."""
        self._log.warning("log behind", text=f"{count:,} steps have no lines here; the journal has them")

    def feed_reports(self) -> list[Callable[[], None]]:
        """Measure streams and trading now. Return a function for each line, which makes it."""
        state = self._state()
        at = {"seq": state.seq, "time_ns": state.time_ns}
        feeds: list[Callable[[], None]] = [partial(self._feed, figures, at) for figures in self._feeds.measure(state)]
        if not self._session.body.account:
            return feeds
        return [*feeds, partial(self._report_trading, self._trading.measure(state), at)]

    def pop_text(self) -> str:
        """Remove and return the lines made so far."""
        text = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return text

    # ---- by kind

    def _begin(self) -> None:
        """Note what the session continues: plans, and the counts of its streams."""
        self._has_begun = True
        state = self._state()
        for plan in state.account.plans.by_age():
            self._plans[plan.plan_id] = self._plan_fields(plan)
            guard = protected_by(plan, state.account.orders.live)
            text = f"{plan_text(plan.terms)}, {plan.phase}" + (f", protected by: {guard}" if guard else "")
            fields = self._plans[plan.plan_id] | ({"protected_by": str(guard)} if guard else {})
            self._log.info("plan continues", text=text, **fields, seq=state.seq, time_ns=state.time_ns)
        self._feeds.begin(state)

    def _refused(self, output: Output, intent: Output | None) -> None:
        """Make the line of an intent that risk refused."""
        fields: dict[str, Any] = {}
        text = describe(output.record)
        if intent is not None and isinstance(intent.body, IntentBody):
            fields = self._intent_fields(intent.body)
            text = f"{describe(intent.record)}: {text}"
        self._line(output, "refused", WARNING, fields, text=text)

    def _request(self, output: Output, request: RequestBody) -> None:
        event = REQUEST_LINES.get(request.purpose)
        named = request.placed if request.order is None else ((request.client_order_id, request.order),)
        if event is None or not named:
            self._line(output, str(request.purpose), DEBUG)
            return
        fields = {
            **self._order_fields(named[0][0]),
            **({"plan_id": request.plan_id} if request.plan_id else {}),
        }
        text = "; ".join(order_text(order) for _, order in named)
        self._line(output, event, INFO, fields, text=text)

    def _fact(self, output: Output) -> None:
        body = output.body
        event, level = FACT_LINES.get(type(body), ("fact", DEBUG))
        match body:
            case facts.ModeChanged():
                level = ERROR if body.mode is Mode.HALTED else INFO
                reasons = "; ".join(reason.text for reason in body.reasons)
                text = f"{body.mode}: {reasons}" if reasons else str(body.mode)
                self._line(output, "mode", level, {"mode": str(body.mode), "reasons": reasons}, text=text)
            case facts.MarketGap():
                self._gap(output, body)
            case facts.OrderFilled():
                fields = {"strategy": body.strategy, "instrument": body.instrument}
                self._line(output, event, level, fields | self._order_fields(body.client_order_id))
                self._end_if_filled(output, body)
            case facts.PlanStarted():
                self._plans[body.plan_id] = self._plan_fields(body)
                self._line(output, event, level, self._plans[body.plan_id])
            case facts.PlanEnded():
                self._line(output, event, level, self._plans.pop(body.plan_id, {"plan_id": body.plan_id}))
            case facts.InstrumentBlocked() if not body.reasons:
                self._line(output, "trades again", INFO, {"instrument": body.instrument})
            case facts.InstrumentBlocked():
                self._line(output, event, level, {"instrument": body.instrument})
            case _:
                self._line(output, event, level, self._order_fields(output.key or ""))

    def _end_if_filled(self, output: Output, fill: facts.OrderFilled) -> None:
        """Make the line of an order's end if this fill completed it: no other record reports that."""
        order = self._state().account.orders.get(fill.client_order_id)
        if order is not None and order.status is Status.FILLED and order.fill_ids[-1:] == (fill.fill_id,):
            count = len(order.fill_ids)
            text = f"filled, {plain(order.filled_quantity)} in {count} {'fill' if count == 1 else 'fills'}"
            self._line(output, "order ended", INFO, self._order_fields(fill.client_order_id), text=text)

    def _gap(self, output: Output, gap: facts.MarketGap) -> None:
        stream = f"{gap.stream} of {gap.instrument}" if gap.stream else gap.link
        if gap.to_ns and not gap.stream:
            text = f"{stream}: over after {(gap.to_ns - gap.from_ns) / SECOND_NS:.3f} s"
            self._line(output, "gap over", INFO, {"link": gap.link}, text=text)
        else:
            self._feeds.note_gap(gap)
            self._line(output, "gap", WARNING, {"link": gap.link}, text=f"{stream}: {gap.reason}")

    def _feed(self, figures: Fields, at: Fields) -> None:
        about = f"{figures['about']} {figures['stream']}"
        rate = f"{figures['rate']:.1f} messages a second, " if "rate" in figures else ""
        lag = f", lag {figures['lag_s']:.3f} s" if "lag_s" in figures else ""
        gaps = f", {figures['gaps']} gaps" if figures.get("gaps") else ""
        stale = ", stale" if figures["is_stale"] else ""
        text = f"{about}: {rate}age {figures['age_s']:.3f} s{lag}{gaps}{stale}"
        self._log.info("feed", **figures, **at, text=text)

    def _report_trading(self, figures: Fields, at: Fields) -> None:
        sent = f", sent after {figures['send_p50_ms']:.1f} ms (p50)" if "send_p50_ms" in figures else ""
        text = (
            f"{figures['orders']} orders, {figures['rejected']} rejected, {figures['refused']} intents refused, "
            f"{figures['fills']} fills, {figures['reconnects']} reconnects{sent}, "
            f"drift {figures['drift'] or 'none'}"
        )
        self._log.info("trading", **figures, **at, text=text)

    # ---- fields

    def _intent_fields(self, intent: IntentBody) -> dict[str, Any]:
        fields = {"strategy": intent.strategy, "version": intent.version}
        name = ""
        if intent.order is not None:
            name = intent.order.instrument
        elif intent.plan is not None:
            name = intent.plan.instrument
        elif intent.legs:
            name = intent.legs[0].instrument
        if name:
            instrument = find_instrument(self._session.instruments, name)
            return {**fields, "instrument": name if instrument is None else instrument.id}
        return {**self._order_fields(intent.cancels or intent.amends), **fields}

    def _order_fields(self, client_order_id: str) -> dict[str, Any]:
        """Return strategy, version and instrument of an order that the account still knows."""
        order = self._state().account.orders.get(client_order_id)
        if order is None:
            return {}
        name = order.order.instrument
        fields = {"strategy": order.strategy, "instrument": name}
        instrument = self._session.instruments.get(name)
        if instrument is None:
            return fields
        maker = self._session.venues[instrument.venue].order_ids.session_of(client_order_id)
        if maker == self._session.body.session and order.strategy in self._versions:
            fields["version"] = self._versions[order.strategy]
        return fields

    @staticmethod
    def _plan_fields(plan: facts.PlanStarted | ExecutionPlan) -> dict[str, Any]:
        fields = {"strategy": plan.strategy, "version": plan.version, "instrument": plan.terms.instrument}
        return {**fields, "plan_id": plan.plan_id}

    # ---- lines

    def _line(
        self, output: Output, event: str, level: int, fields: Fields | None = None, *, text: str | None = None
    ) -> None:
        """Make a line. The text is the record's description unless another one is given."""
        if level < self._level:
            return
        record = output.record
        self._put(event, level, record, fields or {}, describe(record) if text is None else text)

    def _put(self, event: str, level: int, record: Record, fields: Fields, text: str) -> None:
        named = dict(fields)
        if record.key and record.key != named.get("plan_id"):
            named["client_order_id"] = record.key
        self._log.log(level, event, text=text, **named, seq=record.seq, cause=record.cause, time_ns=record.time_ns)
