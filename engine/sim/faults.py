"""Scripted faults: which request or event they strike, and when. Decides what goes wrong; does nothing itself.

A rule is JSON, posted to /sim/faults. Durations are milliseconds of session time.

| action | what happens | fields |
|---|---|---|
| drop_request | closed before the request is processed | match |
| cut_answer | processed, then closed without an answer | match |
| delay_answer | the answer comes later | match, ms |
| reject | answered with an error, not processed | match, status, code, msg, retry_after_s |
| error_after | processed, then answered with an error (504 and -1007 unless given) | match, status, code, msg |
| rate_limit | 429 with Retry-After; requests before that get 418 | match, retry_after_s |
| not_found_for | after acceptance, queries answer -2013 for a while | match, ms |
| delay_events, duplicate_events, drop_events | private events come later, twice, never | event, ms |
| stop_stream | frames of `stream` are lost for ms (0: ever), with `heals` until subscribed again | stream, ms, heals |
| delay_stream | frames of `stream` come `late_ms` after their stamps, for ms (0: for ever) | stream, late_ms, ms |
| restart_ids | ids of `stream` begin again from here on; with its depth stream those of the snapshots too | stream |
| freeze | nothing more comes over the open private connections, answers included; pongs do | target (private) |
| silence | frames of a target are lost for a while | target (market, private), ms |
| disconnect | all connections of a target are closed | target |
| clock_skew | the venue's clock is off by ms from now on (negative: behind); 0 ends it | ms |
| firewall | 403 with an HTML page, not processed | match |
| list_late | myTrades lists a fill only after a while | event (TRADE), ms |
| list_lag | openOrders lists orders as they were, while they ended less than ms ago; 0 ends it | ms |
| list_behind | openOrders does not list orders that were placed less than ms ago; 0 ends it | ms |
| events_before_answer | private events precede the answer that caused them | on |
| change_rules | a symbol's rules or status are others from now on; amounts as decimal texts | symbol, rules |
| allow_trading | the account "may trade" (on) or not, from now on | on |

`stream`: `btcusdt@trade`, or `btcusdt@*` for all streams of a symbol.

match: `method` and `path` (REST) or `path` alone as WebSocket API method, each optional; `event`: executionReport,
outboundAccountPosition or an execution type (NEW, TRADE ...). A rule strikes from its `nth` match on, `times` times (0:
ever).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from engine.sim.feeds.sim_market import Line
from engine.sim.stream_faults import StreamFaults


class Action(StrEnum):
    """Kinds of faults (the table above)."""

    DROP_REQUEST = "drop_request"
    CUT_ANSWER = "cut_answer"
    DELAY_ANSWER = "delay_answer"
    REJECT = "reject"
    ERROR_AFTER = "error_after"
    RATE_LIMIT = "rate_limit"
    NOT_FOUND_FOR = "not_found_for"
    DELAY_EVENTS = "delay_events"
    DUPLICATE_EVENTS = "duplicate_events"
    DROP_EVENTS = "drop_events"
    SILENCE = "silence"
    DISCONNECT = "disconnect"
    CLOCK_SKEW = "clock_skew"
    EVENTS_BEFORE_ANSWER = "events_before_answer"
    FIREWALL = "firewall"
    LIST_LATE = "list_late"
    LIST_LAG = "list_lag"
    LIST_BEHIND = "list_behind"
    STOP_STREAM = "stop_stream"
    DELAY_STREAM = "delay_stream"
    RESTART_IDS = "restart_ids"
    FREEZE = "freeze"
    CHANGE_RULES = "change_rules"
    ALLOW_TRADING = "allow_trading"


class Target(StrEnum):
    """The connections that a fault affects."""

    MARKET = "market"
    PRIVATE = "private"


ON_REQUESTS: Final = frozenset(
    {
        Action.DROP_REQUEST,
        Action.CUT_ANSWER,
        Action.DELAY_ANSWER,
        Action.REJECT,
        Action.ERROR_AFTER,
        Action.RATE_LIMIT,
        Action.NOT_FOUND_FOR,
        Action.FIREWALL,
    }
)
ON_EVENTS: Final = frozenset({Action.DELAY_EVENTS, Action.DUPLICATE_EVENTS, Action.DROP_EVENTS, Action.LIST_LATE})
STRIKE_LATER: Final = frozenset({Action.NOT_FOUND_FOR, Action.LIST_LATE})  # with the first query
MS: Final = 1_000_000


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault: its action, the requests or events that it matches, and how often."""

    action: Action
    method: str | None = None
    path: str | None = None
    event: str | None = None
    nth: int = 1
    times: int = 1
    ms: int = 0
    status: int = 0
    code: int = 0
    msg: str = ""
    retry_after_s: int = 0
    target: Target = Target.MARKET
    on: bool = True
    stream: str = ""
    late_ms: int = 0
    heals: bool = False
    symbol: str = ""
    rules: dict[str, str] = {}  # field of SymbolRules -> status, or an amount


@dataclass(slots=True, eq=False)
class ScriptedFault:
    """A rule with its counts. `struck` counts effects on clients: lost frames, closed connections, other answers."""

    rule: Rule
    matched: int = 0
    applied: int = 0  # `times` limits these
    struck: int = 0


class Faults:
    """The active faults, and how often each was applied."""

    def __init__(self) -> None:
        self.scripted: list[ScriptedFault] = []
        self.cleared: list[ScriptedFault] = []
        self.clear()

    def clear(self) -> None:
        """End all faults. Their counts stay in `cleared`."""
        self.cleared += self.scripted
        self.scripted = []
        self.skew_ns = 0
        self.events_before_answer = False
        self._matching = False
        self._silent_until_ns = dict.fromkeys(Target, 0)
        self._hidden: dict[str, tuple[int, ScriptedFault]] = {}
        self._unlisted: dict[tuple[int, int], tuple[int, ScriptedFault]] = {}
        self.list_lag_ns = 0
        self.list_behind_ns = 0
        self.banned_until_ns = 0
        self.streams = StreamFaults()

    def unstruck(self) -> list[Rule]:
        """Return the rules, cleared ones included, that no client could notice so far."""
        return [fault.rule for fault in (*self.cleared, *self.scripted) if not fault.struck]

    def add(self, rule: Rule, now_ns: int) -> ScriptedFault:
        """Add a rule; a rule without a match takes effect at once. One that ends a fault counts as struck."""
        fault = ScriptedFault(rule)
        self.scripted.append(fault)
        match rule.action:
            case Action.SILENCE:
                self._silent_until_ns[rule.target] = now_ns + rule.ms * MS
                fault.struck += not rule.ms
            case Action.CLOCK_SKEW:
                self.skew_ns = rule.ms * MS
                fault.struck += not rule.ms
            case Action.LIST_LAG:
                self.list_lag_ns = rule.ms * MS
                fault.struck += not rule.ms
            case Action.LIST_BEHIND:
                self.list_behind_ns = rule.ms * MS
                fault.struck += not rule.ms
            case Action.EVENTS_BEFORE_ANSWER:
                self.events_before_answer = rule.on
                fault.struck += not rule.on
            case Action.STOP_STREAM:
                self.streams.stop(rule.stream, now_ns + rule.ms * MS if rule.ms else 0, heals=rule.heals)
            case Action.DELAY_STREAM:
                self.streams.delay(rule.stream, rule.late_ms * MS, now_ns + rule.ms * MS if rule.ms else 0)
            case Action.RESTART_IDS:
                self.streams.restart_ids(rule.stream)
            case Action.DISCONNECT | Action.FREEZE | Action.CHANGE_RULES | Action.ALLOW_TRADING:
                pass  # the venue does it, and counts it
            case _:
                self._matching = True
        return fault

    def on_request(self, names: tuple[tuple[str | None, str], ...]) -> list[Rule]:
        """Return the rules that apply to a request, known by any of its (method, path) names."""
        if not self._matching:
            return []
        return self._strike(
            ON_REQUESTS,
            lambda rule: any(
                rule.path in (None, path) and (rule.method is None or rule.method == method) for method, path in names
            ),
        )

    def on_event(self, event: str, execution: str) -> list[Rule]:
        """Return the rules that apply to a private event."""
        if not self._matching:
            return []
        return self._strike(ON_EVENTS, lambda rule: rule.event in (None, event, execution))

    def _strike(self, actions: frozenset[Action], matches: Callable[[Rule], bool]) -> list[Rule]:
        struck = []
        for fault in self.scripted:
            rule = fault.rule
            if rule.action not in actions or not matches(rule):
                continue
            fault.matched += 1
            if fault.matched >= rule.nth and (not rule.times or fault.applied < rule.times):
                fault.applied += 1
                fault.struck += rule.action not in STRIKE_LATER
                struck.append(rule)
        return struck

    def silent(self, target: Target, now_ns: int) -> bool:
        """Return True while a stream is silenced."""
        return now_ns < self._silent_until_ns[target]

    def venue_clock_ns(self, now_ns: int) -> int:
        """Return the time of the venue's own clock."""
        if self.skew_ns:
            self.count(Action.CLOCK_SKEW)
        return now_ns + self.skew_ns

    def strike_line(self, line: Line, now_ns: int, *, is_listened: bool) -> tuple[Line, ...]:
        """Return a public line as its subscribers get it, () if lost. Count the fault that struck."""
        sent, action = self.streams.strike(line, now_ns)
        if action and is_listened:
            self.count(Action(action))
        return () if sent is None else (sent,)

    def count(self, action: Action, target: Target | None = None) -> None:
        """Count an effect of the newest fault of an action: a frame that was lost, an event that was early."""
        for fault in reversed(self.scripted):
            if fault.rule.action is action and target in (None, fault.rule.target):
                fault.struck += 1
                return

    def suppress_order(self, client_order_id: str, rule: Rule, now_ns: int) -> None:
        """Answer queries for an order as unknown for the rule's time."""
        fault = next(fault for fault in self.scripted if fault.rule is rule)
        self._hidden[client_order_id] = now_ns + rule.ms * MS, fault

    def unlist_fill(self, trade_id: int, order_id: int, rule: Rule, now_ns: int) -> None:
        """Leave a fill out of myTrades for the rule's time."""
        fault = next(fault for fault in self.scripted if fault.rule is rule)
        self._unlisted[trade_id, order_id] = now_ns + rule.ms * MS, fault

    def is_unlisted(self, trade_id: int, order_id: int, now_ns: int) -> bool:
        """Return True while a fill is left out of myTrades."""
        if (trade_id, order_id) not in self._unlisted:
            return False
        until_ns, fault = self._unlisted[trade_id, order_id]
        fault.struck += now_ns < until_ns
        return now_ns < until_ns

    def hidden(self, client_order_id: str, now_ns: int) -> bool:
        """Return True while queries for an order answer as unknown."""
        if client_order_id not in self._hidden:
            return False
        until_ns, fault = self._hidden[client_order_id]
        fault.struck += now_ns < until_ns
        return now_ns < until_ns
