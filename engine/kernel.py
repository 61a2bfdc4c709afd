"""step: one input in, the next state and the outputs it leads to out. The whole path of a message can be read here:

    decode -> reduce -> strategy -> risk -> execution -> outputs

`step` folds the input and decides; `rebuild` folds recorded inputs and recorded outputs and decides nothing. Both share
`_take` and every reducer. No clock, no I/O, no randomness: all comes from records.
"""

import json
from collections.abc import Sequence
from decimal import localcontext
from importlib import import_module
from typing import Any

import msgspec
import numpy as np

from engine import facts, reconcile, settle
from engine.asking import Asking
from engine.deciding import Deciding, cancel_rules
from engine.events import (
    AccountReport,
    Answer,
    BalanceReport,
    Event,
    FillsReport,
    OpenOrdersReport,
    OrderReport,
    Outcome,
    ServerTime,
    StreamEnded,
    Subscribed,
    Unrecognised,
)
from engine.facts import ClockMeasured, LinkReady, ModeChanged, Pnl, RateBlocked, SessionClosing
from engine.lifecycle import LIVE, Status
from engine.loading import Loaded, load
from engine.market import layout
from engine.market.market import Market
from engine.market.views import BookState, EmaSpec, Stream, Watch
from engine.mode import update
from engine.model import Instrument
from engine.money import MONEY
from engine.reducers.changes import Answered, Change, Commanded, LinkMoved, Requested, Stamp, TimerFired
from engine.reducers.modes import Mode
from engine.reducers.orders import forget_closed
from engine.reducers.positions import unrealised
from engine.reducers.requests import Awaited
from engine.reducers.timers import Timers, periods
from engine.session import MILLISECOND_NS, SECOND_NS, SessionBody, VenueSettings, read_session
from engine.state import Account, Rules, State, fold, opened
from engine.strategy import Every, OnQuote
from engine.turn import Turn
from engine.venues.venue import Venue
from journal.record import Kind, Record

BUILT_IN_VENUES = {"binance_spot": "engine.venues.binance_spot:BinanceSpot"}
PROOF_SLACK_NS = SECOND_NS
FATAL_WAKES = layout.BOOK_CROSSED | layout.BAD_VALUE_SEEN | layout.LEVELS_EXCEEDED
WAKE_NAMES = {
    layout.BOOK_CROSSED: "its book is crossed",
    layout.BAD_VALUE_SEEN: "a price or size is off the instrument's grid",
    layout.LEVELS_EXCEEDED: "its book has more levels than the named limit",
}


class CoreError(Exception):
    """The core failed on a record. The session must HALT; the text names the record."""


class Took(msgspec.Struct, frozen=True):
    """What an input held, once it was folded."""

    events: tuple[Event, ...] = ()
    awaited: Awaited | None = None  # the request it answers
    wake: int = 0
    watches: int = 0  # bit mask of strategies due
    sent_ns: int = 0
    outcome: str = ""


NOTHING = Took()


def make_venue(settings: VenueSettings, instruments: Sequence[Instrument]) -> Venue:
    """A dialect by name, or a stranger's by `package.module:Class`."""
    path = BUILT_IN_VENUES.get(settings.name, settings.name)
    module, _, cls = path.partition(":")
    venue: Venue = getattr(import_module(module), cls)(instruments, settings.recv_window_ms)
    return venue


class Kernel:
    """One session's program: everything that its SESSION record fixes. Holds no state of the session itself."""

    def __init__(self, session: SessionBody, strategies: dict[str, Loaded] | None = None) -> None:
        """`strategies` replaces the recorded ones by others (replay with an edited strategy)."""
        self.session = session
        self.settings = session.engine
        loaded = {settings.name: load(settings) for settings in session.strategies} if strategies is None else strategies
        self.strategies = loaded
        self.instruments = {instrument.id: instrument for instrument in session.instruments}
        self.indexes = {name: index for index, name in enumerate(self.instruments)}
        self.venues: dict[str, Venue] = {}
        for settings in session.venues:
            mine = [found for found in session.instruments if found.venue == settings.name]
            self.venues[settings.name] = make_venue(settings, mine or session.instruments)
        self.asking = {name: Asking(venue, session.engine) for name, venue in self.venues.items()}
        self._venue_of_source: dict[str, Venue] = {}
        self.assets = frozenset({found.base for found in session.instruments} | {found.quote for found in session.instruments})
        self.recurring = periods(
            session.engine,
            {name: found.cadence.period_ns for name, found in loaded.items() if isinstance(found.cadence, Every)},
        )
        self.rules = Rules(session.engine, self.recurring, session.seed)
        self._watch_names = [name for name, found in loaded.items() if isinstance(found.cadence, OnQuote)]
        self._averages = self._declared_averages()
        self.deciding = Deciding(
            session=session.session,
            strategies=loaded,
            instruments=self.instruments,
            indexes=self.indexes,
            averages={key: index for index, (key, _) in enumerate(self._averages)},
            asking=self.asking,
            limits=session.risk,
        )
        self.own_marks = (session.session, *((session.previous.session,) if session.previous else ()))

    # ---- beginning

    def begin(self, record: Record) -> State:
        """The state that the SESSION record opens: empty, or as the session before left it."""
        assert record.kind is Kind.SESSION, record.kind
        assert record.seq == 0, record.seq
        opening = self.session.opening
        account = opened(opening) if opening else Account()
        due = {name: record.time_ns + period for name, period in self.recurring.items()}
        due["every.watch"] = record.time_ns + self.settings.watch_every_ns
        account = msgspec.structs.replace(account, timers=Timers(due, {}, min(due.values())))
        market = self.empty_market()
        if opening:
            market.take_carried(opening["market"])
        return State(account, market, seq=0, time_ns=record.time_ns, inputs=1)

    def empty_market(self) -> Market:
        watches = []
        for name in self._watch_names:
            found = self.strategies[name]
            assert isinstance(found.cadence, OnQuote), name
            ids = tuple(wanted.id for asked in found.instruments if (wanted := self.deciding.find(asked)))
            watches.append(Watch(name, ids, found.cadence.throttle_ns))
        return Market.empty(
            list(self.instruments.values()), averages=[spec for _, spec in self._averages], watches=watches
        )

    def _declared_averages(self) -> list[tuple[tuple[str, str, str], EmaSpec]]:
        by_symbol = {found.symbol: found.id for found in self.instruments.values()}
        return [
            ((name, average.name, wanted), EmaSpec(by_symbol.get(wanted, wanted), average.length))
            for name, found in self.strategies.items()
            for average in found.averages
            for wanted in found.instruments
            if by_symbol.get(wanted, wanted) in self.instruments
        ]

    def open_turn(self, state: State, record: Record) -> list[Record]:
        """The outputs of the SESSION record itself: orders left on their way become UNKNOWN, links are asked for."""
        with localcontext(MONEY):
            turn = Turn(state, record, self.rules)
            for order in state.account.orders.live():
                if order.status is Status.PENDING:
                    venue = self.venues[self.instruments[order.order.instrument].venue]
                    proof_ns = order.expires_ns + self._proof_after_ns(venue)
                    fact = facts.OrderUnknown(order.client_order_id, "the engine stopped before the answer", proof_ns)
                    turn.fact(fact, key=order.client_order_id)
            for name in sorted(self.venues):
                for plan in self.venues[name].links():
                    self.asking[name].connect(turn, plan=plan)
            self._finish(turn)
        return turn.outputs

    # ---- a record

    def step(self, state: State, record: Record) -> list[Record]:
        """Fold one input into `state`, decide, and return the outputs, already folded.

        Raises CoreError where our own code fails on it; the caller must stop trading (nothing of this record was sent).
        """
        assert record.seq == state.seq + 1, (record.seq, state.seq)
        try:
            took = self._take(state, record)
            state.inputs += 1
            due = state.inputs % self.settings.checkpoint_every == 0
            if took is NOTHING and record.kind is Kind.FEED and not due:
                return []
            with localcontext(MONEY):
                turn = Turn(state, record, self.rules)
                self._decide(turn, took)
                if due:
                    turn.raw(Kind.CHECKPOINT, facts.CheckpointBody(state.inputs, state.digests()), source="engine")
        except CoreError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise CoreError(f"record {record.seq} ({record.kind} from {record.source}) broke the core: {what}") from error
        if turn.outputs:
            state.seq = turn.outputs[-1].seq
        return turn.outputs

    def rebuild(self, state: State, record: Record) -> None:
        """Fold a record as it stands in the journal, input or output. Nothing is decided."""
        assert record.seq == state.seq + 1, (record.seq, state.seq)
        if record.kind in (Kind.FEED, Kind.BROKER, Kind.LINK, Kind.TIMER, Kind.COMMAND):
            self._take(state, record)
            state.inputs += 1
            return
        state.seq, state.time_ns = record.seq, record.time_ns
        change: Change
        if record.kind is Kind.FACT:
            change = facts.read_fact(record.body or "")
        elif record.kind is Kind.REQUEST:
            change = Requested(facts.read_request(record.body or ""))
        else:
            return  # intents, verdicts, notes and checkpoints change nothing
        with localcontext(MONEY):
            state.account = fold(state.account, change, Stamp(record.seq, record.time_ns), self.rules)

    # ---- folding an input

    def _take(self, state: State, record: Record) -> Took:
        state.seq, state.time_ns = record.seq, record.time_ns
        match record.kind:
            case Kind.FEED if record.meta is None:
                return self._take_market(state, record)
            case Kind.FEED | Kind.BROKER:
                return self._take_private(state, record)
            case Kind.LINK:
                link = facts.read_link(record.body or "")
                self._fold(state, LinkMoved(record.source, link), record)
                moved = state.account.links.by_source.get(record.source)
                if moved is not None and moved.role == "market" and link.state == "down":
                    for instrument in self.instruments.values():
                        if instrument.venue == moved.venue:
                            state.market.reset_books(self.indexes[instrument.id])
                return Took()
            case Kind.TIMER:
                timer = facts.read_timer(record.body or "")
                self._fold(state, TimerFired(timer), record)
                kind, _, name = timer.timer.partition(".")
                if timer.timer == "every.watch":
                    self._forget(state)
                elif kind == "watch":
                    state.market.evaluated(self._watch_names.index(name), record.time_ns)
                return Took()
            case _:
                self._fold(state, Commanded(facts.read_command(record.body or "")), record)
                return Took()

    def _fold(self, state: State, change: Change, record: Record) -> None:
        with localcontext(MONEY):
            state.account = fold(state.account, change, Stamp(record.seq, record.time_ns), self.rules)

    def _take_market(self, state: State, record: Record) -> Took:
        """The hot path: a stream frame. Python sees it again only if the fold raises a wake."""
        source = record.source
        venue = self._venue_of_source.get(source) or self._find_venue(source)
        assert record.payload is not None, "a stream frame is wire bytes"
        rows = venue.market.decode(record.payload, source, record.seq, record.time_ns)
        if type(rows) is tuple:
            return Took(events=rows) if rows else NOTHING
        return self._fold_rows(state, rows, record)

    def _fold_rows(self, state: State, rows: Any, record: Record) -> Took:
        market = state.market
        end, count, wake, watches = 0, len(rows), 0, 0
        while end < count:
            end = market.fold(rows, end)
            wake |= market.wake
            watches |= market.strategies_woken
        if not wake:
            return NOTHING
        for watch in range(len(self._watch_names)):
            if watches >> watch & 1:
                market.evaluated(watch, record.time_ns)
        return Took(wake=wake, watches=watches)

    def _find_venue(self, source: str) -> Venue:
        venue = self._venue_of_source[source] = self.venues[source.split(".", 1)[0]]
        return venue

    def _take_private(self, state: State, record: Record) -> Took:
        """An answer to a request (its meta says how it ended), or a frame of a private stream."""
        venue = self._find_venue(record.source)
        if record.meta is None:
            events = venue.decode_private(record.payload or b"")
            awaited = state.account.requests.of("subscribe", source=record.source)
            answers = any(isinstance(event, Subscribed | Answer) for event in events)
            if awaited is not None and answers:
                self._fold(state, Answered(awaited.seq, venue.name, "answer"), record)
                return Took(events=events, awaited=awaited)
            return Took(events=events)
        meta = json.loads(record.meta)
        awaited = state.account.requests.by_seq.get(record.cause if record.cause is not None else -1)
        outcome = meta["outcome"]
        if awaited is None:
            # an answer from before the session began (instrument metadata) has no request here
            return Took(outcome="" if record.cause is None else outcome)
        sent_ns = int(meta.get("sent_ns", 0))
        rows = None
        events = (Answer(Outcome.NOT_SENT if outcome == "not_sent" else Outcome.UNKNOWN, text=meta.get("error", outcome)),)
        if outcome == "answer":
            rows, events = self._decode_answer(venue, awaited, meta, record)
        weight = next((event.weight_used for event in events if isinstance(event, Answer)), -1)
        self._fold(state, Answered(awaited.seq, venue.name, outcome, weight), record)
        wakes = NOTHING if rows is None else self._fold_rows(state, rows, record)
        return Took(events, awaited, wakes.wake, wakes.watches, sent_ns, outcome)

    def _decode_answer(
        self, venue: Venue, awaited: Awaited, meta: dict[str, Any], record: Record
    ) -> tuple[Any, tuple[Event, ...]]:
        request, unsigned = awaited.request, awaited.request.unsigned
        assert unsigned is not None, "only a message can be answered"
        payload = record.payload or b""
        events = venue.decode_answer(
            unsigned.method, unsigned.path, request.instrument, int(meta["status"]), meta.get("headers", {}), payload
        )
        if request.purpose == "depth" and any(isinstance(e, Answer) and e.outcome is Outcome.DONE for e in events):
            rows = venue.market.decode_snapshot(payload, request.instrument, record.seq, record.time_ns)
            if isinstance(rows, np.ndarray):
                return rows, events
            return None, (*events, *rows)
        return None, events

    # ---- deciding

    def _decide(self, turn: Turn, took: Took) -> None:
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
                    turn.note("warning", f"an answer to request {record.cause}, which was answered before or never asked")
                for event in took.events:
                    self._on_event(turn, event)
            case _:
                raise CoreError(f"record {record.seq} is a {record.kind}: not an input of a running session")
        if took.wake:
            self._on_wake(turn, took)
        self._finish(turn)

    def _finish(self, turn: Turn) -> None:
        """What follows any input that reached Python: fetch what is owed, reconcile, choose the mode, stop."""
        reconcile.advance(turn, self.asking, self.instruments)
        update(turn, market_reasons=self._market_reasons(turn))
        self._stop(turn)

    def _market_reasons(self, turn: Turn) -> tuple[str, ...]:
        reasons = []
        for name, index in self.indexes.items():
            if turn.market.book_state(index) is not BookState.SYNCED:
                reasons.append(f"{name} has no synchronised book")
            elif turn.market.quote(index) is None:
                reasons.append(f"{name} has no quote")
        return tuple(reasons)

    def _on_link(self, turn: Turn) -> None:
        source = turn.record.source
        link = turn.account.links.by_source.get(source)
        if link is None or link.state != "up":
            return
        if link.role == "private":
            self.asking[link.venue].subscribe(turn, source=source)
            self.asking[link.venue].server_time(turn)
        else:
            turn.fact(LinkReady(source))

    def _on_timer(self, turn: Turn) -> None:
        timer = facts.read_timer(turn.record.body or "").timer
        kind, _, rest = timer.partition(".")
        match kind:
            case "every" if rest == "watch":
                self._watch(turn)
            case "every" if rest == "report":
                self._report(turn)
            case "every":
                self._evaluate(turn, rest.removeprefix("strategy."))
            case "watch":
                self._evaluate(turn, rest)
            case "connect":
                self._connect(turn, rest)
            case "ask":
                self._ask_order(turn, rest)
            case "reconcile" | "rate":
                self._begin_round(turn)
            case "stop" if turn.account.modes.stopping_since_ns and not turn.account.modes.closing:
                turn.note("warning", "stopped without an answer from the venue to everything that was asked")
                turn.fact(SessionClosing("deadline"))

    def _connect(self, turn: Turn, source: str) -> None:
        link = turn.account.links.by_source.get(source)
        if link is None or link.state != "down" or turn.account.modes.closing:
            return
        plan = next(plan for plan in self.venues[link.venue].links() if plan.source == source)
        self.asking[link.venue].connect(turn, plan=plan)

    def _begin_round(self, turn: Turn) -> None:
        if not turn.account.reconciling.running and reconcile.may_ask(turn):
            reconcile.begin(turn, self.asking, self.instruments)

    def _on_command(self, turn: Turn) -> None:
        command = facts.read_command(turn.record.body or "").command
        if command == "cancel_all":
            self._cancel_all(turn)
        elif command == "reconcile":
            self._begin_round(turn)

    def _evaluate(self, turn: Turn, name: str) -> None:
        """Startup order: strategies are asked only when nothing can have been missed."""
        if turn.account.modes.mode is Mode.RUNNING and not turn.account.modes.stopping_since_ns:
            self.deciding.evaluate(turn, name)

    def _on_wake(self, turn: Turn, took: Took) -> None:
        if took.wake & FATAL_WAKES:
            for index, flags in turn.market.woken():
                for flag, words in WAKE_NAMES.items():
                    if flags & flag:
                        name = turn.market.instruments[index].id
                        turn.fact(ModeChanged(Mode.HALTED, (f"{name}: {words} (record {turn.record.seq})",)))
        if took.wake & layout.BOOK_NEEDS_SNAPSHOT:
            self._want_snapshots(turn)
        if took.wake & (layout.BOOK_NEEDS_SNAPSHOT | layout.BOOK_JOINED):
            update(turn, market_reasons=self._market_reasons(turn))
        for watch, name in enumerate(self._watch_names):
            if took.watches >> watch & 1:
                self._evaluate(turn, name)

    def _want_snapshots(self, turn: Turn) -> None:
        for name, index in self.indexes.items():
            instrument = self.instruments[name]
            lost = turn.market.book_state(index) in (BookState.BUFFERING, BookState.BROKEN)
            blocked = turn.time_ns < turn.account.limits.of(instrument.venue).blocked_until_ns
            if lost and not blocked and turn.account.requests.of("depth", instrument=name) is None:
                self.asking[instrument.venue].depth(turn, instrument=instrument)

    # ---- what venues say

    def _on_event(self, turn: Turn, event: Event) -> None:
        match event:
            case OrderReport():
                settle.report(turn, event, self.instruments)
                self._after_reports(turn)
            case BalanceReport():
                reconcile.balance(turn, event)
            case Subscribed() if turn.record.kind is Kind.BROKER:
                turn.fact(LinkReady(turn.record.source))
            case StreamEnded():
                turn.note("warning", f"{turn.record.source}: {event.reason}")
                self._disconnect(turn, turn.record.source)
            case Unrecognised():
                turn.note("warning", f"{event.where}: {event.error}")
            case Answer() if event.outcome is not Outcome.DONE:
                turn.note("warning", f"{turn.record.source}: {event.outcome} {event.code} {event.text}")
            case _:
                pass

    def _on_answer(self, turn: Turn, took: Took, awaited: Awaited) -> None:
        request = awaited.request
        answer = next((event for event in took.events if isinstance(event, Answer)), Answer(Outcome.DONE))
        self._mind_limits(turn, request.venue, answer)
        asking = self.asking[request.venue]
        reports = [event for event in took.events if not isinstance(event, Answer)]
        match request.purpose:
            case "place":
                venue = self.venues[request.venue]
                settle.placed(turn, awaited, answer, sent_ns=took.sent_ns, proof_after_ns=self._proof_after_ns(venue))
            case "cancel":
                if settle.canceled(turn, awaited, answer):
                    self._ask_order(turn, request.client_order_id, whatever=True)
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
        proves = (Outcome.DONE, Outcome.NOT_FOUND) if request.purpose == "query_order" else (Outcome.DONE,)
        if answer.outcome not in proves or any(isinstance(event, Unrecognised) for event in reports):
            reconcile.fail(turn, awaited, f"{answer.outcome} {answer.text}")
        self._after_reports(turn)

    def _on_report(self, turn: Turn, asking: Asking, took: Took, awaited: Awaited, event: Event) -> None:
        match event:
            case OpenOrdersReport():
                reconcile.open_orders(turn, asking, self.instruments, awaited, event, own=self.own_marks)
            case AccountReport():
                reconcile.balances(turn, awaited, event, self.assets)
            case FillsReport():
                reconcile.fills(turn, asking, self.instruments, awaited, event)
            case ServerTime() if took.sent_ns:
                middle_ns = (took.sent_ns + turn.time_ns) // 2
                turn.fact(ClockMeasured(awaited.request.venue, event.venue_ns - middle_ns))
            case OrderReport():
                settle.report(turn, event, self.instruments)
                if awaited.request.purpose == "query_order" and not awaited.request.client_order_id:
                    # the order behind a fill nobody knew: now its fills can be booked
                    reconciling = turn.account.reconciling
                    asking.fills(
                        turn,
                        instrument=self.instruments[event.instrument],
                        after_id=reconciling.fills_confirmed.get(event.instrument, -1),
                        reconcile_round=awaited.request.round,
                    )
            case _:
                self._on_event(turn, event)

    def _after_reports(self, turn: Turn) -> None:
        reconcile.owed(turn, self.asking, self.instruments)

    def _order_answered(self, turn: Turn, awaited: Awaited, answer: Answer) -> None:
        name = awaited.request.client_order_id
        if answer.outcome is Outcome.NOT_FOUND and name and not settle.not_found(turn, name):
            text = f"order {name} is live here, and the venue does not know it"
            order = turn.account.orders.by_id[name]
            if turn.time_ns - order.updated_ns > self._proof_after_ns(self.venues[awaited.request.venue]):
                turn.fact(ModeChanged(Mode.HALTED, (text,)))
            else:
                turn.note("warning", text, key=name)

    def _ask_order(self, turn: Turn, name: str, *, whatever: bool = False) -> None:
        """Asks the venue about one order by our id: while it is UNKNOWN, or where a cancel's answer did not settle it."""
        order = turn.account.orders.by_id.get(name)
        if order is None or order.ask_seq or order.status not in LIVE:
            return
        if order.status is not Status.UNKNOWN and not whatever and order.asks == 0:
            return
        instrument = self.instruments[order.order.instrument]
        if turn.time_ns < turn.account.limits.of(instrument.venue).blocked_until_ns:
            return
        if order.asks and order.asks % 60 == 0:
            turn.note("alarm", f"order {name} has been asked about {order.asks} times without an end", key=name)
        self.asking[instrument.venue].query_order(turn, instrument=instrument, client_order_id=name)

    def _mind_limits(self, turn: Turn, venue: str, answer: Answer) -> None:
        if answer.outcome is Outcome.RATE_LIMITED:
            until_ns = max(answer.retry_at_ns, turn.time_ns + (answer.retry_after_ns or SECOND_NS))
            turn.fact(RateBlocked(venue, until_ns, f"{answer.code} {answer.text}"))
        elif answer.outcome is Outcome.CLOCK:
            self.asking[venue].server_time(turn)
        elif answer.outcome is Outcome.AUTH:
            turn.fact(ModeChanged(Mode.HALTED, (f"{venue} refused our key: {answer.code} {answer.text}",)))

    def _disconnect(self, turn: Turn, source: str) -> None:
        link = turn.account.links.by_source.get(source)
        if link is not None and link.state in ("up", "ready"):
            self.asking[link.venue].disconnect(turn, source=source)

    # ---- what recurs

    def _watch(self, turn: Turn) -> None:
        """Once a second: silence, subscriptions that never came, books and fills still owed, orders to ask about, old orders."""
        now_ns = turn.time_ns
        for source in sorted(turn.account.links.by_source):
            link = turn.account.links.by_source[source]
            silent_ns = now_ns - max(link.changed_ns, self._last_seen_ns(turn, link.venue) if link.role == "market" else now_ns)
            if link.state == "up" and now_ns - link.changed_ns > self.settings.request_timeout_ns:
                turn.note("warning", f"{source}: no answer to the subscription")
                self._disconnect(turn, source)
            elif link.state == "ready" and silent_ns > self.settings.stale_after_ns:
                turn.note("alarm", f"{source}: silent for {silent_ns // MILLISECOND_NS} ms")
                self._disconnect(turn, source)
        self._want_snapshots(turn)
        self._after_reports(turn)
        for order in turn.account.orders.live():
            if order.status is Status.UNKNOWN and f"ask.{order.client_order_id}" not in turn.account.timers.due_ns:
                self._ask_order(turn, order.client_order_id)

    def _forget(self, state: State) -> None:
        """The age rule, applied as part of folding the TIMER: rebuilding does the same."""
        kept = forget_closed(state.account.orders, state.time_ns - self.settings.keep_closed_ns)
        if kept is not state.account.orders:
            state.account = msgspec.structs.replace(state.account, orders=kept)

    def _last_seen_ns(self, turn: Turn, venue: str) -> int:
        return max(
            (
                turn.market.last_seen_ns(index, stream)
                for name, index in self.indexes.items()
                if self.instruments[name].venue == venue
                for stream in Stream
            ),
            default=0,
        )

    def _report(self, turn: Turn) -> None:
        """P&L as it stands: realised and unrealised apart, marked at the mid."""
        for key in sorted(turn.account.positions.by_key):
            held = turn.account.positions.by_key[key]
            quote = turn.market.quote(self.indexes[held.instrument]) if held.instrument in self.indexes else None
            if quote is None:
                continue
            mark = (quote.bid + quote.ask) / 2
            turn.fact(
                Pnl(
                    held.strategy,
                    held.instrument,
                    held.quantity,
                    mark,
                    held.realised_pnl,
                    unrealised(held, mark),
                    held.fees_quote,
                )
            )

    # ---- stopping

    def _cancel_all(self, turn: Turn) -> int:
        """Cancels every live order of ours that can be cancelled now; returns how many live ones there are."""
        mine = [order for order in turn.account.orders.live() if not order.adopted]
        for order in mine:
            if not any(cancel_rules(turn, order.strategy, order.client_order_id).values()) and order.status is not Status.UNKNOWN:
                instrument = self.instruments[order.order.instrument]
                self.asking[instrument.venue].cancel(
                    turn, client_order_id=order.client_order_id, instrument=instrument
                )
        return len(mine)

    def _stop(self, turn: Turn) -> None:
        """An ordered stop: cancel (if so configured), wait for every answer that changes something, then close."""
        modes = turn.account.modes
        if not modes.stopping_since_ns or modes.closing:
            return
        live = self._cancel_all(turn) if self.settings.cancel_on_stop else 0
        waiting = any(awaited.request.mutates for awaited in turn.account.requests.by_seq.values())
        if not live and not waiting:
            if turn.account.positions.by_key:
                self._report(turn)
            turn.fact(SessionClosing("stopped"))

    def _proof_after_ns(self, venue: Venue) -> int:
        """How long after sending a "not found" begins to prove absence (binance_spot.md section 12)."""
        return venue.recv_window_ms * MILLISECOND_NS + self.settings.venue_timeout_ns + PROOF_SLACK_NS


def kernel_of(record: Record) -> Kernel:
    """The program that a SESSION record describes."""
    return Kernel(read_session(record.body or ""))
