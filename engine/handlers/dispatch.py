"""What follows from an input, once it is folded: questions, reconciliation, strategies, the mode, the end. Everything decided is
put out as a record. The order of the stages is kernel.step's; what each input leads to is here.
"""

from engine.apply.inputs import Applied
from engine.errors import CoreError
from engine.events import (
    AccountReport,
    Answer,
    BalanceReport,
    Event,
    Fill,
    FillsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    ServerTime,
    StreamEnded,
    Subscribed,
    Unrecognised,
)
from engine.execution import order_reports, reconciliation
from engine.execution.request_factory import RequestFactory
from engine.facts import (
    ClockMeasured,
    CloseReason,
    LinkReady,
    LinkSteady,
    ModeChanged,
    RateBlocked,
    SessionClosing,
    StrategyWoken,
)
from engine.handlers import market_gaps
from engine.handlers.mode_policy import update_mode
from engine.handlers.shutdown import advance_shutdown, cancel_all, emit_pnl
from engine.lifecycle import LIVE, Status
from engine.market import layout
from engine.market.views import BookState
from engine.mode_reasons import Mode, key_refused
from engine.record_codec import read_command, read_link, read_timer
from engine.session_context import SessionContext
from engine.session_record import MILLISECOND_NS, SECOND_NS
from engine.state.pending_requests import PendingRequest
from engine.state.timers import strategy_of
from engine.step_context import StepContext
from engine.strategy.api import Decision
from journal.record import Kind

ASK_AGAIN_NS = 10 * SECOND_NS  # how often at most an unreadable private frame leads to a reconciliation
MINUTE_NS = 60 * SECOND_NS  # how often a person is told of an order that stays unknown
FATAL_WAKES = layout.BOOK_CROSSED | layout.BAD_VALUE_SEEN | layout.LEVELS_EXCEEDED
WAKE_NAMES = {
    layout.BOOK_CROSSED: "its book is crossed",
    layout.BAD_VALUE_SEEN: "a price or size is off the instrument's grid",
    layout.LEVELS_EXCEEDED: "its book has more levels than the named limit",
}


class Dispatcher:
    """The responses of one session's program."""

    def __init__(self, program: SessionContext) -> None:
        self.program = program

    def decide(self, turn: StepContext, took: Applied) -> None:
        record = turn.record
        match record.kind:
            case Kind.LINK:
                self._on_link(turn)
            case Kind.TIMER:
                self._on_timer(turn)
            case Kind.COMMAND:
                self._on_command(turn)
            case _ if took.awaited is not None:
                self._on_answer(turn, took, took.awaited)
            case Kind.BROKER | Kind.FEED:
                if took.outcome:
                    turn.note(
                        "warning", f"an answer to request {record.cause}, which was answered before or never asked"
                    )
                for event in took.events:
                    self._on_event(turn, event)
            case _:
                raise CoreError(f"record {record.seq} is a {record.kind}: not an input of a running session")
        if took.wake:
            self._on_wake(turn, took)
        self.finish(turn)

    def finish(self, turn: StepContext) -> None:
        """What follows any input that reached Python: fetch what is owed, reconcile, choose the mode, stop."""
        # the mode first: a round that began before RUNNING was left would prove nothing
        market_reasons = self._market_reasons(turn)
        update_mode(turn, market_reasons=market_reasons)
        before = turn.account
        reconciliation.advance(turn, self.program.asking, self.program.instruments)
        if turn.account is not before:
            update_mode(turn, market_reasons=market_reasons)
        advance_shutdown(self.program, turn)
        turn.state.steady = turn.account if _nothing_pends(turn) else None

    def _market_reasons(self, turn: StepContext) -> tuple[str, ...]:
        reasons = []
        for name, index in self.program.indexes.items():
            if turn.market.is_live(index, with_book=self.program.settings.books):
                continue
            if self.program.settings.books and turn.market.book_state(index) is not BookState.SYNCED:
                reasons.append(f"{name} has no synchronised book")
            else:
                reasons.append(f"{name} has no quote")
        return tuple(reasons)

    def _on_link(self, turn: StepContext) -> None:
        source = turn.record.source
        link = turn.account.links.by_source.get(source)
        if link is None:
            return
        if link.state != "up":
            if link.role == "market":
                market_gaps.began(self.program, turn, source, read_link(turn.record.body or "").reason)
        elif link.role == "private":
            self.program.asking[link.venue].subscribe(turn, source=source)
            self._ask_time(turn, link.venue)
        else:
            turn.fact(LinkReady(source))
            market_gaps.ended(turn, source)

    def _on_timer(self, turn: StepContext) -> None:
        timer = read_timer(turn.record.body or "").timer
        kind, _, rest = timer.partition(".")
        match kind:
            case "every" if rest == "watch":
                self._watch(turn)
            case "every" if rest == "report":
                emit_pnl(self.program, turn)
            case "every" | "watch":
                self._evaluate(turn, strategy_of(timer))
            case "connect":
                self._connect(turn, rest)
            case "ask":
                self._ask_order(turn, rest)
            case "depth":
                self._want_snapshots(turn)
            case "rate":
                for source in sorted(turn.account.links.by_source):
                    if f"connect.{source}" not in turn.account.timers.due_ns:
                        self._connect(turn, source)  # the ones that waited for the venue's permission
            case "reconcile":
                pass  # `finish` sees that it fired
            case "stop" if turn.account.modes.stopping_since_ns and not turn.account.modes.closing:
                turn.note("warning", "stopped without an answer from the venue to everything that was asked")
                turn.fact(SessionClosing(CloseReason.DEADLINE))

    def _connect(self, turn: StepContext, source: str) -> None:
        link = turn.account.links.by_source.get(source)
        if link is None or link.state != "down" or turn.account.modes.closing:
            return
        if link.role == "private" and self._blocked(turn, link.venue):
            return  # its subscription is a request like any other: knocking during a ban makes it longer
        plan = next(plan for plan in self.program.links(link.venue) if plan.source == source)
        self.program.asking[link.venue].connect(turn, plan=plan)

    def _begin_round(self, turn: StepContext) -> None:
        if not turn.account.reconciling.running and reconciliation.may_ask(turn):
            reconciliation.begin(turn, self.program.asking, self.program.instruments)

    def _on_command(self, turn: StepContext) -> None:
        command = read_command(turn.record.body or "").command
        if command == "cancel_all":
            cancel_all(self.program, turn, ordered=True)
        elif command == "reconcile":
            self._begin_round(turn)

    def _evaluate(self, turn: StepContext, name: str, said: Decision | None = None) -> None:
        """Startup order: strategies are asked only when nothing can have been missed."""
        if turn.account.modes.mode is Mode.RUNNING and not turn.account.modes.stopping_since_ns:
            self.program.deciding.evaluate(turn, name, said)

    def _on_wake(self, turn: StepContext, took: Applied) -> None:
        if took.wake & FATAL_WAKES:
            for index, flags in turn.market.woken():
                for flag, words in WAKE_NAMES.items():
                    if flags & flag:
                        name = turn.market.instruments[index].id
                        self._halt(turn, f"{name}: {words} (record {turn.record.seq})")
        if took.wake & layout.MISSED:
            market_gaps.missed(self.program, turn)
        if took.wake & layout.BOOK_NEEDS_SNAPSHOT:
            self._want_snapshots(turn)
        if took.wake & (layout.BOOK_NEEDS_SNAPSHOT | layout.BOOK_JOINED):
            update_mode(turn, market_reasons=self._market_reasons(turn))
        for watch, name in enumerate(self.program.watch_names):
            if took.watches >> watch & 1:
                if name in self.program.looks:
                    turn.fact(StrategyWoken(name), source=f"strategy.{name}")
                self._evaluate(turn, name, took.said.get(name))

    def _halt(self, turn: StepContext, why: str) -> None:
        """Until a person resumes. A session that only records tells them and goes on: what it takes down, it does not believe."""
        if turn.account.links.has_account:
            turn.fact(ModeChanged(Mode.HALTED, (why,)))
        else:
            turn.note("alarm", why)

    def _want_snapshots(self, turn: StepContext) -> None:
        """Asks for the snapshots that books wait for; not again at once where one was refused (the timer is still set)."""
        for name, index in self.program.indexes.items():
            instrument = self.program.instruments[name]
            lost = turn.market.book_state(index) in (BookState.BUFFERING, BookState.BROKEN)
            free = turn.account.limits.of(instrument.venue).lets_ask(turn.time_ns)
            rested = f"depth.{name}" not in turn.account.timers.due_ns
            if lost and free and rested and turn.account.requests.of("depth", instrument=name) is None:
                self.program.asking[instrument.venue].depth(turn, instrument=instrument)

    # ---- what venues say

    def _on_event(self, turn: StepContext, event: Event) -> None:
        match event:
            case OrderReport():
                self._on_stream_report(turn, event)
                self._after_reports(turn)
            case BalanceReport():
                reconciliation.balance(turn, event)
            case Subscribed() if turn.record.kind is Kind.BROKER:
                turn.fact(LinkReady(turn.record.source))
            case StreamEnded():
                turn.note("warning", f"{turn.record.source}: {event.reason}")
                self._disconnect(turn, turn.record.source)
            case Unrecognised():
                turn.note("warning", f"{event.where}: {event.error}")
                if turn.record.kind is Kind.BROKER and turn.record.meta is None:
                    self._missed_something(turn)
            case Answer() if event.outcome is not Outcome.DONE:
                turn.note("warning", f"{turn.record.source}: {event.outcome} {event.code} {event.text}")
            case _:
                pass

    def _on_stream_report(self, turn: StepContext, event: OrderReport) -> None:
        """A report that bears our mark and whose order is not in state: long forgotten, or of lost records. The venue knows."""
        instrument = self.program.instruments.get(event.instrument)
        if instrument is None or not order_reports.is_lost_order(turn, event, self.program.own_marks):
            order_reports.apply_report(turn, event, self.program.instruments)
        elif event.status in order_reports.OPEN and turn.account.requests.for_order(event.client_order_id) is None:
            asking = self.program.asking[instrument.venue]
            asking.query_order(turn, instrument=instrument, client_order_id=event.client_order_id)

    def _mind_silence(self, turn: StepContext, venue: str, booked: list[Fill]) -> None:
        """Fills that only a question brought to light, of a time when the account's stream stood: it does not deliver (S7, S8)."""
        offset_ns = turn.account.limits.of(venue).clock_offset_ns
        grace_ns = self.program.settings.ask_every_ns // 2  # how late a fill may be on the stream
        for source in sorted(turn.account.links.by_source):
            link = turn.account.links.by_source[source]
            if link.venue != venue or link.role != "private" or link.state != "ready":
                continue
            missed = [
                fill.fill_id
                for fill in booked
                if link.changed_ns + grace_ns < fill.venue_ns - offset_ns < turn.time_ns - grace_ns
            ]
            if missed:
                turn.note("alarm", f"{source}: fills {', '.join(missed[:10])} were never streamed")
                self._disconnect(turn, source)

    def _missed_something(self, turn: StepContext) -> None:
        """What could not be read may have been a fill: ask, but not for every frame of a flood."""
        if turn.time_ns - turn.account.reconciling.done_ns > ASK_AGAIN_NS:
            self._begin_round(turn)

    def _on_answer(self, turn: StepContext, took: Applied, awaited: PendingRequest) -> None:
        request = awaited.request
        answer = next((event for event in took.events if isinstance(event, Answer)), Answer(Outcome.DONE))
        self._mind_limits(turn, request.venue, answer)
        asking = self.program.asking[request.venue]
        reports = [event for event in took.events if not isinstance(event, Answer)]
        match request.purpose:
            case "query_order":
                self._order_answered(turn, awaited, answer)
            case "subscribe":
                if answer.outcome is not Outcome.DONE:
                    turn.note("alarm", f"subscription refused: {answer.code} {answer.text}")
                    self._disconnect(turn, request.source)
            case "depth":
                if answer.outcome is not Outcome.DONE:
                    turn.note("warning", f"no depth snapshot of {request.instrument}: {answer.outcome} {answer.text}")
            case _:
                pass
        for event in reports:
            self._on_report(turn, asking, took, awaited, event)
        if request.purpose == "place":
            proof_after_ns = self.program.proof_after_ns(self.program.venues[request.venue])
            order_reports.apply_place_answer(turn, awaited, answer, sent_ns=took.sent_ns, proof_after_ns=proof_after_ns)
        elif request.purpose == "cancel" and order_reports.apply_cancel_answer(turn, awaited, answer):
            self._ask_order(turn, request.client_order_id, whatever=True)
        proves = (Outcome.DONE, Outcome.NOT_FOUND) if request.purpose == "query_order" else (Outcome.DONE,)
        if answer.outcome not in proves or any(isinstance(event, Unrecognised) for event in reports):
            reconciliation.fail(turn, awaited, f"{answer.outcome} {answer.text}")
        self._after_reports(turn)

    def _on_report(
        self, turn: StepContext, asking: RequestFactory, took: Applied, awaited: PendingRequest, event: Event
    ) -> None:
        match event:
            case OpenOrdersReport():
                reconciliation.open_orders(
                    turn, asking, self.program.instruments, awaited, event, own=self.program.own_marks
                )
            case AccountReport():
                reconciliation.balances(turn, awaited, event, self.program.assets)
            case FillsReport():
                booked = reconciliation.fills(turn, asking, self.program.instruments, awaited, event)
                self._mind_silence(turn, awaited.request.venue, booked)
            case ServerTime() if took.sent_ns:
                middle_ns = (took.sent_ns + turn.time_ns) // 2
                turn.fact(ClockMeasured(awaited.request.venue, event.venue_ns - middle_ns))
            case OrderReport():
                orphan = awaited.request.purpose == "query_order" and not awaited.request.client_order_id
                if (orphan or event.status in order_reports.OPEN) and order_reports.is_lost_order(
                    turn, event, self.program.own_marks
                ):
                    order_reports.halt_for_lost(turn, event)
                order_reports.apply_report(turn, event, self.program.instruments)
                name = awaited.request.instrument
                if orphan and not reconciliation.orphans_asked(turn, name):
                    # the orders behind fills nobody knew: now they can be booked
                    asking.fills(
                        turn,
                        instrument=self.program.instruments[name],
                        after_id=turn.account.reconciling.fills_confirmed.get(name, -1),
                        reconcile_round=awaited.request.round,
                    )
            case _:
                self._on_event(turn, event)

    def _after_reports(self, turn: StepContext) -> None:
        reconciliation.owed(turn, self.program.asking, self.program.instruments)

    def _order_answered(self, turn: StepContext, awaited: PendingRequest, answer: Answer) -> None:
        name = awaited.request.client_order_id
        if (
            answer.outcome is Outcome.NOT_FOUND
            and name
            and not order_reports.not_found(turn, name, asked_ns=awaited.time_ns)
        ):
            text = f"order {name} is live here, and the venue does not know it"
            order = turn.account.orders.live[name]
            if turn.time_ns - order.updated_ns > self.program.proof_after_ns(
                self.program.venues[awaited.request.venue]
            ):
                turn.fact(ModeChanged(Mode.HALTED, (text,)))
            else:
                turn.note("warning", text, key=name)

    def _ask_order(self, turn: StepContext, name: str, *, whatever: bool = False) -> None:
        """Asks the venue about one order by our id: while it is UNKNOWN, or where a cancel's answer did not settle it."""
        order = turn.account.orders.get(name)
        if order is None or order.ask_seq or order.status not in LIVE:
            return
        if order.status is not Status.UNKNOWN and not whatever:
            return  # if its one question went unanswered, the next reconciliation asks again
        instrument = self.program.instruments[order.order.instrument]
        if not self._blocked(turn, instrument.venue):
            self.program.asking[instrument.venue].query_order(turn, instrument=instrument, client_order_id=name)

    def _blocked(self, turn: StepContext, venue: str) -> bool:
        return turn.time_ns < turn.account.limits.of(venue).blocked_until_ns

    def _ask_time(self, turn: StepContext, venue: str) -> None:
        if not self._blocked(turn, venue) and turn.account.requests.of("server_time") is None:
            self.program.asking[venue].server_time(turn)

    def _mind_limits(self, turn: StepContext, venue: str, answer: Answer) -> None:
        if answer.outcome is Outcome.RATE_LIMITED:
            # an instant is told by the venue's clock
            retry_at_ns = answer.retry_at_ns - turn.account.limits.of(venue).clock_offset_ns
            until_ns = max(retry_at_ns, turn.time_ns + (answer.retry_after_ns or SECOND_NS))
            turn.fact(RateBlocked(venue, until_ns, f"{answer.code} {answer.text}"))
        elif answer.outcome is Outcome.CLOCK:
            self._ask_time(turn, venue)
        elif answer.outcome is Outcome.AUTH:
            self._halt(turn, key_refused(venue, f"{answer.code} {answer.text}").text)

    def _disconnect(self, turn: StepContext, source: str) -> None:
        link = turn.account.links.by_source.get(source)
        if link is not None and link.state in ("up", "ready"):
            self.program.asking[link.venue].disconnect(turn, source=source)

    # ---- what recurs

    def _watch(self, turn: StepContext) -> None:
        """Once a second: silence, subscriptions that never came, books and fills still owed, orders to ask about, old orders."""
        now_ns, settings = turn.time_ns, self.program.settings
        # a reconciliation that succeeds forgets them all
        failures = {} if turn.account.links.has_account else turn.account.timers.failures
        for source in sorted(turn.account.links.by_source):
            link = turn.account.links.by_source[source]
            silent_ns = now_ns - max(
                link.changed_ns, self._last_seen_ns(turn, source) if link.role == "market" else now_ns
            )
            if link.state == "up" and now_ns - link.changed_ns > settings.request_timeout_ns:
                turn.note("warning", f"{source}: no answer to the subscription")
                self._disconnect(turn, source)
            elif link.state == "ready" and silent_ns > settings.stale_after_ns:
                silent = f"silent for {silent_ns // MILLISECOND_NS} ms"
                turn.note("alarm", f"{source}: {silent}")
                market_gaps.began(self.program, turn, source, silent)
                self._disconnect(turn, source)
            elif link.state == "ready" and source in failures and now_ns - link.changed_ns > settings.backoff_max_ns:
                turn.fact(LinkSteady(source))
        self._want_snapshots(turn)
        self._after_reports(turn)
        for awaited in list(turn.account.requests.by_seq.values()):
            if self._minute_passed(now_ns, awaited.request.expires_ns + awaited.request.timeout_ns):
                turn.note(
                    "alarm", f"request {awaited.seq} ({awaited.request.purpose}) has no end, though its time is over"
                )
                reconciliation.fail(turn, awaited, "no end in its time")
        for name in turn.account.orders.owing:
            order = turn.account.orders.get(name)
            if order is not None and self._minute_passed(now_ns, order.reported_ns):
                text = f"order {name}: the venue says {order.filled_reported} filled, its fills say {order.filled_quantity}"
                turn.note("alarm", text, key=name)
        for order in turn.account.orders.live_by_age():
            if order.status is not Status.UNKNOWN:
                continue
            if f"ask.{order.client_order_id}" not in turn.account.timers.due_ns:
                self._ask_order(turn, order.client_order_id)
            if self._minute_passed(now_ns, order.updated_ns):
                minutes = (now_ns - order.updated_ns) // MINUTE_NS
                text = (
                    f"order {order.client_order_id} is unknown for {minutes} min and was asked about {order.asks} times"
                )
                turn.note("alarm", text, key=order.client_order_id)

    def _minute_passed(self, now_ns: int, since_ns: int) -> bool:
        """Whether another minute since then became full with this look."""
        before_ns = now_ns - self.program.settings.watch_every_ns
        return (now_ns - since_ns) // MINUTE_NS > max(before_ns - since_ns, 0) // MINUTE_NS

    def _last_seen_ns(self, turn: StepContext, source: str) -> int:
        indexes, streams = self.program.indexes_of(source), self.program.streams_of(source)
        return max((turn.market.last_seen_ns(index, stream) for index in indexes for stream in streams), default=0)


def _nothing_pends(turn: StepContext) -> bool:
    """Whether `finish` would find nothing to do at any later time either, while account and links to the market stay as they are."""
    modes, limits = turn.account.modes, turn.account.limits
    return (
        modes.mode is Mode.RUNNING
        and not modes.stopping_since_ns
        and not turn.account.orders.owing
        and not reconciliation.is_due(turn.account)
        and all(budget.blocked_until_ns <= turn.time_ns for budget in limits.by_venue.values())
    )
