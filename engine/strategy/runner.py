"""Run strategies: from a view of market and account to a decision.

A mistake in a strategy costs only its own step. This module knows nothing of risk, requests and venues. Texts of its
errors enter records, so they keep their words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import CodeType
from typing import NamedTuple, Protocol

from engine.bodies import NoteLevel, TimerBody
from engine.errors import DecisionCutError
from engine.facts import StrategyChanged, StrategyStopped
from engine.market.history import gap_of
from engine.market.market_state import Market
from engine.model import Instrument
from engine.session_record import SECOND_NS
from engine.state.history_loads import HISTORY_TRIES
from engine.state.reducer_settings import ReducerSettings
from engine.state.session_state import Account
from engine.step_context import StepContext
from engine.strategy.api import Decision, Intent
from engine.strategy.decider import Decider, Fired
from engine.strategy.loading import LoadedStrategy
from journal.record import Record


class CutOff(NamedTuple):
    """A decision that was interrupted from outside, and why. It decided nothing, and its strategy stops."""

    reason: str


class Failed(NamedTuple):
    """A decision whose code raised, or that is invalid. It decided nothing, and its strategy stops."""

    reason: str


Decided = Decision | CutOff | Failed


class EarlyDecisions(NamedTuple):
    """Decisions at a TIMER that were made before its record. The next step uses them, if it takes this TIMER."""

    account: Account
    timer: str
    time_ns: int
    decisions: Mapping[str, Decided]

    def fits(self, account: Account, record: Record, body: object) -> bool:
        """Return True if a record, with its body, is the TIMER, and finds this account."""
        is_timer = isinstance(body, TimerBody) and body.timer == self.timer and record.time_ns == self.time_ns
        return is_timer and account is self.account


class DecisionGuard(Protocol):
    """The time budget of decisions. Only the shell has a clock, so only it has a guard."""

    clock: Callable[[], int]
    began_ns: int  # when the decision at hand began; 0: none. Meanwhile DecisionCutError may be raised inside it
    slow_ns: int  # of the clock: a longer decision is given to `end_slow`
    is_slow: bool  # one took so long that the shell should read its sockets

    def end_slow(self, strategy: str, began_ns: int, spent_ns: int) -> str:
        """Note a decision that took long. Return why it is void, or ""."""


class StrategyRunner:
    """The strategies of a session."""

    def __init__(
        self,
        *,
        strategies: dict[str, LoadedStrategy],
        instruments: dict[str, Instrument],
        indexes: dict[str, int],
        indicators: dict[tuple[str, str, str], int],
        triggers: dict[str, int],
        is_plain: bool = False,
        settings: ReducerSettings | None = None,
        history: Mapping[str, Sequence[tuple[str, int, int]]] | None = None,
    ) -> None:
        """Prepare the views of all strategies.

        Args:
            strategies: By name.
            instruments: The session's instruments, by every name that a strategy may use.
            indexes: Instrument id -> its index in the market.
            indicators: (strategy, indicator, instrument as declared) -> index in the market.
            triggers: Strategy -> its trigger's number in the market, for those that the market triggers.
            is_plain: Views have plain figures (EngineSettings.plain_figures).
            settings: How P&L is kept and marked.
            history: Strategy -> (instrument, interval, index in the market) of the bars for whose history it waits.

        """
        self.strategies = strategies
        self.guard: DecisionGuard | None = None
        self.early: EarlyDecisions | None = None
        self.compiled = {
            name: number
            for name, number in triggers.items()
            if name in strategies and strategies[name].predicate is not None
        }
        self._history = history or {}
        self._waiting = {name for name, each in strategies.items() if each.warm_up or self._history.get(name)}
        self._views = {
            name: {
                declared: (indexes[instrument.id], instrument)
                for declared in loaded.instruments
                if (instrument := instruments.get(declared))
            }
            for name, loaded in strategies.items()
        }
        self._indicators = {
            name: {
                (indicator, declared): index
                for (owner, indicator, declared), index in indicators.items()
                if owner == name
            }
            for name in strategies
        }
        self.deciders = {
            name: Decider(
                loaded,
                instruments=self._views[name],
                indicators=self._indicators[name],
                trigger=triggers.get(name, -1),
                is_plain=is_plain,
                settings=settings,
            )
            for name, loaded in strategies.items()
        }

    def instruments_of(self, strategy: str) -> Iterable[tuple[int, Instrument]]:
        """Return (index in the market, instrument) of the instruments that a strategy declared and the session has."""
        return self._views[strategy].values()

    def may_run(self, account: Account, market: Market, strategy: str, time_ns: int) -> bool:
        """Return True unless all its instruments are blocked, a breaker forbids it, or it waits for data."""
        if account.blocks.by_instrument and self.is_blocked(account, strategy):
            return False
        if account.breakers.pauses and not account.breakers.may_run(strategy, time_ns):
            return False
        return strategy not in self._waiting or self.is_ready(account, market, strategy)

    def watch_memory(self) -> None:
        """Keep what the strategies' modules hold, for `hidden_memory`."""
        for loaded in self.strategies.values():
            if loaded.hidden is not None:
                loaded.hidden.keep()

    def hidden_memory(self) -> tuple[str, ...]:
        """Return what the strategies remember outside State since `watch_memory`, for people: no record holds it."""
        return tuple(
            f"strategy {name} remembers outside State: {where} changed, or is an iterator. Decisions that depend on it "
            "differ in a replay and after a restart"
            for name, loaded in self.strategies.items()
            if loaded.hidden is not None
            for where in loaded.hidden.changed_names()
        )

    def is_blocked(self, account: Account, strategy: str) -> bool:
        """Return True if every instrument of a strategy is blocked: nothing that it decides could be done."""
        blocked = account.blocks.by_instrument
        return bool(blocked) and all(instrument.id in blocked for _, instrument in self.instruments_of(strategy))

    def is_ready(self, account: Account, market: Market, strategy: str) -> bool:
        """Return True if all that the strategy waits for has come: the history of its bars, its WarmUp, or nothing."""
        if strategy not in self._waiting:
            return True
        for instrument, interval_ns, k in self._history.get(strategy, ()):
            load = account.history.get(instrument, interval_ns)
            if load is None:
                return False
            if load.end is None and load.failures < HISTORY_TRIES and not load.is_loaded:
                return False
            if load.end is None and load.is_loaded and gap_of(market, k) is not None:
                return False
        return self.is_warm(market, strategy)

    def missing(self, account: Account, market: Market, strategy: str) -> str:
        """Return what a strategy waits for before its first decision, for people; "" if it waits for nothing."""
        if self.is_ready(account, market, strategy):
            return ""
        loaded = self.strategies[strategy]
        assert loaded.warm_up is not None, "only such a strategy waits"
        for (name, declared), index in self._indicators[strategy].items():
            count, needed = market.indicator_count(index), market.indicator_specs[index].warm_count
            if count < needed:
                return f"{needed - count} of {needed} values of {name} of {declared}"
        for index, instrument in self.instruments_of(strategy):
            for seconds in loaded.bars_s:
                count, needed = market.bars(index, seconds * SECOND_NS).closed_count, loaded.warm_up.bars
                if count < needed:
                    return f"{needed - count} of {needed} bars of {seconds} s of {instrument.symbol}"
        return "the history of its bars"

    def is_warm(self, market: Market, strategy: str) -> bool:
        """Return True if the indicators and bars of a strategy are as many as its WarmUp names."""
        loaded = self.strategies[strategy]
        if loaded.warm_up is None:
            return True
        if any(market.indicator(index, warm_only=True) is None for index in self._indicators[strategy].values()):
            return False
        if not loaded.warm_up.bars:
            return True
        return all(
            market.bars(index, seconds * SECOND_NS).closed_count >= loaded.warm_up.bars
            for index, _ in self.instruments_of(strategy)
            for seconds in loaded.bars_s
        )

    def first_decision(
        self, account: Account, market: Market, time_ns: int, triggered: Mapping[str, Fired]
    ) -> dict[str, Decided] | None:
        """Run the triggered strategies up to the first that decides something.

        Returns:
            The decisions up to there, by strategy, for `decide` to use. None if all of them decide nothing.
            A strategy that raises ends the run, and so does an interrupted one.

        """
        decisions: dict[str, Decided] = {}
        for name, fired in triggered.items():
            if account.strategies.get(name).stopped_for or not self.may_run(account, market, name, time_ns):
                continue
            try:
                decision = decisions[name] = self._run(account, market, time_ns, self.deciders[name], fired)
            except DecisionCutError as cut:
                return {**decisions, name: CutOff(cut.reason)}
            except Exception as error:  # noqa: BLE001 - a user's code may raise anything
                return {**decisions, name: failed(error)}
            if decision:
                return decisions
        return None

    def decides_early(
        self, account: Account, market: Market, timer: str, time_ns: int, triggered: Mapping[str, Fired]
    ) -> bool:
        """Run the strategies of a TIMER before its record. Return True if one decides something, and keep that."""
        decisions = self.first_decision(account, market, time_ns, triggered)
        if decisions is not None:
            self.early = EarlyDecisions(account, timer, time_ns, decisions)
        return decisions is not None

    def decide(self, step: StepContext, name: str, fired: Fired, decisions: Mapping[str, Decided]) -> Sequence[Intent]:
        """Return what a strategy wants, and emit the change of its state.

        If its code raises, the decision is dropped, a NOTE says why, and the strategy stops.

        Args:
            step: The current step.
            name: The strategy.
            fired: What triggers it.
            decisions: What `first_decision` returned at this record, so that no strategy runs twice.

        """
        status = step.account.strategies.get(name)
        if status.stopped_for:
            return ()
        try:
            decision = decisions.get(name)
            if decision is None:
                decision = self._run(step.account, step.market, step.time_ns, self.deciders[name], fired)
        except DecisionCutError as cut:
            decision = CutOff(cut.reason)
        except Exception as error:  # noqa: BLE001 - a user's code may raise anything
            decision = failed(error)
        if not isinstance(decision, Decision):
            step.note(NoteLevel.ALARM, f"strategy {name} is stopped: {decision.reason}")
            stopped = StrategyStopped(name, decision.reason, cut_off=isinstance(decision, CutOff))
            step.emit(stopped, source=f"strategy.{name}")
            return ()
        for note in decision.notes:
            step.emit(note, source=f"strategy.{name}")
        if decision.changed:
            step.emit(StrategyChanged(name, decision.changed), source=f"strategy.{name}")
        return decision.intents

    def _run(self, account: Account, market: Market, time_ns: int, decider: Decider, fired: Fired) -> Decision:
        """Run a strategy's code and check its decision, within the time budget that the shell set, if any.

        Raises:
            DecisionCutError: The decision was interrupted, or returned too late.
            Exception: The strategy's code fails, or its decision is invalid.

        """
        if (guard := self.guard) is None:
            return decider.run(account, market, time_ns, fired)
        void, began_ns = "", guard.clock()
        try:
            guard.began_ns = began_ns
            decision = decider.run(account, market, time_ns, fired)
        finally:
            guard.began_ns = 0
            spent_ns = guard.clock() - began_ns
            if spent_ns > guard.slow_ns:
                void = guard.end_slow(decider.name, began_ns, spent_ns)
        if void:
            raise DecisionCutError(void)
        return decision

    @property
    def guarded_code(self) -> CodeType:
        """The code inside which a decision may be interrupted."""
        return Decider.run.__code__


def failed(error: Exception) -> Failed:
    """Return the decision of a strategy whose code raised."""
    text = "its text cannot be read"
    with suppress(Exception):  # the user's own exceptions have the user's code
        text = str(error).encode("utf-8", "backslashreplace").decode()  # a lone surrogate has no record
    return Failed(f"{type(error).__name__}: {text}")
