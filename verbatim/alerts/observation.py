"""Observations: what the rules see of a session at one moment. Its metrics, events, increases and P&L of the day."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from threading import Lock
from typing import NamedTuple

import msgspec

from analysis.metrics.definitions import BUCKETS_S
from analysis.metrics.values import MetricValues
from engine import facts
from engine.bodies import NoteLevel
from engine.mode_reasons import Mode
from engine.record_codec import read_fact, read_note
from engine.risk_settings import DaySettings
from engine.session_record import read_session
from engine.state.day_pnl import UTC_DAY, day_of
from journal.record import Kind, Record, plain
from verbatim.alerts.alert_messages import one_line

EVENTS_MAX = 1000  # that wait to be observed; the oldest are dropped
SAMPLE_S = 5.0  # between two samples of the counters
SAMPLES_MAX = 720
SLOW_S = 0.25  # one of BUCKETS_S
SLOW_ORDERS = "slow_orders"  # a counter of ours: orders that left later than SLOW_S
SENT_ORDERS = "sent_orders"
COUNTERS = ("orders_rejected_total", "orders_submitted_total", "link_reconnects_total", "intents_refused_total")


class SessionEvent(NamedTuple):
    """A record that a rule reports, however often it occurs."""

    rule: str
    about: str
    text: str
    seq: int


class PnlPoint(NamedTuple):
    """The P&L of all strategies at a time, after fees, in the reporting currency."""

    day: int
    currency: str
    pnl: Decimal


class RecordEvents:
    """Folds the records of a session: events, reasons of the mode, P&L. One thread adds, another drains."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: deque[SessionEvent] = deque(maxlen=EVENTS_MAX)
        self._pnl: deque[PnlPoint] = deque(maxlen=EVENTS_MAX)
        self._day = UTC_DAY
        self.mode = Mode.STARTING
        self.reasons: tuple[str, ...] = ()

    def add(self, record: Record) -> None:
        """Fold one record. One that this version cannot read is left out, and `unreadable_records_total` counts it."""
        if record.kind not in (Kind.FACT, Kind.NOTE, Kind.SESSION):
            return
        try:
            with self._lock:
                self._fold(record, record.body or "")
        except (msgspec.MsgspecError, ValueError, LookupError, TypeError, AttributeError):
            pass

    def drain(self) -> tuple[list[SessionEvent], list[PnlPoint]]:
        """Return the events and the P&L since the last call."""
        with self._lock:
            found = list(self._events), list(self._pnl)
            self._events.clear()
            self._pnl.clear()
        return found

    def _fold(self, record: Record, body: str) -> None:
        match record.kind:
            case Kind.SESSION:
                self._day = read_session(body).risk.day
            case Kind.NOTE:
                note = read_note(body)
                if note.level is NoteLevel.ALARM:
                    self._put(record, "alarm", _kind_of_text(note.text), note.text)
            case _:
                self._fold_fact(record, read_fact(body), self._day)

    def _fold_fact(self, record: Record, fact: facts.Fact, day: DaySettings) -> None:
        match fact:
            case facts.ModeChanged():
                self.mode = fact.mode
                self.reasons = tuple(one_line(reason.text) for reason in fact.reasons)
            case facts.StrategyStopped():
                self._put(record, "strategy_stopped", fact.strategy, fact.reason)
            case facts.SafetyOrdered():
                text = f"{fact.kind.value} was ordered by {fact.by}: {fact.cause.value.replace('_', ' ')}"
                self._put(record, "safety_order", fact.kind.value, text)
            case facts.DailyLossReached():
                name = fact.name or "daily_loss_max"
                text = f"a loss of {plain(fact.loss)} {fact.asset} reached {name}, {plain(fact.limit)}"
                self._put(record, "loss_limit", name, text)
            case facts.OrderFilled():
                role = "maker" if fact.maker else "taker"
                text = f"{plain(fact.quantity)} {fact.instrument} at {plain(fact.price)} ({role})"
                self._put(record, "fill", f"{fact.strategy} {fact.instrument}", text)
            case facts.PortfolioPnl():
                self._pnl.append(PnlPoint(day_of(record.time_ns, day), fact.currency, fact.total))
            case _:
                pass

    def _put(self, record: Record, rule: str, about: str, text: str) -> None:
        self._events.append(SessionEvent(rule, one_line(about, 80), one_line(text), record.seq))


def _kind_of_text(text: str) -> str:
    """Return the begin of a text without its figures: two alarms with the same begin are one alert.

    >>> _kind_of_text("drift is 0.5 BTC") == _kind_of_text("drift is 12 BTC")
    True
    """
    return "".join("#" if character.isdigit() else character for character in text).replace("##", "#")[:60]


class CounterHistory:
    """Samples of counters, for their increase within a window of the watcher's time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, dict[str, float]]] = deque(maxlen=SAMPLES_MAX)

    def add(self, now_s: float, values: MetricValues) -> dict[str, float]:
        """Note the counters, and return them."""
        counters = {name: values.total(name) for name in COUNTERS}
        counters.update(_slow_orders(values))
        if not self._samples or now_s - self._samples[-1][0] >= SAMPLE_S:
            self._samples.append((now_s, counters))
        return counters

    def before(self, seconds: float, now_s: float) -> dict[str, float]:
        """Return the counters at the begin of a window, or the oldest ones within it."""
        found: dict[str, float] = {}
        for at_s, counters in self._samples:
            if found and now_s - at_s < seconds:
                break
            found = counters
        return found


def _slow_orders(values: MetricValues) -> dict[str, float]:
    """Return how many orders were sent, and how many of them late."""
    counts = [
        found.counts for labels, found in values.histograms("request_send_seconds").items() if labels == ("place",)
    ]
    bound = bisect_left(BUCKETS_S, SLOW_S) + 1
    return {SENT_ORDERS: sum(map(sum, counts)), SLOW_ORDERS: sum(sum(each[bound:]) for each in counts)}


class DayLoss(NamedTuple):
    """The P&L of the day."""

    currency: str
    loss: Decimal  # since the day began; negative: a gain
    drawdown: Decimal  # from the highest P&L of the day


class Observation(NamedTuple):
    """A session at one moment."""

    session: str  # its id
    values: MetricValues
    mode: Mode
    reasons: tuple[str, ...]  # against RUNNING
    is_up: bool  # a process writes it
    is_closed: bool  # it ended in order
    failure: str  # why its journal cannot be read
    last_seq: int  # of the newest record that was read
    events: tuple[SessionEvent, ...]
    day: DayLoss | None
    history: CounterHistory
    counters: Mapping[str, float]
    now_s: float

    def events_of(self, rule: str) -> Iterable[SessionEvent]:
        """Return the events that a rule reports."""
        return (event for event in self.events if event.rule == rule)

    def increase(self, counter: str, seconds: float) -> float:
        """Return by how much a counter grew within the last seconds."""
        before = self.history.before(seconds, self.now_s)
        return self.counters.get(counter, 0.0) - before.get(counter, 0.0)
