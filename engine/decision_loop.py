"""The loop over decisions that lead to nothing: rows are folded and strategies run, and nothing else happens.

It is a cache of the ordinary step. It ends at anything else (a record with another effect, a strategy that decides
something or raises, a timer of another kind), with the state as the ordinary step leaves it there. The step there uses
the decisions that were made: no strategy runs twice at a record.
tests/test_decision_loop.py drives both ways over the same rows.
"""

from collections.abc import Mapping
from decimal import localcontext
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from engine.apply.batch import NO_EFFECT, STRATEGY_FLAGS, Applied, Batch, Fired
from engine.apply.due_timers import timer_record
from engine.apply.inputs import applied_rows, apply, triggered_by_timer
from engine.handlers.fired_timers import HANDLED_ONLY, leads_to_nothing
from engine.market import layout as at
from engine.market.layout import NEVER
from engine.money import MONEY
from engine.session_context import SessionContext
from engine.state.session_state import State, hashed_bytes
from engine.state.timers import Timers, timer_name
from engine.strategy.decider import NOTHING, Decider
from engine.strategy.runner import Decided, EarlyDecisions, failed
from engine.timer_names import TimerKind, TimerName
from engine.trigger_kinds import TriggerKind

Decisions = Mapping[str, Decided]
OTHER_FLAGS = ~STRATEGY_FLAGS
PASSABLE_KINDS = HANDLED_ONLY | {TimerKind.DECIDE, TimerKind.THROTTLE}
SAMPLE_NS = 9_012_345_678_987_654_321  # in the text of a sample TIMER, which is split there


class _Run(NamedTuple):
    """A strategy that a trigger runs."""

    decider: Decider
    fired: Fired
    waits: bool  # for its WarmUp or for the history of its bars
    is_ordinary: bool  # `Decider.run` runs it, as the ordinary step does


class _Trigger(NamedTuple):
    """The strategies that some triggers of the market run together."""

    strategies: Mapping[str, Fired]
    runs: tuple[_Run, ...]
    places: tuple[tuple[int, int], ...]  # each trigger, and the place of its numbers in Market.numbers


class _Timer(NamedTuple):
    """The strategies that a TIMER runs."""

    name: str
    runs: tuple[_Run, ...]
    texts: tuple[str, ...]  # what the hash contains, around its time and its due time
    period_ns: int = 0
    trigger: int = -1  # whose throttle ends
    is_handled: bool = False  # a handler acts on it


class DecisionLoop:
    """The loop over one batch of market rows."""

    def __init__(self, session: SessionContext, state: State, batch: Batch) -> None:
        """Prepare the loop, for a batch that `is_passable` accepts."""
        self._session = session
        self._state = state
        self._batch = batch
        self._runner = session.runner
        self._triggers: dict[int, _Trigger | None] = {}
        self._timers: dict[str, _Timer | None] = {}
        self._decisions: Decisions | None = None
        timers = state.account.timers
        self._next_ns = timers.next_due_ns  # of the account's timers
        self._due_ns: dict[str, int] = {}  # the account's timers, once one was passed
        self._hashed: list[str] = []  # texts of the TIMERs that were passed, if they are hashed
        self._beat: _Timer | None = None  # the account's timer that was passed last
        self._others_ns = NEVER  # when the first other one is due
        self._early: tuple[str, int, Decisions] | None = None  # the TIMER at which strategies decide something

    def run(self) -> tuple[Applied, Decisions | None]:
        """Fold rows up to the first record or TIMER at which more happens than that strategies decide nothing.

        Returns:
            What the record holds, as `apply` returns it, and the decisions that strategies made; None without any.

        """
        market = self._state.market
        with localcontext(MONEY):
            while True:
                flags, fired = self._fold()
                if not self._continues(flags):
                    break
        self._settle()
        if self._early is not None:
            self._runner.early = EarlyDecisions(self._state.account, *self._early)
        if flags == at.GROW:
            return apply(self._session, self._state, self._batch), None
        time_ns = market.numbers[at.S_TIME_NS]
        if self._decisions is not None:
            known = self._triggers[fired]
            assert known is not None, "it was run"
            return Applied(
                market_flags=flags, strategies=known.strategies, only_strategies=True, time_ns=time_ns
            ), self._decisions
        if flags in (0, at.DUE):
            return NO_EFFECT, None
        return applied_rows(self._session, market, time_ns, flags, fired), None

    def _fold(self) -> tuple[int, int]:
        """Fold rows and run strategies up to the first record that ends the loop, or to the next TIMER.

        The account's timer that was passed last passes here again, until another one is due.

        Returns:
            Its flags and the bits of its triggers.

        """
        state, batch, triggers = self._state, self._batch, self._triggers
        rows, row, market, beat = batch.rows, batch.row, state.market, self._beat
        assert rows is not None, "the loop takes rows"
        until_ns = -1 if batch.until_ns is None else min(batch.until_ns, self._next_ns)
        last_ns = -1 if batch.until_ns is None or beat is None else min(batch.until_ns, self._others_ns)
        fold, numbers, evaluate, is_hashing = market.fold_entry(rows), market.numbers, self._evaluate, state.is_hashing
        values, floats, sides, pending, inputs, levels = market.arrays
        passed_row = passed_ns = -1
        while True:
            row, flags, fired, _ = fold(rows, row, until_ns, values, floats, sides, pending, inputs, levels)
            if flags == at.DUE and until_ns < last_ns and numbers[at.S_NEXT_DUE] > until_ns:
                assert beat is not None, "no other TIMER passes here"
                if (decisions := evaluate(beat.runs, until_ns)) is not None:
                    batch.timer_decides, self._early = True, (beat.name, until_ns, decisions)
                    break
                if is_hashing:
                    self._add_text(beat, until_ns)
                passed_row, passed_ns = row, until_ns
                until_ns = min(until_ns + beat.period_ns, last_ns)
                continue
            if not fired or flags & OTHER_FLAGS:
                break
            known = triggers[fired] if fired in triggers else self._know(fired)
            if known is None:
                break
            time_ns = numbers[at.S_TIME_NS]
            for trigger, place in known.places:
                numbers[place] = time_ns
                if numbers[place + 1] != at.NEVER:
                    market.note_evaluated(trigger, time_ns)
            decisions = evaluate(known.runs, time_ns)
            if decisions is not None:
                self._decisions = decisions
                break
        if beat is not None and passed_row >= 0:
            self._set_again(beat, passed_ns)
            batch.passed_timer = passed_row, passed_ns
        batch.row, market.flags, market.fired, market.next_due_ns = row, flags, fired, numbers[at.S_NEXT_DUE]
        return flags, fired

    def _evaluate(self, runs: tuple[_Run, ...], time_ns: int) -> Decisions | None:
        """Run strategies up to the first that decides something. Return the decisions up to there, or None."""
        for decider, fired, waits, is_ordinary in runs:
            if waits and not self._runner.is_ready(self._state.account, self._state.market, decider.name):
                continue
            try:
                if is_ordinary:
                    decision = decider.run(self._state.account, self._state.market, time_ns, fired)
                else:
                    view = decider.view
                    view.time_ns = time_ns
                    view.triggers = fired
                    found = decider.code(view, decider.state, decider.parameters)
                    if not (found or decider.notes or (decider.may_leave_traces and decider.leaves_traces())):
                        continue
                    decision = decider.conclude(found)
            except BaseException as error:  # a user's code may raise anything
                decider.forget()
                if not isinstance(error, Exception):
                    raise
                return {**self._until(runs, decider), decider.name: failed(error)}
            if decision:
                return {**self._until(runs, decider), decider.name: decision}
            if not is_ordinary:
                decider.turn_to(self._state.account, self._state.market)  # its state may be new
        return None

    def _until(self, runs: tuple[_Run, ...], last: Decider) -> dict[str, Decided]:
        """Return the decisions of the strategies before one: nothing, of those that ran."""
        account, market = self._state.account, self._state.market
        found: dict[str, Decided] = {}
        for run in runs:
            if run.decider is last:
                break
            if not run.waits or self._runner.is_ready(account, market, run.decider.name):
                found[run.decider.name] = NOTHING
        return found

    # ---- what follows a trigger

    def _know(self, fired: int) -> _Trigger | None:
        """Return the strategies that these triggers run together; None if the loop cannot pass them."""
        market = self._state.market
        places = [
            (w, market.trigger_begin + w * at.W_FIELDS + at.W_EVALUATED_NS)
            for w in range(len(market.triggers))
            if fired >> w & 1
        ]
        strategies = self._session.fired(tuple(market.triggers[w].name for w, _ in places))
        runs = self._runs(strategies)
        is_passable = runs is not None and self._runner.compiled.keys().isdisjoint(strategies)
        self._triggers[fired] = _Trigger(strategies, runs, tuple(places)) if runs is not None and is_passable else None
        return self._triggers[fired]

    def _runs(self, strategies: Mapping[str, Fired]) -> tuple[_Run, ...] | None:
        """Return the strategies that may run, as `first_decision` selects them; None if that depends on the time."""
        runner, account, market = self._runner, self._state.account, self._state.market
        if account.breakers.pauses:
            return None
        runs = []
        for name, fired in strategies.items():
            if account.strategies.get(name).stopped_for or runner.is_blocked(account, name):
                continue
            decider = runner.deciders[name]
            if TriggerKind.QUOTE in fired and decider.loaded.predicate is not None:
                return None
            if not decider.can_turn_to(account, market):
                return None
            runs.append(_Run(decider, fired, decider.loaded.warm_up is not None, decider.is_ordinary))
        return tuple(runs)

    # ---- timers

    def _continues(self, flags: int) -> bool:
        """Let the TIMER pass at which the fold stopped. Return False if the loop ends here."""
        batch = self._batch
        return flags == at.DUE and batch.skips_timers and not batch.timer_decides and self._pass_timer()

    def _pass_timer(self) -> bool:
        """Let the TIMER that is due pass, if its strategies decide nothing. It leaves what its record would leave."""
        state, batch = self._state, self._batch
        market_ns, account_ns = state.market.next_due_ns, self._next_ns
        due_ns = min(market_ns, account_ns)
        assert batch.until_ns is not None, "a batch that ignores TIMERs skips none"
        if due_ns >= batch.until_ns or due_ns < state.time_ns or market_ns == account_ns:
            return False
        name = self._throttle_name(due_ns) if market_ns < account_ns else self._timer_name(due_ns)
        timer = self._timers[name] if name in self._timers else self._know_timer(name)
        if timer is None:
            return False
        if (decisions := self._evaluate(timer.runs, due_ns)) is not None:
            batch.timer_decides, self._early = True, (name, due_ns, decisions)
            return False
        if timer.is_handled:
            record = timer_record(due_ns, due_ns, name, seq=state.seq + 1, period_ns=timer.period_ns)
            if not leads_to_nothing(self._session, state, record):
                return False
        elif timer.trigger < 0:
            self._beat = timer
        self._leave(timer, due_ns)
        if state.is_hashing:
            self._add_text(timer, due_ns)
        self._set_again(timer, due_ns)
        batch.passed_timer = batch.row, due_ns
        return True

    def _leave(self, timer: _Timer, time_ns: int) -> None:
        """Take a TIMER that passes out of those that are due."""
        if timer.trigger >= 0:
            self._state.market.note_evaluated(timer.trigger, time_ns)
        else:
            del self._due_ns[timer.name]  # a timer that is set again comes last, as its reducer orders them
            self._others_ns = min(self._due_ns.values(), default=NEVER)

    def _set_again(self, timer: _Timer, due_ns: int) -> None:
        """Set a periodic timer that passed, for when it is due again."""
        if timer.trigger < 0:
            next_ns = self._due_ns[timer.name] = due_ns + timer.period_ns
            self._next_ns = min(next_ns, self._others_ns)

    def _add_text(self, timer: _Timer, due_ns: int) -> None:
        """Hash the text of a TIMER that passed, with the others at the end of the loop."""
        before, between, after = timer.texts
        self._hashed.append(f"{before}{due_ns}{between}{due_ns}{after}")

    def _throttle_name(self, due_ns: int) -> str:
        """Return the name of the first throttle that ends."""
        market = self._state.market
        trigger = 0 if len(market.triggers) == 1 else market.due_triggers(due_ns)[0]
        return timer_name(TimerKind.THROTTLE, market.triggers[trigger].name)

    def _timer_name(self, due_ns: int) -> str:
        """Return the name of the account's first timer that is due."""
        self._due_ns = self._due_ns or dict(self._state.account.timers.due_ns)
        names = [name for name, ns in self._due_ns.items() if ns == due_ns]
        return names[0] if len(names) == 1 else min(names, key=lambda name: TimerName.parse(name).sort_key)

    def _know_timer(self, name: str) -> _Timer | None:
        """Return the strategies that a TIMER runs; None if the loop cannot pass it."""
        state, session = self._state, self._session
        timer = TimerName.parse(name)
        found = None
        if timer.kind in PASSABLE_KINDS:
            runs = self._runs(triggered_by_timer(state, timer))
            period_ns = session.timer_periods_ns.get(name, 0)
            is_throttle = timer.kind is TimerKind.THROTTLE
            if runs is not None and (is_throttle or period_ns):
                texts = self._sample_texts(name)
                trigger = session.trigger_names.index(timer.subject) if is_throttle else -1
                if len(texts) == 3:
                    found = _Timer(name, runs, texts, period_ns, trigger, timer.kind in HANDLED_ONLY)
        self._timers[name] = found
        return found

    @staticmethod
    @lru_cache(256)
    def _sample_texts(name: str) -> tuple[str, ...]:
        """Return what the hash contains of a TIMER that fires in time, around its time and its due time."""
        record = timer_record(SAMPLE_NS, SAMPLE_NS, name, seq=0, period_ns=0)
        return tuple(hashed_bytes(record).decode().split(str(SAMPLE_NS)))

    def _settle(self) -> None:
        """Bring the state to where the records of the passed TIMERs would leave it."""
        state, account = self._state, self._state.account
        if self._hashed:
            state.hash_timers(self._hashed)
        if self._due_ns and self._due_ns != account.timers.due_ns:
            state.account = replace(account, timers=Timers(self._due_ns, account.timers.failures, self._next_ns))
        row, time_ns = self._batch.passed_timer
        if row == self._batch.row:
            state.time_ns = time_ns


def is_passable(session: SessionContext, state: State, batch: Batch) -> bool:
    """Return True if the loop may take a batch: rows of several records, and nothing else to do."""
    return (
        batch.rows is not None
        and len(batch.records) != 1
        and state.quiescent
        and not batch.cut
        and session.runner.guard is None
    )
